//! Changes to the tags of a record.

use chrono::{DateTime, Utc};

use super::{LaunchFailure, Record, Termination};
use crate::domain::deployment::Deployment;
use crate::domain::hold::Hold;
use crate::domain::ids::DatabaseId;
use crate::domain::tags::{self, TagChanges, key};
use crate::domain::text::Untrusted;

/// How many Lambda requests a record knows.
const MAX_REQUESTS: usize = 6;

impl TagChanges {
    #[must_use]
    pub fn expire_at(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::EXPIRES_AT, at)
    }

    /// Extends a record. `nonce` is of this extension alone. Earlier extensions are removed, because this one covers them.
    #[must_use]
    pub fn extend(record: &Record, at: DateTime<Utc>, nonce: &str) -> Self {
        let mut changes = Self::expire_at(at).set_time(&format!("{}{nonce}", key::EXTENSION_PREFIX), at);
        let covered = record.extensions.iter().filter(|(_, earlier)| **earlier <= at);
        changes.remove.extend(covered.map(|(nonce, _)| format!("{}{}", key::EXTENSION_PREFIX, nonce.raw())));
        changes
    }

    /// Takes back the extension `nonce`. The expiry before it is written as an extension of its own, whose key ends in `new_nonce`, because the extension
    /// has removed those that it covers.
    #[must_use]
    pub fn undo_extension(nonce: &str, earlier: DateTime<Utc>, new_nonce: &str) -> Self {
        Self::expire_at(earlier)
            .set_time(&format!("{}{new_nonce}", key::EXTENSION_PREFIX), earlier)
            .remove(&format!("{}{nonce}", key::EXTENSION_PREFIX))
    }

    /// Adds the id of the Lambda request that makes the changes, and forgets the oldest ones: a tag has room for six UUIDs.
    #[must_use]
    pub fn request(self, record: &Record, id: &str) -> Self {
        let earlier = &record.requests[record.requests.len().saturating_sub(MAX_REQUESTS - 1)..];
        let ids: Vec<_> = earlier.iter().map(Untrusted::raw).chain([id]).collect();
        self.set(key::REQUESTS, ids.join(" "))
    }

    #[must_use]
    pub fn hold(self, hold: &Hold) -> Self {
        self.set(key::HOLD, hold.to_tag())
    }

    /// Marks an expired or failed environment in the first sweep.
    #[must_use]
    pub fn reaping_since(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::REAPING_SINCE, at)
    }

    /// Marks the environment as failed permanently.
    #[must_use]
    pub fn fail(failure: &LaunchFailure) -> Self {
        Self::new().set(key::FAILURE, failure.to_tag())
    }

    /// Keeps a broken environment until its expiry, because a user repairs it.
    #[must_use]
    pub fn repair(self, at: DateTime<Utc>, user: &str) -> Self {
        self.set(key::REPAIR, tags::format_timed(at, user)).remove(key::FAILURE).remove(key::ORPHAN_SINCE)
    }

    #[must_use]
    pub fn terminate(termination: &Termination) -> Self {
        Self::new().set(key::TERMINATE, termination.to_tag())
    }

    /// Makes an environment use another database, and requests the deployment of it.
    #[must_use]
    pub fn use_database(database: &DatabaseId, deployment: &Deployment) -> Self {
        Self::new().set(key::DATABASE, database.as_str()).set(key::DEPLOYMENT, deployment.to_tag())
    }
}
