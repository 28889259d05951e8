//! A test bed for one engine: an account without faults other than the scripted ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud, SimDatabase};
use hatchery::cloud::{DynCloud, Page, Pages};
use hatchery::domain::{
    AuditEvent, CloudError, Database, EnvironmentId, ErrorClass, Number, Outcome, Record, RecordId,
    TagChanges, Tags,
};
use hatchery::engine::{Engine, LaunchRequest, Launched};
use hatchery::failure;

use crate::cloud_layer::{Call, Failure, Hook, Layer};
use crate::setup::{config, dev, request, run_events};

/// Decides which calls fail, and counts calls.
#[derive(Clone, Default)]
pub(crate) struct FaultScript(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    calls: Vec<Call>,
    interventions: Vec<(&'static str, BoxFuture<'static, ()>)>,
    /// The databases that listings do not show.
    hidden: Vec<Number>,
    /// How many reads show an earlier version of a record, and the version.
    stale: (usize, Option<Record>),
}

struct Rule {
    operation: &'static str,
    /// How many calls succeed first.
    after: usize,
    times: usize,
    failure: Failure,
}

/// Exceeds every retry limit.
pub(crate) const ALWAYS: usize = usize::MAX;

pub(crate) fn error(class: ErrorClass) -> CloudError {
    CloudError::new(class, "Operation", "Code", "injected error")
}

impl FaultScript {
    /// Fails the next calls of an operation, `times` in all, without applying them.
    pub(crate) fn fail(&self, operation: &'static str, times: usize, error: CloudError) {
        self.add(Rule { operation, after: 0, times, failure: Failure::NotApplied(error) });
    }

    /// Fails the second page of the next listing.
    pub(crate) fn fail_second_page(&self, listing: &'static str, error: CloudError) {
        self.add(Rule { operation: listing, after: 1, times: 1, failure: Failure::NotApplied(error) });
    }

    /// Applies the next calls of an operation, `times` in all, and loses their responses.
    pub(crate) fn lose_response(&self, operation: &'static str, times: usize) {
        let failure = Failure::ResponseLost(error(ErrorClass::Unknown));
        self.add(Rule { operation, after: 0, times, failure });
    }

    /// Runs a future right before the next call of an operation.
    pub(crate) fn before(&self, operation: &'static str, action: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().interventions.push((operation, action.boxed()));
    }

    /// Hides databases from listings, as RDS does for a while after their creation.
    pub(crate) fn hide<const N: usize>(&self, databases: [u32; N]) {
        self.0.lock().unwrap().hidden = databases.map(Number).into();
    }

    /// Makes the next reads of a record show an earlier version, because reads lag writes.
    pub(crate) fn lag(&self, reads: usize, earlier: Option<Record>) {
        self.0.lock().unwrap().stale = (reads, earlier);
    }

    fn add(&self, rule: Rule) {
        self.0.lock().unwrap().rules.push(rule);
    }

    /// Removes all scripted failures.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().rules.clear();
    }

    /// Returns how often an operation was called.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|call| call.operation == operation).count()
    }
}

#[async_trait::async_trait]
impl Hook for FaultScript {
    async fn before(&self, call: &Call) {
        let action = {
            let interventions = &mut self.0.lock().unwrap().interventions;
            let place = interventions.iter().position(|(operation, _)| *operation == call.operation);
            place.map(|place| interventions.remove(place).1)
        };
        if let Some(action) = action {
            action.await;
        }
    }

    fn databases<'a>(&'a self, pages: Pages<'a, Database>) -> Pages<'a, Database> {
        let show = |mut page: Page<Database>| {
            page.value.retain(|database| !self.0.lock().unwrap().hidden.contains(&database.number));
            page
        };
        pages.map(move |page| page.map(show)).boxed()
    }

    fn record(&self, _: &RecordId, seen: Option<Record>) -> Option<Record> {
        let (reads, earlier) = &mut self.0.lock().unwrap().stale;
        if *reads == 0 {
            return seen;
        }
        *reads -= 1;
        earlier.clone()
    }

    fn failure(&self, call: &Call) -> Option<Failure> {
        let mut script = self.0.lock().unwrap();
        script.calls.push(call.clone());
        let rule = script.rules.iter_mut().find(|rule| rule.operation == call.operation && rule.times > 0)?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times = rule.times.saturating_sub(1);
        Some(rule.failure.clone())
    }
}

/// An account and the engine under test, which belongs to `amy`.
pub(crate) struct TestBed {
    pub(crate) sim: SimCloud,
    pub(crate) clock: Clock,
    pub(crate) script: FaultScript,
    pub(crate) engine: Engine,
}

impl TestBed {
    /// An account with one free database.
    pub(crate) fn new() -> Self {
        Self::with_scenario(Scenario { free: 1, ..Scenario::default() })
    }

    /// Like [`Self::new`], with policy settings.
    pub(crate) fn with_policy<const N: usize>(settings: [(&str, &str); N]) -> Self {
        Self::with_databases(1, settings)
    }

    /// An account with this many free databases, and policy settings.
    pub(crate) fn with_databases<const N: usize>(free: u32, settings: [(&str, &str); N]) -> Self {
        let policy = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self::with_scenario(Scenario { free, policy, ..Scenario::default() })
    }

    pub(crate) fn with_scenario(scenario: Scenario) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let sim = SimCloud::new(scenario, 1, clock.clone());
        run_events(&sim);
        let script = FaultScript::default();
        let engine = engine(&sim, &clock, script.clone(), "amy", 7);
        Self { sim, clock, script, engine }
    }

    /// Makes the last recorded pass never old, for tests of the loop's intervals: an engine observes before each step.
    pub(crate) async fn never_record_passes(&self) {
        let cloud = self.caller();
        let fleet = cloud.fleet(&crate::setup::dev()).await.unwrap().unwrap();
        let changes = TagChanges::new().set("hatchery:last-pass", "2100-01-01T00:00:00Z engine@test");
        cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
    }

    /// Creates an engine of another user, without faults.
    pub(crate) fn other_engine(&self) -> Engine {
        engine(&self.sim, &self.clock, FaultScript::default(), "bob", 8)
    }

    pub(crate) async fn launch(&self) -> Result<Launched, failure::Failure> {
        self.engine.launch(&checkout()).await
    }

    /// Runs a pass of another user's engine every minute.
    pub(crate) async fn run_other_engine(&self, minutes: u32) {
        let other = self.other_engine();
        for _ in 0..minutes {
            other.once(false).await.expect("a pass");
            self.clock.sleep(Duration::from_mins(1)).await;
        }
    }

    /// Returns the tags of an environment's record.
    pub(crate) fn record(&self, environment: &EnvironmentId) -> Option<Tags> {
        let name = environment.record_name();
        self.sim.inspect(|state| {
            state.templates().find(|(_, template)| template.name == name).map(|(_, found)| found.tags.clone())
        })
    }

    /// Returns the environments that have a record.
    pub(crate) fn records(&self) -> Vec<EnvironmentId> {
        self.sim.inspect(|state| {
            let numbers = state.templates().filter_map(|(_, template)| dev().record_number(&template.name));
            numbers.map(|number| dev().environment(number)).collect()
        })
    }

    /// Returns ids and tags of the instances that are not shutting down or terminated.
    pub(crate) fn active_instances(&self) -> Vec<(String, Tags)> {
        self.sim.inspect(|state| {
            let alive = state.instances().filter(|(_, instance)| !instance.state.is_ending());
            alive.map(|(id, instance)| (id.to_owned(), instance.tags.clone())).collect()
        })
    }

    pub(crate) fn database(&self, environment: &EnvironmentId) -> Option<SimDatabase> {
        let wanted = environment.database_id();
        self.sim.inspect(|state| {
            state.databases().find(|(id, _)| *id == wanted.as_str()).map(|(_, database)| database.clone())
        })
    }

    /// Returns an action's audit events in order.
    pub(crate) fn audit(&self, action: &str) -> Vec<AuditEvent> {
        self.sim
            .inspect(|state| state.audit().iter().filter(|event| event.action == action).cloned().collect())
    }

    /// Changes a record's tags as another user.
    pub(crate) async fn tag_record(&self, record: &RecordId, changes: &TagChanges) {
        self.caller().tag_record(record, changes).await.expect("tags");
    }

    /// Changes a record's tags as another user right before the next call of an operation.
    pub(crate) fn tag_before(&self, operation: &'static str, record: &RecordId, changes: TagChanges) {
        let (cloud, record) = (self.caller(), record.clone());
        self.script.before(operation, async move {
            cloud.tag_record(&record, &changes).await.expect("tags");
        });
    }

    /// Delays the next call of an operation.
    pub(crate) fn delay(&self, operation: &'static str, seconds: u64) {
        let clock = self.clock.clone();
        self.script.before(operation, async move { clock.sleep(Duration::from_secs(seconds)).await });
    }

    /// Runs one pass of the engine under test; returns the action, outcome and detail of each step.
    pub(crate) async fn run_pass(&self) -> Vec<(&'static str, Outcome, String)> {
        let report = self.engine.once(false).await.expect("a pass");
        report.steps.into_iter().map(|step| (step.action, step.outcome, step.detail)).collect()
    }

    /// Returns the account as another user sees it, without faults.
    pub(crate) fn caller(&self) -> DynCloud {
        self.sim.caller("bob")
    }

    /// Returns the expiry on an environment's record.
    pub(crate) fn expiry(&self, environment: &EnvironmentId) -> Option<DateTime<Utc>> {
        let name = environment.record_name();
        let record = self.sim.inspect(|state| {
            let (id, found) = state.templates().find(|(_, template)| template.name == name)?;
            Record::parse(&dev(), RecordId::new(id), &name, found.created_at, &found.tags)
        });
        record?.ok()?.expires_at
    }
}

fn engine(sim: &SimCloud, clock: &Clock, hook: FaultScript, who: &str, seed: u64) -> Engine {
    let cloud: DynCloud = Arc::new(Layer { inner: sim.caller(who), hook });
    Engine::new(cloud, clock.clone(), config(who, seed))
}

pub(crate) fn checkout() -> LaunchRequest {
    request("checkout", None)
}
