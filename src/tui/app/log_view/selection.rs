//! The selected lines, to copy and to save, and the whole event of the current line.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::LogView;
use super::entry::{EntryKind, LogEntry};
use super::event::OpenEvent;

/// A line to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedLine {
    pub at: DateTime<Utc>,
    /// Empty for a remark.
    pub source: Option<Arc<str>>,
    pub text: Arc<str>,
}

impl LogView {
    /// Returns the numbers of the first and last selected line; `None` if there is no selection.
    pub(crate) fn selected(&self) -> Option<RangeInclusive<i64>> {
        let (from, to) = (self.selected_from?, self.cursor()?);
        Some(from.min(to)..=from.max(to))
    }

    /// Begins a selection at the cursor, and pauses; or ends it.
    pub(crate) fn toggle_selection(&mut self, height: usize, width: usize) {
        if self.selected_from.take().is_none() {
            if self.follow {
                self.toggle_follow(height, width);
            }
            self.selected_from = self.cursor();
        }
    }

    /// Iterates over the selected lines that are shown; without a selection, over the current line.
    fn selected_lines(&self) -> impl Iterator<Item = &LogEntry> {
        let range = self.selected().or_else(|| self.cursor().map(|cursor| cursor..=cursor));
        let (first, last) = range.map_or((i64::MAX, i64::MIN), RangeInclusive::into_inner);
        let position = self.buffer.position(first);
        let numbers = (position..self.buffer.shown_count()).map(|position| self.buffer.number_at(position));
        numbers.take_while(move |number| *number <= last).filter_map(|number| self.buffer.get(number))
    }

    /// Returns the text of the selected lines, or of the current one, and the number of lines.
    pub(crate) fn selected_text(&self) -> (String, usize) {
        let lines: Vec<&str> = self.selected_lines().map(|entry| &*entry.text).collect();
        (lines.join("\n"), lines.len())
    }

    /// Returns the number of lines to save: the selected ones, else all that are shown.
    pub(crate) fn saved_count(&self) -> usize {
        if self.selected_from.is_some() { self.selected_lines().count() } else { self.buffer.shown_count() }
    }

    /// Returns the selected lines, else all that are shown.
    pub(crate) fn saved_lines(&self) -> Vec<SavedLine> {
        let saved = |entry: &LogEntry| SavedLine {
            at: entry.at,
            source: self.buffer.source_of(entry).cloned(),
            text: Arc::clone(&entry.text),
        };
        if self.selected_from.is_some() {
            return self.selected_lines().map(saved).collect();
        }
        (0..self.buffer.shown_count()).filter_map(|position| self.buffer.at(position)).map(saved).collect()
    }
}

impl LogView {
    /// Shows the event of the current line as a whole.
    pub(crate) fn open_event(&mut self, width: usize) {
        self.event = self.cursor().and_then(|cursor| self.event_of(cursor, width));
    }

    fn event_of(&self, number: i64, width: usize) -> Option<OpenEvent> {
        let is_next =
            |number: &i64| self.buffer.get(*number).is_some_and(|entry| entry.kind == EntryKind::Next);
        // The first line can have been dropped.
        let mut first = number;
        while is_next(&first) && first > self.buffer.first() {
            first -= 1;
        }
        let entry = self.buffer.get(first)?;
        let source = self.buffer.source_of(entry).map_or_else(String::new, ToString::to_string);
        let lines = entry.json().and_then(OpenEvent::pretty).unwrap_or_else(|| {
            let numbers = std::iter::once(first).chain((first + 1..).take_while(is_next));
            numbers.filter_map(|number| self.buffer.get(number)).map(|line| line.text.to_string()).collect()
        });
        Some(OpenEvent::new(entry.at, source, lines, width))
    }
}
