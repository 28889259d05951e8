//! Digests of the launches in an audit log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{FleetName, Launch};

/// The launches of a period in one event, so that the history of weeks is read in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Digest {
    pub(super) launches_since: DateTime<Utc>,
    pub(super) launches_until: DateTime<Utc>,
    /// For each launch, oldest first: the seconds since the previous one (the first: since the start), and those of its restore.
    pub(super) launches: Vec<(u64, Option<u64>)>,
    /// For each launch, the percentage of its database's volume that was loaded. Earlier versions write and read digests without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) loaded: Vec<Option<u8>>,
}

impl Digest {
    pub(super) fn new(since: DateTime<Utc>, until: DateTime<Utc>, launches: &[Launch]) -> Self {
        let (since, until) = (since.trunc_subsecs(0), until.trunc_subsecs(0));
        let mut sorted: Vec<_> = launches.iter().filter(|one| (since..until).contains(&one.at)).collect();
        sorted.sort_by_key(|launch| launch.at);
        let mut loaded: Vec<_> = sorted.iter().map(|launch| launch.loaded).collect();
        if loaded.iter().all(Option::is_none) {
            loaded.clear();
        }
        let mut previous = since;
        let entries = sorted.into_iter().map(|launch| {
            let at = launch.at.trunc_subsecs(0);
            let seconds = u64::try_from((at - previous).num_seconds()).unwrap_or_default();
            previous = at;
            (seconds, launch.restore.map(|restore| restore.as_secs()))
        });
        Self { launches: entries.collect(), launches_since: since, launches_until: until, loaded }
    }

    /// Returns its launches, or `None` if it is not valid.
    pub(super) fn launches(&self) -> Option<Vec<Launch>> {
        let mut at = self.launches_since;
        let mut launches = Vec::with_capacity(self.launches.len());
        for (index, (seconds, restore)) in self.launches.iter().enumerate() {
            at = at.checked_add_signed(TimeDelta::try_seconds(i64::try_from(*seconds).ok()?)?)?;
            if at >= self.launches_until {
                return None;
            }
            let loaded = self.loaded.get(index).copied().flatten();
            launches.push(Launch { at, restore: restore.map(std::time::Duration::from_secs), loaded });
        }
        Some(launches)
    }
}

/// The digests that the next write to the audit log adds, by fleet. Only those who write to the log write digests, so reading changes
/// nothing.
#[derive(Default)]
pub(super) struct DueDigests(Mutex<BTreeMap<FleetName, Digest>>);

impl DueDigests {
    pub(super) fn set(&self, fleet: &FleetName, digest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fleet.clone(), digest);
    }

    pub(super) fn take(&self, fleet: &FleetName) -> Option<Digest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(fleet)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::AuditEvent;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn digest_returns_its_launches() {
        let launch = |second, restore: Option<u64>| Launch {
            at: at(second),
            restore: restore.map(Duration::from_secs),
            loaded: restore.map(|_| 73),
        };
        let (first, second, later) = (launch(110, None), launch(700, Some(900)), launch(1_000, None));
        let digest = Digest::new(at(100), at(1_000), &[second, later, first, launch(99, None)]);
        let text = serde_json::to_string(&digest).unwrap();
        let read: Digest = serde_json::from_str(&text).unwrap();
        assert_eq!(read.launches(), Some(vec![first, second]), "{text}");
        assert!(serde_json::from_str::<AuditEvent>(&text).is_err(), "a digest is not an event");
    }

    #[test]
    fn impossible_digest_is_not_used() {
        let digest = |launches| Digest {
            launches_since: at(100),
            launches_until: at(1_000),
            launches,
            loaded: Vec::new(),
        };
        assert_eq!(digest(vec![(900, None)]).launches(), None, "after its end");
        assert_eq!(digest(vec![(u64::MAX, None)]).launches(), None);
        assert_eq!(digest(Vec::new()).launches(), Some(Vec::new()));
    }
}
