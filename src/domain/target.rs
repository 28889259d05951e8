//! How many free databases the pool is to have now, and why.

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

/// What a restore takes as long as the fleet has not seen at least [`ENOUGH_RESTORES`]: the published figures.
const USUAL_RESTORE: RestoreTimes =
    RestoreTimes { mean: TimeDelta::minutes(20), slow: TimeDelta::minutes(30) };

/// How many restores must have been measured.
const ENOUGH_RESTORES: usize = 5;

/// The most restores that are looked at, the latest first.
const MOST_RESTORES: usize = 200;

/// How long it takes until a database that was taken is asked for again: the time between two looks of an engine that nobody
/// watches, and the wait before a background step.
const REPLENISH: TimeDelta = TimeDelta::minutes(5);

/// A database that will be wanted again within this time is kept: deleting and restoring it costs more than holding it.
const HOLD: TimeDelta = TimeDelta::hours(1);

/// A database is given up only when it is worth less than this share of what would make the engine create it.
const KEEP_PRICE: f64 = 0.5;

/// Of the misses that the policy allows, this share is planned for. The rest is for what the forecast does not know.
const PLANNED_MISSES: f64 = 0.5;

/// How long the record of every launch is taken to be there. After that some have ended.
const RECORDS_LAST: TimeDelta = TimeDelta::hours(1);

/// The steps in which the time ahead is looked at.
const STEP: TimeDelta = TimeDelta::minutes(5);

/// How many free databases the pool is to have, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// As many as are free or on their way.
    pub wanted: u32,
    /// Free ones beyond this number leave. `None`: none leaves, whatever there is.
    pub keep: Option<u32>,
    /// Whether the numbers come from the demand.
    pub automatic: bool,
    /// Of a hundred launches, how many are then expected to find a free database, within the fleet's hours. `None` where nothing is
    /// expected: of a fixed number, or without a history.
    pub hit_rate: Option<f64>,
    /// Why this many, in words.
    pub reason: String,
}

impl fmt::Display for Target {
    /// `2`, or `2 (auto)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.wanted, if self.automatic { " (auto)" } else { "" })
    }
}

/// How long restores take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RestoreTimes {
    mean: TimeDelta,
    /// 95 of 100 are faster.
    slow: TimeDelta,
}

impl RestoreTimes {
    fn measure(launches: &Launches, world: &World) -> Self {
        let listed = world.databases.iter().filter_map(super::Database::restore_time);
        let of_launches = launches.iter().rev().filter_map(|launch| launch.restore);
        let mut took: Vec<Duration> = listed.chain(of_launches).take(MOST_RESTORES).collect();
        if took.len() < ENOUGH_RESTORES {
            return USUAL_RESTORE;
        }
        took.sort_unstable();
        let count = u32::try_from(took.len()).unwrap_or(u32::MAX);
        let mean = took.iter().sum::<Duration>() / count;
        let slow = took[took.len() * 95 / 100];
        let delta = |time| TimeDelta::from_std(time).unwrap_or(USUAL_RESTORE.slow);
        Self { mean: delta(mean), slow: delta(slow) }
    }
}

impl Target {
    /// The target at an instant, which is AWS's *now*.
    #[must_use]
    pub fn new(world: &World, policy: &Policy, now: DateTime<Utc>) -> Self {
        match policy.spare {
            Spare::Fixed(spare) => Self {
                wanted: spare,
                keep: Some(spare),
                automatic: false,
                hit_rate: None,
                reason: format!("the policy asks for {spare} spare"),
            },
            Spare::Auto => Self::of_demand(world, policy, now),
        }
    }

    fn of_demand(world: &World, policy: &Policy, now: DateTime<Utc>) -> Self {
        let launches = match &world.launches {
            Ok(Some(launches)) => launches,
            Ok(None) => return Self::unknown(policy, now, "has not been read"),
            Err(error) => return Self::unknown(policy, now, &format!("is not known ({error})")),
        };
        let restores = RestoreTimes::measure(launches, world);
        let ahead = restores.slow + REPLENISH;
        if !opens_within(policy, now, ahead) {
            let keep = if opens_within(policy, now, ahead + HOLD) { None } else { Some(0) };
            return Self::automatic(0, keep, "none is held outside the fleet's hours".to_owned());
        }
        let open = |day, minute| policy.hours.as_ref().is_none_or(|hours| hours.include(day, minute));
        let zone = policy.hours.as_ref().map_or(Tz::UTC, Hours::zone);
        let Some(demand) = Demand::learn(launches, zone, open, now) else {
            let wanted = without_history(policy);
            let reason = format!("the launch history is shorter than a day; {wanted} spare until then");
            return Self::automatic(wanted, None, reason);
        };
        let most = policy.spare_max.min(policy.max_databases);
        let least = policy.spare_min.min(most);
        let restore = restores.mean + REPLENISH;
        let hit_rate = policy.pool_hit_rate;
        let planned = 1.0 - (1.0 - hit_rate / 100.0) * PLANNED_MISSES;
        let (price, rate) = demand.price(open, restore, planned, least, most);
        let (more, until) = latest(launches, world, now);
        let today = demand.today(launches, more, until, now);
        let needed = |length: TimeDelta, price: f64| {
            instants(now, length)
                .filter(|at| is_open(policy, *at))
                .map(|at| demand.needed(at, &today, restore, price, most).max(least))
                .max()
                .unwrap_or(0)
        };
        let wanted = needed(ahead, price);
        let keep = needed(ahead + HOLD, price * KEEP_PRICE).max(wanted);
        let expected = demand.expected(now, ahead, &today);
        let reason = format!(
            "{wanted} spare for {expected:.1} launches expected in the next {} min, so that {hit_rate} % find a free database",
            ahead.num_minutes(),
        );
        Self { hit_rate: Some(rate * 100.0), ..Self::automatic(wanted, Some(keep), reason) }
    }

    /// What is safe without any history: at least one in the fleet's hours, and nothing is given up.
    fn unknown(policy: &Policy, now: DateTime<Utc>, why: &str) -> Self {
        let open = opens_within(policy, now, USUAL_RESTORE.slow + REPLENISH);
        let wanted = if open { without_history(policy) } else { 0 };
        let reason = format!("the launch history {why}; {wanted} spare, and none is given up");
        Self::automatic(wanted, None, reason)
    }

    fn automatic(wanted: u32, keep: Option<u32>, reason: String) -> Self {
        Self { wanted, keep, automatic: true, hit_rate: None, reason }
    }
}

/// How many launches the records show since the end of the history, and until when the two are all there is to know. The history
/// is read now and then, and each engine has its own: with the records, which all see, they agree on the day.
fn latest(launches: &Launches, world: &World, now: DateTime<Utc>) -> (usize, DateTime<Utc>) {
    let until = launches.until();
    if !world.records.complete || now - until > RECORDS_LAST {
        return (0, until);
    }
    let is_launch = |record: &&Record| !record.retirement && record.created_at >= until;
    (world.records.iter().filter(is_launch).count(), now)
}

fn without_history(policy: &Policy) -> u32 {
    policy.spare_min.max(1).min(policy.spare_max).min(policy.max_databases)
}

fn is_open(policy: &Policy, at: DateTime<Utc>) -> bool {
    policy.hours.as_ref().is_none_or(|hours| hours.are_open(at))
}

/// Whether the fleet works at some time from `now` on for this long.
fn opens_within(policy: &Policy, now: DateTime<Utc>, length: TimeDelta) -> bool {
    instants(now, length).any(|at| is_open(policy, at))
}

fn instants(from: DateTime<Utc>, length: TimeDelta) -> impl Iterator<Item = DateTime<Utc>> {
    std::iter::successors(Some(from), |at| Some(*at + STEP)).take_while(move |at| *at <= from + length)
}

#[cfg(test)]
mod tests;
