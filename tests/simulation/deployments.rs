//! Checks of deployments into environments that are ready: what was confirmed comes about, and nothing else changes with it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::State;
use hatchery::domain::tags::{Tags, key};
use hatchery::domain::text::Untrusted;
use hatchery::domain::{
    Deployment, DeploymentState, Environment, EnvironmentState, FleetName, Instance, InstanceState, Record,
};
use sha2::{Digest as _, Sha256};

use crate::liveness::true_world;
use crate::ownership::Ownership;

/// How long a confirmed deployment may take while nothing hinders it.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

/// The tags of a record by which it lives and ends.
const LIFE: [&str; 5] = [key::EXPIRES_AT, key::REAPING_SINCE, key::FAILURE, key::INSTANCE, key::CLAIM];

#[derive(Default)]
pub(crate) struct Deployments {
    /// The latest request that was confirmed to any user, by record.
    confirmed: BTreeMap<String, DateTime<Utc>>,
    /// Since when a record's deployment has been waited for.
    waiting: BTreeMap<String, (Option<DateTime<Utc>>, DateTime<Utc>)>,
    reported: std::collections::BTreeSet<String>,
    /// The number of deployments that were seen to be done or failed.
    pub(crate) ended: u64,
}

impl Deployments {
    pub(crate) fn confirm(&mut self, record: &str, request: &Deployment) {
        let latest = self.confirmed.entry(record.to_owned()).or_insert(request.at);
        *latest = request.at.max(*latest);
    }

    /// I4: a request to deploy neither moves the end of an environment nor changes anything else by which it lives.
    pub(crate) fn changed(ownership: &Ownership, state: &State, who: &str, record: &str) -> Option<String> {
        let (_, template) = state.templates().find(|(own, _)| *own == record)?;
        let (after, (_, before)) = (&template.tags, ownership.templates.get(record)?);
        let is_request = before.get(key::DEPLOYMENT) != after.get(key::DEPLOYMENT);
        let life = |tags: &Tags| -> Vec<(String, String)> {
            let is_life = |key: &str| LIFE.contains(&key) || key.starts_with("hatchery:expires-at.");
            tags.iter().filter(|(key, _)| is_life(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let differs = is_request && life(before) != life(after);
        differs.then(|| format!("{who} requested a deployment of {record}, and changed more with it"))
    }

    /// I11: what was confirmed is deployed or has failed with a reason. `free_since` is since when nothing keeps engines from their work.
    pub(crate) fn sample(
        &mut self,
        state: &State,
        fleet: &FleetName,
        free_since: Option<DateTime<Utc>>,
    ) -> Vec<String> {
        let Some(world) = true_world(state, fleet) else { return Vec::new() };
        let now = state.now();
        let mut found = Vec::new();
        for environment in Environment::all(&world, now) {
            let record = environment.record;
            let id = record.id.to_string();
            let Some(confirmed) = self.confirmed.get(&id) else { continue };
            let instance = environment.instance.filter(|instance| instance.state == InstanceState::Running);
            // Engines refuse to deploy if the record of the replacement whose database it uses was deleted by hand.
            let instance = instance.filter(|_| environment.current.is_some());
            let (Some(free_since), Some(instance), EnvironmentState::Ready) =
                (free_since, instance, environment.state)
            else {
                self.waiting.remove(&id);
                continue;
            };
            let status = environment.deployment();
            let Some(status) = status else {
                if self.reported.insert(id.clone()) {
                    found.push(format!("the deployment of {id} at {confirmed} was confirmed, and is lost"));
                }
                continue;
            };
            if status.state == DeploymentState::Failed || runs(record, instance, status.state) {
                self.ended += u64::from(self.waiting.remove(&id).is_some());
                continue;
            }
            // Each request has its own time.
            let request = record.deployment.as_ref().map(|deployment| deployment.at);
            let waiting = self.waiting.entry(id.clone()).or_insert((request, now));
            if waiting.0 != request {
                *waiting = (request, now);
            }
            let since = waiting.1.max(free_since);
            if since + PATIENCE <= now && self.reported.insert(format!("{id} {since}")) {
                found.push(format!(
                    "the deployment of {id} ({}) has come to nothing since {since}",
                    instance.id
                ));
            }
        }
        found
    }
}

/// Whether the instance runs what the record asks for.
fn runs(record: &Record, instance: &Instance, state: DeploymentState) -> bool {
    let digest = |service: &str, tag: &str| {
        format!("sha256:{}", hex::encode(Sha256::digest(format!("{service}:{tag}"))))
    };
    state == DeploymentState::Done
        && instance.services == record.services
        && record.services.iter().all(|(service, tag)| {
            let running = instance.digests.get(service).map(Untrusted::raw);
            running == Some(digest(service.raw(), tag.raw()).as_str())
        })
        && instance.digests.keys().all(|service| record.services.contains_key(service))
}
