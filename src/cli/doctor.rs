//! `doctor`: checks what it can reach, and says what to do about each finding.

use std::process::ExitCode;

use chrono::Utc;
use futures::join;
use serde::Serialize;

use super::connect::{connect, engine_config, find_fleet, owner};
use super::{Global, json, print, print_json};
use crate::clock::Clock;
use crate::cloud::DynCloud;
use crate::config::Config;
use crate::domain::health::{self, Level};
use crate::domain::lifecycle;
use crate::domain::{Fleet, Target, World};
use crate::engine::{Engine, exposure};
use crate::failure::Failure;

/// A laptop whose clock is wrong by more than this has its requests refused by AWS.
const MOST_SKEW_SECONDS: i64 = 60;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    /// `ok`, `info`, `warning` or `error`.
    level: &'static str,
    check: &'static str,
    message: String,
    hint: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn say(
        &mut self,
        level: &'static str,
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Finding { level, check, message: message.into(), hint: hint.into() });
    }

    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.say("ok", check, message, "");
    }

    fn failure(&mut self, check: &'static str, failure: &Failure) {
        self.say("error", check, failure.message.clone(), failure.hint.clone());
    }
}

pub(crate) async fn run(global: &Global, config: &Config) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    examine(global, config, &mut findings).await?;
    let failed = findings.0.iter().any(|finding| finding.level == "error");
    if global.json {
        let document = serde_json::json!({ "version": json::VERSION, "findings": findings.0 });
        print_json(&document)?;
    } else {
        print(&findings.0.iter().map(line).collect::<String>())?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(finding: &Finding) -> String {
    let mark = match finding.level {
        "ok" => "✓",
        "error" => "✗",
        "warning" => "!",
        _ => "·",
    };
    let hint =
        if finding.hint.is_empty() { String::new() } else { format!("\n{:>22}→ {}", "", finding.hint) };
    format!("{mark} {:<8} {:<12}{}{hint}\n", finding.level, finding.check, finding.message)
}

/// One check after another; what depends on a check that failed is left out, since it would only say the same again.
async fn examine(global: &Global, config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let cloud = match connect(global, config).await {
        Ok(cloud) => cloud,
        Err(failure) => {
            findings.failure("connection", &failure);
            return Ok(());
        }
    };
    findings.ok("region", cloud.region());
    match cloud.identity().await {
        Ok(identity) => {
            findings.ok("credentials", format!("{} in account {}", identity.arn, identity.account));
        }
        Err(error) => {
            findings.failure("credentials", &Failure::cloud("who is calling could not be found out", &error));
            return Ok(());
        }
    }
    let name = match find_fleet(&cloud, global, config).await {
        Ok(name) => name,
        Err(failure) => {
            findings.failure("fleet", &failure);
            return Ok(());
        }
    };
    let engine = Engine::new(cloud.clone(), Clock::system(), engine_config(name, owner(config)?));
    match engine.observe_pool().await {
        Ok(world) => {
            examine_fleet(&world, &engine, findings);
            account(&cloud, &world.fleet, findings).await;
            audit(&engine, &world, findings).await;
        }
        Err(failure) => findings.failure("fleet", &failure),
    }
    Ok(())
}

fn examine_fleet(world: &World, engine: &Engine, findings: &mut Findings) {
    let fleet = &world.fleet;
    match lifecycle::observe_only_reason(world, &engine.config().version) {
        Some(reason) => {
            findings.say("warning", "engine", reason, "until then engines of this version only look");
        }
        None => findings.ok("fleet", format!("{} by launch template {}", fleet.name, fleet.template)),
    }
    let here = engine.clock().now();
    let now = world.now().unwrap_or(here);
    let skew = (here - now).num_seconds().abs();
    if skew > MOST_SKEW_SECONDS {
        let message = format!("this machine's clock and AWS's differ by {skew} seconds");
        findings.say("warning", "clock", message, "let it follow a time server");
    } else {
        findings.ok("clock", "agrees with AWS's");
    }
    if let Ok(Some(snapshot)) = &world.snapshot {
        findings.ok(
            "snapshot",
            format!("{}, {} hours old", snapshot.id, (now - snapshot.created_at).num_hours()),
        );
    }
    if let Ok(Some(image)) = &world.image {
        findings.ok("image", format!("{}, {} hours old", image.id, (now - image.created_at).num_hours()));
    }
    match &world.subnets {
        Ok(subnets) if !subnets.is_empty() => findings.ok("subnets", format!("{} of them", subnets.len())),
        Ok(_) => findings.say(
            "error",
            "subnets",
            "the policy names none",
            "set them with: hatchery fleet set subnets=",
        ),
        Err(error) => findings.failure("subnets", &Failure::cloud("the subnets could not be read", error)),
    }
    let target = Target::new(world, &fleet.policy, now);
    findings.ok("pool", format!("target {target}: {}", target.reason));
    for verdict in health::verdicts(world, now) {
        let level = match verdict.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        findings.say(level, "health", verdict.message, "");
    }
}

async fn account(cloud: &DynCloud, fleet: &Fleet, findings: &mut Findings) {
    let (groups, permissions, quotas) =
        join!(exposure::security_groups_of(&**cloud, fleet), cloud.permissions(fleet), cloud.quotas());
    match groups {
        Ok(groups) => {
            let open = exposure::exposed_groups(&groups, &fleet.policy);
            for group in &open {
                findings.failure("network", &exposure::refusal(group));
            }
            if open.is_empty() {
                findings.ok("network", "no security group admits the whole internet");
            }
        }
        Err(failure) => findings.failure("network", &failure),
    }
    let mut permitted = 0;
    for permission in permissions {
        let action = permission.action;
        match permission.allowed {
            Ok(true) => permitted += 1,
            Ok(false) => {
                let hint = format!("ask for {action}");
                findings.say("error", "permissions", format!("{action} is not permitted"), hint);
            }
            Err(error) => {
                findings.say("info", "permissions", format!("{action} could not be tried: {error}"), "");
            }
        }
    }
    findings.ok("permissions", format!("{permitted} of those that can be tried are there"));
    match quotas {
        Ok(quotas) => {
            for quota in quotas {
                let used = quota.used.map(|used| format!("{used:.0} of ")).unwrap_or_default();
                findings.ok("quotas", format!("{}: {used}{:.0}", quota.name, quota.limit));
            }
        }
        Err(error) => findings.say("info", "quotas", format!("could not be read: {error}"), ""),
    }
}

async fn audit(engine: &Engine, world: &World, findings: &mut Findings) {
    let since = world.now().unwrap_or_else(|| engine.clock().now()) - chrono::TimeDelta::days(7);
    match engine.cloud().audit(&world.fleet.name, since, 1).await {
        Ok(events) => {
            if let Some(event) = events.last() {
                let at = event.at.with_timezone(&Utc).format("%F %T");
                findings.ok("audit", format!("last written by {} at {at} UTC", event.who));
            } else {
                let hint = "run hatchery engine, or the schedule";
                findings.say("info", "audit", "nothing was done in the last seven days", hint);
            }
        }
        Err(error) => {
            let failure = Failure::cloud("the audit log could not be read", &error);
            findings.say("warning", "audit", failure.message, failure.hint);
        }
    }
}
