//! `hatchery hold` and `hatchery pin`

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use super::context::Context;
use super::json;
use super::lookup::resolve;
use super::options::parse_duration;
use crate::domain::hold::MAX_WHY_CHARS;
use crate::domain::{EnvironmentId, text};
use crate::engine::Extended;
use crate::failure::{Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// Id of an environment, its name if that is unique, or a database of the pool such as hatchery-dev-14
    target: String,
    /// How long it is kept, at most until the fleet's max-lifetime
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION", required_unless_present = "release")]
    by: Option<Duration>,
    /// Why it is kept, for the others
    #[arg(long, value_name = "TEXT", required_unless_present = "release")]
    why: Option<String>,
    /// End the hold; a database is deleted then
    #[arg(long, conflicts_with_all = ["by", "why"])]
    release: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// Until when it is kept: 16:00, or 2026-03-10 16:00, in the local time zone
    #[arg(long, value_name = "TIME")]
    until: String,
}

pub(crate) async fn hold(context: &Context<'_>, args: HoldArgs) -> Result<(), Failure> {
    let database = args.target.strip_prefix("hatchery-").and_then(|id| id.parse::<EnvironmentId>().ok());
    let database = database.filter(|id| id.fleet == *context.fleet());
    let Some((by, why)) = args.by.zip(args.why) else {
        return release(context, &args.target, database).await;
    };
    if by.is_zero() {
        return Err(Failure::new(
            Kind::Usage,
            "cannot hold for zero time",
            "use a duration such as --for 2d",
        ));
    }
    if why.trim().is_empty() || !text::is_printable(&why, MAX_WHY_CHARS) {
        let message = format!("the reason must be 1 to {MAX_WHY_CHARS} printable characters");
        return Err(Failure::new(Kind::Usage, message, "say what is to be inspected: --why \"disk full\""));
    }
    let (held, target) = if let Some(id) = database {
        (context.engine.hold_database(&id, by, &why).await?, id.database_id().to_string())
    } else {
        let id = resolve(context, &args.target).await?.environment;
        (context.engine.hold(&id, by, &why).await?, id.to_string())
    };
    if context.console.is_json() {
        return context.console.print_json(&json::held(context.fleet(), &target, &held));
    }
    context.console.print(&format!("{target} is held until {}.\n", until(context, &held)))
}

async fn release(
    context: &Context<'_>,
    target: &str,
    database: Option<EnvironmentId>,
) -> Result<(), Failure> {
    let (target, text) = if let Some(id) = database {
        context.engine.release_database(&id).await?;
        (id.database_id().to_string(), "is released; engines delete it, because people may have changed it")
    } else {
        let id = resolve(context, target).await?.environment;
        context.engine.release(&id).await?;
        (id.to_string(), "is released; its expiry stays as it is")
    };
    if context.console.is_json() {
        return context.console.print_json(&json::released(context.fleet(), &target));
    }
    context.console.print(&format!("{target} {text}.\n"))
}

pub(crate) async fn pin(context: &Context<'_>, args: PinArgs) -> Result<(), Failure> {
    let now = context.engine.clock().now();
    let usage = |message: String| Failure::new(Kind::Usage, message, "see hatchery pin --help");
    let at = context.zone.parse_time(&args.until, now).map_err(usage)?;
    if at <= now {
        return Err(usage(format!("{} is over", args.until)));
    }
    let id = resolve(context, &args.env).await?.environment;
    let pinned = context.engine.pin(&id, at).await?;
    if context.console.is_json() {
        return context.console.print_json(&json::extended(context.fleet(), &pinned));
    }
    context.console.print(&format!("{id} is kept until {}.\n", until(context, &pinned)))
}

fn until(context: &Context<'_>, kept: &Extended) -> String {
    let at: DateTime<Utc> = kept.expires_at;
    let capped = if kept.capped { ", the maximum that the fleet allows" } else { "" };
    format!("{}{capped}", context.zone.format_full(at))
}
