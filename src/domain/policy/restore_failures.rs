//! The failed restores of a fleet.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::ids::Number;
use crate::domain::tags;

/// Consecutive failed restores. They are stored with the fleet, so that all engines back off together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreFailures {
    /// The time at which the last failure was found.
    pub last: Option<DateTime<Utc>>,
    /// The numbers of the failed databases. A set, because several engines can find the same failure.
    pub numbers: BTreeSet<Number>,
}

impl RestoreFailures {
    /// The number of consecutive failures after which the pool stops.
    pub(crate) const BUDGET: usize = 5;

    /// Returns the failures with one more.
    #[must_use]
    pub fn with(&self, number: Number, at: DateTime<Utc>) -> Self {
        let mut numbers = self.numbers.clone();
        numbers.insert(number);
        Self { last: Some(at), numbers }
    }

    /// Returns the earliest time of the next restore: 1, 2, 4 … minutes after the last failure. `None` if no restore has failed.
    #[must_use]
    pub(crate) fn retry_at(&self) -> Option<DateTime<Utc>> {
        let doublings = u32::try_from(self.numbers.len().checked_sub(1)?).unwrap_or(u32::MAX).min(6);
        Some(self.last? + Duration::from_secs(60 << doublings))
    }

    /// Whether the pool has stopped until a user clears the setting.
    #[must_use]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.numbers.len() >= Self::BUDGET
    }

    /// Returns `<RFC 3339> <number> …`, or an empty string without failures.
    #[must_use]
    pub fn to_tag(&self) -> String {
        let Some(last) = self.last else { return String::new() };
        let numbers = self.numbers.iter().map(Number::to_string);
        std::iter::once(tags::format_time(last)).chain(numbers).collect::<Vec<_>>().join(" ")
    }
}
