//! Listings page by page, and changes of tags. Items are parsed by the same functions as AWS's responses.

use futures::StreamExt as _;

use super::Caller;
use super::faults::call_error;
use super::operations::Operation;
use super::state::{Change, SimDatabase, SimInstance, State, Template};
use super::versioned::Store;
use crate::cloud::{Observed, Page, Pages, Result};
use crate::domain::database::DatabaseAttributes;
use crate::domain::instance::InstanceAttributes;
use crate::domain::tags::Tags;
use crate::domain::{
    Database, DatabaseId, ErrorClass, Fleet, FleetName, Instance, InstanceId, Record, RecordId, TagChanges,
};

pub(super) fn parse_fleet(id: &str, template: &Template, tags: &Tags) -> Option<Fleet> {
    Fleet::parse(RecordId::new(id), &template.name, tags)
}

pub(super) fn parse_record(fleet: &FleetName, id: &str, template: &Template, tags: &Tags) -> Option<Record> {
    Record::parse(fleet, RecordId::new(id), &template.name, template.created_at, tags)
}

/// Parses a template as the fleet's base template or one of its records.
pub(super) fn parse_template(
    fleet: &FleetName,
    id: &str,
    template: &Template,
    tags: &Tags,
) -> Option<crate::cloud::Template> {
    use crate::cloud::Template as Parsed;
    let record = parse_record(fleet, id, template, tags).map(|record| Parsed::Record(Box::new(record)));
    let own = || parse_fleet(id, template, tags).filter(|found| found.name == *fleet);
    record.or_else(|| own().map(|fleet| Parsed::Fleet(Box::new(fleet))))
}

pub(super) fn parse_instance(
    fleet: &FleetName,
    id: &str,
    instance: &SimInstance,
    tags: &Tags,
) -> Option<Instance> {
    let attributes = InstanceAttributes {
        id: InstanceId::new(id),
        state: instance.state,
        state_reason: None,
        instance_type: instance.instance_type.clone(),
        public_ip: instance.public_ip.clone(),
        private_ip: Some(instance.private_ip.clone()),
        zone: Some(instance.zone.clone()),
        launched_at: instance.launched_at,
    };
    Instance::parse(fleet, attributes, tags)
}

pub(super) fn parse_database(
    fleet: &FleetName,
    id: &str,
    database: &SimDatabase,
    tags: &Tags,
) -> Option<Database> {
    let attributes = DatabaseAttributes {
        id: DatabaseId::new(id),
        status: database.status.clone(),
        endpoint: database.endpoint.clone(),
        created_at: database.created_at,
        zone: Some(database.zone.clone()),
    };
    Database::parse(fleet, attributes, tags)
}

impl State {
    /// Samples the indices of the items on a page whose tags are missing.
    fn untagged(&mut self, items: usize) -> Vec<usize> {
        let chance = self.scenario.faults.missing_tags;
        let untagged: Vec<_> = (0..items).filter(|_| self.chance(chance)).collect();
        for _ in &untagged {
            self.count_fault("missing tags");
        }
        untagged
    }
}

/// Parses an item of a page from its id, its value and its tags.
pub(super) type Parse<'a, T, R> = Box<dyn Fn(&str, &T, &Tags) -> Option<R> + Send + Sync + 'a>;

impl Caller {
    /// Lists the items of a store. Each page is a call with its own outcome and staleness.
    pub(super) fn pages<'a, T, R>(
        &'a self,
        operation: Operation,
        store: fn(&State) -> &Store<T>,
        tags: fn(&T) -> &Tags,
        parse: Parse<'a, T, R>,
    ) -> Pages<'a, R>
    where
        T: Clone + 'static,
        R: std::fmt::Debug + Send + 'a,
    {
        let start = Some(String::new());
        futures::stream::unfold((start, parse), move |(marker, parse)| async move {
            let marker = marker?;
            let page = self
                .read(operation, |state, at| {
                    let size = state.scenario.faults.page.max(1);
                    let untagged = state.untagged(store(state).page(&marker, at).take(size).count());
                    let none = Tags::new();
                    let (mut parsed, mut count, mut last) = (Vec::new(), 0, None);
                    for (id, item) in store(state).page(&marker, at).take(size) {
                        let tags = if untagged.contains(&count) { &none } else { tags(item) };
                        parsed.extend(parse(id, item, tags));
                        count += 1;
                        last = Some(id);
                    }
                    let next = last.filter(|_| count == size).map(str::to_owned);
                    Ok((parsed, next))
                })
                .await;
            Some(match page {
                Ok(Observed { value: (value, next), as_of }) => (Ok(Page { value, as_of }), (next, parse)),
                Err(error) => (Err(error), (None, parse)),
            })
        })
        .boxed()
    }

    pub(super) async fn tag<T: Clone + 'static>(
        &self,
        operation: Operation,
        store: fn(&mut State) -> &mut Store<T>,
        tags: fn(&mut T) -> &mut Tags,
        id: &str,
        changes: &TagChanges,
        missing: &'static str,
    ) -> Result<()> {
        let (id, changes) = (id.to_owned(), changes.clone());
        self.write(operation, move |state, who| {
            let now = state.now;
            if !store(state).change(&id, now, |item| changes.apply_to(tags(item))) {
                return Err(call_error(
                    ErrorClass::NotFound,
                    operation,
                    missing,
                    &format!("{id} does not exist"),
                ));
            }
            state.record(who, || format!("tags of {id}: {:?} {:?}", changes.set, changes.remove));
            state.changed(who, &Change::Tags(id.clone()));
            Ok(())
        })
        .await
    }
}
