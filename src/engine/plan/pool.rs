//! The pool's part of the plan: fresh databases up to the target, within the ceiling and the failure budget.

use std::collections::BTreeSet;
use std::time::Duration;

use super::planner::{ORPHAN_AFTER, Planner};
use crate::domain::lifecycle::Restore;
use crate::domain::policy::RestoreFailures;
use crate::domain::{Database, DatabaseState, Hydration, Number, Pool, Record, StatusClass, Target, World};
use crate::engine::step::Step;

/// How long an unusable database is expected back. Maintenance and starts take minutes.
const UNUSABLE_LIMIT: Duration = Duration::from_hours(1);

pub(super) fn plan(planner: &mut Planner<'_>, pool: &Pool<'_>) {
    raise_hint(planner);
    note_loading(planner);
    // In an incomplete world, a claimed database can look free and a free one can be missing.
    if !planner.world.is_complete() {
        let missing = planner.world.incomplete().join(", ");
        planner.refuse("top-up", "pool", format!("the listing of {missing} is incomplete"));
        return;
    }
    if let Some(problem) = planner.world.fleet.problems.iter().find(|problem| problem.stops_pool()) {
        return planner.refuse("top-up", "pool", format!("the fleet's policy is invalid: {problem}"));
    }
    let now = planner.now;
    let (stuck, creating): (Vec<&Database>, Vec<&Database>) =
        pool.in_state(DatabaseState::Creating).partition(|database| database.is_overdue(now));
    let free: Vec<_> = pool.in_state(DatabaseState::Free).collect();
    let target = Target::new(planner.world, planner.policy, now);

    let failures = failures(planner, pool, &stuck);
    let returning = unusable(planner, pool);
    let missing = (target.wanted as usize).saturating_sub(free.len() + creating.len() + returning);
    let used = used_numbers(planner.world).len();
    let needs_room = missing > 0 && needs_room(planner, &failures, used);
    stale(planner, pool, free.len(), &target, needs_room);
    surplus(planner, &free, creating.len() + returning, &target);
    top_up(planner, missing, used, &failures, &target);
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

/// Marks the databases for which RDS reports loading for the first time.
fn note_loading(planner: &mut Planner<'_>) {
    for database in &planner.world.databases {
        if let (Hydration::Loading(percent), false, true) =
            (database.hydration, database.loading_seen, database.is_ready())
        {
            let step = Step::NoteLoading { database: database.id.clone() };
            planner.push(step, format!("RDS has loaded {percent} % of it"));
        }
    }
}

/// Counts each failed restore and retires it in a later pass; a successful restore clears the count. Returns the count including the failures
/// found now, because the next restore must wait for them too.
fn failures(planner: &mut Planner<'_>, pool: &Pool<'_>, stuck: &[&Database]) -> RestoreFailures {
    let counted = &planner.policy.restore_failures;
    let mut known = counted.clone();
    let mut new = Vec::new();
    let failed = pool.in_state(DatabaseState::Failed).filter(|database| database.created_at.is_none());
    let failed = failed.map(|database| (database, database.status.to_string()));
    let stuck = stuck.iter().map(|database| (*database, "still creating after two hours".to_owned()));
    for (database, why) in failed.chain(stuck) {
        let number = database.number;
        if counted.numbers.contains(&number) {
            let step =
                Step::Retire { environment: planner.environment(number), status: database.status_class() };
            planner.push(step, format!("its restore failed: it is {why}"));
        } else {
            new.push((number, format!("{} is {why}", database.id)));
            known = known.with(number, planner.now);
        }
    }
    if !new.is_empty() {
        let (numbers, reasons): (_, Vec<_>) = new.into_iter().unzip();
        planner.push(Step::CountFailedRestores { numbers }, reasons.join(", "));
    }
    // A claimed database shows as well as a free one that restores succeed.
    let succeeded = |last| {
        let mut usable = planner.world.databases.iter().filter(|database| database.is_ready());
        usable.any(|database| database.since().is_some_and(|since| since > last))
    };
    if counted.last.is_some_and(succeeded) {
        planner.push(Step::ResetFailedRestores, "a later restore succeeded");
    }
    known
}

/// Marks databases that were usable and are not, starts stopped ones, and retires those that do not come back. Returns the number of those
/// that are expected back soon, so that they need no replacement.
fn unusable(planner: &mut Planner<'_>, pool: &Pool<'_>) -> usize {
    let mut returning = 0;
    for (state, database) in &pool.databases {
        let id = database.id.clone();
        match state {
            DatabaseState::Busy => {
                let is_recent =
                    database.unusable_since.is_none_or(|since| !planner.is_older(since, UNUSABLE_LIMIT));
                returning += usize::from(is_recent);
                if database.status_class() == StatusClass::Stopped {
                    planner.push(Step::StartDatabase { database: id }, "it is stopped, and launches need it");
                }
                replace_unusable(planner, database, UNUSABLE_LIMIT);
            }
            DatabaseState::Failed if database.created_at.is_some() => {
                replace_unusable(planner, database, ORPHAN_AFTER);
            }
            DatabaseState::Free | DatabaseState::Stale if database.unusable_since.is_some() => {
                planner.push(Step::Unusable { database: id, marked: false }, "it is usable again");
            }
            _ => {}
        }
    }
    returning
}

/// Marks an unusable database, and retires it once the mark is old. A busy one is kept, because it comes back by itself.
fn replace_unusable(planner: &mut Planner<'_>, database: &Database, patience: Duration) {
    let (id, status) = (database.id.clone(), database.status_class());
    match database.unusable_since {
        None => {
            let step = Step::Unusable { database: id, marked: true };
            planner.push(step, format!("it is {}", database.status));
        }
        Some(since) if !planner.is_older(since, patience) => {}
        Some(since) if status == StatusClass::Busy => {
            let since = since.format("%F %T UTC");
            let reason = format!("it has been unusable since {since}, now {}", database.status);
            planner.refuse("retire-database", id.to_string(), reason);
        }
        Some(_) => {
            let step = Step::Retire { environment: planner.environment(database.number), status };
            planner.push(step, format!("it is still {}", database.status));
        }
    }
}

/// Retires stale databases: all of them once enough fresh ones are free, and before that those beyond the target. If the ceiling leaves no room
/// for a fresh one, retires the oldest, because each would wait for the other. If the demand is unknown, retires none.
fn stale(planner: &mut Planner<'_>, pool: &Pool<'_>, free: usize, target: &Target, needs_room: bool) {
    let mut stale: Vec<_> = pool.in_state(DatabaseState::Stale).collect();
    stale.sort_by_key(|database| (database.snapshot_at, database.number));
    let spare = target.wanted as usize;
    let retired = match target.keep {
        None => 0,
        Some(_) if free >= spare => stale.len(),
        Some(keep) => (free + stale.len()).saturating_sub(keep as usize).max(usize::from(needs_room)),
    };
    for (index, database) in stale.into_iter().enumerate() {
        if index < retired {
            let environment = planner.environment(database.number);
            let step = Step::Retire { environment, status: StatusClass::Usable };
            planner.push(step, "its snapshot, its settings or its age is not what the policy wants");
        } else {
            let reason = if target.keep.is_some() {
                format!(
                    "only {free} of {spare} fresh databases are free; it stays until its replacement is free"
                )
            } else {
                target.reason.clone()
            };
            planner.refuse("retire-database", database.id.to_string(), reason);
        }
    }
}

/// Whether the ceiling alone prevents the next restore, and no deletion makes room for it.
fn needs_room(planner: &Planner<'_>, failures: &RestoreFailures, used: usize) -> bool {
    let world = planner.world;
    let can_restore = !failures.is_exhausted()
        && failures.retry_at().is_none_or(|at| at <= planner.now)
        && Restore::of_number(world, world.next_number()).is_ok();
    let is_ending = |record: &Record| record.is_retirement() && record.hold.is_none();
    can_restore
        && used >= planner.policy.max_databases as usize
        && !world.records.iter().any(is_ending)
        && !world.databases.iter().any(|database| database.status_class() == StatusClass::Deleting)
}

/// Retires fresh databases beyond the target. If the demand is unknown, retires none.
fn surplus(planner: &mut Planner<'_>, free: &[&Database], creating: usize, target: &Target) {
    let Some(keep) = target.keep else { return };
    let keep = keep as usize;
    // Databases that are still being created come first, because a launch may claim them.
    if creating == 0 && free.len() > keep {
        let mut oldest: Vec<_> = free.to_vec();
        oldest.sort_by_key(|database| (database.snapshot_at, database.number));
        for database in oldest.into_iter().take(free.len() - keep) {
            let environment = planner.environment(database.number);
            let step = Step::Retire { environment, status: StatusClass::Usable };
            planner.push(step, target.reason.clone());
        }
    }
}

/// Restores what is missing, as far as the ceiling leaves room. `used` is the number of [`used_numbers`].
fn top_up(
    planner: &mut Planner<'_>,
    missing: usize,
    used: usize,
    failures: &RestoreFailures,
    target: &Target,
) {
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
        let reason = format!("a restore failed; the next one starts at {}", at.format("%T UTC"));
        return planner.refuse("create-database", "pool", reason);
    }
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
                if let Some(pause) = planner.pause_of(&step) {
                    return planner.refuse("create-database", "pool", pause);
                }
                planner.push(step, format!("{}; {missing} missing", target.reason));
            }
            Err(reason) => return planner.refuse("create-database", "pool", reason),
        }
        number = planner.world.new_number(number.next());
    }
}

/// Returns the numbers of all databases and of the records that will get one, including those that have lost their tags.
pub(in crate::engine) fn used_numbers(world: &World) -> BTreeSet<Number> {
    let databases = world.databases.iter().map(|database| database.number);
    let records = world.records.iter().filter(|record| record.reserves_database()).map(Record::number);
    let unreadable = world.unreadable().filter(|found| found.is_ours()).map(|found| found.number);
    databases.chain(records).chain(unreadable).collect()
}
