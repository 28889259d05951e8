//! The states of the pool's databases, and the order in which launches claim them.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::database::{Database, Snapshot, StatusClass};
use super::environment::ByNumber;
use super::policy::Policy;
use super::record::Record;
use super::replacement::named_numbers;
use super::unreadable::UnreadableKind;
use super::world::World;

/// The state of a database in the pool.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DatabaseState {
    /// Usable, loaded as far as the policy wants, not stale and not claimed.
    Free,
    /// Being restored or loaded, and not claimed.
    Creating,
    /// Not claimed, and unavailable for a while: stopped, or in maintenance.
    Busy,
    /// Claimed by an environment or, to be deleted, by a retirement.
    Claimed,
    /// Usable and not claimed, but its snapshot is older than the policy allows.
    Stale,
    /// Not claimed, and it will never be usable.
    Failed,
    /// A user inspects it; it is deleted afterwards.
    Held,
    Deleting,
}

impl DatabaseState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The databases of a world with their states.
#[derive(Debug, Clone)]
pub struct Pool<'w> {
    /// By number.
    pub databases: Vec<(DatabaseState, &'w Database)>,
}

/// The age from which a restore takes unusually long, so that a launch claims another one if it can.
const SLOW_RESTORE: Duration = Duration::from_mins(45);

impl<'w> Pool<'w> {
    /// Determines the states. A database is claimed if it has an environment tag, a record has its number, even one whose tags do not say so, or
    /// an instance does, which may have used it, or if an environment or an instance names it.
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        let mut claims = ByNumber::new(world.records.iter(), Record::number);
        let mut instances = ByNumber::new(world.instances.iter(), |instance| instance.environment.number);
        let mut taken = world.unreadable_numbers(UnreadableKind::Record);
        taken.extend(named_numbers(world));
        let latest = world.snapshot.as_ref().ok().and_then(Option::as_ref);
        let mut databases: Vec<&Database> = world.databases.iter().collect();
        databases.sort_unstable_by_key(|database| database.number);
        let state = |database: &'w Database| {
            let number = database.number;
            let records = claims.next(number);
            let is_held = records.iter().any(|record| record.holds_database());
            let claimed =
                !records.is_empty() || !instances.next(number).is_empty() || taken.contains(&number);
            let state = state(database, claimed, latest, &world.fleet.policy);
            (if is_held && state == DatabaseState::Claimed { DatabaseState::Held } else { state }, database)
        };
        Self { databases: databases.into_iter().map(state).collect() }
    }

    #[must_use]
    pub fn count(&self, state: DatabaseState) -> usize {
        self.in_state(state).count()
    }

    /// Returns the databases in a state, by number.
    pub fn in_state(&self, state: DatabaseState) -> impl Iterator<Item = &'w Database> {
        self.databases.iter().filter(move |(s, _)| *s == state).map(|(_, database)| *database)
    }

    /// Returns the databases that a launch can claim, best first: free ones, then those that are usable but still loaded, each by how much of them
    /// is loaded and then from the oldest; then stale ones from the newest, because they are usable now, then those being restored from the
    /// oldest, because they are the first to be usable. A restore that takes unusually long comes last, and one that is overdue not at all.
    #[must_use]
    pub fn claimable(&self, now: DateTime<Utc>) -> Vec<&'w Database> {
        let by_age = |state| {
            let mut databases: Vec<_> = self.in_state(state).collect();
            databases.sort_by_key(|database| (since(database), database.number));
            databases
        };
        let stale = by_age(DatabaseState::Stale).into_iter().rev();
        let (mut loading, mut creating): (Vec<_>, Vec<_>) =
            by_age(DatabaseState::Creating).into_iter().partition(|database| database.is_ready());
        let mut free = by_age(DatabaseState::Free);
        // The sorts are stable.
        for usable in [&mut free, &mut loading] {
            usable.sort_by_key(|database| Reverse(database.hydration.rank()));
        }
        creating.retain(|database| !database.is_overdue(now));
        creating.sort_by_key(|database| since(database) + SLOW_RESTORE <= now);
        free.into_iter().chain(loading).chain(stale).chain(creating).collect()
    }
}

fn since(database: &Database) -> DateTime<Utc> {
    // Late enough to come last, and early enough to be added to.
    database.since().unwrap_or(DateTime::<Utc>::MAX_UTC - SLOW_RESTORE)
}

fn state(database: &Database, claimed: bool, latest: Option<&Snapshot>, policy: &Policy) -> DatabaseState {
    match database.status_class() {
        StatusClass::Deleting => DatabaseState::Deleting,
        _ if claimed || database.environment.is_some() => DatabaseState::Claimed,
        StatusClass::Failed => DatabaseState::Failed,
        StatusClass::Pending => DatabaseState::Creating,
        StatusClass::Busy | StatusClass::Stopped => DatabaseState::Busy,
        StatusClass::Usable if is_stale(database, latest, policy) => DatabaseState::Stale,
        StatusClass::Usable if !database.hydration.is_at_least(policy.free_from) => DatabaseState::Creating,
        StatusClass::Usable => DatabaseState::Free,
    }
}

/// Daily snapshots are taken at about the same time, some minutes earlier or later.
const SNAPSHOT_JITTER: Duration = Duration::from_hours(1);

/// Whether a usable database needs a replacement: the latest snapshot is newer than its own by more than the policy allows, it was restored with
/// other settings, or a user has recycled the pool. A database for which this is unknown is not stale, as one whose settings another version of
/// hatchery has digested.
fn is_stale(database: &Database, latest: Option<&Snapshot>, policy: &Policy) -> bool {
    let is_outdated = database.snapshot_at.zip(latest).is_some_and(|(at, latest)| {
        (latest.created_at - at).to_std().is_ok_and(|drift| drift > policy.snapshot_drift + SNAPSHOT_JITTER)
    });
    let is_other = database.settings.as_ref().is_some_and(|digest| policy.is_other_settings(digest.raw()));
    let is_recycled = policy.recycled_at.zip(database.since()).is_some_and(|(at, since)| since < at);
    is_outdated || is_other || is_recycled
}
