//! What a launch knows, and what it has claimed.

use chrono::{DateTime, Utc};

use crate::domain::{EnvironmentId, Image, RecordId, Subnet, World};

/// Everything that a launch needs to know, from one observation.
pub(super) struct LaunchContext<'a> {
    pub(super) world: &'a World,
    pub(super) image: Image,
    pub(super) subnets: &'a [Subnet],
    pub(super) now: DateTime<Utc>,
}

/// A confirmed claim. From here on, any engine can finish the launch.
pub(super) struct Claim {
    pub(super) environment: EnvironmentId,
    pub(super) record: RecordId,
    pub(super) expires_at: DateTime<Utc>,
    /// Whether the database is tagged, so that an instance may use it.
    pub(super) bound: bool,
}
