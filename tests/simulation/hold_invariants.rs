//! What users were told about the time of an environment or a database: extensions and holds.

use chrono::{DateTime, Utc};
use hatchery::cloud::sim::State;
use hatchery::domain::tags::key;
use hatchery::engine::ExtensionUndo;

use crate::invariants::InvariantChecker;

impl InvariantChecker {
    /// I4: no extension is confirmed for an environment that is being reaped.
    pub(crate) fn extended(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if self.reaped.get(record).is_some_and(|at| *at < expires_at) {
            self.violation(
                state,
                "I4",
                format!("an extension of {record} was confirmed to {who}, and it is being reaped"),
            );
        }
        self.raise_confirmed(record, expires_at);
    }

    /// Whatever was confirmed to one user also holds if less is confirmed to another.
    pub(crate) fn raise_confirmed(&mut self, record: &str, expires_at: DateTime<Utc>) {
        self.confirmed.entry(record.to_owned()).or_default().push(expires_at);
    }

    /// I4: a user who undoes an extension has what they had before; what was confirmed to others stays.
    pub(crate) fn undone(&mut self, extension: &ExtensionUndo) {
        let Some(confirmed) = self.confirmed.get_mut(extension.record.as_str()) else { return };
        if let Some(own) = confirmed.iter_mut().find(|at| **at == extension.expires_at) {
            *own = extension.earlier;
        }
    }

    /// Returns the latest expiry that was confirmed to any user.
    pub(crate) fn latest_confirmed(&self, record: &str) -> Option<DateTime<Utc>> {
        self.confirmed.get(record)?.iter().max().copied()
    }

    /// I4: a held environment is not ended even if it has failed.
    pub(crate) fn held(&mut self, state: &State, who: &str, record: &str, until: DateTime<Utc>) {
        self.extended(state, who, record, until);
        self.held_database(record, until);
    }

    /// I4: a held database is not deleted.
    pub(crate) fn held_database(&mut self, id: &str, until: DateTime<Utc>) {
        let latest = self.held.entry(id.to_owned()).or_insert(until);
        *latest = until.max(*latest);
    }

    pub(crate) fn released(&mut self, id: &str) {
        self.held.remove(id);
    }

    /// A hold is lost with its tag or its record, which a person can remove by hand.
    pub(crate) fn update_lost_hold(&mut self, state: &State, id: &str) {
        let Some((name, _)) = self.ownership.templates.get(id) else { return };
        if !state.templates().any(|(own, template)| own == id && template.tags.contains_key(key::HOLD)) {
            self.held.remove(id);
            self.held.remove(&name.replace('/', "-"));
        }
    }

    pub(crate) fn is_held(&self, id: &str, now: DateTime<Utc>) -> bool {
        self.held.get(id).is_some_and(|until| now < *until)
    }
}
