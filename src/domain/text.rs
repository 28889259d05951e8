//! Text from outside, which others can write: AWS's answers, tags, log lines and the output of processes.

mod characters;

use std::borrow::Cow;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use characters::{JOINER, Kind, is_emoji, is_pictograph};

/// The maximum length of a sanitised line, without the `…` that marks a longer one.
pub(crate) const MAX_LINE_CHARS: usize = 4_000;

/// What is shown in place of characters that are not.
const REPLACEMENT: char = '\u{fffd}';

/// The maximum number of marks on one character. More of them reach into other rows.
const MAX_MARKS: u32 = 2;

/// The maximum number of joined emoji behind the first, as in a family of four.
const MAX_JOINED: u32 = 3;

/// The number of blanks that a tab becomes in a line of a log.
const TAB: &str = "    ";

/// Text from outside, unchanged. It is shown sanitised, on one line; only [`raw`](Self::raw) returns it as it is.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(CompactString);

impl Untrusted {
    pub fn new(text: impl Into<CompactString>) -> Self {
        Self(text.into())
    }

    /// Returns the text as it came, for AWS, comparisons and JSON. It must not reach a terminal, a clipboard or a browser.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Whether nothing of it is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        sanitized(&self.0).is_empty()
    }

    /// Iterates over the sanitised lines of the text, at least one, each with the number of characters that are cut from it. A line ends
    /// with a line feed, a carriage return or both; one at the end of the text begins no other line. A tab becomes four blanks, so that a
    /// stack trace stays indented.
    pub(crate) fn measured_lines(&self) -> impl Iterator<Item = (String, usize)> {
        let text = self.0.strip_suffix('\n').unwrap_or(&self.0);
        let text = text.strip_suffix('\r').unwrap_or(text);
        text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).map(|line| {
            if line.contains('\t') {
                sanitize_and_count(&line.replace('\t', TAB))
            } else {
                sanitize_and_count(line)
            }
        })
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&sanitized(&self.0))
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&sanitized(&self.0), f)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq<String> for Untrusted {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl PartialEq<str> for Untrusted {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Untrusted {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// Returns one line of text that every terminal shows in the same columns. Escape sequences and control characters are left out; tabs
/// and line breaks become spaces; characters that hide or reorder text or have no common width become `�`. The length is limited to
/// [`MAX_LINE_CHARS`].
#[must_use]
pub(crate) fn sanitize(text: &str) -> String {
    sanitize_and_count(text).0
}

/// Sanitises as [`sanitize`], without a copy of a text that stays as it is.
pub(super) fn sanitized(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(sanitize(text)) }
}

/// Whether a text is a short line of printable ASCII, as most are.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_LINE_CHARS && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Sanitises as [`sanitize`], and returns the number of characters behind the cut.
fn sanitize_and_count(text: &str) -> (String, usize) {
    if is_plain(text) {
        return (text.to_owned(), 0);
    }
    let mut line = Line::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if line.count >= MAX_LINE_CHARS {
            line.cut();
            return (line.text, 1 + chars.count());
        }
        if matches!(c, '\u{1b}' | '\u{9b}') {
            skip_sequence(c, &mut chars);
        } else {
            line.push(c, chars.peek().copied());
        }
    }
    (line.text, 0)
}

/// Whether a value has at most `max_chars` characters, and is shown as it is.
#[must_use]
pub(crate) fn is_printable(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars && sanitize(text) == text
}

/// A line that is being sanitised.
#[derive(Debug, Default)]
struct Line {
    text: String,
    /// The number of characters.
    count: usize,
    /// The last character that is not a mark.
    base: Option<char>,
    /// The numbers of marks and of joined emoji on it.
    marks: u32,
    joined: u32,
}

impl Line {
    /// Appends what is shown for `c`, which `next` follows.
    fn push(&mut self, c: char, next: Option<char>) {
        match Kind::of(c) {
            Kind::Control => {}
            Kind::Space => self.push_base(' '),
            Kind::Base => self.push_base(c),
            Kind::Mark if self.base.is_some() && self.marks < MAX_MARKS => {
                self.marks += 1;
                self.append(c);
            }
            Kind::EmojiVariation if self.marks == 0 && self.base.is_some_and(is_emoji) => {
                self.marks += 1;
                self.append(c);
            }
            Kind::Hidden
                if c == JOINER
                    && self.joined < MAX_JOINED
                    && self.base.is_some_and(joins)
                    && next.is_some_and(is_pictograph) =>
            {
                self.joined += 1;
                self.append(c);
            }
            Kind::Mark | Kind::EmojiVariation | Kind::Hidden => self.replace(),
        }
    }

    fn push_base(&mut self, c: char) {
        let is_joined = self.text.ends_with(JOINER);
        // A skin tone belongs to the emoji before it.
        if !is_joined && !is_skin_tone(c) {
            self.joined = 0;
        }
        (self.base, self.marks) = (Some(c), 0);
        self.append(c);
    }

    /// Shows that something is left out, once for all that follows on one another.
    fn replace(&mut self) {
        if !self.text.ends_with(REPLACEMENT) {
            self.append(REPLACEMENT);
            // Marks that follow are left out too.
            (self.base, self.marks, self.joined) = (Some(REPLACEMENT), MAX_MARKS, 0);
        }
    }

    /// Marks that the rest is left out.
    fn cut(&mut self) {
        while self.text.ends_with(JOINER) {
            self.text.pop();
        }
        self.text.push('…');
    }

    fn append(&mut self, c: char) {
        self.text.push(c);
        self.count += 1;
    }
}

/// Whether another emoji can be joined to this character.
fn joins(c: char) -> bool {
    is_pictograph(c) || is_skin_tone(c)
}

fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// Skips the rest of an escape sequence: a control sequence up to its final byte, or a string up to its terminator.
fn skip_sequence(introducer: char, chars: &mut Peekable<Chars<'_>>) {
    let kind = if introducer == '\u{9b}' { Some('[') } else { chars.next() };
    match kind {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    break;
                }
                if c == '\u{1b}' && chars.peek() == Some(&'\\') {
                    chars.next();
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
