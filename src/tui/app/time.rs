//! When the screen will next look different by itself. One deadline is armed; at rest nothing else wakes the program.

use std::time::Duration;

use super::{Connection, Model};
use crate::domain::ErrorClass;
use crate::failure::Kind;
use crate::tui::units::{self, Shown};

/// The first moments at which something visible changes, from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextChange {
    /// By the engine's clock.
    pub clock: Option<Duration>,
    /// In real time.
    pub real: Option<Duration>,
}

/// How old the data is, and how that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataAge {
    /// What is said about it.
    pub text: String,
    /// Whether it needs attention.
    pub stale: bool,
}

impl Model {
    /// When the screen will next look different by itself; `None`: never.
    #[must_use]
    pub fn next_change(&self) -> NextChange {
        let rows = self.pool.changes_at.map(|at| at.saturating_sub(self.now.clock));
        let age = self.shown_age().map(|shown| shown.changes_in);
        let clock = rows.into_iter().chain(age).min();
        let toasts = self.toasts.iter().filter_map(|toast| toast.until);
        let real = toasts.min().map(|at| at.saturating_sub(self.now.real) + Duration::from_millis(5));
        // A deadline in the past must not become a busy loop.
        let least = Duration::from_millis(50);
        NextChange { clock: clock.map(|next| next.max(least)), real: real.map(|next| next.max(least)) }
    }

    fn shown_age(&self) -> Option<Shown> {
        self.fleet_view.as_ref().and_then(|seen| seen.age(self.now.clock)).map(units::age)
    }

    /// What the header says about the data.
    #[must_use]
    pub fn data_age(&self) -> DataAge {
        let fresh = |text: String| DataAge { text, stale: false };
        let stale = |text: String| DataAge { text, stale: true };
        match (&self.connection, &self.fleet_view) {
            (Connection::Connecting, _) => return fresh("connecting…".to_owned()),
            (Connection::Failed(_), _) => return stale("not connected".to_owned()),
            (Connection::Up, None) if self.last_error.is_some() => return stale("no data".to_owned()),
            (Connection::Up, None) => return fresh("loading…".to_owned()),
            (Connection::Up, Some(_)) => {}
        }
        let Some(seen) = &self.fleet_view else { return fresh(String::new()) };
        let age = self
            .shown_age()
            .map_or_else(|| "of unknown age".to_owned(), |shown| format!("{} old", shown.text));
        let why = match &self.last_error {
            Some(failure) => Some(match failure.kind {
                Kind::Throttled => "throttled",
                Kind::NotPermitted => "not logged in",
                Kind::Unreachable => "unreachable",
                _ => "failing",
            }),
            None if seen.is_throttled() => Some("throttled"),
            None => seen.problems.first().map(|problem| match problem.class {
                ErrorClass::Auth => "not permitted",
                _ => "incomplete",
            }),
        };
        match why {
            Some(why) => stale(format!("{why}, data {age}")),
            None if seen.is_loading() => fresh("loading…".to_owned()),
            None => match self.shown_age() {
                Some(shown) if seen.age(self.now.clock) > Some(self.options.refresh * 12) => {
                    stale(format!("data {} old", shown.text))
                }
                Some(shown) => {
                    let text = if shown.text == "0s" { "now" } else { &shown.text };
                    fresh(format!("{} {text}", self.options.glyphs.refresh))
                }
                None => fresh(String::new()),
            },
        }
    }
}
