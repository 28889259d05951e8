//! The table of environments.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::domain::StatusClass;
use crate::domain::environment::EnvironmentState;
use crate::tui::app::columns::{BAR, PERCENT, STATE};
use crate::tui::app::environments::{EnvironmentsPane, SortBy};
use crate::tui::app::filter::{Field, Filter};
use crate::tui::app::model::Model;
use crate::tui::app::regions::Pane;
use crate::tui::app::rows::{EnvironmentRow, TimeLeft};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;
use crate::tui::widgets::table::{self, Table};

/// The columns that the title and the counts need beside the text of the filter.
const FILTER_MARGIN: u16 = 48;

/// Environments that expire within this many minutes are highlighted.
const EXPIRES_SOON_MINUTES: i64 = 30;

/// The numbers of environments that the frame tells.
pub(crate) struct Counts {
    pub(crate) visible: usize,
    pub(crate) all: usize,
    /// Those on the screen, if there are more.
    pub(crate) range: Option<(usize, usize)>,
}

pub(crate) struct EnvironmentsTable<'a> {
    pub(crate) pane: &'a EnvironmentsPane,
    /// The number of visible rows.
    pub(crate) rows: usize,
    pub(crate) focused: bool,
    /// Whether the title has the number of marks, rather than the heads of the fleets.
    pub(crate) counts_marks: bool,
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

impl<'a> EnvironmentsTable<'a> {
    pub(crate) fn of(model: &'a Model) -> Self {
        let focused = model.pane == Pane::Environments;
        Self {
            pane: &model.environments,
            rows: model.regions.environment_rows(),
            focused,
            counts_marks: model.labels.len() < 2,
            border: model.border_role(focused),
            user: &model.options.user,
            now: model.aws_now(),
            databases_complete: model.databases_complete(),
            placeholder: model.no_environments(),
        }
    }
}

impl EnvironmentsTable<'_> {
    /// Draws the table; returns the position of the cursor while the filter is edited.
    pub(crate) fn draw(&self, styles: &Styles, buf: &mut Buffer, area: Rect) -> Option<Position> {
        let mut frame = Frame::new(self.title(styles), self.border);
        frame.right = self.status(styles, area.width, &self.counts());
        let status_width: usize = frame.right.iter().map(Span::width).sum();
        let inner = frame.draw(styles, buf, area);
        if self.pane.visible().len() == 0 {
            self.draw_placeholder(styles, buf, inner);
        } else {
            self.table(styles, inner.width).draw(styles, buf, inner);
        }
        self.pane.filter.editing.then(|| self.filter_cursor(area, status_width))
    }

    fn counts(&self) -> Counts {
        let (pane, visible) = (self.pane, self.pane.visible().len());
        let first = pane.selection.offset + 1;
        let range = (visible > self.rows).then(|| (first, (pane.selection.offset + self.rows).min(visible)));
        Counts { visible, all: pane.all().len(), range }
    }

    /// Draws the titles of the columns.
    pub(crate) fn draw_titles(&self, styles: &Styles, buf: &mut Buffer, area: Rect) {
        let columns = self.pane.columns();
        Table { rows: Vec::new(), columns, selected: None, focused: self.focused, header: true }
            .draw(styles, buf, area);
    }

    /// Draws the rows from `first` on below titles that are drawn already. Only in the fleet that is active a row is selected.
    pub(crate) fn draw_rows(
        &self,
        styles: &Styles,
        buf: &mut Buffer,
        area: Rect,
        first: usize,
        is_active: bool,
    ) {
        let selected = self.pane.selection.index().checked_sub(first).filter(|_| is_active);
        let rows = self.cells_from(styles, area.width, first, usize::from(area.height));
        Table { rows, columns: self.pane.columns(), selected, focused: self.focused, header: false }
            .draw(styles, buf, area);
    }

    pub(crate) fn title(&self, styles: &Styles) -> Vec<Span<'static>> {
        let pane = self.pane;
        let mut title = vec![styles.span(if self.focused { "text.strong" } else { "text" }, "Environments")];
        if pane.sort != SortBy::Number || pane.descending {
            let direction = if pane.descending { styles.glyphs.down } else { styles.glyphs.up };
            title.push(styles.span("text.muted", format!(" by {} {direction}", pane.sort.as_str())));
        }
        if pane.mine.is_some() {
            title.push(styles.span("key", format!(" {} mine", styles.glyphs.dot)));
        }
        if !pane.marks.is_empty() && self.counts_marks {
            title.push(styles.span("key", format!(" {} {} marked", styles.glyphs.dot, pane.marks.len())));
        }
        title
    }

    /// Returns the filter, else the range of the visible rows if there are more.
    pub(crate) fn status(&self, styles: &Styles, width: u16, counts: &Counts) -> Vec<Span<'static>> {
        let pane = self.pane;
        let visible = counts.visible;
        let mut status = Vec::new();
        if pane.filter.editing || !pane.filter.text().is_empty() {
            status.push(styles.span("key", "/"));
            status.push(styles.span("text.strong", self.visible_filter(width)));
            if pane.filter.editing {
                // For the cursor at the end of the text.
                status.push(Span::raw(" "));
            }
            let count = format!(" {} {visible} of {}", styles.glyphs.dash, counts.all);
            status.push(styles.span("text.muted", count));
        } else if let Some((first, last)) = counts.range {
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

    pub(crate) fn filter_cursor(&self, area: Rect, status_width: usize) -> Position {
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
        Table {
            rows: self.cells_from(styles, width, self.pane.selection.offset, self.rows),
            columns: self.pane.columns(),
            selected: self.pane.selection.visible_index(),
            focused: self.focused,
            header: true,
        }
    }

    /// Returns the cells of so many rows from `first` on.
    fn cells_from(&self, styles: &Styles, width: u16, first: usize, count: usize) -> Vec<Vec<Line<'static>>> {
        let (status, columns) = (self.pane.status_width(), self.pane.columns());
        let room = usize::from(width.saturating_sub(table::PADDING));
        let state_width = table::widths(&columns, room)[STATE];
        let bar = state_width.saturating_sub(status + PERCENT).min(BAR);
        let filter = self.pane.parsed_filter();
        let rows = self.pane.visible().skip(first).take(count);
        rows.map(|row| self.cells(styles, row, &filter, (status, bar))).collect()
    }

    /// Returns the cells of a row. `widths` are those of the state and of its progress bar.
    fn cells(
        &self,
        styles: &Styles,
        row: &EnvironmentRow,
        filter: &Filter,
        (status, bar): (usize, usize),
    ) -> Vec<Line<'static>> {
        let highlighted = |role, field, text: &str| {
            line::with_ranges(text, &filter.ranges(field, text), styles.role(role), styles.role("match"))
        };
        let is_ending = row.state == EnvironmentState::Terminating;
        let owner_role = if row.owner == self.user { "text" } else { "text.muted" };
        let none = styles.glyphs.none;
        let left = row.left.as_ref().map_or(none, TimeLeft::as_str);
        let cost = row.cost.map_or_else(|| none.to_owned(), |cost| format::dollars(cost.accrued));
        let (glyph, role) =
            if row.is_loading { (styles.glyphs.ellipsis, "text.muted") } else { styles.state(row.state) };
        let mut state = vec![styles.span(role, format!("{glyph} "))];
        state.extend(highlighted(role, Field::State, row.status()));
        if let Some(progress) = row.progress {
            let used: usize = state.iter().map(Span::width).sum();
            state.push(Span::raw(" ".repeat(status.saturating_sub(used))));
            state.extend(styles.bar(progress.ratio, bar));
        }
        let (glyph, role) = self.database(styles, row);
        let mut database = vec![styles.span(role, format!("{glyph} "))];
        database.extend(highlighted("text.muted", Field::Id, &row.id.to_string()));
        let name_role = if is_ending { "text.muted" } else { "text.strong" };
        let mut name = highlighted(name_role, Field::Name, &row.name);
        if self.pane.marks.contains(&row.record) {
            name.insert(0, styles.span("key", format!("{} ", styles.glyphs.check)));
        }
        vec![
            Line::from(name),
            Line::from(highlighted(owner_role, Field::Owner, &row.owner)),
            Line::from(state),
            Line::from(styles.span(self.left_role(row), left)),
            Line::from(database),
            Line::from(highlighted("text.muted", Field::Service, &row.services)),
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
