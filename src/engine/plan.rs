//! The plan: a pure function of one world, without I/O, clock or randomness. Every step and every refusal has a reason.

use chrono::{DateTime, Utc};

use crate::domain::{Environment, Policy, Pool, World};
use crate::engine::Refusal;
use crate::engine::step::Step;

mod environments;
mod notices;
mod orphans;
mod planner;
mod pool;
mod replacements;

pub(in crate::engine) use planner::failures;
pub use planner::{ORPHAN_AFTER, Planned};
pub(in crate::engine) use pool::used_numbers;
pub(in crate::engine) use replacements::SWITCH_RACE;

use planner::Planner;

/// The steps that an engine wants to take, and its refusals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps in the order of their keys.
    pub steps: Vec<Planned>,
    /// The changes that the plan does not make although something calls for them.
    pub refused: Vec<Refusal>,
}

/// Plans for one world. `now` is AWS's clock from the world's responses.
#[must_use]
pub fn plan(world: &World, policy: &Policy, now: DateTime<Utc>) -> Plan {
    let mut planner = Planner::new(world, policy, now);
    let claims = Environment::all_claims(world, now);
    environments::plan(&mut planner, &claims);
    replacements::plan(&mut planner, &claims);
    orphans::plan(&mut planner);
    let pool = Pool::new(world);
    pool::plan(&mut planner, &pool);
    notices::plan_environments(&mut planner, &claims);
    notices::plan_pool(&mut planner, &pool);
    if world.is_complete() && world.fleet.last_pass.as_ref().is_none_or(|last| last.is_old(now)) {
        planner.push(Step::RecordPass, "the last recorded pass is old");
    }
    let (steps, refused) = planner.finish();
    Plan { steps, refused }
}

/// Plans the notices of environments, which a paused fleet sends too.
#[must_use]
pub fn plan_notices(world: &World, policy: &Policy, now: DateTime<Utc>) -> Plan {
    let mut planner = Planner::new(world, policy, now);
    notices::plan_environments(&mut planner, &Environment::all_claims(world, now));
    let (steps, refused) = planner.finish();
    Plan { steps, refused }
}
