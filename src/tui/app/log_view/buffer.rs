//! The lines of a log: a ring bounded in bytes, with the numbers of the lines that are shown and of those that match the search.
//!
//! A line is found by its number, which counts the lines of a log from the first one that came, 0, or by its position among the shown ones. Older
//! lines that came later have negative numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::entry::{EntryKind, Level, LogEntry};
use crate::cloud::{LeftOut, LogLine};
use crate::domain::format::format_lines;
use crate::tui::text::{self, Needle};

/// The size of the buffer, in bytes.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The longest remark, in bytes.
const MAX_REMARK: usize = 100;

/// The maximum number of sources; further ones share the name of the last.
const MAX_SOURCES: usize = 1_000;

/// The memory of a source beside its name, in bytes, rounded up.
const SOURCE_OVERHEAD: usize = 256;

/// The narrowest and widest column of sources.
const SOURCE_WIDTHS: (usize, usize) = (6, 16);

#[derive(Debug, Clone)]
pub(crate) struct LogBuffer {
    entries: VecDeque<LogEntry>,
    /// The number of the first line.
    first: i64,
    /// The number of lines that were dropped because the buffer is full.
    dropped: usize,
    /// Whether older lines have been left out, so that no others can be put before the first line.
    is_cut: bool,
    bytes: usize,
    max_bytes: usize,
    /// The names of the sources, sanitised, in the order in which they came.
    sources: Vec<Arc<str>>,
    /// The sources by their names as they came.
    by_name: BTreeMap<String, u16>,
    source_width: usize,
    /// The sources that are shown; `None`: all.
    only: Option<BTreeSet<Arc<str>>>,
    filter: Needle,
    /// The number of lines that are shown before and after those that the filter matches.
    context: usize,
    search: Needle,
    /// The numbers of the shown lines; `None`: all.
    shown: Option<VecDeque<i64>>,
    /// The numbers of the shown lines that match the search.
    matches: VecDeque<i64>,
    /// The last lines that the filter hides and that are context if the next one matches.
    before: VecDeque<i64>,
    /// The number of next lines that are context of the last match.
    after: usize,
}

impl LogBuffer {
    /// Returns an empty buffer of [`MAX_BYTES`]. A filter has `context` lines before and after each match at first.
    pub(crate) fn new(context: usize) -> Self {
        Self::bounded(context, MAX_BYTES)
    }

    pub(crate) fn bounded(context: usize, max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            dropped: 0,
            is_cut: false,
            bytes: 0,
            max_bytes,
            sources: Vec::new(),
            by_name: BTreeMap::new(),
            source_width: SOURCE_WIDTHS.0,
            only: None,
            filter: Needle::default(),
            context,
            search: Needle::default(),
            shown: None,
            matches: VecDeque::new(),
            before: VecDeque::new(),
            after: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of lines that were dropped because the buffer is full.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Returns the number of the first line.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Returns the number of the next line.
    pub(crate) fn end(&self) -> i64 {
        self.first.saturating_add_unsigned(self.entries.len() as u64)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory of the places for lines and numbers, used or not.
    #[cfg(test)]
    pub(crate) fn capacity_in_bytes(&self) -> usize {
        let numbers = self.matches.capacity() + self.shown.as_ref().map_or(0, VecDeque::capacity);
        self.entries.capacity() * size_of::<LogEntry>() + numbers * size_of::<i64>()
    }

    /// Returns the line with a number.
    pub(crate) fn get(&self, number: i64) -> Option<&LogEntry> {
        self.entries.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Iterates over all lines, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.entries.iter()
    }
}

/// New lines.
impl LogBuffer {
    /// Appends the lines of events; drops the oldest ones if the buffer is full.
    pub(crate) fn push(&mut self, events: Vec<LogLine>) {
        for event in events {
            for entry in self.entries_of(&event) {
                self.push_entry(entry);
            }
        }
    }

    /// Puts older events before all others, as many of the newest ones as there is room for, and then a remark about what is left out there.
    pub(crate) fn push_older(&mut self, mut events: Vec<LogLine>, left_out: Option<LeftOut>) {
        if self.is_cut || self.dropped > 0 {
            return;
        }
        let end = self.first;
        let mut left_out = left_out.map(|left_out| left_out.to_string());
        while let Some(event) = events.pop() {
            let entries = self.entries_of(&event);
            let needed: usize = entries.iter().map(LogEntry::memory).sum();
            // A remark has room too.
            if self.bytes + needed + LogEntry::OVERHEAD + MAX_REMARK > self.max_bytes {
                left_out = Some("older lines left out, because there are too many".to_owned());
                break;
            }
            for entry in entries.into_iter().rev() {
                self.push_first(entry);
            }
        }
        if let Some(left_out) = left_out {
            self.is_cut = true;
            let at = self.entries.front().map_or(DateTime::UNIX_EPOCH, |entry| entry.at);
            self.push_first(LogEntry::new(EntryKind::Remark, at, 0, &format!("… {left_out}")));
        }
        self.admit_older(end);
    }

    fn push_first(&mut self, entry: LogEntry) {
        self.bytes += entry.memory();
        self.first -= 1;
        self.entries.push_front(entry);
    }

    /// Returns the lines of an event.
    fn entries_of(&mut self, event: &LogLine) -> Vec<LogEntry> {
        let source = self.source_index(event.source.raw(), || event.source.to_string());
        let mut entries = Vec::with_capacity(1);
        let mut lines = format_lines(&event.text).peekable();
        let mut kind = EntryKind::First;
        let mut level = None;
        while let Some((text, is_cut)) = lines.next() {
            let mut entry = LogEntry::new(kind, event.at, source, &text);
            if kind == EntryKind::First && lines.peek().is_none() {
                entry.fold_json(event.text.raw(), is_cut);
            }
            // The lines of a stack trace have the level of the first one.
            level = entry.level.or(level).or_else(|| Level::of_line(&text));
            entry.level = level;
            entries.push(entry);
            kind = EntryKind::Next;
        }
        entries
    }

    /// Appends a remark about what the log leaves out.
    pub(crate) fn remark(&mut self, text: &str) {
        let at = self.entries.back().map_or(DateTime::UNIX_EPOCH, |entry| entry.at);
        self.push_entry(LogEntry::new(EntryKind::Remark, at, 0, text));
    }

    fn push_entry(&mut self, entry: LogEntry) {
        let number = self.end();
        self.bytes += entry.memory();
        self.entries.push_back(entry);
        self.admit(number);
        while self.bytes > self.max_bytes {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.memory();
            let number = self.first;
            self.first += 1;
            self.dropped += 1;
            for numbers in [&mut self.matches, &mut self.before].into_iter().chain(&mut self.shown) {
                if numbers.front() == Some(&number) {
                    numbers.pop_front();
                }
            }
        }
    }

    fn source_index(&mut self, raw: &str, name: impl FnOnce() -> String) -> u16 {
        if let Some(index) = self.by_name.get(raw) {
            return *index;
        }
        let last = self.sources.len().saturating_sub(1);
        if self.sources.len() >= MAX_SOURCES {
            return u16::try_from(last).unwrap_or(u16::MAX);
        }
        let name = name();
        self.bytes += SOURCE_OVERHEAD + raw.len() + name.len();
        self.source_width = self.source_width.max(text::width(&name)).min(SOURCE_WIDTHS.1);
        let index = u16::try_from(self.sources.len()).unwrap_or(u16::MAX);
        self.sources.push(name.into());
        self.by_name.insert(raw.to_owned(), index);
        index
    }
}

/// Sources.
impl LogBuffer {
    /// Returns the source of a line, or `None` for a remark.
    pub(crate) fn source_of(&self, entry: &LogEntry) -> Option<&Arc<str>> {
        (entry.kind != EntryKind::Remark).then(|| self.sources.get(usize::from(entry.source)))?
    }

    /// Returns the names of the sources in the order in which they came, which is that of their colours.
    pub(crate) fn sources(&self) -> &[Arc<str>] {
        &self.sources
    }

    pub(crate) fn source_width(&self) -> usize {
        self.source_width
    }

    pub(crate) fn only(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.only.as_ref()
    }

    /// Shows the lines of these sources, or of all. Remarks are about all sources.
    pub(crate) fn show_only(&mut self, only: Option<BTreeSet<Arc<str>>>) {
        self.only = only;
        self.rebuild();
    }

    fn is_of_shown_source(&self, entry: &LogEntry) -> bool {
        let source = self.source_of(entry);
        self.only.as_ref().is_none_or(|only| source.is_none_or(|source| only.contains(source)))
    }
}

/// Filter and search.
impl LogBuffer {
    pub(crate) fn filter(&self) -> &Needle {
        &self.filter
    }

    pub(crate) fn context(&self) -> usize {
        self.context
    }

    /// Shows the lines with a text and `context` lines before and after each; an empty text shows all.
    pub(crate) fn set_filter(&mut self, needle: &str, context: usize) {
        if self.filter.as_str() == needle && (self.context == context || needle.is_empty()) {
            self.context = context;
            return;
        }
        (self.filter, self.context) = (Needle::new(needle), context);
        self.rebuild();
    }

    pub(crate) fn search(&self) -> &Needle {
        &self.search
    }

    pub(crate) fn set_search(&mut self, needle: &str) {
        let next = Needle::new(needle);
        if !self.search.is_empty() && next.implies(&self.search) {
            let (entries, first) = (&self.entries, self.first);
            self.matches.retain(|number| {
                let index = usize::try_from(number - first).unwrap_or(usize::MAX);
                entries.get(index).is_some_and(|entry| next.is_in(&entry.text))
            });
            self.search = next;
            return;
        }
        self.search = next;
        self.matches.clear();
        if self.search.is_empty() {
            return;
        }
        for position in 0..self.shown_count() {
            let number = self.number_at(position);
            if self.get(number).is_some_and(|entry| self.search.is_in(&entry.text)) {
                self.matches.push_back(number);
            }
        }
    }

    pub(crate) fn match_count(&self) -> usize {
        self.matches.len()
    }

    /// Returns the index among the matches of the first one at or after a line.
    pub(crate) fn match_index(&self, number: i64) -> usize {
        self.matches.partition_point(|other| *other < number)
    }

    pub(crate) fn match_at(&self, index: usize) -> Option<i64> {
        self.matches.get(index).copied()
    }

    /// Decides anew which lines are shown.
    fn rebuild(&mut self) {
        self.shown = (self.only.is_some() || !self.filter.is_empty()).then(VecDeque::new);
        self.matches.clear();
        self.before.clear();
        self.after = 0;
        for number in self.first..self.end() {
            self.admit(number);
        }
    }

    /// Decides which lines before `end` are shown, which are new there, and which ones after it are their context, or have context among them.
    fn admit_older(&mut self, end: i64) {
        let known = (self.shown.take(), std::mem::take(&mut self.matches), std::mem::take(&mut self.before));
        let known_after = std::mem::replace(&mut self.after, 0);
        self.shown = known.0.is_some().then(VecDeque::new);
        for number in self.first..end {
            self.admit(number);
        }
        // From the first match on, or once as many lines as the context are hidden, all is as it was decided.
        let (mut next, mut hidden) = (end, 0);
        let mut is_settled = self.shown.is_none() || self.context == 0;
        while !is_settled && next < self.end() {
            self.admit(next);
            let entry = self.get(next).filter(|entry| entry.kind != EntryKind::Remark);
            let is_match =
                entry.is_some_and(|entry| self.is_of_shown_source(entry) && self.is_filtered_for(entry));
            hidden += usize::from(self.before.back() == Some(&next));
            is_settled = is_match || hidden == self.context;
            next += 1;
            if is_settled && !is_match {
                next = self.before.front().copied().unwrap_or(next);
            }
        }
        for numbers in std::iter::once(&mut self.matches).chain(&mut self.shown) {
            numbers.truncate(numbers.partition_point(|number| *number < next));
        }
        let later = |numbers: VecDeque<i64>| numbers.into_iter().skip_while(move |number| *number < next);
        if let (Some(shown), Some(known)) = (&mut self.shown, known.0) {
            shown.extend(later(known));
        }
        self.matches.extend(later(known.1));
        if is_settled {
            (self.before, self.after) = (known.2, known_after);
        }
    }

    /// Decides whether to show the line after those that were decided, and shows the lines before it that are its context.
    fn admit(&mut self, number: i64) {
        let Some(entry) = self.get(number) else { return };
        if self.shown.is_none() || entry.kind == EntryKind::Remark {
            return self.show(number);
        }
        if !self.is_of_shown_source(entry) {
            return;
        }
        if self.filter.is_empty() || self.filter.is_in(&entry.text) {
            for number in std::mem::take(&mut self.before) {
                self.show(number);
            }
            self.show(number);
            self.after = self.context;
        } else if self.after > 0 {
            self.after -= 1;
            self.show(number);
        } else if self.context > 0 {
            if self.before.len() == self.context {
                self.before.pop_front();
            }
            self.before.push_back(number);
        }
    }

    fn show(&mut self, number: i64) {
        if let Some(shown) = &mut self.shown {
            // A remark can come between a line and its context.
            let at = shown.partition_point(|other| *other < number);
            shown.insert(at, number);
        }
        if !self.search.is_empty() && self.get(number).is_some_and(|entry| self.search.is_in(&entry.text)) {
            let at = self.match_index(number);
            self.matches.insert(at, number);
        }
    }

    /// Whether a line is there because it matches the filter, not as context; if there is no filter, always.
    pub(crate) fn is_filtered_for(&self, entry: &LogEntry) -> bool {
        self.filter.is_empty() || entry.kind == EntryKind::Remark || self.filter.is_in(&entry.text)
    }
}

/// Positions among the shown lines.
impl LogBuffer {
    /// Returns the number of shown lines.
    pub(crate) fn shown_count(&self) -> usize {
        self.shown.as_ref().map_or(self.entries.len(), VecDeque::len)
    }

    /// Returns the number of the line at a position; of the next line to come if there is none.
    pub(crate) fn number_at(&self, position: usize) -> i64 {
        match &self.shown {
            None => self.first.saturating_add_unsigned(position as u64).min(self.end()),
            Some(shown) => shown.get(position).copied().unwrap_or_else(|| self.end()),
        }
    }

    /// Returns the position of the first shown line at or after a line.
    pub(crate) fn position(&self, number: i64) -> usize {
        match &self.shown {
            None => usize::try_from(number.saturating_sub(self.first).max(0))
                .unwrap_or(usize::MAX)
                .min(self.shown_count()),
            Some(shown) => shown.partition_point(|other| *other < number),
        }
    }

    pub(crate) fn at(&self, position: usize) -> Option<&LogEntry> {
        self.get(self.number_at(position))
    }

    /// Returns the position of the first shown line with a time at or after `at`.
    pub(crate) fn position_at_time(&self, at: DateTime<Utc>) -> Option<usize> {
        (0..self.shown_count()).find(|position| {
            self.at(*position).is_some_and(|entry| entry.kind != EntryKind::Remark && entry.at >= at)
        })
    }
}
