//! `hatchery engine`: the engine without a dashboard, for a cron job, a container or a systemd unit.

use std::collections::BTreeSet;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use super::context::Context;
use super::{json, metrics};
use crate::engine::{Event, Refusal, Report, RunOptions};
use crate::failure::{Failure, Kind};
use crate::signals;

const POLL_INTERVAL: Duration = Duration::from_mins(1);

/// The arguments of the command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineMode {
    pub(crate) once: bool,
    pub(crate) dry_run: bool,
    /// Whether standard output is read by an agent that sends it to CloudWatch Logs. Only the user knows.
    pub(crate) metrics: bool,
}

pub(crate) async fn run(context: &Context<'_>, mode: EngineMode) -> Result<ExitCode, Failure> {
    if mode.metrics && context.console.is_json() {
        let message = "--json and --metrics both write to standard output";
        return Err(Failure::new(Kind::Usage, message, "use one of them"));
    }
    if mode.once {
        return run_once(context, mode).await;
    }
    run_until_terminated(context, mode).await.map(|()| ExitCode::SUCCESS)
}

/// Fails if the report has failures, so that a scheduler sees them.
async fn run_once(context: &Context<'_>, mode: EngineMode) -> Result<ExitCode, Failure> {
    let report = context.engine.once(mode.dry_run).await?;
    if mode.metrics {
        print_metrics(context, &report)?;
    } else if context.console.is_json() {
        context.console.print_json(&json::report(context.fleet(), &report))?;
    } else {
        context.console.print(&format_report(&report))?;
    }
    let failures = report.failures();
    for failure in &failures {
        context.console.notice(&format!("{failure}; the next pass tries again"));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

fn print_metrics(context: &Context<'_>, report: &Report) -> Result<(), Failure> {
    context.console.print_json(&metrics::line(context.fleet(), report, context.engine.clock().now()))
}

async fn run_until_terminated(context: &Context<'_>, mode: EngineMode) -> Result<(), Failure> {
    let (handle, mut events) = context.engine.run(RunOptions { background: true, refresh: POLL_INTERVAL });
    handle.focus(false);
    let mut terminate = pin!(signals::terminate());
    let mut known = BTreeSet::new();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return Ok(()),
                Some(Event::ObserveFailed(failure)) => context.console.notice(&failure.sentence()),
                Some(Event::AuditWriteFailed(Some(error))) => {
                    context.console.notice(&format!("cannot write the audit log: {error}"));
                }
                Some(Event::Passed(report)) => {
                    for line in new_lines(&mut known, &report) {
                        context.console.notice(&line);
                    }
                    if mode.metrics {
                        print_metrics(context, &report)?;
                    }
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

/// Returns the refusals and incomplete listings that the last pass did not have, one line each, and remembers those of this pass.
fn new_lines(known: &mut BTreeSet<String>, report: &Report) -> Vec<String> {
    let refused = report.refused.iter().map(|refusal| {
        let Refusal { action, target, reason } = refusal;
        format!("refused {action} {target}: {reason}")
    });
    let lines: BTreeSet<_> = refused.chain(report.listing_failure()).collect();
    let new = lines.difference(known).cloned().collect();
    *known = lines;
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_printed_once_until_it_is_gone() {
        let pass = |reasons: &[&str]| {
            let refused = reasons.iter().map(|reason| Refusal {
                action: "engine",
                target: "dev".to_owned(),
                reason: (*reason).to_owned(),
            });
            Report { refused: refused.collect(), ..Report::default() }
        };
        let mut known = BTreeSet::new();
        let paused = pass(&["the fleet is paused"]);
        let line = "refused engine dev: the fleet is paused";
        assert_eq!(new_lines(&mut known, &paused), [line]);
        assert!(new_lines(&mut known, &paused).is_empty());
        let both = pass(&["the fleet is paused", "other"]);
        assert_eq!(new_lines(&mut known, &both), ["refused engine dev: other"]);
        assert!(new_lines(&mut known, &pass(&[])).is_empty());
        assert_eq!(new_lines(&mut known, &paused), [line]);
    }
}
