//! Presenter mode: one environment at a time, for a standup. It shows neither costs nor addresses, and none of its keys changes
//! anything.

use std::time::Duration;

use super::environments::EnvironmentsPane;
use super::rows::EnvironmentRow;
use crate::domain::RecordId;
use crate::domain::environment::EnvironmentState;

mod actions;
pub(crate) mod card;

/// How long each environment is shown while they take turns. In real time, because people read it.
pub(crate) const CYCLE_TIME: Duration = Duration::from_secs(15);

/// Which environment is shown.
#[derive(Debug, Clone, Default)]
pub struct Presenter {
    /// `None` if there is none to show.
    pub(crate) record: Option<RecordId>,
    /// Its place among those that can be shown.
    pub(crate) index: usize,
    /// The number of those that can be shown.
    pub(crate) count: usize,
    /// When the next one is shown, in real time; `None` unless they take turns.
    cycle_at: Option<Duration>,
}

/// Whether presenter mode shows it: what ends does not matter to a standup.
fn is_shown(row: &EnvironmentRow) -> bool {
    let ending = [EnvironmentState::Expired, EnvironmentState::Reaping, EnvironmentState::Terminating];
    !ending.contains(&row.state)
}

/// Returns those environments of the table that presenter mode shows.
fn shown(pane: &EnvironmentsPane) -> impl Iterator<Item = &EnvironmentRow> {
    pane.visible().filter(|row| is_shown(row))
}

impl Presenter {
    /// Starts at `current`, or at the first one behind it if that is ending.
    pub(crate) fn new(pane: &EnvironmentsPane, current: Option<&EnvironmentRow>) -> Self {
        let record = current.map(|row| &row.record);
        let before = pane.visible().take_while(|row| Some(&row.record) != record);
        let before = before.filter(|row| is_shown(row)).count();
        let mut presenter = Self { record: record.cloned(), index: before, ..Self::default() };
        presenter.settle(pane, true);
        presenter
    }

    /// Finds the environment again after the rows changed. If it is gone or ends, the one that took its place is shown; behind the last
    /// one, the first if `wraps`, else the last.
    pub(super) fn settle(&mut self, pane: &EnvironmentsPane, wraps: bool) {
        let shown: Vec<&RecordId> = shown(pane).map(|row| &row.record).collect();
        let found = shown.iter().position(|record| Some(*record) == self.record.as_ref());
        let last = shown.len().saturating_sub(1);
        let fallback = if wraps && self.index > last { 0 } else { self.index.min(last) };
        self.index = found.unwrap_or(fallback);
        self.count = shown.len();
        self.record = shown.get(self.index).map(|record| (*record).clone());
    }

    /// Moves by one, from the last one to the first, or by more, at most to either end. The environment is shown for the whole of its
    /// time.
    pub(super) fn move_by(&mut self, pane: &EnvironmentsPane, by: isize, now: Duration) {
        let Some(last) = self.count.checked_sub(1) else { return };
        self.index = match by {
            1 if self.index == last => 0,
            -1 if self.index == 0 => last,
            _ => self.index.saturating_add_signed(by).min(last),
        };
        self.record = shown(pane).nth(self.index).map(|row| row.record.clone());
        self.cycle_at = self.cycle_at.map(|_| now + CYCLE_TIME);
    }

    /// Lets the environments take turns, or stops that.
    pub(super) fn toggle_cycling(&mut self, now: Duration) {
        self.cycle_at = if self.cycles() { None } else { Some(now + CYCLE_TIME) };
    }

    /// Whether the environments take turns.
    pub(crate) fn cycles(&self) -> bool {
        self.cycle_at.is_some()
    }

    /// Returns when the next environment takes its turn, in real time.
    pub(super) fn cycles_at(&self) -> Option<Duration> {
        self.cycle_at.filter(|_| self.count > 1)
    }
}
