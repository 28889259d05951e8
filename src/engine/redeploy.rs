//! Requests to deploy other versions of an environment's services, or the same ones anew.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::audit::outcome_of;
use super::extend::{MAX_READ_BACKS, READ_BACK_DELAY, check_not_ending};
use super::{Engine, Redeployed};
use crate::domain::environment::{deployment_to_mirror, is_instance_of};
use crate::domain::record::max_services;
use crate::domain::tags::key;
use crate::domain::text::Untrusted;
use crate::domain::{Deployment, EnvironmentId, Instance, InstanceState, Phase, Policy, Record, TagChanges};
use crate::failure::{Failure, Kind};

/// What a user wants to deploy into an environment that exists. Services that it does not name keep their image tags, and all are deployed
/// anew, because the image of a tag can have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedeployRequest {
    /// Services under test and their new image tags; see [`crate::domain::record::parse_service`].
    pub services: BTreeMap<String, String>,
    /// Services to take out of the services under test, so that the chart's own version is deployed.
    pub defaults: BTreeSet<String>,
}

impl RedeployRequest {
    /// Returns the services under test after the change.
    fn apply_to(&self, services: &BTreeMap<Untrusted, Untrusted>) -> BTreeMap<Untrusted, Untrusted> {
        let mut after = services.clone();
        after.retain(|name, _| !self.defaults.contains(name.raw()));
        after.extend(self.services.iter().map(|(name, tag)| (name.as_str().into(), tag.as_str().into())));
        after
    }

    fn to_changes(&self, request: &Deployment) -> TagChanges {
        let mut changes = TagChanges::new().set(key::DEPLOYMENT, request.to_tag());
        for (name, tag) in &self.services {
            changes = changes.set(&format!("{}{name}", key::SERVICE_PREFIX), tag);
        }
        for name in &self.defaults {
            changes = changes.remove(&format!("{}{name}", key::SERVICE_PREFIX));
        }
        changes
    }

    /// Whether the services of a record are as the request wants them.
    fn is_in(&self, services: &BTreeMap<Untrusted, Untrusted>) -> bool {
        self.apply_to(services) == *services
    }
}

/// Formats the changes between two sets of services, such as `payments f-1 → f-2, web default`.
#[must_use]
pub fn format_changes(
    before: &BTreeMap<Untrusted, Untrusted>,
    after: &BTreeMap<Untrusted, Untrusted>,
) -> String {
    let names: BTreeSet<&Untrusted> = before.keys().chain(after.keys()).collect();
    let changes: Vec<_> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("{name} {old} → {new}")),
            (None, Some(new)) => Some(format!("{name} → {new}")),
            (_, None) => Some(format!("{name} default")),
        })
        .collect();
    if changes.is_empty() { "the same versions".to_owned() } else { changes.join(", ") }
}

impl Engine {
    /// Requests that an environment's instance deploys other versions of its services, and reads the record back. The instance begins within
    /// seconds. If two users request at once, both sets of services are deployed.
    ///
    /// # Errors
    /// Returns `Usage` for too many services or an unknown default, `TooLate` if the environment is ending, `Refused` if it is not ready or its
    /// bootstrap is too old, and `UnknownOutcome` if the request could not be confirmed.
    pub async fn redeploy(
        &self,
        id: &EnvironmentId,
        request: &RedeployRequest,
    ) -> Result<Redeployed, Failure> {
        let what = format!("cannot redeploy {id}");
        let (record, now) = self.current_record(id, &what).await?;
        let policy = self.look_again(|| self.policy_of(id, &what)).await?;
        check_not_ending(&record, &policy, now, &what)?;
        if let Some(deployment) = record.deployment.clone().filter(|_| self.has_changed(&record)) {
            let changes = "requested before".to_owned();
            let (record, services) = (record.id, record.services);
            return Ok(Redeployed { environment: id.clone(), record, deployment, services, changes });
        }
        check_services(&record, request, &policy, &what)?;
        let instances = self.retry(|| self.cloud.instances_of(id)).await;
        let instances = instances.map_err(|error| Failure::cloud(&what, &error))?.value;
        let instance = Instance::first(
            instances.into_iter().filter(|instance| is_instance_of(instance, &record)).collect(),
        );
        check_ready(id, instance.as_ref(), &what)?;

        let deployment = Deployment {
            at: next_time(&record, instance.as_ref(), now),
            by: self.config.user.as_str().into(),
        };
        self.register_own_request(&record.id);
        let after = request.apply_to(&record.services);
        let reason = format_changes(&record.services, &after);
        let changes = self.with_request_id(request.to_changes(&deployment), &record);
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        if written.is_err() {
            self.log_write("redeploy", &id.to_string(), &reason, &written).await;
        }
        written.map_err(|error| Failure::cloud(&what, &error))?;
        let confirmed = self.read_deployment_back(&record, request, &deployment, &what).await;
        if let Ok((current, _)) = &confirmed {
            self.mirror_request(current, instance, now).await;
        }
        let (outcome, detail) = outcome_of(&confirmed, |_| String::new());
        self.log_request("redeploy", &id.to_string(), &reason, outcome, detail).await;
        let (current, deployment) = confirmed?;
        Ok(Redeployed {
            environment: id.clone(),
            record: record.id,
            deployment,
            services: current.services,
            changes: reason,
        })
    }

    /// Confirms that the record has the request, or a later one of another user. Reads lag writes, so a read that shows neither is repeated.
    async fn read_deployment_back(
        &self,
        record: &Record,
        request: &RedeployRequest,
        deployment: &Deployment,
        what: &str,
    ) -> Result<(Record, Deployment), Failure> {
        let unconfirmed =
            |error| Failure::cloud(format!("{what}: the request was written but not confirmed"), &error);
        let id = &record.environment;
        let mut is_gone = false;
        for _ in 0..MAX_READ_BACKS {
            let read = self.retry(|| self.cloud.record(&id.fleet, &record.id)).await.map_err(unconfirmed)?;
            is_gone = read.value.is_none();
            if let Some(current) = read.value {
                if current.terminate.is_some() {
                    let message = format!("too late to redeploy {id}: its termination was requested");
                    return Err(Failure::new(Kind::TooLate, message, "launch a new one"));
                }
                let before = record.deployment.as_ref().map(|before| before.at);
                let shown = current.deployment.clone().filter(|shown| Some(shown.at) > before);
                // Another user's request that was written after this one counts for both, even if it was made earlier.
                let found = shown.filter(|shown| {
                    shown == deployment || shown.at > deployment.at || request.is_in(&current.services)
                });
                if let Some(found) = found {
                    return Ok((current, found));
                }
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        if is_gone {
            let message = format!("too late to redeploy {id}: the environment is gone");
            return Err(Failure::new(Kind::TooLate, message, "launch a new one"));
        }
        let message = format!("{what}: the request was written, but AWS does not show it");
        Err(Failure::new(Kind::UnknownOutcome, message, "check with hatchery ls before you try again"))
    }

    /// Copies the request to the instance, which reads its own tags only. If this fails, the next pass of any engine repeats it.
    async fn mirror_request(&self, record: &Record, instance: Option<Instance>, now: DateTime<Utc>) {
        let Some(instance) = instance else { return };
        let Some(changes) = deployment_to_mirror(record, &instance, now) else { return };
        if let Err(error) = self.cloud.tag_instance(&instance.id, &changes).await {
            tracing::warn!(environment = %record.environment, %error, "cannot mirror the request on the instance");
        }
    }
}

/// Returns the time of a request: AWS's, and later than each request before. Tags have a resolution of one second.
pub(super) fn next_time(record: &Record, instance: Option<&Instance>, now: DateTime<Utc>) -> DateTime<Utc> {
    let copied = instance.and_then(|instance| instance.deployment.as_ref());
    let answered = instance.and_then(|instance| instance.rollout.as_ref()).map(|rollout| rollout.request);
    let earlier = record.deployment.iter().chain(copied).map(|request| request.at).chain(answered).max();
    let now = now.trunc_subsecs(0);
    earlier.map_or(now, |earlier| now.max(earlier + TimeDelta::seconds(1)))
}

fn check_services(
    record: &Record,
    request: &RedeployRequest,
    policy: &Policy,
    what: &str,
) -> Result<(), Failure> {
    if let Some(name) = request.defaults.iter().find(|name| request.services.contains_key(*name)) {
        let message = format!("{what}: service {name} is given a tag and its default");
        return Err(Failure::new(Kind::Usage, message, "give each service one of them"));
    }
    let is_known = |name: &str| record.services.keys().any(|known| known.raw() == name);
    if let Some(name) = request.defaults.iter().find(|name| !is_known(name)) {
        let known: Vec<_> = record.services.keys().map(ToString::to_string).collect();
        let hint = if known.is_empty() {
            "it has no services under test".to_owned()
        } else {
            format!("it tests {}", known.join(", "))
        };
        return Err(Failure::new(Kind::Usage, format!("{what}: it does not test the service {name}"), hint));
    }
    let (count, max) = (request.apply_to(&record.services).len(), max_services(&policy.company_tags));
    if count > max {
        let message = format!("{what}: {count} services under test are too many; the maximum is {max}");
        return Err(Failure::new(Kind::Usage, message, "take others out with --default"));
    }
    Ok(())
}

/// Refuses an instance that cannot deploy now.
fn check_ready(id: &EnvironmentId, instance: Option<&Instance>, what: &str) -> Result<(), Failure> {
    let wait = || format!("wait until it is ready; see: hatchery logs {id}");
    let (why, hint) = match instance {
        None => ("its instance does not exist yet".to_owned(), wait()),
        Some(instance) if instance.state.is_ending() => {
            let message = format!("{what}: its instance is {}", instance.state);
            return Err(Failure::new(Kind::TooLate, message, "launch a new one"));
        }
        Some(instance) => match (instance.state, instance.phase) {
            (InstanceState::Stopping | InstanceState::Stopped, _) => {
                let hint = format!("start {} and wait until it is ready", instance.id);
                (format!("its instance is {}", instance.state), hint)
            }
            (_, Some(Phase::Failed)) => ("its bootstrap failed".to_owned(), "launch a new one".to_owned()),
            (_, Some(Phase::Ready)) if instance.rollout.is_some() => return Ok(()),
            (_, Some(Phase::Ready)) => {
                ("its bootstrap is too old to redeploy".to_owned(), "launch a new one".to_owned())
            }
            _ => ("it is not ready".to_owned(), wait()),
        },
    };
    Err(Failure::new(Kind::Refused, format!("{what}: {why}"), hint))
}
