//! Where the parts of the screen are. The view draws there, and the mouse is looked up there.

use ratatui::layout::{Position, Rect};

use super::selection::Selection;
use super::{Model, Pane, Screen};
use crate::domain::{Number, RecordId};

/// The parts of the main screen; a part that has no room is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Regions {
    /// The line on top.
    pub header: Rect,
    /// What is wrong, in one line.
    pub notice: Rect,
    /// The environments, or whatever screen is open.
    pub body: Rect,
    /// The warm pool.
    pub pool: Rect,
    /// The activity.
    pub activity: Rect,
    /// Messages.
    pub toasts: Rect,
    /// The keys.
    pub footer: Rect,
}

impl Model {
    /// Where the parts are.
    #[must_use]
    pub fn regions(&self) -> Regions {
        let mut rest = Rect::new(0, 0, self.size.width, self.size.height);
        let mut regions = Regions { header: take_top(&mut rest, 1), ..Regions::default() };
        if rest.height >= 4 {
            regions.footer = take_bottom(&mut rest, 1);
        }
        if rest.height >= 8 && self.notice().is_some() {
            regions.notice = take_top(&mut rest, 1);
        }
        let toasts = u16::try_from(self.toasts.len()).unwrap_or(u16::MAX).min(3).min(rest.height / 4);
        regions.toasts = take_bottom(&mut rest, toasts);
        if matches!(self.screen, Screen::Main) && rest.height >= 11 {
            let wanted =
                u16::try_from(self.pool.rows.len().max(self.activity.len().min(6))).unwrap_or(u16::MAX);
            // The environments keep three fifths of the height.
            let height = wanted.saturating_add(2).clamp(4, (rest.height * 2 / 5).max(4));
            let mut lower = take_bottom(&mut rest, height);
            if lower.width >= 100 {
                let pool = Rect { width: lower.width * 3 / 5, ..lower };
                regions.pool = pool;
                lower.x += pool.width;
                lower.width -= pool.width;
                regions.activity = lower;
            } else if lower.width >= 72 {
                let pool = Rect { width: lower.width / 2 + 4, ..lower };
                regions.pool = pool;
                lower.x += pool.width;
                lower.width -= pool.width;
                regions.activity = lower;
            } else if self.pane == Pane::Activity {
                // One of them, where there is no room for both: the one that has the keys.
                regions.activity = lower;
            } else {
                regions.pool = lower;
            }
        }
        regions.body = rest;
        regions
    }

    /// How many rows the environments have.
    #[must_use]
    pub fn environment_rows(&self) -> usize {
        usize::from(self.regions().body.height.saturating_sub(3))
    }

    /// How many rows the pool has.
    #[must_use]
    pub fn pool_rows(&self) -> usize {
        usize::from(self.regions().pool.height.saturating_sub(2))
    }

    /// How many lines the activity has.
    #[must_use]
    pub fn activity_rows(&self) -> usize {
        usize::from(self.regions().activity.height.saturating_sub(2))
    }

    /// How many lines and columns a page or a log has.
    #[must_use]
    pub fn page_size(&self) -> (usize, usize) {
        let body = self.regions().body;
        (usize::from(body.height.saturating_sub(2)), usize::from(body.width.saturating_sub(4)))
    }

    /// The environments in the order in which they are shown.
    #[must_use]
    pub fn environment_keys(&self) -> Vec<RecordId> {
        self.shown.iter().map(|&index| self.all[index].record.clone()).collect()
    }

    /// The databases in the order in which they are shown.
    #[must_use]
    pub fn pool_keys(&self) -> Vec<Number> {
        self.pool.rows.iter().map(|row| row.number).collect()
    }

    /// The selections follow what they mean.
    pub fn follow(&mut self) {
        let (keys, height) = (self.environment_keys(), self.environment_rows());
        self.environments.follow(&keys, height);
        if self.pane != Pane::Pool {
            // Nobody has scrolled there: what is free comes first.
            self.databases = Selection::default();
        }
        let (keys, height) = (self.pool_keys(), self.pool_rows());
        self.databases.follow(&keys, height);
    }

    /// Has what is selected in sight, and nothing scrolled past its end.
    pub fn reveal(&mut self) {
        let (rows, height) = (self.shown.len(), self.environment_rows());
        self.environments.reveal(rows, height);
        let (rows, height) = (self.pool.rows.len(), self.pool_rows());
        self.databases.reveal(rows, height);
        let most = self.activity.len().saturating_sub(self.activity_rows().max(1));
        self.activity_offset = self.activity_offset.min(most);
    }

    /// Selects an environment.
    pub fn select_environment(&mut self, record: &RecordId) {
        let (keys, height) = (self.environment_keys(), self.environment_rows());
        if let Some(index) = keys.iter().position(|key| key == record) {
            self.environments.select(index, &keys, height);
        }
    }

    /// The pane at a place, and the row in it.
    #[must_use]
    pub fn pane_at(&self, x: u16, y: u16) -> Option<(Pane, Option<usize>)> {
        let regions = self.regions();
        let at = Position::new(x, y);
        let row = |area: Rect, head: u16| {
            let inside = y >= area.y + head && y + 1 < area.y + area.height;
            inside.then(|| usize::from(y - area.y - head))
        };
        if regions.body.contains(at) {
            Some((Pane::Environments, row(regions.body, 2)))
        } else if regions.pool.contains(at) {
            Some((Pane::Pool, row(regions.pool, 1)))
        } else if regions.activity.contains(at) {
            Some((Pane::Activity, row(regions.activity, 1)))
        } else {
            None
        }
    }

    /// The most pressing thing that is wrong: what it is called, and the sentence.
    #[must_use]
    pub fn notice(&self) -> Option<(crate::domain::health::Level, String)> {
        use crate::domain::health::Level;
        if let Some(trouble) = &self.last_error {
            return Some((Level::Error, trouble.sentence()));
        }
        let first = self.pool.verdicts.iter().find(|verdict| verdict.level > Level::Info)?;
        Some((first.level, first.message.clone()))
    }
}

fn take_top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    taken
}

fn take_bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.y + rest.height, height, ..*rest }
}
