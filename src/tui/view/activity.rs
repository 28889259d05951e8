//! The activity: the events of the audit log, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};

use crate::tui::app::activity_pane::ActivityPane;
use crate::tui::styles::Styles;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::{line, table};

pub(crate) struct ActivityList<'a> {
    pub(crate) pane: &'a ActivityPane,
    pub(crate) focused: bool,
    /// The theme role of the border.
    pub(crate) border: &'static str,
    /// What the pane says while it is empty.
    pub(crate) placeholder: &'static str,
}

impl ActivityList<'_> {
    pub(crate) fn draw(&self, styles: &Styles, buf: &mut Buffer, area: Rect) {
        let pane = self.pane;
        let title = styles.span(if self.focused { "text.strong" } else { "text" }, "Activity");
        let mut frame = Frame::new(vec![title], self.border);
        if pane.offset > 0 {
            frame.right.push(styles.span("text.muted", format!("{} newer", pane.offset)));
        }
        let inner = frame.draw(styles, buf, area);
        if pane.shown_len() == 0 {
            table::placeholder(styles, buf, inner, self.placeholder);
            return;
        }
        let place = inner.inner(Margin::new(1, 0));
        let columns = usize::from(place.width);
        let lines = pane.shown().skip(pane.offset).map(|event| styles.event_within(event, columns));
        line::put_all(buf, place, lines, styles.glyphs.ellipsis);
    }
}
