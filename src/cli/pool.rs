//! `hatchery pool`

use clap::Subcommand;

use super::context::Context;
use super::{json, table};
use crate::domain::health::{self, Level};
use crate::domain::replacement::DatabaseUsers;
use crate::domain::{DatabaseState, Pool, Target, text};
use crate::engine::Refusal;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Replace all free databases, one after the other, by new restores of the latest snapshot
    Recycle,
}

/// Marks the free databases as stale. Engines replace them, and none is deleted before its replacement is free.
pub(crate) async fn recycle(context: &Context<'_>) -> Result<(), Failure> {
    let recycled = context.engine.recycle_pool().await?;
    if context.console.is_json() {
        return context.console.print_json(&json::recycled(context.fleet(), recycled.databases, recycled.at));
    }
    let text = match recycled.databases {
        0 => "There is no free database to replace.\n".to_owned(),
        count => format!("Engines replace {count} databases; see their progress with: hatchery pool\n"),
    };
    context.console.print(&text)
}

pub(crate) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    let (world, now) = context.observe_pool().await?;
    let refused = context.engine.refusals(&world);
    if context.console.is_json() {
        return context.console.print_json(&json::pool(&world, &refused, now));
    }
    let (pool, users) = (Pool::new(&world), DatabaseUsers::new(&world));
    let rows = pool.databases.iter().map(|(state, database)| {
        vec![
            database.id.to_string(),
            state.to_string(),
            database.status.to_string(),
            users.of(database).map(ToString::to_string).unwrap_or_default(),
            database.hydration.describe().unwrap_or_default(),
            database.snapshot_at.map(|at| table::relative_time(at, now)).unwrap_or_default(),
            database.endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    });
    let headings = ["ID", "STATE", "STATUS", "ENVIRONMENT", "VOLUME", "SNAPSHOT", "ENDPOINT"];
    let databases = table::render(&headings, rows.collect(), "There are no databases.");

    let target = Target::new(&world, &world.fleet.policy, now);
    let (free, creating) = (pool.count(DatabaseState::Free), pool.count(DatabaseState::Creating));
    let reason = if target.automatic { format!(" Target: {}.", target.reason) } else { String::new() };
    let summary = format!("{free} of {target} free, {creating} creating.{reason}");
    let verdicts = health::verdicts(&world, now).into_iter().map(|verdict| {
        let mark = match verdict.level {
            Level::Error => "✗",
            Level::Warning => "!",
            Level::Info => "·",
        };
        format!("{mark} {}: {}\n", verdict.level.as_str(), verdict.message)
    });
    let verdicts: String = verdicts.collect();
    context.console.print(&format!("{databases}\n{summary}\n{verdicts}{}", format_refusals(&refused)))
}

/// Returns what an engine would not do now although something calls for it.
fn format_refusals(refused: &[Refusal]) -> String {
    if refused.is_empty() {
        return String::new();
    }
    let lines = refused.iter().map(|refusal| {
        let line = format!("{} {}: {}", refusal.action, refusal.target, refusal.reason);
        format!("  {}\n", text::sanitize(&line))
    });
    format!("\nNot done:\n{}", lines.collect::<String>())
}
