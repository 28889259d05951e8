//! I10: how often AWS refuses what the engines of a fleet ask for.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

/// How many tries of one operation AWS may refuse to the engines of one fleet within an hour.
pub(crate) const MAX_REFUSALS: usize = 40;

/// A restore asks one zone after another. Refusals of one engine within this time are one try.
const ZONES_OF_A_TRY: TimeDelta = TimeDelta::seconds(2);

struct Refusal {
    who: String,
    at: DateTime<Utc>,
}

/// The refusals of the last hour, by fleet or engine, and operation.
#[derive(Default)]
pub(crate) struct RefusalCounts(BTreeMap<(String, &'static str), VecDeque<Refusal>>);

impl RefusalCounts {
    /// Counts a refusal. Returns whether the engines have been refused too often, and then begins anew.
    pub(crate) fn is_too_many(
        &mut self,
        among: &str,
        who: &str,
        operation: &'static str,
        now: DateTime<Utc>,
    ) -> bool {
        let refusals = self.0.entry((among.to_owned(), operation)).or_default();
        let is_next_zone = operation == "create database"
            && refusals.back().is_some_and(|last| last.who == who && last.at + ZONES_OF_A_TRY >= now);
        if is_next_zone {
            return false;
        }
        refusals.push_back(Refusal { who: who.to_owned(), at: now });
        while refusals.front().is_some_and(|first| first.at + TimeDelta::hours(1) < now) {
            refusals.pop_front();
        }
        let is_too_many = refusals.len() > MAX_REFUSALS;
        if is_too_many {
            refusals.clear();
        }
        is_too_many
    }
}
