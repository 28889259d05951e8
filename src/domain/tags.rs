//! Tag keys, and the conversion of values from and to tags. All state of hatchery is in tags and resource names.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};

use super::text::{self, Untrusted};

/// All tags of one resource, in order of their keys.
pub type Tags = BTreeMap<String, String>;

/// The maximum length of a tag's value.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub const MAX_VALUE_CHARS: usize = 256;

/// The maximum number of tags of a resource.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub(crate) const MAX_TAGS: usize = 50;

/// Keys of tags. `ARCHITECTURE.md` has a table of the resources that have them.
pub mod key {
    /// Prefix of all keys.
    pub const PREFIX: &str = "hatchery:";
    /// The fleet's name, on every resource that hatchery owns.
    pub const FLEET: &str = "hatchery:fleet";
    /// `fleet`, `environment`, `retirement`, `replacement` or `pool`.
    pub const ROLE: &str = "hatchery:role";
    /// The environment's id, such as `dev-12`.
    pub const ENVIRONMENT: &str = "hatchery:environment";
    pub const NAME: &str = "hatchery:name";
    /// The user who launched the environment.
    pub const OWNER: &str = "hatchery:owner";
    /// The database that the environment uses. It is the one with the environment's number until a reset replaces it.
    pub const DATABASE: &str = "hatchery:database";
    /// The time of the request for the environment or database, RFC 3339.
    pub const CREATED_AT: &str = "hatchery:created-at";
    /// The expiry of the environment, RFC 3339.
    pub const EXPIRES_AT: &str = "hatchery:expires-at";
    /// On records: prefix of the keys of extensions, each of which has a key of its own. The latest of all expiries counts, so that no extension
    /// can shorten another one that is made at the same time.
    pub(crate) const EXTENSION_PREFIX: &str = "hatchery:expires-at.";
    /// The time of the first sweep after the expiry or failure, RFC 3339.
    pub const REAPING_SINCE: &str = "hatchery:reaping-since";
    /// `<RFC 3339> <user>`: a request to terminate the environment.
    pub const TERMINATE: &str = "hatchery:terminate";
    /// Free text of the owner.
    pub const NOTE: &str = "hatchery:note";
    /// The number of launch attempts that failed permanently.
    pub const ATTEMPT: &str = "hatchery:attempt";
    /// The launched instance. A record with this tag is not launched again.
    pub const INSTANCE: &str = "hatchery:instance";
    /// The nonce by which the engine that created the record recognises it.
    pub const CLAIM: &str = "hatchery:claim";
    /// `<RFC 3339> <reason>`: the environment failed permanently.
    pub const FAILURE: &str = "hatchery:failure";
    /// The time of the first sweep that found the resource without its counterpart, RFC 3339.
    pub const ORPHAN_SINCE: &str = "hatchery:orphan-since";
    /// On databases: the time of the first sweep that found it busy, stopped or failed although it had been usable, RFC 3339.
    pub const UNUSABLE_SINCE: &str = "hatchery:unusable-since";
    /// On databases: when RDS was first seen to load its volume, RFC 3339; see [`crate::domain::Hydration`].
    pub const LOADING_SEEN: &str = "hatchery:loading-seen";
    /// The step on this resource that AWS refuses; see [`crate::domain::StepFailure`].
    pub const FAILED_STEP: &str = "hatchery:failed-step";
    /// On records: the notices that were sent; see [`crate::domain::notice`].
    pub const NOTIFIED: &str = "hatchery:notified";
    /// On fleets: `<RFC 3339> [told]`, since when the pool is empty, and whether a notice was sent; see [`crate::domain::notice::PoolEmpty`].
    pub const POOL_EMPTY: &str = "hatchery:pool-empty";
    /// On fleets: the failed attempt to send a notice; see [`crate::domain::StepFailure`].
    pub const FAILED_NOTICE: &str = "hatchery:failed-notice";
    /// Settings of the policy that commands and engines write by themselves.
    pub(crate) const DRAINING: &str = "hatchery:draining";
    pub(crate) const PAUSED: &str = "hatchery:paused";
    pub(crate) const RECYCLED_AT: &str = "hatchery:recycled-at";
    pub(crate) const SPARE: &str = "hatchery:spare";
    /// On fleets: `<RFC 3339> <who>`, the last pass of an engine; see [`crate::domain::fleet::LastPass`].
    pub const LAST_PASS: &str = "hatchery:last-pass";
    /// On databases: a digest of the settings with which it was restored.
    pub const SETTINGS: &str = "hatchery:settings";
    /// On databases: the record that claimed it.
    pub const RECORD: &str = "hatchery:record";
    /// `<RFC 3339> <user>`: the user repairs the environment, so that no engine fails it before its expiry.
    pub const REPAIR: &str = "hatchery:repair";
    /// On records, and copied to their instances: `<RFC 3339> <user>`, the last request to run the services and the database that the tags name
    /// now; see [`crate::domain::Deployment`].
    pub const DEPLOYMENT: &str = "hatchery:deployment";
    /// On instances, written by themselves: `<RFC 3339> <state> <detail>`, how far the deployment that was requested at this time is.
    pub const ROLLOUT: &str = "hatchery:rollout";
    /// On records: the ids of the last Lambda requests that changed it, separated by spaces.
    pub const REQUESTS: &str = "hatchery:requests";
    /// `<RFC 3339> <user>: <why>`: the user holds the failed environment or the database until this time; see [`crate::domain::Hold`].
    pub const HOLD: &str = "hatchery:hold";
    /// On replacements: `<record id> <environment>`, the environment that gets the database; see [`crate::domain::Replaces`].
    pub const REPLACES: &str = "hatchery:replaces";
    /// Prefix of the key of a service under test; the value is its image tag.
    pub(crate) const SERVICE_PREFIX: &str = "hatchery:service.";
    /// The bootstrap's phase, written by the instance.
    pub const PHASE: &str = "hatchery:phase";
    /// The bootstrap's message about its phase.
    pub const DETAIL: &str = "hatchery:detail";
    /// The time at which the bootstrap succeeded, RFC 3339.
    pub const READY_AT: &str = "hatchery:ready-at";
    /// The start of each phase in seconds since the launch: `booting=12 database=20 …`.
    pub const TIMELINE: &str = "hatchery:timeline";
    /// Prefix of the key of a service under test; the value is the digest of the image that it runs, written by the instance.
    pub(crate) const DIGEST_PREFIX: &str = "hatchery:digest.";
    /// The requested Availability Zone of a database.
    pub const ZONE: &str = "hatchery:zone";
    /// The snapshot from which a database was restored.
    pub const SNAPSHOT: &str = "hatchery:snapshot";
    /// The creation time of that snapshot, RFC 3339.
    pub const SNAPSHOT_AT: &str = "hatchery:snapshot-at";
    /// On images: compared with the policy's `image-tag`.
    pub const IMAGE: &str = "hatchery:image";
    /// Written by EC2: the launch template from which the instance was launched.
    /// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template.html>
    pub const AWS_TEMPLATE_ID: &str = "aws:ec2launchtemplate:id";
}

/// Values of [`key::ROLE`].
pub mod role {
    /// A fleet's base launch template.
    pub const FLEET: &str = "fleet";
    /// An environment's record or instance.
    pub const ENVIRONMENT: &str = "environment";
    /// The record of a database that leaves the pool. It claims the database, so that no launch can claim it while it is being deleted, and
    /// is terminated like the record of an environment: at once, or once the hold of a user has ended.
    pub const RETIREMENT: &str = "retirement";
    /// The record of a database that an existing environment gets instead of its own. It claims the database, and no instance is launched from it.
    pub const REPLACEMENT: &str = "replacement";
    /// A database of the pool, claimed or not.
    pub const POOL: &str = "pool";
}

/// A change to the tags of one resource. Removals come before writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagChanges {
    pub set: Tags,
    pub remove: BTreeSet<String>,
}

impl TagChanges {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set.insert(key.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn set_time(self, key: &str, at: DateTime<Utc>) -> Self {
        self.set(key, format_time(at))
    }

    #[must_use]
    pub fn remove(mut self, key: &str) -> Self {
        self.remove.insert(key.to_owned());
        self
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Applies the change to a copy of the resource's tags.
    pub fn apply_to(&self, tags: &mut Tags) {
        tags.retain(|key, _| !self.remove.contains(key));
        tags.extend(self.set.clone());
    }
}

/// Removes the characters that RDS refuses in the value of a tag.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html>
#[must_use]
pub(crate) fn rds_value(text: &str) -> String {
    text.chars().filter(|c| is_rds_char(*c)).collect()
}

/// Whether RDS allows the character in the value of a tag.
pub(super) fn is_rds_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c)
}

/// Formats a time for a tag: RFC 3339, UTC, whole seconds.
#[must_use]
pub(crate) fn format_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Formats `<RFC 3339> <text>`, cut to the length of a tag.
#[must_use]
pub(crate) fn format_timed(at: DateTime<Utc>, text: &str) -> String {
    let value = format!("{} {}", format_time(at), text::sanitize(text));
    value.chars().take(MAX_VALUE_CHARS).collect()
}

/// Parses a value of [`format_timed`]. Returns `None` if it has no valid time.
#[must_use]
pub(crate) fn parse_timed(value: &str) -> Option<(DateTime<Utc>, Untrusted)> {
    let (at, text) = value.split_once(' ')?;
    Some((DateTime::parse_from_rfc3339(at).ok()?.to_utc(), text.into()))
}

/// Returns the text in a tag.
#[must_use]
pub(crate) fn text(tags: &Tags, key: &str) -> Option<Untrusted> {
    tags.get(key).map(|value| value.as_str().into())
}

/// Parses the time in a tag. Returns `None` if the tag is missing or invalid.
#[must_use]
pub fn parse_time(tags: &Tags, key: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(tags.get(key)?).ok()?.to_utc())
}

/// Whether the tags name this fleet and this role.
#[must_use]
pub fn belongs(tags: &Tags, fleet: &str, role: &str) -> bool {
    tags.get(key::FLEET).is_some_and(|f| f == fleet) && tags.get(key::ROLE).is_some_and(|r| r == role)
}
