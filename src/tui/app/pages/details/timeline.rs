//! The phases of a bootstrap: when each began, how long it took, and how long it usually takes in the fleet.

use std::time::Duration;

use crate::domain::format::format_duration;
use crate::domain::history::{PhaseTime, PhaseTimes};
use crate::domain::{Instance, Phase};
use crate::tui::app::model::Model;
use crate::tui::app::pages::page::Page;
use crate::tui::format;

/// The width of the bar of the longest phase, in columns.
const BAR_WIDTH: usize = 18;

/// One phase of the bootstrap.
struct Row {
    phase: Phase,
    start: Duration,
    /// The duration so far, if the phase is in progress; `None` for the last one.
    took: Option<Duration>,
    ended: bool,
    usual: Option<PhaseTime>,
}

impl Row {
    fn is_slow(&self) -> bool {
        self.took.zip(self.usual).is_some_and(|(took, usual)| usual.is_slow(took))
    }

    /// Returns by how much it took longer than usual.
    fn excess(&self) -> Duration {
        let usual = self.usual.map(|usual| usual.p50).unwrap_or_default();
        self.took.unwrap_or_default().saturating_sub(usual)
    }
}

/// Adds the timeline of the instance's bootstrap, and names the phase that took unusually long.
pub(super) fn add(page: &mut Page<'_>, model: &Model, instance: &Instance) {
    if instance.timeline.is_empty() {
        return;
    }
    let since_launch = format::between(instance.launched_at, model.aws_now());
    let fleet = model.fleet_view.as_ref().map(|view| &view.phases);
    let rows = rows(instance, fleet, since_launch);
    let others = rows.iter().filter_map(|row| row.usual).map(|usual| usual.count).max();
    let title =
        others.map_or_else(String::new, |count| format!(": start, duration, p50 / p95 of {count} others"));
    page.heading(&format!("Bootstrap{title}"));
    let longest = rows.iter().filter_map(|row| row.took).max().unwrap_or_default();
    for row in &rows {
        add_row(page, row, longest);
    }
    if let Some(slow) = rows.iter().filter(|row| row.is_slow()).max_by_key(|row| row.excess())
        && let (Some(took), Some(usual)) = (slow.took, slow.usual)
    {
        let (took, p50, p95) =
            (format_duration(took), format_duration(usual.p50), format_duration(usual.p95));
        let verb = if slow.ended { "took" } else { "has taken" };
        let text = format!(
            "{} is the slow phase: it {verb} {took}; of {} others, half took at most {p50}, and 95 % at most {p95}",
            slow.phase, usual.count
        );
        page.paragraph((page.styles.glyphs.warning, "level.warning"), "text", &text);
    } else if rows.iter().all(|row| row.usual.is_none()) {
        page.styled_line("text.muted", "no other ready environment to compare with");
    }
    if let Some(detail) = &instance.detail {
        page.value("Detail", detail.to_string());
    }
}

fn rows(instance: &Instance, fleet: Option<&PhaseTimes>, since_launch: Duration) -> Vec<Row> {
    let is_ready = instance.timeline.contains_key(&Phase::Ready);
    let has_failed = instance.phase == Some(Phase::Failed);
    let starts: Vec<_> = Phase::PATH
        .into_iter()
        .filter_map(|phase| Some((phase, Duration::from_secs(*instance.timeline.get(&phase)?))))
        .collect();
    let ends = starts.iter().skip(1).map(|(_, start)| Some(*start)).chain([None]);
    starts
        .iter()
        .zip(ends)
        .map(|((phase, start), end)| {
            // How long a bootstrap that failed was in its last phase is not known.
            let running = Some(since_launch).filter(|_| *phase != Phase::Ready && !has_failed);
            let took = end.or(running).map(|end| end.saturating_sub(*start));
            // A ready instance is one of those that the times are from.
            let own = took.filter(|_| is_ready && end.is_some());
            let usual = fleet.and_then(|fleet| fleet.of_others(*phase, own));
            Row { phase: *phase, start: *start, took, ended: end.is_some(), usual }
        })
        .collect()
}

fn add_row(page: &mut Page<'_>, row: &Row, longest: Duration) {
    let styles = page.styles;
    let mut line = vec![styles.span("text.muted", format!("{:>8}  ", format_duration(row.start)))];
    match row.took {
        None if row.phase == Phase::Ready => line.push(styles.span("state.ready", "done")),
        None => line.push(styles.span("state.failed", "failed")),
        Some(took) => {
            let role = if row.is_slow() { "level.warning" } else { "text" };
            line.push(styles.span(role, format!("{:>7} ", format_duration(took))));
            if let Some(usual) = row.usual {
                let usual = format!("{} / {}", format_duration(usual.p50), format_duration(usual.p95));
                line.push(styles.span("text.muted", format!("{usual:>15}  ")));
            }
            let ratio = took.as_secs_f64() / longest.as_secs_f64().max(1.0);
            let (filled, _) = styles.glyphs.progress(ratio, BAR_WIDTH);
            line.push(styles.span(if row.is_slow() { "level.warning" } else { "bar" }, filled));
            if !row.ended {
                line.push(styles.span("state.starting", " in progress"));
            }
        }
    }
    page.spans(row.phase.as_str(), line);
}
