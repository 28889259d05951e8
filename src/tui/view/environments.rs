//! The table of environments.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Position, Rect};
use ratatui::text::{Line, Span};

use crate::domain::StatusClass;
use crate::domain::environment::EnvironmentState;
use crate::tui::app::rows::{EnvironmentRow, EnvironmentsPane, SortBy, TimeLeft};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;
use crate::tui::widgets::table::{self, Column, Table};

/// The width of progress bars, in columns.
const BAR: usize = 9;

/// The width of a percentage with the space before it.
const PERCENT: usize = 5;

/// The width of the state with its symbol and a space after it, while there are progress bars.
const STATE_BEFORE_BAR: usize = 13;

/// The columns that the title and the counts need beside the text of the filter.
const FILTER_MARGIN: u16 = 48;

/// Environments that expire within this many minutes are highlighted.
const EXPIRES_SOON_MINUTES: i64 = 30;

pub(crate) struct EnvironmentsTable<'a> {
    pub(crate) pane: &'a EnvironmentsPane,
    /// The number of visible rows.
    pub(crate) rows: usize,
    pub(crate) focused: bool,
    /// The theme role of the border.
    pub(crate) border: &'static str,
    /// The user, whose name is highlighted as an owner.
    pub(crate) user: &'a str,
    /// AWS's time.
    pub(crate) now: DateTime<Utc>,
    /// Whether a database that is not listed does not exist.
    pub(crate) databases_complete: bool,
    /// What the pane says while the table is empty, as theme roles and texts.
    pub(crate) placeholder: Vec<(&'static str, String)>,
}

impl EnvironmentsTable<'_> {
    /// Draws the table; returns the position of the cursor while the filter is edited.
    pub(crate) fn draw(&self, styles: &Styles, buf: &mut Buffer, area: Rect) -> Option<Position> {
        let mut frame = Frame::new(self.title(styles), self.border);
        frame.right = self.status(styles, area.width);
        let status_width: usize = frame.right.iter().map(Span::width).sum();
        let inner = frame.draw(styles, buf, area);
        if self.pane.visible().len() == 0 {
            self.draw_placeholder(styles, buf, inner);
        } else {
            self.table(styles, inner.width).draw(styles, buf, inner);
        }
        self.pane.filter.editing.then(|| self.filter_cursor(area, status_width))
    }

    fn title(&self, styles: &Styles) -> Vec<Span<'static>> {
        let pane = self.pane;
        let mut title = vec![styles.span(if self.focused { "text.strong" } else { "text" }, "Environments")];
        if pane.sort != SortBy::Number || pane.descending {
            let direction = if pane.descending { styles.glyphs.down } else { styles.glyphs.up };
            title.push(styles.span("text.muted", format!(" by {} {direction}", pane.sort.as_str())));
        }
        title
    }

    /// Returns the filter, else the range of the visible rows if there are more.
    fn status(&self, styles: &Styles, width: u16) -> Vec<Span<'static>> {
        let pane = self.pane;
        let visible = pane.visible().len();
        let mut status = Vec::new();
        if pane.filter.editing || !pane.filter.text().is_empty() {
            status.push(styles.span("key", "/"));
            status.push(styles.span("text.strong", self.visible_filter(width)));
            if pane.filter.editing {
                // For the cursor at the end of the text.
                status.push(Span::raw(" "));
            }
            let count = format!(" {} {visible} of {}", styles.glyphs.dash, pane.all.len());
            status.push(styles.span("text.muted", count));
        } else if visible > self.rows {
            let first = pane.selection.offset + 1;
            let last = (pane.selection.offset + self.rows).min(visible);
            status.push(styles.span("text.muted", format!("{first}-{last} of {visible}")));
        }
        status
    }

    /// Returns the end of the filter's text, as much as fits.
    fn visible_filter(&self, width: u16) -> &str {
        let room = usize::from(width.saturating_sub(FILTER_MARGIN)).max(8);
        let value = self.pane.filter.input.value();
        text::skip(value, text::width(value).saturating_sub(room))
    }

    fn filter_cursor(&self, area: Rect, status_width: usize) -> Position {
        let input = &self.pane.filter.input;
        let hidden = text::width(input.value()).saturating_sub(text::width(self.visible_filter(area.width)));
        // The status ends before a space, a column of border and the corner, and starts with a slash.
        let from_end = u16::try_from(status_width + 3).unwrap_or(u16::MAX);
        let start = area.right().saturating_sub(from_end) + 1;
        let at = u16::try_from(input.visual_cursor().saturating_sub(hidden)).unwrap_or(0);
        Position::new(start.saturating_add(at), area.y)
    }

    fn draw_placeholder(&self, styles: &Styles, buf: &mut Buffer, area: Rect) {
        let columns = usize::from(area.width.saturating_sub(6)).max(1);
        let lines: Vec<_> = self
            .placeholder
            .iter()
            .flat_map(|(role, text)| text::wrap(text, columns).into_iter().map(move |line| (*role, line)))
            .collect();
        // A third of the free rows is above the text.
        let above = usize::from(area.height).saturating_sub(lines.len()) / 3;
        let place = Rect { x: area.x + 3, width: area.width.saturating_sub(3), ..area };
        for (row, (role, line)) in place.rows().skip(above).zip(lines) {
            line::put(buf, row, styles.span(role, line), styles.glyphs.ellipsis);
        }
    }

    fn table(&self, styles: &Styles, width: u16) -> Table {
        let has_bars = self.pane.all.iter().any(|row| row.progress.is_some());
        let status =
            if has_bars { STATE_BEFORE_BAR } else { self.widest(7, 13, |row| 2 + row.status().len()) };
        let columns = self.columns(status, has_bars);
        let room = usize::from(width.saturating_sub(table::PADDING));
        let state_width = table::widths(&columns, room)[2];
        let bar = state_width.saturating_sub(status + PERCENT).min(BAR);
        let rows = self.pane.visible().skip(self.pane.selection.offset).take(self.rows);
        Table {
            rows: rows.map(|row| self.cells(styles, row, status, bar)).collect(),
            columns,
            selected: self.pane.selection.visible_index(),
            focused: self.focused,
            header: true,
        }
    }

    /// Returns the largest width among all rows, within bounds. Hidden rows count, so that scrolling moves no column.
    fn widest(&self, min: usize, max: usize, width: impl Fn(&EnvironmentRow) -> usize) -> usize {
        self.pane.all.iter().map(width).max().unwrap_or(0).clamp(min, max)
    }

    fn columns(&self, status: usize, has_bars: bool) -> Vec<Column> {
        let name = self.widest(8, 28, |row| text::width(&row.name));
        let owner = self.widest(5, 14, |row| text::width(&row.owner));
        let id = self.widest(8, 24, |row| text::width(&row.id.to_string()) + 2);
        let (min_bar, max_bar) = if has_bars { (PERCENT, BAR + PERCENT + 1) } else { (0, 0) };
        let has_cost = self.pane.all.iter().any(|row| row.cost.is_some());
        let column =
            |title, min, max, priority| Column { title, min, max, alignment: Alignment::Left, priority };
        let right = |column| Column { alignment: Alignment::Right, ..column };
        vec![
            column("NAME", name.min(14), name, 10),
            column("OWNER", owner.min(8), owner, 5),
            column("STATE", status + min_bar, status + max_bar, 9),
            right(column("LEFT", 8, 8, 8)),
            column("DATABASE", id.min(12), id, 4),
            column("SERVICES", 8, usize::MAX, 2),
            right(column("COST", 7, 7, if has_cost { 3 } else { 1 })),
        ]
    }

    fn cells(&self, styles: &Styles, row: &EnvironmentRow, status: usize, bar: usize) -> Vec<Line<'static>> {
        let needle = self.pane.filter.text();
        let highlighted =
            |role, text: &str| line::highlighted(text, needle, styles.role(role), styles.role("match"));
        let is_ending = row.state == EnvironmentState::Terminating;
        let owner_role = if row.owner == self.user { "text" } else { "text.muted" };
        let none = styles.glyphs.none;
        let left = row.left.as_ref().map_or(none, TimeLeft::as_str);
        let cost = row.cost.map_or_else(|| none.to_owned(), |cost| format::dollars(cost.accrued));
        let (glyph, role) =
            if row.is_loading { (styles.glyphs.ellipsis, "text.muted") } else { styles.state(row.state) };
        let mut state = highlighted(role, &format!("{glyph} {}", row.status()));
        if let Some(progress) = row.progress {
            let used: usize = state.iter().map(Span::width).sum();
            state.push(Span::raw(" ".repeat(status.saturating_sub(used))));
            state.extend(styles.bar(progress.ratio, bar));
        }
        let (glyph, role) = self.database(styles, row);
        let mut database = vec![styles.span(role, format!("{glyph} "))];
        database.extend(highlighted("text.muted", &row.id.to_string()));
        vec![
            Line::from(highlighted(if is_ending { "text.muted" } else { "text.strong" }, &row.name)),
            Line::from(highlighted(owner_role, &row.owner)),
            Line::from(state),
            Line::from(styles.span(self.left_role(row), left)),
            Line::from(database),
            Line::from(highlighted("text.muted", &row.services)),
            Line::from(styles.span("text.muted", cost)),
        ]
    }

    fn left_role(&self, row: &EnvironmentRow) -> &'static str {
        let expires_soon =
            row.expires_at.is_some_and(|at| (at - self.now).num_minutes() < EXPIRES_SOON_MINUTES);
        match row.state {
            EnvironmentState::Expired | EnvironmentState::Reaping => "state.expired",
            EnvironmentState::Launching | EnvironmentState::Starting => {
                if row.left == Some(TimeLeft::Overdue) { "level.warning" } else { "text.muted" }
            }
            _ if expires_soon => "state.expired",
            _ => "text",
        }
    }

    /// Returns the symbol and theme role of the environment's database.
    fn database(&self, styles: &Styles, row: &EnvironmentRow) -> (&'static str, &'static str) {
        let glyphs = &styles.glyphs;
        match row.database() {
            Some(StatusClass::Usable) => (glyphs.full, "pool.free"),
            Some(StatusClass::Pending) => (glyphs.half, "pool.creating"),
            Some(StatusClass::Busy | StatusClass::Stopped) => (glyphs.paused, "pool.stale"),
            Some(StatusClass::Failed) => (glyphs.cross, "pool.failed"),
            Some(StatusClass::Deleting) => (glyphs.fading, "pool.deleting"),
            None if self.databases_complete => (glyphs.none, "text.muted"),
            None => ("?", "text.muted"),
        }
    }
}
