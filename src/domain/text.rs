//! Text from outside is hostile: it is cleaned on its way in, so that no view can forget it.

/// The most characters that a cleaned line keeps; longer lines end in `…`.
pub const MAX_LINE_CHARS: usize = 4_000;

/// A line of text without anything that a terminal would act on: escape sequences, control characters, and the
/// Unicode marks that reorder or hide text are dropped, tabs become spaces, and the length is capped.
#[must_use]
pub fn sanitize(text: &str) -> String {
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

/// Whether a value can be written to a tag as it is: no control or invisible characters, within the length.
#[must_use]
pub fn is_printable(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars && !text.chars().any(|c| c.is_control() || is_invisible(c))
}

/// A length of time in its two largest units, such as `5h 12m`, `2d 3h` or `45s`.
#[must_use]
pub fn format_duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

/// Bidirectional overrides, zero-width marks and line separators: they make a screen show what is not there.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Skips what follows an escape: a control sequence up to its final byte, or a string up to its terminator.
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

    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        assert_eq!(sanitize("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
        assert_eq!(sanitize("x\u{1b}]0;title\u{7}y\u{1b}]8;;http://e\u{1b}\\z"), "xyz");
        assert_eq!(sanitize("tab\there\r"), "tab here");
        assert_eq!(sanitize("\u{9b}2Jgone"), "gone");
        assert_eq!(sanitize("ab\u{202e}cd\u{200b}"), "abcd");
        assert_eq!(sanitize("naïve 日本 🚀"), "naïve 日本 🚀");
    }

    #[test]
    fn what_a_sequence_hides_ends_where_it_ends() {
        for (text, kept) in [
            ("a\u{1b}[12;5@b", "ab"),
            ("a\u{1b}[1~b", "ab"),
            ("a\u{9b}1mb", "ab"),
            // A string ends with the bell, the terminator, or an escape and a backslash, and with nothing else.
            ("a\u{1b}Pq\u{1b}x\u{1b}\\b", "ab"),
            ("a\u{1b}^m\\n\u{9c}b", "ab"),
            ("a\u{1b}_m\u{7}b", "ab"),
            ("a\u{1b}Xm\u{1b}\\b", "ab"),
            ("a\u{1b}]0;never ends", "a"),
            ("a\u{1b}[", "a"),
            ("a\u{1b}", "a"),
            ("a\u{1b}cb", "ab"),
            ("line\nline", "line line"),
        ] {
            assert_eq!(sanitize(text), kept, "{text:?}");
        }
    }

    #[test]
    fn marks_that_cannot_be_seen_are_not_plain() {
        for mark in [
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
            '\u{9b}',
        ] {
            assert!(!is_printable(&mark.to_string(), 1), "{mark:?}");
        }
        assert!(is_printable("naïve", 5) && !is_printable("naïve", 4));
    }

    #[test]
    fn long_lines_are_capped() {
        for (length, kept) in [(MAX_LINE_CHARS, MAX_LINE_CHARS), (MAX_LINE_CHARS + 1, MAX_LINE_CHARS + 1)] {
            assert_eq!(sanitize(&"é".repeat(length)).chars().count(), kept);
        }
        assert!(sanitize(&"x".repeat(MAX_LINE_CHARS)).ends_with('x'));
        let capped = sanitize(&"x".repeat(90_000));
        assert_eq!(capped.chars().count(), MAX_LINE_CHARS + 1);
        assert!(capped.ends_with('…'));
    }

    #[test]
    fn lengths_have_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (130, "2m 10s"), (18_720, "5h 12m"), (183_600, "2d 03h")]
        {
            assert_eq!(format_duration(std::time::Duration::from_secs(seconds)), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_acts_on_gets_through(text in any::<String>()) {
            let cleaned = sanitize(&text);
            prop_assert!(is_printable(&cleaned, MAX_LINE_CHARS + 1), "{cleaned:?}");
            prop_assert_eq!(sanitize(&cleaned), cleaned);
        }
    }
}
