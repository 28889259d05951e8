//! Requests to terminate an environment.

use super::{Engine, Terminating};
use crate::domain::lifecycle::observe_only_reason;
use crate::domain::{EnvironmentId, TagChanges, Termination};
use crate::failure::Failure;

impl Engine {
    /// Records that a user wants an environment to end; any engine then tears it down. Asking again is not an error.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such environment, and the error of AWS if the record cannot be written.
    pub async fn terminate(&self, id: &EnvironmentId) -> Result<Terminating, Failure> {
        let what = format!("cannot terminate {id}");
        let (record, now) = self.current_record(id, &what).await?;
        self.register_own_request(&record.id);
        if record.terminate.is_none() {
            let termination = Termination { at: now, by: self.config.user.as_str().into() };
            let changes = TagChanges::terminate(&termination);
            let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
            let reason = format!("{} of {}", record.name, record.owner);
            self.log_write("terminate", &id.to_string(), &reason, &written).await;
            written.map_err(|error| Failure::cloud(&what, &error))?;
        }
        Ok(Terminating { environment: id.clone(), delayed_by: self.delay_of_engines(id).await })
    }

    /// Returns why no engine of this version would end an environment now, if that is known.
    async fn delay_of_engines(&self, id: &EnvironmentId) -> Option<String> {
        match self.cloud.fleet(&id.fleet).await {
            Ok(Some(fleet)) => observe_only_reason(&fleet, &self.config.version),
            Ok(None) => Some(format!("the launch template of fleet {} is gone", id.fleet)),
            // The request stands, and engines read the fleet themselves.
            Err(_) => None,
        }
    }
}
