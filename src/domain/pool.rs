//! The warm pool: which database is in which state, and which a launch should take.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::database::{Database, Snapshot, StatusClass};
use super::environment::ByNumber;
use super::policy::Policy;
use super::record::Record;
use super::world::World;

/// Where a database stands in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseState {
    /// Usable, fresh, and nobody's.
    Free,
    /// On its way, and nobody's.
    Creating,
    /// Bound to one environment for good, or held for deletion by a retirement.
    Claimed,
    /// Free, but older than the policy allows.
    Stale,
    /// Nobody's, and it will never be usable.
    Failed,
    /// On its way out.
    Deleting,
}

impl DatabaseState {
    /// The word for screens and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Creating => "creating",
            Self::Claimed => "claimed",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }
}

impl fmt::Display for DatabaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The databases of a world, each with its state, in order of their numbers.
#[derive(Debug, Clone)]
pub struct Pool<'w> {
    /// Every database that the fleet has.
    pub databases: Vec<(DatabaseState, &'w Database)>,
}

impl<'w> Pool<'w> {
    /// Looks at the pool. A database is claimed if its own tag says so *or* a record has its number.
    #[must_use]
    pub fn new(world: &'w World) -> Self {
        let mut claims = ByNumber::new(world.records.iter(), Record::number);
        let latest = world.snapshot.as_ref().ok().and_then(Option::as_ref);
        let mut databases: Vec<&Database> = world.databases.iter().collect();
        databases.sort_unstable_by_key(|database| database.number);
        let state = |database: &'w Database| {
            let claimed = !claims.next(database.number).is_empty();
            (state(database, claimed, latest, &world.fleet.policy), database)
        };
        Self { databases: databases.into_iter().map(state).collect() }
    }

    /// How many are in this state.
    #[must_use]
    pub fn count(&self, state: DatabaseState) -> usize {
        self.in_state(state).count()
    }

    /// Those in this state, lowest number first.
    pub fn in_state(&self, state: DatabaseState) -> impl Iterator<Item = &'w Database> {
        self.databases.iter().filter(move |(s, _)| *s == state).map(|(_, database)| *database)
    }

    /// What a launch may claim, best first: free ones, oldest first; then stale ones, the freshest first (they answer
    /// now); then those on their way, the one that was asked for longest ago first.
    #[must_use]
    pub fn claimable(&self) -> Vec<&'w Database> {
        let by_age = |state| {
            let mut databases: Vec<_> = self.in_state(state).collect();
            databases.sort_by_key(|database| (since(database), database.number));
            databases
        };
        let stale = by_age(DatabaseState::Stale).into_iter().rev();
        let free = by_age(DatabaseState::Free).into_iter();
        free.chain(stale).chain(by_age(DatabaseState::Creating)).collect()
    }
}

fn since(database: &Database) -> DateTime<Utc> {
    database.since().unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn state(database: &Database, claimed: bool, latest: Option<&Snapshot>, policy: &Policy) -> DatabaseState {
    match database.status_class() {
        StatusClass::Deleting => DatabaseState::Deleting,
        _ if claimed || database.environment.is_some() => DatabaseState::Claimed,
        StatusClass::Failed => DatabaseState::Failed,
        StatusClass::Pending => DatabaseState::Creating,
        StatusClass::Usable if is_stale(database, latest, policy) => DatabaseState::Stale,
        StatusClass::Usable => DatabaseState::Free,
    }
}

/// Whether the latest snapshot is newer than the database's by more than the policy allows. One without a known
/// snapshot time is not judged.
fn is_stale(database: &Database, latest: Option<&Snapshot>, policy: &Policy) -> bool {
    match (database.snapshot_at, latest) {
        (Some(at), Some(latest)) => {
            (latest.created_at - at).to_std().is_ok_and(|drift| drift > policy.snapshot_drift)
        }
        _ => false,
    }
}
