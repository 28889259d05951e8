//! Tag keys and the small helpers that read and write them. Tags are the only place where state lives.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};

/// All tags of one resource, in order of their keys.
pub type Tags = BTreeMap<String, String>;

/// The most characters that EC2 takes in a tag's value.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub const MAX_VALUE_CHARS: usize = 256;

/// The most tags that AWS takes on one resource.
pub const MAX_TAGS: usize = 50;

/// Keys on fleets, records, instances and databases. A table of who carries which is in `ARCHITECTURE.md`.
pub mod key {
    /// The fleet's name; on everything that hatchery owns.
    pub const FLEET: &str = "hatchery:fleet";
    /// `fleet`, `environment`, `retirement` or `pool`.
    pub const ROLE: &str = "hatchery:role";
    /// The environment's id, such as `dev-12`.
    pub const ENVIRONMENT: &str = "hatchery:environment";
    /// The environment's label.
    pub const NAME: &str = "hatchery:name";
    /// Who asked for the environment.
    pub const OWNER: &str = "hatchery:owner";
    /// The database's identifier.
    pub const DATABASE: &str = "hatchery:database";
    /// When the environment or the database was asked for, RFC 3339.
    pub const CREATED_AT: &str = "hatchery:created-at";
    /// When the environment's time is over, RFC 3339.
    pub const EXPIRES_AT: &str = "hatchery:expires-at";
    /// When the first sweep found the time over, RFC 3339.
    pub const REAPING_SINCE: &str = "hatchery:reaping-since";
    /// `<RFC 3339> <who>`, once somebody asked for the end.
    pub const TERMINATE: &str = "hatchery:terminate";
    /// Free text of the owner.
    pub const NOTE: &str = "hatchery:note";
    /// How many launch attempts have failed for good.
    pub const ATTEMPT: &str = "hatchery:attempt";
    /// The instance that the record's launch gave, once known: from then on nobody launches it a second time.
    pub const INSTANCE: &str = "hatchery:instance";
    /// A random word by which whoever created the record knows it again.
    pub const CLAIM: &str = "hatchery:claim";
    /// `<RFC 3339> <reason>`, once the environment has failed for good.
    pub const FAILURE: &str = "hatchery:failure";
    /// When a sweep first found the resource without its counterpart, RFC 3339.
    pub const ORPHAN_SINCE: &str = "hatchery:orphan-since";
    /// Prefix of one key a service; the value is the image tag.
    pub const SERVICE_PREFIX: &str = "hatchery:service.";
    /// The bootstrap's phase, written by the instance itself.
    pub const PHASE: &str = "hatchery:phase";
    /// What the bootstrap says about its phase.
    pub const DETAIL: &str = "hatchery:detail";
    /// When the bootstrap was done, RFC 3339.
    pub const READY_AT: &str = "hatchery:ready-at";
    /// Seconds since launch at which each phase began: `booting=12 database=20 …`.
    pub const TIMELINE: &str = "hatchery:timeline";
    /// The availability zone that a database was created for.
    pub const ZONE: &str = "hatchery:zone";
    /// The snapshot that a database was restored from. (RDS takes `:` in values.)
    pub const SNAPSHOT: &str = "hatchery:snapshot";
    /// When that snapshot was taken, RFC 3339.
    pub const SNAPSHOT_AT: &str = "hatchery:snapshot-at";
    /// On images: which fleets' images they are; compared with the policy's `image-tag`.
    pub const IMAGE: &str = "hatchery:image";
    /// Written by EC2 on an instance that was launched from a launch template: that template's id.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template.html>
    pub const AWS_TEMPLATE_ID: &str = "aws:ec2launchtemplate:id";
}

/// Values of [`key::ROLE`].
pub mod role {
    /// A fleet's base launch template.
    pub const FLEET: &str = "fleet";
    /// An environment's record, and its instance.
    pub const ENVIRONMENT: &str = "environment";
    /// The record of a database that is being retired from the pool. It holds the claim, so that nobody launches on
    /// the database while it goes, and ends like any record that somebody asked to terminate.
    pub const RETIREMENT: &str = "retirement";
    /// A database of the pool, claimed or not.
    pub const POOL: &str = "pool";
}

/// A change to the tags of one resource: first the removals, then the values to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagChanges {
    /// Keys to write, with their values.
    pub set: Tags,
    /// Keys to remove.
    pub remove: BTreeSet<String>,
}

impl TagChanges {
    /// A change that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also writes one tag.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set.insert(key.to_owned(), value.into());
        self
    }

    /// Also writes an instant.
    #[must_use]
    pub fn set_time(self, key: &str, at: DateTime<Utc>) -> Self {
        self.set(key, format_time(at))
    }

    /// Also removes one tag.
    #[must_use]
    pub fn remove(mut self, key: &str) -> Self {
        self.remove.insert(key.to_owned());
        self
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// The tags as they stand after this change.
    pub fn apply_to(&self, tags: &mut Tags) {
        tags.retain(|key, _| !self.remove.contains(key));
        tags.extend(self.set.clone());
    }
}

/// An instant as it is written in tags: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn format_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The instant in a tag, if the tag is present and readable.
#[must_use]
pub fn parse_time(tags: &Tags, key: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(tags.get(key)?).ok()?.to_utc())
}

/// Whether the tags say that the resource is this fleet's, in this role.
#[must_use]
pub fn belongs(tags: &Tags, fleet: &str, role: &str) -> bool {
    tags.get(key::FLEET).is_some_and(|f| f == fleet) && tags.get(key::ROLE).is_some_and(|r| r == role)
}
