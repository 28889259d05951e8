//! The events of the audit log, newest first.

use std::collections::VecDeque;

use crate::domain::{AuditEvent, Outcome};

/// The most events that are kept.
pub(crate) const MAX_EVENTS: usize = 500;

/// What engines do in the background that people want to know. The rest is routine as long as it succeeds.
const MATTERS: &[&str] = &[
    "give-up",
    "mark-reaping",
    "unmark-reaping",
    "mark-orphan",
    "mark-unusable",
    "switch-database",
    "terminate-instance",
];

/// All events, and which of them the main screen shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActivityPane {
    pub(crate) events: VecDeque<AuditEvent>,
    /// The number of the events that matter.
    shown: usize,
    /// The index of the first visible event among those that matter.
    pub(crate) offset: usize,
}

impl ActivityPane {
    /// Adds the events that are new. If the user has scrolled, the same events stay visible.
    pub(crate) fn extend(&mut self, events: Vec<AuditEvent>) {
        for event in events {
            if self.events.contains(&event) {
                continue;
            }
            let index =
                self.events.iter().position(|other| other.at <= event.at).unwrap_or(self.events.len());
            if matters(&event) && self.offset > 0 {
                let newer = self.events.iter().take(index).filter(|event| matters(event)).count();
                self.offset += usize::from(newer <= self.offset);
            }
            self.events.insert(index, event);
        }
        self.events.truncate(MAX_EVENTS);
        self.shown = self.shown().count();
    }

    /// Returns the events that matter: what people did, what failed, and what ends an environment.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &AuditEvent> {
        self.events.iter().filter(|event| matters(event))
    }

    pub(crate) fn shown_len(&self) -> usize {
        self.shown
    }

    pub(crate) fn scroll(&mut self, by: isize) {
        self.offset = self.offset.saturating_add_signed(by);
    }

    /// Limits the offset so that a pane of this height has no empty rows at the end.
    pub(crate) fn keep_in_view(&mut self, height: usize) {
        self.offset = self.offset.min(self.shown.saturating_sub(height.max(1)));
    }
}

fn matters(event: &AuditEvent) -> bool {
    !event.is_by_engine()
        || matches!(event.outcome, Outcome::Failed | Outcome::Unknown)
        || event.outcome == Outcome::Done && MATTERS.contains(&event.action.raw())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use rstest::rstest;

    use super::*;

    fn event(at: i64, who: &str, action: &str, outcome: Outcome) -> AuditEvent {
        AuditEvent {
            at: DateTime::UNIX_EPOCH + TimeDelta::seconds(at),
            who: who.into(),
            action: action.into(),
            target: "dev-12".into(),
            reason: "".into(),
            outcome,
            detail: "".into(),
            restore_seconds: None,
            loaded_percent: None,
        }
    }

    #[rstest]
    #[case("amy", "launch", Outcome::Done, true)]
    #[case("amy", "extend", Outcome::Skipped, true)]
    #[case("engine@ci", "move-hint", Outcome::Done, false)]
    #[case("engine@ci", "create-database", Outcome::Done, false)]
    #[case("engine@ci", "create-database", Outcome::Failed, true)]
    #[case("engine@ci", "mark-reaping", Outcome::Done, true)]
    #[case("engine@ci", "mark-reaping", Outcome::Skipped, false)]
    fn what_matters(#[case] who: &str, #[case] action: &str, #[case] outcome: Outcome, #[case] shown: bool) {
        assert_eq!(matters(&event(0, who, action, outcome)), shown);
    }

    #[test]
    fn scrolled_events_stay_visible() {
        let mut pane = ActivityPane::default();
        pane.extend((0..6).map(|at| event(at, "amy", "launch", Outcome::Done)).collect());
        pane.offset = 2;
        let first = pane.shown().nth(2).cloned();
        pane.extend(vec![event(9, "engine@ci", "create-database", Outcome::Done)]);
        assert_eq!(pane.offset, 2, "routine is not shown");
        pane.extend(vec![event(10, "amy", "extend", Outcome::Done)]);
        assert_eq!(pane.shown().nth(pane.offset).cloned(), first);
    }
}
