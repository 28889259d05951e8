//! Which environment a replacement is for, as its record says.

use super::ids::{EnvironmentId, FleetName, Number, RecordId};

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

    /// Parses the value of a tag. An invalid one names no environment of the fleet, so `own`, the record's id, stands for it.
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
