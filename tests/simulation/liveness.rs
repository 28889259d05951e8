//! I11: what is wanted comes about. Checked every ten minutes on the account's true state.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::Page;
use hatchery::cloud::sim::State;
use hatchery::domain::database::DatabaseAttributes;
use hatchery::domain::instance::InstanceAttributes;
use hatchery::domain::tags::key;
use hatchery::domain::{
    Database, DatabaseId, DatabaseState, Environment, EnvironmentState, Fleet, FleetName, Instance,
    InstanceId, Listing, Outcome, Policy, Pool, Record, RecordId, Replacements, World, lifecycle,
};
use hatchery::engine::plan::{Plan, plan};
use hatchery::engine::step::Step;

use crate::invariants::InvariantChecker;
use crate::ownership::find_record;
use crate::swarm::SwarmFleet;

/// How long a launch may have neither an instance nor a reason, and how long a step may be wanted without being done, failed or refused.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

/// How long an environment may take to end, and the pool to reach its target: RDS takes up to 30 minutes for a restore, some of which fail.
const MAX_TIME_TO_HEAL: TimeDelta = TimeDelta::hours(4);

/// What is waited for in one fleet.
#[derive(Default)]
struct Waiting {
    /// Since when nothing keeps engines from their work.
    free_since: Option<DateTime<Utc>>,
    /// Since when each step has been wanted in every plan.
    steps: BTreeMap<(&'static str, String), DateTime<Utc>>,
    /// Since when each environment has been ending.
    ends: BTreeMap<String, DateTime<Utc>>,
    /// Since when each replacement has been waiting for its database, or for the switch to it.
    resets: BTreeMap<String, DateTime<Utc>>,
    /// Since when the pool has been below its target.
    pool: Option<DateTime<Utc>>,
    reported: std::collections::BTreeSet<String>,
}

pub(crate) struct Liveness {
    fleets: Vec<(FleetName, SwarmFleet, Waiting)>,
    /// The version of the engines.
    pub(crate) version: semver::Version,
    /// Whether restores fail or hang so often that a pool may stay below its target.
    pub(crate) flaky_restores: bool,
    pub(crate) database_quota: usize,
}

/// An event of the audit log that tells about a target.
struct Told {
    failed: bool,
    at: DateTime<Utc>,
}

impl Liveness {
    pub(crate) fn new(fleets: &[SwarmFleet], version: semver::Version) -> Self {
        let fleets = fleets
            .iter()
            .map(|fleet| (fleet.name.parse().expect("a name"), fleet.clone(), Waiting::default()));
        Self { fleets: fleets.collect(), version, flaky_restores: false, database_quota: usize::MAX }
    }

    /// Checks all fleets.
    pub(crate) fn sample(&mut self, state: &State, checker: &mut InvariantChecker) {
        let told = told(state);
        let total = state.databases().count();
        for (name, fleet, waiting) in &mut self.fleets {
            let Some(world) = true_world(state, name) else { continue };
            let now = state.now();
            let is_free =
                !state.is_hindered() && lifecycle::observe_only_reason(&world.fleet, &self.version).is_none();
            let since = checker.alive.since(name.as_str()).filter(|_| is_free);
            let Some(since) = since else {
                checker.deployments.sample(state, name, None);
                *waiting = Waiting { reported: std::mem::take(&mut waiting.reported), ..Waiting::default() };
                continue;
            };
            let free_since = since.max(waiting.free_since.unwrap_or(now));
            waiting.free_since = Some(free_since);
            let deployed = checker.deployments.sample(state, name, Some(free_since));
            let mut found = Waiting::launches(state, checker, name, free_since);
            found.extend(deployed);
            found.extend(waiting.steps(&world, fleet, &told, now));
            found.extend(waiting.ends(state, &world, &told, now));
            if !self.flaky_restores && total < self.database_quota {
                found.extend(waiting.pool(&world, fleet, &told, now));
                found.extend(waiting.resets(&world, &told, now));
            } else {
                waiting.pool = None;
                waiting.resets.clear();
            }
            for what in found {
                if waiting.reported.insert(what.clone()) {
                    checker.report(format!("I11 at {}: {name}: {what}", now.format("%F %T")));
                }
            }
        }
    }
}

impl Waiting {
    /// Launches that were confirmed more than an hour ago and have neither an instance nor a reason.
    fn launches(
        state: &State,
        checker: &InvariantChecker,
        fleet: &FleetName,
        free_since: DateTime<Utc>,
    ) -> Vec<String> {
        let late = checker.launched.iter().filter(|(_, at)| free_since.max(**at) + PATIENCE <= state.now());
        let mut found = Vec::new();
        for (record, _) in late {
            let Some((_, template)) = state.templates().find(|(id, _)| id == record) else { continue };
            let is_own = fleet.record_number(&template.name).is_some();
            let is_told = [key::FAILURE, key::TERMINATE, key::REAPING_SINCE, key::INSTANCE]
                .iter()
                .any(|key| template.tags.contains_key(*key));
            let launched = state.instances().any(|(_, instance)| find_record(instance) == Some(record));
            if is_own && !is_told && !launched {
                found.push(format!(
                    "launch {record} ({}) has neither an instance nor a reason",
                    template.name
                ));
            }
        }
        found
    }

    /// Steps that have been wanted in every plan for more than an hour, and about which the audit log says nothing.
    fn steps(
        &mut self,
        world: &World,
        fleet: &SwarmFleet,
        told: &BTreeMap<(String, String), Told>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let plan = plan(world, &world.fleet.policy, now);
        // The record of a pass is no change of the fleet, and the audit log does not have it.
        let changes = plan.steps.iter().filter(|planned| planned.step != Step::RecordPass);
        let wanted = changes.filter(|planned| {
            // The true world has no launch history.
            fleet.spare.is_some()
                || !matches!(
                    planned.step,
                    Step::CreateDatabase { .. } | Step::Retire { .. } | Step::MarkPoolEmpty { .. }
                )
        });
        let keys: Vec<_> = wanted.map(|planned| (planned.step.action(), planned.step.target())).collect();
        self.steps.retain(|key, _| keys.contains(key));
        let mut found = Vec::new();
        for (action, target) in keys {
            let since = *self.steps.entry((action, target.clone())).or_insert(now);
            // After a notice has failed, the others of a pass wait for the next one. The number of a restore is the engine's choice.
            let is_any = ["send-notice", "create-database"].contains(&action);
            let is_about = |of: &(String, String)| of.0 == action && (of.1 == target || is_any);
            // A failure that repeats is told once an hour, so the last telling may be from before the step was wanted again.
            let is_recent =
                |told: &Told| told.at >= since || told.failed && told.at + PATIENCE + PATIENCE >= now;
            let told = told.iter().any(|(of, told)| is_about(of) && is_recent(told));
            if since + PATIENCE <= now && !told {
                found
                    .push(format!("{action} {target} is wanted since {since}, and nothing is said about it"));
            }
        }
        found
    }

    /// Environments that should have ended hours ago.
    fn ends(
        &mut self,
        state: &State,
        world: &World,
        told: &BTreeMap<(String, String), Told>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let ending: Vec<&Record> = world
            .records
            .iter()
            .filter(|record| lifecycle::is_ending(record, &world.fleet.policy, now))
            .collect();
        self.ends.retain(|id, _| ending.iter().any(|record| record.id.as_str() == id));
        let mut found = Vec::new();
        for record in ending {
            let since = *self.ends.entry(record.id.to_string()).or_insert(now);
            let database = record.environment.database_id().to_string();
            let environment = record.environment.to_string();
            let is_about = |target: &str| {
                target == environment
                    || target == database
                    || record.instance.as_ref().is_some_and(|id| id.as_str() == target)
            };
            let is_told = told
                .iter()
                .any(|((_, target), told)| told.failed && is_about(target) && told.at + PATIENCE >= now);
            let is_protected = state.databases().any(|(id, own)| id == database && own.protected)
                || state
                    .instances()
                    .any(|(_, own)| own.protected && find_record(own) == Some(record.id.as_str()));
            if is_protected {
                // The time counts from when the protection is removed.
                self.ends.insert(record.id.to_string(), now);
            } else if since + MAX_TIME_TO_HEAL <= now && !is_told {
                found.push(format!(
                    "{environment} ({}) is ending since {since}, and is still there",
                    record.id
                ));
            }
        }
        found
    }

    /// Resets that were requested hours ago, and of which nothing is said.
    fn resets(
        &mut self,
        world: &World,
        told: &BTreeMap<(String, String), Told>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let replacements = Replacements::new(world);
        let pending = |environment: &Environment<'_>| {
            let is_up = environment.state == EnvironmentState::Ready;
            replacements.next(environment.record).filter(|_| is_up && environment.record.is_wanted())
        };
        let pending: Vec<&Record> = Environment::all(world, now).iter().filter_map(pending).collect();
        self.resets.retain(|id, _| pending.iter().any(|record| record.id.as_str() == id));
        let mut found = Vec::new();
        for record in pending {
            let since = *self.resets.entry(record.id.to_string()).or_insert(now);
            let database = record.environment.database_id().to_string();
            let is_told = told
                .iter()
                .any(|((_, target), told)| told.failed && *target == database && told.at + PATIENCE >= now);
            if since + MAX_TIME_TO_HEAL <= now && !is_told {
                found.push(format!(
                    "the reset to {database} is wanted since {since}; {}",
                    describe_plan(world, now)
                ));
            }
        }
        found
    }

    /// A pool that is below its target although there is room, and of which nothing is said.
    fn pool(
        &mut self,
        world: &World,
        fleet: &SwarmFleet,
        told: &BTreeMap<(String, String), Told>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let policy = &world.fleet.policy;
        let target = usize::try_from(fixed_spare(policy)?).ok()?;
        let _ = fleet.spare?;
        let pool = Pool::new(world);
        let free = pool.count(DatabaseState::Free);
        let used = pool.databases.len() + world.records.items.len();
        let is_full = used >= policy.max_databases as usize;
        let is_stopped = policy.restore_failures.numbers.len() >= 5
            || world.fleet.problems.iter().any(hatchery::domain::policy::Problem::stops_pool);
        let failed = told.iter().any(|((action, _), told)| {
            action == "create-database" && told.failed && told.at + PATIENCE >= now
        });
        if free >= target || is_full || is_stopped || failed {
            self.pool = None;
            return None;
        }
        let since = *self.pool.get_or_insert(now);
        (since + MAX_TIME_TO_HEAL <= now).then(|| {
            format!("the pool is below its target of {target} since {since}; {}", describe_plan(world, now))
        })
    }
}

/// Returns what an engine would do and refuse, for the report of a violation.
pub(crate) fn describe_plan(world: &World, now: DateTime<Utc>) -> String {
    let Plan { steps, refused } = plan(world, &world.fleet.policy, now);
    let steps: Vec<_> = steps.iter().map(|planned| planned.step.key().to_string()).collect();
    let refused: Vec<_> =
        refused.iter().map(|one| format!("{} {}: {}", one.action, one.target, one.reason)).collect();
    format!("the plan has {steps:?} and refuses {refused:?}")
}

fn fixed_spare(policy: &Policy) -> Option<u32> {
    match policy.spare {
        hatchery::domain::Spare::Fixed(spare) => Some(spare),
        hatchery::domain::Spare::Auto => None,
    }
}

/// Returns the latest event about each action and target.
fn told(state: &State) -> BTreeMap<(String, String), Told> {
    let events = state.audit();
    let mut told: BTreeMap<(String, String), Told> = BTreeMap::new();
    for event in &events[events.len().saturating_sub(3_000)..] {
        let failed = matches!(event.outcome, Outcome::Failed | Outcome::Unknown);
        let entry = told
            .entry((event.action.to_string(), event.target.to_string()))
            .or_insert(Told { failed, at: event.at });
        entry.at = event.at.max(entry.at);
        entry.failed = failed;
    }
    told
}

/// Returns what an observation without lag and faults shows of a fleet.
pub(crate) fn true_world(state: &State, name: &FleetName) -> Option<World> {
    let now = state.now();
    let own = name.template_name();
    let (id, template) = state.templates().find(|(_, template)| template.name == own)?;
    let fleet = Fleet::parse(RecordId::new(id), &template.name, &template.tags)?;
    let mut world = World::new(fleet);
    let templates: Vec<_> = state.templates().collect();
    let records = Page::parse(&templates, Some(now), |(id, template)| {
        Record::parse(name, RecordId::new(*id), &template.name, template.created_at, &template.tags)
    });
    let instances = state.instances().filter_map(|(id, instance)| {
        let attributes = InstanceAttributes {
            id: InstanceId::new(id),
            state: instance.state,
            instance_type: instance.instance_type.as_str().into(),
            public_ip: instance.public_ip.as_deref().map(Into::into),
            private_ip: None,
            zone: Some(instance.zone.as_str().into()),
            launched_at: instance.launched_at,
            state_reason: None,
        };
        Instance::parse(name, attributes, &instance.tags)
    });
    let databases: Vec<_> = state.databases().collect();
    let databases = Page::parse(&databases, Some(now), |(id, database)| {
        let attributes = DatabaseAttributes {
            id: DatabaseId::new(*id),
            status: database.status.as_str().into(),
            endpoint: database.endpoint.as_deref().map(Into::into),
            created_at: database.created_at,
            zone: Some(database.zone.as_str().into()),
            loaded: state.loaded(database, now),
        };
        Database::parse(name, attributes, &database.tags)
    });
    world.records = listing(records, now);
    world.instances = Listing::complete(instances, now);
    world.databases = listing(databases, now);
    world.snapshot = Ok(state.latest_snapshot().cloned());
    world.image = Ok(state.latest_image().cloned());
    world.subnets = Ok(state.subnets().to_vec());
    Some(world)
}

fn listing<T>(page: Page<T>, now: DateTime<Utc>) -> Listing<T> {
    Listing { unreadable: page.unreadable, ..Listing::complete(page.value, now) }
}
