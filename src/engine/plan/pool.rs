//! The pool's part of the plan: fresh databases up to the target, within the ceiling and the failure budget.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::planner::Planner;
use crate::domain::lifecycle::Restore;
use crate::domain::policy::RestoreFailures;
use crate::domain::{Database, DatabaseState, Number, Pool, Record, Target, World};
use crate::engine::step::Step;

/// The age from which an unfinished restore counts as failed. RDS restores take 10 to 30 minutes.
pub(crate) const RESTORE_TIMEOUT: Duration = Duration::from_hours(2);

pub(super) fn plan(planner: &mut Planner<'_>, pool: &Pool<'_>) {
    raise_hint(planner);
    // In an incomplete world, a claimed database can look free and a free one can be missing.
    if !planner.world.is_complete() {
        let missing = planner.world.incomplete().join(", ");
        planner.refuse("top-up", "pool", format!("the listing of {missing} is incomplete"));
        return;
    }
    let now = planner.now;
    let (stuck, creating): (Vec<&Database>, Vec<&Database>) =
        pool.in_state(DatabaseState::Creating).partition(|database| is_stuck(database, now));
    let free: Vec<_> = pool.in_state(DatabaseState::Free).collect();
    let target = Target::new(planner.world, planner.policy, now);

    let failures = failures(planner, pool, &stuck, &free);
    surplus(planner, pool, &free, creating.len(), &target);
    let missing = (target.wanted as usize).saturating_sub(free.len() + creating.len());
    top_up(planner, missing, &failures, &target);
}

/// The hint is never lowered.
fn raise_hint(planner: &mut Planner<'_>) {
    let last = planner.policy.last_number;
    let databases = planner.world.databases.iter().map(|database| database.number);
    let records = planner.world.records.iter().map(Record::number);
    if let Some(highest) = databases.chain(records).max().filter(|highest| *highest > last) {
        planner
            .push(Step::RaiseNumberHint { number: highest }, format!("numbers up to {highest} are in use"));
    }
}

/// Counts each failed restore and retires it in a later pass; a successful restore clears the count. Returns the count including the failures
/// found now, because the next restore must wait for them too.
fn failures(
    planner: &mut Planner<'_>,
    pool: &Pool<'_>,
    stuck: &[&Database],
    free: &[&Database],
) -> RestoreFailures {
    let counted = &planner.policy.restore_failures;
    let mut known = counted.clone();
    let failed = pool.in_state(DatabaseState::Failed).map(|database| (database, database.status.clone()));
    let stuck = stuck.iter().map(|database| (*database, "still creating after two hours".to_owned()));
    for (database, why) in failed.chain(stuck) {
        let number = database.number;
        if counted.numbers.contains(&number) {
            let step = Step::Retire { environment: planner.environment(number) };
            planner.push(step, format!("its restore failed: it is {why}"));
        } else {
            planner.push(Step::CountFailedRestore { number }, format!("{} is {why}", database.id));
            known = known.with(number, planner.now);
        }
    }
    if let Some(last) = counted.last
        && free.iter().any(|database| database.since().is_some_and(|since| since > last))
    {
        planner.push(Step::ResetFailedRestores, "a later restore succeeded");
    }
    known
}

/// Retires stale databases once enough fresh ones are free, and fresh databases beyond the target. If the demand is unknown, retires none.
fn surplus(planner: &mut Planner<'_>, pool: &Pool<'_>, free: &[&Database], creating: usize, target: &Target) {
    let Some(keep) = target.keep else {
        for database in pool.in_state(DatabaseState::Stale) {
            planner.refuse("retire-database", database.id.to_string(), target.reason.clone());
        }
        return;
    };
    let (spare, keep) = (target.wanted as usize, keep as usize);
    for database in pool.in_state(DatabaseState::Stale) {
        let environment = planner.environment(database.number);
        if free.len() >= spare {
            planner.push(Step::Retire { environment }, "its snapshot is older than the policy allows");
        } else {
            let reason = format!(
                "only {} of {spare} fresh databases are free; it stays until its replacement is free",
                free.len()
            );
            planner.refuse("retire-database", database.id.to_string(), reason);
        }
    }
    // Databases that are still being created come first, because a launch may claim them.
    if creating == 0 && free.len() > keep {
        let mut oldest: Vec<_> = free.to_vec();
        oldest.sort_by_key(|database| (database.snapshot_at, database.number));
        for database in oldest.into_iter().take(free.len() - keep) {
            let environment = planner.environment(database.number);
            planner.push(Step::Retire { environment }, target.reason.clone());
        }
    }
}

fn top_up(planner: &mut Planner<'_>, missing: usize, failures: &RestoreFailures, target: &Target) {
    if missing == 0 {
        return;
    }
    if failures.is_exhausted() {
        let reason = format!(
            "{} restores failed in a row; find the cause, then resume with: hatchery fleet set restore-failures=",
            failures.numbers.len()
        );
        return planner.refuse("create-database", "pool", reason);
    }
    if let Some(at) = failures.retry_at().filter(|at| *at > planner.now) {
        let reason = format!("a restore failed; the next one starts at {}", at.format("%T"));
        return planner.refuse("create-database", "pool", reason);
    }
    let used = used_numbers(planner.world).len();
    let ceiling = planner.policy.max_databases as usize;
    let room = ceiling.saturating_sub(used);
    if room < missing {
        let reason = format!("{used} databases are in use or reserved, and max-databases is {ceiling}");
        planner.refuse("create-database", "pool", reason);
    }
    let mut number = planner.world.next_number();
    for _ in 0..missing.min(room) {
        match Restore::of_number(planner.world, number) {
            Ok(restore) => {
                let database = planner.world.fleet.name.database_id(number);
                let step = Step::CreateDatabase { number, database, restore };
                planner.push(step, format!("{}; {missing} missing", target.reason));
            }
            Err(reason) => return planner.refuse("create-database", "pool", reason),
        }
        number = number.next();
    }
}

/// Returns the numbers of all databases and of the records that will get one.
fn used_numbers(world: &World) -> BTreeSet<Number> {
    let databases = world.databases.iter().map(|database| database.number);
    let records = world.records.iter().filter(|record| !record.retirement).map(Record::number);
    databases.chain(records).collect()
}

/// Whether a restore takes longer than [`RESTORE_TIMEOUT`].
fn is_stuck(database: &Database, now: DateTime<Utc>) -> bool {
    database.since().is_some_and(|since| since + RESTORE_TIMEOUT <= now)
}
