//! Listings page by page, and changes of tags. Items are parsed by the same functions as AWS's responses.

use chrono::{DateTime, Utc};
use futures::StreamExt as _;

use super::Caller;
use super::faults::call_error;
use super::operations::{EC2_TAGS, Operation, RDS_TAGS};
use super::state::{Change, SimDatabase, SimInstance, State, Template, seconds};
use super::versioned::Store;
use crate::cloud::{Observed, Page, Pages, Result};
use crate::domain::database::DatabaseAttributes;
use crate::domain::instance::InstanceAttributes;
use crate::domain::tags::Tags;
use crate::domain::{
    Database, DatabaseId, ErrorClass, Fleet, FleetName, Instance, InstanceId, Parsed, Record, RecordId,
    TagChanges,
};

pub(super) fn parse_fleet(id: &str, template: &Template, tags: &Tags) -> Option<Fleet> {
    Fleet::parse(RecordId::new(id), &template.name, tags)
}

pub(super) fn parse_record(fleet: &FleetName, id: &str, template: &Template, tags: &Tags) -> Parsed<Record> {
    Record::parse(fleet, RecordId::new(id), &template.name, template.created_at, tags)
}

/// Parses a template as the fleet's base template or one of its records.
pub(super) fn parse_template(
    fleet: &FleetName,
    id: &str,
    template: &Template,
    tags: &Tags,
) -> Parsed<crate::cloud::Template> {
    use crate::cloud::Template as Found;
    let record = parse_record(fleet, id, template, tags);
    let own = || parse_fleet(id, template, tags).filter(|found| found.name == *fleet);
    record
        .map(|record| record.map(|record| Found::Record(Box::new(record))))
        .or_else(|| own().map(|fleet| Ok(Found::Fleet(Box::new(fleet)))))
}

pub(super) fn parse_instance(
    fleet: &FleetName,
    id: &str,
    instance: &SimInstance,
    tags: &Tags,
) -> Option<Instance> {
    Instance::parse(fleet, attributes(id, instance), tags)
}

pub(super) fn attributes(id: &str, instance: &SimInstance) -> InstanceAttributes {
    InstanceAttributes {
        id: InstanceId::new(id),
        state: instance.state,
        state_reason: None,
        instance_type: instance.instance_type.as_str().into(),
        public_ip: instance.public_ip.as_deref().map(Into::into),
        private_ip: Some(instance.private_ip.as_str().into()),
        zone: Some(instance.zone.as_str().into()),
        launched_at: instance.launched_at,
    }
}

pub(super) fn parse_database(
    fleet: &FleetName,
    id: &str,
    database: &SimDatabase,
    tags: &Tags,
    loaded: Option<u8>,
) -> Parsed<Database> {
    let attributes = DatabaseAttributes {
        id: DatabaseId::new(id),
        status: database.status.as_str().into(),
        endpoint: database.endpoint.as_deref().map(Into::into),
        created_at: database.created_at,
        zone: Some(database.zone.as_str().into()),
        loaded,
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

    /// Samples whether a read by id or by name lacks the tags, so that the resource does not seem to be the fleet's. Returns what the read sees of the
    /// tags.
    pub(super) fn see_tags(&mut self) -> impl Fn(&Tags) -> &Tags + use<> {
        static NO_TAGS: Tags = Tags::new();
        let lacks = self.strict_chance(self.scenario.strictness.missing_tags_by_id);
        if lacks {
            self.count_fault("missing tags by id");
        }
        move |tags| if lacks { &NO_TAGS } else { tags }
    }
}

/// Converts the parsed item of a read by id or name.
pub(super) fn readable<T>(operation: Operation, parsed: Parsed<T>) -> Result<Option<T>> {
    parsed.transpose().map_err(|unreadable| unreadable.to_error(operation.name))
}

/// Parses an item of a page from its id, its value and its tags.
pub(super) type Parse<'a, T, R> = Box<dyn Fn(&str, &T, &Tags, DateTime<Utc>) -> Parsed<R> + Send + Sync + 'a>;

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
                    let at = at - seconds(state.strict_draw([0.0, state.scenario.strictness.listing_lag]));
                    let size = state.scenario.faults.page.max(1);
                    let untagged = state.untagged(store(state).page(&marker, at).take(size).count());
                    let none = Tags::new();
                    let items: Vec<_> = store(state).page(&marker, at).take(size).enumerate().collect();
                    let page = Page::parse(&items, None, |(index, (id, item))| {
                        parse(id, item, if untagged.contains(index) { &none } else { tags(item) }, at)
                    });
                    let last = items.last().filter(|_| items.len() == size);
                    Ok((page, last.map(|(_, (id, _))| (*id).to_owned())))
                })
                .await;
            Some(match page {
                Ok(Observed { value: (page, next), as_of }) => (Ok(Page { as_of, ..page }), (next, parse)),
                Err(error) => (Err(error), (None, parse)),
            })
        })
        .boxed()
    }

    /// Changes the tags of a resource. EC2 and RDS set and remove tags by different operations.
    pub(super) async fn tag<T: Clone + 'static>(
        &self,
        operation: Operation,
        store: fn(&mut State) -> &mut Store<T>,
        tags: fn(&mut T) -> &mut Tags,
        id: &str,
        changes: &TagChanges,
        missing: &'static str,
    ) -> Result<()> {
        let two_calls = self.cloud.lock().scenario.strictness.two_tag_calls;
        if !two_calls || changes.set.is_empty() || changes.remove.is_empty() {
            return self.tag_once(operation, store, tags, id, changes, missing).await;
        }
        let set = TagChanges { set: changes.set.clone(), ..TagChanges::new() };
        let remove = TagChanges { remove: changes.remove.clone(), ..TagChanges::new() };
        self.tag_once(operation, store, tags, id, &set, missing).await?;
        self.tag_once(operation, store, tags, id, &remove, missing).await
    }

    async fn tag_once<T: Clone + 'static>(
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
            if operation.name == RDS_TAGS.name {
                state.check_changeable(&id, operation)?;
            }
            let is_hidden = operation.name == EC2_TAGS.name && {
                let lag = state.strict_draw([0.0, state.scenario.strictness.write_lag]);
                store(state).at(&id, now - seconds(lag)).is_none()
            };
            if is_hidden || !store(state).change(&id, now, |item| changes.apply_to(tags(item))) {
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
