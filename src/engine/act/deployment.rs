//! The step that copies a request to deploy from the record to the instance.

use super::{Actor, Completion, StepResult, skip_if_gone};
use crate::domain::environment::deployment_to_mirror;
use crate::domain::{EnvironmentId, InstanceId, RecordId};

impl Actor<'_> {
    /// Reads both again, because the listings may be older than the request.
    pub(super) async fn mirror_deployment(
        &self,
        record: &RecordId,
        environment: &EnvironmentId,
        instance: &InstanceId,
    ) -> StepResult {
        let read = self.read_record(record).await?;
        let now = read.now.unwrap_or(self.now);
        let Some(found) = read.value.filter(|found| found.terminate.is_none()) else {
            return Ok(Completion::skip("its environment is ending or gone"));
        };
        let cloud = &self.engine.cloud;
        let instances = cloud.instances_of(environment).await?.value;
        let Some(current) = instances.iter().find(|current| current.id == *instance) else {
            return Ok(Completion::skip("it is gone"));
        };
        match deployment_to_mirror(&found, current, now) {
            None => Ok(Completion::skip("it has the request")),
            Some(changes) => skip_if_gone(cloud.tag_instance(instance, &changes).await),
        }
    }
}
