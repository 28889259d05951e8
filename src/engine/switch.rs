//! The switch of an environment to the database that its reset has claimed.

use super::Engine;
use super::redeploy::next_time;
use crate::cloud::Result;
use crate::domain::{
    DatabaseId, Deployment, FleetName, InstanceId, Number, Policy, Record, RecordId, TagChanges, lifecycle,
};

/// The records and the instance of a switch.
pub(super) struct Switch {
    /// The environment's record.
    pub(super) record: RecordId,
    pub(super) replacement: RecordId,
    /// The number of the database that the environment uses now.
    pub(super) from: Number,
    pub(super) instance: InstanceId,
}

pub(super) enum Switched {
    Done(DatabaseId),
    /// The switch is not possible now, for this reason.
    Skipped(&'static str),
}

impl Engine {
    /// Writes the new database on the environment's record, in one change with the request to deploy it, and then on the instance. If the second
    /// write fails, the next pass of any engine repeats it.
    ///
    /// The record is read last, and the change is made while that read is fresh. An ending replacement keeps its database for longer than this
    /// can take.
    pub(super) async fn switch_database(
        &self,
        policy: &Policy,
        fleet: &FleetName,
        switch: &Switch,
    ) -> Result<Switched> {
        let is_for = |found: &Record| found.is_wanted() && found.is_replacement_for(&switch.record);
        let started = self.fresh();
        let Some(replacement) = self.cloud.record(fleet, &switch.replacement).await?.value.filter(is_for)
        else {
            return Ok(Switched::Skipped("its reset has ended"));
        };
        let database = self.cloud.database(fleet, replacement.number()).await?.value;
        let is_bound = database.as_ref().is_some_and(|database| {
            database.is_ready()
                && database.environment.as_ref() == Some(&replacement.environment)
                && database.record.as_ref() == Some(&replacement.id)
        });
        if !is_bound {
            return Ok(Switched::Skipped("the new database is not ready"));
        }
        let read = self.cloud.record(fleet, &switch.record).await?;
        let (Some(user), Some(now)) = (read.value, read.as_of) else {
            return Ok(Switched::Skipped("its record is gone, or the response has no time"));
        };
        if !user.is_wanted() || lifecycle::is_over(&user, policy, now) {
            return Ok(Switched::Skipped("its environment is ending"));
        }
        if user.database_number() != switch.from {
            return Ok(Switched::Skipped("it uses another database now"));
        }
        // The instance distinguishes requests by their time.
        let deployment = Deployment { at: next_time(&user, None, now), by: replacement.owner.clone() };
        let database = fleet.database_id(replacement.number());
        let changes = TagChanges::use_database(&database, &deployment);
        let call = self.cloud.tag_record(&switch.record, &changes);
        if self.act_while_fresh(&started, "CreateTags", call).await?.is_none() {
            return Ok(Switched::Skipped("the last read is too old; the next pass reads again"));
        }
        if let Err(error) = self.cloud.tag_instance(&switch.instance, &changes).await {
            tracing::warn!(instance = %switch.instance, %error, "cannot tell the instance its new database yet");
        }
        Ok(Switched::Done(database))
    }
}
