//! The warm pool and the activity.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::environments::bar;
use super::span;
use crate::domain::{AuditEvent, DatabaseState, Outcome};
use crate::tui::app::rows::PoolRow;
use crate::tui::app::{Connection, Model, Pane};
use crate::tui::glyphs::Glyphs;
use crate::tui::text;
use crate::tui::units;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::spans;
use crate::tui::widgets::table::{Column, Table};

/// The sign and the role of a database's state.
#[must_use]
pub fn database_sign(state: DatabaseState, glyphs: &Glyphs) -> (&'static str, &'static str) {
    match state {
        DatabaseState::Free => (glyphs.full, "pool.free"),
        DatabaseState::Creating => (glyphs.half, "pool.creating"),
        DatabaseState::Claimed => (glyphs.empty, "pool.claimed"),
        DatabaseState::Stale => (glyphs.paused, "pool.stale"),
        DatabaseState::Failed => (glyphs.cross, "pool.failed"),
        DatabaseState::Deleting => (glyphs.fading, "pool.deleting"),
    }
}

/// Draws the warm pool.
pub fn pool(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let focused = model.pane == Pane::Pool;
    let view = &model.pool;
    let glyphs = &model.options.glyphs;
    let mut parts = Vec::new();
    if model.fleet_view.is_some() {
        parts.push(format!("target {}", view.target_text));
        parts.extend(view.snapshot.as_ref().map(|age| format!("snapshot {age} old")));
        parts.extend(view.image.as_ref().map(|age| format!("image {age} old")));
    }
    let mut title = vec![span(model, if focused { "text.strong" } else { "text" }, "Warm pool")];
    let mut room = usize::from(area.width).saturating_sub(4 + 11);
    for part in parts {
        let part = format!(" {} {part}", glyphs.dot);
        if let Some(rest) = room.checked_sub(text::width(&part)) {
            room = rest;
            title.push(span(model, "text.muted", part));
        }
    }
    let inner = Frame { title, bottom: history(model), focused, ..Frame::default() }.draw(model, buf, area);
    if view.rows.is_empty() {
        let complete = model.fleet_view.as_ref().is_some_and(|seen| seen.world.databases.complete);
        let word = match (&model.connection, &model.fleet_view) {
            (Connection::Up, Some(seen)) if complete || !seen.is_loading() => {
                if complete {
                    "no databases"
                } else {
                    "the databases could not be read"
                }
            }
            (Connection::Up, _) if model.last_error.is_none() => "loading…",
            _ => "",
        };
        hint(model, buf, inner, word);
        return;
    }
    let rows = view.rows.iter().skip(model.databases.offset).take(model.pool_rows());
    let name = view.rows.iter().map(|row| text::width(&row.name)).max().unwrap_or(0).clamp(6, 24);
    let column = |least, most, rank| Column { title: String::new(), least, most, right: false, rank };
    Table {
        rows: rows.map(|row| cells(model, row)).collect(),
        columns: vec![column(name.min(12) + 2, name + 2, 3), column(8, 8, 4), column(8, 60, 2)],
        selected: model.databases.index().checked_sub(model.databases.offset).filter(|_| focused),
        focused,
        headings: false,
    }
    .draw(model, buf, inner);
}

fn history(model: &Model) -> Vec<Span<'static>> {
    let history = &model.pool.history;
    // One minute is no history.
    if history.len() < 2 {
        return Vec::new();
    }
    let shown = history.len().min(12);
    let top = history.iter().copied().max().unwrap_or(1).max(model.pool.target);
    let line = model.options.glyphs.sparkline(history.iter().skip(history.len() - shown).copied(), top);
    vec![
        span(model, "text.muted", "free "),
        span(model, "spark", line),
        span(model, "text.muted", format!(" {shown}m")),
    ]
}

fn cells(model: &Model, row: &PoolRow) -> Vec<Line<'static>> {
    let (glyph, role) = database_sign(row.state, &model.options.glyphs);
    let quiet = matches!(row.state, DatabaseState::Claimed | DatabaseState::Deleting);
    let name_role = if quiet { "text.muted" } else { "text.strong" };
    let mut about = Vec::new();
    if let Some(progress) = row.progress {
        let columns = if model.regions().pool.width < 56 { 6 } else { 9 };
        about.extend(bar(model, progress.ratio, columns));
        about.push(Span::raw("  "));
    }
    about.push(span(model, "text.muted", row.about.clone()));
    vec![
        Line::from(vec![span(model, role, format!("{glyph} ")), span(model, name_role, row.name.clone())]),
        Line::from(span(model, role, row.state.as_str())),
        Line::from(about),
    ]
}

fn hint(model: &Model, buf: &mut Buffer, area: Rect, word: &str) {
    if area.is_empty() {
        return;
    }
    let place = Rect { x: area.x + area.width.min(3), width: area.width.saturating_sub(3), ..area };
    spans::put(buf, place, Line::from(span(model, "text.muted", word)), model.options.glyphs.ellipsis);
}

/// Draws the activity, newest first.
pub fn activity(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let focused = model.pane == Pane::Activity;
    let title = vec![span(model, if focused { "text.strong" } else { "text" }, "Activity")];
    let mut right = Vec::new();
    if model.activity_offset > 0 {
        right.push(span(model, "text.muted", format!("{} newer", model.activity_offset)));
    }
    let inner = Frame { title, right, focused, ..Frame::default() }.draw(model, buf, area);
    if model.activity.is_empty() {
        hint(model, buf, inner, if model.fleet_view.is_some() { "nothing yet" } else { "" });
        return;
    }
    let rows = model.activity.iter().skip(model.activity_offset);
    for (y, event) in (inner.y..inner.y + inner.height).zip(rows) {
        let place = Rect { x: inner.x + 1, y, width: inner.width.saturating_sub(2), height: 1 };
        spans::put(buf, place, event_line(model, event), model.options.glyphs.ellipsis);
    }
}

/// One event in one line.
pub(super) fn event_line(model: &Model, event: &AuditEvent) -> Line<'static> {
    let glyphs = &model.options.glyphs;
    let (glyph, role) = match event.outcome {
        Outcome::Done => (glyphs.check, "done"),
        Outcome::Skipped | Outcome::DryRun => (glyphs.empty, "text.muted"),
        Outcome::Failed => (glyphs.cross, "level.error"),
        Outcome::Unknown => ("?", "level.warning"),
    };
    let who = event.who.split('@').next().unwrap_or_default().to_owned();
    let mut line = vec![
        span(model, "log.time", format!("{} ", units::time_of_day(event.at, model.options.zone))),
        span(model, role, format!("{glyph} ")),
        span(model, "text.strong", who),
        span(model, "text", format!(" {} ", event.summary())),
        span(model, "text", event.target.trim_start_matches("hatchery-").to_owned()),
    ];
    if !matches!(event.outcome, Outcome::Done | Outcome::Failed) {
        line.push(span(model, role, format!(" {}", event.outcome)));
    }
    let why = if event.outcome == Outcome::Failed && !event.detail.is_empty() {
        &event.detail
    } else {
        &event.reason
    };
    if !why.is_empty() {
        line.push(span(model, "text.muted", format!("  {why}")));
    }
    Line::from(line)
}
