//! The symbols on the screen, in Unicode and in ASCII.

use ratatui::symbols::border;

/// A set of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// Whether every symbol is ASCII; then keys are written out, too.
    pub(crate) ascii: bool,
    /// Ready, free, on.
    pub(crate) full: &'static str,
    /// In progress.
    pub(crate) half: &'static str,
    /// Idle, off.
    pub(crate) empty: &'static str,
    /// Ending: reaping, terminating, deleting.
    pub(crate) fading: &'static str,
    /// Paused, stopped.
    pub(crate) paused: &'static str,
    /// Failed.
    pub(crate) cross: &'static str,
    pub(crate) warning: &'static str,
    /// Done.
    pub(crate) check: &'static str,
    /// Marks the selected row.
    pub(crate) pointer: &'static str,
    /// Precedes the age of the data.
    pub(crate) refresh: &'static str,
    /// Separates the parts of a line.
    pub(crate) dot: &'static str,
    /// Stands for a missing value.
    pub(crate) none: &'static str,
    pub(crate) ellipsis: &'static str,
    /// Sorted in ascending order.
    pub(crate) up: &'static str,
    /// Sorted in descending order.
    pub(crate) down: &'static str,
    /// Joins the parts of a title.
    pub(crate) dash: &'static str,
    /// One column of a progress bar in rising fractions; the last is the full column.
    pub(crate) bar: &'static [&'static str],
    /// An empty column of a progress bar.
    pub(crate) bar_rest: &'static str,
    /// The levels of a sparkline.
    pub(crate) spark: &'static [&'static str],
    pub(crate) border: border::Set<'static>,
}

/// Unicode symbols.
pub const UNICODE: Glyphs = Glyphs {
    ascii: false,
    full: "●",
    half: "◐",
    empty: "○",
    fading: "◌",
    paused: "‖",
    cross: "✗",
    warning: "▲",
    check: "✓",
    pointer: "▸",
    refresh: "↻",
    dot: "·",
    none: "—",
    ellipsis: "…",
    up: "↑",
    down: "↓",
    dash: "─",
    bar: &["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
    bar_rest: "░",
    spark: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    border: border::ROUNDED,
};

/// Symbols for terminals without Unicode.
pub const ASCII: Glyphs = Glyphs {
    ascii: true,
    full: "*",
    half: "~",
    empty: "o",
    fading: ".",
    paused: "=",
    cross: "x",
    warning: "!",
    check: "+",
    pointer: ">",
    refresh: "@",
    dot: "|",
    none: "-",
    ellipsis: "~",
    up: "^",
    down: "v",
    dash: "-",
    bar: &["#"],
    bar_rest: ".",
    spark: &["_", ".", "-", "=", "#"],
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
};

impl Default for Glyphs {
    fn default() -> Self {
        UNICODE
    }
}

impl Glyphs {
    /// Draws a bar of `columns` columns; returns the filled part and the rest. `ratio` is clamped to 0..=1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(crate) fn progress(&self, ratio: f64, columns: usize) -> (String, String) {
        let steps = self.bar.len();
        let filled = (ratio.clamp(0.0, 1.0) * (columns * steps) as f64).floor() as usize;
        let (whole, part) = (filled / steps, filled % steps);
        let mut bar = self.bar[steps - 1].repeat(whole);
        if part > 0 {
            bar.push_str(self.bar[part - 1]);
        }
        let rest = columns.saturating_sub(whole + usize::from(part > 0));
        (bar, self.bar_rest.repeat(rest))
    }

    /// Draws one level per value; `top` and more is the highest level.
    pub(crate) fn sparkline(&self, values: impl Iterator<Item = usize>, top: usize) -> String {
        let last = self.spark.len() - 1;
        let top = top.max(1);
        values.map(|value| self.spark[(value.min(top) * last).div_ceil(top)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::text::width;

    #[test]
    fn progress_has_the_requested_width() {
        for glyphs in [UNICODE, ASCII] {
            for percent in 0..=100_u8 {
                let (bar, rest) = glyphs.progress(f64::from(percent) / 100.0, 9);
                assert_eq!(width(&bar) + width(&rest), 9, "{percent}");
            }
        }
    }

    #[test]
    fn progress_ends_in_a_fraction() {
        assert_eq!(UNICODE.progress(0.5, 9), ("████▌".to_owned(), "░░░░".to_owned()));
    }

    #[test]
    fn sparkline_spans_all_levels() {
        assert_eq!(UNICODE.sparkline([0, 1, 2].into_iter(), 2), "▁▅█");
    }

    #[test]
    fn ascii_set_is_ascii() {
        let text = format!("{ASCII:?}");
        assert!(text.is_ascii());
    }
}
