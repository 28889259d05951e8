//! The figures of one pass, for monitoring.

use chrono::{DateTime, TimeDelta, Utc};

use super::environment::Environment;
use super::error::ErrorClass;
use super::launches::Launch;
use super::lifecycle;
use super::pool::{DatabaseState, Pool};
use super::target::Target;
use super::world::World;

/// The figures of one pass. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// The time of the observation by AWS's clock.
    pub at: Option<DateTime<Utc>>,
    /// Whether everything was seen and a plan was made.
    pub is_complete: bool,
    /// The number of listings that AWS throttled.
    pub throttled: usize,
    /// The state of the fleet; `None` if the listings are incomplete, because missing resources would look like a change.
    pub fleet: Option<FleetMetrics>,
}

/// The state of a completely listed fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetMetrics {
    pub free: usize,
    pub creating: usize,
    pub busy: usize,
    pub claimed: usize,
    pub failed: usize,
    pub target: u32,
    pub environments: usize,
    /// How long ago the environment that has been due the longest was to end; 0 if all is in time.
    pub overdue: u64,
    /// How long the latest restore took.
    pub restore: Option<u64>,
    /// The launches of the last 24 hours that found a free database, and those that did not; known with `spare=auto` only.
    pub hits: Option<(usize, usize)>,
    /// Those of the launches that found a free database whose volume was loaded as a whole.
    pub warm_hits: Option<usize>,
    /// The age of the last recorded pass.
    pub last_pass: Option<u64>,
}

impl Metrics {
    /// Measures a world. `planned_at` is the time of the plan, if one was made.
    #[must_use]
    pub fn new(world: &World, planned_at: Option<DateTime<Utc>>) -> Self {
        let at = world.now();
        let is_listed = world.is_complete();
        Self {
            at,
            is_complete: is_listed && planned_at.is_some(),
            throttled: world.problems().filter(|problem| problem.is(ErrorClass::Throttled)).count(),
            fleet: at.filter(|_| is_listed).map(|now| FleetMetrics::new(world, now)),
        }
    }
}

impl FleetMetrics {
    fn new(world: &World, now: DateTime<Utc>) -> Self {
        let policy = &world.fleet.policy;
        let pool = Pool::new(world);
        let seconds_since = |at: DateTime<Utc>| u64::try_from((now - at).num_seconds()).unwrap_or(0);
        let environments = Environment::all(world, now);
        let due = environments.iter().map(|environment| lifecycle::ends_at(environment.record, policy)).min();
        let restored =
            world.databases.iter().filter_map(|found| Some((found.created_at?, found.restore_time()?)));
        let launches = world.launches.as_ref().ok().and_then(Option::as_ref);
        let recent =
            launches.map(|launches| launches.iter().filter(|launch| launch.at > now - TimeDelta::hours(24)));
        let found =
            recent.map(|recent| recent.partition::<Vec<&Launch>, _>(|launch| launch.restore.is_some()));
        let is_warm = |launch: &&&Launch| launch.loaded == Some(100);
        Self {
            free: pool.count(DatabaseState::Free),
            creating: pool.count(DatabaseState::Creating),
            busy: pool.count(DatabaseState::Busy),
            claimed: pool.count(DatabaseState::Claimed),
            failed: pool.count(DatabaseState::Failed),
            target: Target::new(world, policy, now).wanted,
            environments: environments.len(),
            overdue: due.map_or(0, seconds_since),
            restore: restored.max().map(|(_, took)| took.as_secs()),
            hits: found.as_ref().map(|(hits, misses)| (hits.len(), misses.len())),
            warm_hits: found.as_ref().map(|(hits, _)| hits.iter().filter(is_warm).count()),
            last_pass: world.fleet.last_pass.as_ref().map(|last| seconds_since(last.at)),
        }
    }
}
