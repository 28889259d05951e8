//! The part of the audit log that a front end has read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::domain::audit::AuditEvent;

/// The most events that are kept: some 6 MB, and weeks of a fleet of fifty engineers.
pub const MAX_EVENTS: usize = 10_000;

/// The period that one read of the audit log covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub since: DateTime<Utc>,
    /// The time of the read.
    pub until: DateTime<Utc>,
}

impl Reading {
    /// Returns the period of a read of at most `limit` events since a time. A read that reaches its limit returns the latest ones, oldest first.
    #[must_use]
    pub fn of(events: &[AuditEvent], since: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Self {
        let first = events.first().filter(|_| events.len() >= limit);
        Self { since: first.map_or(since, |first| first.at), until }
    }
}

/// The latest events of a fleet's audit log, each once, with the period from which none is missing.
#[derive(Debug, Clone, Default)]
pub struct AuditLog {
    /// Oldest first.
    events: Vec<AuditEvent>,
    /// No event between these times is missing.
    known: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Events before this time were dropped, because there were too many.
    kept_since: Option<DateTime<Utc>>,
}

impl AuditLog {
    /// Returns the events, oldest first.
    #[must_use]
    pub fn events(&self) -> &[AuditEvent] {
        &self.events
    }

    /// Returns the events from a time on, oldest first.
    #[must_use]
    pub fn since(&self, at: DateTime<Utc>) -> &[AuditEvent] {
        &self.events[self.events.partition_point(|event| event.at < at)..]
    }

    /// Returns the time from which no event is missing; `None` until a read succeeded.
    #[must_use]
    pub fn known_since(&self) -> Option<DateTime<Utc>> {
        self.known.map(|(since, _)| since)
    }

    /// Adds events in any order. Those that are known already are left out.
    pub fn add(&mut self, events: impl IntoIterator<Item = AuditEvent>) {
        self.events.extend(events);
        self.events.sort_by_key(|event| event.at);
        let mut seen = HashSet::new();
        let is_new: Vec<bool> = self.events.iter().map(|event| seen.insert(event)).collect();
        drop(seen);
        let mut is_new = is_new.into_iter();
        self.events.retain(|_| is_new.next().unwrap_or(true));
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        if surplus > 0 {
            self.events.drain(..surplus);
            let first = self.events.first().map(|event| event.at).unwrap_or_default();
            self.kept_since = Some(first);
            self.known = self.known.map(|(since, until)| (since.max(first), until.max(first)));
        }
    }

    /// Notes that all events of a period were added. A period that does not touch the known one replaces it if it is later.
    pub fn cover(&mut self, Reading { since, until }: Reading) {
        let since = self.kept_since.map_or(since, |kept| since.max(kept));
        self.known = Some(match self.known {
            Some((from, to)) if since <= to && until >= from => (from.min(since), to.max(until)),
            Some(known) if until < known.1 => known,
            _ => (since, until),
        });
    }
}
