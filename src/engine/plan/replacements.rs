//! The replacements' part of the plan: restores for resets, the switch to the new database, and the end of unused ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::environments::ADOPT_AFTER;
use super::planner::{ORPHAN_AFTER, Planner};
use crate::domain::replacement::check_rolled_out;
use crate::domain::{Environment, Place, RecordId, StatusClass, UnreadableKind, lifecycle};
use crate::engine::step::{Orphan, ReplacementEnd, Step};

/// How long the database of an ending replacement is kept, because an engine that read the replacement before may still switch to it: reads lag
/// by up to ten seconds, a read authorises a switch for five, and a repeated request takes effect up to half a minute later.
pub(in crate::engine) const SWITCH_RACE: Duration = Duration::from_mins(1);

pub(super) fn plan(planner: &mut Planner<'_>, claims: &[Environment<'_>]) {
    if claims.iter().all(|claim| claim.record.replaces().is_none()) {
        return;
    }
    let environments = claims.iter().filter(|claim| claim.record.is_environment());
    let users: HashMap<&RecordId, &Environment<'_>> =
        environments.map(|environment| (&environment.record.id, environment)).collect();
    for claim in claims {
        if let Some(replaces) = claim.record.replaces() {
            planner.replacement(claim, users.get(&replaces.record).copied());
        }
    }
}

impl Planner<'_> {
    /// `user` is the environment that the replacement is for, if it is listed.
    fn replacement(&mut self, claim: &Environment<'_>, user: Option<&Environment<'_>>) {
        let (record, number) = (claim.record, claim.record.number());
        let (id, environment) = (record.id.clone(), record.environment.clone());
        let is_ending = user.is_some_and(|user| lifecycle::is_ending(user.record, self.policy, self.now));
        let is_used = self.is_named(number);
        match (&record.terminate, user) {
            (Some(_), _) if is_used && !is_ending => {
                let step = Step::KeepReplacement { record: id, environment };
                self.delete(step, "its environment uses the database");
            }
            (Some(termination), _) if self.is_older(termination.at, SWITCH_RACE) => self.end(claim),
            (Some(_), _) => {
                let reason = "an engine may be switching to it at this moment";
                self.refuse("delete-database", environment.database_id().to_string(), reason);
            }
            (None, None) => self.orphaned_replacement(claim, is_used),
            (None, Some(user)) if is_ending => {
                self.end_replacement(claim, ReplacementEnd::Ending, format!("{} is ending", user.id()));
            }
            (None, Some(user)) => {
                if record.orphan_since.is_some() {
                    let what = Orphan::Record(id.clone(), environment.clone());
                    self.push(Step::Orphan { what, marked: false }, "its environment is back");
                }
                let place = self.replacements.place(user.record, record);
                if let Some(failure) = record.failure.as_ref().filter(|_| place != Place::Current) {
                    let reason = format!("it failed: {}", failure.reason);
                    return self.end_replacement(claim, ReplacementEnd::Failed, reason);
                }
                match place {
                    Place::Current => {
                        if let Some(claimed) = claim.claimed {
                            self.bind_again(record, claimed);
                        }
                    }
                    Place::Next => self.reset(claim, user),
                    Place::Later => {
                        let reason = format!("another reset of {} was requested first", user.id());
                        self.end_replacement(claim, ReplacementEnd::Late, reason);
                    }
                    Place::Superseded => {
                        match check_rolled_out(
                            user.record,
                            user.database.map(Arc::as_ref),
                            user.instance.map(Arc::as_ref),
                            self.now,
                        ) {
                            Ok(()) => {
                                let reason = format!("{} uses {} now", user.id(), user.database_id());
                                self.end_replacement(claim, ReplacementEnd::Superseded, reason);
                            }
                            Err(why) => {
                                let target = environment.database_id().to_string();
                                self.refuse("end-replacement", target, why);
                            }
                        }
                    }
                    Place::Unknown => {
                        let reason = "which database it uses is unknown";
                        self.refuse("reset", user.id().to_string(), reason);
                    }
                }
            }
        }
    }

    /// A replacement whose environment is not listed ends in a later sweep.
    fn orphaned_replacement(&mut self, claim: &Environment<'_>, is_used: bool) {
        let record = claim.record;
        let Some(replaces) = record.replaces() else { return };
        let unreadable = self.world.unreadable_numbers(UnreadableKind::Record);
        if is_used || unreadable.contains(&replaces.environment.number) || !self.world.is_complete() {
            return;
        }
        let reason = format!("{} has no record", replaces.environment);
        match record.orphan_since {
            None if self.is_older(record.created_at, ORPHAN_AFTER) => {
                let what = Orphan::Record(record.id.clone(), record.environment.clone());
                self.push(Step::Orphan { what, marked: true }, reason);
            }
            Some(since) if self.is_older(since, ORPHAN_AFTER) => {
                self.end_replacement(claim, ReplacementEnd::Orphan, reason);
            }
            _ => self.refuse("end-replacement", record.environment.database_id().to_string(), reason),
        }
    }

    fn end_replacement(&mut self, claim: &Environment<'_>, reason: ReplacementEnd, why: String) {
        let record = claim.record;
        let step = Step::EndReplacement {
            record: record.id.clone(),
            environment: record.environment.clone(),
            reason,
        };
        self.delete(step, why);
    }

    /// Restores and binds the database of a reset, and switches to it.
    fn reset(&mut self, claim: &Environment<'_>, user: &Environment<'_>) {
        let record = claim.record;
        if let Some(database) = claim.claimed {
            let status = database.status_class();
            if database.has_failed_restore(self.now) || status == StatusClass::Failed {
                let reason = format!("the new database {} is {}", database.id, database.status);
                return self.end_replacement(claim, ReplacementEnd::Failed, reason);
            }
        }
        let target = user.id().to_string();
        if !self.is_older(record.created_at, ADOPT_AFTER)
            && claim.claimed.is_none_or(|database| database.record.as_ref() != Some(&record.id))
        {
            return self.refuse("reset", target, "the request is still in progress");
        }
        // A reset that was requested earlier may be missing from an incomplete listing, and the database too.
        if !self.world.is_complete() {
            let reason = format!("the listing of {} is incomplete", self.world.incomplete().join(", "));
            return self.refuse("reset", target, reason);
        }
        if let Some(problem) = self.world.fleet.problems.iter().find(|problem| problem.stops_launches()) {
            return self.refuse("reset", target, format!("the fleet's policy is invalid: {problem}"));
        }
        if !self.finish_claim(claim, "reset") {
            return;
        }
        let Some(database) = claim.claimed else { return };
        if database.status_class() == StatusClass::Stopped {
            let step = Step::StartDatabase { database: database.id.clone() };
            return self.push(step, format!("{} is to use it", user.id()));
        }
        if !database.is_ready() {
            return self.refuse("reset", target, format!("{} is {}", database.id, database.status));
        }
        let instance = user.instance.filter(|instance| !instance.state.is_ending());
        let is_wanted = user.record.is_wanted() && !lifecycle::is_over(user.record, self.policy, self.now);
        match (user.current, instance) {
            (Some(from), Some(instance)) if is_wanted => {
                let step = Step::SwitchDatabase {
                    record: user.record.id.clone(),
                    environment: user.id().clone(),
                    replacement: record.id.clone(),
                    from,
                    instance: instance.id.clone(),
                };
                self.push(step, format!("{} requested a fresh database", record.owner));
            }
            _ => self.refuse("reset", target, "the environment has expired or failed, or has no instance"),
        }
    }

    /// Deletes the database of an environment's own number once it uses another one.
    pub(super) fn delete_replaced(&mut self, claim: &Environment<'_>) {
        let record = claim.record;
        let (Some(current), Some(_)) = (claim.current, &record.deployment) else { return };
        let environment = record.environment.clone();
        let old = claim.claimed.filter(|database| database.status_class() != StatusClass::Deleting);
        let Some(old) = old.filter(|_| current != record.number()) else { return };
        match check_rolled_out(
            record,
            claim.database.map(Arc::as_ref),
            claim.instance.map(Arc::as_ref),
            self.now,
        ) {
            Ok(()) => {
                let step = Step::DeleteReplaced { record: record.id.clone(), environment };
                self.delete(step, format!("{} uses {} now", claim.id(), claim.database_id()));
            }
            Err(why) => self.refuse("delete-old-database", old.id.to_string(), why),
        }
    }
}
