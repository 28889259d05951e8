//! I10: how often AWS refuses what the engines of a fleet ask for.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

/// How many tries of one operation AWS may refuse within an hour to the engines of one fleet that loop, however many they are.
const MAX_REFUSALS: usize = 40;

/// How many more for each scheduled engine. Their passes may begin in the same second, so that none sees what AWS has refused to the others.
const SCHEDULED_REFUSALS: usize = 6;

/// A restore asks one zone after another. Refusals of one engine within this time are one try.
const ZONES_OF_A_TRY: TimeDelta = TimeDelta::seconds(2);

struct Refusal {
    who: String,
    at: DateTime<Utc>,
}

#[derive(Default)]
pub(crate) struct RefusalCounts {
    /// The refusals of the last hour, by fleet or engine, and operation.
    refusals: BTreeMap<(String, &'static str), VecDeque<Refusal>>,
    /// The number of scheduled engines by fleet.
    scheduled: BTreeMap<String, usize>,
}

impl RefusalCounts {
    pub(crate) fn add_scheduled_engine(&mut self, fleet: &str) {
        *self.scheduled.entry(fleet.to_owned()).or_default() += 1;
    }

    /// Counts a refusal. Returns the number of refusals if they are too many, and then begins anew.
    pub(crate) fn too_many(
        &mut self,
        among: &str,
        who: &str,
        operation: &'static str,
        now: DateTime<Utc>,
    ) -> Option<usize> {
        let refusals = self.refusals.entry((among.to_owned(), operation)).or_default();
        let is_next_zone = operation == "create database"
            && refusals.back().is_some_and(|last| last.who == who && last.at + ZONES_OF_A_TRY >= now);
        if is_next_zone {
            return None;
        }
        refusals.push_back(Refusal { who: who.to_owned(), at: now });
        while refusals.front().is_some_and(|first| first.at + TimeDelta::hours(1) < now) {
            refusals.pop_front();
        }
        let scheduled = self.scheduled.get(among).copied().unwrap_or_default();
        let count = refusals.len();
        let is_too_many = count > MAX_REFUSALS + scheduled * SCHEDULED_REFUSALS;
        is_too_many.then(|| {
            refusals.clear();
            count
        })
    }
}
