//! Builds the lines of a page.

use ratatui::layout::Alignment;
use ratatui::text::{Line, Span};

use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::line;
use crate::tui::widgets::table::{Column, widths};

/// The width of the column of names.
const NAME_WIDTH: usize = 14;

/// The narrowest column of values; on narrower screens the lines are truncated instead of wrapped.
const MIN_VALUE_WIDTH: usize = 8;

/// Between two columns of a table, as wide as in the widget.
const GAP: &str = "  ";

pub(super) struct Page<'a> {
    pub(super) styles: &'a Styles,
    pub(super) width: usize,
    lines: Vec<Line<'static>>,
    /// Whether other lines come before.
    continues: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(styles: &'a Styles, width: usize) -> Self {
        Self { styles, width, lines: Vec::new(), continues: false }
    }

    /// Builds the lines that come after others.
    pub(super) fn continued(styles: &'a Styles, width: usize) -> Self {
        Self { continues: true, ..Self::new(styles, width) }
    }

    pub(super) fn into_lines(self) -> Vec<Line<'static>> {
        self.lines
    }

    /// Adds a heading, after a blank line unless it is the first line.
    pub(super) fn heading(&mut self, title: &str) {
        if !self.lines.is_empty() || self.continues {
            self.lines.push(Line::default());
        }
        self.line(self.styles.span("heading", title));
    }

    pub(super) fn line(&mut self, line: impl Into<Line<'static>>) {
        self.lines.push(line.into());
    }

    /// Adds a name with a value.
    pub(super) fn value(&mut self, name: &str, value: impl AsRef<str>) {
        self.styled_value(name, "text", value.as_ref());
    }

    /// Adds a name with a placeholder for a value.
    pub(super) fn no_value(&mut self, name: &str, placeholder: &str) {
        self.styled_value(name, "text.muted", placeholder);
    }

    /// Adds a name with a value in the style of a theme role. Long values are wrapped.
    pub(super) fn styled_value(&mut self, name: &str, role: &str, value: &str) {
        let columns = self.width.saturating_sub(NAME_WIDTH).max(MIN_VALUE_WIDTH);
        for (index, part) in text::wrap(value, columns).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            self.spans(name, vec![self.styles.span(role, part)]);
        }
    }

    /// Adds a name with styled spans on one line.
    pub(super) fn spans(&mut self, name: &str, spans: Vec<Span<'static>>) {
        let mut line = vec![self.styles.span("text.muted", format!("{name:NAME_WIDTH$}"))];
        line.extend(spans);
        self.line(line);
    }

    /// Adds a table with the titles of its columns. Columns shrink and disappear as in the tables of the main screen.
    pub(super) fn table(&mut self, columns: &[Column], rows: impl IntoIterator<Item = Vec<Line<'static>>>) {
        let widths = self.titles(columns);
        for row in rows {
            self.row(columns, &widths, row);
        }
    }

    /// Adds the titles of a table; returns the widths of its columns.
    pub(super) fn titles(&mut self, columns: &[Column]) -> Vec<usize> {
        let widths = widths(columns, self.width);
        let titles =
            columns.iter().map(|column| Line::from(self.styles.span("heading", column.title))).collect();
        self.row(columns, &widths, titles);
        widths
    }

    pub(super) fn row(&mut self, columns: &[Column], widths: &[usize], cells: Vec<Line<'static>>) {
        let mut spans = Vec::new();
        for ((column, &width), cell) in
            columns.iter().zip(widths).zip(cells).filter(|((_, width), _)| **width > 0)
        {
            if !spans.is_empty() {
                spans.push(Span::raw(GAP));
            }
            let cell = line::fit(cell, width, self.styles.glyphs.ellipsis);
            let rest = Span::raw(" ".repeat(width.saturating_sub(cell.width())));
            if column.alignment == Alignment::Right {
                spans.push(rest);
                spans.extend(cell.spans);
            } else {
                spans.extend(cell.spans);
                spans.push(rest);
            }
        }
        self.line(spans);
    }

    /// Adds lines of wrapped text.
    pub(super) fn styled_line(&mut self, role: &str, text: &str) {
        for part in text::wrap(text, self.width.max(MIN_VALUE_WIDTH)) {
            self.line(self.styles.span(role, part));
        }
    }

    /// Adds a wrapped paragraph after a symbol.
    pub(super) fn paragraph(&mut self, (glyph, glyph_role): (&str, &str), role: &str, text: &str) {
        for (index, part) in
            text::wrap(text, self.width.saturating_sub(2).max(MIN_VALUE_WIDTH)).into_iter().enumerate()
        {
            let glyph =
                if index == 0 { self.styles.span(glyph_role, format!("{glyph} ")) } else { Span::raw("  ") };
            self.line(vec![glyph, self.styles.span(role, part)]);
        }
    }
}
