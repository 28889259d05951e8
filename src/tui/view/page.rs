//! A page: lines that the user scrolls through.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::Span;

use crate::tui::app::pages::Visible;
use crate::tui::styles::Styles;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;

pub(crate) fn draw(styles: &Styles, buf: &mut Buffer, area: Rect, title: Vec<Span<'static>>, page: Visible) {
    let Visible { lines, first, total } = page;
    let mut frame = Frame::new(title, "border.focus");
    if total > lines.len() {
        let last = first + lines.len();
        frame.right.push(styles.span("text.muted", format!("{}-{last} of {total}", first + 1)));
    }
    let inner = frame.draw(styles, buf, area).inner(Margin::new(1, 0));
    line::put_all(buf, inner, lines, styles.glyphs.ellipsis);
}
