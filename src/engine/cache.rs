//! Observations that an engine keeps between passes, because they change rarely.

use std::sync::Arc;
use std::time::Duration;

use crate::cloud::Result;
use crate::domain::{Fleet, Image, Launches, Pipeline, Snapshot, Subnet};

/// The snapshot, image and subnets that launches and restores use, and the pipelines of the image.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) snapshot: Result<Option<Snapshot>>,
    pub(super) image: Result<Option<Image>>,
    pub(super) subnets: Result<Vec<Subnet>>,
    pub(super) pipelines: Result<Vec<Pipeline>>,
}

/// The cached sources, the time of their observation, and the fleet whose policy they belong to.
pub(super) struct SourceCache {
    pub(super) at: Duration,
    pub(super) fleet: Fleet,
    pub(super) sources: Sources,
}

pub(super) struct HistoryCache {
    /// By the engine's monotonic clock.
    pub(super) valid_until: Duration,
    pub(super) launches: Result<Arc<Launches>>,
}
