//! The cost of environments and fleets at the prices of the policy.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::environment::Environment;
use super::policy::Policy;
use super::pool::{DatabaseState, Pool};
use super::world::World;

/// The hours of an average month.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// A cost in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cost {
    /// The current cost per hour.
    pub per_hour: f64,
    /// The cost since the launch.
    pub accrued: f64,
}

impl Cost {
    /// Returns the cost from the launch until a time, at the current cost per hour.
    #[must_use]
    pub fn until(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
        self.accrued + self.per_hour * hours_between(now, at)
    }
}

/// Returns the cost of an environment, or `None` if the policy has no prices.
#[must_use]
pub fn of_environment(environment: &Environment<'_>, policy: &Policy, now: DateTime<Utc>) -> Option<Cost> {
    if policy.price_instance.is_none() && policy.price_database.is_none() {
        return None;
    }
    // An ending instance no longer costs anything per hour, but its accrued cost remains.
    let instance = environment.instance.map(|i| (i.launched_at, !i.state.is_ending()));
    let database = environment.database.map(|_| (environment.record.created_at, true));
    // While a reset is in progress, the environment has two.
    let next = environment.reset.as_ref().filter(|reset| reset.database.is_some());
    let next = next.map(|reset| (reset.replacement.created_at, true));
    let parts =
        [(policy.price_instance, instance), (policy.price_database, database), (policy.price_database, next)];
    Some(parts.into_iter().fold(Cost::default(), |cost, part| match part {
        (Some(price), Some((since, runs))) => Cost {
            per_hour: cost.per_hour + if runs { price } else { 0.0 },
            accrued: cost.accrued + price * hours_between(since, now),
        },
        _ => cost,
    }))
}

/// Returns the cost per hour of all active instances and all databases, or `None` if the policy has no prices.
#[must_use]
pub fn of_fleet(world: &World) -> Option<f64> {
    let policy = &world.fleet.policy;
    if policy.price_instance.is_none() && policy.price_database.is_none() {
        return None;
    }
    #[allow(clippy::cast_precision_loss)]
    let count = |n: usize| n as f64;
    let instances = world.instances.iter().filter(|instance| !instance.state.is_ending()).count();
    Some(
        policy.price_instance.unwrap_or(0.0) * count(instances)
            + policy.price_database.unwrap_or(0.0) * count(world.databases.items.len()),
    )
}

/// Returns the cost per hour of the databases that no environment uses, with their number; `None` if the policy has no price of them.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn of_pool(world: &World) -> Option<(usize, f64)> {
    let price = world.fleet.policy.price_database?;
    let is_unused = |state| !matches!(state, DatabaseState::Claimed | DatabaseState::Deleting);
    let count = Pool::new(world).databases.iter().filter(|(state, _)| is_unused(*state)).count();
    Some((count, price * count as f64))
}

#[allow(clippy::cast_precision_loss)]
fn hours_between(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).num_seconds().max(0) as f64 / 3_600.0
}
