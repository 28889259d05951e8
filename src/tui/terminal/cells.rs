//! Which cells to write for the next frame, on terminals that disagree on the width of some characters.
//!
//! A flag is two columns wide for Unicode; some terminals give it four, and show a joined family as one person or as three. A row
//! with such a cluster is written as a whole if it changes, with the cursor set anew after each of them. The columns thus stay where
//! they are, and no part of a cluster is left behind.

use ratatui::buffer::{Buffer, Cell};
use unicode_width::UnicodeWidthStr as _;

/// Cells with their positions. The cursor is set at the start of each run.
pub(super) type Run<'a> = Vec<(u16, u16, &'a Cell)>;

/// Returns the cells to write after the frame `last`, of the same area as `next`.
pub(super) fn updates<'a>(last: &Buffer, next: &'a Buffer) -> Vec<Run<'a>> {
    let mut runs = vec![Run::new()];
    let changed = last.diff(next);
    for row in changed.chunk_by(|one, other| one.1 == other.1) {
        let y = row[0].1;
        if has_uncertain_width(last, y) || has_uncertain_width(next, y) {
            write_row(next, y, &mut runs);
        } else if let Some(run) = runs.last_mut() {
            run.extend_from_slice(row);
        }
    }
    runs
}

/// Writes every cell of a row, and sets the cursor after each cluster of uncertain width.
fn write_row<'a>(next: &'a Buffer, y: u16, runs: &mut Vec<Run<'a>>) {
    let (mut x, end) = (next.area.left(), next.area.right());
    let mut run = Run::new();
    while x < end {
        let cell = &next[(x, y)];
        let width = u16::try_from(cell.symbol().width()).unwrap_or(1).max(1);
        let after = x.saturating_add(width).min(end);
        if is_uncertain(cell) {
            // What is behind the cluster shows where the terminal draws it in fewer columns.
            run.extend((x + 1..after).map(|x| (x, y, &next[(x, y)])));
            run.push((x, y, cell));
            runs.push(std::mem::take(&mut run));
        } else {
            run.push((x, y, cell));
        }
        x = after;
    }
    runs.push(run);
}

fn has_uncertain_width(buffer: &Buffer, y: u16) -> bool {
    (buffer.area.left()..buffer.area.right()).any(|x| is_uncertain(&buffer[(x, y)]))
}

/// Whether terminals may disagree on the width: of several characters in one cluster, of wide ones, and of symbols that are newer
/// than many terminals.
fn is_uncertain(cell: &Cell) -> bool {
    let symbol = cell.symbol();
    let mut chars = symbol.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => !c.is_ascii() && (c >= '\u{1f000}' || symbol.width() != 1),
        (None, _) => false,
        (Some(_), Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use ratatui::backend::{Backend as _, CrosstermBackend};
    use ratatui::layout::Rect;
    use ratatui::style::Style;
    use rstest::rstest;

    use super::*;

    fn buffer(rows: &[&str]) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, u16::try_from(rows.len()).unwrap()));
        for (y, row) in (0..).zip(rows) {
            buffer.set_string(0, y, row, Style::default());
        }
        buffer
    }

    fn texts(runs: &[Run<'_>]) -> Vec<String> {
        runs.iter().filter(|run| !run.is_empty()).map(|run| format!("{}:{}", run[0].0, text(run))).collect()
    }

    fn text(run: &Run<'_>) -> String {
        run.iter().map(|(_, _, cell)| cell.symbol()).collect()
    }

    /// An emulator after frames of one row each. It gives some sequences more or fewer columns than Unicode.
    fn emulator(rows: &[&str], whole_rows: bool) -> vt100::Parser {
        let mut emulator = vt100::Parser::new(NonZeroU16::new(1).unwrap(), NonZeroU16::new(24).unwrap(), 0);
        let area = Rect::new(0, 0, 24, 1);
        let mut last = Buffer::empty(area);
        for row in rows {
            let mut next = Buffer::empty(area);
            next.set_string(0, 0, row, Style::default());
            let runs = if whole_rows { updates(&last, &next) } else { vec![last.diff(&next)] };
            let mut bytes = Vec::new();
            let mut backend = CrosstermBackend::new(&mut bytes);
            for run in runs {
                backend.draw(run.into_iter()).unwrap();
            }
            emulator.process(&bytes);
            last = next;
        }
        emulator
    }

    #[rstest]
    #[case::skin_tone("x 👍🏽", true)]
    #[case::family("x 👨\u{200d}👩\u{200d}👧", true)]
    #[case::flag("x 🇩🇪 done", false)]
    #[case::keycap("x 1\u{fe0f}\u{20e3} y", false)]
    #[case::emoji_presentation("x ❤\u{fe0f}❤\u{fe0f} y", false)]
    fn nothing_of_a_sequence_is_left(#[case] sequence: &str, #[case] remains_by_cells: bool) {
        let text = |emulator: vt100::Parser| emulator.screen().contents().trim_end().to_owned();
        assert_eq!(text(emulator(&[sequence, "ab"], true)), "ab");
        if remains_by_cells {
            assert_ne!(text(emulator(&[sequence, "ab"], false)), "ab", "the emulator agrees with Unicode");
        }
        let emulator = emulator(&[&format!("{sequence}|")], true);
        let column = u16::try_from(sequence.width()).unwrap();
        assert_eq!(emulator.screen().cell(0, column).unwrap().contents(), "|");
    }

    #[test]
    fn plain_rows_are_written_cell_by_cell() {
        let (last, next) = (buffer(&["abc", "d"]), buffer(&["abx", "d─"]));
        assert_eq!(texts(&updates(&last, &next)), ["2:x─"]);
    }

    #[test]
    fn row_with_a_flag_is_written_as_a_whole() {
        let (last, next) = (buffer(&["abcdef"]), buffer(&["a🇩🇪def"]));
        assert_eq!(texts(&updates(&last, &next)), ["0:a 🇩🇪", "3:def  "]);
        assert_eq!(texts(&updates(&next, &last)), ["0:abcdef  "], "nothing of the flag is left");
        assert_eq!(texts(&updates(&next, &next)), Vec::<String>::new());
    }

    #[test]
    fn cursor_is_set_after_each_uncertain_cluster() {
        let (last, next) = (buffer(&[""]), buffer(&["👨‍👩‍👧x❤\u{fe0f}"]));
        assert_eq!(texts(&updates(&last, &next)), ["1: 👨‍👩‍👧", "2:x ❤\u{fe0f}", "5:   "]);
    }
}
