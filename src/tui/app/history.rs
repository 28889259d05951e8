//! The audit log that the dashboard has read, and what follows from it for the pool.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::message::Effect;
use crate::domain::history::{
    AuditLog, Buckets, Failures, FreeHistory, Hits, Reading, Restores, failures, free_history, hits, restores,
};
use crate::domain::{AuditEvent, World};
use crate::failure::Failure;
use crate::tui::zone::Zone;

/// The period that the pages of the pool and of the activity show.
const WEEK: TimeDelta = TimeDelta::days(7);

/// Whether the last seven days were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum WeekRead {
    #[default]
    No,
    InProgress,
    Done,
    Failed(Failure),
}

/// The events of the audit log and how far they reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) log: AuditLog,
    pub(crate) week: WeekRead,
    /// Why the last read of new events failed.
    pub(crate) error: Option<String>,
    /// For the page of the pool, while that is open.
    pub(crate) pool: Option<PoolPast>,
}

/// The past of the pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolPast {
    /// The free databases by quarter-hour of the last 24 hours.
    pub(crate) day: (Buckets, FreeHistory),
    /// The free databases by hour of the last seven days.
    pub(crate) week: (Buckets, FreeHistory),
    pub(crate) hits_of_day: Hits,
    pub(crate) hits_of_week: Hits,
    pub(crate) restores: Restores,
    pub(crate) failures: Vec<Failures>,
    /// The days of the failures, oldest first.
    pub(crate) days: Vec<NaiveDate>,
}

impl PoolPast {
    fn new(log: &AuditLog, world: &World, now: DateTime<Utc>, zone: Zone) -> Self {
        let free = |step, count| {
            let buckets = Buckets::until(now, step, count);
            let history = free_history(log, world, &buckets, now);
            (buckets, history)
        };
        let day = |at: DateTime<Utc>| zone.at(at).date_naive();
        Self {
            day: free(TimeDelta::minutes(15), 96),
            week: free(TimeDelta::hours(1), 168),
            hits_of_day: hits(log.since(now - TimeDelta::days(1))),
            hits_of_week: hits(log.since(now - WEEK)),
            restores: restores(log, world),
            failures: failures(log.since(now - WEEK), day),
            days: (0..7).rev().map(|ago| day(now - TimeDelta::days(ago))).collect(),
        }
    }
}

impl History {
    /// Adds events of the engine. They say nothing of others.
    pub(crate) fn add(&mut self, events: &[AuditEvent]) {
        self.log.add(events.iter().cloned());
    }

    /// Takes the result of an engine's read, whose events have come before.
    pub(crate) fn read(&mut self, result: Result<Reading, String>) {
        match result {
            Ok(reading) => {
                self.log.cover(reading);
                self.error = None;
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Reads the last seven days, unless they are known or being read.
    pub(crate) fn request_week(&mut self, now: DateTime<Utc>) -> Option<Effect> {
        if matches!(self.week, WeekRead::Done | WeekRead::InProgress) {
            return None;
        }
        self.week = WeekRead::InProgress;
        Some(Effect::ReadHistory(now - WEEK))
    }

    pub(crate) fn receive_week(&mut self, result: Result<(Vec<AuditEvent>, Reading), Failure>) {
        self.week = match result {
            Ok((events, reading)) => {
                self.log.add(events);
                self.log.cover(reading);
                WeekRead::Done
            }
            Err(failure) => WeekRead::Failed(failure),
        };
    }

    /// Derives the past of the pool.
    pub(crate) fn derive_pool(&mut self, world: &World, now: DateTime<Utc>, zone: Zone) {
        self.pool = Some(PoolPast::new(&self.log, world, now, zone));
    }

    /// Says what of a period is not known, and why; `None` if nothing is missing.
    pub(crate) fn gap(&self, since: DateTime<Utc>, zone: Zone) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(format!("the audit log cannot be read, so new events are missing: {error}"));
        }
        match (&self.week, self.log.known_since()) {
            (WeekRead::Failed(failure), _) => {
                Some(format!("{}; open the page again to retry", failure.sentence()))
            }
            (WeekRead::InProgress, _) => Some("reading the last seven days of the audit log…".to_owned()),
            (_, None) => Some("the audit log has not been read yet".to_owned()),
            // The period moves on while its events are known from a read on.
            (_, Some(known)) if known > since + TimeDelta::minutes(5) => {
                let known = crate::tui::format::date_time(known, zone);
                Some(format!(
                    "events are known from {known} on; for earlier ones use: hatchery activity --since 14d"
                ))
            }
            _ => None,
        }
    }
}
