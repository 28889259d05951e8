//! The pipelines of EC2 Image Builder that build a fleet's images, and their runs.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ids::{FleetName, ImageId};
use super::text::Untrusted;

/// What a pipeline builds.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum PipelineKind {
    /// The operating system with Docker, Minikube and the tools of the bootstrap.
    Base,
    /// The base image with a cluster that contains the latest images of the services.
    Service,
}

impl PipelineKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the name of the fleet's pipeline, as in the fleet's stack.
    #[must_use]
    pub fn pipeline_name(self, fleet: &FleetName) -> String {
        format!("hatchery-{fleet}-{self}")
    }
}

/// A pipeline with its latest runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    pub kind: PipelineKind,
    /// Whether its schedule is enabled.
    pub enabled: bool,
    /// When it runs, as a `cron` or `rate` expression; `None` if it has no schedule.
    pub schedule: Option<Untrusted>,
    /// Newest first.
    pub runs: Vec<Run>,
}

impl Pipeline {
    /// Returns the latest run that has ended, unless it was cancelled.
    #[must_use]
    pub fn last_result(&self) -> Option<&Run> {
        self.runs.iter().find(|run| matches!(run.state, RunState::Available | RunState::Failed))
    }
}

/// One run of a pipeline, which builds one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The version and build number of the image, such as `1.0.3/2`.
    pub version: Untrusted,
    pub state: RunState,
    /// Why the run failed.
    pub reason: Option<Untrusted>,
    pub started_at: DateTime<Utc>,
    /// The image, once it is made.
    pub image: Option<ImageId>,
}

impl Run {
    /// Returns why the run failed, for the user.
    #[must_use]
    pub(crate) fn why(&self) -> String {
        self.reason.as_ref().map_or_else(|| "Image Builder gives no reason".to_owned(), ToString::to_string)
    }
}

/// The state of a run, in order.
/// <https://docs.aws.amazon.com/imagebuilder/latest/APIReference/API_ImageState.html>
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum RunState {
    Pending,
    Creating,
    Building,
    Testing,
    Distributing,
    Integrating,
    Available,
    Cancelled,
    Failed,
    Deprecated,
    Disabled,
    Deleted,
    /// A state that this version does not know; treated as not ended.
    Unknown,
}

impl RunState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    #[must_use]
    pub fn has_ended(self) -> bool {
        use RunState::{Available, Cancelled, Deleted, Deprecated, Disabled, Failed};
        matches!(self, Available | Cancelled | Failed | Deprecated | Disabled | Deleted)
    }
}
