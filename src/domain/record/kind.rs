//! What a record claims its database for.

use crate::domain::ids::{EnvironmentId, FleetName, Number, RecordId};
use crate::domain::tags::{self, Tags, key, role};

/// What a record claims its database for, as its role says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// The environment of its own number uses the database.
    Environment,
    /// The database leaves the pool.
    Retirement,
    /// An environment that exists gets the database instead of its own.
    Replacement(Replaces),
}

impl RecordKind {
    /// Parses the tags of a record of the fleet; `None` if they do not say that it is one. `own` is its number.
    pub(super) fn parse(tags: &Tags, fleet: &FleetName, own: Number) -> Option<Self> {
        let has_role = |role| tags::belongs(tags, fleet.as_str(), role);
        let replaces = tags.get(key::REPLACES).map(String::as_str);
        // An older engine does not know the role of replacements, and overwrites it by that of environments.
        if has_role(role::REPLACEMENT) || has_role(role::ENVIRONMENT) && replaces.is_some() {
            return Some(Self::Replacement(Replaces::parse(replaces, fleet, own)));
        }
        if has_role(role::RETIREMENT) {
            return Some(Self::Retirement);
        }
        has_role(role::ENVIRONMENT).then_some(Self::Environment)
    }
}

/// The environment whose database a record replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The environment's record; an id that no record has if the tag is invalid.
    pub record: RecordId,
    pub environment: EnvironmentId,
}

impl Replaces {
    #[must_use]
    pub fn to_tag(&self) -> String {
        format!("{} {}", self.record.as_str(), self.environment)
    }

    /// Parses the value of a tag. An invalid one names no environment of the fleet; the result then has the id with the number `own`, and no record.
    #[must_use]
    pub(crate) fn parse(value: Option<&str>, fleet: &FleetName, own: Number) -> Self {
        let parsed = value.and_then(|value| {
            let (record, environment) = value.split_once(' ')?;
            let environment: EnvironmentId = environment.parse().ok()?;
            (environment.fleet == *fleet).then(|| Self { record: RecordId::new(record), environment })
        });
        parsed.unwrap_or_else(|| Self { record: RecordId::new(""), environment: fleet.environment(own) })
    }
}
