//! Resources whose tags do not say that they are the fleet's although their names do. Their names are taken, and what depends on them is kept.

use serde::{Deserialize, Serialize};

use super::error::{CloudError, ErrorClass};
use super::ids::Number;
use super::tags::{Tags, key};

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
    pub id: String,
    /// The number in its name.
    pub number: Number,
    /// Whether it still has a tag that only hatchery writes, so that it is no namesake.
    pub is_ours: bool,
}

impl Unreadable {
    pub(crate) fn new(kind: UnreadableKind, id: impl Into<String>, number: Number, tags: &Tags) -> Self {
        let is_ours = match kind {
            UnreadableKind::Record => tags.contains_key(key::CLAIM),
            UnreadableKind::Database => {
                tags.contains_key(key::SNAPSHOT_AT) && tags.contains_key(key::CREATED_AT)
            }
        };
        Self { kind, id: id.into(), number, is_ours }
    }

    /// Returns the error of a read that has found this resource.
    #[must_use]
    pub fn to_error(&self, operation: &'static str) -> CloudError {
        let message = format!("{} exists, but its tags do not say that it belongs to the fleet", self.id);
        CloudError::new(ErrorClass::Unreadable, operation, "Unreadable", message)
    }
}
