//! Scroll position, cursor and jumps. Positions count the shown lines; a place is a position with a row of its line.

use chrono::{DateTime, Utc};

use super::LogView;
use super::entry::{EntryKind, LogEntry};
use super::times::{self, Times};
use crate::tui::format::TimedText;
use crate::tui::text;

/// The columns by which the text is scrolled at a time.
const COLUMN_STEP: isize = 16;

/// A row of a shown line: its position and the index of the row in it.
type Place = (usize, usize);

/// A line in the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VisibleLine<'a> {
    pub(crate) number: i64,
    pub(crate) entry: &'a LogEntry,
    /// The rows above the window.
    pub(crate) skipped: usize,
}

/// The window.
impl LogView {
    fn rows(&self, position: usize, width: usize) -> usize {
        match self.buffer.at(position) {
            Some(entry) if self.wrap => entry.rows(self.fold, self.columns(entry, width)),
            _ => 1,
        }
    }

    /// Returns the place `rows` rows above the end of the line before `position`, or the first one.
    fn above(&self, mut position: usize, mut rows: usize, width: usize) -> Place {
        while rows > 0 && position > 0 {
            position -= 1;
            let needed = self.rows(position, width);
            if needed >= rows {
                return (position, needed - rows);
            }
            rows -= needed;
        }
        (position, 0)
    }

    /// Returns the place `rows` rows below another one, or the last one.
    fn below(&self, (mut position, row): Place, rows: usize, width: usize) -> Place {
        let mut rows = rows + row;
        let last = self.buffer.shown_count().saturating_sub(1);
        loop {
            let needed = self.rows(position, width);
            if rows < needed || position >= last {
                return (position, rows.min(needed - 1));
            }
            rows -= needed;
            position += 1;
        }
    }

    /// Returns the first visible place when the window is scrolled to the end.
    fn last_top(&self, height: usize, width: usize) -> Place {
        self.above(self.buffer.shown_count(), height, width)
    }

    /// Returns the first visible place.
    fn top(&self, height: usize, width: usize) -> Place {
        let last = self.last_top(height, width);
        if self.follow {
            return last;
        }
        let (number, row) = self.top;
        let position = self.buffer.position(number);
        // The line can have been dropped or hidden, or the terminal can have become wider.
        let is_there = self.buffer.number_at(position) == number;
        let row = if is_there { row.min(self.rows(position, width) - 1) } else { 0 };
        (position, row).min(last)
    }

    /// Iterates over the visible lines of a window, and those below it.
    pub(crate) fn window(&self, height: usize, width: usize) -> impl Iterator<Item = VisibleLine<'_>> {
        let (first, row) = self.top(height, width);
        (first..self.buffer.shown_count()).filter_map(move |position| {
            let number = self.buffer.number_at(position);
            let skipped = if position == first { row } else { 0 };
            Some(VisibleLine { number, entry: self.buffer.get(number)?, skipped })
        })
    }

    /// Returns the number of the current line; `None` if there is none.
    pub(crate) fn cursor(&self) -> Option<i64> {
        let last = self.buffer.shown_count().checked_sub(1)?;
        let position = if self.follow { last } else { self.buffer.position(self.cursor).min(last) };
        Some(self.buffer.number_at(position))
    }

    fn cursor_position(&self) -> usize {
        self.cursor().map_or(0, |number| self.buffer.position(number))
    }

    /// Moves the cursor and the window, and pauses.
    fn put(&mut self, cursor: usize, top: Place) {
        self.cursor = self.buffer.number_at(cursor);
        self.top = (self.buffer.number_at(top.0), top.1);
        self.follow = false;
    }

    /// Moves a cursor and a window whose lines are not shown to the shown lines that stand for them. Otherwise they would jump back as soon as
    /// their lines are shown.
    pub(super) fn settle(&mut self, height: usize, width: usize) {
        if !self.follow && self.buffer.shown_count() > 0 {
            self.put(self.cursor_position(), self.top(height, width));
        }
    }

    /// Scrolls as little as needed to have a line in the window, as a whole or, if it is higher, from its start.
    fn with(&self, cursor: usize, top: Place, height: usize, width: usize) -> Place {
        let needed = self.rows(cursor, width);
        if (cursor, 0) < top {
            // A line that is higher than the window may be scrolled within.
            return if cursor == top.0 && needed > height { top } else { (cursor, 0) };
        }
        if needed > height {
            return (cursor, 0);
        }
        // The position at which the line is the last one in the window.
        top.max(self.above(cursor + 1, height, width))
    }
}

/// Movements.
impl LogView {
    /// Scrolls if no row of the current line is in the window, such as after the terminal has become smaller.
    pub(crate) fn keep_in_view(&mut self, height: usize, width: usize) {
        if self.follow || self.buffer.shown_count() == 0 {
            return;
        }
        let (cursor, top) = (self.cursor_position(), self.top(height, width));
        let (bottom, _) = self.below(top, height.saturating_sub(1), width);
        if !(top.0..=bottom).contains(&cursor) {
            self.put(cursor, self.with(cursor, top, height, width));
        }
    }

    /// Switches between following the end and staying at the current lines.
    pub(crate) fn toggle_follow(&mut self, height: usize, width: usize) {
        if self.follow {
            self.put(self.cursor_position(), self.top(height, width));
        } else {
            (self.follow, self.selected_from) = (true, None);
        }
    }

    /// Moves the cursor by a number of lines. A line that is higher than the window is scrolled through by rows. Beyond the last line, `follow`
    /// is turned on.
    pub(crate) fn move_by(&mut self, by: isize, height: usize, width: usize) {
        let Some(last) = self.buffer.shown_count().checked_sub(1) else { return };
        let (cursor, top) = (self.cursor_position(), self.top(height, width));
        let is_inside = cursor == top.0 && self.rows(cursor, width) > height;
        if is_inside && by > 0 && self.rows(cursor, width) - top.1 > height {
            return self.put(cursor, (cursor, top.1 + 1));
        }
        if is_inside && by < 0 && top.1 > 0 {
            return self.put(cursor, (cursor, top.1 - 1));
        }
        if by > 0 && cursor == last {
            self.follow = self.selected_from.is_none();
            return;
        }
        let next = cursor.saturating_add_signed(by).min(last);
        self.put(next, self.with(next, top, height, width));
    }

    /// Moves the window and the cursor by a number of rows.
    pub(crate) fn page(&mut self, by: isize, height: usize, width: usize) {
        let Some(last) = self.buffer.shown_count().checked_sub(1) else { return };
        let (cursor, top) = (self.cursor_position(), self.top(height, width));
        let rows = by.unsigned_abs();
        let row = if cursor == top.0 { top.1 } else { 0 };
        if by < 0 {
            let next_top = self.above_place(top, rows, width);
            let (next, _) = self.above_place((cursor, row), rows, width);
            return self.put(next, self.with(next, next_top, height, width));
        }
        let end = self.last_top(height, width);
        if cursor == last && top >= end {
            self.follow = self.selected_from.is_none();
            return;
        }
        let next_top = self.below(top, rows, width).min(end);
        let (next, _) = if top >= end { (last, 0) } else { self.below((cursor, row), rows, width) };
        let next_top = self.with(next, next_top, height, width);
        if (next, next_top) == (cursor, top) {
            // The line has more rows than are scrolled by.
            return self.move_by(1, height, width);
        }
        self.put(next, next_top);
    }

    fn above_place(&self, (position, row): Place, rows: usize, width: usize) -> Place {
        if rows <= row { (position, row - rows) } else { self.above(position, rows - row, width) }
    }

    /// Moves the window by a number of rows; the cursor moves only if it would leave the window. At the end, `follow` is turned on.
    pub(crate) fn scroll(&mut self, by: isize, height: usize, width: usize) {
        if self.buffer.shown_count() == 0 {
            return;
        }
        let (cursor, top, end) =
            (self.cursor_position(), self.top(height, width), self.last_top(height, width));
        let rows = by.unsigned_abs();
        let top =
            if by < 0 { self.above_place(top, rows, width) } else { self.below(top, rows, width).min(end) };
        if by > 0 && top >= end && self.selected_from.is_none() {
            self.follow = true;
            return;
        }
        let (bottom, _) = self.below(top, height.saturating_sub(1), width);
        self.put(cursor.clamp(top.0, bottom), top);
    }

    /// Goes to the first line.
    pub(crate) fn go_to_start(&mut self) {
        if self.buffer.shown_count() > 0 {
            self.put(0, (0, 0));
        }
    }

    /// Goes to the last line, and follows the log unless lines are selected.
    pub(crate) fn go_to_end(&mut self, height: usize, width: usize) {
        let Some(last) = self.buffer.shown_count().checked_sub(1) else { return };
        self.put(last, self.last_top(height, width));
        self.follow = self.selected_from.is_none();
    }

    /// Goes to the first shown line at or after a number. If it is not in the window, a third of the window shows the lines before.
    pub(crate) fn go_to(&mut self, number: i64, height: usize, width: usize) {
        let Some(last) = self.buffer.shown_count().checked_sub(1) else { return };
        let (cursor, top) = (self.buffer.position(number).min(last), self.top(height, width));
        let is_visible = self.with(cursor, top, height, width) == top;
        let top = if is_visible { top } else { self.above(cursor, height / 3, width) };
        let top = top.min(self.last_top(height, width));
        self.put(cursor, self.with(cursor, top, height, width));
    }

    /// Goes to the first line with a time at or after another one; returns whether there is one.
    pub(crate) fn go_to_time(&mut self, at: DateTime<Utc>, height: usize, width: usize) -> bool {
        let Some(position) = self.buffer.position_at_time(at) else { return false };
        self.go_to(self.buffer.number_at(position), height, width);
        true
    }

    /// Moves the cursor to the line at a row of the window; returns whether there is one.
    pub(crate) fn click(&mut self, row: usize, height: usize, width: usize) -> bool {
        let top = self.top(height, width);
        let mut rows = row + top.1;
        for position in top.0..self.buffer.shown_count() {
            let needed = self.rows(position, width);
            if rows < needed {
                self.put(position, top);
                return true;
            }
            rows -= needed;
        }
        false
    }

    /// Keeps the first visible line and the cursor where they are while `change` shows other lines or other rows of them.
    pub(crate) fn keep_place(&mut self, height: usize, width: usize, change: impl FnOnce(&mut Self)) {
        let (cursor, top) = (self.cursor(), self.top(height, width));
        let top = self.buffer.number_at(top.0);
        change(self);
        if self.follow || self.buffer.shown_count() == 0 {
            return;
        }
        let last = self.buffer.shown_count() - 1;
        let cursor = cursor.map_or(last, |number| self.buffer.position(number).min(last));
        let top = (self.buffer.position(top), 0).min(self.last_top(height, width));
        self.put(cursor, self.with(cursor, top, height, width));
    }
}

/// Matches and columns.
impl LogView {
    /// Goes to the first match in the window or after it, or to the first of all.
    pub(crate) fn go_to_first_match(&mut self, height: usize, width: usize) {
        let index = self.buffer.match_index(self.buffer.number_at(self.top(height, width).0));
        self.go_to_match_at(index, height, width);
    }

    /// Goes to the next or previous match, and from the last to the first and back.
    pub(crate) fn go_to_match(&mut self, forwards: bool, height: usize, width: usize) {
        let Some(cursor) = self.cursor() else { return };
        let count = self.buffer.match_count();
        let index = if forwards {
            self.buffer.match_index(cursor + 1)
        } else {
            self.buffer.match_index(cursor).checked_sub(1).unwrap_or(count.saturating_sub(1))
        };
        self.go_to_match_at(index, height, width);
    }

    fn go_to_match_at(&mut self, index: usize, height: usize, width: usize) {
        let number = self.buffer.match_at(index).or_else(|| self.buffer.match_at(0));
        let Some(number) = number else { return };
        self.go_to(number, height, width);
        self.show_match(number, width);
    }

    /// Scrolls the text so that the first match of a line is visible.
    fn show_match(&mut self, number: i64, width: usize) {
        let Some(entry) = self.buffer.get(number).filter(|_| !self.wrap) else { return };
        let shown = entry.shown(self.fold);
        let Some((start, end)) = text::matches(shown, self.buffer.search().as_str()).first().copied() else {
            return;
        };
        let (start, end) = (text::width(&shown[..start]), text::width(&shown[..end]));
        let columns = self.columns(entry, width);
        // The last column can have an ellipsis.
        if start < self.column || end >= self.column + columns {
            self.column = if end < columns { 0 } else { start.saturating_sub(columns / 3) };
        }
    }

    /// Scrolls the text to the left or right, at most to the end of the longest line in the window.
    pub(crate) fn scroll_columns(&mut self, right: bool, height: usize, width: usize) {
        if self.wrap {
            return;
        }
        let longest = self.window(height, width).take(height).map(|line| {
            let columns = self.columns(line.entry, width);
            text::width(line.entry.shown(self.fold)).saturating_sub(columns)
        });
        let max = longest.max().unwrap_or(0).max(self.column);
        let step = if right { COLUMN_STEP } else { -COLUMN_STEP };
        self.column = self.column.saturating_add_signed(step).min(max);
    }
}

/// Times.
impl LogView {
    /// Returns the age in the window that changes first, if ages are shown.
    pub(crate) fn next_age(&self, now: DateTime<Utc>, height: usize, width: usize) -> Option<TimedText> {
        let shows_ages = self.times == Times::Relative && self.event.is_none();
        let lines = shows_ages.then(|| self.window(height, width).take(height)).into_iter().flatten();
        lines
            .filter(|line| line.entry.kind == EntryKind::First)
            .map(|line| times::age(line.entry.at, now))
            .min_by_key(|age| age.valid_for)
    }
}
