//! A text field of one row.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use tui_input::Input;

use crate::tui::text;

/// Draws the part of a text field around its cursor; returns the cursor's position.
pub(crate) fn draw(buf: &mut Buffer, area: Rect, input: &Input, style: Style) -> Option<Position> {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return None;
    }
    buf.set_style(Rect { height: 1, ..area }, style);
    let columns = usize::from(area.width).saturating_sub(1);
    let scroll = input.visual_scroll(columns.max(1));
    let visible = text::skip(input.value(), scroll);
    buf.set_stringn(area.x, area.y, visible, usize::from(area.width), style);
    let cursor = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(u16::MAX);
    Some(Position::new(area.x + cursor.min(area.width - 1), area.y))
}
