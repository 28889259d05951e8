//! Requests that Lambda repeats. It repeats an asynchronous request that failed or timed out, twice by default, although the first one may
//! have changed the fleet.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use super::{Engine, Launched};
use crate::domain::{Record, TagChanges};
use crate::failure::Failure;

impl Engine {
    /// Returns the environment that an earlier invocation of the same Lambda request has claimed, unless it failed or is ending. If it has
    /// no instance yet, any engine continues the launch.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read, because another launch could be one too many.
    pub async fn repeated_launch(&self) -> Result<Option<Launched>, Failure> {
        let Some(request) = &self.config.request else { return Ok(None) };
        let world = self.observe().await?;
        if let Some(problem) = &world.records.problem {
            return Err(Failure::cloud("cannot launch", problem));
        }
        let mut records = world.records.iter().filter(|record| record.is_wanted() && record.is_environment());
        let found = records.find(|record| record.claim.as_ref().is_some_and(|claim| *claim == **request));
        Ok(found.map(|record| Launched {
            database: record.environment.fleet.database_id(record.database_number()),
            environment: record.environment.clone(),
            record: record.id.clone(),
            instance: record.instance.clone(),
            expires_at: record.ends_at(&world.fleet.policy),
        }))
    }

    /// Whether an earlier invocation of the same Lambda request has changed this record.
    pub(super) fn has_changed(&self, record: &Record) -> bool {
        let request = self.config.request.as_ref();
        request.is_some_and(|request| record.requests.iter().any(|known| known == request))
    }

    /// Adds the Lambda request to changes of a record, so that a repetition recognises them.
    pub(super) fn with_request_id(&self, changes: TagChanges, record: &Record) -> TagChanges {
        match &self.config.request {
            Some(request) => changes.request(record, request),
            None => changes,
        }
    }
}
