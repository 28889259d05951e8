//! `ls`, `pool` and `activity`: one table each.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::connect::Context;
use super::{json, print, print_json, remark, table};
use crate::domain::health::{self, Level};
use crate::domain::progress::Estimates;
use crate::domain::{DatabaseState, Environment, EnvironmentState, Pool, Target, World, cost};
use crate::failure::Failure;

/// The most events that are shown.
const MOST_EVENTS: usize = 1_000;

/// Looks, and gives *now* as AWS has it.
pub(crate) async fn observe(context: &Context) -> Result<(World, DateTime<Utc>), Failure> {
    seen(context, context.engine.observe().await?)
}

fn seen(context: &Context, world: World) -> Result<(World, DateTime<Utc>), Failure> {
    let now = world.now().unwrap_or_else(|| context.engine.clock().now());
    for problem in world.problems() {
        remark(&format!("not everything could be read: {problem}"));
    }
    // Where nothing at all could be read, an empty list would be a lie.
    if let Some(problem) = world.records.problem.as_ref().filter(|_| world.records.items.is_empty()) {
        return Err(Failure::cloud("cannot list the environments", problem));
    }
    Ok((world, now))
}

pub(crate) async fn environments(context: &Context) -> Result<(), Failure> {
    let (world, now) = observe(context).await?;
    if context.json {
        return print_json(&json::environments(&world, context.cloud().region(), now));
    }
    let estimates = Estimates::learn(&world);
    let rows = Environment::all(&world, now).iter().map(|one| row(one, &world, &estimates, now)).collect();
    let headings = ["ID", "NAME", "OWNER", "STATE", "LEFT", "DATABASE", "SERVICES", "COST"];
    table::show(&headings, rows, "There are no environments. Launch one with: hatchery launch NAME")
}

fn row(
    environment: &Environment<'_>,
    world: &World,
    estimates: &Estimates,
    now: DateTime<Utc>,
) -> Vec<String> {
    let record = environment.record;
    let state = match estimates.environment(environment, now) {
        Some(progress) => {
            let phase = environment.phase().map_or(environment.state.as_str(), |phase| phase.as_str());
            format!("{phase} {:.0}%", progress.ratio * 100.0)
        }
        None => environment.state.as_str().to_owned(),
    };
    let left = match environment.state {
        EnvironmentState::Terminating | EnvironmentState::Failed => String::new(),
        EnvironmentState::Reaping => {
            let until = environment.kept_until(&world.fleet.policy);
            until.map(|at| format!("kept {}", table::until(at, now))).unwrap_or_default()
        }
        _ => record.expires_at.map(|at| table::until(at, now)).unwrap_or_default(),
    };
    let services: Vec<_> = record.services.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
    let cost = cost::of_environment(environment, &world.fleet.policy, now);
    vec![
        record.environment.to_string(),
        record.name.clone(),
        record.owner.clone(),
        state,
        left,
        environment.database.map(|database| database.status.clone()).unwrap_or_default(),
        services.join(" "),
        cost.map(|cost| format!("${:.2}", cost.accrued)).unwrap_or_default(),
    ]
}

pub(crate) async fn pool(context: &Context) -> Result<(), Failure> {
    let (world, now) = seen(context, context.engine.observe_pool().await?)?;
    if context.json {
        return print_json(&json::pool(&world, now));
    }
    let pool = Pool::new(&world);
    let rows = pool.databases.iter().map(|(state, database)| {
        vec![
            database.id.to_string(),
            state.to_string(),
            database.status.clone(),
            database.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
            database.snapshot_at.map(|at| table::until(at, now)).unwrap_or_default(),
            database.endpoint.clone().unwrap_or_default(),
        ]
    });
    let headings = ["ID", "STATE", "STATUS", "ENVIRONMENT", "SNAPSHOT", "ENDPOINT"];
    table::show(&headings, rows.collect(), "There are no databases.")?;
    let target = Target::new(&world, &world.fleet.policy, now);
    let (free, creating) = (pool.count(DatabaseState::Free), pool.count(DatabaseState::Creating));
    let verdicts = health::verdicts(&world, now).into_iter().map(|verdict| {
        let mark = match verdict.level {
            Level::Error => "✗",
            Level::Warning => "!",
            Level::Info => "·",
        };
        format!("{mark} {}: {}\n", verdict.level.as_str(), verdict.message)
    });
    let why = if target.automatic { format!(" Target: {}.", target.reason) } else { String::new() };
    let summary = format!("\n{free} of {target} free, {creating} on the way.{why}\n");
    print(&std::iter::once(summary).chain(verdicts).collect::<String>())
}

pub(crate) async fn activity(context: &Context, since: Duration) -> Result<(), Failure> {
    let from = context.engine.clock().now() - since;
    let events = context.cloud().audit(context.fleet(), from, MOST_EVENTS).await;
    let events = events.map_err(|error| Failure::cloud("cannot read the audit log", &error))?;
    if context.json {
        let document = json::Activity { version: json::VERSION, fleet: context.fleet(), events: &events };
        return print_json(&document);
    }
    let rows = events.iter().map(|event| {
        vec![
            event.at.format("%F %T").to_string(),
            event.who.clone(),
            event.action.clone(),
            event.target.clone(),
            event.outcome.to_string(),
            [event.reason.as_str(), event.detail.as_str()]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        ]
    });
    let headings = ["TIME (UTC)", "WHO", "ACTION", "TARGET", "OUTCOME", "WHY"];
    table::show(&headings, rows.collect(), "Nothing was done in this time.")
}
