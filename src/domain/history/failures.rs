//! What failed in the pool, by cause and day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::audit::{AuditEvent, Outcome};
use crate::domain::text::Untrusted;

/// The failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// AWS's error code with the failed action, or the status of the databases.
    pub cause: Untrusted,
    pub by_day: BTreeMap<NaiveDate, usize>,
}

impl Failures {
    #[must_use]
    pub fn total(&self) -> usize {
        self.by_day.values().sum()
    }
}

/// The actions on databases of the pool.
const ACTIONS: [&str; 9] = [
    "create-database",
    "retire-database",
    "start-database",
    "claim-database",
    "delete-database",
    "delete-old-database",
    "mark-unusable",
    "unmark-unusable",
    "restore-tags",
];

/// Counts what failed in the pool, the most frequent cause first. `day` returns the day of a time in the user's zone.
pub fn failures(events: &[AuditEvent], day: impl Fn(DateTime<Utc>) -> NaiveDate) -> Vec<Failures> {
    let mut causes: BTreeMap<String, BTreeMap<NaiveDate, usize>> = BTreeMap::new();
    let mut count = |cause: String, at| *causes.entry(cause).or_default().entry(day(at)).or_default() += 1;
    for event in events {
        match (event.outcome, event.action.raw()) {
            (Outcome::Done, "note-failed-restore") => {
                // The reason is `hatchery-dev-5 is failed, hatchery-dev-7 is still creating after two hours`.
                for part in event.reason.raw().split(", ") {
                    let status = part.split_once(" is ").map_or(part, |(_, status)| status);
                    count(format!("restore: {status}"), event.at);
                }
            }
            (Outcome::Done, "mark-unusable") => {
                let reason = event.reason.raw();
                count(format!("unusable: {}", reason.strip_prefix("it is ").unwrap_or(reason)), event.at);
            }
            (Outcome::Failed, action) if ACTIONS.contains(&action) => {
                count(format!("{}: {}", action.replace('-', " "), code(event.detail.raw())), event.at);
            }
            _ => {}
        }
    }
    let mut failures: Vec<_> =
        causes.into_iter().map(|(cause, by_day)| Failures { cause: cause.into(), by_day }).collect();
    failures.sort_by_key(|failures| Reverse(failures.total()));
    failures
}

/// Returns the code at the end of an error such as `RunInstances: no capacity (InsufficientInstanceCapacity)`, else the whole text.
fn code(detail: &str) -> &str {
    let code = detail.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    code.map_or(detail, |(_, code)| code)
}
