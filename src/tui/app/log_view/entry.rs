//! A line of the log: its level, and what is shown of a line that is JSON.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::text::sanitize;
use crate::tui::text;

/// A level is searched for in this many characters from the start of a line.
const LEVEL_CHARS: usize = 64;

/// The longest JSON, in bytes, that is kept whole beside its line, which is cut.
const MAX_WHOLE_BYTES: usize = 64 * 1024;

/// The names of the fields of a JSON line, by common loggers. `@l` and `@m` are those of compact Serilog.
const LEVEL_FIELDS: [&str; 8] =
    ["level", "severity", "lvl", "levelname", "log.level", "loglevel", "@l", "priority"];
const MESSAGE_FIELDS: [&str; 6] = ["message", "msg", "@message", "@m", "event", "text"];

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

const LEVELS: [(Level, &[&str]); 4] = [
    (Level::Error, &["error", "err", "fatal", "panic", "critical", "crit", "alert", "emerg", "severe"]),
    (Level::Warning, &["warn", "warning"]),
    (Level::Info, &["info", "information", "notice"]),
    (Level::Debug, &["debug", "trace", "verbose"]),
];

/// The lengths of the names of levels.
const LEVEL_LENGTHS: std::ops::RangeInclusive<usize> = 3..=11;

impl Level {
    /// Returns the level with a name, such as `WARN`.
    fn find(name: &str) -> Option<Self> {
        // Most words of a log are too short or too long, so that few are compared.
        if !LEVEL_LENGTHS.contains(&name.len()) {
            return None;
        }
        let found =
            LEVELS.iter().find(|(_, names)| names.iter().any(|other| other.eq_ignore_ascii_case(name)));
        found.map(|(level, _)| *level)
    }

    /// Returns the level of a number by Bunyan and Pino: 30 is info.
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            50.. => Self::Error,
            40.. => Self::Warning,
            30.. => Self::Info,
            10.. => Self::Debug,
            _ => return None,
        })
    }

    /// Returns the level that a line names near its start: in capitals, or where only a level stands, such as in brackets.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let end = line.char_indices().nth(LEVEL_CHARS).map_or(line.len(), |(at, _)| at);
        let start = &line[..end];
        let mut from = 0;
        for word in start.split(|c: char| !c.is_ascii_alphanumeric()) {
            let at = from;
            from += word.len();
            let next = start[from..].chars().next();
            from += next.map_or(0, char::len_utf8);
            let Some(level) = Self::find(word) else { continue };
            let previous = start[..at].chars().next_back();
            let is_marked = previous.is_none_or(|c| "[(<=\"".contains(c)) || next == Some(':');
            if is_marked || word.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Some(level);
            }
        }
        None
    }

    /// Returns the name in capitals, five columns wide.
    fn label(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARN ",
            Self::Info => "INFO ",
            Self::Debug => "DEBUG",
        }
    }

    /// Returns the theme role.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Error => "log.error",
            Self::Warning => "log.warning",
            Self::Info => "log.info",
            Self::Debug => "log.debug",
        }
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The first line of an event.
    First,
    /// Another line of the event.
    Next,
    /// What the log leaves out here.
    Remark,
}

/// A line of an event of the log, or a remark about the log.
#[derive(Debug, Clone)]
pub(crate) struct LogEntry {
    /// The time of the event; of a remark, that of the line before.
    pub(crate) at: DateTime<Utc>,
    /// Sanitised.
    pub(crate) text: Arc<str>,
    json: Option<Box<Json>>,
    /// The index of the source; 0 for a remark.
    pub(crate) source: u16,
    pub(crate) kind: EntryKind,
    pub(crate) level: Option<Level>,
    is_ascii: bool,
}

/// What a line of JSON is folded to.
#[derive(Debug, Clone)]
struct Json {
    /// Level and message, sanitised.
    folded: Box<str>,
    /// Where the mark of the other fields begins.
    mark: usize,
    is_ascii: bool,
    /// The JSON as it came, if the line is cut.
    whole: Option<Box<str>>,
}

impl LogEntry {
    /// Returns the memory of an entry beside its texts, in bytes. The buffer can have half as many places more, an `Arc` counts in 16 bytes,
    /// an allocation takes up to 16, and the numbers of the visible lines and of the matches have 8 each in such a buffer.
    pub(super) const OVERHEAD: usize = size_of::<Self>() + size_of::<Self>() / 2 + 16 + 16 + 2 * 12;

    pub(crate) fn new(kind: EntryKind, at: DateTime<Utc>, source: u16, text: &str) -> Self {
        let is_ascii = text.is_ascii();
        Self { at, text: text.into(), json: None, source, kind, level: None, is_ascii }
    }

    /// Reads level and message if `raw`, an event of this line only, is a JSON object.
    pub(crate) fn fold_json(&mut self, raw: &str, is_cut: bool) {
        let trimmed = raw.trim();
        if !(trimmed.starts_with('{') && trimmed.ends_with('}')) {
            return;
        }
        let Ok(Value::Object(fields)) = serde_json::from_str(trimmed) else { return };
        let find = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, fields.get(*name)?))).map(|(_, value)| value)
        };
        let level = find(&LEVEL_FIELDS);
        self.level = level.and_then(|level| match level {
            Value::String(name) => Level::find(name),
            Value::Number(number) => Level::from_number(number.as_u64()?),
            _ => None,
        });
        let Some(Value::String(message)) = find(&MESSAGE_FIELDS) else { return };
        let message = sanitize(message);
        let mut folded =
            self.level.map_or_else(|| message.clone(), |level| format!("{} {message}", level.label()));
        let mark = folded.len();
        let others = fields.len() - 1 - usize::from(self.level.is_some());
        if others > 0 {
            folded = format!("{folded} {{+{others}}}");
        }
        let whole = (is_cut && trimmed.len() <= MAX_WHOLE_BYTES).then(|| trimmed.into());
        let is_ascii = folded.is_ascii();
        self.json = Some(Box::new(Json { folded: folded.into(), mark, is_ascii, whole }));
    }

    /// Returns the text on the screen.
    pub(crate) fn shown(&self, fold: bool) -> &str {
        match &self.json {
            Some(json) if fold => &json.folded,
            _ => &self.text,
        }
    }

    /// Returns where the mark of what is folded begins in the shown text, if there is one.
    pub(crate) fn fold_mark(&self, fold: bool) -> Option<usize> {
        self.json.as_ref().filter(|json| fold && json.mark < json.folded.len()).map(|json| json.mark)
    }

    /// Returns the JSON of the line, if it is some; as it came if the line is cut.
    pub(crate) fn json(&self) -> Option<&str> {
        self.json.as_ref().map(|json| json.whole.as_deref().unwrap_or(&self.text))
    }

    /// Returns the number of rows of at most `columns` columns.
    pub(crate) fn rows(&self, fold: bool, columns: usize) -> usize {
        let shown = self.shown(fold);
        let is_ascii = self.json.as_ref().filter(|_| fold).map_or(self.is_ascii, |json| json.is_ascii);
        if is_ascii {
            shown.len().div_ceil(columns.max(1)).max(1)
        } else {
            text::chunks(shown, columns).len()
        }
    }

    /// Returns the approximate memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        let json = self.json.as_ref().map_or(0, |json| {
            size_of::<Json>() + 32 + json.folded.len() + json.whole.as_ref().map_or(0, |whole| whole.len())
        });
        self.text.len() + json + Self::OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::word("2026-03-10 ERROR cannot post", Some(Level::Error))]
    #[case::first_of_two("INFO retry after ERROR", Some(Level::Info))]
    #[case::brackets("[warn] slow", Some(Level::Warning))]
    #[case::logfmt("ts=1 level=debug msg=x", Some(Level::Debug))]
    #[case::panic("panic: runtime error", Some(Level::Error))]
    #[case::python("Error: boom", Some(Level::Error))]
    #[case::prose("the error page was opened", None)]
    #[case::part_of_a_word("ERRORS: 0", None)]
    #[case::empty("", None)]
    #[case::wide("日本語 WARN", Some(Level::Warning))]
    fn level_is_that_which_the_line_names(#[case] line: &str, #[case] level: Option<Level>) {
        assert_eq!(Level::of_line(line), level);
    }

    #[rstest]
    #[case::both(
        r#"{"level":"warn","msg":"slow","ms":7,"path":"/"}"#,
        "WARN  slow {+2}",
        Some(Level::Warning)
    )]
    #[case::number(r#"{"level":50,"message":"no"}"#, "ERROR no", Some(Level::Error))]
    #[case::no_level(r#"{"msg":"hello"}"#, "hello", None)]
    #[case::hostile(r#"{"msg":"a\u001b[2Jb\u202e"}"#, "ab\u{fffd}", None)]
    #[case::no_message(r#"{"level":"error","code":7}"#, r#"{"level":"error","code":7}"#, Some(Level::Error))]
    #[case::not_json("{oops}", "{oops}", None)]
    #[case::array(r#"["level"]"#, r#"["level"]"#, None)]
    fn json_is_folded(#[case] raw: &str, #[case] shown: &str, #[case] level: Option<Level>) {
        let mut entry = LogEntry::new(EntryKind::First, DateTime::UNIX_EPOCH, 0, raw);
        entry.fold_json(raw, false);
        assert_eq!((entry.shown(true), entry.level), (shown, level));
        assert_eq!(entry.shown(false), raw);
    }

    #[rstest]
    fn rows_are_those_of_the_chunks(
        #[values("", "abc", "abcdef", "日本語テスト", "e\u{301}e\u{301}e\u{301}")] text: &str,
        #[values(1, 2, 3, 80)] columns: usize,
    ) {
        let entry = LogEntry::new(EntryKind::First, DateTime::UNIX_EPOCH, 0, text);
        assert_eq!(entry.rows(true, columns), text::chunks(text, columns).len());
    }
}
