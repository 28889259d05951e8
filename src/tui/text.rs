//! Text measured in terminal columns, never in bytes or characters.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Truncates the text to at most `columns` columns, with `ellipsis` at the cut.
pub(crate) fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mark = ellipsis.width();
    if columns < mark {
        return String::new();
    }
    let mut kept = String::new();
    let mut used = 0;
    for cluster in text.graphemes(true) {
        let next = used + cluster.width();
        if next + mark > columns {
            break;
        }
        used = next;
        kept.push_str(cluster);
    }
    kept.push_str(ellipsis);
    kept
}

/// Returns the text without its first `columns` columns.
pub(crate) fn skip(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        if used >= columns {
            return &text[at..];
        }
        used += cluster.width();
    }
    ""
}

/// Widens a byte range to whole grapheme clusters, which must not be drawn in parts.
pub(crate) fn whole_clusters(text: &str, (start, end): (usize, usize)) -> (usize, usize) {
    if text.is_ascii() {
        return (start, end);
    }
    let (mut from, mut to) = (0, text.len());
    for (at, _) in text.grapheme_indices(true) {
        if at <= start {
            from = at;
        } else if at >= end {
            to = at;
            break;
        }
    }
    (from, to)
}

/// Splits the text into chunks of at most `columns` columns, without regard to words; at least one chunk.
pub(crate) fn chunks(text: &str, columns: usize) -> Vec<&str> {
    let columns = columns.max(1);
    let mut chunks = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        let cluster_width = cluster.width();
        if used + cluster_width > columns && at > start {
            chunks.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += cluster_width;
    }
    chunks.push(&text[start..]);
    chunks
}

/// Wraps the text between words into lines of at most `columns` columns; words that are longer are split.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    // Hyphens do not split words, because ids such as `hatchery-dev-12` contain them.
    let options = Options::new(columns.max(1))
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// Finds the non-overlapping occurrences of `needle`, ignoring case, as byte ranges of `text`. An empty needle has none.
pub(crate) fn matches(text: &str, needle: &str) -> Vec<(usize, usize)> {
    let needle: Vec<char> = needle.chars().flat_map(char::to_lowercase).collect();
    if needle.is_empty() {
        return Vec::new();
    }
    // Lower-casing can change the length in bytes, so each lower-case character keeps its range in the original.
    let lower: Vec<(usize, usize, char)> = text
        .char_indices()
        .flat_map(|(at, c)| c.to_lowercase().map(move |l| (at, at + c.len_utf8(), l)))
        .collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at + needle.len() <= lower.len() {
        let window = &lower[at..at + needle.len()];
        if window.iter().map(|(_, _, c)| c).eq(&needle) {
            found.push((window[0].0, window[needle.len() - 1].1));
            at += needle.len();
        } else {
            at += 1;
        }
    }
    found
}

/// Whether `needle` occurs in `text`, ignoring case. An empty needle always does.
pub(crate) fn contains(text: &str, needle: &str) -> bool {
    needle.is_empty() || !matches(text, needle).is_empty()
}

/// A text to search for in many lines, ignoring case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needle {
    text: String,
    lower: String,
    /// The index of the byte that is rarest in logs, in both cases.
    rare: Option<(usize, u8, u8)>,
}

/// The letters from the most to the least frequent in English text; a blank is more frequent, and digits and signs are rarer.
const FREQUENT: &[u8] = b" etaoinsrhldcumfpgwybvkxjqz";

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        let lower: String = text.chars().flat_map(char::to_lowercase).collect();
        let frequency = |byte: u8| FREQUENT.iter().position(|other| *other == byte).unwrap_or(FREQUENT.len());
        let rare = (text.is_ascii().then_some(lower.bytes().enumerate()).into_iter().flatten())
            .max_by_key(|(_, byte)| frequency(*byte))
            .map(|(at, byte)| (at, byte, byte.to_ascii_uppercase()));
        Self { text: text.to_owned(), lower, rare }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every text with this needle also has the other one.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        self.lower.contains(&other.lower)
    }

    /// Whether the text has the needle. Every text has an empty one.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let Some((at, lower, upper)) = self.rare.filter(|_| text.is_ascii()) else {
            return contains(text, &self.text);
        };
        let (text, needle) = (text.as_bytes(), self.lower.as_bytes());
        memchr::memchr2_iter(lower, upper, text).any(|found| {
            let start = found.checked_sub(at);
            let window = start.and_then(|start| text.get(start..start + needle.len()));
            window.is_some_and(|window| window.eq_ignore_ascii_case(needle))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("checkout-fix", 8, "checkou…")]
    #[case("日本語テスト", 5, "日本…")]
    #[case("abc", 3, "abc")]
    #[case("abc", 0, "")]
    fn fit_truncates_by_columns(#[case] text: &str, #[case] columns: usize, #[case] fitted: &str) {
        assert_eq!(fit(text, columns, "…"), fitted);
    }

    #[rstest]
    #[case::ascii("abc", (1, 2), (1, 2))]
    #[case::mark_behind("xe\u{301}y", (1, 2), (1, 4))]
    #[case::end("xe\u{301}", (0, 2), (0, 4))]
    fn range_has_whole_clusters(
        #[case] text: &str,
        #[case] range: (usize, usize),
        #[case] whole: (usize, usize),
    ) {
        assert_eq!(whole_clusters(text, range), whole);
    }

    #[test]
    fn skip_counts_columns() {
        assert_eq!(skip("日本語", 2), "本語");
    }

    #[rstest]
    #[case("the quick brown fox", 9, &["the quick", "brown fox"])]
    #[case("drop hatchery-dev-12 now", 10, &["drop", "hatchery-d", "ev-12 now"])]
    #[case("", 9, &[""])]
    fn wrap_splits_between_words(#[case] text: &str, #[case] columns: usize, #[case] lines: &[&str]) {
        assert_eq!(wrap(text, columns), lines);
    }

    #[rstest]
    #[case("Error: ERROR", "error", &[(0, 5), (7, 12)])]
    // The lower case of `İ` is two characters.
    #[case("İstanbul", "stan", &[(2, 6)])]
    #[case("x", "", &[])]
    fn matches_ignores_case(#[case] text: &str, #[case] needle: &str, #[case] ranges: &[(usize, usize)]) {
        assert_eq!(matches(text, needle), ranges);
    }

    proptest! {
        #[test]
        fn results_never_exceed_the_columns(text in any::<String>(), columns in 0usize..40) {
            prop_assert!(width(&fit(&text, columns, "…")) <= columns);
            let chunks = chunks(&text, columns);
            prop_assert_eq!(chunks.concat(), text.clone());
            for (from, to) in matches(&text, "a") {
                prop_assert!(text.get(from..to).is_some());
            }
        }

        #[test]
        fn needle_is_found_where_it_matches(text in "[abAB kK\u{212a}é]{0,9}", needle in "[abAB kKé]{0,3}") {
            prop_assert_eq!(Needle::new(&needle).is_in(&text), contains(&text, &needle));
        }
    }
}
