//! The environments' part of the plan: unfinished launches, repairs, expiry, failures and teardown.

use std::time::Duration;

use super::planner::{ORPHAN_AFTER, Planner};
use crate::domain::environment::deployment_to_mirror;
use crate::domain::lifecycle::{self, Restore};
use crate::domain::{Database, Environment, InstanceState, Record, StatusClass};
use crate::engine::step::{Orphan, Step, TerminationReason};

/// The age from which any engine may continue the launch of a record. Until then, the engine that created it is still at work.
pub(crate) const ADOPT_AFTER: Duration = Duration::from_mins(1);

/// The age from which the untagged database of an ending record returns to the pool. By then, a launch in progress would be visible.
pub(crate) const UNTAGGED_WAIT: Duration = Duration::from_mins(5);

pub(super) fn plan(planner: &mut Planner<'_>, claims: &[Environment<'_>]) {
    for claim in claims.iter().filter(|claim| claim.record.replaces().is_none()) {
        planner.claim(claim);
    }
}

impl Planner<'_> {
    fn claim(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = &record.environment;
        for surplus in &claim.surplus {
            let Some(keep) = claim.instance else { continue };
            let reason = if lifecycle::is_ending(record, self.policy, self.now) {
                TerminationReason::Ending(record.id.clone())
            } else {
                TerminationReason::Surplus { record: record.id.clone(), keep: keep.id.clone() }
            };
            let step = Step::TerminateInstance {
                environment: environment.clone(),
                instance: surplus.id.clone(),
                reason,
            };
            self.delete(step, format!("{environment} already has the older instance {}", keep.id));
        }
        if lifecycle::is_ending(record, self.policy, self.now) {
            self.end(claim);
        } else if lifecycle::is_over(record, self.policy, self.now) {
            self.mark_over(record);
        } else {
            if record.reaping_since.is_some() {
                let step =
                    Step::UnmarkReaping { record: record.id.clone(), environment: environment.clone() };
                self.push(step, "it was extended during grace");
            }
            if let (Some(hold), true) =
                (record.held(self.now), record.failure.is_some() || record.is_retirement())
            {
                let until = hold.until.format("%F %T UTC");
                let reason = format!("{} holds it until {until}: {}", hold.by, hold.why);
                let target = if record.is_retirement() {
                    environment.database_id().to_string()
                } else {
                    environment.to_string()
                };
                self.refuse("reap", target, reason);
            }
            if record.is_environment() {
                self.maintain(claim);
                self.delete_replaced(claim);
            }
        }
    }

    /// The first sweep over an environment whose time is over.
    fn mark_over(&mut self, record: &Record) {
        let environment = record.environment.clone();
        match record.reaping_since {
            None => {
                let reason = match &record.failure {
                    Some(failure) => format!("it failed: {}", failure.reason),
                    None => format!("it expired at {}", record.ends_at(self.policy).format("%F %T UTC")),
                };
                self.push(Step::MarkReaping { record: record.id.clone(), environment }, reason);
            }
            Some(since) => {
                let until = since + self.policy.grace;
                self.refuse(
                    "reap",
                    environment.to_string(),
                    format!("its grace lasts until {}", until.format("%F %T UTC")),
                );
            }
        }
    }

    /// Tears an environment down, in the second sweep or on request: instance and database first, the record last.
    pub(super) fn end(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = &record.environment;
        let reason = match (&record.terminate, &record.failure) {
            _ if let Some(replaces) = record.replaces() => {
                format!("{} does not use it", replaces.environment)
            }
            _ if record.is_retirement() => {
                record.note.as_ref().map_or_else(|| "it leaves the pool".to_owned(), ToString::to_string)
            }
            (Some(termination), _) => format!("{} requested it", termination.by),
            (None, Some(failure)) => format!("it failed: {}", failure.reason),
            (None, None) => "it expired and its grace is over".to_owned(),
        };
        // Its replacements find their way alone only after a while.
        let mut remains =
            self.replacements.of_environment(record).iter().any(|found| found.terminate.is_none());
        if let Some(instance) = claim.instance {
            if !instance.state.is_ending() {
                let step = Step::TerminateInstance {
                    environment: environment.clone(),
                    instance: instance.id.clone(),
                    reason: TerminationReason::Ending(record.id.clone()),
                };
                self.delete(step, reason.clone());
            }
            remains |= instance.state != InstanceState::Terminated;
        }
        if let Some(database) = claim.claimed {
            if returns_to_pool(record, claim, database) {
                if !self.is_older(record.created_at, UNTAGGED_WAIT) {
                    remains = true;
                    let reason =
                        "its launch may still be in progress; its database returns to the pool later";
                    self.refuse("delete-record", environment.to_string(), reason);
                }
            } else {
                remains = true;
                if database.status_class() != StatusClass::Deleting {
                    let step =
                        Step::DeleteDatabase { record: record.id.clone(), environment: environment.clone() };
                    self.delete(step, reason.clone());
                }
            }
        }
        if !remains {
            let step = Step::DeleteRecord { record: record.id.clone(), environment: environment.clone() };
            self.delete(step, format!("{reason}; its instance and database are gone"));
        }
    }

    /// Continues an unfinished launch, repairs tags, and detects what has failed.
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
                self.push(step, "the instance has an outdated expiry");
            }
            if deployment_to_mirror(record, instance, self.now).is_some() {
                let step = Step::MirrorDeployment {
                    record: record.id.clone(),
                    environment: environment.clone(),
                    instance: instance.id.clone(),
                };
                if claim.current.is_some() {
                    self.push(step, "the instance lacks the last request to deploy");
                } else {
                    self.refuse(step.action(), step.target(), "which database it uses is unknown");
                }
            }
        }
        self.keep_database(claim);
        // A held one stays as it has failed.
        if record.failure.is_some() {
            return;
        }
        if let Some(database) = claim.database.filter(|database| database.has_failed_restore(self.now)) {
            self.give_up(record, format!("the restore of its database failed: it is {}", database.status));
        } else if let Some(instance) = claim.instance.filter(|instance| instance.state.is_ending()) {
            self.give_up(record, format!("its instance {} is {}", instance.id, instance.state));
        } else if claim.instance.is_none() && record.instance.is_none() {
            self.finish_launch(claim);
        } else {
            self.broken_parts(claim);
        }
    }

    /// Binds the claimed database again if its tags are lost, or name an earlier record of the same number. Returns whether it is bound.
    pub(super) fn bind_again(&mut self, record: &Record, database: &Database) -> bool {
        let reason = if database.environment.is_none() {
            "the database lacks the tag of its environment"
        } else if database.record.as_ref().is_some_and(|named| *named != record.id) {
            "the database names an earlier record"
        } else {
            return true;
        };
        let (record, environment) = (Some(record.id.clone()), record.environment.clone());
        self.push(Step::ClaimDatabase { record, environment }, reason);
        false
    }

    /// Keeps the database of a launched environment bound, and starts it if it is stopped.
    fn keep_database(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        if let Some(claimed) = claim.claimed.filter(|_| record.instance.is_some()) {
            self.bind_again(record, claimed);
        }
        let Some(database) = claim.database else { return };
        let is_active = claim.instance.is_some_and(|instance| {
            matches!(instance.state, InstanceState::Pending | InstanceState::Running)
        });
        if is_active && database.status_class() == StatusClass::Stopped {
            let step = Step::StartDatabase { database: database.id.clone() };
            self.push(step, format!("{} uses it", record.environment));
        }
    }

    pub(super) fn give_up(&mut self, record: &Record, reason: String) {
        let step = Step::GiveUp { record: record.id.clone(), environment: record.environment.clone() };
        self.push(step, reason);
    }

    fn finish_launch(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let environment = record.environment.clone();
        if !self.is_older(record.created_at, ADOPT_AFTER) {
            let reason = "its launch is still in progress";
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        // Only a complete listing proves absence. A second launch would be fenced, but a second restore would not.
        if !self.world.is_complete() {
            let reason = format!("the listing of {} is incomplete", self.world.incomplete().join(", "));
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        if let Some(problem) = self.world.fleet.problems.iter().find(|problem| problem.stops_launches()) {
            let reason = format!("the fleet's policy is invalid: {problem}");
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        if claim.current != Some(environment.number) {
            let reason = "which database it uses is unknown";
            return self.refuse("launch-instance", environment.to_string(), reason);
        }
        if self.finish_claim(claim, "launch-instance") {
            match lifecycle::placement(self.policy, record.attempt) {
                Some(placement) => {
                    let (record, attempt) = (record.id.clone(), record.attempt);
                    let step = Step::LaunchInstance { record, environment, attempt, placement };
                    self.push(step, "its launch was not finished");
                }
                None => self.give_up(
                    record,
                    "the launch failed in every subnet and with every instance type".to_owned(),
                ),
            }
        }
    }

    /// Restores and binds the database of a claim. Returns whether nothing is left to do. `action` is what waits for it.
    pub(super) fn finish_claim(&mut self, claim: &Environment<'_>, action: &'static str) -> bool {
        let record = claim.record;
        let environment = record.environment.clone();
        let record_id = record.id.clone();
        match claim.claimed {
            None if self.unreadable_databases.contains(&environment.number) => {
                let reason = "its database has lost its tags";
                self.refuse(action, environment.to_string(), reason);
            }
            None => match Restore::of_number(self.world, environment.number) {
                Ok(restore) => {
                    let step = Step::CreateClaimed { record: record_id, environment, restore };
                    self.push(step, "it claimed a number without a database");
                }
                Err(reason) => self.refuse("create-database", environment.database_id().to_string(), reason),
            },
            Some(database) => return self.bind_again(record, database),
        }
        false
    }

    /// Marks what is gone or broken, and fails the environment in a later sweep, unless a user repairs it.
    fn broken_parts(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let what = Orphan::Record(record.id.clone(), record.environment.clone());
        let gone = match (claim.instance, claim.database) {
            (None, _) => Some("its instance is gone"),
            (_, None) if claim.current.is_some_and(|number| !self.unreadable_databases.contains(&number)) => {
                Some("its database is gone")
            }
            _ => None,
        };
        let broken = claim.database.filter(|database| database.status_class() == StatusClass::Failed);
        let usable = claim.database.filter(|database| database.unusable_since.is_some() && broken.is_none());
        if let Some(database) = usable {
            let step = Step::Unusable { database: database.id.clone(), marked: false };
            self.push(step, format!("it is {}", database.status));
        }
        if gone.is_none()
            && (record.orphan_since.is_some() || (record.repaired_by.is_some() && broken.is_none()))
        {
            let step = Step::Orphan { what: what.clone(), marked: false };
            self.push(step, "its instance and database are back");
        }
        // Each cause has a mark of its own, so that none inherits the age of another.
        let (since, mark, reason) = match (gone, broken) {
            (Some(_), _) if !self.world.is_complete() => return,
            (Some(gone), _) => (record.orphan_since, Step::Orphan { what, marked: true }, gone.to_owned()),
            (None, Some(database)) => {
                let mark = Step::Unusable { database: database.id.clone(), marked: true };
                (
                    database.unusable_since,
                    mark,
                    format!("its database {} is {}", database.id, database.status),
                )
            }
            (None, None) => return,
        };
        let target = record.environment.to_string();
        if let Some(user) = &record.repaired_by {
            let until = record.ends_at(self.policy).format("%F %T UTC");
            return self.refuse(
                "give-up",
                target,
                format!("{reason}; {user} keeps it for repairs until {until}"),
            );
        }
        if claim.reset.is_some() && claim.instance.is_some_and(|instance| !instance.state.is_ending()) {
            return self.refuse("give-up", target, format!("{reason}; a reset gives it another database"));
        }
        match since {
            None if self.is_older(record.created_at, ORPHAN_AFTER) => self.push(mark, reason),
            None => {}
            Some(since) if self.is_older(since, ORPHAN_AFTER) => self.give_up(record, reason),
            Some(_) => self.refuse("give-up", target, format!("{reason}; a later sweep checks again")),
        }
    }
}

/// Whether the database of an ending environment returns to the pool. It must never have been tagged, and no instance may have existed, so that
/// nothing can have used the database.
fn returns_to_pool(record: &Record, claim: &Environment<'_>, database: &Database) -> bool {
    record.is_environment()
        && database.environment.is_none()
        && record.instance.is_none()
        && claim.instance.is_none()
        && record.failure.is_none()
}
