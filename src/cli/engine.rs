//! `hatchery engine`: the engine without a dashboard, for a cron job, a container or a systemd unit.

use std::pin::pin;
use std::time::Duration;

use super::context::Context;
use super::json;
use crate::domain::Outcome;
use crate::engine::{Event, Report, RunOptions};
use crate::failure::{Failure, Kind};
use crate::signals;

const POLL_INTERVAL: Duration = Duration::from_mins(1);

pub(crate) async fn run(context: &Context<'_>, once: bool, dry_run: bool) -> Result<(), Failure> {
    if once { run_once(context, dry_run).await } else { run_until_terminated(context).await }
}

async fn run_once(context: &Context<'_>, dry_run: bool) -> Result<(), Failure> {
    let report = context.engine.once(dry_run).await?;
    if context.console.is_json() {
        return context.console.print_json(&json::report(context.fleet(), &report));
    }
    context.console.print(&format_report(&report))?;
    match report.steps.iter().filter(|step| step.outcome == Outcome::Failed).count() {
        0 => {}
        1 => context.console.notice("1 step failed; the next pass retries it"),
        failed => context.console.notice(&format!("{failed} steps failed; the next pass retries them")),
    }
    Ok(())
}

fn format_report(report: &Report) -> String {
    let steps = report.steps.iter().map(|step| {
        let detail = if step.detail.is_empty() { String::new() } else { format!(" ({})", step.detail) };
        format!("{:<8} {} {}: {}{detail}\n", step.outcome.as_str(), step.action, step.target, step.reason)
    });
    let refused = report.refused.iter().map(|refusal| {
        format!("{:<8} {} {}: {}\n", "refused", refusal.action, refusal.target, refusal.reason)
    });
    let mut text: String = steps.chain(refused).collect();
    if text.is_empty() {
        text.push_str("Nothing to do.\n");
    }
    if !report.incomplete.is_empty() {
        text.push_str("Incomplete listings: ");
        text.push_str(&report.incomplete.join(", "));
        text.push('\n');
    }
    text
}

async fn run_until_terminated(context: &Context<'_>) -> Result<(), Failure> {
    let (handle, mut events) = context.engine.run(RunOptions { background: true, refresh: POLL_INTERVAL });
    handle.focus(false);
    let mut terminate = pin!(signals::terminate());
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return Ok(()),
                Some(Event::ObserveFailed(failure)) => context.console.notice(&failure.sentence()),
                Some(Event::AuditWriteFailed(Some(error))) => {
                    context.console.notice(&format!("cannot write the audit log: {error}"));
                }
                // The engine logs its steps itself.
                Some(_) => {}
            },
            result = &mut terminate => return result.map_err(|error| {
                Failure::new(Kind::Failed, format!("cannot listen for signals: {error}"), "")
            }),
        }
    }
}
