//! What the simulated account holds, and how it goes on by itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::scenario::{Guarantee, Scenario};
use super::throttle::Buckets;
use super::versioned::Store;
use crate::domain::tags::{self, Tags, key};
use crate::domain::{AuditEvent, Image, ImageId, InstanceState, Snapshot, SnapshotId, Subnet, SubnetId};

/// How much of the past is kept for readers that lag, beyond the scenario's own lag.
const MARGIN_SECONDS: i64 = 5;

/// A launch template.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name, unique in the account.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Its tags.
    pub tags: Tags,
    /// What it launches; `None` for one that launches nothing.
    pub launch: Option<LaunchData>,
    /// The fleet's part: type and security groups.
    pub base: super::super::BaseTemplate,
}

/// What a record launches.
#[derive(Debug, Clone)]
pub struct LaunchData {
    /// The instance type.
    pub instance_type: String,
    /// The subnet.
    pub subnet: SubnetId,
    /// The tags of the instance.
    pub tags: Tags,
}

/// An EC2 instance.
#[derive(Debug, Clone)]
pub struct SimInstance {
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Its addresses.
    pub public_ip: Option<String>,
    /// Its private address.
    pub private_ip: String,
    /// When it was launched.
    pub launched_at: DateTime<Utc>,
    /// Its tags.
    pub tags: Tags,
    /// Why its bootstrap will fail, if it will.
    pub fails: Option<String>,
}

/// An RDS instance.
#[derive(Debug, Clone)]
pub struct SimDatabase {
    /// RDS's status string.
    pub status: String,
    /// `host:port`.
    pub endpoint: Option<String>,
    /// When it was there first.
    pub created_at: Option<DateTime<Utc>>,
    /// Its zone.
    pub zone: String,
    /// Its tags.
    pub tags: Tags,
}

/// What happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Running(String),
    Bootstrap(String, usize),
    DeadMan(String),
    Dies(String),
    Terminated(String),
    Forgotten(String),
    Restored(String),
    RestoreFails(String),
    Deleted(String),
    Snapshot,
    Image,
    Operator,
    ZoneOut,
    NoisyNeighbour,
    /// A request that arrives a second time.
    Again(u64),
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a caller's name, `operator`, or `cloud` for what happens by itself.
    pub who: String,
    /// What happened.
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

/// Called after every change, with who made it.
pub type Observer = Box<dyn FnMut(&State, &str, &Change) + Send>;

pub(super) type Replay = Box<dyn FnMut(&mut State, DateTime<Utc>) + Send>;

/// The account.
pub struct State {
    pub(super) scenario: Scenario,
    seed: u64,
    pub(super) random: ChaCha8Rng,
    pub(super) now: DateTime<Utc>,
    pub(super) templates: Store<Template>,
    pub(super) names: BTreeMap<String, String>,
    /// What deleted templates launched, where that is not forgotten.
    pub(super) deleted: BTreeMap<String, LaunchData>,
    pub(super) instances: Store<SimInstance>,
    pub(super) databases: Store<SimDatabase>,
    pub(super) tokens: BTreeMap<String, (String, String)>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) images: Vec<Image>,
    pub(super) subnets: Vec<Subnet>,
    pub(super) audit: Vec<AuditEvent>,
    pub(super) logs: BTreeMap<String, VecDeque<super::logs::StoredLine>>,
    pub(super) buckets: Buckets,
    pub(super) zone_out: Option<(String, DateTime<Utc>)>,
    pub(super) replays: BTreeMap<u64, Replay>,
    pub(super) observer: Option<Observer>,
    /// What happened, the latest last; bounded.
    pub(super) history: VecDeque<Entry>,
    pub(super) most_history: usize,
    /// Requests by operation.
    pub(super) requests: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    pub(super) faults: BTreeMap<&'static str, u64>,
    due: BinaryHeap<Reverse<(DateTime<Utc>, u64, Event)>>,
    serial: u64,
}

impl State {
    pub(super) fn new(scenario: Scenario, seed: u64, now: DateTime<Utc>) -> Self {
        #[allow(clippy::cast_possible_truncation)] // a few seconds
        let keep = TimeDelta::seconds(scenario.faults.lag.ceil() as i64 + MARGIN_SECONDS);
        let zone = |letter: char| format!("{}{letter}", scenario.region);
        let subnet =
            |id: &str, letter| Subnet { id: SubnetId::new(id), zone: zone(letter), vpc: "vpc-0a1".into() };
        let subnets = vec![subnet("subnet-0a", 'a'), subnet("subnet-0b", 'b'), subnet("subnet-0c", 'c')];
        let mut state = Self {
            seed,
            random: ChaCha8Rng::seed_from_u64(seed),
            now,
            templates: Store::new(keep),
            names: BTreeMap::new(),
            deleted: BTreeMap::new(),
            instances: Store::new(keep),
            databases: Store::new(keep),
            tokens: BTreeMap::new(),
            snapshots: Vec::new(),
            images: Vec::new(),
            subnets,
            audit: Vec::new(),
            logs: BTreeMap::new(),
            buckets: Buckets::new(now),
            zone_out: None,
            replays: BTreeMap::new(),
            observer: None,
            history: VecDeque::new(),
            most_history: 20_000,
            requests: BTreeMap::new(),
            faults: BTreeMap::new(),
            due: BinaryHeap::new(),
            serial: 0,
            scenario,
        };
        state.take_snapshot(now - TimeDelta::hours(6));
        state.build_image(now - TimeDelta::hours(14));
        state.schedule(now + TimeDelta::hours(18), Event::Snapshot);
        state.schedule(now + TimeDelta::hours(10), Event::Image);
        state.schedule_chance(state.scenario.faults.operator_per_day, Event::Operator);
        state.schedule_chance(state.scenario.faults.zone_out_per_day, Event::ZoneOut);
        state.schedule_chance(state.scenario.faults.noisy_neighbours_per_day, Event::NoisyNeighbour);
        state
    }

    /// A number from a range.
    pub(super) fn draw(&mut self, [least, most]: [f64; 2]) -> f64 {
        if most > least { self.random.random_range(least..most) } else { least }
    }

    /// A number from a range that depends on the seed and on what it is for, and on nothing that happened before: the
    /// story is the same whoever looks at it.
    pub(super) fn sample(&self, what: &str, [least, most]: [f64; 2]) -> f64 {
        let digest = Sha256::digest(format!("{} {what}", self.seed));
        let word = digest.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        #[allow(clippy::cast_precision_loss)]
        let share = word as f64 / u64::MAX as f64;
        least + (most - least) * share
    }

    /// Whether something of this chance happens.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.random.random_bool(chance.min(1.0))
    }

    pub(super) fn breaks(&self, promise: Guarantee) -> bool {
        self.scenario.faults.broken.contains(&promise)
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn schedule(&mut self, at: DateTime<Utc>, event: Event) {
        let serial = self.next_serial();
        self.due.push(Reverse((at, serial, event)));
    }

    pub(super) fn schedule_in(&mut self, seconds: f64, event: Event) {
        self.schedule(self.now + span(seconds), event);
    }

    /// Schedules the next of something that happens so often a day.
    pub(super) fn schedule_chance(&mut self, per_day: f64, event: Event) {
        if per_day > 0.0 {
            let mean = 86_400.0 / per_day;
            let uniform: f64 = self.random.random();
            self.schedule_in(-mean * (1.0 - uniform).ln(), event);
        }
    }

    /// When the next thing happens by itself.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets everything happen that is due by then.
    pub(super) fn advance(&mut self, now: DateTime<Utc>) {
        while self.next_due().is_some_and(|at| at <= now) {
            let Some(Reverse((at, _, event))) = self.due.pop() else { break };
            self.now = self.now.max(at);
            self.handle_event(event);
        }
        self.now = self.now.max(now);
    }

    /// Writes the history.
    pub(super) fn note(&mut self, who: &str, what: impl FnOnce() -> String) {
        if self.most_history == 0 {
            return;
        }
        if self.history.len() >= self.most_history {
            self.history.pop_front();
        }
        self.history.push_back(Entry { at: self.now, who: who.to_owned(), what: what() });
    }

    /// Tells the observer of a change.
    pub(super) fn changed(&mut self, who: &str, change: &Change) {
        if let Some(mut observer) = self.observer.take() {
            observer(self, who, change);
            self.observer = Some(observer);
        }
    }

    pub(super) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn take_snapshot(&mut self, at: DateTime<Utc>) {
        let source = &self.scenario.source_database;
        let id = SnapshotId::new(format!("rds:{source}-{}", at.format("%Y-%m-%d-%H-%M")));
        self.snapshots.push(Snapshot { id, created_at: at });
        // RDS keeps automated snapshots for a week.
        self.snapshots.retain(|snapshot| snapshot.created_at > at - TimeDelta::days(7));
    }

    pub(super) fn build_image(&mut self, at: DateTime<Utc>) {
        let serial = self.next_serial();
        let name = format!("service-{}", at.format("%Y-%m-%d"));
        self.images.push(Image { id: ImageId::new(format!("ami-{serial:017x}")), name, created_at: at });
        self.images.retain(|image| image.created_at > at - TimeDelta::days(7));
    }

    // What a check may look at.

    /// The account's own time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The launch templates as they are.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates.iter()
    }

    /// The instances as they are, terminated ones included.
    pub fn instances(&self) -> impl Iterator<Item = (&str, &SimInstance)> {
        self.instances.iter()
    }

    /// The databases as they are.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &SimDatabase)> {
        self.databases.iter()
    }

    /// The audit events that were written.
    #[must_use]
    pub fn audit(&self) -> &[AuditEvent] {
        &self.audit
    }

    /// What happened lately, the latest last.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        self.history.iter()
    }

    /// Requests by operation.
    #[must_use]
    pub fn requests(&self) -> &BTreeMap<&'static str, u64> {
        &self.requests
    }

    /// Faults that were put in, by kind.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<&'static str, u64> {
        &self.faults
    }
}

/// A length of time from seconds.
pub(super) fn span(seconds: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation)] // days at most
    TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

impl SimInstance {
    /// The environment that it is for.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.tags.get(key::ENVIRONMENT).map(String::as_str)
    }

    /// The expiry that its dead man's switch knows.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        tags::parse_time(&self.tags, key::EXPIRES_AT)
    }
}
