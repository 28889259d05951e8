//! Databases that are terminal, ending or gone.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::{SimInstance, State};
use hatchery::domain::tags::{self, key};

use crate::invariants::InvariantChecker;
use crate::ownership::find_record;

/// How long a database must have been lost until an environment that was ready may be given up.
const LOST_FOR: TimeDelta = TimeDelta::minutes(10);

/// The age of a read on which an engine may give up: reads lag.
const READ_RACE: TimeDelta = TimeDelta::seconds(15);

struct Loss {
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

#[derive(Default)]
pub(crate) struct LostDatabases(BTreeMap<String, Loss>);

impl LostDatabases {
    pub(crate) fn lose(&mut self, id: &str, now: DateTime<Utc>) {
        let loss = self.0.entry(id.to_owned()).or_insert(Loss { since: now, until: None });
        if loss.until.is_some() {
            *loss = Loss { since: now, until: None };
        }
    }

    pub(crate) fn recover(&mut self, id: &str, now: DateTime<Utc>) {
        if let Some(loss) = self.0.get_mut(id) {
            loss.until.get_or_insert(now);
        }
    }

    /// Whether a read may still show that the database has been lost for ten minutes. `marked` is the time of its mark: if it was lost then and is
    /// lost now, no engine has seen it usable in between.
    fn is_lost_for_good(&self, id: &str, marked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        self.0.get(id).is_some_and(|loss| {
            let since = marked.map_or(loss.since, |marked| loss.since.min(marked));
            since + LOST_FOR <= now && loss.until.is_none_or(|until| now <= until + READ_RACE)
        })
    }
}

impl InvariantChecker {
    /// I4: an environment that was ready is given up only if its instance has ended, or if its database has been lost for ten minutes.
    pub(crate) fn give_up(&mut self, state: &State, who: &str, record: &str) {
        let Some((_, template)) = state.templates().find(|(own, _)| *own == record) else { return };
        let before = self.ownership.templates.get(record);
        let is_new = template.tags.contains_key(key::FAILURE)
            && before.is_none_or(|(_, tags)| !tags.contains_key(key::FAILURE));
        if !is_new || template.tags.contains_key(key::TERMINATE) || !self.ready.contains(record) {
            return;
        }
        let alive =
            |instance: &SimInstance| find_record(instance) == Some(record) && !instance.state.is_ending();
        let own = template.name.replace('/', "-");
        let database = template.tags.get(key::DATABASE).cloned().unwrap_or(own);
        let marked = state
            .databases()
            .find(|(id, _)| *id == database)
            .and_then(|(_, found)| tags::parse_time(&found.tags, key::UNUSABLE_SINCE));
        let is_lost = self.lost.is_lost_for_good(&database, marked, state.now());
        if state.instances().any(|(_, instance)| alive(instance)) && !is_lost {
            let reason = &template.tags[key::FAILURE];
            let what = format!("{who} gave up {record} ({}), which serves: {reason}", template.name);
            self.violation(state, "I4", what);
        }
    }
}
