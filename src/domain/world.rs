//! One observation of everything that a fleet owns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::database::{Database, Snapshot};
use super::error::CloudError;
use super::fleet::{Fleet, Image, Subnet};
use super::hold::Hold;
use super::ids::{EnvironmentId, Number};
use super::instance::Instance;
use super::items::{self, Items};
use super::launches::Launches;
use super::pipeline::Pipeline;
use super::record::Record;
use super::unreadable::{Unreadable, UnreadableKind};

/// The result of one listing, possibly incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    pub items: Items<T>,
    /// Resources with names of the fleet whose tags do not say so.
    pub unreadable: Vec<Unreadable>,
    /// Whether every page was read. Absence from an incomplete listing proves nothing.
    pub complete: bool,
    /// AWS's time of the oldest page.
    pub as_of: Option<DateTime<Utc>>,
    /// The error that made the listing incomplete; `None` while pages are still being read.
    pub problem: Option<CloudError>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Items::default(), unreadable: Vec::new(), complete: false, as_of: None, problem: None }
    }
}

impl<T> Listing<T> {
    #[must_use]
    pub fn complete(items: impl IntoIterator<Item = T>, as_of: DateTime<Utc>) -> Self {
        Self {
            items: items.into_iter().collect(),
            unreadable: Vec::new(),
            complete: true,
            as_of: Some(as_of),
            problem: None,
        }
    }

    pub fn iter(&self) -> items::Iter<'_, T> {
        self.items.iter()
    }
}

impl<'a, T> IntoIterator for &'a Listing<T> {
    type Item = &'a T;
    type IntoIter = items::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One observation of everything that a fleet owns.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub fleet: Fleet,
    pub records: Listing<Record>,
    /// The instances. EC2 lists terminated instances for about an hour.
    pub instances: Listing<Instance>,
    /// The databases of the pool, including claimed ones.
    pub databases: Listing<Database>,
    /// The latest snapshot of the source database; `Ok(None)` if there is none, `Err` if it could not be read.
    pub snapshot: Result<Option<Snapshot>, CloudError>,
    pub image: Result<Option<Image>, CloudError>,
    /// The pipelines of the fleet's stack; empty for a fleet with other images.
    pub pipelines: Result<Vec<Pipeline>, CloudError>,
    /// The subnets that the policy names.
    pub subnets: Result<Vec<Subnet>, CloudError>,
    /// The launch history; `Ok(None)` if it was not requested, because only `spare=auto` needs it.
    pub launches: Result<Option<Arc<Launches>>, CloudError>,
}

impl World {
    /// Returns a world with empty, incomplete listings.
    #[must_use]
    pub fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            records: Listing::default(),
            instances: Listing::default(),
            databases: Listing::default(),
            snapshot: Ok(None),
            image: Ok(None),
            pipelines: Ok(Vec::new()),
            subnets: Ok(Vec::new()),
            launches: Ok(None),
        }
    }

    /// Returns AWS's time of the oldest listing, or `None` if a listing has no time. Expiry is compared with this time, because nothing newer
    /// is known.
    #[must_use]
    pub fn now(&self) -> Option<DateTime<Utc>> {
        [self.records.as_of, self.instances.as_of, self.databases.as_of]
            .into_iter()
            .reduce(|a, b| Some(a?.min(b?)))
            .flatten()
    }

    /// Whether all three listings are complete. Only in a complete world does absence justify a deletion.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.records.complete && self.instances.complete && self.databases.complete
    }

    /// Returns the names of the incomplete listings.
    #[must_use]
    pub fn incomplete(&self) -> Vec<&'static str> {
        [
            (self.records.complete, "records"),
            (self.instances.complete, "instances"),
            (self.databases.complete, "databases"),
        ]
        .into_iter()
        .filter_map(|(complete, name)| (!complete).then_some(name))
        .collect()
    }

    /// Returns the errors of this observation, without that of the pipelines, which nothing depends on.
    pub fn problems(&self) -> impl Iterator<Item = &CloudError> {
        let listings =
            [&self.records.problem, &self.instances.problem, &self.databases.problem].into_iter().flatten();
        listings
            .chain(self.snapshot.as_ref().err())
            .chain(self.image.as_ref().err())
            .chain(self.subnets.as_ref().err())
            .chain(self.launches.as_ref().err())
    }

    #[must_use]
    pub fn record(&self, id: &EnvironmentId) -> Option<&Record> {
        self.records.iter().find(|record| record.environment == *id)
    }

    /// Returns the holds of databases by number.
    #[must_use]
    pub fn database_holds(&self) -> BTreeMap<Number, &Hold> {
        let held = self.records.iter().filter(|record| record.holds_database());
        held.filter_map(|record| Some((record.number(), record.hold.as_ref()?))).collect()
    }

    /// Returns the first new number after the highest among databases, records and the fleet's hint.
    #[must_use]
    pub fn next_number(&self) -> Number {
        let databases = self.databases.iter().map(|database| database.number);
        let records = self.records.iter().map(Record::number);
        let highest = databases.chain(records).fold(self.fleet.policy.last_number, Number::max);
        self.new_number(highest.next())
    }

    /// Returns this number or the next one that no unreadable resource has.
    #[must_use]
    pub(crate) fn new_number(&self, number: Number) -> Number {
        let mut number = number;
        while self.unreadable().any(|found| found.number == number) {
            number = number.next();
        }
        number
    }

    /// Returns the records and databases that exist, but whose tags do not say that they are the fleet's.
    pub fn unreadable(&self) -> impl Iterator<Item = &Unreadable> {
        self.records.unreadable.iter().chain(&self.databases.unreadable)
    }

    /// Returns the numbers of the unreadable resources of one kind.
    #[must_use]
    pub(crate) fn unreadable_numbers(&self, kind: UnreadableKind) -> BTreeSet<Number> {
        self.unreadable().filter(|found| found.kind == kind).map(|found| found.number).collect()
    }

    /// Returns the age of the oldest listing at `now`, in AWS's time.
    #[must_use]
    pub fn age(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.now().map(|seen| (now - seen).to_std().unwrap_or_default())
    }
}
