//! Text measured in columns of the terminal, never in bytes or characters.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How many columns a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `columns` columns; what does not fit is replaced by `ellipsis`.
#[must_use]
pub fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
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

/// The text without its first `columns` columns.
#[must_use]
pub fn skip(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        if used >= columns {
            return &text[at..];
        }
        used += cluster.width();
    }
    ""
}

/// The text cut into pieces of at most `columns` columns; at least one piece.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let columns = columns.max(1);
    let mut pieces = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        let wide = cluster.width();
        if used + wide > columns && at > start {
            pieces.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    pieces.push(&text[start..]);
    pieces
}

/// The text broken between words into lines of at most `columns` columns.
#[must_use]
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut pieces = wrap(word, columns).into_iter();
        let first = pieces.next().unwrap_or_default();
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(first),
            Some(line) if line.width() + 1 + first.width() <= columns => {
                line.push(' ');
                line.push_str(first);
            }
            _ => lines.push(first.to_owned()),
        }
        lines.extend(pieces.map(str::to_owned));
    }
    lines
}

/// Where `needle` occurs in `text`, case aside, as byte ranges of `text`. An empty needle occurs nowhere.
#[must_use]
pub fn matches(text: &str, needle: &str) -> Vec<(usize, usize)> {
    let needle: Vec<char> = needle.chars().flat_map(char::to_lowercase).collect();
    if needle.is_empty() {
        return Vec::new();
    }
    // Lower case may have another length, so every lower-case character remembers where it comes from.
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

/// Whether `needle` occurs in `text`, case aside. An empty needle occurs everywhere.
#[must_use]
pub fn contains(text: &str, needle: &str) -> bool {
    needle.is_empty() || !matches(text, needle).is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(fit("checkout-fix", 8, "…"), "checkou…");
        assert_eq!(fit("日本語テスト", 5, "…"), "日本…");
        assert_eq!(fit("abc", 3, "…"), "abc");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(skip("日本語", 2), "本語");
        assert_eq!(fold("the quick brown fox", 9), ["the quick", "brown fox"]);
    }

    #[test]
    fn matching_ignores_case_and_survives_odd_lower_case() {
        assert_eq!(matches("Error: ERROR", "error"), [(0, 5), (7, 12)]);
        assert_eq!(matches("İstanbul", "stan"), [(2, 6)]);
        assert!(matches("x", "").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_gets_wider_than_asked(text in any::<String>(), columns in 0usize..40) {
            prop_assert!(width(&fit(&text, columns, "…")) <= columns);
            let wrapped = wrap(&text, columns);
            prop_assert_eq!(wrapped.concat(), text.clone());
            for (from, to) in matches(&text, "a") {
                prop_assert!(text.get(from..to).is_some());
            }
        }
    }
}
