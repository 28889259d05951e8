//! What the keys of presenter mode and the time change.

use std::time::Duration;

use crate::tui::app::model::{Model, Screen};

impl Model {
    /// Shows another environment.
    pub(in crate::tui::app) fn show_next(&mut self, by: isize) {
        if let Screen::Present(presenter) = &mut self.screen {
            presenter.move_by(&self.environments, by, self.now.real);
        }
    }

    pub(in crate::tui::app) fn toggle_cycling(&mut self) {
        if let Screen::Present(presenter) = &mut self.screen {
            presenter.toggle_cycling(self.now.real);
        }
    }

    /// Returns when the next environment takes its turn, in real time.
    pub(in crate::tui::app) fn cycles_at(&self) -> Option<Duration> {
        let Screen::Present(presenter) = &self.screen else { return None };
        presenter.cycles_at()
    }

    /// Shows the next environment if its turn has come.
    pub(in crate::tui::app) fn cycle_if_due(&mut self) {
        if self.cycles_at().is_some_and(|at| self.now.real >= at) {
            self.show_next(1);
        }
    }

    /// To be called after the rows changed.
    pub(in crate::tui::app) fn settle_presenter(&mut self) {
        if let Screen::Present(presenter) = &mut self.screen {
            presenter.settle(&self.environments, false);
        }
    }

    /// Selects the environment that presenter mode showed last in the table, because it is what the user looks for there.
    pub(in crate::tui::app) fn select_presented(&mut self) {
        if let Screen::Present(presenter) = &self.screen
            && let Some(record) = &presenter.record
        {
            self.environments.select_record(record, self.regions.environment_rows());
        }
    }
}
