//! Requests for a new image.

use super::Engine;
use crate::domain::text::Untrusted;
use crate::domain::{ErrorClass, Outcome, PipelineKind};
use crate::failure::{Failure, Kind};

impl Engine {
    /// Starts a run of an image pipeline and returns its version.
    ///
    /// # Errors
    /// Returns `NotFound` if the fleet has no such pipeline, and the error of AWS if it does not start.
    pub async fn bake(&self, kind: PipelineKind) -> Result<Untrusted, Failure> {
        let fleet = &self.config.fleet;
        let started = self.cloud.start_pipeline(fleet, kind).await;
        let (outcome, detail) = match &started {
            Ok(version) => (Outcome::Done, version.to_string()),
            Err(error) => (Outcome::of_error(error), error.to_string()),
        };
        self.log_request("bake-image", &kind.pipeline_name(fleet), "requested", outcome, detail).await;
        started.map_err(|error| match error.class {
            ErrorClass::NotFound => {
                let message = format!("fleet {fleet} has no pipeline of {kind} images");
                Failure::new(Kind::NotFound, message, "deploy the template of: hatchery stack")
            }
            _ => Failure::cloud(format!("cannot start the pipeline of {kind} images"), &error),
        })
    }
}
