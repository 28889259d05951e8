//! What the simulated account shows of itself: listings page by page, items by the same readers as AWS's, and tags.

use futures::StreamExt as _;

use super::Caller;
use super::faults::error;
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

pub(super) fn read_fleet(id: &str, template: &Template, tags: &Tags) -> Option<Fleet> {
    Fleet::parse(RecordId::new(id), &template.name, tags)
}

pub(super) fn read_record(fleet: &FleetName, id: &str, template: &Template, tags: &Tags) -> Option<Record> {
    Record::parse(fleet, RecordId::new(id), &template.name, template.created_at, tags)
}

/// A template as the listing of one fleet shows it.
pub(super) fn read_template(
    fleet: &FleetName,
    id: &str,
    template: &Template,
    tags: &Tags,
) -> Option<crate::cloud::Template> {
    use crate::cloud::Template as Shown;
    let record = read_record(fleet, id, template, tags).map(|record| Shown::Record(Box::new(record)));
    let own = || read_fleet(id, template, tags).filter(|found| found.name == *fleet);
    record.or_else(|| own().map(|fleet| Shown::Fleet(Box::new(fleet))))
}

pub(super) fn read_instance(
    fleet: &FleetName,
    id: &str,
    instance: &SimInstance,
    tags: &Tags,
) -> Option<Instance> {
    let facts = InstanceAttributes {
        id: InstanceId::new(id),
        state: instance.state,
        instance_type: instance.instance_type.clone(),
        public_ip: instance.public_ip.clone(),
        private_ip: Some(instance.private_ip.clone()),
        zone: Some(instance.zone.clone()),
        launched_at: instance.launched_at,
    };
    Instance::parse(fleet, facts, tags)
}

pub(super) fn read_database(
    fleet: &FleetName,
    id: &str,
    database: &SimDatabase,
    tags: &Tags,
) -> Option<Database> {
    let facts = DatabaseAttributes {
        id: DatabaseId::new(id),
        status: database.status.clone(),
        endpoint: database.endpoint.clone(),
        created_at: database.created_at,
        zone: Some(database.zone.clone()),
    };
    Database::parse(fleet, facts, tags)
}

impl State {
    /// Of which of so many items of an answer the tags are missing: now and then AWS leaves them out.
    fn untagged(&mut self, items: usize) -> Vec<usize> {
        let chance = self.scenario.faults.missing_tags;
        let untagged: Vec<_> = (0..items).filter(|_| self.happens(chance)).collect();
        for _ in &untagged {
            self.fault("missing tags");
        }
        untagged
    }
}

/// A thing as an answer shows it: its id, itself, and its tags.
pub(super) type Shown<'a, T, R> = Box<dyn Fn(&str, &T, &Tags) -> Option<R> + Send + Sync + 'a>;

impl Caller {
    /// The pages of a listing. Each page is a call of its own, with its own outcome and its own age.
    pub(super) fn pages<'a, T, R>(
        &'a self,
        operation: Operation,
        store: fn(&State) -> &Store<T>,
        tags: fn(&T) -> &Tags,
        show: Shown<'a, T, R>,
    ) -> Pages<'a, R>
    where
        T: Clone + 'static,
        R: std::fmt::Debug + Send + 'a,
    {
        let begin = Some(String::new());
        futures::stream::unfold((begin, show), move |(marker, show)| async move {
            let marker = marker?;
            let page = self
                .read(operation, |state, at| {
                    let most = state.scenario.faults.page.max(1);
                    let untagged = state.untagged(store(state).page(&marker, at).take(most).count());
                    let none = Tags::new();
                    let (mut shown, mut seen, mut last) = (Vec::new(), 0, None);
                    for (id, item) in store(state).page(&marker, at).take(most) {
                        let tags = if untagged.contains(&seen) { &none } else { tags(item) };
                        shown.extend(show(id, item, tags));
                        seen += 1;
                        last = Some(id);
                    }
                    let next = last.filter(|_| seen == most).map(str::to_owned);
                    Ok((shown, next))
                })
                .await;
            Some(match page {
                Ok(Observed { value: (value, next), as_of }) => (Ok(Page { value, as_of }), (next, show)),
                Err(error) => (Err(error), (None, show)),
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
        self.change(operation, move |state, who| {
            let now = state.now;
            if !store(state).change(&id, now, |thing| changes.apply_to(tags(thing))) {
                return Err(error(ErrorClass::NotFound, operation, missing, &format!("{id} does not exist")));
            }
            state.note(who, || format!("tags of {id}: {:?} {:?}", changes.set, changes.remove));
            state.changed(who, &Change::Tags(id.clone()));
            Ok(())
        })
        .await
    }
}
