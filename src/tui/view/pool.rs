//! The warm pool.

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use crate::domain::DatabaseState;
use crate::tui::app::rows::{PoolPane, PoolRow};
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::table::{self, Column, Table};

/// The minutes that the sparkline shows.
const SPARK_MINUTES: usize = 12;

const TITLE: &str = "Warm pool";

/// The columns of the border and of the spaces around the title.
const TITLE_PADDING: usize = 6;

/// The columns around the count at the right.
const CLAIMED_PADDING: u16 = 3;

/// The width of progress bars in panes of at least [`WIDE`] columns and in narrower ones.
const WIDE_BAR: usize = 9;
const NARROW_BAR: usize = 6;
const WIDE: u16 = 56;

pub(crate) struct PoolTable<'a> {
    pub(crate) pane: &'a PoolPane,
    /// The number of visible rows.
    pub(crate) rows: usize,
    pub(crate) focused: bool,
    /// The theme role of the border.
    pub(crate) border: &'static str,
    /// Whether the fleet was observed.
    pub(crate) observed: bool,
    /// What the pane says while it is empty.
    pub(crate) placeholder: &'static str,
}

impl PoolTable<'_> {
    pub(crate) fn draw(&self, styles: &Styles, buf: &mut Buffer, area: Rect) {
        let status = &self.pane.status;
        let claimed = if status.claimed > 0 { format!("{} claimed", status.claimed) } else { String::new() };
        let width = area.width.saturating_sub(u16::try_from(claimed.len()).unwrap_or(0));
        let mut frame = Frame::new(self.title(styles, width.saturating_sub(CLAIMED_PADDING)), self.border);
        if status.claimed > 0 {
            frame.right.push(styles.span("pool.claimed", claimed));
        }
        frame.bottom = self.history(styles);
        let inner = frame.draw(styles, buf, area);
        if status.rows.is_empty() {
            table::placeholder(styles, buf, inner, self.placeholder);
            return;
        }
        let bar = if area.width < WIDE { NARROW_BAR } else { WIDE_BAR };
        let rows = status.rows.iter().skip(self.pane.selection.offset).take(self.rows);
        let name = status.name_width.clamp(6, 24);
        let column =
            |min, max, priority| Column { title: "", min, max, alignment: Alignment::Left, priority };
        let table = Table {
            rows: rows.map(|row| cells(styles, row, bar)).collect(),
            columns: vec![column(name.min(12) + 2, name + 2, 3), column(8, 8, 4), column(8, 60, 2)],
            selected: self.pane.selection.visible_index().filter(|_| self.focused),
            focused: self.focused,
            header: false,
        };
        table.draw(styles, buf, inner);
    }

    /// Returns the title, with as many facts as fit.
    fn title(&self, styles: &Styles, width: u16) -> Vec<Span<'static>> {
        let status = &self.pane.status;
        let mut parts = Vec::new();
        if self.observed {
            parts.push(format!("target {}", status.target_text));
            parts.extend(status.snapshot.as_ref().map(|age| format!("snapshot {age} old")));
            parts.extend(status.image.as_ref().map(|age| format!("image {age} old")));
        }
        let mut title = vec![styles.span(if self.focused { "text.strong" } else { "text" }, TITLE)];
        let mut room = usize::from(width).saturating_sub(TITLE_PADDING + TITLE.len());
        for part in parts {
            let part = format!(" {} {part}", styles.glyphs.dot);
            if let Some(rest) = room.checked_sub(text::width(&part)) {
                room = rest;
                title.push(styles.span("text.muted", part));
            }
        }
        title
    }

    /// Returns the sparkline of free databases, once there are two minutes to compare.
    fn history(&self, styles: &Styles) -> Vec<Span<'static>> {
        let minutes = &self.pane.history.minutes;
        if minutes.len() < 2 {
            return Vec::new();
        }
        let shown = minutes.len().min(SPARK_MINUTES);
        let top = minutes.iter().copied().max().unwrap_or(1).max(self.pane.status.target);
        let spark = styles.glyphs.sparkline(minutes.iter().skip(minutes.len() - shown).copied(), top);
        vec![
            styles.span("text.muted", "free "),
            styles.span("spark", spark),
            styles.span("text.muted", format!(" {shown}m")),
        ]
    }
}

fn cells(styles: &Styles, row: &PoolRow, bar: usize) -> Vec<Line<'static>> {
    let (glyph, role) = styles.database(row.state);
    let name_role = if row.state == DatabaseState::Deleting { "text.muted" } else { "text.strong" };
    let mut info = Vec::new();
    if let Some(progress) = row.progress {
        info.extend(styles.bar(progress.ratio, bar));
        info.push(Span::raw("  "));
    }
    info.push(styles.span("text.muted", &row.info));
    vec![
        Line::from(vec![styles.span(role, format!("{glyph} ")), styles.span(name_role, &row.name)]),
        Line::from(styles.span(role, row.state.as_str())),
        Line::from(info),
    ]
}
