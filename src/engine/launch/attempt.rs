//! One attempt to launch the instance of a record, which every engine makes with the identical request.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Claim;
use crate::cloud::{LaunchInstance, Observed, Result};
use crate::domain::lifecycle::{self, Placement};
use crate::domain::tags::key;
use crate::domain::{
    CloudError, EnvironmentId, ErrorClass, InstanceId, LaunchFailure, Policy, RecordId, TagChanges,
};
use crate::engine::Engine;

/// The delays before the reads that must all miss a record before it is taken for deleted.
const VISIBLE_AFTER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// How long a launch waits for EC2 to find a new record.
pub(crate) const VISIBLE_WITHIN: Duration =
    VISIBLE_AFTER[0].saturating_add(VISIBLE_AFTER[1]).saturating_add(VISIBLE_AFTER[2]);

/// The outcome of one attempt to launch the instance.
pub(in crate::engine) enum AttemptOutcome {
    /// EC2 created the instance.
    Launched(InstanceId),
    /// This placement failed; retry with the next one.
    NextPlacement(CloudError),
    /// No placement can succeed; the failure is written on the record.
    Failed(CloudError),
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launched(id) => write!(f, "{id}"),
            Self::NextPlacement(error) => write!(f, "the next attempt uses another placement: {error}"),
            Self::Failed(error) => write!(f, "failed for good: {error}"),
        }
    }
}

impl Engine {
    /// Whether the record of a launch is gone. A launch from a template that was created a moment ago may not find it yet.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
    pub(super) async fn is_gone(&self, claim: &Claim) -> bool {
        let fleet = &claim.environment.fleet;
        for delay in VISIBLE_AFTER {
            self.clock.sleep(delay).await;
            match self.cloud.record(fleet, &claim.record).await {
                Ok(read) if read.value.is_none() => {}
                // It exists, or nothing is known.
                _ => return false,
            }
        }
        true
    }

    /// Sends one launch attempt of a record. Every engine sends the identical request for the same attempt.
    ///
    /// # Errors
    /// Returns an error if the outcome is unknown, or if the same attempt may succeed later or by another engine, which has other permissions.
    pub(in crate::engine) async fn attempt(
        &self,
        policy: &Policy,
        environment: &EnvironmentId,
        record: &RecordId,
        attempt: u32,
        now: Option<DateTime<Utc>>,
    ) -> Result<AttemptOutcome> {
        let Placement { subnet, instance_type } = lifecycle::placement(policy, attempt).unwrap_or_default();
        let request = LaunchInstance {
            record: record.clone(),
            token: record.client_token(attempt),
            subnet,
            instance_type,
        };
        let error = match self.cloud.launch_instance(&request).await {
            Ok(instance) => {
                // If this fails, the next pass of any engine repeats it.
                let changes = TagChanges::new().set(key::INSTANCE, instance.as_str());
                if let Err(error) = self.cloud.tag_record(record, &changes).await {
                    tracing::warn!(%environment, %error, "cannot write the instance on the record");
                }
                return Ok(AttemptOutcome::Launched(instance));
            }
            Err(error) => error,
        };
        let token_used = error.code == "IdempotentParameterMismatch";
        let next = match error.class {
            ErrorClass::Capacity => lifecycle::placement(policy, attempt + 1).map(|_| attempt + 1),
            // Another engine used this token under another policy. Its instance is looked up below.
            ErrorClass::Invalid if token_used => Some(attempt + 1),
            ErrorClass::Quota | ErrorClass::Invalid => None,
            _ => return Err(error),
        };
        // Another engine may launch it as soon as the cause is gone, so the refusal is written at once or not at all.
        let (found, read) = self.read_fresh(self.find_launched(environment, record)).await?.split();
        if let Some(found) = found {
            return Ok(AttemptOutcome::Launched(found));
        }
        let changes = match next {
            Some(next) => TagChanges::new().set(key::ATTEMPT, next.to_string()),
            None => TagChanges::fail(&LaunchFailure {
                at: now.unwrap_or_else(|| self.clock.now()),
                reason: error.to_string().into(),
            }),
        };
        let call = self.cloud.tag_record(record, &changes);
        if self.act_while_fresh(&read, "CreateTags", call).await?.is_none() {
            return Err(error);
        }
        Ok(match next {
            Some(_) => AttemptOutcome::NextPlacement(error),
            None => AttemptOutcome::Failed(error),
        })
    }

    async fn find_launched(
        &self,
        environment: &EnvironmentId,
        record: &RecordId,
    ) -> Result<Observed<Option<InstanceId>>> {
        let Observed { value: instances, as_of } = self.cloud.instances_of(environment).await?;
        let of_record = |id: &Option<RecordId>| id.as_ref() == Some(record);
        let mut alive: Vec<_> =
            instances.into_iter().filter(|i| of_record(&i.record) && !i.state.is_ending()).collect();
        alive.sort_unstable_by(|a, b| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
        Ok(Observed { value: alive.into_iter().next().map(|instance| instance.id), as_of })
    }
}
