//! How many databases of the pool were free, over time.
//!
//! The log has the request of each restore, and the claim or the retirement that ends a database's time in the pool; both name how long its restore
//! took. The listings have the same of the databases that exist.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::log::AuditLog;
use crate::domain::audit::{AuditEvent, Outcome};
use crate::domain::database::Database;
use crate::domain::ids::{EnvironmentId, FleetName, Number};
use crate::domain::launches::Launch;
use crate::domain::pool::{DatabaseState, Pool};
use crate::domain::world::World;

/// How far the listing of a new database may lag its event.
const LISTED_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Periods of one length in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// The start of the first one.
    pub since: DateTime<Utc>,
    pub step: TimeDelta,
    pub count: usize,
}

impl Buckets {
    /// Returns the periods up to the one that contains `now`. They begin at multiples of their length.
    #[must_use]
    pub fn until(now: DateTime<Utc>, step: TimeDelta, count: usize) -> Self {
        let seconds = step.num_seconds().max(1);
        let over = now.timestamp().rem_euclid(seconds);
        let before = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
        let last = DateTime::from_timestamp(now.timestamp() - over, 0).unwrap_or(now);
        Self { since: last - TimeDelta::seconds(seconds) * before, step: TimeDelta::seconds(seconds), count }
    }

    /// Returns the start of a period.
    #[must_use]
    pub fn start(&self, index: usize) -> DateTime<Utc> {
        self.since + self.step * i32::try_from(index).unwrap_or(i32::MAX)
    }
}

/// The number of databases that were usable and not claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreeHistory {
    /// The lowest number in each period; `None` where the log does not tell.
    pub lowest: Vec<Option<usize>>,
    /// The databases that are not counted, because the log does not have the time in which they were free.
    pub unsure: usize,
}

/// The time of one database in the pool.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    /// The request of its restore; `None` if that was before the known log.
    requested: Option<DateTime<Utc>>,
    /// Since when it was usable; `None` if it never was, or if that is unknown.
    ready: Option<DateTime<Utc>>,
    /// When it left the pool.
    left: Option<DateTime<Utc>>,
    /// Whether it was usable at some time that is unknown.
    unsure: bool,
    /// Whether a listing has it.
    listed: bool,
}

/// How an event ends a database's time in the pool.
pub(super) struct Leaving {
    pub(super) number: Number,
    /// Whether a database without a restore time was never usable.
    is_claim: bool,
}

/// Returns how many databases were free in each period. Without a complete listing nothing is known.
#[must_use]
pub fn free_history(log: &AuditLog, world: &World, buckets: &Buckets, now: DateTime<Utc>) -> FreeHistory {
    let unknown = FreeHistory { lowest: vec![None; buckets.count], unsure: 0 };
    let Some(read_since) = log.known_since().filter(|_| world.databases.complete && world.records.complete)
    else {
        return unknown;
    };
    let lives = lives(log.since(read_since), world, read_since);
    let requested = world.databases.iter().filter_map(Database::since);
    let first = log.since(read_since).iter().map(|event| event.at).chain(requested).min();
    let Some(known_since) = first.map(|first| first.max(read_since)) else { return unknown };
    let mut changes: Vec<(DateTime<Utc>, Reverse<i64>)> = Vec::new();
    for life in &lives {
        let Some(ready) = life.ready.filter(|ready| life.left.is_none_or(|left| left > *ready)) else {
            continue;
        };
        changes.push((ready, Reverse(1)));
        changes.extend(life.left.map(|left| (left, Reverse(-1))));
    }
    // At one time, databases come before they go.
    changes.sort_unstable();
    let mut changes = changes.into_iter().peekable();
    let mut level = 0_i64;
    let lowest = (0..buckets.count).map(|index| {
        let (start, end) = (buckets.start(index), buckets.start(index + 1));
        while let Some((_, Reverse(change))) = changes.next_if(|(at, _)| *at <= start) {
            level += change;
        }
        let mut lowest = level;
        while let Some((_, Reverse(change))) = changes.next_if(|(at, _)| *at < end && *at <= now) {
            level += change;
            lowest = lowest.min(level);
        }
        (start >= known_since).then(|| usize::try_from(lowest).unwrap_or(0))
    });
    let lowest = lowest.collect();
    let unsure = lives.iter().filter(|life| life.unsure).count();
    FreeHistory { lowest, unsure }
}

/// Returns the time of each database in the pool.
fn lives(events: &[AuditEvent], world: &World, read_since: DateTime<Utc>) -> Vec<Life> {
    let fleet = &world.fleet.name;
    let mut lives: HashMap<Number, Vec<Life>> = HashMap::new();
    for event in events.iter().filter(|event| event.outcome != Outcome::DryRun) {
        let is_done = matches!(event.outcome, Outcome::Done | Outcome::Unknown);
        if event.action == "create-database" && is_done {
            let Some(number) = fleet.database_number(event.target.raw()) else { continue };
            let of_number = lives.entry(number).or_default();
            // The same restore is logged again if its response was lost.
            if of_number.last().is_none_or(|last| last.left.is_some()) {
                of_number.push(Life { requested: Some(event.at), ..Life::default() });
            }
        } else if let Some(leaving) = leaving(event, fleet) {
            let of_number = lives.entry(leaving.number).or_default();
            if of_number.is_empty() {
                of_number.push(Life::default());
            }
            // An engine's claim for a launch can be logged before the launch, which knows more.
            let knows_more = |life: &&mut Life| life.left.is_none() || life.unsure;
            if let Some(life) = of_number.last_mut().filter(knows_more) {
                leave(life, event, &leaving, read_since);
            }
        }
    }
    add_listed(&mut lives, world);
    let mut lives: Vec<Life> = lives.into_values().flatten().collect();
    let listed_at = world.databases.as_of.unwrap_or(DateTime::<Utc>::MAX_UTC);
    for life in &mut lives {
        // It is gone, and the log does not have the time of its end.
        let is_gone = !life.listed && life.left.is_none();
        if is_gone && life.requested.is_none_or(|at| at <= listed_at - LISTED_AFTER) {
            life.ready = None;
            life.unsure = true;
        }
    }
    lives
}

/// Returns the database that an event takes from the pool.
pub(super) fn leaving(event: &AuditEvent, fleet: &FleetName) -> Option<Leaving> {
    let of_target = || fleet.database_number(event.target.raw());
    let is_done = matches!(event.outcome, Outcome::Done | Outcome::Unknown);
    let action = event.action.raw();
    if action == Launch::ACTION {
        // A launch that fails has its database, unless its target is the fleet.
        let id: EnvironmentId = event.target.raw().parse().ok()?;
        return (id.fleet == *fleet).then_some(Leaving { number: id.number, is_claim: true });
    }
    if !is_done {
        return None;
    }
    match action {
        // The detail is `<new database> replaces <old database>`.
        Launch::RESET => {
            let number = fleet.database_number(event.detail.raw().split(' ').next()?)?;
            Some(Leaving { number, is_claim: true })
        }
        "retire-database" => {
            let is_failed = event.reason.raw().starts_with("its restore failed");
            Some(Leaving { number: of_target()?, is_claim: is_failed })
        }
        "hold" | "claim-database" | "delete-database" | "delete-old-database" => {
            Some(Leaving { number: of_target()?, is_claim: false })
        }
        _ => None,
    }
}

fn leave(life: &mut Life, event: &AuditEvent, leaving: &Leaving, read_since: DateTime<Utc>) {
    life.left = life.left.or(Some(event.at));
    life.unsure = false;
    match (event.restore_seconds, life.requested) {
        (Some(seconds), Some(requested)) => {
            let took = TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).unwrap_or_default();
            life.ready = requested.checked_add_signed(took);
        }
        // It was requested before the known log.
        (Some(_), None) => life.ready = Some(read_since),
        (None, _) => life.unsure = !leaving.is_claim,
    }
}

/// Adds the listed databases.
fn add_listed(lives: &mut HashMap<Number, Vec<Life>>, world: &World) {
    let as_of = world.databases.as_of.unwrap_or_default();
    let claims: HashMap<Number, DateTime<Utc>> =
        world.records.iter().map(|record| (record.number(), record.created_at)).collect();
    for (state, database) in Pool::new(world).databases {
        let of_number = lives.entry(database.number).or_default();
        if of_number.is_empty() {
            of_number.push(Life::default());
        }
        let Some(life) = of_number.last_mut() else { continue };
        life.listed = true;
        life.requested = life.requested.or(database.requested_at);
        life.ready = database.created_at;
        life.unsure = false;
        match state {
            // The event of a claim can be newer than the listing.
            DatabaseState::Free | DatabaseState::Stale => {
                life.left = life.left.filter(|left| *left >= as_of - LISTED_AFTER);
            }
            DatabaseState::Creating => life.ready = None,
            DatabaseState::Busy | DatabaseState::Failed => {
                life.left = life.left.or(database.unusable_since);
                // Without a mark, it has become unusable since the last pass.
                life.left = life.left.or(life.ready.map(|_| as_of));
            }
            DatabaseState::Claimed | DatabaseState::Held | DatabaseState::Deleting => {
                let claimed = claims.get(&database.number).copied();
                life.left = [life.left, claimed].into_iter().flatten().min();
                if life.left.is_none() {
                    life.unsure = life.ready.is_some();
                    life.ready = None;
                }
            }
        }
    }
}
