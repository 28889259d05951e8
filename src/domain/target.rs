//! The current target number of free databases, with its reason.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::demand::Demand;
use super::hours::Hours;
use super::launches::Launches;
use super::policy::Policy;
use super::record::Record;
use super::spare::Spare;
use super::world::World;

/// The duration of restores while fewer than [`MIN_RESTORES`] of the fleet are known: figures published for the original system.
const DEFAULT_RESTORE: RestoreTimes =
    RestoreTimes { mean: TimeDelta::minutes(20), slow: TimeDelta::minutes(30) };

const MIN_RESTORES: usize = 5;

/// The number of latest restores that are evaluated.
const MAX_RESTORES: usize = 200;

/// The time from a launch to the request of the next restore: the refresh interval of a headless engine and the jitter of a background step.
const REPLENISH: TimeDelta = TimeDelta::minutes(5);

/// A database that will be needed within this time is kept, because a new restore costs more.
const KEEP_FOR: TimeDelta = TimeDelta::hours(1);

/// A database is retired only if its marginal gain is below this fraction of the gain at which the engine would create it. The hysteresis
/// prevents that databases are created and retired in turns.
const KEEP_PRICE: f64 = 0.5;

/// The fraction of the allowed misses that is planned for. The rest is a margin for the error of the forecast.
const PLANNED_MISSES: f64 = 0.5;

/// For how long the records of all launches are assumed to exist. Later, some environments may have been terminated.
const RECORD_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The resolution of the forecast.
const STEP: TimeDelta = TimeDelta::minutes(5);

/// The target number of free databases.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The target for databases that are free or being restored.
    pub wanted: u32,
    /// The number of free databases above which the others are retired; `None` retires none.
    pub keep: Option<u32>,
    /// Whether the target comes from the forecast.
    pub automatic: bool,
    /// The expected percentage of launches during the fleet's hours that find a free database; `None` without a forecast.
    pub hit_rate: Option<f64>,
    /// One sentence for the user.
    pub reason: String,
}

impl fmt::Display for Target {
    /// Formats `2` or `2 (auto)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.wanted, if self.automatic { " (auto)" } else { "" })
    }
}

/// The duration of restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RestoreTimes {
    mean: TimeDelta,
    /// The 95th percentile.
    slow: TimeDelta,
}

impl RestoreTimes {
    fn measure(launches: &Launches, world: &World) -> Self {
        let listed = world.databases.iter().filter_map(super::Database::restore_time);
        let of_launches = launches.iter().rev().filter_map(|launch| launch.restore);
        let mut took: Vec<Duration> = listed.chain(of_launches).take(MAX_RESTORES).collect();
        if took.len() < MIN_RESTORES {
            return DEFAULT_RESTORE;
        }
        took.sort_unstable();
        let count = u32::try_from(took.len()).unwrap_or(u32::MAX);
        let mean = took.iter().sum::<Duration>() / count;
        let slow = took[took.len() * 95 / 100];
        let delta = |time| TimeDelta::from_std(time).unwrap_or(DEFAULT_RESTORE.slow);
        Self { mean: delta(mean), slow: delta(slow) }
    }
}

impl Target {
    /// Returns the target at `now`, AWS's time.
    #[must_use]
    pub fn new(world: &World, policy: &Policy, now: DateTime<Utc>) -> Self {
        match policy.spare {
            Spare::Fixed(spare) => Self {
                wanted: spare,
                keep: Some(spare),
                automatic: false,
                hit_rate: None,
                reason: format!("the policy sets spare={spare}"),
            },
            Spare::Auto => Self::from_forecast(world, policy, now),
        }
    }

    fn from_forecast(world: &World, policy: &Policy, now: DateTime<Utc>) -> Self {
        let launches = match &world.launches {
            Ok(Some(launches)) => launches,
            Ok(None) => return Self::without_history(policy, now, "has not been read"),
            Err(error) => return Self::without_history(policy, now, &format!("is unknown ({error})")),
        };
        let restores = RestoreTimes::measure(launches, world);
        let ahead = restores.slow + REPLENISH;
        if !opens_within(policy, now, ahead) {
            let keep = if opens_within(policy, now, ahead + KEEP_FOR) { None } else { Some(0) };
            return Self::automatic(0, keep, "no database is kept outside the fleet's hours".to_owned());
        }
        let open = |day, minute| policy.hours.as_ref().is_none_or(|hours| hours.include(day, minute));
        let zone = policy.hours.as_ref().map_or(Tz::UTC, Hours::zone);
        let Some(demand) = Demand::estimate(launches, zone, open, now) else {
            let wanted = default_target(policy);
            let reason = format!("the launch history is shorter than a day; {wanted} spare until then");
            return Self::automatic(wanted, None, reason);
        };
        let max = policy.spare_max.min(policy.max_databases);
        let min = policy.spare_min.min(max);
        let restore = restores.mean + REPLENISH;
        let hit_rate = policy.pool_hit_rate;
        let planned = 1.0 - (1.0 - hit_rate / 100.0) * PLANNED_MISSES;
        let (price, rate) = demand.min_gain(open, restore, planned, min, max);
        let (more, until) = launches_since_history(launches, world, now);
        let today = demand.today(launches, more, until, now);
        let needed = |length: TimeDelta, price: f64| {
            instants(now, length)
                .filter(|at| is_open(policy, *at))
                .map(|at| demand.needed(at, &today, restore, price, max).max(min))
                .max()
                .unwrap_or(0)
        };
        let wanted = needed(ahead, price);
        let keep = needed(ahead + KEEP_FOR, price * KEEP_PRICE).max(wanted);
        let expected = demand.expected(now, ahead, &today);
        let reason = format!(
            "{wanted} spare for {expected:.1} expected launches in the next {} min, so that {hit_rate} % find a free database",
            ahead.num_minutes(),
        );
        Self { hit_rate: Some(rate * 100.0), ..Self::automatic(wanted, Some(keep), reason) }
    }

    /// Returns a safe target: at least one database during the fleet's hours, and none is retired.
    fn without_history(policy: &Policy, now: DateTime<Utc>, why: &str) -> Self {
        let open = opens_within(policy, now, DEFAULT_RESTORE.slow + REPLENISH);
        let wanted = if open { default_target(policy) } else { 0 };
        let reason = format!("the launch history {why}; {wanted} spare, and none is retired");
        Self::automatic(wanted, None, reason)
    }

    fn automatic(wanted: u32, keep: Option<u32>, reason: String) -> Self {
        Self { wanted, keep, automatic: true, hit_rate: None, reason }
    }
}

/// Returns the number of launches after the end of the history, from the records, and the end of the period that history and records cover.
/// Engines read the history at different times, so without the records they would disagree on today's launches.
fn launches_since_history(launches: &Launches, world: &World, now: DateTime<Utc>) -> (usize, DateTime<Utc>) {
    let until = launches.until();
    if !world.records.complete || now - until > RECORD_LIFETIME {
        return (0, until);
    }
    let is_launch = |record: &&Record| !record.is_retirement() && record.created_at >= until;
    (world.records.iter().filter(is_launch).count(), now)
}

fn default_target(policy: &Policy) -> u32 {
    policy.spare_min.max(1).min(policy.spare_max).min(policy.max_databases)
}

fn is_open(policy: &Policy, at: DateTime<Utc>) -> bool {
    policy.hours.as_ref().is_none_or(|hours| hours.contain(at))
}

/// Whether the fleet's hours include any time from `now` on for this long.
fn opens_within(policy: &Policy, now: DateTime<Utc>, length: TimeDelta) -> bool {
    instants(now, length).any(|at| is_open(policy, at))
}

fn instants(from: DateTime<Utc>, length: TimeDelta) -> impl Iterator<Item = DateTime<Utc>> {
    std::iter::successors(Some(from), |at| Some(*at + STEP)).take_while(move |at| *at <= from + length)
}

#[cfg(test)]
mod tests;
