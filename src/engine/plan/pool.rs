//! The pool's part of the plan: as many fresh databases as the target says, never more than the ceiling, failures within a budget.

use super::{Planner, environment_of, is_stuck};
use crate::domain::policy::RestoreFailures;
use crate::domain::{Database, DatabaseState, Number, Pool, Target, World};
use crate::engine::step::{Restore, Step};

pub(super) fn plan(planner: &mut Planner<'_>, pool: &Pool<'_>) {
    hint(planner);
    // On an incomplete world a claimed database can look free and a free one be missing: neither is acted on.
    if !planner.world.is_complete() {
        let missing = planner.world.incomplete().join(", ");
        planner.refuse("top-up", "pool", format!("not everything could be listed ({missing})"));
        return;
    }
    let now = planner.now;
    let (stuck, creating): (Vec<&Database>, Vec<&Database>) = pool
        .in_state(DatabaseState::Creating)
        .partition(|database| is_stuck(database, DatabaseState::Creating, now));
    let free: Vec<_> = pool.in_state(DatabaseState::Free).collect();
    let target = Target::new(planner.world, planner.policy, now);

    let failures = failures(planner, pool, &stuck, &free);
    surplus(planner, pool, &free, creating.len(), &target);
    let missing = (target.wanted as usize).saturating_sub(free.len() + creating.len());
    top_up(planner, missing, &failures, &target);
}

/// The hint only moves up.
fn hint(planner: &mut Planner<'_>) {
    let last = planner.policy.last_number;
    let databases = planner.world.databases.iter().map(|database| database.number);
    let records = planner.world.records.iter().map(crate::domain::Record::number);
    if let Some(highest) = databases.chain(records).max().filter(|highest| *highest > last) {
        planner.push(
            Step::RaiseNumberHint { number: highest },
            format!("numbers up to {highest} are given out"),
        );
    }
}

/// Each failed restore is counted first and then leaves the pool; one that came through clears the count. Gives the count with
/// those that are noticed now: the next restore is to wait for them too.
fn failures(
    planner: &mut Planner<'_>,
    pool: &Pool<'_>,
    stuck: &[&Database],
    free: &[&Database],
) -> RestoreFailures {
    let counted = &planner.policy.restore_failures;
    let mut known = counted.clone();
    let failed = pool.in_state(DatabaseState::Failed).map(|database| (database, database.status.clone()));
    let stuck = stuck.iter().map(|database| (*database, "still not there after two hours".to_owned()));
    for (database, why) in failed.chain(stuck) {
        let number = database.number;
        if counted.numbers.contains(&number) {
            let step = Step::Retire { environment: environment_of(planner.world, number) };
            planner.push(step, format!("its restore failed: it is {why}"));
        } else {
            planner.push(Step::CountFailedRestore { number }, format!("{} is {why}", database.id));
            known = known.and(number, planner.now);
        }
    }
    if let Some(last) = counted.last
        && free.iter().any(|database| database.since().is_some_and(|since| since > last))
    {
        planner.push(Step::ResetFailedRestores, "a restore after them came through");
    }
    known
}

/// Stale databases leave once enough fresh ones are free, and so do fresh ones beyond the target. Where it is not known how many
/// are needed, none leaves.
fn surplus(planner: &mut Planner<'_>, pool: &Pool<'_>, free: &[&Database], creating: usize, target: &Target) {
    let Some(keep) = target.keep else {
        for database in pool.in_state(DatabaseState::Stale) {
            planner.refuse("retire-database", database.id.to_string(), target.reason.clone());
        }
        return;
    };
    let (spare, keep) = (target.wanted as usize, keep as usize);
    for database in pool.in_state(DatabaseState::Stale) {
        let environment = environment_of(planner.world, database.number);
        if free.len() >= spare {
            planner.push(Step::Retire { environment }, "its snapshot is older than the policy allows");
        } else {
            let reason = format!("{} of {spare} fresh databases are free; it stays until then", free.len());
            planner.refuse("retire-database", database.id.to_string(), reason);
        }
    }
    // Those that are on their way are waited for first: a launch may take them.
    if creating == 0 && free.len() > keep {
        let mut oldest: Vec<_> = free.to_vec();
        oldest.sort_by_key(|database| (database.snapshot_at, database.number));
        for database in oldest.into_iter().take(free.len() - keep) {
            let environment = environment_of(planner.world, database.number);
            planner.push(Step::Retire { environment }, target.reason.clone());
        }
    }
}

fn top_up(planner: &mut Planner<'_>, missing: usize, failures: &RestoreFailures, target: &Target) {
    if missing == 0 {
        return;
    }
    if failures.is_spent() {
        let reason = format!(
            "{} restores failed in a row; find out why, then clear it with: hatchery fleet set restore-failures=",
            failures.numbers.len()
        );
        return planner.refuse("create-database", "pool", reason);
    }
    if let Some(at) = failures.retry_at().filter(|at| *at > planner.now) {
        let reason = format!("a restore failed; the next one is tried at {}", at.format("%T"));
        return planner.refuse("create-database", "pool", reason);
    }
    let used = planner.used_numbers().len();
    let ceiling = planner.policy.max_databases as usize;
    let room = ceiling.saturating_sub(used);
    if room < missing {
        let reason = format!("{used} databases are in use or promised and the ceiling is {ceiling}");
        planner.refuse("create-database", "pool", reason);
    }
    let mut number = planner.world.next_number();
    for _ in 0..missing.min(room) {
        match restore(planner.world, number) {
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

/// Where and from what the database of a number is restored: numbers go round the zones of the fleet's subnets.
///
/// # Errors
/// Why nothing can be restored now.
pub(in crate::engine) fn restore(world: &World, number: Number) -> Result<Restore, String> {
    let snapshot = match &world.snapshot {
        Ok(Some(snapshot)) => snapshot.clone(),
        Ok(None) => {
            return Err(format!("{:?} has no snapshot to restore", world.fleet.policy.source_database));
        }
        Err(error) => return Err(format!("the latest snapshot is not known: {error}")),
    };
    let subnets = world.subnets.as_ref().map_err(|error| format!("the subnets are not known: {error}"))?;
    let mut zones: Vec<_> = subnets.iter().map(|subnet| &subnet.zone).collect();
    zones.sort_unstable();
    zones.dedup();
    let index = number.0 as usize % zones.len().max(1);
    let zone = zones.get(index).ok_or("the policy names no subnet that exists")?;
    Ok(Restore { snapshot, zone: (*zone).clone() })
}
