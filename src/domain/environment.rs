//! An environment: its record joined with its instance and its database.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::database::{Database, StatusClass};
use super::ids::{EnvironmentId, Number};
use super::instance::{Instance, InstanceState, Phase};
use super::policy::Policy;
use super::record::Record;
use super::world::World;

/// Where an environment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentState {
    /// It has its claim and no instance yet.
    Launching,
    /// Its instance comes up; the phase says how far it is.
    Starting,
    /// Everything answers.
    Ready,
    /// Its instance is stopped.
    Stopped,
    /// Its time is over and no sweep has marked it yet.
    Expired,
    /// Marked by the first sweep; *keep* still saves it until the grace is over.
    Reaping,
    /// It is being taken down.
    Terminating,
    /// It did not come up, or it died; the problem says why.
    Failed,
}

impl EnvironmentState {
    /// The word for screens and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launching => "launching",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Reaping => "reaping",
            Self::Terminating => "terminating",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EnvironmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An environment as one world shows it.
#[derive(Debug, Clone)]
pub struct Environment<'w> {
    /// Its record.
    pub record: &'w Record,
    /// Its instance: of those alive the one with the lowest (launch time, id), else the last that ended.
    pub instance: Option<&'w Instance>,
    /// Further live instances of the same record. There should be none.
    pub surplus: Vec<&'w Instance>,
    /// Its database.
    pub database: Option<&'w Database>,
    /// Where it stands.
    pub state: EnvironmentState,
}

impl<'w> Environment<'w> {
    /// All environments of a world, in order of their numbers; retirements are not among them. `now` is AWS's.
    #[must_use]
    pub fn all(world: &'w World, now: DateTime<Utc>) -> Vec<Self> {
        let mut environments = Self::all_claims(world, now);
        environments.retain(|environment| !environment.record.retirement);
        environments
    }

    /// All claims of a world, retirements included, in order of their numbers.
    #[must_use]
    pub fn all_claims(world: &'w World, now: DateTime<Utc>) -> Vec<Self> {
        let policy = &world.fleet.policy;
        let mut records: Vec<&Record> = world.records.iter().collect();
        records.sort_unstable_by_key(|record| record.number());
        let mut databases = ByNumber::new(world.databases.iter(), |database| database.number);
        let mut instances = ByNumber::new(world.instances.iter(), |instance| instance.environment.number);
        let claim = |record: &'w Record| {
            let (instance, surplus) = choose_instance(record, instances.next(record.number()));
            let database = databases.next(record.number()).first().copied();
            let state = state(record, instance, database, policy, now);
            Self { record, instance, surplus, database, state }
        };
        records.into_iter().map(claim).collect()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &'w EnvironmentId {
        &self.record.environment
    }

    /// The bootstrap's phase, once the instance says one; `Booting` from the moment it exists.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        let instance = self.instance.filter(|instance| !instance.state.is_ending())?;
        Some(instance.phase.unwrap_or(Phase::Booting))
    }

    /// What is wrong with it, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.record.failure.as_ref().map(|failure| failure.reason.clone()));
        if let Some(instance) = self.instance {
            if instance.phase == Some(Phase::Failed) {
                let detail = instance.detail.as_deref().unwrap_or("no reason given");
                problems.push(format!("the bootstrap failed: {detail}"));
            }
            if instance.state.is_ending() && self.record.is_wanted() {
                problems.push(format!("its instance {} is {}", instance.id, instance.state));
            }
        }
        if !self.surplus.is_empty() {
            problems.push(format!("it has {} instances too many", self.surplus.len()));
        }
        if let Some(database) =
            self.database.filter(|database| database.status_class() == StatusClass::Failed)
        {
            problems.push(format!("its database {} is {}", database.id, database.status));
        }
        if self.record.expires_at.is_none() && !self.record.retirement {
            problems.push(
                "its expiry cannot be read, so it lives as long as the fleet's max-lifetime".to_owned(),
            );
        }
        problems
    }

    /// When the grace is over, once it is marked.
    #[must_use]
    pub fn kept_until(&self, policy: &Policy) -> Option<DateTime<Utc>> {
        Some(self.record.reaping_since? + policy.grace)
    }

    /// The address of one of its faces, with the placeholders filled in; `None` while it has no address.
    #[must_use]
    pub fn url(&self, template: &str) -> Option<String> {
        let instance = self.instance.filter(|instance| !instance.state.is_ending())?;
        let public = instance.public_ip.as_deref();
        let private = instance.private_ip.as_deref();
        let mut url = template.replace("{id}", &self.record.environment.to_string());
        url = url.replace("{name}", &self.record.name);
        for (placeholder, value) in
            [("{ip}", public.or(private)), ("{public_ip}", public), ("{private_ip}", private)]
        {
            if url.contains(placeholder) {
                url = url.replace(placeholder, value?);
            }
        }
        Some(url)
    }
}

/// Things in order of their numbers, to be joined with numbers that only go up: one walk, no hashing.
pub(crate) struct ByNumber<'w, T> {
    sorted: Vec<&'w T>,
    number: fn(&T) -> Number,
    at: usize,
}

impl<'w, T> ByNumber<'w, T> {
    pub(crate) fn new(things: impl Iterator<Item = &'w T>, number: fn(&T) -> Number) -> Self {
        let mut sorted: Vec<&T> = things.collect();
        sorted.sort_by_key(|thing| number(thing));
        Self { sorted, number, at: 0 }
    }

    /// Those with this number. It must not be lower than the last one that was asked for.
    pub(crate) fn next(&mut self, wanted: Number) -> &[&'w T] {
        while self.sorted.get(self.at).is_some_and(|thing| (self.number)(thing) < wanted) {
            self.at += 1;
        }
        let rest = &self.sorted[self.at..];
        let count = rest.iter().take_while(|thing| (self.number)(thing) == wanted).count();
        &rest[..count]
    }
}

/// Whether an instance was launched from this record. Ids come round, record ids do not.
#[must_use]
pub fn is_instance_of(instance: &Instance, record: &Record) -> bool {
    instance.environment == record.environment && instance.record.as_ref().is_none_or(|id| *id == record.id)
}

fn choose_instance<'w>(
    record: &Record,
    instances: &[&'w Instance],
) -> (Option<&'w Instance>, Vec<&'w Instance>) {
    let mut alive: Vec<&Instance> = Vec::new();
    let mut ended: Option<&Instance> = None;
    for &instance in instances.iter().filter(|instance| is_instance_of(instance, record)) {
        if !instance.state.is_ending() {
            alive.push(instance);
        } else if ended.is_none_or(|last| (last.launched_at, &last.id) < (instance.launched_at, &instance.id))
        {
            ended = Some(instance);
        }
    }
    alive.sort_unstable_by_key(|instance| (instance.launched_at, &instance.id));
    if alive.is_empty() {
        return (ended, Vec::new());
    }
    let surplus = alive.split_off(1);
    (alive.pop(), surplus)
}

fn state(
    record: &Record,
    instance: Option<&Instance>,
    database: Option<&Database>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> EnvironmentState {
    use EnvironmentState as State;
    if record.terminate.is_some() || record.reaping_since.is_some_and(|since| now >= since + policy.grace) {
        return State::Terminating;
    }
    if record.failure.is_some()
        || database.is_some_and(|database| database.status_class() == StatusClass::Failed)
    {
        return State::Failed;
    }
    if record.reaping_since.is_some() {
        return State::Reaping;
    }
    if now >= record.ends_at(policy) {
        return State::Expired;
    }
    match instance {
        None => State::Launching,
        Some(instance) => match (instance.state, instance.phase) {
            (InstanceState::ShuttingDown | InstanceState::Terminated, _) | (_, Some(Phase::Failed)) => {
                State::Failed
            }
            (InstanceState::Stopping | InstanceState::Stopped, _) => State::Stopped,
            (_, Some(Phase::Ready)) => State::Ready,
            _ => State::Starting,
        },
    }
}

/// What a person's word for an environment means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'w> {
    /// This one.
    Found(&'w Record),
    /// None has that id or label.
    Missing,
    /// Several have that label.
    Ambiguous(Vec<&'w Record>),
}

/// Finds an environment by its id, or by its label where that is unique. An id wins over a label.
#[must_use]
pub fn find<'w>(world: &'w World, wanted: &str) -> Lookup<'w> {
    let environments = || world.records.iter().filter(|record| !record.retirement);
    if let Some(record) = environments().find(|record| record.environment.to_string() == wanted) {
        return Lookup::Found(record);
    }
    let mut named: Vec<_> = environments().filter(|record| record.name == wanted).collect();
    match named.len() {
        0 => Lookup::Missing,
        1 => Lookup::Found(named.remove(0)),
        _ => Lookup::Ambiguous(named),
    }
}
