//! The steps that take something away. Nothing is taken away on what was seen in a listing alone.

use super::{
    Acted, Actor, CloudError, DatabaseId, Done, EnvironmentId, ErrorClass, FreshRead, InstanceId,
    InstanceState, NewRecord, Purpose, Record, RecordId, Result, TerminationReason, is_instance_of, plan,
};

impl Actor<'_> {
    /// The record, if it stands and its environment is to end: judged by AWS's clock of this very answer.
    async fn look_at_ending(
        &self,
        record: &RecordId,
    ) -> Result<Result<(FreshRead<()>, Record), &'static str>> {
        let look = self.read_record(record).await?;
        let Some(now) = look.now else { return Ok(Err("AWS did not say what time it is")) };
        let (found, look) = look.split();
        Ok(match found {
            None => Err("its record is gone"),
            Some(found) if !plan::is_ending(&found, self.policy, now) => Err("it was extended"),
            Some(found) => Ok((look, found)),
        })
    }

    pub(super) async fn terminate_instance(
        &self,
        environment: &EnvironmentId,
        instance: &InstanceId,
        reason: &TerminationReason,
    ) -> Acted {
        let cloud = &self.engine.cloud;
        let look = match reason {
            TerminationReason::Ending(record) => match self.look_at_ending(record).await? {
                Ok((look, _)) => look,
                Err(why) => return Ok(Done::skip(why)),
            },
            TerminationReason::Surplus { record, keep } => {
                let (found, _) = self.read_record(record).await?.split();
                let Some(found) = found else { return Ok(Done::skip("its record is gone")) };
                let look = self.engine.read_fresh(cloud.instances_of(environment)).await?;
                let (mut alive, look) = look.split();
                alive.retain(|other| !other.state.is_ending() && is_instance_of(other, &found));
                alive.sort_unstable_by(|a, b| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
                if alive.first().is_none_or(|first| first.id != *keep) || keep == instance {
                    return Ok(Done::skip("another one is the record's own now"));
                }
                look
            }
            TerminationReason::Orphan => {
                let (found, look) = self.engine.read_fresh(cloud.find_record(environment)).await?.split();
                let seen = cloud.instance(&self.world.fleet.name, instance).await?.value;
                let Some(seen) = seen.filter(|seen| seen.orphan_since.is_some()) else {
                    return Ok(Done::skip("it is gone, or not marked any more"));
                };
                if found.is_some_and(|record| is_instance_of(&seen, &record)) {
                    return Ok(Done::skip("it has a record after all"));
                }
                look
            }
        };
        let call = cloud.terminate_instance(instance);
        self.engine.act_while_fresh(&look, "TerminateInstances", call).await.map(Done::from_fresh)
    }

    pub(super) async fn delete_database(&self, record: &RecordId, environment: &EnvironmentId) -> Acted {
        let cloud = &self.engine.cloud;
        let database = cloud.database(&self.world.fleet.name, environment.number).await?.value;
        let Some(database) = database else { return Ok(Done::skip("it is gone")) };
        if database.environment.as_ref().is_some_and(|owner| owner != environment) {
            return Ok(Done::skip("its tag names another environment"));
        }
        let look = match self.look_at_ending(record).await? {
            Ok((look, _)) => look,
            Err(why) => return Ok(Done::skip(why)),
        };
        let call = cloud.delete_database(&database.id);
        self.engine.act_while_fresh(&look, "DeleteDBInstance", call).await.map(Done::from_fresh)
    }

    /// The record goes last: it is the finalizer.
    pub(super) async fn delete_record(&self, record: &RecordId, environment: &EnvironmentId) -> Acted {
        let cloud = &self.engine.cloud;
        let fleet = &self.world.fleet.name;
        let (look, found) = match self.look_at_ending(record).await? {
            Ok(ending) => ending,
            Err(why) => return Ok(Done::skip(why)),
        };
        let mut instances = cloud.instances_of(environment).await?.value;
        if let Some(id) = found.instance.as_ref().filter(|id| instances.iter().all(|seen| seen.id != **id)) {
            instances.extend(cloud.instance(fleet, id).await?.value);
        }
        let still_there = |state| state != InstanceState::Terminated;
        if instances.iter().any(|instance| is_instance_of(instance, &found) && still_there(instance.state)) {
            return Ok(Done::skip("its instance is still there"));
        }
        if let Some(database) = cloud.database(fleet, environment.number).await?.value {
            let untouched =
                database.environment.is_none() && found.instance.is_none() && instances.is_empty();
            if found.retirement || !untouched {
                return Ok(Done::skip("its database is still there"));
            }
        }
        let call = cloud.delete_record(record);
        self.engine.act_while_fresh(&look, "DeleteLaunchTemplate", call).await.map(Done::from_fresh)
    }

    /// Takes the claim on a database for nobody. From then on it ends like any environment that somebody asked to end.
    pub(super) async fn retire(&self, environment: &EnvironmentId, reason: &str) -> Acted {
        let cloud = &self.engine.cloud;
        let id: DatabaseId = environment.database_id();
        let database = cloud.database(&self.world.fleet.name, environment.number).await?.value;
        let Some(database) = database else { return Ok(Done::skip("it is gone")) };
        if database.environment.is_some() && database.orphan_since.is_none() {
            return Ok(Done::skip("it was claimed meanwhile"));
        }
        let new = NewRecord {
            environment: environment.clone(),
            owner: self.engine.config.host.clone(),
            created_at: self.now,
            claim: self.engine.nonce(),
            purpose: Purpose::Retire { reason: reason.to_owned() },
        };
        match cloud.create_record(&self.world.fleet, &new).await {
            Ok(_) => Ok(Done::plainly()),
            Err(error) if error.is(ErrorClass::AlreadyExists) => Ok(Done::skip("it was claimed meanwhile")),
            Err(error) => Err(CloudError { message: format!("{id}: {}", error.message), ..error }),
        }
    }
}
