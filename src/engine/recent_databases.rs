//! The restores that this engine has requested a short while ago, which listings may not show yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Number;

/// How long a listing may not show a database that exists.
const LISTING_LAG: Duration = Duration::from_mins(3);

/// The numbers of the databases, with the times of their requests by the engine's clock.
#[derive(Debug, Default)]
pub(super) struct RecentRestores(Mutex<BTreeMap<Number, Duration>>);

impl RecentRestores {
    pub(super) fn add(&self, number: Number, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, now);
    }

    pub(super) fn numbers(&self, now: Duration) -> Vec<Number> {
        let mut restores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        restores.retain(|_, requested| now < *requested + LISTING_LAG);
        restores.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_are_recent_for_a_while() {
        let restores = RecentRestores::default();
        restores.add(Number(1), Duration::ZERO);
        restores.add(Number(2), Duration::from_mins(2));
        assert_eq!(restores.numbers(Duration::from_mins(2)), [Number(1), Number(2)]);
        assert_eq!(restores.numbers(Duration::from_mins(3)), [Number(2)]);
        assert_eq!(restores.numbers(Duration::from_mins(5)), []);
    }
}
