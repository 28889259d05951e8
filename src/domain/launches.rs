//! The launch history from the audit log, from which the demand for databases is forecast.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::audit::{AuditEvent, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub at: DateTime<Utc>,
    /// The duration of its database's restore; `None` if the restore was unfinished or the duration is unknown.
    pub restore: Option<Duration>,
    /// The percentage of its database's volume that was loaded; `None` if that is unknown.
    pub loaded: Option<u8>,
}

impl Launch {
    /// The action of launches in the audit log.
    pub(crate) const ACTION: &'static str = "launch";

    /// The action of resets in the audit log. A reset takes a database of the pool as a launch does, so the demand includes it.
    pub(crate) const RESET: &'static str = "reset";

    /// Returns the launch that an audit event records, or `None` for other events.
    #[must_use]
    pub fn parse(event: &AuditEvent) -> Option<Self> {
        let takes_database = event.action == Self::ACTION || event.action == Self::RESET;
        (takes_database && event.outcome == Outcome::Done).then(|| Self {
            at: event.at,
            restore: event.restore_seconds.map(Duration::from_secs),
            loaded: event.loaded_percent,
        })
    }
}

/// All launches in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launches {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    items: Vec<Launch>,
}

impl Launches {
    /// Creates a history from launches in any order, without those outside the period.
    #[must_use]
    pub fn new(since: DateTime<Utc>, until: DateTime<Utc>, launches: Vec<Launch>) -> Self {
        let mut items = launches;
        items.retain(|launch| (since..until).contains(&launch.at));
        items.sort_unstable_by_key(|launch| launch.at);
        Self { since, until, items }
    }

    /// Returns the history with its launches after `from` replaced by `later`, and without those before `keep`.
    #[must_use]
    pub fn extended(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        later: Vec<Launch>,
        keep: DateTime<Utc>,
    ) -> Self {
        let known = self.items.iter().copied().filter(|launch| launch.at < from);
        let items = known.chain(later.into_iter().filter(|launch| launch.at >= from)).collect();
        Self::new(self.since.max(keep), until, items)
    }

    /// Returns the time of the first launch. The period before it is ignored, because the fleet may not have existed.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.items.first().map(|launch| launch.at.max(self.since))
    }

    /// Returns the end of the period.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// Iterates over the launches, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Launch> {
        self.items.iter()
    }

    #[must_use]
    pub(crate) fn count_since(&self, at: DateTime<Utc>) -> usize {
        self.items.len() - self.items.partition_point(|launch| launch.at < at)
    }
}

impl<'a> IntoIterator for &'a Launches {
    type Item = &'a Launch;
    type IntoIter = std::slice::Iter<'a, Launch>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn launch(minute: i64) -> Launch {
        Launch { at: at(minute), restore: None, loaded: None }
    }

    #[test]
    fn extended_history_counts_no_launch_twice() {
        let first = Launches::new(at(0), at(100), vec![launch(90), launch(10), launch(100)]);
        assert_eq!((first.since(), first.iter().count()), (Some(at(10)), 2));
        let more =
            first.extended(at(80), at(120), vec![launch(90), launch(95), launch(110), launch(70)], at(5));
        let minutes: Vec<_> = more.iter().map(|launch| launch.at.timestamp() / 60).collect();
        assert_eq!(minutes, [10, 90, 95, 110]);
        assert_eq!((more.until(), more.count_since(at(95))), (at(120), 2));
        let later = more.extended(at(110), at(130), vec![launch(110)], at(50));
        assert_eq!((later.since(), later.iter().count()), (Some(at(90)), 3));
    }

    /// The second write of an event whose first write had an unknown outcome.
    #[test]
    fn repeated_event_is_one_launch() {
        let event = |minute, target: &str| AuditEvent {
            at: at(minute),
            who: "amy".into(),
            action: "launch".into(),
            target: target.into(),
            reason: "".into(),
            outcome: Outcome::Done,
            detail: "".into(),
            restore_seconds: None,
            loaded_percent: None,
        };
        let events = [event(1, "dev-1"), event(1, "dev-1"), event(1, "dev-2"), event(2, "dev-1")];
        let launches = crate::domain::audit::distinct(events);
        assert_eq!(launches.iter().filter_map(Launch::parse).count(), 3);
    }

    #[test]
    fn only_successful_launches_are_parsed() {
        let event = |action: &str, outcome| AuditEvent {
            at: at(1),
            who: "amy".into(),
            action: action.into(),
            target: "dev-1".into(),
            reason: "".into(),
            outcome,
            detail: "".into(),
            restore_seconds: Some(900),
            loaded_percent: None,
        };
        let launch = Launch::parse(&event("launch", Outcome::Done)).unwrap();
        assert_eq!(launch, Launch { at: at(1), restore: Some(Duration::from_mins(15)), loaded: None });
        assert_eq!(Launch::parse(&event("launch", Outcome::Failed)), None);
        assert_eq!(Launch::parse(&event("launch-instance", Outcome::Done)), None);
    }
}
