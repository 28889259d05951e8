//! Replacements: records that claim another database for an environment that exists.
//!
//! The number of a record is that of its database, so an environment that is reset gets its next database through a second record. The tag
//! `database` of the environment's own record says which of them it uses.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::database::Database;
use super::deployment::RolloutState;
use super::ids::{EnvironmentId, Number, RecordId};
use super::instance::Instance;
use super::record::Record;
use super::world::World;

/// The relation of a replacement to the database that its environment uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The environment uses its database.
    Current,
    /// The environment gets its database next.
    Next,
    /// Another replacement was requested earlier and comes first.
    Later,
    /// The environment uses a database that was requested later.
    Superseded,
    /// The database that the environment uses is unknown, so nothing is decided.
    Unknown,
}

/// The replacements of a world by the records of their environments.
#[derive(Debug, Clone, Default)]
pub struct Replacements<'w>(BTreeMap<&'w RecordId, Vec<&'w Record>>);

impl<'w> Replacements<'w> {
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        Self::of(world.records.iter())
    }

    pub(crate) fn of(records: impl Iterator<Item = &'w Record>) -> Self {
        let mut all: BTreeMap<&RecordId, Vec<&Record>> = BTreeMap::new();
        for record in records {
            if let Some(replaces) = record.replaces() {
                all.entry(&replaces.record).or_default().push(record);
            }
        }
        for replacements in all.values_mut() {
            replacements.sort_unstable_by_key(|record| order(record));
        }
        Self(all)
    }

    /// Returns an environment's replacements in the order of their requests.
    #[must_use]
    pub fn of_environment(&self, record: &Record) -> &[&'w Record] {
        self.0.get(&record.id).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of the database that a record uses; `None` if that is unknown: its tag names a number whose record is not a
    /// replacement for it, or names none although there is a replacement.
    #[must_use]
    pub fn current(&self, record: &Record) -> Option<Number> {
        let own = record.number();
        let replacements = self.of_environment(record);
        match record.database {
            _ if !record.is_environment() => Some(own),
            None => replacements.is_empty().then_some(own),
            Some(number) if number == own => Some(own),
            Some(number) => replacements.iter().any(|found| found.number() == number).then_some(number),
        }
    }

    /// Returns the replacement whose database an environment gets next.
    #[must_use]
    pub fn next(&self, record: &Record) -> Option<&'w Record> {
        let replacements = self.of_environment(record);
        replacements.iter().copied().find(|found| self.place(record, found) == Place::Next)
    }

    /// Returns the place of one of an environment's replacements.
    #[must_use]
    pub fn place(&self, record: &Record, replacement: &Record) -> Place {
        let Some(current) = self.current(record) else { return Place::Unknown };
        if current == replacement.number() {
            return Place::Current;
        }
        let replacements = self.of_environment(record);
        let used = replacements.iter().find(|found| found.number() == current).map(|found| order(found));
        if used.is_some_and(|used| order(replacement) < used) {
            return Place::Superseded;
        }
        let is_pending = |found: &&&Record| used.is_none_or(|used| order(found) > used) && found.is_wanted();
        match replacements.iter().find(is_pending) {
            Some(first) if first.id == replacement.id => Place::Next,
            _ => Place::Later,
        }
    }
}

/// Returns a total order, in which all engines see the same replacement first.
pub(crate) fn order(record: &Record) -> (DateTime<Utc>, Number) {
    (record.created_at, record.number())
}

/// Returns the numbers of databases that environments or their instances name although the number is not their own. Such a database is in use,
/// whatever its tags say and whether its record exists.
#[must_use]
pub(crate) fn named_numbers(world: &World) -> BTreeSet<Number> {
    let environments = world.records.iter().filter(|record| record.is_environment());
    let by_records = environments.filter_map(|record| record.database.filter(|n| *n != record.number()));
    let by_instances = world
        .instances
        .iter()
        .filter_map(|instance| instance.database.filter(|n| *n != instance.environment.number));
    by_records.chain(by_instances).collect()
}

/// The environments that have or get the databases of the pool.
#[derive(Debug, Clone)]
pub struct DatabaseUsers<'w>(BTreeMap<Number, &'w EnvironmentId>);

impl<'w> DatabaseUsers<'w> {
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        let replaces = |record: &'w Record| Some((record.number(), &record.replaces()?.environment));
        Self(world.records.iter().filter_map(replaces).collect())
    }

    /// Returns the environment that has or gets a database.
    #[must_use]
    pub fn of(&self, database: &'w Database) -> Option<&'w EnvironmentId> {
        self.0.get(&database.number).copied().or(database.environment.as_ref())
    }
}

/// How long after the switch an instance may still use the earlier database if it does not say that it uses the new one.
const ROLLOUT_LIMIT: TimeDelta = TimeDelta::hours(1);

/// Whether the earlier databases of an environment can go: it uses the new one, or has had the time for it.
///
/// # Errors
/// Returns the reason why they must stay.
pub(crate) fn check_rolled_out(
    record: &Record,
    current: Option<&Database>,
    instance: Option<&Instance>,
    now: DateTime<Utc>,
) -> Result<(), String> {
    let Some(deployment) = &record.deployment else {
        return Err("the time of the switch to its new database is unknown".to_owned());
    };
    match current {
        Some(database) if database.is_ready() && database.environment.is_some() => {}
        Some(database) => return Err(format!("its new database {} is {}", database.id, database.status)),
        None => return Err("its new database is not listed".to_owned()),
    }
    // The instance deploys whatever its own tags ask for, and the record can have an earlier request that was written late.
    let told = instance.and_then(|instance| instance.deployment.as_ref());
    let requested_at = told.map_or(deployment.at, |told| told.at.max(deployment.at));
    let is_done = instance.is_some_and(|instance| {
        let rollout = instance.rollout.as_ref().filter(|rollout| rollout.state == RolloutState::Done);
        instance.database == Some(record.database_number())
            && rollout.is_some_and(|rollout| rollout.request >= requested_at)
    });
    if is_done || requested_at + ROLLOUT_LIMIT <= now {
        return Ok(());
    }
    Err("its instance may still use the old one".to_owned())
}
