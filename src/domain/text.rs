//! Sanitises text from AWS, which others can write. Adapters sanitise what they read, so that no view has to, or give it as
//! [`Untrusted`], which is sanitised where it is shown.

use std::fmt;

use serde::{Serialize, Serializer};

/// The maximum length of a sanitised line, without the `…` that marks a longer one.
pub(crate) const MAX_LINE_CHARS: usize = 4_000;

/// The columns that a tab takes in the lines of a text.
const TAB: &str = "    ";

/// Text from outside, whole and unchanged. It is sanitised wherever it is shown, and serialised as it is, because the JSON writer escapes
/// what a terminal would obey.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Untrusted(String);

impl Untrusted {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text as it came, for JSON and for AWS, never for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Iterates over the sanitised lines of the text, at least one. A line ends with a line feed, a carriage return or both; one at the end
    /// of the text begins no other line. A tab becomes four spaces.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let text = self.0.strip_suffix('\n').unwrap_or(&self.0);
        let text = text.strip_suffix('\r').unwrap_or(text);
        text.split('\n')
            .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
            .map(|line| sanitize(&line.replace('\t', TAB)))
    }
}

/// Formats the text as one sanitised line.
impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&sanitize(&self.0))
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&sanitize(&self.0), f)
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Returns one line of text that a terminal prints literally: without escape sequences, control characters, and the Unicode characters
/// that reorder or hide text. Tabs and line breaks become spaces, and the length is limited to [`MAX_LINE_CHARS`].
#[must_use]
pub(crate) fn sanitize(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(MAX_LINE_CHARS));
    let mut chars = text.chars().peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' | '\u{9b}' => skip_sequence(c, &mut chars),
            '\t' | '\n' => kept.push(' '),
            c if c.is_control() || is_invisible(c) => continue,
            c => kept.push(c),
        }
        count += 1;
        if count >= MAX_LINE_CHARS && chars.peek().is_some() {
            kept.push('…');
            break;
        }
    }
    kept
}

/// Whether a value has at most `max_chars` characters, none of which is a control or invisible character.
#[must_use]
pub(crate) fn is_printable(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars && !text.chars().any(|c| c.is_control() || is_invisible(c))
}

/// Whether a character is a bidirectional override, a zero-width character or a line separator, by which text can be made to look like other text.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Skips the rest of an escape sequence: a control sequence up to its final byte, or a string up to its terminator.
fn skip_sequence(introducer: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
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
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn sanitize_removes_sequences_and_keeps_text() {
        assert_eq!(sanitize("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
        assert_eq!(sanitize("x\u{1b}]0;title\u{7}y\u{1b}]8;;http://e\u{1b}\\z"), "xyz");
        assert_eq!(sanitize("tab\there\r"), "tab here");
        assert_eq!(sanitize("\u{9b}2Jgone"), "gone");
        assert_eq!(sanitize("ab\u{202e}cd\u{200b}"), "abcd");
        assert_eq!(sanitize("naïve 日本 🚀"), "naïve 日本 🚀");
    }

    #[rstest]
    #[case::control_sequence("a\u{1b}[12;5@b", "ab")]
    #[case::final_tilde("a\u{1b}[1~b", "ab")]
    #[case::one_byte_introducer("a\u{9b}1mb", "ab")]
    #[case::escape_inside_string("a\u{1b}Pq\u{1b}x\u{1b}\\b", "ab")]
    #[case::string_terminator("a\u{1b}^m\\n\u{9c}b", "ab")]
    #[case::bell("a\u{1b}_m\u{7}b", "ab")]
    #[case::escape_backslash("a\u{1b}Xm\u{1b}\\b", "ab")]
    #[case::unterminated_string("a\u{1b}]0;never ends", "a")]
    #[case::unterminated_sequence("a\u{1b}[", "a")]
    #[case::lone_escape("a\u{1b}", "a")]
    #[case::two_bytes("a\u{1b}cb", "ab")]
    #[case::line_break("line\nline", "line line")]
    fn sanitize_finds_the_end_of_a_sequence(#[case] text: &str, #[case] sanitized: &str) {
        assert_eq!(sanitize(text), sanitized);
    }

    #[rstest]
    fn invisible_characters_are_not_printable(
        #[values(
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{206f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0000}',
            '\u{e007f}',
            '\u{7}',
            '\u{9b}'
        )]
        character: char,
    ) {
        assert!(!is_printable(&character.to_string(), 1));
    }

    #[test]
    fn printable_text_is_limited_in_length() {
        assert!(is_printable("naïve", 5) && !is_printable("naïve", 4));
    }

    #[test]
    fn untrusted_text_is_shown_sanitised() {
        let text = Untrusted::new("a\u{1b}[31mred\nb\u{202e}");
        assert_eq!(text.to_string(), "ared b");
        assert_eq!(format!("{text:?}"), "\"ared b\"");
        assert_eq!(format!("{:<8}|", Untrusted::from("app")), "app     |");
        assert_eq!(text.raw(), "a\u{1b}[31mred\nb\u{202e}");
        assert_eq!(serde_json::to_value(&text).unwrap(), text.raw());
    }

    #[rstest]
    #[case::one("boom", &["boom"])]
    #[case::none("", &[""])]
    #[case::stack_trace("boom\n\tat A.b\n", &["boom", "    at A.b"])]
    #[case::blank_line("a\n\nb\n\n", &["a", "", "b", ""])]
    #[case::carriage_returns("a\r\nb\rc\r\n", &["a", "b", "c"])]
    #[case::sequence("a\u{1b}]0;title\nb\u{1b}[2J", &["a", "b"])]
    fn untrusted_lines_are_sanitised(#[case] text: &str, #[case] lines: &[&str]) {
        assert_eq!(Untrusted::from(text).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn sanitize_limits_length() {
        for (length, kept) in [(MAX_LINE_CHARS, MAX_LINE_CHARS), (MAX_LINE_CHARS + 1, MAX_LINE_CHARS + 1)] {
            assert_eq!(sanitize(&"é".repeat(length)).chars().count(), kept);
        }
        assert!(sanitize(&"x".repeat(MAX_LINE_CHARS)).ends_with('x'));
        let capped = sanitize(&"x".repeat(90_000));
        assert_eq!(capped.chars().count(), MAX_LINE_CHARS + 1);
        assert!(capped.ends_with('…'));
    }

    proptest! {
        #[test]
        fn sanitized_text_is_printable(text in any::<String>()) {
            let cleaned = sanitize(&text);
            prop_assert!(is_printable(&cleaned, MAX_LINE_CHARS + 1), "{cleaned:?}");
            prop_assert_eq!(sanitize(&cleaned), cleaned);
        }
    }
}
