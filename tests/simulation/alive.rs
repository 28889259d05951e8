//! Which fleets have a running engine, and since when.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// The numbers of running engines.
#[derive(Default)]
pub(crate) struct Alive {
    /// Below zero if a process crashes while one of its calls hangs.
    engines: BTreeMap<String, i64>,
    /// When a fleet had no engine for the last time.
    none_until: BTreeMap<String, DateTime<Utc>>,
}

impl Alive {
    pub(crate) fn set(&mut self, fleet: &str, is_alive: bool, now: DateTime<Utc>) {
        let engines = self.engines.entry(fleet.to_owned()).or_default();
        if *engines <= 0 {
            self.none_until.insert(fleet.to_owned(), now);
        }
        *engines += if is_alive { 1 } else { -1 };
    }

    /// Returns since when at least one engine of a fleet has run; `None` if none runs now.
    pub(crate) fn since(&self, fleet: &str) -> Option<DateTime<Utc>> {
        self.engines.get(fleet).filter(|engines| **engines > 0)?;
        self.none_until.get(fleet).copied()
    }
}
