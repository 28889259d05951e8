use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[test]
fn sanitize_removes_sequences_and_keeps_text() {
    assert_eq!(sanitize("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
    assert_eq!(sanitize("x\u{1b}]0;title\u{7}y\u{1b}]8;;http://e\u{1b}\\z"), "xyz");
    assert_eq!(sanitize("tab\there\r"), "tab here");
    assert_eq!(sanitize("\u{9b}2Jgone"), "gone");
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
#[case::reordering("ab\u{202e}cd", "ab�cd")]
#[case::zero_width("a\u{200b}b", "a�b")]
#[case::soft_hyphen("a\u{ad}b", "a�b")]
#[case::byte_order_mark("\u{feff}a", "�a")]
#[case::line_separator("a\u{2028}b", "a b")]
#[case::hangul_filler("a\u{3164}b", "a�b")]
#[case::grapheme_joiner("a\u{34f}b", "a�b")]
#[case::tag_characters("a\u{e0001}\u{e0068}\u{e0069}b", "a�b")]
#[case::private_use("a\u{e0b0}\u{f8ff}\u{10fffd}b", "a�b")]
#[case::unassigned("a\u{378}\u{fffff}b", "a�b")]
#[case::arabic_number_sign("\u{600}123 \u{6dd}4 \u{8e2}5", "�123 �4 �5")]
#[case::annotation("\u{fff9}a\u{fffb}", "�a�")]
#[case::variation_of_a_letter("a\u{fe0f}b", "a�b")]
#[case::marks("e\u{301}\u{323}\u{302}\u{303}x", "e\u{301}\u{323}�x")]
#[case::mark_without_a_base("\u{301}a", "�a")]
#[case::vowels_of_hangul("\u{1100}\u{1161}\u{11a8}\u{11a8}", "\u{1100}\u{1161}\u{11a8}�")]
#[case::stray_joiner("a\u{200d}b", "a�b")]
#[case::joined_to_a_reserved_one("👩\u{200d}\u{1f0b0}", "👩�")]
fn sanitize_shows_what_is_hidden(#[case] text: &str, #[case] sanitized: &str) {
    assert_eq!(sanitize(text), sanitized);
    assert!(!is_printable(text, MAX_LINE_CHARS));
}

#[rstest]
#[case::accents("nai\u{308}ve, naïve, Việt")]
#[case::scripts("日本 한국어 עִבְרִית العربية ไทย हिन्दी")]
#[case::family("👨\u{200d}👩\u{200d}👧\u{200d}👦")]
#[case::skin_tones("👩🏻\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}👨🏻")]
#[case::flags("🇩🇪🇫🇷 🏳\u{fe0f}\u{200d}🌈")]
#[case::keycap("1\u{fe0f}\u{20e3}")]
#[case::text_presentation("❤\u{fe0e}")]
fn sanitize_keeps_writing_and_emoji(#[case] text: &str) {
    assert_eq!(sanitize(text), text);
}

#[test]
fn joined_emoji_are_limited() {
    let crowd = vec!["👩"; 100].join("\u{200d}");
    assert!(sanitize(&crowd).starts_with("👩\u{200d}👩\u{200d}👩\u{200d}👩�👩"));
}

#[test]
fn cut_does_not_end_with_a_joiner() {
    let text = format!("{}👩\u{200d}👩", "x".repeat(MAX_LINE_CHARS - 2));
    let cut = sanitize(&text);
    assert!(cut.ends_with("x👩…"), "{cut:?}");
    assert_eq!(sanitize(&cut), cut);
}

#[test]
fn untrusted_text_is_shown_sanitized() {
    let text = Untrusted::from("a\u{1b}[2J\tb\u{202e}\nc");
    assert_eq!(text.to_string(), "a b� c");
    assert_eq!(format!("{text:?}"), "\"a b� c\"");
    assert_eq!(format!("{text:>8}"), "  a b� c");
    assert_eq!(text.raw(), "a\u{1b}[2J\tb\u{202e}\nc");
}

#[rstest]
#[case::one("boom", &["boom"])]
#[case::none("", &[""])]
#[case::stack_trace("boom\n\tat A.b\n", &["boom", "    at A.b"])]
#[case::blank_line("a\n\nb\n\n", &["a", "", "b", ""])]
#[case::carriage_returns("a\r\nb\rc\r\n", &["a", "b", "c"])]
#[case::sequence("a\u{1b}]0;title\nb\u{1b}[2J", &["a", "b"])]
fn untrusted_text_has_lines(#[case] text: &str, #[case] lines: &[&str]) {
    assert_eq!(Untrusted::from(text).measured_lines().map(|(line, _)| line).collect::<Vec<_>>(), lines);
}

#[test]
fn printable_text_is_limited_in_length() {
    assert!(is_printable("naïve", 5) && !is_printable("naïve", 4));
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
