//! When the screen changes without a message. The driver sleeps until then; an idle dashboard wakes up for nothing else.

use std::time::Duration;

use super::model::{Model, Screen};
use super::status::FRESH;
use crate::tui::format::{self, TimedText};

/// The shortest wait, so that a deadline in the past cannot make the driver spin.
const MIN_WAIT: Duration = Duration::from_millis(50);

/// Added to a time in real time, because a timer that fires slightly early would find it not reached.
const TIMER_MARGIN: Duration = Duration::from_millis(5);

/// The time until the next visible change, by each clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextChange {
    /// By the engine's clock: texts with a time in them, and warnings.
    pub clock: Option<Duration>,
    /// In real time: toasts, the next environment of presenter mode, and the next try to connect.
    pub real: Option<Duration>,
}

impl Model {
    /// Returns the time until the screen changes without a message.
    #[must_use]
    pub fn next_change(&self) -> NextChange {
        let rows = self.rows_expire_at.map(|at| at.saturating_sub(self.now.clock));
        let age = self.age_valid_for();
        let times = self.log_times_text().map(|times| times.valid_for);
        let toasts = self.toasts.iter().filter_map(|toast| toast.until).min();
        let wait = |wait: Duration| wait.max(MIN_WAIT);
        NextChange {
            clock: rows.into_iter().chain(age).chain(times).chain(self.next_warning()).min().map(wait),
            real: toasts
                .into_iter()
                .chain(self.cycles_at())
                .chain(self.tries.again_at())
                .min()
                .map(|at| wait(at.saturating_sub(self.now.real) + TIMER_MARGIN)),
        }
    }

    /// Returns how long the header's age of the data stays as it is.
    fn age_valid_for(&self) -> Option<Duration> {
        let view = self.fleet_view.as_ref()?;
        let age = view.age(self.now.clock)?;
        if age < FRESH && !self.has_data_problem() && !view.is_loading() {
            return Some(FRESH.saturating_sub(age));
        }
        Some(format::age(age).valid_for)
    }

    /// Returns the text that changes first of the ages in the log.
    fn log_times_text(&self) -> Option<TimedText> {
        let Screen::Logs(view) = &self.screen else { return None };
        let (height, width) = self.regions.page_size();
        view.next_age(self.aws_now(), height, width)
    }

    /// Formats the age of the data.
    pub(crate) fn age_text(&self) -> Option<TimedText> {
        self.fleet_view.as_ref().and_then(|view| view.age(self.now.clock)).map(format::age)
    }
}
