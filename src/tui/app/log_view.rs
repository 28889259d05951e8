//! The log of one environment: a buffer bounded in bytes, a cursor and a scroll position that stay on their lines while others come and
//! go, a search that hides nothing, and a filter that keeps context. Every movement takes time by the height of the window, not by the
//! number of lines.

pub(crate) mod buffer;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod scroll;
pub(crate) mod selection;
pub(crate) mod times;

use std::ops::Range;

use chrono::{DateTime, Utc};

use self::buffer::LogBuffer;
use self::entry::{EntryKind, LogEntry};
use self::event::OpenEvent;
use self::times::Times;
use super::form::Query;
use crate::cloud::{LeftOut, LogLine};
use crate::domain::RecordId;

/// The minimum width of a terminal whose title explains how lines are delivered.
pub(crate) const EXPLAINED_WIDTH: u16 = 90;

/// The columns of the time with a space.
const TIME_WIDTH: usize = 9;

/// The number of lines that a filter keeps before and after each match at first, and at most.
const CONTEXT: usize = 2;
const MAX_CONTEXT: usize = 20;

/// The source and the start of the line with which a failed bootstrap ends.
const BOOTSTRAP: &str = "bootstrap";
const FAILED: &str = "failed: ";

/// The log of one environment.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the user
pub struct LogView {
    pub(crate) record: RecordId,
    /// The environment's name and id.
    pub(crate) title: String,
    /// The suggested name of a file to save to.
    pub(crate) file_name: String,
    /// The start of the requested time range.
    pub(crate) since: DateTime<Utc>,
    /// Identifies the stream; items of older streams are dropped.
    pub(crate) generation: u64,
    /// Whether to go back to the details.
    pub(crate) from_details: bool,
    pub(crate) buffer: LogBuffer,
    /// Whether the view scrolls to new lines.
    pub(crate) follow: bool,
    /// The number of the current line while `follow` is off.
    cursor: i64,
    /// The number of the first visible line while `follow` is off, and its first visible row.
    top: (i64, usize),
    /// The first visible column of the text while lines are not wrapped.
    pub(crate) column: usize,
    pub(crate) wrap: bool,
    /// Whether lines of JSON are shown as level and message.
    pub(crate) fold: bool,
    /// The line where the selection began; it ends at the cursor.
    pub(crate) selected_from: Option<i64>,
    pub(crate) times: Times,
    pub(crate) search: Query,
    pub(crate) filter: Query,
    /// The event that is shown as a whole.
    pub(crate) event: Option<OpenEvent>,
    /// Whether to go to the line with which the bootstrap failed as soon as it comes.
    pub(crate) seeks_failure: bool,
    pub(crate) status: LogStatus,
    pub(crate) failure: Option<String>,
}

/// The state of a log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogStatus {
    Connecting,
    /// How AWS delivers the lines, such as `live tail`.
    Streaming(String),
    Ended,
}

impl LogStatus {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Connecting => "connecting",
            Self::Streaming(mode) => mode,
            Self::Ended => "ended",
        }
    }
}

impl LogView {
    pub(crate) fn new(
        record: RecordId,
        title: String,
        since: DateTime<Utc>,
        generation: u64,
        from_details: bool,
    ) -> Self {
        Self {
            record,
            title,
            file_name: "hatchery.log".to_owned(),
            since,
            generation,
            from_details,
            buffer: LogBuffer::new(CONTEXT),
            follow: true,
            cursor: 0,
            top: (0, 0),
            column: 0,
            wrap: false,
            fold: true,
            selected_from: None,
            times: Times::default(),
            search: Query::default(),
            filter: Query::default(),
            event: None,
            seeks_failure: false,
            status: LogStatus::Connecting,
            failure: None,
        }
    }

    /// Whether no line has come yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Appends the lines of events; returns whether the cursor is now on the line with which the bootstrap failed.
    pub(crate) fn push(&mut self, events: Vec<LogLine>, height: usize, width: usize) -> bool {
        let first = self.buffer.end();
        self.buffer.push(events);
        self.find_failure(first..self.buffer.end(), height, width)
    }

    /// Puts older events before all others; returns whether the cursor is now on the line with which the bootstrap failed. Else it stays on its
    /// line, and so do the selection and, unless the window had room left, the visible lines.
    pub(crate) fn push_older(
        &mut self,
        events: Vec<LogLine>,
        left_out: Option<LeftOut>,
        height: usize,
        width: usize,
    ) -> bool {
        self.settle(height, width);
        let end = self.buffer.first();
        self.buffer.push_older(events, left_out);
        self.find_failure(self.buffer.first()..end, height, width)
    }

    /// Goes to the line with which the bootstrap failed, if it is wanted and among these.
    fn find_failure(&mut self, numbers: Range<i64>, height: usize, width: usize) -> bool {
        if !self.seeks_failure {
            return false;
        }
        let failed = numbers.rev().find(|number| {
            self.buffer.get(*number).is_some_and(|entry| {
                let is_bootstrap = self.buffer.source_of(entry).is_some_and(|source| **source == *BOOTSTRAP);
                is_bootstrap && entry.text.starts_with(FAILED)
            })
        });
        let Some(number) = failed else { return false };
        self.seeks_failure = false;
        self.go_to(number, height, width);
        true
    }

    /// Returns the time of the last event, or the start of the log if there is none.
    pub(crate) fn latest(&self) -> DateTime<Utc> {
        let is_event = |entry: &&LogEntry| entry.kind != EntryKind::Remark;
        self.buffer.entries().rev().find(is_event).map_or(self.since, |entry| entry.at)
    }

    /// Returns the width of the columns before the text: time and source, or only the time if `width` is below 60.
    pub(crate) fn gutter(&self, width: usize) -> usize {
        if width >= 60 { TIME_WIDTH + self.buffer.source_width() + 1 } else { TIME_WIDTH }
    }

    /// Returns the width of the column of sources, if a gutter has one.
    pub(crate) fn source_column(&self, gutter: usize) -> Option<usize> {
        (gutter > TIME_WIDTH).then(|| self.buffer.source_width())
    }

    /// Returns the columns for the text of a line. A remark has no columns before it.
    pub(crate) fn columns(&self, entry: &LogEntry, width: usize) -> usize {
        let gutter = if entry.kind == EntryKind::Remark { 0 } else { self.gutter(width) };
        width.saturating_sub(gutter).max(1)
    }

    /// Applies the filter that is typed, with some lines more or fewer of context.
    pub(crate) fn update_filter(&mut self, more_context: isize) {
        let context = self.buffer.context().saturating_add_signed(more_context).min(MAX_CONTEXT);
        let needle = self.filter.text().to_owned();
        self.buffer.set_filter(&needle, context);
    }

    /// Applies the search that is typed.
    pub(crate) fn update_search(&mut self) {
        let needle = self.search.text().to_owned();
        self.buffer.set_search(&needle);
    }
}

#[cfg(test)]
mod tests;
