//! The log of one environment: a buffer bounded in bytes, a scroll position that stays on its lines while others come and
//! go, and a search that hides nothing.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::form::Query;
use crate::cloud::LogLine;
use crate::domain::RecordId;
use crate::tui::text;

/// The size of the buffer, in bytes by its `memory`.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The memory of a line beside its text, in bytes: two strings, the time and the number, rounded up.
const LINE_OVERHEAD: usize = 96;

/// The width of the terminal from which the title explains how lines are delivered.
pub(crate) const EXPLAINED_WIDTH: u16 = 90;

/// The columns of the time with a space.
const TIME_WIDTH: usize = 9;

/// The log of one environment.
#[derive(Debug, Clone)]
pub struct LogView {
    pub(crate) record: RecordId,
    /// The environment's name and id.
    pub(crate) title: String,
    /// The start of the requested time range.
    pub(crate) since: DateTime<Utc>,
    /// Identifies the stream; items of older streams are dropped.
    pub(crate) generation: u64,
    /// Whether to go back to the details.
    pub(crate) from_details: bool,
    /// The buffered lines, oldest first.
    pub lines: VecDeque<LogEntry>,
    /// The number of lines that were dropped from the buffer.
    pub(crate) dropped: u64,
    /// Whether the view scrolls to new lines.
    pub(crate) follow: bool,
    /// The number of the first visible line while `follow` is off.
    top: u64,
    pub(crate) wrap: bool,
    /// Hides the lines of all other sources.
    pub(crate) source: Option<String>,
    pub(crate) sources: BTreeSet<String>,
    pub(crate) search: Query,
    /// The number of buffered lines that match the search.
    pub(crate) match_count: usize,
    /// The number of the line that the last search went to.
    pub(crate) current_match: Option<u64>,
    pub(crate) status: LogStatus,
    pub(crate) failure: Option<String>,
    bytes: usize,
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

/// A line of an event of the log, or a remark about the log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Counts the lines of this view from 0, dropped ones included.
    pub(crate) number: u64,
    pub(crate) kind: EntryKind,
    /// Sanitised, as the source.
    pub(crate) text: String,
    pub(crate) is_match: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum EntryKind {
    /// The first line of an event.
    First { at: DateTime<Utc>, source: String },
    /// Another line of the event.
    Next { source: String },
    /// What the log leaves out here.
    Remark,
}

impl LogEntry {
    /// Returns the source of a line, or `None` for a remark.
    pub(crate) fn source(&self) -> Option<&str> {
        match &self.kind {
            EntryKind::First { source, .. } | EntryKind::Next { source } => Some(source),
            EntryKind::Remark => None,
        }
    }

    /// Returns the approximate memory in bytes.
    fn memory(&self) -> usize {
        self.text.len() + self.source().map_or(0, str::len) + LINE_OVERHEAD
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
            since,
            generation,
            from_details,
            lines: VecDeque::new(),
            dropped: 0,
            follow: true,
            top: 0,
            wrap: false,
            source: None,
            sources: BTreeSet::new(),
            search: Query::default(),
            match_count: 0,
            current_match: None,
            status: LogStatus::Connecting,
            failure: None,
            bytes: 0,
        }
    }

    /// Whether the line's source is shown. Remarks are about all sources.
    pub(crate) fn is_visible(&self, entry: &LogEntry) -> bool {
        let wanted = self.source.as_deref();
        wanted.is_none() || entry.source().is_none_or(|source| wanted == Some(source))
    }

    /// Appends the lines of events; drops the oldest ones if the buffer is full.
    pub(crate) fn push(&mut self, events: Vec<LogLine>) {
        for event in events {
            let source = event.source.to_string();
            if !self.sources.contains(&source) {
                self.sources.insert(source.clone());
            }
            let first = EntryKind::First { at: event.at, source: source.clone() };
            let kinds = std::iter::once(first)
                .chain(std::iter::repeat_with(|| EntryKind::Next { source: source.clone() }));
            for (kind, text) in kinds.zip(event.text.lines()) {
                self.push_entry(kind, text);
            }
        }
    }

    /// Appends a remark about what the log leaves out.
    pub(crate) fn remark(&mut self, text: String) {
        self.push_entry(EntryKind::Remark, text);
    }

    fn push_entry(&mut self, kind: EntryKind, text: String) {
        let needle = self.search.text();
        let is_match = !needle.is_empty() && text::contains(&text, needle);
        let entry = LogEntry { number: self.end(), kind, text, is_match };
        self.match_count += usize::from(is_match);
        self.bytes += entry.memory();
        self.lines.push_back(entry);
        while self.bytes > MAX_BYTES {
            let Some(entry) = self.lines.pop_front() else { break };
            self.bytes -= entry.memory();
            self.match_count -= usize::from(entry.is_match);
            self.dropped += 1;
        }
        self.top = self.top.max(self.dropped);
    }

    /// Matches all lines against the search again.
    pub(crate) fn update_matches(&mut self) {
        let needle = self.search.text().to_owned();
        self.match_count = 0;
        for entry in &mut self.lines {
            entry.is_match = !needle.is_empty() && text::contains(&entry.text, &needle);
            self.match_count += usize::from(entry.is_match);
        }
        self.current_match = None;
    }

    /// Shows the first source alone, then the next one, and all of them after the last.
    pub(crate) fn next_source(&mut self) {
        self.source = match &self.source {
            None => self.sources.first().cloned(),
            Some(current) => self.sources.iter().find(|source| *source > current).cloned(),
        };
    }

    /// Switches between following the end and staying at the current lines.
    pub(crate) fn toggle_follow(&mut self, height: usize, width: usize) {
        self.top = self.first_visible(height, width);
        self.follow = !self.follow;
    }

    /// Returns the width of the columns before the text: time and source, or only the time if `width` is below 60.
    pub(crate) fn gutter(&self, width: usize) -> usize {
        if width >= 60 { TIME_WIDTH + self.source_width() + 1 } else { TIME_WIDTH }
    }

    /// Returns the width of the column of sources, if a gutter has one.
    pub(crate) fn source_column(&self, gutter: usize) -> Option<usize> {
        (gutter > TIME_WIDTH).then(|| self.source_width())
    }

    fn source_width(&self) -> usize {
        self.sources.iter().map(|source| text::width(source)).max().unwrap_or(0).clamp(6, 16)
    }

    /// Returns the time of the last event, or the start of the log if there is none.
    pub(crate) fn latest(&self) -> DateTime<Utc> {
        let time = |entry: &LogEntry| match entry.kind {
            EntryKind::First { at, .. } => Some(at),
            _ => None,
        };
        self.lines.iter().rev().find_map(time).unwrap_or(self.since)
    }

    /// Returns the number of the next line.
    fn end(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    fn height_of(&self, entry: &LogEntry, width: usize) -> usize {
        if !self.wrap {
            return 1;
        }
        let columns = width.saturating_sub(self.gutter(width)).max(1);
        text::chunks(&entry.text, columns).len()
    }

    /// Returns the visible lines of a window, from its top on.
    pub(crate) fn window(&self, height: usize, width: usize) -> impl Iterator<Item = &LogEntry> {
        let first = self.index(self.first_visible(height, width));
        self.lines.iter().skip(first).filter(|entry| self.is_visible(entry))
    }

    /// Returns the number of the first visible line of a window.
    fn first_visible(&self, height: usize, width: usize) -> u64 {
        let last = self.first_visible_at_end(height, width);
        if self.follow { last } else { self.top.min(last) }
    }

    /// Returns the number of the first visible line when the window is scrolled to the end.
    fn first_visible_at_end(&self, height: usize, width: usize) -> u64 {
        let mut room = height;
        let mut top = self.end();
        for entry in self.lines.iter().rev().filter(|entry| self.is_visible(entry)) {
            let needed = self.height_of(entry, width);
            if needed > room {
                break;
            }
            room -= needed;
            top = entry.number;
        }
        // A last line that is higher than the window is shown from its beginning.
        top.min(self.end().saturating_sub(1)).max(self.dropped)
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number.saturating_sub(self.dropped)).unwrap_or(usize::MAX).min(self.lines.len())
    }

    /// Scrolls by a number of visible lines. Scrolling to the end turns `follow` on.
    pub(crate) fn scroll(&mut self, by: isize, height: usize, width: usize) {
        let at = self.index(self.first_visible(height, width));
        let steps = by.unsigned_abs();
        let target = if by < 0 {
            let above = self.lines.iter().take(at).rev().filter(|entry| self.is_visible(entry));
            above.take(steps).last().map(|entry| entry.number)
        } else {
            let below = self.lines.iter().skip(at + 1).filter(|entry| self.is_visible(entry));
            below.take(steps).last().map(|entry| entry.number)
        };
        let end = self.first_visible_at_end(height, width);
        match target {
            Some(target) if by > 0 && target >= end => self.follow = true,
            Some(target) => (self.top, self.follow) = (target, false),
            None if by > 0 => self.follow = true,
            None => {}
        }
    }

    /// Scrolls to the next or previous match, and from the last to the first and back. The search starts at the last
    /// match, or at the first visible line if there was none.
    pub(crate) fn go_to_match(&mut self, forwards: bool, height: usize, width: usize) {
        let from = self.current_match.unwrap_or_else(|| self.first_visible(height, width));
        let is_first = self.current_match.is_none();
        let found = |entry: &&LogEntry| entry.is_match && self.is_visible(entry);
        let next = if forwards {
            let after =
                self.lines.iter().filter(|entry| entry.number > from || (is_first && entry.number == from));
            after.clone().find(found).or_else(|| self.lines.iter().find(found))
        } else {
            let before = self.lines.iter().rev().filter(|entry| entry.number < from);
            before.clone().find(found).or_else(|| self.lines.iter().rev().find(found))
        };
        let Some(number) = next.map(|entry| entry.number) else { return };
        self.current_match = Some(number);
        let top = self.first_visible(height, width);
        // The height of wrapped lines varies, so whether the match is visible is not computed for them.
        if self.wrap || number < top || number >= top + height as u64 {
            // A third of the window shows the lines before the match.
            let above =
                self.lines.iter().take(self.index(number)).rev().filter(|entry| self.is_visible(entry));
            self.top = above.take(height / 3).last().map_or(number, |entry| entry.number);
        } else {
            self.top = top;
        }
        self.follow = false;
    }
}

#[cfg(test)]
mod tests {
    use tui_input::Input;

    use super::*;

    fn line(at: i64, source: &str, text: &str) -> LogLine {
        LogLine {
            id: String::new(),
            at: DateTime::from_timestamp(at, 0).unwrap(),
            source: source.into(),
            text: text.into(),
        }
    }

    fn log(count: i64) -> LogView {
        let mut view = LogView::new(RecordId::new("lt-1"), String::new(), DateTime::UNIX_EPOCH, 1, false);
        view.push(
            (0..count).map(|n| line(n, if n % 2 == 0 { "a" } else { "b" }, &format!("line {n}"))).collect(),
        );
        view
    }

    #[test]
    fn push_bounds_the_memory() {
        let mut view = log(0);
        for n in 0..300 {
            view.push(vec![line(n, "a", &"x\n".repeat(200)); 10]);
            assert!(view.bytes <= MAX_BYTES);
        }
        assert!(view.dropped > 0);
        assert_eq!(view.dropped + view.lines.len() as u64, 600_000);
        let total: usize = view.lines.iter().map(|entry| entry.text.len()).sum();
        assert!(total <= MAX_BYTES);
    }

    #[test]
    fn event_has_its_lines_and_is_searched_in_them() {
        let mut view = log(0);
        view.search.input = Input::new("A.java".to_owned());
        view.push(vec![line(1, "app", "java.lang.Error: boom\n\tat A.b(A.java:1)\n\tat C.d(C.java:2)")]);
        view.remark("5 older lines left out".to_owned());
        view.push(vec![line(2, "other", "fine")]);
        let texts: Vec<_> = view.window(10, 80).map(|entry| entry.text.as_str()).collect();
        let error = ["java.lang.Error: boom", "    at A.b(A.java:1)", "    at C.d(C.java:2)"];
        assert_eq!(texts, [&error[..], &["5 older lines left out", "fine"]].concat());
        assert_eq!((view.match_count, view.lines[1].is_match), (1, true));
        view.source = Some("app".to_owned());
        assert_eq!(view.window(10, 80).count(), 4);
    }

    #[test]
    fn push_keeps_the_scroll_position() {
        let mut view = log(100);
        assert_eq!(view.first_visible(10, 80), 90);
        view.scroll(-5, 10, 80);
        assert_eq!((view.first_visible(10, 80), view.follow), (85, false));
        view.push(vec![line(1, "a", "more"); 50]);
        assert_eq!(view.first_visible(10, 80), 85);
        view.scroll(1_000, 10, 80);
        assert!(view.follow);
        assert_eq!(view.first_visible(10, 80), 140);
        view.scroll(-1_000, 10, 80);
        assert_eq!(view.first_visible(10, 80), 0);
    }

    #[test]
    fn source_hides_the_other_sources() {
        let mut view = log(100);
        view.source = Some("b".to_owned());
        assert_eq!(view.first_visible(10, 80), 81);
        view.scroll(-1, 10, 80);
        assert_eq!(view.first_visible(10, 80), 79);
    }

    #[test]
    fn go_to_match_wraps_around() {
        let mut view = log(100);
        view.search.input = Input::new("LINE 4".to_owned());
        view.update_matches();
        assert_eq!(view.match_count, 11);
        view.follow = false;
        view.go_to_match(true, 10, 80);
        assert_eq!(view.current_match, Some(4));
        view.go_to_match(false, 10, 80);
        assert_eq!(view.current_match, Some(49));
        view.go_to_match(true, 10, 80);
        assert_eq!(view.current_match, Some(4));
    }
}
