//! How a running engine reads the audit log.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::EngineLoop;
use crate::domain::AuditEvent;
use crate::domain::history::Reading;
use crate::engine::Event;

/// The intervals at which the audit log is read for the events of other engines: after a change, and while nothing changes.
/// `FilterLogEvents` has one of the lowest request quotas, and without a change there is rarely anything to read.
const AUDIT_AFTER_CHANGE: Duration = Duration::from_mins(2);
const AUDIT_EVERY: Duration = Duration::from_mins(5);

/// How far each read overlaps the previous one, because events can arrive late.
const AUDIT_OVERLAP: Duration = Duration::from_mins(1);

/// The period of the first read, and the maximum number of events of each. AWS returns up to 1 MB a request, some 3,000 events, so a day of most
/// fleets is one request.
const AUDIT_PERIOD: Duration = Duration::from_hours(24);
const AUDIT_LIMIT: usize = 3_000;

impl EngineLoop {
    /// Reads the events of other engines. A failure is only logged, because no decision depends on them.
    pub(super) async fn read_audit(&mut self, now: Option<DateTime<Utc>>) {
        let elapsed = self.engine.clock.elapsed();
        let Some(now) = now else { return };
        let every = if self.audit_changed { AUDIT_AFTER_CHANGE } else { AUDIT_EVERY };
        let since = match self.audit_read {
            Some((read, _)) if elapsed.saturating_sub(read) < every => return,
            // Events of the previous read are filtered out below.
            Some((_, until)) => until - AUDIT_OVERLAP,
            None => now - AUDIT_PERIOD,
        };
        self.audit_changed = false;
        self.audit_read = Some((elapsed, now));
        match self.engine.cloud.audit(&self.engine.config.fleet, since, AUDIT_LIMIT).await {
            Ok(events) => {
                let key = |event: &AuditEvent| {
                    format!("{} {} {} {}", event.at, event.who, event.action, event.target)
                };
                let new: Vec<_> =
                    events.iter().filter(|e| !self.audit_seen.contains(&key(e))).cloned().collect();
                self.audit_seen = events.iter().map(key).collect();
                let engines = events.iter().filter(|event| event.is_by_engine());
                self.engines.extend(engines.map(|event| (event.who.to_string(), event.at)));
                self.engines.retain(|_, at| *at > now - AUDIT_PERIOD);
                let reading = Reading::of(&events, since, now, AUDIT_LIMIT);
                if !new.is_empty() {
                    self.engine.emit(Event::Activity(new));
                }
                self.engine.emit(Event::AuditRead(Ok(reading)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the audit log");
                // The next read covers the same period, so that the log has no gap.
                self.audit_read = Some((elapsed, since + AUDIT_OVERLAP));
                self.engine.emit(Event::AuditRead(Err(error)));
            }
        }
    }
}
