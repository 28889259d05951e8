//! What resets restate: an environment uses one database at a time, never goes back to one that it had, and keeps that one until its instance
//! uses the new one.

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::State;
use hatchery::domain::tags::{Tags, key};
use hatchery::domain::{Deployment, Rollout, RolloutState};

use crate::invariants::{InvariantChecker, is_engine};
use crate::ownership::find_record;

/// The databases that a record has named, the last one last, with the times of the requests to use them.
pub(crate) type Switches = Vec<(String, Option<DateTime<Utc>>)>;

/// Whether a record names another database than this one, which has its number.
pub(crate) fn names_other(database: &str, tags: &Tags) -> bool {
    tags.get(key::DATABASE).is_some_and(|named| named != database) && !tags.contains_key(key::REPLACES)
}

/// Whether two switches were requested at the same time, neither by users who saw the other one. The later request may win in the end.
fn is_race(first: Option<DateTime<Utc>>, second: Option<DateTime<Utc>>) -> bool {
    first.zip(second).is_some_and(|(first, second)| second - first < TimeDelta::minutes(1))
}

/// Whether an environment's record names this database.
fn is_user(tags: &Tags, database: &str) -> bool {
    tags.get(key::DATABASE).is_some_and(|named| named == database) && !tags.contains_key(key::REPLACES)
}

impl InvariantChecker {
    /// I1: no database serves two environments, one after the other either. An instance uses the database of its number, or one that a
    /// replacement of its record has claimed.
    pub(crate) fn update_used(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, instance)) = state.instances().find(|(own, _)| *own == id) else { return };
        let record = find_record(instance).unwrap_or_default().to_owned();
        let Some(database) = instance.tags.get(key::DATABASE).filter(|_| is_engine(who)) else { return };
        let first = self.used.entry(database.clone()).or_insert_with(|| record.clone()).clone();
        if first != record {
            let what = format!("{database} served {first}, and now serves {id} of {record}");
            self.violation(state, "I1", what);
        }
        if !self.has_claimed(&record, database) {
            self.violation(
                state,
                "I1",
                format!("{id} of {record} uses {database}, which {record} never claimed"),
            );
        }
    }

    /// Whether a record has the number of a database, or a replacement for it had.
    fn has_claimed(&self, record: &str, database: &str) -> bool {
        let is_for = |tags: &Tags| {
            tags.get(key::REPLACES)
                .and_then(|value| value.split_once(' '))
                .is_some_and(|(id, _)| id == record)
        };
        self.ownership
            .templates
            .iter()
            .any(|(id, (name, tags))| name.replace('/', "-") == database && (id == record || is_for(tags)))
    }

    /// I1: an environment uses one database at a time, which its record names. I2: it never goes back to one that it had.
    pub(crate) fn update_named(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, template)) = state.templates().find(|(own, _)| *own == id) else { return };
        let Some(database) = template.tags.get(key::DATABASE).filter(|_| is_engine(who)) else { return };
        if template.tags.contains_key(key::REPLACES) {
            return;
        }
        let deployment = template.tags.get(key::DEPLOYMENT).and_then(|value| Deployment::parse(value));
        let named = self.named.entry(id.to_owned()).or_default();
        if named.last().is_some_and(|(last, _)| last == database) {
            return;
        }
        let is_back = named.windows(2).any(|pair| pair[0].0 == *database && !is_race(pair[0].1, pair[1].1));
        named.push((database.clone(), deployment.map(|deployment| deployment.at)));
        // Engines may have begun to reap it, and a reset has made it whole again.
        self.reaped.remove(id);
        if is_back {
            self.violation(state, "I2", format!("{who} let {id} go back to {database}"));
        } else if !self.has_claimed(id, database) {
            self.violation(state, "I1", format!("{who} let {id} use {database}, which it never claimed"));
        }
    }

    /// Remembers which database an instance uses once it has deployed. It deploys again if it is told to use another one meanwhile.
    pub(crate) fn update_rolled_out(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, instance)) = state.instances().find(|(own, _)| *own == id && who == "cloud") else {
            return;
        };
        let rollout = instance.tags.get(key::ROLLOUT).and_then(|value| Rollout::parse(value));
        let is_done = rollout.is_some_and(|rollout| rollout.state == RolloutState::Done);
        let database = instance.tags.get(key::DATABASE).filter(|_| is_done);
        if let Some((record, database)) = find_record(instance).zip(database) {
            self.rolled_out.insert(record.to_owned(), database.clone());
        }
    }

    /// I4: the database that a reset has given to an environment ends with that environment.
    pub(crate) fn users_may_end(&mut self, state: &State, who: &str, database: &str) {
        let users: Vec<_> = state
            .templates()
            .filter(|(_, own)| is_user(&own.tags, database) && own.name.replace('/', "-") != database)
            .map(|(record, _)| record.to_owned())
            .collect();
        for user in users {
            self.may_end(state, who, &user, database);
        }
    }

    /// I4: the database that an environment had goes only once its instance uses the new one, or has had an hour for that.
    pub(crate) fn may_leave(&mut self, state: &State, who: &str, record: &str, old: &str) {
        let Some((_, template)) = state.templates().find(|(own, _)| *own == record) else { return };
        let (name, tags) = (template.name.clone(), template.tags.clone());
        let new = tags.get(key::DATABASE).cloned().unwrap_or_default();
        let exists = state.databases().any(|(id, own)| id == new && own.created_at.is_some());
        // The first switch away from it: its environment may have been reset again since.
        let left = self.named.get(record).and_then(|named| {
            let after = named.iter().position(|(database, _)| database == old).map_or(0, |at| at + 1);
            named.get(after)?.1
        });
        let is_told = left.is_some_and(|left| left + TimeDelta::minutes(59) <= state.now());
        // It may have been told to use yet another one since.
        let has_left = self.rolled_out.get(record).is_some_and(|used| used != old);
        if exists && (is_told || has_left) {
            return;
        }
        if [key::TERMINATE, key::REAPING_SINCE].iter().any(|key| tags.contains_key(*key)) {
            // The environment ends, and all of its databases with it.
            return self.may_end(state, who, record, old);
        }
        let what =
            format!("{who} deleted {old} of {name}, which is to use another one since {left:?}, now {new}");
        self.violation(state, "I4", what);
    }
}
