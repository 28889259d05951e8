//! What a launch knows, and what it has claimed.

use chrono::{DateTime, Utc};

use crate::domain::{EnvironmentId, Image, Purpose, RecordId, Subnet, World};

/// Everything that a launch needs to know, from one observation.
pub(super) struct LaunchContext {
    pub(super) world: World,
    pub(super) image: Image,
    pub(super) subnets: Vec<Subnet>,
    pub(super) now: DateTime<Utc>,
}

/// What a claim on a database is for.
pub(in crate::engine) struct ClaimContext<'a> {
    pub(in crate::engine) world: &'a World,
    pub(in crate::engine) now: DateTime<Utc>,
    /// The beginning of error messages, such as `cannot launch`.
    pub(in crate::engine) what: &'a str,
    /// Returns the purpose of a record whose database is in this zone.
    pub(in crate::engine) purpose: &'a (dyn Fn(Option<&str>) -> Purpose + Send + Sync),
}

/// A confirmed claim. From here on, any engine can finish the launch.
pub(in crate::engine) struct Claim {
    pub(in crate::engine) environment: EnvironmentId,
    pub(in crate::engine) record: RecordId,
    /// Whether the database is tagged, so that an instance may use it.
    pub(in crate::engine) bound: bool,
}
