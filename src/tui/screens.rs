//! The screens. They read the model only.

pub mod chrome;
pub mod dialogs;
pub mod environments;
pub mod logs;
pub mod pages;
pub mod pool;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use super::app::{Model, Screen};

/// Draws everything, and says where the cursor is to stand.
pub fn draw(model: &Model, buf: &mut Buffer) -> Option<Position> {
    let screen = Rect::new(0, 0, model.size.width, model.size.height).intersection(buf.area);
    buf.set_style(screen, model.theme.style("background"));
    let regions = model.regions();
    chrome::header(model, buf, regions.header);
    chrome::notice(model, buf, regions.notice);
    let mut cursor = match &model.screen {
        Screen::Main => {
            pool::pool(model, buf, regions.pool);
            pool::activity(model, buf, regions.activity);
            environments::draw(model, buf, regions.body)
        }
        Screen::Logs(view) => logs::draw(model, view, buf, regions.body),
        Screen::Details(_) | Screen::Help | Screen::Health => {
            pages::draw(model, buf, regions.body);
            None
        }
    };
    chrome::toasts(model, buf, regions.toasts);
    chrome::footer(model, buf, regions.footer);
    if let Some(dialog) = &model.dialog {
        cursor = dialogs::draw(model, dialog, buf);
    }
    cursor.filter(|at| buf.area.contains(*at))
}

/// How many lines the open page has at this width.
#[must_use]
pub fn page_length(model: &Model, width: usize) -> usize {
    pages::lines(model, width).len()
}

/// A piece of text in the style of a role.
fn span(model: &Model, role: &str, content: impl Into<String>) -> Span<'static> {
    Span::styled(content.into(), model.theme.style(role))
}

/// A text field: as much of it as fits, and where its cursor stands.
fn field(buf: &mut Buffer, area: Rect, input: &tui_input::Input, style: Style) -> Option<Position> {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return None;
    }
    buf.set_style(Rect { height: 1, ..area }, style);
    let columns = usize::from(area.width).saturating_sub(1);
    let scroll = input.visual_scroll(columns.max(1));
    let visible = super::text::skip(input.value(), scroll);
    buf.set_stringn(area.x, area.y, visible, usize::from(area.width), style);
    let at = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(u16::MAX);
    Some(Position::new(area.x + at.min(area.width - 1), area.y))
}
