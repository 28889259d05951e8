//! Asynchronous events: instances boot and fail, restores and deletions end, snapshots and images are created, and an operator intervenes.

use chrono::TimeDelta;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use super::scenario::Guarantee;
use super::state::{Change, Event, State, seconds};
use crate::domain::instance::{format_timeline, parse_timeline};
use crate::domain::tags::{self, Tags, key};
use crate::domain::text::Untrusted;
use crate::domain::{Deployment, InstanceState, Phase, Rollout, RolloutState, StatusClass};

/// How long EC2 lists a terminated instance.
const TERMINATED_LISTED_FOR: TimeDelta = TimeDelta::hours(1);

/// How long after its expiry an instance terminates itself.
const DEAD_MAN_DELAY: TimeDelta = TimeDelta::hours(6);

/// The name of AWS in the history.
pub(super) const CLOUD: &str = "cloud";

/// The name of the operator in the history.
const OPERATOR: &str = "operator";

/// Returns the tags with the digests of the images under test: hashes of their names.
pub(super) fn digests(tags: &Tags) -> Tags {
    let services = tags.iter().filter_map(|(key, tag)| Some((key.strip_prefix(key::SERVICE_PREFIX)?, tag)));
    let digest = |service, tag| format!("sha256:{}", hex::encode(Sha256::digest(format!("{service}:{tag}"))));
    services
        .map(|(service, tag)| (format!("{}{service}", key::DIGEST_PREFIX), digest(service, tag)))
        .collect()
}

fn id_of<T>((id, _): (&str, T)) -> String {
    id.to_owned()
}

impl State {
    pub(super) fn handle_event(&mut self, event: Event) {
        match event {
            Event::Running(id) => self.set_state(&id, InstanceState::Pending, InstanceState::Running),
            Event::Bootstrap(id, phase) => self.bootstrap(&id, phase),
            Event::DeadManSwitch(id) => self.check_dead_man_switch(&id),
            Event::InstanceFailed(id) => {
                if self.instances.get(&id).is_some_and(|instance| !instance.state.is_ending()) {
                    self.count_fault("instance failed");
                    self.terminate(&id, CLOUD);
                }
            }
            Event::Terminated(id) => {
                self.set_state(&id, InstanceState::ShuttingDown, InstanceState::Terminated);
                self.schedule(self.now + TERMINATED_LISTED_FOR, Event::Unlisted(id));
            }
            Event::Unlisted(id) => {
                self.instances.remove(&id, self.now);
            }
            Event::Restored(id) => self.restored(&id),
            Event::RestoreFailed(id) => {
                let status = self.status_of_failed_restore();
                self.set_status(&id, "creating", status);
            }
            Event::Deleted(id) => {
                if self.databases.remove(&id, self.now).is_some() {
                    self.record(CLOUD, || format!("{id} is gone"));
                    self.changed(CLOUD, &Change::Database(id));
                }
            }
            Event::Snapshot => {
                self.take_snapshot(self.now);
                self.schedule(self.now + TimeDelta::days(1), Event::Snapshot);
            }
            Event::Image => {
                self.build_image(self.now);
                self.schedule(self.now + TimeDelta::days(1), Event::Image);
            }
            Event::RunEnded(kind, build) => self.end_run(kind, build),
            Event::Operator => {
                self.intervene();
                self.schedule_chance(self.scenario.faults.operator_per_day, Event::Operator);
            }
            Event::ZoneOutage => {
                let index = self.random.random_range(0..self.subnets.len());
                let until = self.now + TimeDelta::minutes(30);
                self.count_fault("zone out");
                self.zone_out = Some((self.subnets[index].zone.raw().to_owned(), until));
                self.schedule_chance(self.scenario.faults.zone_out_per_day, Event::ZoneOutage);
            }
            Event::NoisyNeighbour => {
                let minutes = self.random.random_range(1..6);
                self.count_fault("noisy neighbour");
                self.buckets.noisy_neighbour(self.now + TimeDelta::minutes(minutes));
                self.schedule_chance(self.scenario.faults.noisy_neighbours_per_day, Event::NoisyNeighbour);
            }
            Event::Duplicate(serial) => {
                if let Some(mut duplicate) = self.duplicates.remove(&serial) {
                    let now = self.now;
                    duplicate(self, now);
                }
            }
            Event::Deployment(id, stage) => self.deploy(&id, stage),
            Event::InstanceStopped(id) => {
                self.set_state(&id, InstanceState::Stopping, InstanceState::Stopped);
            }
            event => self.handle_strict_event(event),
        }
    }

    fn set_state(&mut self, id: &str, from: InstanceState, to: InstanceState) {
        if self.instances.get(id).is_some_and(|instance| instance.state == from) {
            self.instances.change(id, self.now, |instance| instance.state = to);
            self.record(CLOUD, || format!("{id} is {to}"));
            self.changed(CLOUD, &Change::Instance(id.to_owned()));
        }
    }

    fn set_status(&mut self, id: &str, from: &str, to: &str) {
        if self.databases.get(id).is_some_and(|database| database.status == from) {
            self.databases.change(id, self.now, |database| to.clone_into(&mut database.status));
            self.record(CLOUD, || format!("{id} is {to}"));
            self.changed(CLOUD, &Change::Database(id.to_owned()));
        }
    }

    fn restored(&mut self, id: &str) {
        let now = self.now;
        if self.databases.get(id).is_some_and(|database| database.status == "creating") {
            self.databases.change(id, now, |database| {
                database.endpoint = Some(format!("{id}.c9akciq32.eu-west-1.rds.amazonaws.com:5432"));
                database.created_at = Some(now);
            });
        }
        if self.databases.get(id).is_none_or(|database| database.status != "creating") {
            return;
        }
        match self.status_after_restore() {
            None => self.set_status(id, "creating", "available"),
            Some((status, seconds)) => {
                self.set_status(id, "creating", status);
                self.settle_in(id, seconds, "available");
            }
        }
        self.begin_database_events(id);
    }

    /// Starts the termination of an instance.
    pub(super) fn terminate(&mut self, id: &str, who: &str) {
        let is_active = self.instances.get(id).is_some_and(|instance| !instance.state.is_ending());
        if is_active {
            self.instances.change(id, self.now, |instance| {
                instance.state = InstanceState::ShuttingDown;
                instance.public_ip = None;
            });
            let seconds = self.sample(&format!("{id} ends"), self.scenario.latency.terminate);
            self.schedule_in(seconds, Event::Terminated(id.to_owned()));
            self.record(who, || format!("{id} is shutting down"));
            self.changed(who, &Change::Instance(id.to_owned()));
        }
    }

    /// Enters a phase of the bootstrap and schedules the next one.
    fn bootstrap(&mut self, id: &str, index: usize) {
        let Some(instance) = self.instances.get(id).cloned() else { return };
        if instance.state != InstanceState::Running {
            return;
        }
        let database = instance.tags.get(key::DATABASE).and_then(|id| self.databases.get(id)).cloned();
        let is_waiting = index == 1 && database.as_ref().is_none_or(|database| database.endpoint.is_none());
        let phase = Phase::PATH[index];
        if instance.tags.get(key::PHASE).map(String::as_str) != Some(phase.as_str()) {
            self.enter_phase(id, phase, &instance);
        }
        if is_waiting {
            // The bootstrap polls its database.
            let failed = database
                .is_some_and(|database| StatusClass::from_status(&database.status) == StatusClass::Failed);
            if !failed {
                self.schedule_in(10.0, Event::Bootstrap(id.to_owned(), index));
            }
            return;
        }
        let latency = &self.scenario.latency;
        let range = match phase {
            Phase::Booting => [0.0, 0.0],
            Phase::Database => [2.0, 6.0],
            Phase::Images => latency.images,
            Phase::Cluster => latency.cluster,
            Phase::Services => latency.services,
            Phase::Ready | Phase::Failed => return,
        };
        if phase == Phase::Services && instance.fails.is_some() {
            return self.enter_phase(id, Phase::Failed, &instance);
        }
        let environment = instance.environment().unwrap_or(id);
        let seconds = self.sample(&format!("{environment} {phase}"), range);
        self.schedule_in(seconds, Event::Bootstrap(id.to_owned(), index + 1));
    }

    fn enter_phase(&mut self, id: &str, phase: Phase, instance: &super::state::SimInstance) {
        let now = self.now;
        let age = u64::try_from((now - instance.launched_at).num_seconds()).unwrap_or(0);
        let fails = instance.fails.clone();
        self.instances.change(id, now, |instance| {
            let previous = instance.tags.get(key::TIMELINE).map(|timeline| parse_timeline(timeline));
            let mut timeline = previous.unwrap_or_default();
            timeline.insert(phase, age);
            instance.tags.insert(key::PHASE.into(), phase.as_str().into());
            instance.tags.insert(key::TIMELINE.into(), format_timeline(&timeline));
            if phase == Phase::Ready {
                instance.tags.insert(key::READY_AT.into(), tags::format_time(now));
                instance.tags.extend(digests(&instance.tags));
                let last = instance.tags.get(key::DEPLOYMENT).and_then(|value| Deployment::parse(value));
                let request = last.map_or(now, |last| last.at);
                let rollout = Rollout { request, state: RolloutState::Done, detail: Untrusted::default() };
                instance.tags.insert(key::ROLLOUT.into(), rollout.to_tag());
            }
            if phase == Phase::Failed {
                instance.tags.insert(key::DETAIL.into(), fails.unwrap_or_default());
            }
        });
        if phase == Phase::Ready {
            self.can_deploy(id);
        }
        self.log_phase(id, phase);
        self.record(CLOUD, || format!("{id} is in phase {phase}"));
        self.changed(CLOUD, &Change::Tags(id.to_owned()));
    }

    /// Terminates an instance that is long past the expiry in its tags.
    fn check_dead_man_switch(&mut self, id: &str) {
        let Some(instance) = self.instances.get(id).filter(|instance| !instance.state.is_ending()) else {
            return;
        };
        let end = instance.expires_at().unwrap_or(self.now) + DEAD_MAN_DELAY;
        if end <= self.now {
            self.terminate(id, CLOUD);
        } else {
            self.schedule(end, Event::DeadManSwitch(id.to_owned()));
        }
    }

    /// Schedules the first check of an instance's dead man's switch.
    pub(super) fn arm_dead_man_switch(&mut self, id: &str) {
        let expiry =
            self.instances.get(id).and_then(super::state::SimInstance::expires_at).unwrap_or(self.now);
        self.schedule(expiry + DEAD_MAN_DELAY, Event::DeadManSwitch(id.to_owned()));
    }

    /// An operator deletes an instance, a database or a record by hand, or removes one of its tags.
    fn intervene(&mut self) {
        self.count_fault("operator");
        let kind = self.random.random_range(0..3);
        let choices = self.fleet_resources(kind);
        if choices.is_empty() {
            return;
        }
        let id = choices[self.random.random_range(0..choices.len())].clone();
        let removes_tag = self.random.random_bool(0.25);
        match kind {
            _ if removes_tag => self.remove_tag(&id),
            0 => self.terminate(&id, OPERATOR),
            1 => self.delete_database(&id, OPERATOR),
            _ => self.delete_template(&id, OPERATOR),
        }
    }

    /// Returns the ids of the fleet's active instances (0), databases (1) or records (2).
    fn fleet_resources(&self, kind: u32) -> Vec<String> {
        let records = format!("hatchery/{}/", self.scenario.fleet);
        let databases = format!("hatchery-{}-", self.scenario.fleet);
        let is_active = |instance: &super::state::SimInstance| !instance.state.is_ending();
        match kind {
            0 => self.instances.iter().filter(|(_, instance)| is_active(instance)).map(id_of).collect(),
            1 => self.databases.iter().filter(|(id, _)| id.starts_with(&databases)).map(id_of).collect(),
            _ => {
                let own = self.templates.iter().filter(|(_, template)| template.name.starts_with(&records));
                own.map(id_of).collect()
            }
        }
    }

    /// Removes a descriptive tag. The identity tags stay, because the engine never touches a resource without them, so it would never be deleted.
    fn remove_tag(&mut self, id: &str) {
        const REMOVABLE: [&str; 4] = [key::NAME, key::OWNER, key::EXPIRES_AT, key::PHASE];
        let removed = REMOVABLE[self.random.random_range(0..REMOVABLE.len())];
        let now = self.now;
        let exists = self.instances.change(id, now, |instance| drop(instance.tags.remove(removed)))
            || self.templates.change(id, now, |template| drop(template.tags.remove(removed)))
            || self.databases.change(id, now, |database| drop(database.tags.remove(removed)));
        if exists {
            self.record(OPERATOR, || format!("tag {removed} of {id} is removed"));
            self.changed(OPERATOR, &Change::Tags(id.to_owned()));
        }
    }

    /// Starts the deletion of a database.
    pub(super) fn delete_database(&mut self, id: &str, who: &str) {
        self.databases.change(id, self.now, |database| "deleting".clone_into(&mut database.status));
        let seconds = self.sample(&format!("{id} goes"), self.scenario.latency.delete);
        self.schedule_in(seconds, Event::Deleted(id.to_owned()));
        self.record(who, || format!("{id} is being deleted"));
        self.changed(who, &Change::Database(id.to_owned()));
    }

    pub(super) fn delete_template(&mut self, id: &str, who: &str) {
        if let Some(template) = self.templates.remove(id, self.now) {
            if self.names.get(&template.name).is_some_and(|current| current == id) {
                self.names.remove(&template.name);
            }
            if self.breaks(Guarantee::Fencing)
                && let Some(launch) = template.launch.clone()
            {
                self.deleted.insert(id.to_owned(), launch);
            }
            self.record(who, || format!("{id} ({}) is deleted", template.name));
            self.changed(who, &Change::Template(id.to_owned()));
        }
    }

    /// Schedules the events of an instance from its launch on, which may be in the past for an initial environment.
    pub(super) fn boot(&mut self, id: &str) {
        let environment = self.instances.get(id).and_then(|instance| instance.environment()).unwrap_or(id);
        let running = self.sample(&format!("{environment} runs"), self.scenario.latency.running);
        let boot =
            self.sample(&format!("{environment} boots"), self.scenario.latency.boot).max(running + 1.0);
        let launched = self.instances.get(id).map_or(self.now, |instance| instance.launched_at);
        self.schedule(launched + seconds(running), Event::Running(id.to_owned()));
        self.schedule(launched + seconds(boot), Event::Bootstrap(id.to_owned(), 0));
        self.schedule_failure(id);
        self.arm_dead_man_switch(id);
    }

    fn schedule_failure(&mut self, id: &str) {
        let per_day = self.scenario.faults.instance_failures_per_day;
        self.schedule_chance(per_day, Event::InstanceFailed(id.to_owned()));
    }
}
