//! The page of the audit log: a table of events, and the selected one in full.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Margin, Position, Rect};
use ratatui::text::{Line, Span};

use crate::domain::{AuditEvent, Outcome};
use crate::tui::app::activity_view::ActivityView;
use crate::tui::app::model::Model;
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;
use crate::tui::widgets::table::{self, Column, Table};

/// The width of the names of the selected event's values.
const NAME_WIDTH: usize = 8;

/// Draws the page; returns the position of the cursor while the filter is edited.
pub(crate) fn draw(model: &Model, view: &ActivityView, buf: &mut Buffer) -> Option<Position> {
    let (styles, area) = (&model.styles, model.regions.body);
    let log = &model.history.log;
    let mut frame = Frame::new(vec![styles.span("text.strong", "Activity")], "border.focus");
    let status = status(styles, view, log.events().len());
    let status_width: usize = status.iter().map(Span::width).sum();
    frame.right = status;
    let now = model.aws_now();
    if let Some(gap) = model.history.gap(now - TimeDelta::days(7), styles.zone) {
        frame.bottom.push(styles.span("text.muted", crate::domain::text::sanitize(&gap)));
    }
    let inner = frame.draw(styles, buf, area);
    let rows = model.regions.activity_page_rows();
    if view.len() == 0 {
        let text = if log.events().is_empty() {
            model.no_activity()
        } else {
            "no event matches; press esc to clear the filter"
        };
        table::placeholder(styles, buf, inner, text);
    } else {
        let events: Vec<_> = view.rows(log).take(rows).collect();
        let table = Table {
            columns: columns(styles, &events, now),
            rows: events.iter().map(|event| cells(styles, view, event, now)).collect(),
            selected: view.selected.checked_sub(view.offset),
            focused: true,
            header: true,
        };
        let height = u16::try_from(rows + 1).unwrap_or(u16::MAX).min(inner.height);
        table.draw(styles, buf, Rect { height, ..inner });
        let below = Rect { y: inner.y + height, height: inner.height - height, ..inner };
        if let Some(event) = view.selected_event(log) {
            event_in_full(styles, buf, below, event, now);
        }
    }
    view.filter.editing.then(|| cursor(area, view, status_width))
}

/// Returns the filter, and the numbers of events.
fn status(styles: &Styles, view: &ActivityView, all: usize) -> Vec<Span<'static>> {
    let mut status = Vec::new();
    if view.filter.editing || !view.filter.text().is_empty() {
        status.push(styles.span("key", "/"));
        status.push(styles.span("text.strong", view.filter.input.value()));
        if view.filter.editing {
            // For the cursor at the end of the text.
            status.push(Span::raw(" "));
        }
        status.push(styles.span("text.muted", format!(" {} {} of {all}", styles.glyphs.dash, view.len())));
    } else if all > 0 {
        status.push(styles.span("text.muted", format!("{} of {all}", view.selected + 1)));
    }
    status
}

fn cursor(area: Rect, view: &ActivityView, status_width: usize) -> Position {
    // The status ends before a space, a column of border and the corner, and starts with a slash.
    let from_end = u16::try_from(status_width + 3).unwrap_or(u16::MAX);
    let start = area.right().saturating_sub(from_end) + 1;
    let at = u16::try_from(view.filter.input.visual_cursor()).unwrap_or(0);
    Position::new(start.saturating_add(at), area.y)
}

fn columns(styles: &Styles, events: &[&AuditEvent], now: DateTime<Utc>) -> Vec<Column> {
    let widest = |width: &dyn Fn(&AuditEvent) -> usize, min: usize, max: usize| {
        events.iter().map(|event| width(event)).max().unwrap_or(0).clamp(min, max)
    };
    let time = widest(&|event| text::width(&short_time(styles, event, now)), 5, 11);
    let who = widest(&|event| text::width(&actor(event)), 5, 14);
    let action = widest(&|event| text::width(&event.summary()) + 2, 8, 26);
    let target = widest(&|event| text::width(&short_target(event)), 6, 22);
    let column = |title, min, max, priority| Column { title, min, max, alignment: Alignment::Left, priority };
    vec![
        column("TIME", time, time, 7),
        column("WHO", who.min(8), who, 4),
        column("ACTION", action.min(18), action, 6),
        column("TARGET", target.min(8), target, 5),
        column("CHANGE AND REASON", 16, usize::MAX, 2),
    ]
}

/// Formats the time of today's events as such, and the date of others too. The year is known.
fn short_time(styles: &Styles, event: &AuditEvent, now: DateTime<Utc>) -> String {
    let at = format::short_date_time(event.at, now, styles.zone);
    at.get(5..).filter(|_| at.len() > 5).unwrap_or(&at).to_owned()
}

/// Returns the actor without the host of an engine.
fn actor(event: &AuditEvent) -> String {
    event.who.to_string().split('@').next().unwrap_or_default().to_owned()
}

fn short_target(event: &AuditEvent) -> String {
    event.target.to_string().trim_start_matches("hatchery-").to_owned()
}

fn cells(styles: &Styles, view: &ActivityView, event: &AuditEvent, now: DateTime<Utc>) -> Vec<Line<'static>> {
    let needle = view.filter.text();
    let highlighted = |role, content: &str| {
        Line::from(line::highlighted(content, needle, styles.role(role), styles.role("match")))
    };
    let (glyph, role) = styles.outcome(event.outcome);
    let at = short_time(styles, event, now);
    let mut action = vec![styles.span(role, format!("{glyph} "))];
    action.extend(highlighted("text.strong", &event.summary()).spans);
    let texts = [event.detail.to_string(), event.reason.to_string()];
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    vec![
        Line::from(styles.span("log.time", at)),
        highlighted("text", &actor(event)),
        Line::from(action),
        highlighted("text", &short_target(event)),
        highlighted("text.muted", &texts.join("; ")),
    ]
}

/// Draws everything that an event tells, as much as fits.
fn event_in_full(styles: &Styles, buf: &mut Buffer, area: Rect, event: &AuditEvent, now: DateTime<Utc>) {
    if area.height < 2 {
        return;
    }
    let edge = styles.glyphs.border.horizontal_top.repeat(usize::from(area.width));
    line::put(buf, area, styles.span("border", edge), styles.glyphs.ellipsis);
    let area = Rect { y: area.y + 1, height: area.height - 1, ..area }.inner(Margin::new(1, 0));
    let (glyph, role) = styles.outcome(event.outcome);
    let ago = format::age(format::between(event.at, now)).text;
    let mut lines = vec![Line::from(vec![
        styles.span("log.time", format!("{} ", styles.zone.format_full(event.at))),
        styles.span(role, format!("{glyph} ")),
        styles.span("text.strong", event.who.to_string()),
        styles.span("text", format!(" {} {}", event.summary(), event.target)),
    ])];
    if !matches!(event.outcome, Outcome::Done | Outcome::Failed) {
        lines[0].push_span(styles.span(role, format!(", {}", event.outcome)));
    }
    lines[0].push_span(styles.span("text.muted", format!("  {ago} ago")));
    let columns = usize::from(area.width).saturating_sub(NAME_WIDTH).max(1);
    let restored = event.restore_seconds.map(|seconds| {
        let took = crate::domain::format::format_duration(std::time::Duration::from_secs(seconds));
        format!("its database was restored in {took}")
    });
    let texts = [
        ("Change", event.detail.to_string()),
        ("Why", event.reason.to_string()),
        ("Restore", restored.unwrap_or_default()),
    ];
    for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        for (index, part) in text::wrap(&value, columns).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            lines.push(Line::from(vec![
                styles.span("text.muted", format!("{name:NAME_WIDTH$}")),
                styles.span("text", part),
            ]));
        }
    }
    line::put_all(buf, area, lines, styles.glyphs.ellipsis);
}
