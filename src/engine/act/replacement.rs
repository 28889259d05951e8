//! Steps on replacements and on the databases that they replace. Each re-reads the record of the environment last, because it says which
//! database is in use.

use super::{
    Actor, Completion, EnvironmentId, FreshRead, InstanceId, LaunchFailure, Number, Record, RecordId, Result,
    StepResult, TagChanges, key, lifecycle, skip_if_gone,
};
use crate::domain::replacement::check_rolled_out;
use crate::domain::{Replaces, StatusClass, Termination};
use crate::engine::plan::SWITCH_RACE;
use crate::engine::step::ReplacementEnd;
use crate::engine::switch::{Switch, Switched};

impl Actor<'_> {
    pub(super) async fn switch(
        &self,
        record: &RecordId,
        replacement: &RecordId,
        from: Number,
        instance: &InstanceId,
    ) -> StepResult {
        let (record, replacement) = (record.clone(), replacement.clone());
        let switch = Switch { record, replacement, from, instance: instance.clone() };
        let fleet = &self.world.fleet.name;
        Ok(match self.engine.switch_database(self.policy, fleet, &switch).await? {
            Switched::Done(database) => Completion::Done(format!("to {database}")),
            Switched::Skipped(why) => Completion::skip(why),
        })
    }

    /// Re-reads the environment of a replacement. The inner error says why the database of the replacement must stay: the environment uses it, or
    /// may.
    pub(super) async fn read_released(
        &self,
        replaces: &Replaces,
        replacement: &Record,
    ) -> Result<Result<FreshRead<()>, &'static str>> {
        let (user, read) = self.read_user(replaces).await?.split();
        let Some(now) = read.now else { return Ok(Err("the response has no time")) };
        if replacement.terminate.as_ref().is_none_or(|termination| now < termination.at + SWITCH_RACE) {
            return Ok(Err("an engine may be switching to it at this moment"));
        }
        Ok(match user {
            Some(user) if lifecycle::is_ending(&user, self.policy, now) => Ok(read),
            Some(user) if user.database == Some(replacement.number()) => Err("its environment uses it"),
            None if self.is_user_listed(replaces, replacement) => Err("its environment may still exist"),
            Some(_) | None => Ok(read),
        })
    }

    /// Reads the record of a replacement's environment, by its id and by its name, because a read by id can miss the tags.
    async fn read_user(&self, replaces: &Replaces) -> Result<FreshRead<Option<Record>>> {
        let cloud = &self.engine.cloud;
        let (named, read) = self.engine.read_fresh(cloud.find_record(&replaces.environment)).await?.split();
        let named = named.filter(|found| found.id == replaces.record);
        // No record has an empty id; it means that the tag cannot be parsed.
        if replaces.record.as_str().is_empty() {
            return Ok(read.with(named));
        }
        let (found, read) = self.read_record(&replaces.record).await?.split();
        Ok(read.with(found.or(named)))
    }

    /// Whether the observation has the environment of a replacement, or another one that uses its database.
    fn is_user_listed(&self, replaces: &Replaces, replacement: &Record) -> bool {
        let uses = |record: &Record| record.is_environment() && record.database == Some(replacement.number());
        self.world.records.iter().any(|record| record.id == replaces.record || uses(record))
    }

    /// Requests the end of a replacement, if the reason still holds.
    pub(super) async fn end_replacement(
        &self,
        record: &RecordId,
        end: ReplacementEnd,
        reason: &str,
    ) -> StepResult {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        let Some(found) = self.read_record(record).await?.value.filter(|found| found.terminate.is_none())
        else {
            return Ok(Completion::skip("it is ending or gone"));
        };
        let Some(replaces) = found.replaces() else { return Ok(Completion::skip("it is no replacement")) };
        let database = cloud.database(fleet, found.number()).await?.value;
        let is_broken = found.failure.is_some()
            || database.as_ref().is_some_and(|database| {
                database.status_class() == StatusClass::Failed || database.has_failed_restore(self.now)
            });
        if end == ReplacementEnd::Failed && !is_broken {
            return Ok(Completion::skip("its database is usable after all"));
        }
        if end == ReplacementEnd::Superseded
            && let Some(user) = self.read_user(replaces).await?.value
            && let Err(why) = self.check_rolled_out(&user).await?
        {
            return Ok(Completion::skip(why));
        }
        let (user, read) = self.read_user(replaces).await?.split();
        let Some(now) = read.now else { return Ok(Completion::skip("the response has no time")) };
        match (&user, end) {
            (Some(user), ReplacementEnd::Ending) if !lifecycle::is_ending(user, self.policy, now) => {
                return Ok(Completion::skip("its environment was extended"));
            }
            (Some(_), ReplacementEnd::Ending) => {}
            (Some(_), ReplacementEnd::Orphan) => {
                return Ok(Completion::skip("its environment exists after all"));
            }
            (Some(user), _) if user.database == Some(found.number()) => {
                return Ok(Completion::skip("its environment uses it"));
            }
            (None, _) if self.is_user_listed(replaces, &found) => {
                return Ok(Completion::skip("its environment may still exist"));
            }
            (None, _) if found.orphan_since.is_none() => {
                return Ok(Completion::skip("its environment is gone; a later sweep checks again"));
            }
            _ => {}
        }
        let termination = Termination { at: now, by: self.engine.config.host.as_str().into() };
        let mut changes = TagChanges::terminate(&termination);
        if end == ReplacementEnd::Failed && found.failure.is_none() {
            let failure = LaunchFailure { at: now, reason: reason.into() };
            changes = changes.set(key::FAILURE, failure.to_tag());
        }
        let call = cloud.tag_record(record, &changes);
        self.engine.act_while_fresh(&read, "CreateTags", call).await.map(Completion::from_fresh)
    }

    /// Takes the end of a replacement back, if its environment uses the database and is not ending.
    pub(super) async fn keep_replacement(&self, record: &RecordId) -> StepResult {
        let cloud = &self.engine.cloud;
        let Some(found) = self.read_record(record).await?.value else {
            return Ok(Completion::skip("it is gone"));
        };
        let Some(replaces) = found.replaces() else { return Ok(Completion::skip("it is no replacement")) };
        let (user, read) = self.read_user(replaces).await?.split();
        let Some(now) = read.now else { return Ok(Completion::skip("the response has no time")) };
        let uses = |user: &Record| {
            user.database == Some(found.number()) && !lifecycle::is_ending(user, self.policy, now)
        };
        if !user.as_ref().is_some_and(uses) {
            return Ok(Completion::skip("its environment does not use it"));
        }
        let changes = TagChanges::new().remove(key::TERMINATE).remove(key::FAILURE);
        skip_if_gone(cloud.tag_record(record, &changes).await)
    }

    /// Whether the earlier databases of an environment can go, by its current parts. The inner error says why not.
    async fn check_rolled_out(&self, user: &Record) -> Result<Result<(), String>> {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        let current = cloud.database(fleet, user.database_number()).await?.value;
        let instance = cloud.instance_of(user).await?.value;
        Ok(check_rolled_out(user, current.as_ref(), instance.as_ref(), self.now))
    }

    /// Deletes the database of an environment's own number. Nothing ever writes that number on the record again, so a read that shows another one
    /// stays true.
    pub(super) async fn delete_replaced(&self, record: &RecordId, environment: &EnvironmentId) -> StepResult {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        let Some(old) = cloud.database(fleet, environment.number).await?.value else {
            return Ok(Completion::skip("it is gone"));
        };
        let is_own = old.environment.as_ref().is_none_or(|owner| owner == environment)
            && old.record.as_ref().is_none_or(|owner| owner == record);
        if !is_own {
            return Ok(Completion::skip("its tags name another environment"));
        }
        let Some(user) = self.read_record(record).await?.value else {
            return Ok(Completion::skip("its environment is gone"));
        };
        let current = fleet.environment(user.database_number());
        let claims = |found: &Record| found.terminate.is_none() && found.is_replacement_for(record);
        if !cloud.find_record(&current).await?.value.as_ref().is_some_and(claims) {
            return Ok(Completion::skip("no replacement claims the database that it uses"));
        }
        if let Err(why) = self.check_rolled_out(&user).await? {
            return Ok(Completion::skip(why));
        }
        let (found, read) = self.read_record(record).await?.split();
        let uses_other = |found: &Record| {
            found.database == user.database && found.database.is_some_and(|number| number != found.number())
        };
        if !found.as_ref().is_some_and(uses_other) {
            return Ok(Completion::skip("its environment uses it"));
        }
        let call = cloud.delete_database(&old.id);
        self.engine.act_while_fresh(&read, "DeleteDBInstance", call).await.map(Completion::from_fresh)
    }
}
