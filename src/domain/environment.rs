//! An environment: its record joined with its instance and its database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::access::{Access, Address, Endpoint, path_of};
use super::database::{Database, StatusClass};
use super::deployment::{DeploymentState, DeploymentStatus};
use super::ids::{DatabaseId, EnvironmentId, Number};
use super::instance::{Instance, InstanceState, Phase};
use super::policy::Policy;
use super::record::{LaunchFailure, Record};
use super::replacement::Replacements;
use super::tags::{TagChanges, key};
use super::text::Untrusted;
use super::unreadable::UnreadableKind;
use super::world::World;

/// All characters but those that mean nothing in any part of a URL.
/// <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The state of an environment.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum EnvironmentState {
    /// The record exists, the instance does not.
    Launching,
    /// The instance exists and its bootstrap is in progress.
    Starting,
    /// The bootstrap has succeeded.
    Ready,
    /// The instance is stopped or stopping, or the database is stopped.
    Stopped,
    /// The expiry has passed, and no sweep has marked the record yet.
    Expired,
    /// The first sweep has marked the record. An extension still keeps the environment until the end of the grace.
    Reaping,
    Terminating,
    /// The launch, the bootstrap, the instance or the database failed; see [`Environment::problems`].
    Failed,
}

impl EnvironmentState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An environment in one world.
#[derive(Debug, Clone)]
pub struct Environment<'w> {
    pub record: &'w Arc<Record>,
    /// The active instance with the lowest (launch time, id), or else the last one that ended.
    pub instance: Option<&'w Arc<Instance>>,
    /// Further active instances of the same record, which should not exist.
    pub surplus: Vec<&'w Arc<Instance>>,
    /// The database that it uses.
    pub database: Option<&'w Arc<Database>>,
    /// The database of its record's number, which is another one after a reset.
    pub claimed: Option<&'w Arc<Database>>,
    /// The number of the database that it uses; `None` if that is unknown. See [`Replacements::current`].
    pub current: Option<Number>,
    /// The reset in progress, until it uses the new database.
    pub reset: Option<Reset<'w>>,
    /// The last reset that failed, until its database is deleted. The environment keeps the database that it had.
    pub failed_reset: Option<&'w LaunchFailure>,
    /// Whether its database is gone, according to a complete listing; not for a launch that has not come so far.
    pub database_gone: bool,
    pub state: EnvironmentState,
    /// Whether its instance should have answered the last request to deploy by now.
    pub is_deployment_late: bool,
}

/// A reset in progress: the environment still uses its old database.
#[derive(Debug, Clone, Copy)]
pub struct Reset<'w> {
    /// The record that claims the new database.
    pub replacement: &'w Record,
    /// The new database; `None` until its restore is listed.
    pub database: Option<&'w Database>,
}

impl<'w> Environment<'w> {
    /// Returns the environments of a world by number, without retirements and replacements. `now` is AWS's time.
    #[must_use]
    pub fn all(world: &'w World, now: DateTime<Utc>) -> Vec<Self> {
        let mut environments = Self::all_claims(world, now);
        environments.retain(|environment| environment.record.is_environment());
        environments
    }

    /// Returns the environments, retirements and replacements of a world by number.
    #[must_use]
    pub fn all_claims(world: &'w World, now: DateTime<Utc>) -> Vec<Self> {
        let policy = &world.fleet.policy;
        let mut records: Vec<&Arc<Record>> = world.records.items.shared().collect();
        records.sort_unstable_by_key(|record| record.number());
        let mut databases = ByNumber::new(world.databases.items.shared(), |database| database.number);
        let mut instances =
            ByNumber::new(world.instances.items.shared(), |instance| instance.environment.number);
        let unreadable = world.unreadable_numbers(UnreadableKind::Database);
        let replacements = Replacements::new(world);
        let claim = |record: &'w Arc<Record>| {
            let number = record.number();
            let (instance, surplus) = choose_instance(record, instances.next(number));
            let claimed = databases.next(number).first().copied();
            let current = replacements.current(record);
            let used = current.unwrap_or_else(|| record.database_number());
            let database = if used == number { claimed } else { databases.get(used) };
            let database_gone = database.is_none()
                && current.is_some()
                && record.instance.is_some()
                && world.databases.complete
                && !unreadable.contains(&used);
            let next = replacements.next(record);
            let reset = next.map(|replacement| Reset {
                replacement,
                database: databases.get(replacement.number()).map(Arc::as_ref),
            });
            let failed = replacements.of_environment(record).iter().rev();
            let failed_reset = failed
                .filter(|replacement| current != Some(replacement.number()))
                .find_map(|replacement| replacement.failure.as_ref());
            let mut environment = Self {
                record,
                instance,
                surplus,
                database,
                claimed,
                current,
                reset,
                failed_reset,
                database_gone,
                state: EnvironmentState::Launching,
                is_deployment_late: false,
            };
            environment.state = state(&environment, policy, now);
            environment.is_deployment_late =
                environment.deployment().is_some_and(|deployment| deployment.is_late(now));
            environment
        };
        records.into_iter().map(claim).collect()
    }

    #[must_use]
    pub fn id(&self) -> &'w EnvironmentId {
        &self.record.environment
    }

    /// Returns the identifier of the database that it uses.
    #[must_use]
    pub fn database_id(&self) -> DatabaseId {
        let number = self.current.unwrap_or_else(|| self.record.database_number());
        self.record.environment.fleet.database_id(number)
    }

    /// Returns the bootstrap's phase; [`Phase::Booting`] until the instance reports one, `None` without an instance.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        let instance = self.instance.filter(|instance| !instance.state.is_ending())?;
        Some(instance.phase.unwrap_or(Phase::Booting))
    }

    /// Returns the last request to deploy anew and how it stands. `None` without a request, or before the environment is ready, because its
    /// bootstrap deploys the same.
    #[must_use]
    pub fn deployment(&self) -> Option<DeploymentStatus<'w>> {
        let instance = self.instance.filter(|instance| instance.phase == Some(Phase::Ready))?;
        let request = self.record.deployment.as_ref()?;
        Some(DeploymentStatus::new(request, instance.rollout.as_ref()))
    }

    /// Whether the environment is ready and its instance deploys anew, or will do so.
    #[must_use]
    pub fn is_deploying(&self) -> bool {
        self.state == EnvironmentState::Ready
            && self.deployment().is_some_and(|deployment| deployment.state.is_pending())
    }

    /// Returns what is wrong with the last request to deploy.
    fn deployment_problem(&self) -> Option<String> {
        let deployment = self.deployment()?;
        let by = &deployment.request.by;
        if deployment.state == DeploymentState::Failed {
            let reason = deployment.detail.map_or_else(|| "no reason given".to_owned(), ToString::to_string);
            return Some(format!("the deployment that {by} requested failed: {reason}"));
        }
        let at = deployment.request.at.format("%F %T UTC");
        let is_late = self.is_deployment_late && self.state == EnvironmentState::Ready;
        is_late.then(|| format!("its instance has not answered the deployment that {by} requested at {at}"))
    }

    /// Returns the environment's problems, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.record.failure.as_ref().map(|failure| failure.reason.to_string()));
        if let Some(instance) = self.instance {
            if instance.phase == Some(Phase::Failed) {
                let detail = instance
                    .detail
                    .as_ref()
                    .map_or_else(|| "no reason given".to_owned(), ToString::to_string);
                problems.push(format!("the bootstrap failed: {detail}"));
            }
            if instance.state.is_ending() && self.record.is_wanted() {
                let reason = instance.state_reason.as_ref().map(|reason| format!(": {reason}"));
                let reason = reason.unwrap_or_default();
                problems.push(format!("its instance {} is {}{reason}", instance.id, instance.state));
            }
        }
        problems.extend(self.deployment_problem());
        let keeps = "; it keeps the database that it has";
        problems
            .extend(self.failed_reset.map(|failure| format!("its reset failed: {}{keeps}", failure.reason)));
        if !self.surplus.is_empty() {
            problems.push(format!("surplus instances: {}", self.surplus.len()));
        }
        if let Some(database) = self.database.filter(|database| is_problem(database)) {
            problems.push(format!("its database {} is {}", database.id, database.status));
        }
        if self.database_gone && self.record.is_environment() {
            problems.push(format!("its database {} is gone", self.database_id()));
        }
        if self.record.expires_at.is_none() && self.record.is_environment() {
            problems
                .push("its expiry tag is not valid, so it expires at the fleet's max-lifetime".to_owned());
        }
        problems
    }

    /// Returns the end of the grace if the record is marked.
    #[must_use]
    pub fn kept_until(&self, policy: &Policy) -> Option<DateTime<Utc>> {
        Some(self.record.reaping_since? + policy.grace)
    }

    /// Returns where an endpoint is, or `None` if the instance does not exist yet or lacks an address that the URL needs.
    #[must_use]
    pub fn address(&self, endpoint: Endpoint, policy: &Policy) -> Option<Address> {
        let template = policy.url_template(endpoint);
        match policy.access {
            Access::Vpn => self.url(template).map(Address::Url),
            Access::Ssm => {
                let path = self.url(&path_of(template))?;
                Some(Address::Forwarded { instance: self.instance?.id.clone(), path })
            }
        }
    }

    /// Fills the placeholders of an endpoint's URL template. Returns `None` if the instance lacks an address that the template needs.
    ///
    /// Values are percent-encoded, because a tag that was written by hand can contain anything: a name with `/`, `@` or `#` in it would
    /// otherwise lead to another host.
    #[must_use]
    pub fn url(&self, template: &str) -> Option<String> {
        let instance = self.instance.filter(|instance| !instance.state.is_ending())?;
        let public = instance.public_ip.as_ref().map(Untrusted::raw);
        let private = instance.private_ip.as_ref().map(Untrusted::raw);
        let id = self.record.environment.to_string();
        let mut url = template.to_owned();
        for (placeholder, value) in [
            ("{id}", Some(id.as_str())),
            ("{name}", Some(self.record.name.raw())),
            ("{ip}", public.or(private)),
            ("{public_ip}", public),
            ("{private_ip}", private),
        ] {
            if url.contains(placeholder) {
                url = url.replace(placeholder, &utf8_percent_encode(value?, UNRESERVED).to_string());
            }
        }
        Some(url)
    }
}

/// Items sorted by number, for a merge join with another sorted sequence, which takes one pass and no hashing.
pub(crate) struct ByNumber<'w, T> {
    sorted: Vec<&'w T>,
    number: fn(&T) -> Number,
    at: usize,
}

impl<'w, T> ByNumber<'w, T> {
    pub(crate) fn new(items: impl Iterator<Item = &'w T>, number: fn(&T) -> Number) -> Self {
        let mut sorted: Vec<&T> = items.collect();
        sorted.sort_by_key(|item| number(item));
        Self { sorted, number, at: 0 }
    }

    /// Returns the first item with this number, in logarithmic time.
    fn get(&self, wanted: Number) -> Option<&'w T> {
        let at = self.sorted.partition_point(|item| (self.number)(item) < wanted);
        self.sorted.get(at).copied().filter(|item| (self.number)(item) == wanted)
    }

    /// Returns the items with this number, which must not be lower than that of the previous call.
    pub(crate) fn next(&mut self, wanted: Number) -> &[&'w T] {
        while self.sorted.get(self.at).is_some_and(|item| (self.number)(item) < wanted) {
            self.at += 1;
        }
        let rest = &self.sorted[self.at..];
        let count = rest.iter().take_while(|item| (self.number)(item) == wanted).count();
        &rest[..count]
    }
}

/// Whether the instance was launched from this record. Environments reuse numbers, but AWS never reuses the id of a record.
#[must_use]
pub fn is_instance_of(instance: &Instance, record: &Record) -> bool {
    instance.environment == record.environment && instance.record.as_ref().is_none_or(|id| *id == record.id)
}

/// How long an instance keeps a later request than that of its record, because a read that lags may show an earlier one.
const KEEP_LATER_REQUEST: Duration = Duration::from_mins(5);

/// Returns the change that copies the database and the services of a record and its last request to deploy to its instance. `None` without a
/// request, and if the instance has all of them.
#[must_use]
pub fn deployment_to_mirror(record: &Record, instance: &Instance, now: DateTime<Utc>) -> Option<TagChanges> {
    let request = record.deployment.as_ref()?;
    let copied = instance.deployment.as_ref();
    let has_database = record.database.is_none() || instance.database == record.database;
    if copied == Some(request) && instance.services == record.services && has_database {
        return None;
    }
    if copied.is_some_and(|copied| copied.at > request.at && now < copied.at + KEEP_LATER_REQUEST) {
        return None;
    }
    let mut changes = TagChanges::new().set(key::DEPLOYMENT, request.to_tag());
    if let Some(number) = record.database {
        changes = changes.set(key::DATABASE, record.environment.fleet.database_id(number).to_string());
    }
    for (service, tag) in &record.services {
        changes = changes.set(&format!("{}{}", key::SERVICE_PREFIX, service.raw()), tag.raw());
    }
    // A service that is no longer under test has no digest either, and the instance cannot remove tags.
    let removed = instance.services.keys().chain(instance.digests.keys());
    for service in removed.filter(|service| !record.services.contains_key(*service)) {
        changes = changes.remove(&format!("{}{}", key::SERVICE_PREFIX, service.raw()));
        changes = changes.remove(&format!("{}{}", key::DIGEST_PREFIX, service.raw()));
    }
    Some(changes)
}

fn choose_instance<'w>(
    record: &Record,
    instances: &[&'w Arc<Instance>],
) -> (Option<&'w Arc<Instance>>, Vec<&'w Arc<Instance>>) {
    let mut active: Vec<&Arc<Instance>> = Vec::new();
    let mut ended: Option<&Arc<Instance>> = None;
    for &instance in instances.iter().filter(|instance| is_instance_of(instance, record)) {
        if !instance.state.is_ending() {
            active.push(instance);
        } else if ended.is_none_or(|last| (last.launched_at, &last.id) < (instance.launched_at, &instance.id))
        {
            ended = Some(instance);
        }
    }
    active.sort_unstable_by_key(|instance| (instance.launched_at, &instance.id));
    if active.is_empty() {
        return (ended, Vec::new());
    }
    let surplus = active.split_off(1);
    (active.pop(), surplus)
}

/// Whether the status of an environment's database is one that its user must know.
fn is_problem(database: &Database) -> bool {
    matches!(database.status_class(), StatusClass::Failed | StatusClass::Stopped | StatusClass::Busy)
}

fn state(environment: &Environment<'_>, policy: &Policy, now: DateTime<Utc>) -> EnvironmentState {
    use EnvironmentState as State;
    let record = environment.record;
    if record.terminate.is_some() || record.reaping_since.is_some_and(|since| now >= since + policy.grace) {
        return State::Terminating;
    }
    let database = environment.database.map(|database| database.status_class());
    if record.failure.is_some() || database == Some(StatusClass::Failed) || environment.database_gone {
        return State::Failed;
    }
    if record.reaping_since.is_some() {
        return State::Reaping;
    }
    if now >= record.ends_at(policy) {
        return State::Expired;
    }
    match environment.instance {
        None => State::Launching,
        Some(instance) => match (instance.state, instance.phase) {
            (InstanceState::ShuttingDown | InstanceState::Terminated, _) | (_, Some(Phase::Failed)) => {
                State::Failed
            }
            (InstanceState::Stopping | InstanceState::Stopped, _) => State::Stopped,
            (_, Some(Phase::Ready)) if database == Some(StatusClass::Stopped) => State::Stopped,
            (_, Some(Phase::Ready)) => State::Ready,
            _ => State::Starting,
        },
    }
}

/// The result of [`find`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'w> {
    Found(&'w Record),
    Missing,
    /// Several environments have the label.
    Ambiguous(Vec<&'w Record>),
}

/// Finds an environment by its id or its unique label. An id takes precedence over a label.
#[must_use]
pub fn find<'w>(world: &'w World, wanted: &str) -> Lookup<'w> {
    let environments = || world.records.iter().filter(|record| record.is_environment());
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
