//! The JSON documents. Within one `version`, fields are only added.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use crate::cloud::LogLine;
use crate::domain::cost::{self, Cost};
use crate::domain::environment::Environment;
use crate::domain::health::{self, Verdict};
use crate::domain::progress::Estimates;
use crate::domain::replacement::DatabaseUsers;
use crate::domain::text::Untrusted;
use crate::domain::{
    AuditEvent, DatabaseState, Endpoint, EnvironmentId, EnvironmentState, FleetName, Hold, InstanceId,
    InstanceState, Label, Outcome, Phase, Pipeline, PipelineKind, Policy, Pool, Run, SnapshotId, Target,
    World,
};
use crate::engine::{Extended, Launched, Refusal, Report, Terminating};
use crate::failure::Failure;
use crate::stack::Parameter;

mod deployments;
mod fleets;
mod reset;
mod services;
mod themes;
mod version;

pub(crate) use deployments::{diff, redeployed};
pub(crate) use fleets::{changed_settings, created_fleet, fleet, fleets, removed_fleet, test_notice};
pub(crate) use reset::{ResetBody, reset};
pub(crate) use services::{image_tags, services};
pub(crate) use themes::{theme, themes};
pub(crate) use version::VERSION;

use deployments::DeploymentBody;

#[derive(Debug, Serialize)]
pub(crate) struct ErrorDocument<'a> {
    version: u32,
    error: ErrorBody<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    hint: &'a str,
}

pub(crate) fn error(failure: &Failure) -> ErrorDocument<'_> {
    let error = ErrorBody { code: failure.kind.as_str(), message: &failure.message, hint: &failure.hint };
    ErrorDocument { version: VERSION, error }
}

#[derive(Debug, Serialize)]
pub(crate) struct Environments<'w> {
    version: u32,
    fleet: &'w FleetName,
    region: &'w str,
    observed_at: Option<DateTime<Utc>>,
    complete: bool,
    environments: Vec<EnvironmentBody<'w>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EnvironmentBody<'w> {
    id: &'w EnvironmentId,
    name: &'w Untrusted,
    owner: &'w Untrusted,
    state: EnvironmentState,
    phase: Option<Phase>,
    progress: Option<f64>,
    eta_seconds: Option<u64>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    instance: Option<InstanceBody<'w>>,
    database: Option<DatabaseBody<'w>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<ResetBody<'w>>,
    services: &'w BTreeMap<Untrusted, Untrusted>,
    deployment: Option<DeploymentBody<'w>>,
    note: Option<&'w Untrusted>,
    hold: Option<HoldBody<'w>>,
    urls: BTreeMap<&'static str, String>,
    cost: Option<Cost>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct HoldBody<'w> {
    until: DateTime<Utc>,
    by: &'w Untrusted,
    why: &'w Untrusted,
}

impl<'w> HoldBody<'w> {
    fn new(hold: &'w Hold) -> Self {
        Self { until: hold.until, by: &hold.by, why: &hold.why }
    }
}

#[derive(Debug, Serialize)]
struct InstanceBody<'w> {
    id: &'w str,
    #[serde(rename = "type")]
    kind: &'w Untrusted,
    state: InstanceState,
    public_ip: Option<&'w Untrusted>,
    private_ip: Option<&'w Untrusted>,
    zone: Option<&'w Untrusted>,
    digests: &'w BTreeMap<Untrusted, Untrusted>,
}

#[derive(Debug, Serialize)]
struct DatabaseBody<'w> {
    id: &'w str,
    status: &'w Untrusted,
    endpoint: Option<&'w Untrusted>,
    /// The percentage of its volume that is loaded, if that is known.
    loaded_percent: Option<u8>,
}

/// Document of `hatchery ls`.
pub(crate) fn environments<'w>(world: &'w World, region: &'w str, now: DateTime<Utc>) -> Environments<'w> {
    let estimates = Estimates::learn(world);
    let policy = &world.fleet.policy;
    let bodies =
        Environment::all(world, now).iter().map(|it| environment(it, policy, &estimates, now)).collect();
    Environments {
        version: VERSION,
        fleet: &world.fleet.name,
        region,
        observed_at: world.now(),
        complete: world.is_complete(),
        environments: bodies,
    }
}

pub(crate) fn environment<'w>(
    environment: &Environment<'w>,
    policy: &Policy,
    estimates: &Estimates,
    now: DateTime<Utc>,
) -> EnvironmentBody<'w> {
    let record = environment.record;
    let progress = estimates.environment(environment, now);
    EnvironmentBody {
        id: &record.environment,
        name: &record.name,
        owner: &record.owner,
        state: environment.state,
        phase: environment.phase(),
        progress: progress.map(|progress| (progress.ratio * 100.0).round() / 100.0),
        eta_seconds: progress.and_then(|progress| progress.remaining).map(|left| left.as_secs()),
        created_at: record.created_at,
        expires_at: record.expires_at,
        instance: environment.instance.map(|instance| InstanceBody {
            id: instance.id.as_str(),
            kind: &instance.instance_type,
            state: instance.state,
            public_ip: instance.public_ip.as_ref(),
            private_ip: instance.private_ip.as_ref(),
            zone: instance.zone.as_ref(),
            digests: &instance.digests,
        }),
        database: environment.database.map(|database| DatabaseBody {
            id: database.id.as_str(),
            status: &database.status,
            endpoint: database.endpoint.as_ref(),
            loaded_percent: database.hydration.percent(),
        }),
        reset: environment.reset.as_ref().map(|reset| ResetBody::new(reset, estimates, now)),
        services: &record.services,
        deployment: environment.deployment().as_ref().map(DeploymentBody::new),
        note: record.note.as_ref(),
        hold: record.hold.as_ref().map(HoldBody::new),
        urls: urls(environment, policy),
        cost: cost::of_environment(environment, policy, now),
        problems: environment.problems(),
    }
}

/// The URLs by endpoint; none before the instance has an IP address, and none behind a port forward.
pub(crate) fn urls(environment: &Environment<'_>, policy: &Policy) -> BTreeMap<&'static str, String> {
    Endpoint::iter()
        .filter_map(|endpoint| {
            Some((endpoint.as_str(), environment.address(endpoint, policy)?.url()?.to_owned()))
        })
        .collect()
}

#[derive(Debug, Serialize)]
pub(crate) struct PoolDocument<'w> {
    version: u32,
    fleet: &'w FleetName,
    target: u32,
    target_automatic: bool,
    target_reason: String,
    target_hit_rate: Option<f64>,
    free: usize,
    creating: usize,
    busy: usize,
    claimed: usize,
    stale: usize,
    failed: usize,
    held: usize,
    deleting: usize,
    complete: bool,
    databases: Vec<PoolDatabase<'w>>,
    snapshot: Option<Source<'w>>,
    image: Option<Source<'w>>,
    health: Vec<Verdict>,
    refused: Vec<RefusalBody<'w>>,
    last_pass: Option<LastPassBody<'w>>,
}

#[derive(Debug, Serialize)]
struct LastPassBody<'w> {
    at: DateTime<Utc>,
    by: &'w Untrusted,
}

#[derive(Debug, Serialize)]
struct PoolDatabase<'w> {
    id: &'w str,
    state: DatabaseState,
    status: &'w Untrusted,
    environment: Option<&'w EnvironmentId>,
    snapshot: Option<&'w str>,
    snapshot_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    /// The percentage of its volume that is loaded, if that is known.
    loaded_percent: Option<u8>,
    endpoint: Option<&'w Untrusted>,
    hold: Option<HoldBody<'w>>,
}

#[derive(Debug, Serialize)]
struct Source<'w> {
    id: &'w str,
    created_at: DateTime<Utc>,
}

/// Document of `hatchery pool`.
pub(crate) fn pool<'w>(world: &'w World, refused: &'w [Refusal], now: DateTime<Utc>) -> PoolDocument<'w> {
    let (pool, holds) = (Pool::new(world), world.database_holds());
    let users = DatabaseUsers::new(world);
    let databases = pool.databases.iter().map(|(state, database)| PoolDatabase {
        id: database.id.as_str(),
        state: *state,
        status: &database.status,
        environment: users.of(database),
        snapshot: database.snapshot.as_ref().map(SnapshotId::as_str),
        snapshot_at: database.snapshot_at,
        created_at: database.created_at,
        loaded_percent: database.hydration.percent(),
        endpoint: database.endpoint.as_ref(),
        hold: holds.get(&database.number).map(|hold| HoldBody::new(hold)),
    });
    let snapshot = world.snapshot.as_ref().ok().and_then(Option::as_ref);
    let image = world.image.as_ref().ok().and_then(Option::as_ref);
    let target = Target::new(world, &world.fleet.policy, now);
    PoolDocument {
        version: VERSION,
        fleet: &world.fleet.name,
        target: target.wanted,
        target_automatic: target.automatic,
        target_reason: target.reason,
        target_hit_rate: target.hit_rate.map(|rate| (rate * 10.0).round() / 10.0),
        free: pool.count(DatabaseState::Free),
        creating: pool.count(DatabaseState::Creating),
        busy: pool.count(DatabaseState::Busy),
        claimed: pool.count(DatabaseState::Claimed),
        stale: pool.count(DatabaseState::Stale),
        failed: pool.count(DatabaseState::Failed),
        held: pool.count(DatabaseState::Held),
        deleting: pool.count(DatabaseState::Deleting),
        complete: world.is_complete(),
        databases: databases.collect(),
        snapshot: snapshot.map(|it| Source { id: it.id.as_str(), created_at: it.created_at }),
        image: image.map(|it| Source { id: it.id.as_str(), created_at: it.created_at }),
        health: health::verdicts(world, now),
        refused: refused.iter().map(RefusalBody::new).collect(),
        last_pass: world.fleet.last_pass.as_ref().map(|last| LastPassBody { at: last.at, by: &last.by }),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Activity<'a> {
    version: u32,
    fleet: &'a FleetName,
    events: &'a [AuditEvent],
}

/// Document of `hatchery activity`.
pub(crate) fn activity<'a>(fleet: &'a FleetName, events: &'a [AuditEvent]) -> Activity<'a> {
    Activity { version: VERSION, fleet, events }
}

#[derive(Debug, Serialize)]
pub(crate) struct ReportDocument<'r> {
    version: u32,
    fleet: &'r FleetName,
    steps: Vec<StepBody<'r>>,
    refused: Vec<RefusalBody<'r>>,
    incomplete: &'r [&'static str],
}

#[derive(Debug, Serialize)]
struct StepBody<'r> {
    action: &'static str,
    target: &'r str,
    reason: &'r str,
    outcome: Outcome,
    detail: &'r str,
}

#[derive(Debug, Serialize)]
struct RefusalBody<'r> {
    action: &'static str,
    target: &'r str,
    reason: &'r str,
}

impl<'r> RefusalBody<'r> {
    fn new(refusal: &'r Refusal) -> Self {
        Self { action: refusal.action, target: &refusal.target, reason: &refusal.reason }
    }
}

/// Document of `hatchery engine --once`.
pub(crate) fn report<'r>(fleet: &'r FleetName, report: &'r Report) -> ReportDocument<'r> {
    let steps = report.steps.iter().map(|step| StepBody {
        action: step.action,
        target: &step.target,
        reason: &step.reason,
        outcome: step.outcome,
        detail: &step.detail,
    });
    ReportDocument {
        version: VERSION,
        fleet,
        steps: steps.collect(),
        refused: report.refused.iter().map(RefusalBody::new).collect(),
        incomplete: &report.incomplete,
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Launch<'a> {
    version: u32,
    fleet: &'a FleetName,
    environment: LaunchedBody<'a>,
}

#[derive(Debug, Serialize)]
struct LaunchedBody<'a> {
    id: &'a EnvironmentId,
    name: &'a str,
    record: &'a str,
    instance: Option<&'a str>,
    database: &'a str,
    expires_at: DateTime<Utc>,
}

/// Document of `hatchery launch`.
pub(crate) fn launched<'a>(fleet: &'a FleetName, name: &'a Label, launched: &'a Launched) -> Launch<'a> {
    let environment = LaunchedBody {
        id: &launched.environment,
        name: name.as_str(),
        record: launched.record.as_str(),
        instance: launched.instance.as_ref().map(InstanceId::as_str),
        database: launched.database.as_str(),
        expires_at: launched.expires_at,
    };
    Launch { version: VERSION, fleet, environment }
}

/// Document of `hatchery launch --wait`.
pub(crate) fn ready(fleet: &FleetName, environment: &EnvironmentBody<'_>) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "environment": environment })
}

#[derive(Debug, Serialize)]
pub(crate) struct StackParameters<'a> {
    version: u32,
    parameters: &'a [Parameter],
}

pub(crate) fn stack_parameters(parameters: &[Parameter]) -> StackParameters<'_> {
    StackParameters { version: VERSION, parameters }
}

#[derive(Debug, Serialize)]
pub(crate) struct Change<'a> {
    version: u32,
    fleet: &'a FleetName,
    id: &'a EnvironmentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminating: Option<bool>,
    /// Why no engine acts on the request yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed_by: Option<&'a str>,
}

/// Document of `hatchery extend`.
pub(crate) fn extended<'a>(fleet: &'a FleetName, extended: &'a Extended) -> Change<'a> {
    Change {
        version: VERSION,
        fleet,
        id: &extended.environment,
        expires_at: Some(extended.expires_at),
        capped: Some(extended.capped),
        terminating: None,
        delayed_by: None,
    }
}

/// Document of `hatchery hold`. `id` is that of an environment or of a database.
pub(crate) fn held(fleet: &FleetName, id: &str, held: &Extended) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "id": id, "held_until": held.expires_at, "capped": held.capped })
}

/// Document of `hatchery hold --release`.
pub(crate) fn released(fleet: &FleetName, id: &str) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "id": id, "released": true })
}

/// Document of `hatchery terminate`.
pub(crate) fn terminating<'a>(fleet: &'a FleetName, terminating: &'a Terminating) -> Change<'a> {
    Change {
        version: VERSION,
        fleet,
        id: &terminating.environment,
        expires_at: None,
        capped: None,
        terminating: Some(true),
        delayed_by: terminating.delayed_by.as_deref(),
    }
}

/// Document of one line of `hatchery logs`.
pub(crate) fn log_line(line: &LogLine) -> Value {
    json!({ "version": VERSION, "at": line.at, "source": line.source, "text": line.text })
}

/// Document of `hatchery open`.
pub(crate) fn url(fleet: &FleetName, id: &EnvironmentId, url: &str) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "id": id, "url": url })
}

/// Document of `hatchery doctor`.
pub(crate) fn doctor(findings: &impl Serialize) -> Value {
    json!({ "version": VERSION, "findings": findings })
}

/// Document of `hatchery images`.
pub(crate) fn images(fleet: &FleetName, pipelines: &[Pipeline]) -> Value {
    let pipelines: Vec<_> = pipelines
        .iter()
        .map(|pipeline| {
            json!({
                "image": pipeline.kind, "enabled": pipeline.enabled, "schedule": pipeline.schedule,
                "runs": pipeline.runs,
            })
        })
        .collect();
    json!({ "version": VERSION, "fleet": fleet, "pipelines": pipelines })
}

/// Document of `hatchery images bake`.
pub(crate) fn image(fleet: &FleetName, kind: PipelineKind, run: &Run) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "image": kind, "run": run })
}

/// Document of `hatchery pool recycle`.
pub(crate) fn recycled(fleet: &FleetName, databases: usize, at: DateTime<Utc>) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "databases": databases, "recycled_at": at })
}
