//! One observation of everything that a fleet owns.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::database::{Database, Snapshot};
use super::error::CloudError;
use super::fleet::{Fleet, Image, Subnet};
use super::ids::{EnvironmentId, Number};
use super::instance::Instance;
use super::launches::Launches;
use super::record::Record;

/// What one listing gave, and whether that is all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was seen.
    pub items: Vec<T>,
    /// Whether every page was read. On an incomplete listing, absence means nothing.
    pub complete: bool,
    /// AWS's clock when the first page was answered.
    pub as_of: Option<DateTime<Utc>>,
    /// Why it is not complete; `None` while pages are still coming.
    pub problem: Option<CloudError>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), complete: false, as_of: None, problem: None }
    }
}

impl<T> Listing<T> {
    /// A complete listing.
    #[must_use]
    pub fn complete(items: Vec<T>, as_of: DateTime<Utc>) -> Self {
        Self { items, complete: true, as_of: Some(as_of), problem: None }
    }

    /// What was seen, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
}

impl<'a, T> IntoIterator for &'a Listing<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One observation of everything that a fleet owns.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The fleet and its policy.
    pub fleet: Fleet,
    /// The records of its environments.
    pub records: Listing<Record>,
    /// Its instances. Those that are terminated stay listed for about an hour.
    pub instances: Listing<Instance>,
    /// The databases of its pool, claimed ones included.
    pub databases: Listing<Database>,
    /// The latest snapshot of the source database. `Ok(None)`: there is none. `Err`: nobody knows.
    pub snapshot: Result<Option<Snapshot>, CloudError>,
    /// The latest image.
    pub image: Result<Option<Image>, CloudError>,
    /// The subnets of the policy.
    pub subnets: Result<Vec<Subnet>, CloudError>,
    /// The launches of the last weeks, which only a pool sized by the demand needs. `Ok(None)`: nobody has asked for them.
    pub launches: Result<Option<Arc<Launches>>, CloudError>,
}

impl World {
    /// A world of which nothing has been seen yet but the fleet.
    #[must_use]
    pub fn unseen(fleet: Fleet) -> Self {
        Self {
            fleet,
            records: Listing::default(),
            instances: Listing::default(),
            databases: Listing::default(),
            snapshot: Ok(None),
            image: Ok(None),
            subnets: Ok(Vec::new()),
            launches: Ok(None),
        }
    }

    /// AWS's clock at the *oldest* of the answers, which is the only safe *now* to judge an expiry by.
    /// `None` where any listing did not say.
    #[must_use]
    pub fn now(&self) -> Option<DateTime<Utc>> {
        [self.records.as_of, self.instances.as_of, self.databases.as_of]
            .into_iter()
            .reduce(|a, b| Some(a?.min(b?)))
            .flatten()
    }

    /// Whether all three listings are complete. Nothing is deleted for being absent from any other world.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.records.complete && self.instances.complete && self.databases.complete
    }

    /// The names of the listings that are not complete.
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

    /// What stood in the way of seeing everything.
    pub fn problems(&self) -> impl Iterator<Item = &CloudError> {
        let listings =
            [&self.records.problem, &self.instances.problem, &self.databases.problem].into_iter().flatten();
        listings
            .chain(self.snapshot.as_ref().err())
            .chain(self.image.as_ref().err())
            .chain(self.subnets.as_ref().err())
            .chain(self.launches.as_ref().err())
    }

    /// The record of an environment.
    #[must_use]
    pub fn record(&self, id: &EnvironmentId) -> Option<&Record> {
        self.records.iter().find(|record| record.environment == *id)
    }

    /// One more than the highest number among databases, records and the fleet's hint.
    #[must_use]
    pub fn next_number(&self) -> Number {
        let databases = self.databases.iter().map(|database| database.number);
        let records = self.records.iter().map(Record::number);
        databases.chain(records).fold(self.fleet.policy.last_number, Number::max).next()
    }

    /// How old the data is at `now`, by AWS's clock.
    #[must_use]
    pub fn age(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.now().map(|seen| (now - seen).to_std().unwrap_or_default())
    }
}
