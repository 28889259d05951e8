//! The signs on the screen, for terminals that have Unicode and for those that do not.

use ratatui::symbols::border;

/// A set of signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// Its name in the configuration: `unicode` or `ascii`.
    pub name: &'static str,
    /// Everything is well: ready, free, on.
    pub full: &'static str,
    /// Under way.
    pub half: &'static str,
    /// Resting or off.
    pub empty: &'static str,
    /// On its way out.
    pub fading: &'static str,
    /// Paused or stopped.
    pub paused: &'static str,
    /// Failed.
    pub cross: &'static str,
    /// Needs attention.
    pub warning: &'static str,
    /// Done.
    pub check: &'static str,
    /// The selected row.
    pub pointer: &'static str,
    /// Data was read this long ago.
    pub refresh: &'static str,
    /// Between parts of a line.
    pub dot: &'static str,
    /// Nothing to show.
    pub none: &'static str,
    /// Cut off here.
    pub ellipsis: &'static str,
    /// Sorted upwards.
    pub up: &'static str,
    /// Sorted downwards.
    pub down: &'static str,
    /// Joins titles.
    pub dash: &'static str,
    /// Parts of a bar, from an eighth (or nothing but the whole) to the whole.
    pub bar: &'static [&'static str],
    /// The rest of a bar.
    pub bar_rest: &'static str,
    /// Heights of a sparkline.
    pub spark: &'static [&'static str],
    /// Frames.
    pub border: border::Set<'static>,
}

/// Unicode's signs.
pub const UNICODE: Glyphs = Glyphs {
    name: "unicode",
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

/// Signs that every terminal has.
pub const ASCII: Glyphs = Glyphs {
    name: "ascii",
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
    /// The set with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        [UNICODE, ASCII].into_iter().find(|glyphs| glyphs.name == name)
    }

    /// A bar of `columns` columns, filled to `ratio`: the filled part and the rest.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn progress(&self, ratio: f64, columns: usize) -> (String, String) {
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

    /// A line of small columns, the highest for `top` and more.
    #[must_use]
    pub fn sparkline(&self, values: impl Iterator<Item = usize>, top: usize) -> String {
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
    fn bars_have_the_width_that_was_asked_for() {
        for glyphs in [UNICODE, ASCII] {
            for percent in 0..=100_u8 {
                let (bar, rest) = glyphs.progress(f64::from(percent) / 100.0, 9);
                assert_eq!(width(&bar) + width(&rest), 9, "{percent}");
            }
        }
        assert_eq!(UNICODE.progress(0.5, 9), ("████▌".to_owned(), "░░░░".to_owned()));
        assert_eq!(UNICODE.sparkline([0, 1, 2].into_iter(), 2), "▁▅█");
    }

    #[test]
    fn ascii_is_ascii() {
        let text = format!("{ASCII:?}");
        assert!(text.is_ascii());
    }
}
