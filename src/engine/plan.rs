//! The plan: a pure function of one world. No I/O, no clock, no randomness; every step and every refusal says why.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::step::{Key, Orphan, Placement, Step, TerminationReason};
use crate::domain::environment::{ByNumber, is_instance_of};
use crate::domain::{
    Database, DatabaseState, Environment, EnvironmentId, Number, Policy, Pool, Record, StatusClass, World,
};

mod pool;

pub(super) use pool::restore;

/// A record that is younger is left to whoever created it.
pub const ADOPT_AFTER: Duration = Duration::from_mins(1);

/// Something without its counterpart is acted on only when it has been so for this long.
pub const ORPHAN_AFTER: Duration = Duration::from_mins(10);

/// A restore that is still not there after this time counts as failed. RDS restores take 10 to 30 minutes.
pub const RESTORE_TIMEOUT: Duration = Duration::from_hours(2);

/// How long a record whose database was never tagged is waited for before its database goes back to the pool: by then
/// a launch that was under way would show.
pub const UNTAGGED_WAIT: Duration = Duration::from_mins(5);

/// A step and why it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The step.
    pub step: Step,
    /// Why.
    pub reason: String,
}

/// What an engine wants to do, in order, and what it will not do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps, in the order in which they are taken.
    pub steps: Vec<Planned>,
    /// What was seen and is not acted on.
    pub refused: Vec<super::Refusal>,
}

/// Plans for one world. `now` is AWS's clock as the world's answers gave it.
#[must_use]
pub fn plan(world: &World, policy: &Policy, now: DateTime<Utc>) -> Plan {
    let mut planner = Planner { world, policy, now, steps: Vec::new(), refused: Vec::new() };
    let claims = Environment::all_claims(world, now);
    for claim in &claims {
        planner.claim(claim);
    }
    planner.orphans();
    pool::plan(&mut planner, &Pool::new(world));
    let mut steps = planner.steps;
    steps.sort_by(|(a, _), (b, _)| a.cmp(b));
    steps.dedup_by(|(a, _), (b, _)| a == b);
    Plan { steps: steps.into_iter().map(|(_, planned)| *planned).collect(), refused: planner.refused }
}

/// Why an engine of this version only looks at a fleet, if it does.
#[must_use]
pub fn observe_only_reason(world: &World, version: &semver::Version) -> Option<String> {
    let policy = &world.fleet.policy;
    if let Some(problem) = world.fleet.problems.first() {
        return Some(format!("the fleet's policy cannot be followed: {problem}"));
    }
    if policy.paused {
        return Some("the policy pauses every background step".to_owned());
    }
    match &policy.min_version {
        Some(wanted) if wanted > version => {
            Some(format!("the policy wants engines of version {wanted} or later, and this is {version}"))
        }
        _ => None,
    }
}

/// Where and as what an attempt launches: the record's own subnet and type first, then the policy's other subnets,
/// then its other types. `None` once all are used up. The same for every engine, since attempts share a client token.
#[must_use]
pub fn placement(policy: &Policy, attempt: u32) -> Option<Placement> {
    let types = std::iter::once(None).chain(policy.fallback_instance_types.iter().cloned().map(Some));
    let others = || std::iter::once(None).chain(policy.subnets.iter().cloned().map(Some));
    let mut choices = types.flat_map(|instance_type| {
        others().map(move |subnet| Placement { subnet, instance_type: instance_type.clone() })
    });
    choices.nth(attempt as usize)
}

/// Whether a record's environment is to end, judged by the record alone.
#[must_use]
pub fn is_ending(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.terminate.is_some() || (is_over(record, policy, now) && grace_is_over(record, policy, now))
}

/// Whether a record's time is over: past its expiry, or failed.
#[must_use]
pub fn is_over(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.failure.is_some() || record.ends_at(policy) <= now
}

fn grace_is_over(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.reaping_since.is_some_and(|since| since + policy.grace <= now)
}

struct Planner<'w> {
    world: &'w World,
    policy: &'w Policy,
    now: DateTime<Utc>,
    /// Boxed, since sorting moves them.
    steps: Vec<(Key, Box<Planned>)>,
    refused: Vec<super::Refusal>,
}

impl Planner<'_> {
    fn push(&mut self, step: Step, reason: impl Into<String>) {
        self.steps.push((step.key(), Box::new(Planned { step, reason: reason.into() })));
    }

    fn refuse(&mut self, action: &'static str, target: impl Into<String>, reason: impl Into<String>) {
        self.refused.push(super::Refusal { action, target: target.into(), reason: reason.into() });
    }

    /// Plans a delete, unless the world is incomplete: unknown means keep.
    fn delete(&mut self, step: Step, reason: impl Into<String>) {
        if self.world.is_complete() {
            self.push(step, reason);
        } else {
            let missing = self.world.incomplete().join(", ");
            self.refuse(step.action(), step.target(), format!("not everything could be listed ({missing})"));
        }
    }

    fn is_older(&self, at: DateTime<Utc>, than: Duration) -> bool {
        at + than <= self.now
    }

    fn claim(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = &record.environment;
        for surplus in &claim.surplus {
            let Some(keep) = claim.instance else { continue };
            let reason = if is_ending(record, self.policy, self.now) {
                TerminationReason::Ending(record.id.clone())
            } else {
                TerminationReason::Surplus { record: record.id.clone(), keep: keep.id.clone() }
            };
            let step = Step::TerminateInstance {
                environment: environment.clone(),
                instance: surplus.id.clone(),
                reason,
            };
            self.delete(step, format!("{environment} has another instance, {}, that is older", keep.id));
        }
        if is_ending(record, self.policy, self.now) {
            self.end(claim);
        } else if is_over(record, self.policy, self.now) {
            self.mark_over(record);
        } else if record.reaping_since.is_some() {
            let step = Step::UnmarkReaping { record: record.id.clone(), environment: environment.clone() };
            self.push(step, "it was extended after it had been marked");
        } else if !record.retirement {
            self.maintain(claim);
        }
    }

    /// Sweep one.
    fn mark_over(&mut self, record: &Record) {
        let environment = record.environment.clone();
        match record.reaping_since {
            None => {
                let reason = match &record.failure {
                    Some(failure) => format!("it failed: {}", failure.reason),
                    None => format!("its time was over at {}", record.ends_at(self.policy).format("%F %T")),
                };
                self.push(Step::MarkReaping { record: record.id.clone(), environment }, reason);
            }
            Some(since) => {
                let until = since + self.policy.grace;
                self.refuse(
                    "reap",
                    environment.to_string(),
                    format!("its grace lasts until {}", until.format("%F %T")),
                );
            }
        }
    }

    /// Sweep two, and what a termination that was asked for does: the instance and the database first, the record last.
    fn end(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = &record.environment;
        let reason = match (&record.terminate, &record.failure) {
            _ if record.retirement => record.note.clone().unwrap_or_else(|| "it leaves the pool".to_owned()),
            (Some(termination), _) => format!("{} asked for it", termination.by),
            (None, Some(failure)) => format!("it failed: {}", failure.reason),
            (None, None) => "its time and its grace are over".to_owned(),
        };
        let mut rest = false;
        if let Some(instance) = claim.instance {
            if !instance.state.is_ending() {
                let step = Step::TerminateInstance {
                    environment: environment.clone(),
                    instance: instance.id.clone(),
                    reason: TerminationReason::Ending(record.id.clone()),
                };
                self.delete(step, reason.clone());
            }
            rest |= instance.state != crate::domain::InstanceState::Terminated;
        }
        if let Some(database) = claim.database {
            if returns_to_pool(record, claim, database) {
                if !self.is_older(record.created_at, UNTAGGED_WAIT) {
                    rest = true;
                    let reason =
                        "its launch may still be under way; its database can go back to the pool later";
                    self.refuse("delete-record", environment.to_string(), reason);
                }
            } else {
                rest = true;
                if database.status_class() != StatusClass::Deleting {
                    let step =
                        Step::DeleteDatabase { record: record.id.clone(), environment: environment.clone() };
                    self.delete(step, reason.clone());
                }
            }
        }
        if !rest {
            let step = Step::DeleteRecord { record: record.id.clone(), environment: environment.clone() };
            self.delete(step, format!("{reason}, and nothing else of it is left"));
        }
    }

    /// Finishes what a launch began, and notices what has gone wrong.
    fn maintain(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = &record.environment;
        if let Some(instance) = claim.instance.filter(|instance| !instance.state.is_ending()) {
            if record.instance.as_ref() != Some(&instance.id) {
                let step = Step::RecordInstance {
                    record: record.id.clone(),
                    environment: environment.clone(),
                    instance: instance.id.clone(),
                };
                self.push(step, "the record does not name its instance yet");
            }
            if let Some(expires_at) = record.expires_at.filter(|at| instance.expires_at != Some(*at)) {
                let step = Step::MirrorExpiry {
                    environment: environment.clone(),
                    instance: instance.id.clone(),
                    expires_at,
                };
                self.push(step, "the instance's dead man's switch knows another expiry");
            }
        }
        if let Some(database) =
            claim.database.filter(|database| database.status_class() == StatusClass::Failed)
        {
            self.give_up(record, format!("its database {} is {}", database.id, database.status));
        } else if let Some(instance) = claim.instance.filter(|instance| instance.state.is_ending()) {
            self.give_up(record, format!("its instance {} is {}", instance.id, instance.state));
        } else if claim.instance.is_none() && record.instance.is_none() {
            self.finish_launch(claim);
        } else {
            self.missing_parts(claim);
        }
    }

    fn give_up(&mut self, record: &Record, reason: String) {
        let step = Step::GiveUp { record: record.id.clone(), environment: record.environment.clone() };
        self.push(step, reason);
    }

    fn finish_launch(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = record.environment.clone();
        if !self.is_older(record.created_at, ADOPT_AFTER) {
            let reason = "whoever asked for it is still at it";
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        // Absence is only believed of a complete listing: a second launch would be fenced, a second restore would not.
        if !self.world.is_complete() {
            let reason = "not everything could be listed";
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        let record_id = record.id.clone();
        match claim.database {
            None => match pool::restore(self.world, environment.number) {
                Ok(restore) => {
                    let step = Step::CreateClaimed { record: record_id, environment, restore };
                    self.push(step, "it claimed a number that has no database yet");
                }
                Err(reason) => self.refuse("create-database", environment.database_id().to_string(), reason),
            },
            Some(database) if database.environment.is_none() => {
                let step = Step::ClaimDatabase { record: record_id, environment };
                self.push(step, "its record claims the database and its tag does not say so yet");
            }
            Some(_) => match placement(self.policy, record.attempt) {
                Some(placement) => {
                    let attempt = record.attempt;
                    let step = Step::LaunchInstance { record: record_id, environment, attempt, placement };
                    self.push(step, "its launch was begun and not finished");
                }
                None => self.give_up(record, "every subnet and instance type was tried".to_owned()),
            },
        }
    }

    /// A record that has had an instance, and of which something is not there any more: marked first.
    fn missing_parts(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let what = Orphan::Record(record.id.clone(), record.environment.clone());
        let missing = match (claim.instance, claim.database) {
            (None, _) => Some("its instance is gone"),
            (_, None) => Some("its database is gone"),
            _ => None,
        };
        match (missing, record.orphan_since) {
            (None, None) => {}
            (None, Some(_)) => {
                self.push(Step::Orphan { what, marked: false }, "everything of it is there again");
            }
            (Some(_), _) if !self.world.is_complete() => {}
            (Some(missing), None) if self.is_older(record.created_at, ORPHAN_AFTER) => {
                self.push(Step::Orphan { what, marked: true }, missing);
            }
            (Some(missing), Some(since)) if self.is_older(since, ORPHAN_AFTER) => {
                self.give_up(record, missing.to_owned());
            }
            (Some(missing), _) => {
                let reason = format!("{missing}, and it is looked at again later");
                self.refuse("give-up", record.environment.to_string(), reason);
            }
        }
    }

    /// Instances and claimed databases without a record: marked in one sweep, acted on in a later one.
    fn orphans(&mut self) {
        if !self.world.is_complete() {
            return;
        }
        let mut instances: Vec<_> = self.world.instances.iter().collect();
        instances.sort_by_key(|instance| instance.environment.number);
        let mut records = ByNumber::new(self.world.records.iter(), Record::number);
        for instance in instances.into_iter().filter(|instance| !instance.state.is_ending()) {
            let owned = records.next(instance.environment.number).iter().any(|r| is_instance_of(instance, r));
            let what = Orphan::Instance(instance.id.clone());
            let old = self.is_older(instance.launched_at, ORPHAN_AFTER);
            if self.orphan(what, owned, instance.orphan_since, old, "no record knows it") {
                let step = Step::TerminateInstance {
                    environment: instance.environment.clone(),
                    instance: instance.id.clone(),
                    reason: TerminationReason::Orphan,
                };
                self.push(step, "no record has known it for ten minutes");
            }
        }
        let mut databases: Vec<_> = self.world.databases.iter().collect();
        databases.sort_by_key(|database| database.number);
        let mut records = ByNumber::new(self.world.records.iter(), Record::number);
        for database in databases {
            let claimed = !records.next(database.number).is_empty();
            let owned = database.environment.is_none() || claimed;
            if database.status_class() == StatusClass::Deleting {
                continue;
            }
            let what = Orphan::Database(database.id.clone());
            let old = database.since().is_none_or(|since| self.is_older(since, ORPHAN_AFTER));
            if self.orphan(what, owned, database.orphan_since, old, "it is claimed, and no record knows it") {
                let environment = environment_of(self.world, database.number);
                self.push(
                    Step::Retire { environment },
                    "it was claimed, and no record has known it for ten minutes",
                );
            }
        }
    }

    /// Marks or unmarks; `true` where the mark is old enough to act on.
    fn orphan(
        &mut self,
        what: Orphan,
        owned: bool,
        since: Option<DateTime<Utc>>,
        old: bool,
        reason: &str,
    ) -> bool {
        match since {
            Some(_) if owned => self.push(Step::Orphan { what, marked: false }, "its record is there again"),
            Some(since) => return self.is_older(since, ORPHAN_AFTER),
            None if !owned && old => self.push(Step::Orphan { what, marked: true }, reason),
            None => {}
        }
        false
    }

    /// The numbers that are in use: those of databases, and those of records that will have one.
    fn used_numbers(&self) -> BTreeSet<Number> {
        let databases = self.world.databases.iter().map(|database| database.number);
        let records = self.world.records.iter().filter(|record| !record.retirement).map(Record::number);
        databases.chain(records).collect()
    }
}

/// Whether a database whose environment ends goes back to the pool: it was never bound to it and no instance was seen,
/// so nothing can have touched it.
fn returns_to_pool(record: &Record, claim: &Environment<'_>, database: &Database) -> bool {
    !record.retirement
        && database.environment.is_none()
        && record.instance.is_none()
        && claim.instance.is_none()
        && record.failure.is_none()
}

fn environment_of(world: &World, number: Number) -> EnvironmentId {
    world.fleet.name.environment(number)
}

/// Whether a database on its way has taken too long.
fn is_stuck(database: &Database, state: DatabaseState, now: DateTime<Utc>) -> bool {
    state == DatabaseState::Creating && database.since().is_some_and(|since| since + RESTORE_TIMEOUT <= now)
}
