//! A table: columns that give way by rank where there is no room, numbers at the right, one selected row.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::spans;
use crate::tui::app::Model;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// The least width that is of use.
    pub least: usize,
    /// The most width that is of use.
    pub most: usize,
    /// Whether its text stands at the right.
    pub right: bool,
    /// The order in which columns give way: the lowest goes first.
    pub rank: u8,
}

/// A table.
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, as many cells as columns.
    pub rows: Vec<Vec<Line<'static>>>,
    /// The selected row.
    pub selected: Option<usize>,
    /// Whether the table has the keys.
    pub focused: bool,
    /// Whether there is a line of headings.
    pub headings: bool,
}

const GAP: usize = 2;

/// The widths of the columns; 0 for one that gave way.
#[must_use]
pub fn widths(columns: &[Column], room: usize) -> Vec<usize> {
    let mut kept: Vec<bool> = vec![true; columns.len()];
    let needed = |kept: &[bool]| -> usize {
        let least = columns.iter().zip(kept).filter(|(_, kept)| **kept).map(|(column, _)| column.least + GAP);
        least.sum::<usize>().saturating_sub(GAP)
    };
    while needed(&kept) > room && kept.iter().filter(|kept| **kept).count() > 1 {
        let lowest = (0..columns.len()).filter(|&index| kept[index]).min_by_key(|&index| columns[index].rank);
        if let Some(index) = lowest {
            kept[index] = false;
        }
    }
    let mut widths: Vec<usize> = columns
        .iter()
        .zip(&kept)
        .map(|(column, kept)| if *kept { column.least.min(room) } else { 0 })
        .collect();
    let mut spare = room.saturating_sub(needed(&kept));
    // What is left goes to those that can use it, the highest rank first.
    let mut order: Vec<usize> = (0..columns.len()).filter(|&index| kept[index]).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(columns[index].rank));
    for index in order {
        let more = columns[index].most.saturating_sub(widths[index]).min(spare);
        widths[index] += more;
        spare -= more;
    }
    widths
}

impl Table {
    /// Draws it.
    pub fn draw(self, model: &Model, buf: &mut Buffer, area: Rect) {
        let area = area.intersection(buf.area);
        // One column for the pointer, one before it and one behind it.
        if area.width < 5 || area.height == 0 {
            return;
        }
        let glyphs = &model.options.glyphs;
        let widths = widths(&self.columns, usize::from(area.width) - 4);
        let mut line_area = Rect { height: 1, ..area };
        if self.headings {
            let heading = model.theme.style("heading");
            let cells =
                self.columns.iter().map(|column| Line::styled(column.title.clone(), heading)).collect();
            put_cells(buf, line_area, &self.columns, &widths, cells, glyphs.ellipsis);
            line_area.y += 1;
        }
        for (index, cells) in self.rows.into_iter().enumerate() {
            if line_area.y >= area.y + area.height {
                break;
            }
            put_cells(buf, line_area, &self.columns, &widths, cells, glyphs.ellipsis);
            if self.selected == Some(index) {
                let role = if self.focused { "selection" } else { "selection.unfocused" };
                if self.focused {
                    let pointer = Span::styled(glyphs.pointer, model.theme.style("key"));
                    buf.set_span(line_area.x + 1, line_area.y, &pointer, 1);
                }
                buf.set_style(line_area, model.theme.style(role));
            }
            line_area.y += 1;
        }
    }
}

fn put_cells(
    buf: &mut Buffer,
    area: Rect,
    columns: &[Column],
    widths: &[usize],
    cells: Vec<Line<'static>>,
    ellipsis: &str,
) {
    let mut x = area.x + 3;
    for ((column, &wide), cell) in columns.iter().zip(widths).zip(cells) {
        if wide == 0 {
            continue;
        }
        let wide = u16::try_from(wide).unwrap_or(u16::MAX);
        let place = Rect { x, width: wide, ..area };
        if column.right {
            spans::put_right(buf, place, cell, ellipsis);
        } else {
            spans::put(buf, place, cell, ellipsis);
        }
        x += wide + 2;
    }
}
