//! The log of one environment.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::domain::format::format_count;
use crate::tui::app::form::Query;
use crate::tui::app::log_view::entry::{EntryKind, Level, LogEntry};
use crate::tui::app::log_view::event::OpenEvent;
use crate::tui::app::log_view::scroll::VisibleLine;
use crate::tui::app::log_view::{EXPLAINED_WIDTH, LogStatus, LogView};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::{field, line};

/// The width of the field for the search or the filter.
const QUERY_WIDTH: u16 = 40;

/// The most detail of the status.
const MAX_DETAIL: u8 = 3;

/// The number of colours of sources.
const SOURCE_COLOURS: usize = 5;

/// Returns the theme role for the source with an index.
pub(super) fn source_role(index: usize) -> String {
    format!("log.source.{}", index % SOURCE_COLOURS + 1)
}

/// Draws the log; returns the position of the cursor while the search or the filter is edited.
pub(crate) fn draw(
    styles: &Styles,
    buf: &mut Buffer,
    area: Rect,
    view: &LogView,
    now: DateTime<Utc>,
) -> Option<Position> {
    if let Some(event) = &view.event {
        draw_event(styles, buf, area, view, event);
        return None;
    }
    let ellipsis = styles.glyphs.ellipsis;
    let title = title(styles, view, area.width);
    let fits = |status: &Vec<Span<'static>>| {
        let used: usize = title.iter().chain(status).map(Span::width).sum();
        // The edges, and a blank before and after each text.
        used + 8 < usize::from(area.width)
    };
    let statuses = (0..=MAX_DETAIL).rev().map(|detail| status(styles, view, area.width, detail));
    let status = statuses.into_iter().find(fits).unwrap_or_default();
    let mut frame = Frame::new(title, "border.focus");
    frame.right = status;
    frame.bottom = position(styles, view);
    let inner = frame.draw(styles, buf, area).inner(Margin::new(1, 0));
    if view.buffer.shown_count() == 0 {
        line::put(buf, inner, placeholder(styles, view), ellipsis);
    }
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let painter = Painter::new(styles, view, width, now);
    let mut places = inner.rows();
    'window: for visible in view.window(height, width) {
        let background = painter.background(visible.number);
        for row in painter.rows(visible) {
            let Some(place) = places.next() else { break 'window };
            if let Some(style) = background {
                buf.set_style(place, style);
            }
            line::put(buf, place, row, ellipsis);
        }
    }
    edited_query(styles, buf, area, view)
}

/// Draws the search or the filter on the lower edge while it is edited.
fn edited_query(styles: &Styles, buf: &mut Buffer, area: Rect, view: &LogView) -> Option<Position> {
    let queries: [(&str, &Query); 2] = [(" / ", &view.search), (" & ", &view.filter)];
    let (sign, query) = queries.into_iter().find(|(_, query)| query.editing)?;
    if area.height < 2 {
        return None;
    }
    let edge = Rect { x: area.x + 2, y: area.bottom() - 1, width: area.width.saturating_sub(4), height: 1 };
    line::put(buf, edge, styles.span("key", sign), "");
    let place = Rect { x: edge.x + 3, width: edge.width.saturating_sub(4).min(QUERY_WIDTH), ..edge };
    field::draw(buf, place, &query.input, styles.role("field.focus"))
}

/// Returns what a log without lines says.
fn placeholder(styles: &Styles, view: &LogView) -> Span<'static> {
    match (&view.failure, &view.status) {
        (Some(failure), _) => styles.span("level.error", failure),
        _ if !view.is_empty() => {
            styles.span("text.muted", "no line is shown: see the filter and the sources")
        }
        (None, LogStatus::Connecting) => styles.span("text.muted", "connecting…"),
        (None, _) => {
            let since = format::time_of_day(view.since, styles.zone);
            styles.span("text.muted", format!("no lines since {since}; new lines will appear here"))
        }
    }
}

fn title(styles: &Styles, view: &LogView, width: u16) -> Vec<Span<'static>> {
    let dot = styles.glyphs.dot;
    let mut title = vec![styles.span("text.strong", "Logs "), styles.span("text", &view.title)];
    if width >= EXPLAINED_WIDTH {
        let zone = view.times.name_at(view.latest(), styles.zone);
        title.push(styles.span("text.muted", format!(" {dot} {zone}")));
    }
    if let Some(only) = view.buffer.only() {
        let sources = view.buffer.sources();
        let text = match (only.len(), only.first()) {
            (1, Some(source)) => format!(" {dot} only {source}"),
            (count, _) => format!(" {dot} {count} of {} sources", sources.len()),
        };
        title.push(styles.span("log.source.1", text));
    }
    title
}

/// Returns what the upper edge says about the log; the less, the lower `detail` is.
fn status(styles: &Styles, view: &LogView, width: u16, detail: u8) -> Vec<Span<'static>> {
    let glyphs = &styles.glyphs;
    let mut parts: Vec<Vec<Span<'static>>> = Vec::new();
    let needle = view.search.text();
    if !needle.is_empty() && detail > 1 {
        let count = match view.buffer.match_count() {
            0 => "no line matches".to_owned(),
            1 => "1 line matches".to_owned(),
            count => format!("{} lines match", format_count(count)),
        };
        parts.push(vec![styles.span("key", format!("/{needle} ")), styles.span("text.muted", count)]);
    }
    if view.buffer.dropped() > 0 && detail > 2 {
        let count = format_count(view.buffer.dropped());
        parts.push(vec![styles.span("text.muted", format!("{count} older lines dropped"))]);
    }
    // After the end, nothing is followed.
    let is_over = view.follow && (view.status == LogStatus::Ended || view.failure.is_some());
    if detail > 0 || is_over {
        parts.push(vec![match &view.failure {
            Some(failure) if !view.is_empty() => styles.span("level.error", failure),
            // Where there is little room, the mode is named without its explanation.
            _ if width < EXPLAINED_WIDTH || detail < MAX_DETAIL => {
                styles.span("text.muted", view.status.as_str().split([',', ';']).next().unwrap_or_default())
            }
            _ => styles.span("text.muted", view.status.as_str()),
        }]);
    }
    if view.follow && !is_over {
        parts.push(vec![styles.span("engine.on", format!("{} following", glyphs.full))]);
    } else if !view.follow {
        parts.push(vec![styles.span("level.warning", format!("{} paused", glyphs.paused))]);
    }
    joined(styles, parts)
}

/// Joins parts with a dot between them.
fn joined(styles: &Styles, parts: Vec<Vec<Span<'static>>>) -> Vec<Span<'static>> {
    let dot = styles.span("text.muted", format!(" {} ", styles.glyphs.dot));
    let mut spans = Vec::new();
    for part in parts {
        if !spans.is_empty() {
            spans.push(dot.clone());
        }
        spans.extend(part);
    }
    spans
}

/// Returns what the lower edge says: filter, selection, columns, and the position of the cursor.
fn position(styles: &Styles, view: &LogView) -> Vec<Span<'static>> {
    let mut parts: Vec<Span<'static>> = Vec::new();
    let buffer = &view.buffer;
    let filter = view.filter.text();
    if !filter.is_empty() {
        parts.push(styles.span("key", format!("&{filter} ±{}", buffer.context())));
    }
    if view.selected_from.is_some() {
        parts.push(styles.span("text.strong", format!("{} selected", format_count(view.saved_count()))));
    }
    if !view.wrap && view.column > 0 {
        parts.push(styles.span("text.muted", format!("from column {}", view.column + 1)));
    }
    let cursor = view.cursor().filter(|_| !view.follow);
    match cursor {
        Some(cursor) => {
            let (line, count) = (buffer.position(cursor) + 1, buffer.shown_count());
            let text = format!("line {} of {}", format_count(line), format_count(count));
            parts.push(styles.span("text.muted", text));
        }
        None if !filter.is_empty() => {
            parts.push(styles.span("text.muted", format!("{} lines", format_count(buffer.shown_count()))));
        }
        None => {}
    }
    joined(styles, parts.into_iter().map(|part| vec![part]).collect())
}

/// Draws a whole event.
fn draw_event(styles: &Styles, buf: &mut Buffer, area: Rect, view: &LogView, event: &OpenEvent) {
    let dot = styles.glyphs.dot;
    let at = styles.zone.format_full(event.at);
    let title = vec![
        styles.span("text.strong", "Event "),
        styles.span("text", &view.title),
        styles.span("text.muted", format!(" {dot} {at} {dot} {}", event.source)),
    ];
    let mut frame = Frame::new(title, "border.focus");
    let size = area.inner(Margin::new(2, 1));
    let (rows, first, count) = event.window(usize::from(size.height), usize::from(size.width));
    if count > rows.len() {
        let text = format!("{}-{} of {count}", first + 1, first + rows.len());
        frame.bottom = vec![styles.span("text.muted", text)];
    }
    let inner = frame.draw(styles, buf, area).inner(Margin::new(1, 0));
    let (style, highlight) = (styles.role("text"), styles.role("match"));
    let needle = view.search.text();
    let lines = rows.into_iter().map(|row| Line::from(line::highlighted(&row, needle, style, highlight)));
    line::put_all(buf, inner, lines, styles.glyphs.ellipsis);
}

/// Draws the lines of one frame.
struct Painter<'a> {
    styles: &'a Styles,
    view: &'a LogView,
    width: usize,
    now: DateTime<Utc>,
    gutter: usize,
    /// The current line, unless the log is followed.
    cursor: Option<i64>,
    selected: Option<std::ops::RangeInclusive<i64>>,
}

impl<'a> Painter<'a> {
    fn new(styles: &'a Styles, view: &'a LogView, width: usize, now: DateTime<Utc>) -> Self {
        let cursor = view.cursor().filter(|_| !view.follow);
        Self { styles, view, width, now, gutter: view.gutter(width), cursor, selected: view.selected() }
    }

    /// Returns the style of the rows of the current line or a selected one.
    fn background(&self, number: i64) -> Option<Style> {
        if self.cursor == Some(number) {
            return Some(self.styles.role("log.cursor"));
        }
        let is_selected = self.selected.as_ref().is_some_and(|range| range.contains(&number));
        is_selected.then(|| self.styles.role("log.selected"))
    }

    fn style(&self, entry: &LogEntry) -> Style {
        self.styles.role(match entry.kind {
            EntryKind::Remark => "log.remark",
            _ if !self.view.buffer.is_filtered_for(entry) => "log.context",
            _ => entry.level.map_or("text", Level::role),
        })
    }

    /// Returns the rows of a line in the window; more than one if it is wrapped.
    fn rows(&self, visible: VisibleLine<'_>) -> Vec<Line<'static>> {
        let VisibleLine { number, entry, skipped } = visible;
        let view = self.view;
        let shown = entry.shown(view.fold);
        let segments = self.segments(number, entry, shown);
        let (gutter, columns) =
            (if entry.kind == EntryKind::Remark { 0 } else { self.gutter }, view.columns(entry, self.width));
        if !view.wrap {
            let rest = text::skip(shown, view.column);
            let start = shown.len() - rest.len();
            let mut row = self.head(entry);
            row.extend(cut(shown, &segments, start, shown.len()));
            return vec![Line::from(row)];
        }
        let mut at = 0;
        text::chunks(shown, columns)
            .into_iter()
            .enumerate()
            .filter_map(|(index, chunk)| {
                let (mut start, end) = (at, at + chunk.len());
                at = end;
                if index < skipped {
                    return None;
                }
                if index == 0 {
                    let mut row = self.head(entry);
                    row.extend(cut(shown, &segments, start, end));
                    return Some(Line::from(row));
                }
                start += chunk.len() - chunk.trim_start().len();
                let mut row = vec![Span::raw(" ".repeat(gutter))];
                row.extend(cut(shown, &segments, start, end));
                Some(Line::from(row))
            })
            .collect()
    }

    /// Returns what stands before the text of a line: the time of an event, and its source if there is room.
    fn head(&self, entry: &LogEntry) -> Vec<Span<'static>> {
        match entry.kind {
            EntryKind::Remark => return Vec::new(),
            EntryKind::Next => return vec![Span::raw(" ".repeat(self.gutter))],
            EntryKind::First => {}
        }
        let styles = self.styles;
        let time = self.view.times.format(entry.at, self.now, styles.zone);
        let mut head = vec![styles.span("log.time", format!("{time} "))];
        if let Some(width) = self.view.source_column(self.gutter) {
            let source = self.view.buffer.source_of(entry).map_or("", |source| source);
            let source = text::fit(source, width, styles.glyphs.ellipsis);
            let padding = " ".repeat(width.saturating_sub(text::width(&source)) + 1);
            head.push(styles.span(&source_role(entry.source.into()), format!("{source}{padding}")));
        }
        head
    }

    /// Returns the styles of the text by the byte at which each begins.
    fn segments(&self, number: i64, entry: &LogEntry, shown: &str) -> Vec<(usize, Style)> {
        let style = self.style(entry);
        let search = self.view.buffer.search();
        let needle = if search.is_empty() { self.view.buffer.filter() } else { search };
        let role = if self.cursor == Some(number) { "match.current" } else { "match" };
        let highlight = style.patch(self.styles.role(role));
        let mark = entry.fold_mark(self.view.fold);
        let mut segments = vec![(0, style)];
        let found = text::matches(shown, needle.as_str());
        for range in &found {
            let (start, end) = text::whole_clusters(shown, *range);
            segments.extend([(start, highlight), (end, style)]);
        }
        if let Some(mark) = mark {
            // What is folded can match, too.
            let is_inside = found.is_empty() && !needle.is_empty() && needle.is_in(&entry.text);
            let mark_style = if is_inside { highlight } else { self.styles.role("text.muted") };
            segments.retain(|(start, _)| *start <= mark);
            segments.extend([(mark, style), (mark + 1, mark_style)]);
        }
        segments
    }
}

/// Returns a part of a text with its styles.
fn cut(text: &str, segments: &[(usize, Style)], start: usize, end: usize) -> Vec<Span<'static>> {
    let ends = segments.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    segments
        .iter()
        .zip(ends)
        .filter_map(|((from, style), to)| {
            let (from, to) = ((*from).max(start), to.min(end));
            (from < to).then(|| Span::styled(text[from..to].to_owned(), *style))
        })
        .collect()
}
