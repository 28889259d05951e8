//! Destructive steps. None of them relies on a listing alone: each re-reads its target.

use super::{
    Actor, CloudError, Completion, DatabaseId, EnvironmentId, ErrorClass, FreshRead, InstanceId,
    InstanceState, LaunchFailure, NewRecord, Purpose, Record, RecordId, Result, StatusClass, StepResult,
    TagChanges, TerminationReason, is_instance_of, lifecycle, skip_if_gone,
};
use crate::domain::Database;
use crate::engine::fresh_read::READ_LAG;

impl Actor<'_> {
    /// Re-reads a record whose environment is ending, judged by AWS's clock in the same response. The inner error says why it must not end.
    pub(super) async fn read_ending(
        &self,
        record: &RecordId,
    ) -> Result<Result<(FreshRead<()>, Record), &'static str>> {
        let read = self.read_record(record).await?;
        let Some(now) = read.now else { return Ok(Err("the response has no time")) };
        let (found, read) = read.split();
        let Some(found) = found else { return Ok(Err("its record is gone")) };
        if !lifecycle::is_ending(&found, self.policy, now) {
            return Ok(Err("it was extended"));
        }
        Ok(Ok((read, found)))
    }

    /// Marks an environment as failed, unless its parts exist after all.
    pub(super) async fn give_up(&self, record: &RecordId, reason: &str) -> StepResult {
        let fleet = &self.world.fleet.name;
        let read = self.read_record(record).await?;
        let Some(found) = read.value.filter(Record::is_wanted) else {
            return Ok(Completion::skip("its environment is ending or gone"));
        };
        let database = self.engine.cloud.database(fleet, found.database_number()).await?.value;
        let failed_restore = database.as_ref().is_some_and(|database| database.has_failed_restore(self.now));
        if found.repaired_by.is_some() && !failed_restore {
            return Ok(Completion::skip("a user keeps it for repairs"));
        }
        let mut instances = self.engine.cloud.instances_of(&found.environment).await?.value;
        instances.retain(|instance| is_instance_of(instance, &found));
        let named = self.engine.cloud.instance_of(&found);
        let (named, fresh) = self.engine.read_fresh(named).await?.split();
        if let Some(restored) = self.restore_lost_tags(&found, named.as_ref()).await? {
            return Ok(restored);
        }
        instances.extend(named);
        let alive = instances.iter().any(|instance| !instance.state.is_ending());
        let usable = database.is_some_and(|database| {
            let has_ended = matches!(database.status_class(), StatusClass::Failed | StatusClass::Deleting);
            !has_ended && !database.is_overdue(self.now)
        });
        if alive && usable {
            return Ok(Completion::skip("its instance and database exist after all"));
        }
        let failure = LaunchFailure { at: read.now.unwrap_or(self.now), reason: reason.into() };
        let changes = TagChanges::fail(&failure);
        let call = self.engine.cloud.tag_record(record, &changes);
        match self.engine.act_while_fresh(&fresh, "CreateTags", call).await {
            Ok(done) => Ok(Completion::from_fresh(done)),
            Err(error) => skip_if_gone(Err(error)),
        }
    }

    pub(super) async fn terminate_instance(
        &self,
        environment: &EnvironmentId,
        instance: &InstanceId,
        reason: &TerminationReason,
    ) -> StepResult {
        let cloud = &self.engine.cloud;
        let read = match reason {
            TerminationReason::Ending(record) => match self.read_ending(record).await? {
                Ok((read, _)) => read,
                Err(why) => return Ok(Completion::skip(why)),
            },
            TerminationReason::Surplus { record, keep } => {
                let (found, _) = self.read_record(record).await?.split();
                let Some(found) = found else { return Ok(Completion::skip("its record is gone")) };
                let (mut alive, read) =
                    self.engine.read_fresh(cloud.instances_of(environment)).await?.split();
                alive.retain(|other| !other.state.is_ending() && is_instance_of(other, &found));
                alive.sort_unstable_by(|a, b| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
                if alive.first().is_none_or(|first| first.id != *keep) || keep == instance {
                    return Ok(Completion::skip("it is the record's only or oldest instance now"));
                }
                read
            }
            TerminationReason::Orphan => {
                let (found, read) = self.engine.read_fresh(cloud.find_record(environment)).await?.split();
                let orphan = cloud.instance(&self.world.fleet.name, instance).await?.value;
                let Some(orphan) = orphan.filter(|orphan| orphan.orphan_since.is_some()) else {
                    return Ok(Completion::skip("it is gone, or no longer marked"));
                };
                if found.is_some_and(|record| is_instance_of(&orphan, &record)) {
                    return Ok(Completion::skip("it has a record after all"));
                }
                read
            }
        };
        let call = cloud.terminate_instance(instance);
        self.engine.act_while_fresh(&read, "TerminateInstances", call).await.map(Completion::from_fresh)
    }

    pub(super) async fn delete_database(&self, record: &RecordId, environment: &EnvironmentId) -> StepResult {
        let cloud = &self.engine.cloud;
        let database = cloud.database(&self.world.fleet.name, environment.number).await?.value;
        let Some(database) = database else { return Ok(Completion::skip("it is gone")) };
        if database.environment.as_ref().is_some_and(|owner| owner != environment) {
            return Ok(Completion::skip("its tag names another environment"));
        }
        self.wait_for_claim(record, &database).await;
        let (read, found) = match self.read_ending(record).await? {
            Ok(ending) => ending,
            Err(why) => return Ok(Completion::skip(why)),
        };
        let read = match found.replaces() {
            None => read,
            Some(replaces) => match self.read_released(replaces, &found).await? {
                Ok(read) => read,
                Err(why) => return Ok(Completion::skip(why)),
            },
        };
        let call = cloud.delete_database(&database.id);
        self.engine.act_while_fresh(&read, "DeleteDBInstance", call).await.map(Completion::from_fresh)
    }

    /// Waits for as long as reads lag if a database names another record than the one whose number it has. Numbers can be used again: it is the
    /// record of a later environment, and then a read no longer shows this one, or that of an earlier one, whose claim took effect late. Both do
    /// not exist at the same time, because their names are the same.
    pub(super) async fn wait_for_claim(&self, record: &RecordId, database: &Database) {
        if database.record.as_ref().is_some_and(|named| named != record) {
            self.engine.clock.sleep(READ_LAG).await;
        }
    }

    /// Deletes a record once its instance and database are gone. The record is the finalizer: it leads engines to the rest until then.
    pub(super) async fn delete_record(&self, record: &RecordId, environment: &EnvironmentId) -> StepResult {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        let (read, found) = match self.read_ending(record).await? {
            Ok(ending) => ending,
            Err(why) => return Ok(Completion::skip(why)),
        };
        let mut instances = cloud.instances_of(environment).await?.value;
        let named = cloud.instance_of(&found).await?.value;
        if let Some(restored) = self.restore_lost_tags(&found, named.as_ref()).await? {
            return Ok(restored);
        }
        instances.extend(named);
        let exists = |state| state != InstanceState::Terminated;
        if instances.iter().any(|instance| is_instance_of(instance, &found) && exists(instance.state)) {
            return Ok(Completion::skip("its instance still exists"));
        }
        let is_launched = found.instance.is_some() || !instances.is_empty();
        let database = match cloud.database(fleet, environment.number).await {
            // A namesake. Nothing can have used a database of this record, and a database of the fleet without tags stays visible as unreadable.
            Err(error) if error.is(ErrorClass::Unreadable) && !is_launched && found.is_environment() => None,
            read => read?.value,
        };
        if let Some(database) = database {
            let untouched = database.environment.is_none() && !is_launched;
            if !found.is_environment() || !untouched {
                return Ok(Completion::skip("its database still exists"));
            }
        }
        let call = cloud.delete_record(record);
        self.engine.act_while_fresh(&read, "DeleteLaunchTemplate", call).await.map(Completion::from_fresh)
    }

    /// Claims a database by a retirement, which then ends like an environment whose termination was requested.
    pub(super) async fn retire(
        &self,
        environment: &EnvironmentId,
        status: StatusClass,
        reason: &str,
    ) -> StepResult {
        let cloud = &self.engine.cloud;
        let id: DatabaseId = environment.database_id();
        let database = cloud.database(&self.world.fleet.name, environment.number).await?.value;
        let Some(database) = database else { return Ok(Completion::skip("it is gone")) };
        if database.environment.is_some() && database.orphan_since.is_none() {
            return Ok(Completion::skip("it was claimed meanwhile"));
        }
        if database.status_class() != status {
            return Ok(Completion::skip(format!("it is {} now", database.status)));
        }
        let new = NewRecord {
            environment: environment.clone(),
            owner: self.engine.config.host.clone(),
            created_at: self.now,
            claim: self.engine.nonce(),
            company_tags: self.policy.company_tags.clone(),
            purpose: Purpose::Retire { reason: reason.to_owned() },
        };
        match cloud.create_record(&self.world.fleet, &new).await {
            Ok(_) => Ok(Completion::done()),
            Err(error) if error.is(ErrorClass::AlreadyExists) => {
                Ok(Completion::skip("it was claimed meanwhile"))
            }
            Err(error) => Err(CloudError { message: format!("{id}: {}", error.message), ..error }),
        }
    }
}
