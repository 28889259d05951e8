//! Frames with titles.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::spans;
use crate::tui::app::Model;

/// A frame.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The title at the left.
    pub title: Vec<Span<'static>>,
    /// What else is said, at the right; it goes first where there is no room.
    pub right: Vec<Span<'static>>,
    /// What else is said, at the right of the lower edge.
    pub bottom: Vec<Span<'static>>,
    /// Whether it has the keys.
    pub focused: bool,
}

impl Frame {
    /// Draws it and gives what is inside.
    pub fn draw(self, model: &Model, buf: &mut Buffer, area: Rect) -> Rect {
        let area = area.intersection(buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect::default();
        }
        let glyphs = &model.options.glyphs;
        let role = match (self.focused, &model.options.demo, model.options.read_only) {
            (true, ..) => "border.focus",
            (false, Some(_), _) => "border.demo",
            (false, None, true) => "border.read-only",
            (false, None, false) => "border",
        };
        let block = Block::bordered().border_set(glyphs.border).border_style(model.theme.style(role));
        let inner = block.inner(area);
        block.render(area, buf);
        let top = Rect { x: area.x + 2, width: area.width.saturating_sub(4), height: 1, ..area };
        let title = padded(self.title);
        let used = spans::width(&title);
        spans::put(buf, top, title, glyphs.ellipsis);
        let right = padded(self.right);
        if used + spans::width(&right) < usize::from(top.width) {
            spans::put_right(buf, top, right, glyphs.ellipsis);
        }
        let edge = Rect { y: area.y + area.height - 1, ..top };
        spans::put_right(buf, edge, padded(self.bottom), glyphs.ellipsis);
        inner
    }
}

fn padded(spans: Vec<Span<'static>>) -> Line<'static> {
    if spans.is_empty() {
        return Line::default();
    }
    let mut all = vec![Span::raw(" ")];
    all.extend(spans);
    all.push(Span::raw(" "));
    Line::from(all)
}

/// An empty place in the middle of the screen, as large as wanted and as fits, with a frame.
pub fn dialog(model: &Model, buf: &mut Buffer, title: &str, width: u16, height: u16) -> Rect {
    let screen = buf.area;
    let width = width.saturating_add(4).min(screen.width);
    let height = height.saturating_add(2).min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 3,
        width,
        height,
    };
    // What lies below steps back.
    buf.set_style(screen, Modifier::DIM);
    Clear.render(area, buf);
    buf.set_style(area, model.theme.style("background"));
    let title = vec![Span::styled(title.to_owned(), model.theme.style("text.strong"))];
    let inner = Frame { title, focused: true, ..Frame::default() }.draw(model, buf, area);
    Rect { x: inner.x + inner.width.min(1), width: inner.width.saturating_sub(2), ..inner }
}
