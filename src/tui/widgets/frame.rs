//! Borders with titles.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Margin, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::line;
use crate::tui::styles::Styles;

/// A border around a pane, a page or a dialog.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) title: Vec<Span<'static>>,
    /// Text at the right of the upper edge; left out if the title leaves no room.
    pub(crate) right: Vec<Span<'static>>,
    /// Text at the right of the lower edge.
    pub(crate) bottom: Vec<Span<'static>>,
    /// The theme role of the border.
    pub(crate) role: &'static str,
}

impl Frame {
    pub(crate) fn new(title: Vec<Span<'static>>, role: &'static str) -> Self {
        Self { title, right: Vec::new(), bottom: Vec::new(), role }
    }

    /// Draws the border; returns the area inside.
    pub(crate) fn draw(self, styles: &Styles, buf: &mut Buffer, area: Rect) -> Rect {
        let area = area.intersection(buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect::default();
        }
        let glyphs = &styles.glyphs;
        let edge = Span::styled(glyphs.border.horizontal_top, styles.frame(self.role));
        let room = usize::from(area.width.saturating_sub(4));
        let fit = |spans| line::fit(padded(spans), room, glyphs.ellipsis);
        let (mut title, mut right, mut bottom) = (fit(self.title), fit(self.right), fit(self.bottom));
        if title.width() + right.width() >= room {
            right = Line::default();
        }
        // One column of border between the corner and a title.
        title.spans.insert(0, edge.clone());
        let block = Block::bordered()
            .border_set(glyphs.border)
            .border_style(styles.frame(self.role))
            .title_top(title);
        let end = |line: &mut Line<'static>| {
            line.spans.push(edge.clone());
            line.clone().right_aligned()
        };
        let block = if right.spans.is_empty() { block } else { block.title_top(end(&mut right)) };
        let block = if bottom.spans.is_empty() { block } else { block.title_bottom(end(&mut bottom)) };
        let inner = block.inner(area);
        block.render(area, buf);
        inner
    }
}

fn padded(mut spans: Vec<Span<'static>>) -> Line<'static> {
    if !spans.is_empty() {
        spans.insert(0, Span::raw(" "));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

/// Dims the screen and draws an empty dialog in its upper middle. `width` and `height` are those of the content and
/// shrink to fit the screen. Returns the area of the content.
pub(crate) fn dialog(styles: &Styles, buf: &mut Buffer, title: &str, width: u16, height: u16) -> Rect {
    let screen = buf.area;
    let height = height.saturating_add(2).min(screen.height);
    let area = Rect { y: screen.y + (screen.height - height) / 3, height, ..screen }
        .centered_horizontally(Constraint::Length(width.saturating_add(4)));
    buf.set_style(screen, Modifier::DIM);
    Clear.render(area, buf);
    buf.set_style(area, styles.role("background"));
    let title = vec![styles.span("text.strong", title)];
    let mut frame = Frame::new(title, "border.focus");
    if styles.production {
        // A dialog may cover the header, which has the word too.
        frame.bottom.push(styles.production());
    }
    frame.draw(styles, buf, area).inner(Margin::new(1, 0))
}
