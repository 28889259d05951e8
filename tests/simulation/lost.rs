//! Databases that are terminal, ending or gone.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

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

    /// Whether a read may still show that the database has been lost for ten minutes.
    pub(crate) fn is_lost_for_good(&self, id: &str, now: DateTime<Utc>) -> bool {
        self.0.get(id).is_some_and(|loss| {
            loss.since + LOST_FOR <= now && loss.until.is_none_or(|until| now <= until + READ_RACE)
        })
    }
}
