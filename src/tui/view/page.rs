//! A page: lines that the user scrolls through.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};

use crate::tui::styles::Styles;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;

pub(crate) fn draw(
    styles: &Styles,
    buf: &mut Buffer,
    area: Rect,
    title: Vec<Span<'static>>,
    lines: Vec<Line<'static>>,
    scroll: usize,
) {
    let height = usize::from(area.height.saturating_sub(2));
    // The page can have become shorter since the user scrolled.
    let scroll = scroll.min(lines.len().saturating_sub(height));
    let mut frame = Frame::new(title, "border.focus");
    if lines.len() > height {
        let last = (scroll + height).min(lines.len());
        frame.right.push(styles.span("text.muted", format!("{}-{last} of {}", scroll + 1, lines.len())));
    }
    let inner = frame.draw(styles, buf, area).inner(Margin::new(1, 0));
    line::put_all(buf, inner, lines.into_iter().skip(scroll), styles.glyphs.ellipsis);
}
