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
    }
}
