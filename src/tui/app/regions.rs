//! The regions of the screen. The view draws into them, and mouse positions are looked up in them.

use ratatui::layout::{Constraint, Layout, Position, Rect, Size};

/// A pane of the main screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Environments,
    Pool,
    Activity,
}

/// What the regions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Content {
    pub(crate) size: Size,
    pub(crate) has_notice: bool,
    pub(crate) toasts: usize,
    /// The rows of the lower panes and the focused pane; `None` on other screens than the main one.
    pub(crate) lower: Option<(usize, Pane)>,
}

/// The regions of the screen; one without room is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Regions {
    content: Content,
    pub(crate) header: Rect,
    /// The most severe problem, on one line.
    pub(crate) notice: Rect,
    /// The environments, or the open page or log.
    pub(crate) body: Rect,
    /// What is known about the selected environment, beside the table.
    pub(crate) summary: Rect,
    pub(crate) pool: Rect,
    pub(crate) activity: Rect,
    pub(crate) toasts: Rect,
    pub(crate) footer: Rect,
}

/// A smaller screen has no room for a dialog.
pub(crate) const MIN_SIZE: Size = Size::new(40, 8);

/// The most toasts that are shown at a time.
const MAX_TOASTS: usize = 3;

/// The minimum width of a screen with a summary, and the maximum width of the summary.
const SUMMARY_FROM: u16 = 140;
const MAX_SUMMARY: u16 = 76;

impl Regions {
    /// Divides the screen again if the content has changed.
    pub(crate) fn update(&mut self, content: Content) {
        if self.content != content {
            *self = Self::new(content);
        }
    }

    /// Divides the screen. As its height shrinks, first the lower panes go, then the notice, then the footer.
    fn new(content: Content) -> Self {
        let screen = Rect::from((Position::ORIGIN, content.size));
        let mut rest = screen.height;
        let mut take = |wanted: u16, needed: u16| {
            let height = if rest >= needed { wanted.min(rest) } else { 0 };
            rest -= height;
            (height, rest)
        };
        let (header, _) = take(1, 1);
        let (footer, _) = take(1, 4);
        let (notice, rest) = take(u16::from(content.has_notice), 8);
        let toasts = u16::try_from(content.toasts.min(MAX_TOASTS)).unwrap_or(u16::MAX).min(rest / 4);
        let (toasts, rest) = take(toasts, 0);
        let lower = content.lower.map_or(0, |(rows, _)| {
            let wanted = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
            // At least three fifths of the height are for the environments.
            wanted.clamp(4, (rest * 2 / 5).max(4))
        });
        let (lower, body) = take(lower, 11);
        let heights = [header, notice, body, lower, toasts, footer].map(Constraint::Length);
        let [header, notice, body, lower, toasts, footer] = Layout::vertical(heights).areas(screen);
        let (pool, activity) = match content.lower {
            Some((_, pane)) => split_lower(lower, pane),
            None => (Rect::default(), Rect::default()),
        };
        let (body, summary) =
            if content.lower.is_some() { split_body(body) } else { (body, Rect::default()) };
        Self { content, header, notice, body, summary, pool, activity, toasts, footer }
    }

    /// Returns the number of rows of the table of environments.
    pub(crate) fn environment_rows(&self) -> usize {
        usize::from(self.body.height.saturating_sub(3))
    }

    /// Returns the number of rows of the pool.
    pub(crate) fn pool_rows(&self) -> usize {
        usize::from(self.pool.height.saturating_sub(2))
    }

    /// Returns the number of rows of the activity.
    pub(crate) fn activity_rows(&self) -> usize {
        usize::from(self.activity.height.saturating_sub(2))
    }

    /// Returns the height and width of a page or a log, inside its border and padding.
    pub(crate) fn page_size(&self) -> (usize, usize) {
        (usize::from(self.body.height.saturating_sub(2)), usize::from(self.body.width.saturating_sub(4)))
    }

    /// Returns the number of rows of the page of the audit log: below the column titles, above the selected event's details.
    pub(crate) fn activity_page_rows(&self) -> usize {
        let inside = usize::from(self.body.height.saturating_sub(3));
        inside - self.event_rows()
    }

    /// Returns the number of rows with the details of the selected event, with the line above them; none if the page is too low.
    pub(crate) fn event_rows(&self) -> usize {
        match self.body.height {
            20.. => 6,
            10.. => 4,
            _ => 0,
        }
    }

    /// Whether the lower panes have room.
    pub(crate) fn has_lower(&self) -> bool {
        !self.pool.is_empty() || !self.activity.is_empty()
    }

    /// Returns the column inside the table of environments if the position is on its titles.
    pub(crate) fn title_at(&self, x: u16, y: u16) -> Option<u16> {
        let inside = self.body.contains(Position::new(x, y)) && y == self.body.y + 1;
        (inside && self.content.lower.is_some()).then(|| (x - self.body.x).saturating_sub(1))
    }

    /// Returns the pane at a position, and the index of the visible row if the position is on one.
    pub(crate) fn pane_at(&self, x: u16, y: u16) -> Option<(Pane, Option<usize>)> {
        let at = Position::new(x, y);
        // `head` is the border, with the column titles if the pane has any.
        let row = |area: Rect, head: u16| {
            let inside = y >= area.y + head && y + 1 < area.bottom();
            inside.then(|| usize::from(y - area.y - head))
        };
        [(Pane::Environments, self.body, 2), (Pane::Pool, self.pool, 1), (Pane::Activity, self.activity, 1)]
            .into_iter()
            .find(|(_, area, _)| area.contains(at))
            .map(|(pane, area, head)| (pane, row(area, head)))
    }
}

/// Divides the body between the table and the summary, if it is wide enough for both.
fn split_body(body: Rect) -> (Rect, Rect) {
    if body.width < SUMMARY_FROM {
        return (body, Rect::default());
    }
    let width = (body.width * 3 / 8).min(MAX_SUMMARY);
    let [table, summary] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).areas(body);
    (table, summary)
}

/// Divides the lower area between pool and activity. If it is too narrow for both, only one is shown: the activity if it
/// has the focus, else the pool.
fn split_lower(lower: Rect, pane: Pane) -> (Rect, Rect) {
    let pool_width = match lower.width {
        72.. => lower.width / 2,
        _ if pane == Pane::Activity => return (Rect::default(), lower),
        _ => return (lower, Rect::default()),
    };
    let [pool, activity] =
        Layout::horizontal([Constraint::Length(pool_width), Constraint::Fill(1)]).areas(lower);
    (pool, activity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_every_screen_without_overlap() {
        let widths = [1, 30, 71, 72, 99, 100, 139, 140, 240];
        for (width, height) in
            widths.into_iter().flat_map(|width| (1..=50).map(move |height| (width, height)))
        {
            for pane in [Pane::Environments, Pane::Activity] {
                let size = Size::new(width, height);
                let content = Content { size, has_notice: true, toasts: 2, lower: Some((7, pane)) };
                let regions = Regions::new(content);
                let parts = [
                    regions.header,
                    regions.notice,
                    regions.body,
                    regions.summary,
                    regions.pool,
                    regions.activity,
                    regions.toasts,
                    regions.footer,
                ];
                let covered: u32 = parts.iter().map(|part| part.area()).sum();
                assert_eq!(covered, u32::from(width) * u32::from(height), "{size}: {regions:?}");
            }
        }
    }
}
