//! `engine`: the engine without a screen, for a cron job, a container or a systemd unit.

use std::time::Duration;

use super::connect::Context;
use super::{json, print, print_json, remark};
use crate::domain::Outcome;
use crate::engine::{Event, Report, RunOptions};
use crate::failure::{Failure, Kind};

/// Time between two looks while nothing happens.
const REFRESH: Duration = Duration::from_mins(1);

pub(crate) async fn run(context: &Context, once: bool, dry_run: bool) -> Result<(), Failure> {
    if once { single(context, dry_run).await } else { forever(context).await }
}

async fn single(context: &Context, dry_run: bool) -> Result<(), Failure> {
    let report = context.engine.once(dry_run).await?;
    if context.json {
        print_json(&json::report(context.fleet(), &report))?;
    } else {
        print(&text(&report))?;
    }
    let failed = report.steps.iter().filter(|step| step.outcome == Outcome::Failed).count();
    if failed > 0 && !context.json {
        remark(&format!("{failed} steps failed; the next pass tries again"));
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let steps = report.steps.iter().map(|step| {
        let detail = if step.detail.is_empty() { String::new() } else { format!(" ({})", step.detail) };
        format!("{:<8} {} {}: {}{detail}\n", step.outcome.as_str(), step.action, step.target, step.reason)
    });
    let refused = report.refused.iter().map(|refusal| {
        format!("{:<8} {} {}: {}\n", "not now", refusal.action, refusal.target, refusal.reason)
    });
    let mut text: String = steps.chain(refused).collect();
    if text.is_empty() {
        text.push_str("Nothing to do.\n");
    }
    if !report.incomplete.is_empty() {
        let missing = report.incomplete.join(", ");
        text.extend([
            "Not everything could be listed: ",
            &missing,
            ".
",
        ]);
    }
    text
}

/// Runs until it is told to stop. Each step is logged by the engine itself.
async fn forever(context: &Context) -> Result<(), Failure> {
    let options = RunOptions { background: true, refresh: REFRESH };
    let (handle, mut events) = context.engine.run(options);
    handle.focus(false);
    let mut terminated = terminations()?;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return Ok(()),
                Some(Event::ObserveFailed(failure)) => remark(&failure.sentence()),
                Some(Event::AuditWriteFailed(Some(error))) => remark(&format!("the audit log cannot be written: {error}")),
                Some(_) => {}
            },
            _ = terminated.recv() => return Ok(()),
        }
    }
}

#[cfg(unix)]
fn terminations() -> Result<tokio::signal::unix::Signal, Failure> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::new(Kind::Failed, format!("cannot listen for signals: {error}"), ""))
}

#[cfg(not(unix))]
fn terminations() -> Result<tokio::sync::mpsc::Receiver<()>, Failure> {
    // There is no such signal: the channel stays open and silent.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    std::mem::forget(sender);
    Ok(receiver)
}
