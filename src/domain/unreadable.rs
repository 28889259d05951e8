//! Resources whose tags do not say that they are the fleet's although their names do. Their names are taken, and what depends on them is kept.

use serde::{Deserialize, Serialize};

use super::error::{CloudError, ErrorClass};
use super::ids::{FleetName, Number};
use super::tags::{Tags, key, role};
use super::text::Untrusted;

/// The result of parsing a resource: `None` if its name is not the fleet's, and an error if its name is and its tags are not.
pub type Parsed<T> = Option<Result<T, Unreadable>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum UnreadableKind {
    Record,
    Database,
}

/// A launch template or a database with a name of the fleet, but without its tags: one that has lost them, or a namesake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    pub kind: UnreadableKind,
    /// The id of the launch template, or the identifier of the database.
    pub id: Untrusted,
    /// The number in its name.
    pub number: Number,
    /// The tags that make it readable again; empty for a namesake, which lacks all tags that only hatchery writes.
    pub lost: Tags,
}

impl Unreadable {
    pub(crate) fn new(
        kind: UnreadableKind,
        id: &str,
        fleet: &FleetName,
        number: Number,
        tags: &Tags,
    ) -> Self {
        // A namesake has no tags of hatchery, and a resource of another fleet names that fleet.
        let is_ours = tags.keys().any(|key| key.starts_with(key::PREFIX))
            && tags.get(key::FLEET).is_none_or(|owner| owner == fleet.as_str());
        let role = match kind {
            UnreadableKind::Record => record_role(tags),
            UnreadableKind::Database => role::POOL,
        };
        let role = is_ours.then_some(role);
        let tags_of = |role: &str| {
            [(key::FLEET, fleet.as_str()), (key::ROLE, role)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let lost = role.map(|role| Tags::from(tags_of(role))).unwrap_or_default();
        Self { kind, id: id.into(), number, lost }
    }

    /// Whether it has lost tags, and is no namesake.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Returns the error of a read that has found this resource.
    #[must_use]
    pub fn to_error(&self, operation: &'static str) -> CloudError {
        let message = format!("{} exists, but its tags do not say that it belongs to the fleet", self.id);
        CloudError::new(ErrorClass::Unreadable, operation, "Unreadable", message)
    }
}

/// Returns the role of a record: the one that it still has, or else the one that its other tags tell.
fn record_role(tags: &Tags) -> &'static str {
    let has = |key: &str| tags.contains_key(key);
    let is_named = has(key::NAME) || has(key::INSTANCE);
    if has(key::REPLACES) {
        return role::REPLACEMENT;
    }
    match tags.get(key::ROLE).map(String::as_str) {
        Some(role::RETIREMENT) => role::RETIREMENT,
        Some(role::ENVIRONMENT) => role::ENVIRONMENT,
        // The record of a held database expires, too.
        _ if has(key::HOLD) && !is_named => role::RETIREMENT,
        _ if has(key::TERMINATE) && !is_named && !has(key::EXPIRES_AT) => role::RETIREMENT,
        _ => role::ENVIRONMENT,
    }
}
