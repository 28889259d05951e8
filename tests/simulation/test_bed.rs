//! A bed for one engine: an account in which nothing goes wrong but what a script says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Scenario, SimCloud, SimDatabase};
use hatchery::domain::tags::{self, key};
use hatchery::domain::{
    AuditEvent, CloudError, EnvironmentId, ErrorClass, Outcome, RecordId, TagChanges, Tags,
};
use hatchery::engine::{Engine, LaunchRequest, Launched};
use hatchery::failure;

use crate::cloud_layer::{Call, Failure, Hook, Layer};
use crate::setup::{config, dev, live, request};

/// Which calls fail, and which were made.
#[derive(Clone, Default)]
pub(crate) struct FaultScript(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    lines: Vec<Line>,
    calls: Vec<Call>,
    meanwhile: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

struct Line {
    operation: &'static str,
    times: usize,
    failure: Failure,
}

/// More often than anybody tries.
pub(crate) const ALWAYS: usize = usize::MAX;

pub(crate) fn error(class: ErrorClass) -> CloudError {
    CloudError::new(class, "Operation", "Code", "it is so")
}

impl FaultScript {
    /// The next calls of an operation fail so many times, and do nothing.
    pub(crate) fn refuse(&self, operation: &'static str, times: usize, error: CloudError) {
        self.add(Line { operation, times, failure: Failure::Refused(error) });
    }

    /// The answers to the next calls of an operation are lost.
    pub(crate) fn lose(&self, operation: &'static str, times: usize) {
        self.add(Line { operation, times, failure: Failure::Lost(error(ErrorClass::Unknown)) });
    }

    /// This happens right before the next call of an operation.
    pub(crate) fn before(&self, operation: &'static str, happens: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().meanwhile.push((operation, happens.boxed()));
    }

    fn add(&self, line: Line) {
        self.0.lock().unwrap().lines.push(line);
    }

    /// From now on all goes well.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap().lines.clear();
    }

    /// How often an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|call| call.operation == operation).count()
    }
}

#[async_trait::async_trait]
impl Hook for FaultScript {
    async fn before(&self, call: &Call) {
        let happens = {
            let meanwhile = &mut self.0.lock().unwrap().meanwhile;
            let place = meanwhile.iter().position(|(operation, _)| *operation == call.operation);
            place.map(|place| meanwhile.remove(place).1)
        };
        if let Some(happens) = happens {
            happens.await;
        }
    }

    fn failure(&self, call: &Call) -> Option<Failure> {
        let mut pages = self.0.lock().unwrap();
        pages.calls.push(call.clone());
        let line = pages.lines.iter_mut().find(|line| line.operation == call.operation && line.times > 0)?;
        line.times = line.times.saturating_sub(1);
        Some(line.failure.clone())
    }
}

/// An account, an engine of Amy's whose calls follow the script, and whatever others do.
pub(crate) struct TestBed {
    pub(crate) sim: SimCloud,
    pub(crate) clock: Clock,
    pub(crate) script: FaultScript,
    pub(crate) engine: Engine,
}

impl TestBed {
    /// An account with one free database.
    pub(crate) fn new() -> Self {
        Self::of(Scenario { free: 1, ..Scenario::default() })
    }

    /// As [`Self::new`], with settings of the policy.
    pub(crate) fn with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        let policy = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self::of(Scenario { free: 1, policy, ..Scenario::default() })
    }

    pub(crate) fn of(scenario: Scenario) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let sim = SimCloud::new(scenario, 1, clock.clone());
        live(&sim);
        let script = FaultScript::default();
        let engine = engine(&sim, &clock, script.clone(), "amy", 7);
        Self { sim, clock, script, engine }
    }

    /// Somebody else's engine, with which all goes well.
    pub(crate) fn other(&self) -> Engine {
        engine(&self.sim, &self.clock, FaultScript::default(), "bob", 8)
    }

    pub(crate) async fn launch(&self) -> Result<Launched, failure::Failure> {
        self.engine.launch(&checkout()).await
    }

    /// Others' engines do whatever is to do, for so many minutes.
    pub(crate) async fn others_work(&self, minutes: u32) {
        let other = self.other();
        for _ in 0..minutes {
            other.once(false).await.expect("a pass");
            self.clock.sleep(Duration::from_mins(1)).await;
        }
    }

    /// The tags of what stands for an environment.
    pub(crate) fn record(&self, environment: &EnvironmentId) -> Option<Tags> {
        let name = environment.record_name();
        self.sim.inspect(|state| {
            state.templates().find(|(_, template)| template.name == name).map(|(_, found)| found.tags.clone())
        })
    }

    /// The environments that have a record.
    pub(crate) fn records(&self) -> Vec<EnvironmentId> {
        self.sim.inspect(|state| {
            let numbers = state.templates().filter_map(|(_, template)| dev().record_number(&template.name));
            numbers.map(|number| dev().environment(number)).collect()
        })
    }

    /// The environments that have an instance that lives, with its tags.
    pub(crate) fn alive(&self) -> Vec<(String, Tags)> {
        self.sim.inspect(|state| {
            let alive = state.instances().filter(|(_, machine)| !machine.state.is_ending());
            alive.map(|(id, machine)| (id.to_owned(), machine.tags.clone())).collect()
        })
    }

    pub(crate) fn database(&self, environment: &EnvironmentId) -> Option<SimDatabase> {
        let wanted = environment.database_id();
        self.sim.inspect(|state| {
            state.databases().find(|(id, _)| *id == wanted.as_str()).map(|(_, database)| database.clone())
        })
    }

    /// What is in the audit log of an action, in order.
    pub(crate) fn audit(&self, action: &str) -> Vec<AuditEvent> {
        self.sim
            .inspect(|state| state.audit().iter().filter(|event| event.action == action).cloned().collect())
    }

    /// Somebody changes a record's tags.
    pub(crate) async fn tag(&self, record: &RecordId, changes: &TagChanges) {
        self.caller().tag_record(record, changes).await.expect("tags");
    }

    /// Somebody changes a record's tags right before the next call of an operation.
    pub(crate) fn tag_before(&self, operation: &'static str, record: &RecordId, changes: TagChanges) {
        let (cloud, record) = (self.caller(), record.clone());
        self.script.before(operation, async move {
            cloud.tag_record(&record, &changes).await.expect("tags");
        });
    }

    /// The next call of an operation takes so many seconds.
    pub(crate) fn slow(&self, operation: &'static str, seconds: u64) {
        let clock = self.clock.clone();
        self.script.before(operation, async move { clock.sleep(Duration::from_secs(seconds)).await });
    }

    /// One pass of Amy's engine: what it did, how it ended, and what else there is to say.
    pub(crate) async fn pass(&self) -> Vec<(&'static str, Outcome, String)> {
        let report = self.engine.once(false).await.expect("a pass");
        report.steps.into_iter().map(|step| (step.action, step.outcome, step.detail)).collect()
    }

    /// Somebody who is not scripted.
    pub(crate) fn caller(&self) -> DynCloud {
        self.sim.caller("bob")
    }

    /// When the environment's time is over, by its record.
    pub(crate) fn expiry(&self, environment: &EnvironmentId) -> Option<DateTime<Utc>> {
        tags::parse_time(&self.record(environment)?, key::EXPIRES_AT)
    }
}

fn engine(sim: &SimCloud, clock: &Clock, hook: FaultScript, who: &str, seed: u64) -> Engine {
    let cloud: DynCloud = Arc::new(Layer { inner: sim.caller(who), hook });
    Engine::new(cloud, clock.clone(), config(who, seed))
}

/// A launch without anything special.
pub(crate) fn checkout() -> LaunchRequest {
    request("checkout", None)
}
