//! What engines do not get done, why, and what helps.

use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::verdict::{Level, Report};
use crate::domain::environment::Environment;
use crate::domain::format::format_duration;
use crate::domain::lifecycle;
use crate::domain::policy::{Policy, Scope};
use crate::domain::pool::{DatabaseState, Pool};
use crate::domain::record::Record;
use crate::domain::step_failure::StepFailure;
use crate::domain::tags::{key, role};
use crate::domain::unreadable::{Unreadable, UnreadableKind};
use crate::domain::world::World;

/// Four passes of the stack's schedule at its slowest, and the interval at which a pass is recorded.
const NO_ENGINE_AFTER: TimeDelta = TimeDelta::minutes(40);

/// A teardown takes minutes, most of them for the deletion of the database.
const LATE_AFTER: TimeDelta = TimeDelta::minutes(30);

/// Any engine continues a launch after a minute.
const STUCK_AFTER: TimeDelta = TimeDelta::minutes(30);

/// Maintenance and starts of a database take minutes.
const UNUSABLE_FOR: TimeDelta = TimeDelta::hours(1);

pub(super) fn check(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    check_engine(world, now, report);
    check_restores(world, now, report);
    check_steps(world, now, report);
    check_notices(world, now, report);
    check_environments(world, now, report);
    check_retirements(world, now, report);
    check_databases(world, now, report);
    for found in world.unreadable() {
        report(Level::Warning, "unreadable", unreadable_message(found, world));
    }
}

fn check_engine(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let fleet = &world.fleet;
    // Engines then only observe, which is another verdict.
    if fleet.policy.paused || fleet.problems.iter().any(|problem| problem.stops == Scope::Engine) {
        return;
    }
    let hint = "start one with: hatchery engine, or check the schedule with: hatchery doctor";
    match &fleet.last_pass {
        Some(last) if last.at + NO_ENGINE_AFTER <= now => {
            let message =
                format!("no engine has run for {}; the last one was {}; {hint}", age(last.at, now), last.by);
            report(Level::Warning, "no-engine", message);
        }
        None if !world.records.items.is_empty() || !world.databases.items.is_empty() => {
            report(Level::Info, "no-engine", format!("no engine has recorded a pass; {hint}"));
        }
        Some(_) | None => {}
    }
}

fn check_restores(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let failures = &world.fleet.policy.restore_failures;
    if failures.is_exhausted() {
        let databases: Vec<_> =
            failures.numbers.iter().map(|number| world.fleet.name.database_id(*number).to_string()).collect();
        let last = databases.last().map(String::as_str).unwrap_or_default();
        let message = format!(
            "{} restores failed in a row ({}), so the pool is no longer filled; find the cause with: aws rds describe-events --source-type \
             db-instance --source-identifier {last} --duration 1440, then resume with: hatchery fleet set restore-failures=",
            databases.len(),
            databases.join(", "),
        );
        report(Level::Error, "restores-stopped", message);
    }
    if let Some(failure) = world.fleet.failed_step.as_ref().filter(|failure| failure.is_current(now)) {
        let message = format!(
            "AWS refuses to restore databases for the pool: {}; correct the cause, see the settings with: hatchery fleet show",
            words(failure)
        );
        report(Level::Warning, "restore-refused", message);
    }
}

/// Tells of the destination of the notices, which concerns the fleet and not a resource.
fn check_notices(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let failure = world.fleet.failed_notice.as_ref().filter(|failure| failure.is_current(now));
    let (Some(failure), Some(destination)) = (failure, &world.fleet.policy.notify) else { return };
    let message = format!(
        "a notice to {destination} was not sent: {}; correct the destination or its permissions, see: hatchery activity --since 24h",
        words(failure)
    );
    report(Level::Warning, "notice-failed", message);
}

fn check_steps(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let mut check = |target: &dyn Display, failure: &Option<StepFailure>| {
        let Some(failure) = failure.as_ref().filter(|failure| failure.is_current(now)) else { return };
        let message = format!(
            "AWS refuses {} for {target}: {}; correct the cause, see all tries with: hatchery activity --since 24h",
            failure.action,
            words(failure)
        );
        report(Level::Warning, "step-failing", message);
    };
    world.records.iter().for_each(|found| check(&found.environment, &found.failed_step));
    world.databases.iter().for_each(|found| check(&found.id, &found.failed_step));
    world.instances.iter().for_each(|found| check(&found.environment, &found.failed_step));
}

/// Returns AWS's words, since when, and the time of the next try.
fn words(failure: &StepFailure) -> String {
    format!(
        "{} ({} since {} UTC, next try at {} UTC)",
        failure.error,
        failure.times(),
        failure.since.format("%F %T"),
        failure.retry_at().format("%T")
    )
}

fn check_environments(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let policy = &world.fleet.policy;
    let is_late = |record: &Record| is_overdue(record, policy, now);
    let waits = |record: &Record| record.instance.is_none() && record.created_at + STUCK_AFTER <= now;
    // In a healthy fleet there is none, and most of the cost is that of finding the instances.
    let mut records = world.records.iter().filter(|record| record.is_environment());
    if !records.any(|record| is_late(record) || waits(record)) {
        return;
    }
    for environment in Environment::all(world, now) {
        let (record, id) = (environment.record, environment.id());
        if is_late(record) {
            let message = format!(
                "{id} of {} was to end {} ago and still stands; see why with: hatchery pool, and end it with: hatchery engine --once",
                record.owner,
                age(lifecycle::ends_at(record, policy), now)
            );
            report(Level::Warning, "reaping-late", message);
        } else if environment.instance.is_none()
            && waits(record)
            && record.is_wanted()
            && world.instances.complete
        {
            let message = format!(
                "{id} of {} has waited for its instance for {}; see why with: hatchery pool, or give it up with: hatchery terminate {id}",
                record.owner,
                age(record.created_at, now)
            );
            report(Level::Warning, "launch-stuck", message);
        }
    }
}

/// Tells of databases that leave the pool and do not go.
fn check_retirements(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let policy = &world.fleet.policy;
    let is_late = |record: &Record| !record.is_environment() && is_overdue(record, policy, now);
    // In a healthy fleet there is none, and most of the cost is that of finding the databases.
    if !world.records.iter().any(is_late) {
        return;
    }
    for claim in Environment::all_claims(world, now).iter().filter(|claim| is_late(claim.record)) {
        let record = claim.record;
        let state = match claim.claimed {
            Some(database) => format!("is {}", database.status),
            None => "its record still stands".to_owned(),
        };
        let message = format!(
            "{} was to be deleted {} ago and {state}; see why with: hatchery pool, and end it with: hatchery engine --once",
            record.environment.database_id(),
            age(lifecycle::ends_at(record, policy), now)
        );
        report(Level::Warning, "reaping-late", message);
    }
}

/// Whether an environment, a retirement or a replacement should have ended.
pub(super) fn is_overdue(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    let has_end = record.replaces().is_none() || record.terminate.is_some();
    has_end && lifecycle::ends_at(record, policy) + LATE_AFTER <= now
}

fn check_databases(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let pool = Pool::new(world);
    for database in pool.in_state(DatabaseState::Busy).chain(pool.in_state(DatabaseState::Failed)) {
        let Some(since) = database.unusable_since.filter(|since| *since + UNUSABLE_FOR <= now) else {
            continue;
        };
        let message = format!(
            "{id} cannot be used for {}, and is {}; see why with: aws rds describe-events --source-type db-instance --source-identifier \
             {id} --duration 1440",
            age(since, now),
            database.status,
            id = database.id
        );
        report(Level::Warning, "database-unusable", message);
    }
}

/// Names the resource and the command that restores its tags. A resource of the fleet gets them back by itself.
fn unreadable_message(found: &Unreadable, world: &World) -> String {
    let (fleet, id) = (&world.fleet.name, &found.id);
    if found.is_ours() {
        return format!(
            "{} {id} has lost the tags of the fleet; restore them with: hatchery engine --once",
            found.kind
        );
    }
    let tags = |role| format!("Key={},Value={fleet} Key={},Value={role}", key::FLEET, key::ROLE);
    let command = match found.kind {
        UnreadableKind::Record => {
            format!("aws ec2 create-tags --resources {id} --tags {}", tags(role::ENVIRONMENT))
        }
        UnreadableKind::Database => format!(
            "aws rds add-tags-to-resource --resource-name $(aws rds describe-db-instances --db-instance-identifier {id} --query \
             DBInstances[0].DBInstanceArn --output text) --tags {}",
            tags(role::POOL)
        ),
    };
    format!(
        "{} {id} has a name of the fleet and not its tags, so it is kept and its number is not used; rename or delete it, or if it is the \
         fleet's, restore them with: {command}",
        found.kind
    )
}

fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_duration((now - since).to_std().unwrap_or(Duration::ZERO))
}
