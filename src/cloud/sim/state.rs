//! The state of the simulated account, and its queue of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::scenario::{Guarantee, Scenario};
use super::sent_notices::SimNotices;
use super::throttle::{Buckets, Service};
use super::versioned::Store;
use crate::domain::tags::{self, Tags, key};
use crate::domain::{
    AuditEvent, Image, ImageId, InstanceState, PipelineKind, Snapshot, SnapshotId, Subnet, SubnetId,
};

/// How long old versions are retained beyond the scenario's lag.
const MARGIN_SECONDS: i64 = 5;

#[derive(Debug, Clone)]
pub struct Template {
    /// Unique in the account.
    pub name: String,
    pub created_at: DateTime<Utc>,
    pub tags: Tags,
    /// The launch data of a record; `None` for retirements, replacements and base templates.
    pub launch: Option<LaunchData>,
    /// The settings of a base template.
    pub base: super::super::BaseTemplate,
}

/// The launch data of a record.
#[derive(Debug, Clone)]
pub struct LaunchData {
    pub instance_type: String,
    pub subnet: SubnetId,
    /// The tags of the instance.
    pub tags: Tags,
}

#[derive(Debug, Clone)]
pub struct SimInstance {
    pub state: InstanceState,
    pub instance_type: String,
    pub zone: String,
    pub public_ip: Option<String>,
    pub private_ip: String,
    pub launched_at: DateTime<Utc>,
    pub tags: Tags,
    /// The reason why its bootstrap fails; it succeeds without one.
    pub fails: Option<String>,
    /// Whether it is protected from termination.
    pub protected: bool,
    pub(super) deployment: SimDeployment,
}

/// How far an instance is with its deployments.
#[derive(Debug, Clone, Default)]
pub(super) struct SimDeployment {
    /// Whether its bootstrap has succeeded.
    pub(super) is_ready: bool,
    /// Whether a stage is scheduled.
    pub(super) is_awake: bool,
    /// What the tags asked for when the last deployment ended.
    pub(super) deployed: Option<String>,
    /// What the current deployment deploys.
    pub(super) working: Option<String>,
}

/// A stage of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The timer finds the request.
    Begin,
    Services,
    End,
}

#[derive(Debug, Clone)]
pub struct SimDatabase {
    /// RDS's status, such as `available`.
    pub status: String,
    /// `host:port`.
    pub endpoint: Option<String>,
    /// RDS's creation time, which is when the database first became available.
    pub created_at: Option<DateTime<Utc>>,
    pub zone: String,
    pub tags: Tags,
    /// Whether it is protected from deletion.
    pub protected: bool,
    /// Counts the changes of its status, so that a scheduled end of a status does not end a later one.
    pub(super) episode: u64,
}

impl SimDatabase {
    /// Returns the percentage of its volume that is loaded, if RDS takes this many minutes after the restore for that.
    pub(super) fn loaded(&self, minutes: f64, now: DateTime<Utc>) -> Option<u8> {
        let percent = (now - self.created_at?).as_seconds_f64() / (minutes * 60.0) * 100.0;
        // It is from 0 to 100.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (minutes > 0.0 && (0.0..100.0).contains(&percent)).then_some(percent as u8)
    }
}

/// A line of a log stream.
#[derive(Debug, Clone)]
pub(super) struct StoredLine {
    /// Counts the lines of its stream from 0, dropped ones included.
    pub(super) number: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Running(String),
    Bootstrap(String, usize),
    DeadManSwitch(String),
    InstanceFailed(String),
    Terminated(String),
    Unlisted(String),
    Restored(String),
    RestoreFailed(String),
    Deleted(String),
    Snapshot,
    Image,
    RunEnded(PipelineKind, usize),
    Operator,
    ZoneOutage,
    NoisyNeighbour,
    /// A request is processed a second time.
    Duplicate(u64),
    /// An instance that is stopped by hand is `stopped`.
    InstanceStopped(String),
    Busy(String),
    Maintenance,
    MaintenanceOf(String),
    StorageFull(String),
    Terminal(String),
    /// A database leaves the status of this episode.
    Settled(String, u64, &'static str),
    DatabaseZoneOutage,
    ServiceOutage,
    Deployment(String, Stage),
}

/// A run of an image pipeline. It always succeeds.
pub(super) struct SimRun {
    pub(super) kind: PipelineKind,
    /// The build number of its version.
    pub(super) build: usize,
    pub(super) started_at: DateTime<Utc>,
    pub(super) image: Option<ImageId>,
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// The name of a caller, `operator`, or `cloud` for asynchronous events.
    pub who: String,
    pub what: String,
}

/// A change of the account's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An instance was launched, or its state changed.
    Instance(String),
    /// A database was created, deleted, or its status changed.
    Database(String),
    /// A launch template was created or deleted.
    Template(String),
    /// Tags of a resource were changed.
    Tags(String),
}

/// Called after every change, with the name of its actor.
pub type Observer = Box<dyn FnMut(&State, &str, &Change) + Send>;

pub(super) type Duplicate = Box<dyn FnMut(&mut State, DateTime<Utc>) + Send>;

/// The state of the account.
pub struct State {
    pub(super) scenario: Scenario,
    seed: u64,
    pub(super) random: ChaCha8Rng,
    /// The generator of the stricter behaviour.
    pub(super) strict_random: ChaCha8Rng,
    pub(super) now: DateTime<Utc>,
    pub(super) templates: Store<Template>,
    pub(super) names: BTreeMap<String, String>,
    /// The launch data of deleted templates, if [`Guarantee::Fencing`] is violated.
    pub(super) deleted: BTreeMap<String, LaunchData>,
    /// The values of the tags that were removed by hand, by resource and key.
    pub(super) lost_tags: BTreeMap<(String, String), String>,
    pub(super) instances: Store<SimInstance>,
    pub(super) databases: Store<SimDatabase>,
    /// The parameters and the instance of each client token.
    pub(super) tokens: BTreeMap<String, (String, String)>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) images: Vec<Image>,
    pub(super) runs: Vec<SimRun>,
    pub(super) subnets: Vec<Subnet>,
    pub(super) audit: Vec<AuditEvent>,
    /// The fleet of each audit event, and when it becomes visible.
    pub(super) audit_groups: Vec<(String, DateTime<Utc>)>,
    pub(super) logs: BTreeMap<String, VecDeque<StoredLine>>,
    pub(super) notices: SimNotices,
    pub(super) buckets: Buckets,
    pub(super) zone_out: Option<(String, DateTime<Utc>)>,
    /// The zone without capacity for databases, until a time.
    pub(super) database_zone_out: Option<(String, DateTime<Utc>)>,
    pub(super) outage: Option<(Service, DateTime<Utc>)>,
    /// The error code of all launches.
    pub(super) broken_launches: Option<&'static str>,
    pub(super) duplicates: BTreeMap<u64, Duplicate>,
    pub(super) observer: Option<Observer>,
    /// Oldest first, bounded by `max_history`.
    pub(super) history: VecDeque<Entry>,
    pub(super) max_history: usize,
    pub(super) requests: BTreeMap<&'static str, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    events: BinaryHeap<Reverse<(DateTime<Utc>, u64, Event)>>,
    serial: u64,
}

impl State {
    pub(super) fn new(scenario: Scenario, seed: u64, now: DateTime<Utc>) -> Self {
        let max_lag =
            (scenario.faults.lag + scenario.strictness.listing_lag).max(scenario.strictness.write_lag);
        #[allow(clippy::cast_possible_truncation)] // a few minutes
        let keep = TimeDelta::seconds(max_lag.ceil() as i64 + MARGIN_SECONDS);
        let zone = |letter: char| format!("{}{letter}", scenario.region);
        let subnet = |id: &str, letter| Subnet {
            id: SubnetId::new(id),
            zone: zone(letter).into(),
            vpc: "vpc-0a1".into(),
        };
        let subnets = vec![subnet("subnet-0a", 'a'), subnet("subnet-0b", 'b'), subnet("subnet-0c", 'c')];
        let mut state = Self {
            seed,
            random: ChaCha8Rng::seed_from_u64(seed),
            strict_random: ChaCha8Rng::seed_from_u64(seed ^ 0x57_71c7),
            now,
            templates: Store::new(keep),
            names: BTreeMap::new(),
            deleted: BTreeMap::new(),
            lost_tags: BTreeMap::new(),
            instances: Store::new(keep),
            databases: Store::new(keep),
            tokens: BTreeMap::new(),
            snapshots: Vec::new(),
            images: Vec::new(),
            runs: Vec::new(),
            subnets,
            audit: Vec::new(),
            audit_groups: Vec::new(),
            logs: BTreeMap::new(),
            notices: SimNotices::default(),
            buckets: Buckets::new(now),
            zone_out: None,
            database_zone_out: None,
            outage: None,
            broken_launches: None,
            duplicates: BTreeMap::new(),
            observer: None,
            history: VecDeque::new(),
            max_history: 20_000,
            requests: BTreeMap::new(),
            faults: BTreeMap::new(),
            events: BinaryHeap::new(),
            serial: 0,
            scenario,
        };
        state.take_snapshot(now - TimeDelta::hours(6));
        state.build_image(now - TimeDelta::hours(14));
        state.schedule(now + TimeDelta::hours(18), Event::Snapshot);
        state.schedule(now + TimeDelta::hours(10), Event::Image);
        state.schedule_chance(state.scenario.faults.operator_per_day, Event::Operator);
        state.schedule_chance(state.scenario.faults.zone_out_per_day, Event::ZoneOutage);
        state.schedule_chance(state.scenario.faults.noisy_neighbours_per_day, Event::NoisyNeighbour);
        state.begin_strict_events();
        state
    }

    /// Returns a random number from a range.
    pub(super) fn draw(&mut self, [min, max]: [f64; 2]) -> f64 {
        if max > min { self.random.random_range(min..max) } else { min }
    }

    /// Returns a number from a range that depends only on the seed and the label, not on earlier draws, so that the same resource always takes
    /// the same time.
    pub(super) fn sample(&self, label: &str, [min, max]: [f64; 2]) -> f64 {
        let digest = Sha256::digest(format!("{} {label}", self.seed));
        let word = digest.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        #[allow(clippy::cast_precision_loss)]
        let share = word as f64 / u64::MAX as f64;
        min + (max - min) * share
    }

    /// Returns `true` with a probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.random_bool(probability.min(1.0))
    }

    pub(super) fn breaks(&self, guarantee: Guarantee) -> bool {
        self.scenario.faults.broken.contains(&guarantee)
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn schedule(&mut self, at: DateTime<Utc>, event: Event) {
        let serial = self.next_serial();
        self.events.push(Reverse((at, serial, event)));
    }

    pub(super) fn schedule_in(&mut self, delay: f64, event: Event) {
        self.schedule(self.now + seconds(delay), event);
    }

    /// Schedules the next event of a Poisson process with this rate.
    pub(super) fn schedule_chance(&mut self, per_day: f64, event: Event) {
        if per_day > 0.0 {
            let mean = 86_400.0 / per_day;
            let uniform: f64 = self.random.random();
            self.schedule_in(-mean * (1.0 - uniform).ln(), event);
        }
    }

    /// Returns the time of the next event.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Handles all events that are due by a time.
    pub(super) fn advance(&mut self, now: DateTime<Utc>) {
        while self.next_due().is_some_and(|at| at <= now) {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = self.now.max(at);
            self.handle_event(event);
        }
        self.now = self.now.max(now);
    }

    /// Appends an entry to the history.
    pub(super) fn record(&mut self, who: &str, what: impl FnOnce() -> String) {
        if self.max_history == 0 {
            return;
        }
        if self.history.len() >= self.max_history {
            self.history.pop_front();
        }
        self.history.push_back(Entry { at: self.now, who: who.to_owned(), what: what() });
    }

    /// Reports a change to the observer.
    pub(super) fn changed(&mut self, who: &str, change: &Change) {
        if let Some(mut observer) = self.observer.take() {
            observer(self, who, change);
            self.observer = Some(observer);
        }
        self.watch_deployment(change);
    }

    pub(super) fn count_fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn take_snapshot(&mut self, at: DateTime<Utc>) {
        let source = &self.scenario.source_database;
        let id = SnapshotId::new(format!("rds:{source}-{}", at.format("%Y-%m-%d-%H-%M")));
        self.snapshots.push(Snapshot { id, created_at: at });
        // RDS keeps automated snapshots for a week.
        self.snapshots.retain(|snapshot| snapshot.created_at > at - TimeDelta::days(7));
    }

    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Iterates over the current launch templates.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates.iter()
    }

    /// Iterates over the current instances, including listed terminated ones.
    pub fn instances(&self) -> impl Iterator<Item = (&str, &SimInstance)> {
        self.instances.iter()
    }

    /// Iterates over the current databases.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &SimDatabase)> {
        self.databases.iter()
    }

    /// Returns the subnets of the account.
    #[must_use]
    pub fn subnets(&self) -> &[Subnet] {
        &self.subnets
    }

    /// Returns the latest snapshot of the scenario's source database.
    #[must_use]
    pub fn latest_snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.last()
    }

    /// Returns the latest image.
    #[must_use]
    pub fn latest_image(&self) -> Option<&Image> {
        self.images.last()
    }

    /// Whether an outage, or a lack of capacity in a zone, keeps engines from what they want to do.
    #[must_use]
    pub fn is_hindered(&self) -> bool {
        let lasts = |until: DateTime<Utc>| self.now < until;
        self.outage.is_some_and(|(_, until)| lasts(until))
            || self.zone_out.as_ref().is_some_and(|(_, until)| lasts(*until))
            || self.database_zone_out.as_ref().is_some_and(|(_, until)| lasts(*until))
            || self.broken_launches.is_some()
    }

    #[must_use]
    pub fn audit(&self) -> &[AuditEvent] {
        &self.audit
    }

    /// Returns the percentage of a database's volume that is loaded, while RDS reports that it loads it.
    #[must_use]
    pub fn loaded(&self, database: &SimDatabase, now: DateTime<Utc>) -> Option<u8> {
        database.loaded(self.scenario.strictness.loading_minutes, now)
    }

    /// Iterates over the history, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        self.history.iter()
    }

    /// Returns the number of requests by operation.
    #[must_use]
    pub fn requests(&self) -> &BTreeMap<&'static str, u64> {
        &self.requests
    }

    /// Returns the number of injected faults by kind.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<&'static str, u64> {
        &self.faults
    }
}

pub(super) fn seconds(seconds: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation)] // days at most
    TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

impl SimInstance {
    /// Returns the environment's id from the tags.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.tags.get(key::ENVIRONMENT).map(String::as_str)
    }

    /// Returns the expiry from the tags.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        tags::parse_time(&self.tags, key::EXPIRES_AT)
    }
}
