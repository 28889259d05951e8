//! A multi-version store: simulated reads are stale by up to `keep`, so old versions are retained that long.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// The versions of one value.
#[derive(Debug, Clone)]
pub(super) struct Versioned<T> {
    /// Oldest first; `None` for the removal.
    versions: Vec<(DateTime<Utc>, Option<T>)>,
}

impl<T> Versioned<T> {
    fn at(&self, at: DateTime<Utc>) -> Option<&T> {
        self.versions.iter().rev().find(|(since, _)| *since <= at)?.1.as_ref()
    }

    fn set(&mut self, now: DateTime<Utc>, value: Option<T>, keep: TimeDelta) {
        self.versions.push((now, value));
        // Of the versions that no read can reach, only the last one is needed.
        let unreachable = self.versions.iter().rposition(|(since, _)| *since <= now - keep).unwrap_or(0);
        self.versions.drain(..unreachable);
    }
}

/// Versioned values by id.
#[derive(Debug, Clone)]
pub(super) struct Store<T> {
    entries: BTreeMap<String, Versioned<T>>,
    keep: TimeDelta,
}

impl<T: Clone> Store<T> {
    /// Creates a store that retains old versions for `keep`.
    pub(super) fn new(keep: TimeDelta) -> Self {
        Self { entries: BTreeMap::new(), keep }
    }

    /// Returns the current value.
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.entries.get(id)?.versions.last()?.1.as_ref()
    }

    /// Returns the value at a time.
    pub(super) fn at(&self, id: &str, at: DateTime<Utc>) -> Option<&T> {
        self.entries.get(id)?.at(at)
    }

    /// Iterates over the current values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().filter_map(|(id, entry)| Some((id.as_str(), entry.versions.last()?.1.as_ref()?)))
    }

    /// Iterates over the values at a time, from the id after `marker` on.
    pub(super) fn page(&self, marker: &str, at: DateTime<Utc>) -> impl Iterator<Item = (&str, &T)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries
            .range::<str, _>((Excluded(marker), Unbounded))
            .filter_map(move |(id, entry)| Some((id.as_str(), entry.at(at)?)))
    }

    pub(super) fn set(&mut self, id: &str, now: DateTime<Utc>, value: T) {
        let keep = self.keep;
        let entry = self.entries.entry(id.to_owned()).or_insert(Versioned { versions: Vec::new() });
        entry.set(now, Some(value), keep);
    }

    /// Changes a value. Returns whether it exists.
    pub(super) fn change(&mut self, id: &str, now: DateTime<Utc>, change: impl FnOnce(&mut T)) -> bool {
        let Some(mut value) = self.get(id).cloned() else { return false };
        change(&mut value);
        self.set(id, now, value);
        true
    }

    /// Removes a value. Stale reads still return it.
    pub(super) fn remove(&mut self, id: &str, now: DateTime<Utc>) -> Option<T> {
        let value = self.get(id)?.clone();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.set(now, None, self.keep);
        }
        // Removed values are dropped once no read can reach them, so that memory stays bounded.
        if self.entries.len().is_multiple_of(16) {
            let horizon = now - self.keep;
            self.entries.retain(|_, entry| {
                entry.versions.last().is_some_and(|(since, value)| value.is_some() || *since > horizon)
            });
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_readable_for_a_while() {
        let now: DateTime<Utc> = "2026-03-02T12:00:00Z".parse().unwrap();
        let later = |seconds| now + TimeDelta::seconds(seconds);
        let mut store = Store::new(TimeDelta::seconds(10));
        store.set("a", now, 1);
        assert!(store.change("a", later(5), |value| *value = 2));
        assert_eq!((store.at("a", later(4)), store.get("a")), (Some(&1), Some(&2)));
        assert_eq!(store.at("a", later(-1)), None);
        assert_eq!(store.remove("a", later(20)), Some(2));
        assert_eq!((store.get("a"), store.at("a", later(15))), (None, Some(&2)));
        assert_eq!(store.page("", later(15)).count(), 1);
        assert_eq!(store.page("a", later(15)).count(), 0);
    }
}
