//! Finds letters in words. Tables of a dashboard have identifiers such as `checkout-fix`, so a match stays inside one word and begins at one
//! of its parts; a general fuzzy finder, which takes any letters in order, matches nearly every row of a few.

use unicode_segmentation::UnicodeSegmentation as _;

use super::text;

/// The fewest letters that are searched for with gaps between them.
const MIN_LETTERS: usize = 2;

/// How well a text matches, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// It contains the letters.
    Exact,
    /// One of its words has the letters in order, from the start of a part.
    Fuzzy,
}

/// What is searched for, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needle {
    text: String,
    letters: Vec<char>,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        Self { letters: text.chars().collect(), text }
    }

    /// Ranks a text that is in lower case already.
    pub(crate) fn rank(&self, lower: &str) -> Option<Rank> {
        if lower.contains(&self.text) {
            return Some(Rank::Exact);
        }
        if self.letters.len() < MIN_LETTERS {
            return None;
        }
        lower.split_whitespace().any(|word| self.starts(word).next().is_some()).then_some(Rank::Fuzzy)
    }

    /// Returns what to highlight in a text, as ranges of bytes at the borders of graphemes.
    pub(crate) fn ranges(&self, content: &str) -> Vec<(usize, usize)> {
        let exact = text::matches(content, &self.text);
        if !exact.is_empty() || self.letters.len() < MIN_LETTERS {
            return exact;
        }
        let mut at = 0;
        for word in content.split_inclusive(char::is_whitespace) {
            let lower = word.to_lowercase();
            // Elsewhere the positions in the text in lower case are not those in the text.
            if lower.len() == word.len()
                && let Some(start) = self.starts(&lower).next()
            {
                return graphemes(content, &self.positions(&lower, start, at));
            }
            at += word.len();
        }
        Vec::new()
    }

    /// Returns the parts of a word from which on the letters follow in order.
    fn starts<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let first = self.letters[0];
        let mut previous = None;
        word.char_indices().filter_map(move |(at, c)| {
            let begins = previous.replace(c).is_none_or(|before: char| !before.is_alphanumeric());
            (begins && c == first && self.follows(&word[at..])).then_some(at)
        })
    }

    fn follows(&self, text: &str) -> bool {
        let mut chars = text.chars();
        self.letters.iter().all(|letter| chars.any(|c| c == *letter))
    }

    /// Returns the position of each letter in a word that starts at byte `offset` of its text.
    fn positions(&self, word: &str, start: usize, offset: usize) -> Vec<usize> {
        let mut chars = word[start..].char_indices();
        let find = |letter: &char| chars.find(|(_, c)| c == letter).map(|(at, _)| offset + start + at);
        self.letters.iter().filter_map(find).collect()
    }
}

/// Returns the graphemes at these positions, with neighbours joined.
fn graphemes(content: &str, positions: &[usize]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (start, grapheme) in content.grapheme_indices(true) {
        let end = start + grapheme.len();
        if !positions.iter().any(|at| (start..end).contains(at)) {
            continue;
        }
        match ranges.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => ranges.push((start, end)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("checkout-fix", "out", Some(Rank::Exact))]
    #[case("checkout-fix", "chfix", Some(Rank::Fuzzy))]
    #[case("kyc-redesign", "rdsgn", Some(Rank::Fuzzy))]
    #[case::not_from_the_middle_of_a_part("checkout-fix", "otfx", None)]
    #[case::not_across_words("payments kyc", "pkyc", None)]
    #[case::one_letter("checkout", "x", None)]
    #[case::empty("checkout", "", Some(Rank::Exact))]
    fn ranks(#[case] text: &str, #[case] needle: &str, #[case] rank: Option<Rank>) {
        assert_eq!(Needle::new(needle).rank(text), rank);
    }

    #[rstest]
    #[case("Checkout-Fix", "chfix", &[(0, 2), (9, 12)])]
    #[case("the Checkout", "chkt", &[(4, 6), (8, 9), (11, 12)])]
    #[case("cafe\u{301}-bar", "cfe", &[(0, 1), (2, 6)])]
    #[case("checkout", "zz", &[])]
    fn ranges_are_graphemes(#[case] text: &str, #[case] needle: &str, #[case] ranges: &[(usize, usize)]) {
        assert_eq!(Needle::new(needle).ranges(text), ranges);
    }

    proptest! {
        #[test]
        fn ranges_are_borders(text in any::<String>(), needle in "\\PC{0,4}") {
            let needle = Needle::new(&needle);
            let _ = needle.rank(&text.to_lowercase());
            for (from, to) in needle.ranges(&text) {
                prop_assert!(text.get(from..to).is_some());
            }
        }
    }
}
