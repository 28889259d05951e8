//! A table whose columns shrink and disappear by priority, with one selected row.

use std::cmp::Reverse;

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::line;
use crate::tui::styles::Styles;

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// The smallest width at which the column is shown.
    pub(crate) min: usize,
    /// The width beyond which the column does not grow.
    pub(crate) max: usize,
    /// Left or right.
    pub(crate) alignment: Alignment,
    /// The column with the lowest priority is dropped first; the one with the highest grows first.
    pub(crate) priority: u8,
}

pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    /// The visible rows, with one cell per column.
    pub(crate) rows: Vec<Vec<Line<'static>>>,
    /// The index in `rows` of the selected row.
    pub(crate) selected: Option<usize>,
    /// Whether the table's pane has the focus.
    pub(crate) focused: bool,
    /// Whether to show the columns' titles.
    pub(crate) header: bool,
}

/// Columns between two cells.
const GAP: u16 = 2;

/// Columns left of the first cell: a space, the pointer, a space.
const POINTER: u16 = 3;

/// Columns left of the first and right of the last cell.
pub(crate) const PADDING: u16 = POINTER + 1;

/// Distributes `room` among the columns; a dropped column gets 0. The last column is never dropped.
pub(crate) fn widths(columns: &[Column], room: usize) -> Vec<usize> {
    let gap = usize::from(GAP);
    let mut kept: Vec<bool> = vec![true; columns.len()];
    let needed = |kept: &[bool]| -> usize {
        let mins = columns.iter().zip(kept).filter(|(_, kept)| **kept).map(|(column, _)| column.min + gap);
        mins.sum::<usize>().saturating_sub(gap)
    };
    while needed(&kept) > room && kept.iter().filter(|kept| **kept).count() > 1 {
        let lowest =
            (0..columns.len()).filter(|&index| kept[index]).min_by_key(|&index| columns[index].priority);
        if let Some(index) = lowest {
            kept[index] = false;
        }
    }
    let mut widths: Vec<usize> = columns
        .iter()
        .zip(&kept)
        .map(|(column, kept)| if *kept { column.min.min(room) } else { 0 })
        .collect();
    let mut spare = room.saturating_sub(needed(&kept));
    let mut order: Vec<usize> = (0..columns.len()).filter(|&index| kept[index]).collect();
    order.sort_by_key(|&index| Reverse(columns[index].priority));
    for index in order {
        let more = columns[index].max.saturating_sub(widths[index]).min(spare);
        widths[index] += more;
        spare -= more;
    }
    widths
}

impl Table {
    pub(crate) fn draw(self, styles: &Styles, buf: &mut Buffer, area: Rect) {
        let area = area.intersection(buf.area);
        if area.width <= PADDING {
            return;
        }
        let glyphs = &styles.glyphs;
        let widths = widths(&self.columns, usize::from(area.width - PADDING));
        let mut lines = area.rows();
        if self.header
            && let Some(line) = lines.next()
        {
            let titles = self.columns.iter().map(|column| Line::from(styles.span("heading", column.title)));
            put_cells(buf, line, &self.columns, &widths, titles, glyphs.ellipsis);
        }
        for ((index, cells), line) in self.rows.into_iter().enumerate().zip(lines) {
            put_cells(buf, line, &self.columns, &widths, cells, glyphs.ellipsis);
            if self.selected == Some(index) {
                let role = if self.focused { "selection" } else { "selection.unfocused" };
                if self.focused {
                    let pointer = Span::styled(glyphs.pointer, styles.role("key"));
                    buf.set_span(line.x + 1, line.y, &pointer, 1);
                }
                buf.set_style(line, styles.role(role));
            }
        }
    }
}

/// Returns the index of the column at `x` in a table of this width; the gap after a column belongs to it.
pub(crate) fn column_at(columns: &[Column], width: u16, x: u16) -> Option<usize> {
    let mut end = POINTER;
    widths(columns, usize::from(width.saturating_sub(PADDING))).into_iter().position(|width| {
        if width == 0 {
            return false;
        }
        end = end.saturating_add(u16::try_from(width).unwrap_or(u16::MAX)).saturating_add(GAP);
        (POINTER..end).contains(&x)
    })
}

/// Draws a text in the place of the rows of an empty table.
pub(crate) fn placeholder(styles: &Styles, buf: &mut Buffer, area: Rect, text: &str) {
    let x = area.x + area.width.min(POINTER);
    let place = Rect { x, width: area.width.saturating_sub(POINTER), ..area };
    line::put(buf, place, styles.span("text.muted", text), styles.glyphs.ellipsis);
}

fn put_cells(
    buf: &mut Buffer,
    area: Rect,
    columns: &[Column],
    widths: &[usize],
    cells: impl IntoIterator<Item = Line<'static>>,
    ellipsis: &str,
) {
    let mut x = area.x + POINTER;
    for ((column, &width), cell) in columns.iter().zip(widths).zip(cells) {
        if width == 0 {
            continue;
        }
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        let place = Rect { x, width, ..area };
        match column.alignment {
            Alignment::Right => line::put_right(buf, place, cell, ellipsis),
            _ => line::put(buf, place, cell, ellipsis),
        }
        x += width + GAP;
    }
}
