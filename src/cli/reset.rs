//! `hatchery reset`

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::confirm::confirm;
use super::context::Context;
use super::json;
use super::lookup::resolve;
use super::wait::wait_until;
use crate::domain::format::format_duration;
use crate::domain::progress::Estimates;
use crate::domain::{Environment, RolloutState, World};
use crate::engine::ResetStarted;
use crate::failure::{Failure, Kind};

/// A restore takes up to half an hour, and the instance some minutes.
const MAX_WAIT: Duration = Duration::from_hours(2);

pub(crate) async fn run(context: &Context<'_>, env: &str, yes: bool, wait: bool) -> Result<(), Failure> {
    let record = resolve(context, env).await?;
    if !yes {
        let loss = "and deletes all data in its database";
        confirm(context, &record, "reset", "reset", loss).await?;
    }
    let started = context.engine.reset(&record.environment).await?;
    let ResetStarted { environment: id, database, replaces, switched, .. } = &started;
    if context.console.is_json() && !wait {
        return context.console.print_json(&json::reset(context.fleet(), &started, false));
    }
    if !context.console.is_json() {
        context.console.print(&match switched {
            true => format!("{id} gets {database} instead of {replaces}.\n"),
            false => format!(
                "{id} gets {database} instead of {replaces} once it is restored; until then it keeps the old one.\n"
            ),
        })?;
    }
    if wait { wait_until_done(context, &started).await } else { Ok(()) }
}

/// How far a reset is.
enum Progress {
    Done,
    Failed(String),
    /// What it waits for.
    Waiting(String),
}

async fn wait_until_done(context: &Context<'_>, started: &ResetStarted) -> Result<(), Failure> {
    let id = &started.environment;
    let failed = |why: String| Failure::new(Kind::Failed, why, format!("see: hatchery logs {id}"));
    let mut last = String::new();
    let is_done = |world: &World, now| match progress(world, started, now) {
        Progress::Done => Ok(true),
        Progress::Failed(why) => Err(failed(format!("{id} was not reset: {why}"))),
        Progress::Waiting(text) => {
            context.console.progress(&text, (text != last).then_some(text.as_str()));
            last = text;
            Ok(false)
        }
    };
    if !wait_until(context, id, "is being reset", MAX_WAIT, is_done).await? {
        return Err(failed(format!("{id} is not reset after {}", format_duration(MAX_WAIT))));
    }
    context.console.progress("", None);
    if context.console.is_json() {
        return context.console.print_json(&json::reset(context.fleet(), started, true));
    }
    context.console.print(&format!("{id} uses {}.\n", started.database))
}

fn progress(world: &World, started: &ResetStarted, now: DateTime<Utc>) -> Progress {
    let environments = Environment::all(world, now);
    let Some(user) = environments.iter().find(|found| *found.id() == started.environment) else {
        return Progress::Failed("it no longer exists".to_owned());
    };
    if user.record.terminate.is_some() {
        return Progress::Failed("it is being terminated".to_owned());
    }
    if user.database_id() == started.database {
        let wanted = user.record.deployment.as_ref().map(|deployment| deployment.at);
        let rollout = user.instance.and_then(|instance| instance.rollout.as_ref());
        return match rollout.filter(|rollout| Some(rollout.request) >= wanted) {
            Some(rollout) if rollout.state == RolloutState::Done => Progress::Done,
            Some(rollout) if rollout.state == RolloutState::Failed => {
                Progress::Failed(format!("its instance cannot use {}: {}", started.database, rollout.detail))
            }
            _ => Progress::Waiting(format!("{}: waiting for its instance", user.id())),
        };
    }
    let replacement = world.records.iter().find(|record| record.id == started.record);
    match (replacement, &user.reset) {
        // Reads lag writes, so a new record may not be listed yet.
        (None, _) if now < started.at + chrono::TimeDelta::minutes(1) => {
            Progress::Waiting(format!("{}: waiting for its database", user.id()))
        }
        (None, _) => Progress::Failed(format!("its claim on {} is gone", started.database)),
        (Some(record), _) if record.failure.is_some() || record.terminate.is_some() => {
            let failure = record.failure.as_ref().map(|failure| failure.reason.to_string());
            Progress::Failed(failure.unwrap_or_else(|| "another reset was requested first".to_owned()))
        }
        (Some(_), Some(reset)) => {
            let estimates = Estimates::learn(world);
            let percent = reset.database.and_then(|database| estimates.database(database, now));
            let percent = percent.map(|progress| format!(" {:.0}%", progress.ratio * 100.0));
            Progress::Waiting(format!(
                "{}: restoring {}{}",
                user.id(),
                started.database,
                percent.unwrap_or_default()
            ))
        }
        (Some(_), None) => Progress::Waiting(format!("{}: waiting for its database", user.id())),
    }
}
