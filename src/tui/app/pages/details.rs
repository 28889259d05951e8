//! The details of one environment.

use std::time::Duration;

use ratatui::text::{Line, Span};

use super::page::Page;
use crate::domain::format::{format_duration, short_digest};
use crate::domain::text::Untrusted;
use crate::domain::{DeploymentStatus, Instance, Phase, RecordId};
use crate::tui::action::Action;
use crate::tui::app::model::Model;
use crate::tui::app::rows::{EnvironmentRow, ResetRow, TimeLeft};
use crate::tui::format;

/// The most events of the environment that are shown.
const MAX_EVENTS: usize = 20;

/// The width of the bars of the longest phases, in columns.
const PHASE_BAR_WIDTH: usize = 24;

const PROGRESS_BAR_WIDTH: usize = 18;

pub(super) fn lines(model: &Model, record: &RecordId, width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let mut page = Page::new(styles, width);
    let Some(row) = model.environments.find(record) else {
        let loading = model.fleet_view.as_ref().is_none_or(|view| !view.world.records.complete);
        let text = if loading { "loading…" } else { "this environment no longer exists" };
        page.line(styles.span("text.muted", text));
        return page.into_lines();
    };
    let (glyph, role) = styles.state(row.state);
    let mut state = vec![styles.span(role, format!("{glyph} {}", row.status()))];
    if let Some(progress) = row.progress {
        let left = row.left.as_ref().map_or("", TimeLeft::as_str);
        state.push(Span::raw("  "));
        state.extend(styles.bar(progress.ratio, PROGRESS_BAR_WIDTH));
        state.push(styles.span("text.muted", format!("  {left}")));
    }
    page.spans("State", state);
    for problem in &row.problems {
        page.styled_value("Problem", "level.error", &format!("{} {problem}", styles.glyphs.warning));
    }
    let key = model.key_label(Action::Logs);
    if row.has_failed_bootstrap() && !key.is_empty() {
        page.no_value("", &format!("{key} shows the log where it failed"));
    }
    if let Some(reset) = &row.details.reset {
        self::reset(&mut page, model, row, reset);
    }
    record_values(&mut page, model, row);
    deployment(&mut page, model, row);
    endpoints(&mut page, row);
    resources(&mut page, row);
    if let Some(instance) = &row.details.instance {
        bootstrap(&mut page, instance);
    }
    activity(&mut page, model, row);
    page.into_lines()
}

/// Adds how far a reset is: the environment keeps its old database until the new one is usable.
fn reset(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow, reset: &ResetRow) {
    let since = format::date_time(reset.replacement.created_at, model.styles.zone);
    page.value("Reset", format!("requested by {} at {since}", reset.replacement.owner));
    let next = reset.replacement.environment.database_id();
    let status =
        reset.database.as_ref().map_or("to be restored".to_owned(), |found| found.status.to_string());
    let mut spans =
        vec![page.styles.span("text", format!("{next} ({status}) replaces {}", row.details.database_id))];
    if let Some(progress) =
        reset.progress.filter(|_| reset.database.as_ref().is_some_and(|found| !found.is_ready()))
    {
        spans.push(Span::raw("  "));
        spans.extend(page.styles.bar(progress.ratio, PROGRESS_BAR_WIDTH));
    }
    page.spans("", spans);
}

fn record_values(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let zone = model.styles.zone;
    let record = &row.details.record;
    page.value("Owner", &row.owner);
    page.value("Launched", format::date_time(record.created_at, zone));
    if let Some(at) = row.expires_at {
        let left = format::between(model.aws_now(), at);
        let left =
            if left.is_zero() { "expired".to_owned() } else { format!("{} left", format::left(left).text) };
        page.value("Ends", format!("{} ({left})", format::date_time(at, zone)));
    } else {
        let text = "unreadable expiry; ends at the fleet's max-lifetime at the latest";
        page.styled_value("Ends", "level.warning", text);
    }
    if let Some(termination) = &record.terminate {
        let at = format::date_time(termination.at, zone);
        page.value("Terminated", format!("by {} at {at}", termination.by));
    }
    if let Some(hold) = &record.hold {
        let until = format::date_time(hold.until, zone);
        page.value("Held", format!("until {until} by {}: {}", hold.by, hold.why));
    }
    if let Some(cost) = row.cost {
        let (accrued, per_hour) = (format::dollars(cost.accrued), format::dollars(cost.per_hour));
        page.value("Cost", format!("{accrued} so far, {per_hour} per hour"));
    }
    if let Some(note) = &record.note {
        page.value("Note", note.to_string());
    }
    let digests = row.details.instance.as_ref().map(|instance| &instance.digests);
    for (index, (service, tag)) in record.services.iter().enumerate() {
        let digest = digests.and_then(|digests| digests.get(service));
        let digest = digest.map(|digest| format!(" (runs {})", short_digest(digest))).unwrap_or_default();
        page.value(if index == 0 { "Services" } else { "" }, format!("{service} = {tag}{digest}"));
    }
}

/// Adds the last request to deploy anew.
fn deployment(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let Some(request) = &row.details.record.deployment else { return };
    let rollout = row.details.instance.as_ref().and_then(|instance| instance.rollout.as_ref());
    let status = DeploymentStatus::new(request, rollout);
    let at = format::date_time(request.at, model.styles.zone);
    let detail = status.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    page.value("Deployment", format!("{}, by {} at {at}{detail}", status.state, request.by));
}

fn endpoints(page: &mut Page<'_>, row: &EnvironmentRow) {
    page.heading("Endpoints");
    for ((_, address), name) in row.addresses.iter().zip(["Application", "Dashboard", "Log viewer"]) {
        match address {
            Some(address) => page.value(name, address.to_string()),
            None => page.no_value(name, "none until the instance runs"),
        }
    }
    if let Some(endpoint) = row.details.database.as_ref().and_then(|database| database.endpoint.as_ref()) {
        page.value("Database", endpoint.to_string());
    }
}

fn resources(page: &mut Page<'_>, row: &EnvironmentRow) {
    page.heading("Resources");
    page.value("Environment", row.id.to_string());
    page.value("Record", row.record.to_string());
    if let Some(instance) = &row.details.instance {
        let or = |value: &Option<Untrusted>, default: &str| {
            value.as_ref().map_or_else(|| default.to_owned(), ToString::to_string)
        };
        page.value("Instance", format!("{} ({}, {})", instance.id, instance.instance_type, instance.state));
        page.value("Zone", or(&instance.zone, "unknown"));
        page.value("Public IP", or(&instance.public_ip, "none"));
        page.value("Private IP", or(&instance.private_ip, "none"));
    } else {
        page.no_value("Instance", "none yet");
    }
    if let Some(database) = &row.details.database {
        page.value("Database", format!("{} ({})", database.id, database.status));
        if let Some(snapshot) = &database.snapshot {
            page.value("Snapshot", snapshot.to_string());
        }
    } else {
        page.no_value("Database", "not listed");
    }
    if let Some(old) = &row.details.old_database {
        let text = format!("{} ({}), until the instance uses the new one", old.id, old.status);
        page.value("Old database", text);
    }
}

/// Adds when each phase of the bootstrap began and how long it took.
#[allow(clippy::cast_precision_loss)] // seconds of a bootstrap
fn bootstrap(page: &mut Page<'_>, instance: &Instance) {
    if instance.timeline.is_empty() {
        return;
    }
    let styles = page.styles;
    page.heading("Bootstrap");
    let total = instance.timeline.values().max().copied().unwrap_or(1).max(1);
    for (index, phase) in Phase::PATH.into_iter().enumerate() {
        let Some(&start) = instance.timeline.get(&phase) else { continue };
        let next = Phase::PATH[index + 1..].iter().find_map(|phase| instance.timeline.get(phase));
        let mut line =
            vec![styles.span("text.muted", format!("{:>8}  ", format_duration(Duration::from_secs(start))))];
        match next {
            _ if phase == Phase::Ready => line.push(styles.span("state.ready", "done")),
            None => line.push(styles.span("state.starting", "in progress")),
            Some(end) => {
                let took = end.saturating_sub(start);
                let (filled, _) = styles.glyphs.progress(took as f64 / total as f64, PHASE_BAR_WIDTH);
                line.push(styles.span("text", format!("{:>7} ", format_duration(Duration::from_secs(took)))));
                line.push(styles.span("bar", filled));
            }
        }
        page.spans(phase.as_str(), line);
    }
    if let Some(detail) = &instance.detail {
        page.value("Detail", detail.to_string());
    }
}

fn activity(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let (id, database) = (row.id.to_string(), &row.details.database_id);
    let own = row.id.database_id();
    let next = row.details.reset.as_ref().map(|reset| reset.replacement.environment.database_id());
    let databases = [Some(database), Some(&own), next.as_ref()];
    let mut events = model
        .activity
        .events
        .iter()
        .filter(|event| {
            event.target == id || databases.iter().flatten().any(|database| event.target == database.as_str())
        })
        .take(MAX_EVENTS)
        .peekable();
    if events.peek().is_some() {
        page.heading("Activity");
    }
    for event in events {
        page.line(model.styles.event(event));
    }
}
