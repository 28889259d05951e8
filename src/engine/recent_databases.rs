//! Numbers of databases that this engine has dealt with a short while ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Number;

/// How long a listing may not show a database that exists.
pub(super) const LISTING_LAG: Duration = Duration::from_mins(3);

/// How long a database whose tags AWS has refused is the last choice of launches.
pub(super) const REFUSED_FOR: Duration = Duration::from_hours(1);

/// The numbers of databases, with times by the engine's clock. Each is forgotten after a while.
#[derive(Debug)]
pub(super) struct RecentDatabases {
    numbers: Mutex<BTreeMap<Number, Duration>>,
    keep: Duration,
}

impl RecentDatabases {
    pub(super) fn new(keep: Duration) -> Self {
        Self { numbers: Mutex::default(), keep }
    }

    pub(super) fn add(&self, number: Number, now: Duration) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(number, now);
    }

    pub(super) fn numbers(&self, now: Duration) -> Vec<Number> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.retain(|_, added| now < *added + self.keep);
        numbers.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_recent_for_a_while() {
        let databases = RecentDatabases::new(LISTING_LAG);
        databases.add(Number(1), Duration::ZERO);
        databases.add(Number(2), Duration::from_mins(2));
        assert_eq!(databases.numbers(Duration::from_mins(2)), [Number(1), Number(2)]);
        assert_eq!(databases.numbers(Duration::from_mins(3)), [Number(2)]);
        assert_eq!(databases.numbers(Duration::from_mins(5)), []);
    }
}
