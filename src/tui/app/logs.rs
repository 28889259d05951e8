//! The log of one environment: a ring bounded in bytes, a place in it that stays where it is while lines come and go,
//! and a search that hides nothing.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::form::edit;
use super::rows::Filter;
use super::{Model, Screen};
use crate::cloud::{LogItem, LogLine};
use crate::domain::RecordId;
use crate::failure::Failure;
use crate::tui::action::Action;
use crate::tui::text;

/// The most bytes of text that a log keeps.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 96;

/// The log of one environment.
#[derive(Debug, Clone)]
pub struct LogView {
    /// The record of the environment.
    pub record: RecordId,
    /// Its name and id.
    pub title: String,
    /// Lines from before this are not read.
    pub since: DateTime<Utc>,
    /// Which stream fills it; what an older one still sends is dropped.
    pub generation: u64,
    /// Whether it was opened from the details.
    pub from_details: bool,
    /// The lines.
    pub lines: VecDeque<Line>,
    /// How many lines had to go.
    pub dropped: u64,
    /// Whether the end stays in sight.
    pub follow: bool,
    /// The number of the first line in sight, while the end is not followed.
    pub top: u64,
    /// Whether long lines are wrapped.
    pub wrap: bool,
    /// Only this source is shown.
    pub source: Option<String>,
    /// Every source that was seen.
    pub sources: BTreeSet<String>,
    /// The search.
    pub search: Filter,
    /// How many lines match.
    pub hits: usize,
    /// The match that was gone to.
    pub current: Option<u64>,
    /// How the lines come.
    pub mode: String,
    /// Why they do not come any more.
    pub failure: Option<String>,
    bytes: usize,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// The line as it came.
    pub line: LogLine,
    /// Whether the search matches it.
    pub hit: bool,
}

impl LogView {
    /// An empty log.
    #[must_use]
    pub fn new(
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
            search: Filter::default(),
            hits: 0,
            current: None,
            mode: "connecting".to_owned(),
            failure: None,
            bytes: 0,
        }
    }

    /// Whether a line is shown.
    #[must_use]
    pub fn shows(&self, line: &Line) -> bool {
        self.source.as_ref().is_none_or(|source| *source == line.line.source)
    }

    /// Adds lines; the oldest go where there is no more room.
    pub fn push(&mut self, lines: Vec<LogLine>) {
        for mut line in lines {
            line.text = crate::domain::text::sanitize(&line.text);
            line.source = crate::domain::text::sanitize(&line.source);
            let number = self.dropped + self.lines.len() as u64;
            let hit = !self.search.text().is_empty() && text::contains(&line.text, self.search.text());
            self.hits += usize::from(hit);
            self.bytes += cost(&line);
            if !self.sources.contains(&line.source) {
                self.sources.insert(line.source.clone());
            }
            self.lines.push_back(Line { number, line, hit });
        }
        while self.bytes > MAX_BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= cost(&gone.line);
            self.hits -= usize::from(gone.hit);
            self.dropped += 1;
        }
        self.top = self.top.max(self.dropped);
    }

    /// Marks again what the search matches.
    pub fn mark(&mut self) {
        let needle = self.search.text().to_owned();
        self.hits = 0;
        for line in &mut self.lines {
            line.hit = !needle.is_empty() && text::contains(&line.line.text, &needle);
            self.hits += usize::from(line.hit);
        }
        self.current = None;
    }

    /// How many columns the text of a line begins at.
    #[must_use]
    pub fn gutter(&self, width: usize) -> usize {
        // Time, source and text; the source goes first where it is narrow.
        if width >= 60 { 9 + self.source_width() + 1 } else { 9 }
    }

    /// How wide the column of sources is.
    #[must_use]
    pub fn source_width(&self) -> usize {
        self.sources.iter().map(|source| text::width(source)).max().unwrap_or(0).clamp(6, 16)
    }

    fn height_of(&self, line: &Line, width: usize) -> usize {
        if !self.wrap {
            return 1;
        }
        let columns = width.saturating_sub(self.gutter(width)).max(1);
        text::wrap(&line.line.text, columns).len()
    }

    /// The number of the first line in sight in a window of this size.
    #[must_use]
    pub fn first_in_sight(&self, height: usize, width: usize) -> u64 {
        let last = self.last_top(height, width);
        if self.follow { last } else { self.top.min(last) }
    }

    /// The number of the first line in sight when the last one is at the bottom.
    fn last_top(&self, height: usize, width: usize) -> u64 {
        let mut room = height;
        let mut top = self.dropped + self.lines.len() as u64;
        for line in self.lines.iter().rev().filter(|line| self.shows(line)) {
            let needed = self.height_of(line, width);
            if needed > room {
                break;
            }
            room -= needed;
            top = line.number;
        }
        // A line that is higher than the window is shown from its beginning.
        top.min((self.dropped + self.lines.len() as u64).saturating_sub(1)).max(self.dropped)
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number.saturating_sub(self.dropped)).unwrap_or(usize::MAX).min(self.lines.len())
    }

    fn scroll(&mut self, by: isize, height: usize, width: usize) {
        let at = self.index(self.first_in_sight(height, width));
        let steps = by.unsigned_abs();
        let target = if by < 0 {
            let above = self.lines.iter().take(at).rev().filter(|line| self.shows(line));
            above.take(steps).last().map(|line| line.number)
        } else {
            let below = self.lines.iter().skip(at + 1).filter(|line| self.shows(line));
            below.take(steps).last().map(|line| line.number)
        };
        let last = self.last_top(height, width);
        match target {
            Some(target) if by > 0 && target >= last => self.follow = true,
            Some(target) => (self.top, self.follow) = (target, false),
            None if by > 0 => self.follow = true,
            None => {}
        }
    }

    fn seek(&mut self, forwards: bool, height: usize, width: usize) {
        let from = self.current.unwrap_or_else(|| self.first_in_sight(height, width));
        let fresh = self.current.is_none();
        let found = |line: &&Line| line.hit && self.shows(line);
        let next = if forwards {
            let after = self.lines.iter().filter(|line| line.number > from || (fresh && line.number == from));
            after.clone().find(found).or_else(|| self.lines.iter().find(found))
        } else {
            let before = self.lines.iter().rev().filter(|line| line.number < from);
            before.clone().find(found).or_else(|| self.lines.iter().rev().find(found))
        };
        let Some(number) = next.map(|line| line.number) else { return };
        self.current = Some(number);
        let top = self.first_in_sight(height, width);
        // Wrapped lines take more rows than one, so there the line is brought up in any case.
        if self.wrap || number < top || number >= top + height as u64 {
            // A third from the top, with what led to it in sight.
            let above = self.lines.iter().take(self.index(number)).rev().filter(|line| self.shows(line));
            self.top = above.take(height / 3).last().map_or(number, |line| line.number);
        } else {
            self.top = top;
        }
        self.follow = false;
    }
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + line.source.len() + line.id.len() + LINE_OVERHEAD
}

fn view(model: &mut Model) -> Option<&mut LogView> {
    match &mut model.screen {
        Screen::Logs(view) => Some(view),
        _ => None,
    }
}

pub(super) fn receive(model: &mut Model, generation: u64, item: Result<LogItem, Failure>) {
    let Some(view) = view(model).filter(|view| view.generation == generation) else { return };
    match item {
        Ok(LogItem::Lines(lines)) => view.push(lines),
        Ok(LogItem::Mode(mode)) => {
            view.mode = crate::domain::text::sanitize(&mode);
            view.failure = None;
        }
        Err(failure) => view.failure = Some(crate::domain::text::sanitize(&failure.sentence())),
    }
}

pub(super) fn ended(model: &mut Model, generation: u64) {
    if let Some(view) = view(model).filter(|view| view.generation == generation) {
        "ended".clone_into(&mut view.mode);
    }
}

pub(super) fn scroll(model: &mut Model, by: isize) {
    let (height, width) = model.page_size();
    if let Some(view) = view(model) {
        view.scroll(by, height, width);
    }
}

pub(super) fn act(model: &mut Model, action: Action) {
    let (height, width) = model.page_size();
    let Some(view) = view(model) else { return };
    match action {
        Action::Follow => {
            view.top = view.first_in_sight(height, width);
            view.follow = !view.follow;
        }
        Action::Wrap => view.wrap = !view.wrap,
        Action::Source => {
            view.source = match &view.source {
                None => view.sources.first().cloned(),
                Some(now) => view.sources.iter().find(|source| *source > now).cloned(),
            };
        }
        Action::Search => {
            view.search.editing = true;
            view.search.input = Input::default();
            view.mark();
        }
        Action::NextMatch | Action::PreviousMatch => view.seek(action == Action::NextMatch, height, width),
        _ => {}
    }
}

pub(super) fn search_key(model: &mut Model, event: KeyEvent) {
    let (height, width) = model.page_size();
    let Some(view) = view(model) else { return };
    match event.code {
        KeyCode::Enter => {
            view.search.editing = false;
            view.seek(true, height, width);
        }
        KeyCode::Esc => {
            view.search = Filter::default();
            view.mark();
        }
        _ => {
            edit(&mut view.search.input, event);
            view.mark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, source: &str, text: &str) -> LogLine {
        LogLine {
            id: String::new(),
            at: DateTime::from_timestamp(at, 0).unwrap(),
            source: source.to_owned(),
            text: text.to_owned(),
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
    fn memory_is_bounded_whatever_comes() {
        let mut view = log(0);
        for n in 0..300 {
            view.push(vec![line(n, "a", &"x".repeat(90_000)); 10]);
            assert!(view.bytes <= MAX_BYTES);
        }
        assert!(view.dropped > 0);
        assert_eq!(view.dropped + view.lines.len() as u64, 3_000);
        let total: usize = view.lines.iter().map(|line| line.line.text.len()).sum();
        assert!(total <= MAX_BYTES);
    }

    #[test]
    fn what_is_read_stays_while_lines_come() {
        let mut view = log(100);
        assert_eq!(view.first_in_sight(10, 80), 90);
        view.scroll(-5, 10, 80);
        assert_eq!((view.first_in_sight(10, 80), view.follow), (85, false));
        view.push(vec![line(1, "a", "more"); 50]);
        assert_eq!(view.first_in_sight(10, 80), 85);
        view.scroll(1_000, 10, 80);
        assert!(view.follow);
        assert_eq!(view.first_in_sight(10, 80), 140);
        view.scroll(-1_000, 10, 80);
        assert_eq!(view.first_in_sight(10, 80), 0);
    }

    #[test]
    fn a_source_is_followed_alone() {
        let mut view = log(100);
        view.source = Some("b".to_owned());
        assert_eq!(view.first_in_sight(10, 80), 81);
        view.scroll(-1, 10, 80);
        assert_eq!(view.first_in_sight(10, 80), 79);
    }

    #[test]
    fn the_search_goes_round_and_hides_nothing() {
        let mut view = log(100);
        view.search.input = Input::new("LINE 4".to_owned());
        view.mark();
        assert_eq!(view.hits, 11);
        view.follow = false;
        view.seek(true, 10, 80);
        assert_eq!(view.current, Some(4));
        view.seek(false, 10, 80);
        assert_eq!(view.current, Some(49));
        view.seek(true, 10, 80);
        assert_eq!(view.current, Some(4));
    }
}
