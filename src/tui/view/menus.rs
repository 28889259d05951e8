//! Dialogs with a list of choices.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::dialogs::{MIN_OPEN_WIDTH, PALETTE_WIDTH, keys, without_end};
use crate::tui::app::dialog::diff::DiffMenu;
use crate::tui::app::dialog::log_sources::SourceMenu;
use crate::tui::app::dialog::targets::{Target, Targets};
use crate::tui::styles::Styles;
use crate::tui::widgets::{frame, line};

/// The most choices that are shown at a time.
const MAX_ROWS: u16 = 10;

/// A list of choices, and what keys do with them.
struct Menu<'a> {
    title: &'a str,
    width: u16,
    /// The index of the selected choice.
    index: usize,
    keys: &'a [(&'a str, &'a str)],
}

impl Menu<'_> {
    fn draw(
        &self,
        styles: &Styles,
        buf: &mut Buffer,
        out: &mut Targets,
        rows: impl ExactSizeIterator<Item = Vec<Span<'static>>>,
    ) {
        let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).clamp(1, MAX_ROWS) + 2;
        let area = frame::dialog(styles, buf, self.title, self.width, height);
        out.set_area(area);
        let list: Rect = if area.height > 2 { without_end(area, 2) } else { area };
        // The list scrolls as far as needed to show the selected row.
        let offset = (self.index + 1).saturating_sub(usize::from(list.height));
        for (place, (index, row)) in list.rows().zip(rows.enumerate().skip(offset)) {
            line::put(buf, place, row, styles.glyphs.ellipsis);
            out.add(place, Target::Row(index));
            if index == self.index {
                buf.set_style(place, styles.role("selection"));
            }
        }
        if area.height > 2 {
            keys(styles, buf, out, area, self.keys);
        }
    }
}

/// Draws the choice of the environment to compare with.
pub(crate) fn diff(styles: &Styles, buf: &mut Buffer, out: &mut Targets, menu: &DiffMenu) {
    let title = format!("Compare {} with", menu.name);
    let keys = &[("enter", "compare"), ("esc", "cancel")];
    let rows = menu.others.iter().map(|(_, id, name, services)| {
        vec![
            styles.span("text.strong", format!("{id:10} ")),
            styles.span("text", format!("{name:20} ")),
            styles.span("text.muted", services.clone()),
        ]
    });
    Menu { title: &title, width: PALETTE_WIDTH, index: menu.index, keys }.draw(styles, buf, out, rows);
}

/// Draws the choice of a log's sources.
pub(crate) fn log_sources(styles: &Styles, buf: &mut Buffer, out: &mut Targets, menu: &SourceMenu) {
    let keys = &[("space", "choose"), ("o", "only"), ("a", "all"), ("enter", "show")];
    let rows = menu.sources.iter().map(|(name, colour, chosen)| {
        let glyph = if *chosen { styles.glyphs.full } else { styles.glyphs.empty };
        let role = super::logs::source_role(*colour);
        let role = if *chosen { role.as_str() } else { "text.muted" };
        vec![styles.span(role, format!("{glyph} {name}"))]
    });
    let title = "Sources of the log";
    Menu { title, width: MIN_OPEN_WIDTH, index: menu.index, keys }.draw(styles, buf, out, rows);
}
