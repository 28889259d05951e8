//! Which lines of a followed log were returned already.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use chrono::{DateTime, Utc};

use super::LogLine;

/// The maximum number of lines that are remembered, some 50 MB.
const MAX_SEEN: usize = 500_000;

/// The lines that were returned, by id. Lines of Live Tail have no id, so they are counted by time, source and text: of equal lines, as many
/// are returned as one of the ways to read them has delivered.
#[derive(Debug, Default)]
pub(super) struct SeenLines {
    /// Milliseconds since the epoch, and a hash of the id.
    ids: BTreeSet<(i64, u64)>,
    counts: BTreeMap<LineKey, Counts>,
    /// Lines before this time, in milliseconds, are not remembered.
    start: i64,
    /// The number of the Live Tail session.
    session: u32,
    hasher: RandomState,
}

/// Milliseconds since the epoch, and a hash of source and text.
type LineKey = (i64, u64);

/// How often equal lines were delivered.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    with_id: u32,
    tailed: u32,
    /// The session that `tailed` is of.
    session: u32,
    returned: u32,
}

impl SeenLines {
    /// Starts to count the lines of another Live Tail session, which can deliver those of the previous one again.
    #[cfg_attr(not(feature = "aws"), allow(dead_code))] // the simulated cloud has no sessions
    pub(super) fn start_session(&mut self) {
        self.session += 1;
    }

    /// Remembers a line, and returns whether it was not returned yet. Lines from before the time from which lines are remembered are not
    /// remembered; those of Live Tail are new, because it delivers lines when they arrive, and others are not.
    pub(super) fn is_new(&mut self, line: &LogLine) -> bool {
        let at = line.at.timestamp_millis();
        let has_id = !line.id.is_empty();
        if at < self.start {
            return !has_id;
        }
        if has_id && !self.ids.insert((at, self.hasher.hash_one(&line.id))) {
            return false;
        }
        let hash = self.hasher.hash_one((line.source.raw(), line.text.raw()));
        let counts = self.counts.entry((at, hash)).or_default();
        let delivered = if has_id {
            counts.with_id += 1;
            counts.with_id
        } else {
            if counts.session != self.session {
                (counts.session, counts.tailed) = (self.session, 0);
            }
            counts.tailed += 1;
            counts.tailed
        };
        let is_new = delivered > counts.returned;
        counts.returned = counts.returned.max(delivered);
        is_new
    }

    /// The same for a stored line from before those that were read first. No other way delivers lines from before the time from which lines are
    /// remembered.
    #[cfg_attr(not(feature = "aws"), allow(dead_code))] // the simulated cloud reads all lines at once
    pub(super) fn is_new_older(&mut self, line: &LogLine) -> bool {
        line.at.timestamp_millis() < self.start || self.is_new(line)
    }

    /// Forgets the lines before a time, and older ones if there are too many.
    pub(super) fn forget_before(&mut self, at: DateTime<Utc>) {
        self.start = self.start.max(at.timestamp_millis());
        let surplus = self.counts.len().saturating_sub(MAX_SEEN);
        if let Some((at, _)) = self.counts.keys().nth(surplus).filter(|_| surplus > 0) {
            self.start = self.start.max(*at);
        }
        self.ids = self.ids.split_off(&(self.start, 0));
        self.counts = self.counts.split_off(&(self.start, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, millis: i64, text: &str) -> LogLine {
        LogLine {
            id: id.to_owned(),
            at: DateTime::from_timestamp_millis(millis).unwrap(),
            source: "app".into(),
            text: text.into(),
        }
    }

    /// Returns the lines that are new, in order.
    fn new(seen: &mut SeenLines, lines: &[LogLine]) -> Vec<bool> {
        lines.iter().map(|line| seen.is_new(line)).collect()
    }

    #[test]
    fn equal_lines_are_counted() {
        let mut seen = SeenLines::default();
        let tailed = line("", 5, "retrying");
        assert_eq!(new(&mut seen, &[tailed.clone(), tailed.clone(), tailed.clone()]), [true; 3]);
        let stored: Vec<_> = ["1", "2", "3", "4"].iter().map(|id| line(id, 5, "retrying")).collect();
        assert_eq!(new(&mut seen, &stored), [false, false, false, true]);
        assert_eq!(new(&mut seen, &stored), [false; 4]);
        assert_eq!(new(&mut seen, &[tailed.clone(), tailed]), [false, true]);
        assert!(seen.is_new(&line("", 6, "retrying")) && seen.is_new(&line("", 5, "done")));
    }

    #[test]
    fn next_session_repeats_no_line() {
        let mut seen = SeenLines::default();
        let tailed = line("", 5, "retrying");
        assert!(seen.is_new(&tailed));
        seen.start_session();
        assert_eq!(new(&mut seen, &[line("1", 5, "retrying"), tailed.clone(), tailed]), [false, false, true]);
    }

    #[test]
    fn forgotten_lines_are_not_returned_again() {
        let mut seen = SeenLines::default();
        assert!(seen.is_new(&line("1", 5, "one")) && seen.is_new(&line("2", 9, "two")));
        seen.forget_before(DateTime::from_timestamp_millis(9).unwrap());
        assert_eq!(new(&mut seen, &[line("1", 5, "one"), line("2", 9, "two")]), [false; 2]);
        assert!(seen.is_new(&line("", 5, "late")));
    }
}
