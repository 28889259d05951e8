//! The states of the pool's databases, and the order in which launches claim them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::database::{Database, Snapshot, StatusClass};
use super::environment::ByNumber;
use super::policy::Policy;
use super::record::Record;
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
    /// Usable, not stale and not claimed.
    Free,
    /// Being restored and not claimed.
    Creating,
    /// Claimed by an environment or, to be deleted, by a retirement.
    Claimed,
    /// Usable and not claimed, but its snapshot is older than the policy allows.
    Stale,
    /// Not claimed, and it will never be usable.
    Failed,
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

impl<'w> Pool<'w> {
    /// Determines the states. A database is claimed if it has an environment tag or a record has its number.
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

    #[must_use]
    pub fn count(&self, state: DatabaseState) -> usize {
        self.in_state(state).count()
    }

    /// Returns the databases in a state, by number.
    pub fn in_state(&self, state: DatabaseState) -> impl Iterator<Item = &'w Database> {
        self.databases.iter().filter(move |(s, _)| *s == state).map(|(_, database)| *database)
    }

    /// Returns the databases that a launch can claim, best first: free ones from the oldest, then stale ones from the newest, because they are
    /// usable now, then those being restored from the oldest.
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

/// Whether the latest snapshot is newer than the database's by more than the policy allows. A database whose snapshot is unknown is never
/// stale.
fn is_stale(database: &Database, latest: Option<&Snapshot>, policy: &Policy) -> bool {
    match (database.snapshot_at, latest) {
        (Some(at), Some(latest)) => {
            (latest.created_at - at).to_std().is_ok_and(|drift| drift > policy.snapshot_drift)
        }
        _ => false,
    }
}
