//! What happens by itself: instances boot, databases come and go, snapshots are taken, and somebody tidies up by hand.

use chrono::TimeDelta;
use rand::RngExt as _;

use super::scenario::Guarantee;
use super::state::{Change, Event, State, span};
use crate::domain::instance::{format_timeline, parse_timeline};
use crate::domain::tags::{self, key};
use crate::domain::{InstanceState, Phase, StatusClass};

/// How long a terminated instance stays listed.
const LISTED_FOR: TimeDelta = TimeDelta::hours(1);

/// How long after its expiry an instance's dead man's switch waits for an engine.
const DEAD_MAN_WAITS: TimeDelta = TimeDelta::hours(6);

/// Who does what happens by itself.
pub(super) const CLOUD: &str = "cloud";

/// Who tidies up by hand.
const OPERATOR: &str = "operator";

fn own_id<T>((id, _): (&str, T)) -> String {
    id.to_owned()
}

impl State {
    pub(super) fn handle_event(&mut self, event: Event) {
        match event {
            Event::Running(id) => self.set_state(&id, InstanceState::Pending, InstanceState::Running),
            Event::Bootstrap(id, phase) => self.bootstrap(&id, phase),
            Event::DeadMan(id) => self.dead_man(&id),
            Event::Dies(id) => {
                if self.instances.get(&id).is_some_and(|instance| !instance.state.is_ending()) {
                    self.fault("instance died");
                    self.shut_down(&id, CLOUD);
                }
            }
            Event::Terminated(id) => {
                self.set_state(&id, InstanceState::ShuttingDown, InstanceState::Terminated);
                self.schedule(self.now + LISTED_FOR, Event::Forgotten(id));
            }
            Event::Forgotten(id) => {
                self.instances.remove(&id, self.now);
            }
            Event::Restored(id) => self.restored(&id),
            Event::RestoreFails(id) => self.set_status(&id, "creating", "incompatible-network"),
            Event::Deleted(id) => {
                if self.databases.remove(&id, self.now).is_some() {
                    self.note(CLOUD, || format!("{id} is gone"));
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
            Event::Operator => {
                self.tidy_up_by_hand();
                self.schedule_chance(self.scenario.faults.operator_per_day, Event::Operator);
            }
            Event::ZoneOut => {
                let index = self.random.random_range(0..self.subnets.len());
                let until = self.now + TimeDelta::minutes(30);
                self.fault("zone out");
                self.zone_out = Some((self.subnets[index].zone.clone(), until));
                self.schedule_chance(self.scenario.faults.zone_out_per_day, Event::ZoneOut);
            }
            Event::NoisyNeighbour => {
                let minutes = self.random.random_range(1..6);
                self.fault("noisy neighbour");
                self.buckets.noisy_neighbour(self.now + TimeDelta::minutes(minutes));
                self.schedule_chance(self.scenario.faults.noisy_neighbours_per_day, Event::NoisyNeighbour);
            }
            Event::Again(serial) => {
                if let Some(mut replay) = self.replays.remove(&serial) {
                    let now = self.now;
                    replay(self, now);
                }
            }
        }
    }

    fn set_state(&mut self, id: &str, from: InstanceState, to: InstanceState) {
        if self.instances.get(id).is_some_and(|instance| instance.state == from) {
            self.instances.change(id, self.now, |instance| instance.state = to);
            self.note(CLOUD, || format!("{id} is {to}"));
            self.changed(CLOUD, &Change::Instance(id.to_owned()));
        }
    }

    fn set_status(&mut self, id: &str, from: &str, to: &str) {
        if self.databases.get(id).is_some_and(|database| database.status == from) {
            self.databases.change(id, self.now, |database| to.clone_into(&mut database.status));
            self.note(CLOUD, || format!("{id} is {to}"));
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
        self.set_status(id, "creating", "available");
    }

    /// Begins to end an instance.
    pub(super) fn shut_down(&mut self, id: &str, who: &str) {
        let alive = self.instances.get(id).is_some_and(|instance| !instance.state.is_ending());
        if alive {
            self.instances.change(id, self.now, |instance| {
                instance.state = InstanceState::ShuttingDown;
                instance.public_ip = None;
            });
            let seconds = self.sample(&format!("{id} ends"), self.scenario.latency.terminate);
            self.schedule_in(seconds, Event::Terminated(id.to_owned()));
            self.note(who, || format!("{id} shuts down"));
            self.changed(who, &Change::Instance(id.to_owned()));
        }
    }

    /// One phase of the bootstrap ends and the next begins; each is written to the instance's own tags.
    fn bootstrap(&mut self, id: &str, index: usize) {
        let Some(instance) = self.instances.get(id).cloned() else { return };
        if instance.state != InstanceState::Running {
            return;
        }
        let database = instance.tags.get(key::DATABASE).and_then(|id| self.databases.get(id)).cloned();
        let waits = index == 1 && database.as_ref().is_none_or(|database| database.endpoint.is_none());
        let phase = Phase::PATH[index];
        if instance.tags.get(key::PHASE).map(String::as_str) != Some(phase.as_str()) {
            self.enter(id, phase, &instance);
        }
        if waits {
            // The bootstrap asks again until its database answers.
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
            return self.enter(id, Phase::Failed, &instance);
        }
        let environment = instance.environment().unwrap_or(id);
        let seconds = self.sample(&format!("{environment} {phase}"), range);
        self.schedule_in(seconds, Event::Bootstrap(id.to_owned(), index + 1));
    }

    fn enter(&mut self, id: &str, phase: Phase, instance: &super::state::SimInstance) {
        let now = self.now;
        let age = u64::try_from((now - instance.launched_at).num_seconds()).unwrap_or(0);
        let fails = instance.fails.clone();
        self.instances.change(id, now, |instance| {
            let written = instance.tags.get(key::TIMELINE).map(|timeline| parse_timeline(timeline));
            let mut timeline = written.unwrap_or_default();
            timeline.insert(phase, age);
            instance.tags.insert(key::PHASE.into(), phase.as_str().into());
            instance.tags.insert(key::TIMELINE.into(), format_timeline(&timeline));
            if phase == Phase::Ready {
                instance.tags.insert(key::READY_AT.into(), tags::format_time(now));
            }
            if phase == Phase::Failed {
                instance.tags.insert(key::DETAIL.into(), fails.unwrap_or_default());
            }
        });
        self.ship_bootstrap(id, phase);
        self.note(CLOUD, || format!("{id} is in phase {phase}"));
        self.changed(CLOUD, &Change::Tags(id.to_owned()));
    }

    /// The instance ends itself when it is well past the expiry in its own tags and no engine has come.
    fn dead_man(&mut self, id: &str) {
        let Some(instance) = self.instances.get(id).filter(|instance| !instance.state.is_ending()) else {
            return;
        };
        let end = instance.expires_at().unwrap_or(self.now) + DEAD_MAN_WAITS;
        if end <= self.now {
            self.shut_down(id, CLOUD);
        } else {
            self.schedule(end, Event::DeadMan(id.to_owned()));
        }
    }

    /// When a new instance's dead man's switch looks first.
    pub(super) fn arm_dead_man(&mut self, id: &str) {
        let expiry =
            self.instances.get(id).and_then(super::state::SimInstance::expires_at).unwrap_or(self.now);
        self.schedule(expiry + DEAD_MAN_WAITS, Event::DeadMan(id.to_owned()));
    }

    /// Somebody with all permissions and no idea: ends an instance, a database or a record, or takes a tag off one.
    fn tidy_up_by_hand(&mut self) {
        self.fault("operator");
        let kind = self.random.random_range(0..3);
        let choices = self.things_to_tidy(kind);
        if choices.is_empty() {
            return;
        }
        let id = choices[self.random.random_range(0..choices.len())].clone();
        let only_a_tag = self.random.random_bool(0.25);
        match kind {
            _ if only_a_tag => self.lose_a_tag(&id),
            0 => self.shut_down(&id, OPERATOR),
            1 => self.begin_delete(&id, OPERATOR),
            _ => self.remove_template(&id, OPERATOR),
        }
    }

    /// The instances (0), databases (1) or records (2) of the scenario's fleet.
    fn things_to_tidy(&self, kind: u32) -> Vec<String> {
        let records = format!("hatchery/{}/", self.scenario.fleet);
        let databases = format!("hatchery-{}-", self.scenario.fleet);
        let alive = |instance: &super::state::SimInstance| !instance.state.is_ending();
        match kind {
            0 => self.instances.iter().filter(|(_, instance)| alive(instance)).map(own_id).collect(),
            1 => self.databases.iter().filter(|(id, _)| id.starts_with(&databases)).map(own_id).collect(),
            _ => {
                let own = self.templates.iter().filter(|(_, template)| template.name.starts_with(&records));
                own.map(own_id).collect()
            }
        }
    }

    /// Takes off a tag that says what a thing is. Those that say whose it is stay: without them nobody may touch it, and it
    /// would stay for ever.
    fn lose_a_tag(&mut self, id: &str) {
        const LOSABLE: [&str; 4] = [key::NAME, key::OWNER, key::EXPIRES_AT, key::PHASE];
        let lost = LOSABLE[self.random.random_range(0..LOSABLE.len())];
        let now = self.now;
        let gone = self.instances.change(id, now, |instance| drop(instance.tags.remove(lost)))
            || self.templates.change(id, now, |template| drop(template.tags.remove(lost)))
            || self.databases.change(id, now, |database| drop(database.tags.remove(lost)));
        if gone {
            self.note(OPERATOR, || format!("tag {lost} of {id} is lost"));
            self.changed(OPERATOR, &Change::Tags(id.to_owned()));
        }
    }

    /// Begins to delete a database.
    pub(super) fn begin_delete(&mut self, id: &str, who: &str) {
        self.databases.change(id, self.now, |database| "deleting".clone_into(&mut database.status));
        let seconds = self.sample(&format!("{id} goes"), self.scenario.latency.delete);
        self.schedule_in(seconds, Event::Deleted(id.to_owned()));
        self.note(who, || format!("{id} is being deleted"));
        self.changed(who, &Change::Database(id.to_owned()));
    }

    /// Deletes a launch template.
    pub(super) fn remove_template(&mut self, id: &str, who: &str) {
        if let Some(template) = self.templates.remove(id, self.now) {
            if self.names.get(&template.name).is_some_and(|own| own == id) {
                self.names.remove(&template.name);
            }
            if self.breaks(Guarantee::Fencing)
                && let Some(launch) = template.launch.clone()
            {
                self.deleted.insert(id.to_owned(), launch);
            }
            self.note(who, || format!("{id} ({}) is deleted", template.name));
            self.changed(who, &Change::Template(id.to_owned()));
        }
    }

    /// Lets time pass for an instance that was launched earlier, at the making of a scenario.
    pub(super) fn boot(&mut self, id: &str) {
        let environment = self.instances.get(id).and_then(|instance| instance.environment()).unwrap_or(id);
        let running = self.sample(&format!("{environment} runs"), self.scenario.latency.running);
        let boot =
            self.sample(&format!("{environment} boots"), self.scenario.latency.boot).max(running + 1.0);
        let launched = self.instances.get(id).map_or(self.now, |instance| instance.launched_at);
        self.schedule(launched + span(running), Event::Running(id.to_owned()));
        self.schedule(launched + span(boot), Event::Bootstrap(id.to_owned(), 0));
        self.schedule_chance_of_death(id);
        self.arm_dead_man(id);
    }

    fn schedule_chance_of_death(&mut self, id: &str) {
        let per_day = self.scenario.faults.dies_per_day;
        self.schedule_chance(per_day, Event::Dies(id.to_owned()));
    }
}
