//! Requests to terminate an environment.

use super::Engine;
use crate::domain::{EnvironmentId, Outcome, TagChanges, Termination};
use crate::failure::Failure;

impl Engine {
    /// Records that a user wants an environment to end; any engine then tears it down. Asking again is not an error.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such environment, and the error of AWS if the record cannot be written.
    pub async fn terminate(&self, id: &EnvironmentId) -> Result<(), Failure> {
        let what = format!("cannot terminate {id}");
        let (record, now) = self.current_record(id, &what).await?;
        self.register_own_request(&record.id);
        if record.terminate.is_some() {
            return Ok(());
        }
        let termination = Termination { at: now, by: self.config.user.clone() };
        let changes = TagChanges::terminate(&termination);
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        let outcome = if written.is_ok() { Outcome::Done } else { Outcome::Failed };
        let detail = written.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let reason = format!("{} of {}", record.name, record.owner);
        self.log_request("terminate", &id.to_string(), &reason, outcome, detail).await;
        written.map_err(|error| Failure::cloud(&what, &error))
    }
}
