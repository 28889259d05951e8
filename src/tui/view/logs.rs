//! The log of one environment.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::app::log_view::{EXPLAINED_WIDTH, EntryKind, LogEntry, LogStatus, LogView};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::{field, line};

/// The width of the search field.
const SEARCH_WIDTH: u16 = 40;

/// A line's level is searched for in this many characters from its start.
const LEVEL_CHARS: usize = 64;

/// Draws the log; returns the position of the cursor while the search is edited.
pub(crate) fn draw(styles: &Styles, buf: &mut Buffer, area: Rect, view: &LogView) -> Option<Position> {
    let ellipsis = styles.glyphs.ellipsis;
    let mut frame = Frame::new(title(styles, view, area.width), "border.focus");
    frame.right = status(styles, view, area.width);
    let inner = frame.draw(styles, buf, area).inner(Margin::new(1, 0));
    if view.lines.is_empty() {
        line::put(buf, inner, placeholder(styles, view), ellipsis);
    }
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let lines = view.window(height, width).flat_map(|entry| entry_lines(styles, view, entry, width));
    line::put_all(buf, inner, lines, ellipsis);
    if !view.search.editing || area.height < 2 {
        return None;
    }
    let edge = Rect { x: area.x + 2, y: area.bottom() - 1, width: area.width.saturating_sub(4), height: 1 };
    line::put(buf, edge, styles.span("key", " / "), "");
    let place = Rect { x: edge.x + 3, width: edge.width.saturating_sub(4).min(SEARCH_WIDTH), ..edge };
    field::draw(buf, place, &view.search.input, styles.role("field.focus"))
}

/// Returns what an empty log says.
fn placeholder(styles: &Styles, view: &LogView) -> Span<'static> {
    match (&view.failure, &view.status) {
        (Some(failure), _) => styles.span("level.error", failure),
        (None, LogStatus::Connecting) => styles.span("text.muted", "connecting…"),
        (None, _) => {
            let since = format::time_of_day(view.since, styles.zone);
            styles.span("text.muted", format!("no lines since {since}; new lines will appear here"))
        }
    }
}

fn title(styles: &Styles, view: &LogView, width: u16) -> Vec<Span<'static>> {
    let mut title = vec![styles.span("text.strong", "Logs "), styles.span("text", &view.title)];
    if width >= EXPLAINED_WIDTH {
        let zone = styles.zone.name_at(view.latest());
        title.push(styles.span("text.muted", format!(" {} {zone}", styles.glyphs.dot)));
    }
    if let Some(source) = &view.source {
        title.push(styles.span("log.source", format!(" {} only {source}", styles.glyphs.dot)));
    }
    title
}

fn status(styles: &Styles, view: &LogView, width: u16) -> Vec<Span<'static>> {
    let glyphs = &styles.glyphs;
    let dot = format!(" {} ", glyphs.dot);
    let mut status = Vec::new();
    let needle = view.search.text();
    if !needle.is_empty() {
        let count = match view.match_count {
            0 => "no line matches".to_owned(),
            1 => "1 line matches".to_owned(),
            count => format!("{count} lines match"),
        };
        status.push(styles.span("key", format!("/{needle} ")));
        status.push(styles.span("text.muted", format!("{count}{dot}")));
    }
    if view.dropped > 0 {
        status.push(styles.span("text.muted", format!("{} older lines dropped{dot}", view.dropped)));
    }
    status.push(match &view.failure {
        Some(failure) if !view.lines.is_empty() => styles.span("level.error", failure),
        // Where there is little room, the mode is named without its explanation.
        _ if width < EXPLAINED_WIDTH => {
            styles.span("text.muted", view.status.as_str().split([',', ';']).next().unwrap_or_default())
        }
        _ => styles.span("text.muted", view.status.as_str()),
    });
    status.push(if view.follow && (view.status == LogStatus::Ended || view.failure.is_some()) {
        // Nothing is followed any more.
        return status;
    } else if view.follow {
        styles.span("engine.on", format!("{dot}{} following", glyphs.full))
    } else {
        styles.span("level.warning", format!("{dot}{} paused", glyphs.paused))
    });
    status
}

/// Returns the lines of an entry on the screen; more than one if it is wrapped.
fn entry_lines(styles: &Styles, view: &LogView, entry: &LogEntry, width: usize) -> Vec<Line<'static>> {
    let gutter = view.gutter(width);
    let head = match &entry.kind {
        EntryKind::First { at, source } => first_head(styles, view, *at, source, gutter),
        EntryKind::Next { .. } => vec![Span::raw(" ".repeat(gutter))],
        EntryKind::Remark => Vec::new(),
    };
    let (gutter, style) = match entry.kind {
        EntryKind::Remark => (0, styles.role("level.warning")),
        _ => (gutter, level_style(styles, &entry.text)),
    };
    let columns = width.saturating_sub(gutter).max(1);
    let role = if view.current_match == Some(entry.number) { "match.current" } else { "match" };
    let highlight = |text: &str| line::highlighted(text, view.search.text(), style, styles.role(role));
    if !view.wrap {
        return vec![head.into_iter().chain(highlight(&entry.text)).collect()];
    }
    text::chunks(&entry.text, columns)
        .into_iter()
        .enumerate()
        .map(|(index, chunk)| {
            if index == 0 {
                let mut spans = head.clone();
                spans.extend(highlight(chunk));
                return Line::from(spans);
            }
            let mut spans = vec![Span::raw(" ".repeat(gutter))];
            spans.extend(highlight(chunk.trim_start()));
            Line::from(spans)
        })
        .collect()
}

/// Returns what stands before the first line of an event: its time, and its source if there is room.
fn first_head(
    styles: &Styles,
    view: &LogView,
    at: DateTime<Utc>,
    source: &str,
    gutter: usize,
) -> Vec<Span<'static>> {
    let time = format::time_with_seconds(at, styles.zone);
    let mut head = vec![styles.span("log.time", format!("{time} "))];
    if let Some(width) = view.source_column(gutter) {
        let source = text::fit(source, width, styles.glyphs.ellipsis);
        let padding = " ".repeat(width.saturating_sub(text::width(&source)) + 1);
        head.push(styles.span("log.source", format!("{source}{padding}")));
    }
    head
}

/// Returns the style for the level that a line names near its start.
fn level_style(styles: &Styles, text: &str) -> Style {
    let start: String = text.chars().take(LEVEL_CHARS).collect::<String>().to_lowercase();
    let names =
        |levels: &[&str]| start.split(|c: char| !c.is_alphanumeric()).any(|word| levels.contains(&word));
    styles.role(if names(&["error", "fatal", "panic"]) {
        "level.error"
    } else if names(&["warn", "warning"]) {
        "level.warning"
    } else {
        "text"
    })
}
