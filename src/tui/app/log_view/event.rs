//! A whole event: all its lines, and JSON with a line for each field.

use chrono::{DateTime, Utc};

use crate::domain::format::format_lines;
use crate::domain::text::Untrusted;
use crate::tui::text;

/// An event that is shown as a whole.
#[derive(Debug, Clone)]
pub(crate) struct OpenEvent {
    pub(crate) at: DateTime<Utc>,
    pub(crate) source: String,
    /// Sanitised.
    lines: Vec<String>,
    /// The lines wrapped at `width` columns.
    rows: Vec<String>,
    width: usize,
    /// The index of the first visible row.
    scroll: usize,
}

impl OpenEvent {
    pub(super) fn new(at: DateTime<Utc>, source: String, lines: Vec<String>, width: usize) -> Self {
        let mut event = Self { at, source, lines, rows: Vec::new(), width, scroll: 0 };
        event.rows = event.wrapped(width);
        event
    }

    /// Returns the lines of JSON with a line for each field, sanitised; `None` if it is not valid.
    pub(super) fn pretty(json: &str) -> Option<Vec<String>> {
        let value: serde_json::Value = serde_json::from_str(json).ok()?;
        let pretty = Untrusted::new(serde_json::to_string_pretty(&value).ok()?);
        Some(format_lines(&pretty).map(|(line, _)| line).collect())
    }

    fn wrapped(&self, width: usize) -> Vec<String> {
        self.lines.iter().flat_map(|line| text::chunks(line, width)).map(str::to_owned).collect()
    }

    /// Returns the visible rows, the index of the first one and the number of all.
    pub(crate) fn window(&self, height: usize, width: usize) -> (Vec<String>, usize, usize) {
        let rows = if width == self.width { self.rows.clone() } else { self.wrapped(width) };
        let count = rows.len();
        let first = self.scroll.min(count.saturating_sub(height));
        (rows.into_iter().skip(first).take(height).collect(), first, count)
    }

    pub(crate) fn scroll(&mut self, by: isize, height: usize, width: usize) {
        if width != self.width {
            (self.rows, self.width) = (self.wrapped(width), width);
        }
        let max = self.rows.len().saturating_sub(height);
        self.scroll = self.scroll.min(max).saturating_add_signed(by).min(max);
    }

    /// Returns the whole text, for the clipboard.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}
