//! What an environment costs, by the prices in the policy.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::environment::Environment;
use super::policy::Policy;
use super::world::World;

/// Cost in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cost {
    /// What it costs an hour while it lives.
    pub per_hour: f64,
    /// What it has cost so far.
    pub accrued: f64,
}

/// The cost of an environment, `None` where the policy names no prices.
#[must_use]
pub fn of_environment(environment: &Environment<'_>, policy: &Policy, now: DateTime<Utc>) -> Option<Cost> {
    if policy.price_instance.is_none() && policy.price_database.is_none() {
        return None;
    }
    // What is ending costs no more by the hour, and what it has cost does not go away.
    let instance = environment.instance.map(|i| (i.launched_at, !i.state.is_ending()));
    let database = environment.database.map(|_| (environment.record.created_at, true));
    let parts = [(policy.price_instance, instance), (policy.price_database, database)];
    Some(parts.into_iter().fold(Cost::default(), |cost, part| match part {
        (Some(price), Some((since, runs))) => Cost {
            per_hour: cost.per_hour + if runs { price } else { 0.0 },
            accrued: cost.accrued + price * hours_between(since, now),
        },
        _ => cost,
    }))
}

/// What the whole fleet costs an hour: every live instance and every database, spare ones included.
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

#[allow(clippy::cast_precision_loss)]
fn hours_between(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).num_seconds().max(0) as f64 / 3_600.0
}
