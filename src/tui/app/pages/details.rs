//! The details of one environment.

mod ending;
mod services;
mod timeline;

use ratatui::text::{Line, Span};

use super::page::Page;
use crate::domain::text::Untrusted;
use crate::domain::{AuditEvent, RecordId};
use crate::tui::action::Action;
use crate::tui::app::model::Model;
use crate::tui::app::rows::{EnvironmentRow, ResetRow, TimeLeft, status_of};
use crate::tui::format;

/// The most events of the environment that are shown.
const MAX_EVENTS: usize = 20;

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
    ending::advice(&mut page, model, row);
    record_values(&mut page, model, row);
    services::add(&mut page, model, row);
    if let Some(instance) = &row.details.instance {
        timeline::add(&mut page, model, instance);
    }
    endpoints(&mut page, row);
    resources(&mut page, row);
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
    ending::add(page, model, row);
    if let Some(termination) = &record.terminate {
        let at = format::date_time(termination.at, zone);
        page.value("Terminated", format!("by {} at {at}", termination.by));
    }
    if let Some(hold) = &record.hold {
        let until = format::date_time(hold.until, zone);
        page.value("Held", format!("until {until} by {}: {}", hold.by, hold.why));
    }
    if let Some(note) = &record.note {
        page.value("Note", note.to_string());
    }
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
        page.value("Database", format!("{} ({})", database.id, status_of(database)));
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

/// Adds the events of the environment, of its databases and of its instance, newest first, and says how far back they are known.
fn activity(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    page.heading("Activity");
    let next =
        row.details.reset.as_ref().map(|reset| reset.replacement.environment.database_id().to_string());
    let targets = [
        Some(row.id.to_string()),
        Some(row.details.database_id.to_string()),
        Some(row.id.database_id().to_string()),
        row.details.instance.as_ref().map(|instance| instance.id.to_string()),
        next,
    ];
    let is_own = |event: &&AuditEvent| targets.iter().flatten().any(|target| event.target == target.as_str());
    let log = &model.history.log;
    let mut is_empty = true;
    for event in log.events().iter().rev().filter(is_own).take(MAX_EVENTS) {
        is_empty = false;
        let mut line = model.styles.event(event);
        let (zone, now) = (model.styles.zone, model.aws_now());
        if zone.at(event.at).date_naive() != zone.at(now).date_naive() {
            let day = zone.at(event.at).format("%m-%d ").to_string();
            line.spans.insert(0, model.styles.span("log.time", day));
        }
        page.line(line);
    }
    if is_empty {
        page.styled_line("text.muted", "no event is known");
    }
    let since = row.details.record.created_at;
    if log.known_since().is_none_or(|known| known > since) {
        let known =
            log.known_since().map(|at| format!(" before {}", format::date_time(at, model.styles.zone)));
        let key = model.key_label(Action::ActivityPage);
        let text = format!(
            "events{} are not loaded; {key} on the main screen loads seven days",
            known.unwrap_or_default()
        );
        page.styled_line("text.muted", &text);
    }
}
