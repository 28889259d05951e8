//! Values with a past: reads lag writes, so what a value was is kept for as long as somebody may still see it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// A value, what it was before, and whether it still is.
#[derive(Debug, Clone)]
pub(super) struct Versioned<T> {
    /// Oldest first; `None` from when it was gone.
    versions: Vec<(DateTime<Utc>, Option<T>)>,
}

impl<T> Versioned<T> {
    fn at(&self, at: DateTime<Utc>) -> Option<&T> {
        self.versions.iter().rev().find(|(since, _)| *since <= at)?.1.as_ref()
    }

    fn set(&mut self, now: DateTime<Utc>, value: Option<T>, keep: TimeDelta) {
        self.versions.push((now, value));
        // All but the last of those that nobody can see any more.
        let seen = self.versions.iter().rposition(|(since, _)| *since <= now - keep).unwrap_or(0);
        self.versions.drain(..seen);
    }
}

/// Things by their ids, each with its past.
#[derive(Debug, Clone)]
pub(super) struct Store<T> {
    things: BTreeMap<String, Versioned<T>>,
    keep: TimeDelta,
}

impl<T: Clone> Store<T> {
    /// A store that remembers the past for this long.
    pub(super) fn new(keep: TimeDelta) -> Self {
        Self { things: BTreeMap::new(), keep }
    }

    /// The thing as it is.
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.things.get(id)?.versions.last()?.1.as_ref()
    }

    /// The thing as it was.
    pub(super) fn at(&self, id: &str, at: DateTime<Utc>) -> Option<&T> {
        self.things.get(id)?.at(at)
    }

    /// Everything as it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.things.iter().filter_map(|(id, thing)| Some((id.as_str(), thing.versions.last()?.1.as_ref()?)))
    }

    /// Everything as it was, from the id after `marker` on.
    pub(super) fn page(&self, marker: &str, at: DateTime<Utc>) -> impl Iterator<Item = (&str, &T)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.things
            .range::<str, _>((Excluded(marker), Unbounded))
            .filter_map(move |(id, thing)| Some((id.as_str(), thing.at(at)?)))
    }

    /// Writes a thing.
    pub(super) fn set(&mut self, id: &str, now: DateTime<Utc>, value: T) {
        let keep = self.keep;
        let thing = self.things.entry(id.to_owned()).or_insert(Versioned { versions: Vec::new() });
        thing.set(now, Some(value), keep);
    }

    /// Changes a thing, if it is there.
    pub(super) fn change(&mut self, id: &str, now: DateTime<Utc>, change: impl FnOnce(&mut T)) -> bool {
        let Some(mut value) = self.get(id).cloned() else { return false };
        change(&mut value);
        self.set(id, now, value);
        true
    }

    /// Removes a thing; its past can be seen for a while.
    pub(super) fn remove(&mut self, id: &str, now: DateTime<Utc>) -> Option<T> {
        let value = self.get(id)?.clone();
        if let Some(thing) = self.things.get_mut(id) {
            thing.set(now, None, self.keep);
        }
        // Things that are gone for everybody are forgotten now and then, so that a long life costs no memory.
        if self.things.len().is_multiple_of(16) {
            let horizon = now - self.keep;
            self.things.retain(|_, thing| {
                thing.versions.last().is_some_and(|(since, value)| value.is_some() || *since > horizon)
            });
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_can_be_seen_for_a_while() {
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
