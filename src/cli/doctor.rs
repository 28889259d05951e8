//! `hatchery doctor`: checks the set-up, and says how to fix each problem.

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use futures::join;
use serde::Serialize;

use super::context::Session;
use super::fleet::{checks, leftovers};
use super::{database_checks, json};
use crate::cloud::{
    self, Answer, BaseTemplate, DynAccount, Inventory, Permission, PermissionSamples, Quota, ScheduledEngine,
};
use crate::domain::format::{format_duration, format_skew};
use crate::domain::{Access, Fleet, Target, World, health, lifecycle};
use crate::engine::{Engine, exposure};
use crate::failure::Failure;
use crate::sessions;

/// AWS rejects requests signed more than five minutes ago (Signature Version 4); a warning comes well before.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
const REFUSED_SKEW: TimeDelta = TimeDelta::minutes(5);
const MAX_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Longer than the usual intervals of the stack's schedule.
const SCHEDULE_TOLERANCE: TimeDelta = TimeDelta::hours(1);

/// The used share of a quota above which the next launches may fail.
const NEARLY: f64 = 0.9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Info,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn mark(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Info => '·',
            Self::Warning => '!',
            Self::Error => '✗',
        }
    }
}

impl From<health::Level> for Level {
    fn from(level: health::Level) -> Self {
        match level {
            health::Level::Info => Self::Info,
            health::Level::Warning => Self::Warning,
            health::Level::Error => Self::Error,
        }
    }
}

/// Result of one check.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    level: Level,
    check: &'static str,
    message: String,
    hint: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn push(
        &mut self,
        level: Level,
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Finding { level, check, message: message.into(), hint: hint.into() });
    }

    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(Level::Ok, check, message, "");
    }

    fn error(&mut self, check: &'static str, failure: &Failure) {
        self.push(Level::Error, check, failure.message.clone(), failure.hint.clone());
    }
}

pub(crate) async fn run(session: &Session) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    check_all(session, &mut findings).await?;
    let has_error = findings.0.iter().any(|finding| finding.level == Level::Error);
    if session.console.is_json() {
        session.console.print_json(&json::doctor(&findings.0))?;
    } else {
        session.console.print(&findings.0.iter().map(format_finding).collect::<String>())?;
    }
    Ok(if has_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn format_finding(finding: &Finding) -> String {
    let Finding { level, check, message, hint } = finding;
    let hint = if hint.is_empty() { String::new() } else { format!("\n{:>22}→ {hint}", "") };
    format!("{} {:<8} {check:<12}{message}{hint}\n", level.mark(), level.as_str())
}

/// Runs the checks in order, and stops at one that all later ones depend on, because they would only repeat its error.
async fn check_all(session: &Session, findings: &mut Findings) -> Result<(), Failure> {
    let account = match session.connect().await {
        Ok(account) => account,
        Err(failure) => {
            findings.error("connection", &failure);
            return Ok(());
        }
    };
    findings.ok("region", account.region());
    match account.identity().await {
        Ok(identity) => {
            findings.ok("credentials", format!("{} in account {}", identity.arn, identity.account));
        }
        Err(error) => {
            findings.error("credentials", &Failure::cloud("cannot read the caller's identity", &error));
            // A refusal also has AWS's time, and a wrong clock may be its cause.
            if let Some(now) = account.time() {
                check_clock(session.clock.now(), now, findings);
            }
            return Ok(());
        }
    }
    // Listed once for all checks, because RDS lists all DB instances of the account.
    let inventory = leftovers::inventory(&account).await;
    check_leftovers(&account, &inventory, findings).await;
    let fleet = match session.find_fleet(&account).await {
        Ok(fleet) => fleet,
        Err(failure) => {
            findings.error("fleet", &failure);
            return Ok(());
        }
    };
    let engine = session.engine(account.clone(), fleet, session.owner()?);
    match engine.observe_pool().await {
        Ok(world) => {
            let local = engine.clock().now();
            let now = world.now().unwrap_or(local);
            check_fleet(&world, &engine, findings);
            check_clock(local, now, findings);
            check_sources(&world, now, findings);
            check_databases(&account, &world, findings).await;
            check_pool(&world, now, findings);
            check_refusals(&world, &engine, findings);
            check_account(&account, &world, findings).await;
            check_listing_cost(&inventory, findings);
            check_access(&world.fleet, findings).await;
            check_audit_log(&engine, &world, findings).await;
            check_scheduled_engine(&account, &world.fleet, now, findings).await;
        }
        Err(failure) => findings.error("fleet", &failure),
    }
    Ok(())
}

async fn check_leftovers(
    account: &DynAccount,
    inventory: &Result<Inventory, Failure>,
    findings: &mut Findings,
) {
    let fleets = cloud::collect(account.fleets()).await;
    // An incomplete list would show fleets as gone.
    if !fleets.complete {
        return;
    }
    match inventory {
        Ok(inventory) => {
            for left in leftovers::find(inventory, &fleets.items) {
                findings.error("leftovers", &leftovers::finding(&left));
            }
        }
        Err(failure) => {
            findings.push(Level::Info, "leftovers", failure.message.clone(), failure.hint.clone());
        }
    }
}

fn check_fleet(world: &World, engine: &Engine, findings: &mut Findings) {
    let fleet = &world.fleet;
    match lifecycle::observe_only_reason(&world.fleet, &engine.config().version) {
        Some(reason) => {
            findings.push(Level::Warning, "engine", reason, "until then this engine only observes");
        }
        None => findings.ok("fleet", format!("{}, launch template {}", fleet.name, fleet.template)),
    }
}

fn check_clock(local: DateTime<Utc>, now: DateTime<Utc>, findings: &mut Findings) {
    let skew = local - now;
    if skew.abs() > MAX_SKEW {
        let level = if skew.abs() > REFUSED_SKEW { Level::Error } else { Level::Warning };
        findings.push(level, "clock", format_skew(skew), "synchronize it with a time server");
    } else {
        findings.ok("clock", "in sync with AWS");
    }
}

fn format_age(age: TimeDelta) -> String {
    format_duration(age.to_std().unwrap_or_default())
}

fn check_sources(world: &World, now: DateTime<Utc>, findings: &mut Findings) {
    let age = |at: DateTime<Utc>| format_age(now - at);
    if let Ok(Some(snapshot)) = &world.snapshot {
        findings.ok("snapshot", format!("{}, {} old", snapshot.id, age(snapshot.created_at)));
    }
    // The health check reports a missing snapshot and a missing image.
    if let Ok(Some(image)) = &world.image {
        findings.ok("image", format!("{}, {} old", image.id, age(image.created_at)));
    }
    match &world.subnets {
        Ok(subnets) if subnets.is_empty() => {
            let hint = "set them with: hatchery fleet set subnets=\"SUBNET ...\"";
            findings.push(Level::Error, "subnets", "the policy has no subnets", hint);
        }
        Ok(subnets) => findings.ok("subnets", format!("{} found", subnets.len())),
        Err(error) => findings.error("subnets", &Failure::cloud("cannot read the subnets", error)),
    }
}

/// Checks whether databases can be restored in each zone of the fleet.
async fn check_databases(account: &DynAccount, world: &World, findings: &mut Findings) {
    let subnets = world.subnets.as_deref().unwrap_or_default();
    let policy = &world.fleet.policy;
    let found = database_checks::check(account, policy, subnets).await;
    for problem in &found.problems {
        findings.error("databases", problem);
    }
    for partial in found.partial {
        findings.push(Level::Warning, "databases", partial.message, partial.hint);
    }
    if let (Some(engine), true) = (found.engine, found.problems.is_empty()) {
        findings.ok("databases", format!("{} with {engine}", policy.database_class));
    }
}

fn check_pool(world: &World, now: DateTime<Utc>, findings: &mut Findings) {
    let target = Target::new(world, &world.fleet.policy, now);
    findings.ok("pool", format!("target {target}: {}", target.reason));
    for verdict in health::verdicts(world, now) {
        findings.push(verdict.level.into(), "health", verdict.message, "");
    }
}

/// Reports what an engine does not do although something calls for it. That it may only observe is reported with the fleet.
fn check_refusals(world: &World, engine: &Engine, findings: &mut Findings) {
    for refusal in engine.refusals(world).iter().filter(|refusal| refusal.action != "engine") {
        let message = format!("{} {}: {}", refusal.action, refusal.target, refusal.reason);
        findings.push(Level::Info, "not done", message, "");
    }
}

/// Says what a large account costs each refresh of each dashboard and engine.
fn check_listing_cost(inventory: &Result<Inventory, Failure>, findings: &mut Findings) {
    // A failure is reported with the leftovers.
    let Ok(Inventory { listing: cost, .. }) = inventory else { return };
    if cost.requests > 1 {
        let message = format!(
            "each look at the databases takes {} requests, because RDS can only list all {} DB instances of the account",
            cost.requests, cost.databases
        );
        findings.push(Level::Info, "load", message, "use an account or a Region with fewer DB instances");
    }
}

async fn check_account(account: &DynAccount, world: &World, findings: &mut Findings) {
    let fleet = &world.fleet;
    let samples = PermissionSamples::of(world);
    let (base, permissions, quotas) = join!(
        exposure::base_template_of(&**account, fleet),
        account.permissions(fleet, &samples),
        account.quotas()
    );
    match base {
        Ok((base, groups)) => {
            check_base_template(account, fleet, &base, findings).await;
            let exposed = exposure::exposed_groups(&groups, &fleet.policy);
            for group in &exposed {
                findings.error("network", &exposure::refusal(group));
            }
            let unread: Vec<_> =
                groups.iter().flat_map(|group| &group.unread).map(ToString::to_string).collect();
            if !unread.is_empty() {
                let message = format!("cannot read {}, which may admit the internet", unread.join(", "));
                let hint = "ask your administrator to allow ec2:GetManagedPrefixListEntries";
                findings.push(Level::Warning, "network", message, hint);
            } else if exposed.is_empty() {
                findings.ok("network", "no security group is open to the internet");
            }
        }
        Err(failure) => findings.error("network", &failure),
    }
    check_permissions(permissions, findings);
    match quotas {
        Ok(quotas) => {
            for quota in &quotas {
                check_quota(quota, findings);
            }
        }
        Err(error) => {
            let failure = Failure::cloud("cannot read the quotas", &error);
            findings.push(Level::Info, "quotas", failure.message, failure.hint);
        }
    }
}

async fn check_base_template(
    account: &DynAccount,
    fleet: &Fleet,
    base: &BaseTemplate,
    findings: &mut Findings,
) {
    if let Some(refusal) = exposure::template_refusal(fleet, base) {
        findings.error("template", &refusal);
    }
    if let Some(name) = &base.key_name
        && let Some(missing) = checks::check_key_pair(account, name.raw()).await
    {
        findings.error("template", &missing);
    }
    for correction in &base.corrections {
        findings.push(Level::Info, "template", format!("environments are launched without {correction}"), "");
    }
}

/// Checks what this computer needs to reach the environments. Only warns, because an engine does not need it.
async fn check_access(fleet: &Fleet, findings: &mut Findings) {
    if fleet.policy.access == Access::Vpn {
        return;
    }
    match sessions::find_version().await {
        Ok(Some(version)) => findings.ok("access", format!("through session-manager-plugin {version}")),
        Ok(None) => findings.ok("access", "through session-manager-plugin, which does not say its version"),
        Err(failure) => findings.push(Level::Warning, "access", failure.message, failure.hint),
    }
}

fn check_permissions(permissions: Vec<Permission>, findings: &mut Findings) {
    let granted = permissions.iter().filter(|permission| permission.answer == Answer::Granted).count();
    findings.ok("permissions", format!("{granted} checked and granted"));
    for Permission { action, answer } in permissions {
        match answer {
            Answer::Granted => {}
            Answer::Denied(_) => {
                let message = format!("{action} is not permitted");
                let hint = format!("ask your administrator to allow {action}");
                findings.push(Level::Error, "permissions", message, hint);
            }
            Answer::Unknown(reason) => {
                let message = format!("cannot know whether {action} is permitted: {reason}");
                findings.push(Level::Info, "permissions", message, "");
            }
        }
    }
}

fn check_quota(quota: &Quota, findings: &mut Findings) {
    let Quota { name, limit, used } = quota;
    let Some(used) = used else {
        return findings.ok("quotas", format!("{name}: {limit:.0}"));
    };
    let message = format!("{name}: {used:.0} of {limit:.0}");
    if *used < NEARLY * limit {
        return findings.ok("quotas", message);
    }
    let hint = "ask for more in Service Quotas, before launches and restores fail";
    findings.push(Level::Warning, "quotas", message, hint);
}

async fn check_audit_log(engine: &Engine, world: &World, findings: &mut Findings) {
    let since = world.now().unwrap_or_else(|| engine.clock().now()) - TimeDelta::days(7);
    match engine.cloud().audit(&world.fleet.name, since, 1).await {
        Ok(events) => {
            if let Some(event) = events.last() {
                let message = format!("last entry by {} at {} UTC", event.who, event.at.format("%F %T"));
                findings.ok("audit", message);
            } else {
                let hint = "start an engine with: hatchery engine --once";
                findings.push(Level::Info, "audit", "no changes in the last 7 days", hint);
            }
        }
        Err(error) => {
            let failure = Failure::cloud("cannot read the audit log", &error);
            findings.push(Level::Warning, "audit", failure.message, failure.hint);
        }
    }
}

async fn check_scheduled_engine(
    account: &DynAccount,
    fleet: &Fleet,
    now: DateTime<Utc>,
    findings: &mut Findings,
) {
    match account.scheduled_engine(&fleet.name, now - SCHEDULE_TOLERANCE).await {
        Ok(ScheduledEngine::Ran(at)) => {
            findings.ok("schedule", format!("the scheduled engine ran {} ago", format_age(now - at)));
        }
        Ok(ScheduledEngine::Silent) => {
            let message = "the scheduled engine has not run for an hour";
            let hint = format!(
                "check the schedule hatchery-{name}-engine and the log group {group}; until it runs, use: hatchery engine --once",
                name = fleet.name,
                group = fleet.name.function_log_group()
            );
            findings.push(Level::Warning, "schedule", message, hint);
        }
        Ok(ScheduledEngine::Missing) => {
            let message = "the fleet has no scheduled engine; expired environments stay until a dashboard or an engine runs";
            let hint = "deploy the template of hatchery stack, or schedule: hatchery engine --once";
            findings.push(Level::Info, "schedule", message, hint);
        }
        Err(error) => {
            let failure = Failure::cloud("cannot read the log of the scheduled engine", &error);
            findings.push(Level::Info, "schedule", failure.message, failure.hint);
        }
    }
}
