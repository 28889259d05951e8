//! Deployments into instances that are ready, which their tags ask for.

use super::events::{CLOUD, digests};
use super::state::{Change, Event, SimInstance, Stage, State};
use crate::domain::record::parse_services;
use crate::domain::tags::key;
use crate::domain::{Deployment, InstanceState, Rollout, RolloutState, StatusClass};

/// Returns what the tags ask for; `None` without a request.
fn wanted(instance: &SimInstance) -> Option<String> {
    let request = request(instance)?;
    let database = instance.tags.get(key::DATABASE);
    Some(format!("{} {database:?} {:?}", request.at, parse_services(&instance.tags)))
}

fn request(instance: &SimInstance) -> Option<Deployment> {
    Deployment::parse(instance.tags.get(key::DEPLOYMENT)?)
}

impl State {
    /// Tells that the bootstrap of an instance has succeeded, and that it can deploy.
    pub(super) fn can_deploy(&mut self, id: &str) {
        self.instances.change(id, self.now, |instance| {
            let request = request(instance).map_or(instance.launched_at, |request| request.at);
            let rollout = Rollout { request, state: RolloutState::Done, detail: "".into() };
            instance.tags.insert(key::ROLLOUT.into(), rollout.to_tag().trim_end().to_owned());
            instance.deployment.is_ready = true;
            instance.deployment.deployed = wanted(instance);
        });
    }

    /// Wakes the instance if a change makes it deploy.
    pub(super) fn watch_deployment(&mut self, change: &Change) {
        let (Change::Tags(id) | Change::Instance(id)) = change else { return };
        let Some(instance) = self.instances.get(id) else { return };
        let wanted = wanted(instance);
        if instance.deployment.is_awake || !can_begin(instance) || wanted == instance.deployment.deployed {
            return;
        }
        let label = format!("{} looks for {wanted:?}", instance.environment().unwrap_or(id));
        let delay = self.sample(&label, [1.0, 16.0]);
        self.instances.change(id, self.now, |instance| instance.deployment.is_awake = true);
        self.schedule_in(delay, Event::Deployment(id.clone(), Stage::Begin));
    }

    pub(super) fn deploy(&mut self, id: &str, stage: Stage) {
        let Some(instance) = self.instances.get(id).cloned() else { return };
        let wanted = wanted(&instance);
        let (Some(request), true) = (request(&instance), can_begin(&instance)) else {
            return self.sleep(id, None);
        };
        if stage == Stage::Begin && wanted == instance.deployment.deployed {
            return self.sleep(id, wanted);
        }
        // A later request replaces the running one.
        let stage = if wanted == instance.deployment.working { stage } else { Stage::Begin };
        let environment = instance.environment().unwrap_or(id).to_owned();
        let report = |state, detail: &str| Rollout { request: request.at, state, detail: detail.into() };
        let label = |what: &str| format!("{environment} {what} {}", request.to_tag());
        match stage {
            Stage::Begin => {
                self.instances.change(id, self.now, |instance| instance.deployment.working = wanted);
                let count = parse_services(&instance.tags).len();
                self.roll_out(id, &report(RolloutState::Running, &format!("pulling {count} images")));
                let delay = self.sample(&label("pulls"), self.scenario.latency.images);
                self.schedule_in(delay, Event::Deployment(id.to_owned(), Stage::Services));
            }
            Stage::Services => {
                let database = instance.tags.get(key::DATABASE).cloned().unwrap_or_default();
                let found = self.databases.get(&database);
                let class = found.map(|found| StatusClass::from_status(&found.status));
                let is_restored = found.is_some_and(|found| found.endpoint.is_some());
                match class {
                    None | Some(StatusClass::Failed | StatusClass::Deleting) => {
                        let why = format!("database: {database} cannot be used");
                        self.end(id, wanted, &report(RolloutState::Failed, &why));
                    }
                    Some(_) if !is_restored => {
                        self.roll_out(id, &report(RolloutState::Running, &format!("{database} is creating")));
                        self.schedule_in(10.0, Event::Deployment(id.to_owned(), Stage::Services));
                    }
                    Some(_) => {
                        self.roll_out(id, &report(RolloutState::Running, "waiting for deployments"));
                        let delay = self.sample(&label("starts"), self.scenario.latency.services);
                        self.schedule_in(delay, Event::Deployment(id.to_owned(), Stage::End));
                    }
                }
            }
            Stage::End => {
                let fails = self.sample(&label("fails"), [0.0, 1.0]) < self.scenario.faults.deployment_fails;
                let rollout = if fails {
                    let services = parse_services(&instance.tags);
                    let name = services.keys().next().map_or("queue", |name| name.raw());
                    report(RolloutState::Failed, &format!("services: deployment/{name} is not healthy"))
                } else {
                    report(RolloutState::Done, "")
                };
                self.end(id, wanted, &rollout);
            }
        }
    }

    fn end(&mut self, id: &str, deployed: Option<String>, rollout: &Rollout) {
        if rollout.state == RolloutState::Done {
            self.instances.change(id, self.now, |instance| instance.tags.extend(digests(&instance.tags)));
        }
        self.sleep(id, deployed);
        self.roll_out(id, rollout);
    }

    fn sleep(&mut self, id: &str, deployed: Option<String>) {
        self.instances.change(id, self.now, |instance| {
            let deployment = &mut instance.deployment;
            (deployment.is_awake, deployment.working) = (false, None);
            deployment.deployed = deployed.or(deployment.deployed.take());
        });
    }

    fn roll_out(&mut self, id: &str, rollout: &Rollout) {
        let value = rollout.to_tag().trim_end().to_owned();
        let line = format!("deployment: {} {}", rollout.state, rollout.detail);
        self.instances
            .change(id, self.now, |instance| drop(instance.tags.insert(key::ROLLOUT.into(), value)));
        let record = self.instances.get(id).and_then(|instance| instance.tags.get(key::AWS_TEMPLATE_ID));
        if let Some(record) = record.cloned() {
            self.write_log(&record, "bootstrap", line.trim_end());
        }
        self.record(CLOUD, || format!("{id} has the {}", line.trim_end()));
        self.changed(CLOUD, &Change::Tags(id.to_owned()));
    }
}

fn can_begin(instance: &SimInstance) -> bool {
    instance.deployment.is_ready && instance.state == InstanceState::Running
}
