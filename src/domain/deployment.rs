//! Deployments into an environment that exists: other versions of its services, or another database.
//!
//! A request is a tag of the record, which engines copy to the instance together with what it names. The instance deploys what its own tags
//! name, and answers with the time of the request, so that the answer to an earlier request does not count for a later one.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::tags;
use super::text::Untrusted;

/// How long an instance may take to begin with a deployment. It reads its tags every 15 seconds, and may still work on an earlier request.
const MAX_TIME_TO_BEGIN: Duration = Duration::from_mins(15);

/// How long an instance may take to end a deployment: it waits up to 40 minutes for another database, and 15 for a workload.
const MAX_TIME_TO_END: Duration = Duration::from_mins(90);

/// A request to deploy what the tags of the record name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub at: DateTime<Utc>,
    /// The name of the user who requested it.
    pub by: Untrusted,
}

impl Deployment {
    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.at, self.by.raw())
    }

    /// Parses the value of a tag. Returns `None` if it has no valid time, because the instance could not answer it.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        tags::parse_timed(value).map(|(at, by)| Self { at, by })
    }
}

/// How far an instance is with a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The time of the request; see [`Deployment::at`].
    pub request: DateTime<Utc>,
    pub state: RolloutState,
    /// What the instance does, or why it failed.
    pub detail: Untrusted,
}

/// The state of a [`Rollout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RolloutState {
    Running,
    Done,
    Failed,
}

/// The state of an environment's last request to deploy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::Display, strum::EnumIter, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DeploymentState {
    /// The instance has not begun with it.
    Requested,
    Running,
    Done,
    Failed,
}

impl DeploymentState {
    /// Whether the instance has not said how it ended.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Requested | Self::Running)
    }
}

/// An environment's last request to deploy, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentStatus<'w> {
    pub request: &'w Deployment,
    pub state: DeploymentState,
    /// What the instance does, or why it failed.
    pub detail: Option<&'w Untrusted>,
}

impl<'w> DeploymentStatus<'w> {
    /// Compares a request with what the instance says. An answer to another request does not count: not to an earlier one, and not to a later
    /// one either, because two users can write their requests in the other order than they made them.
    #[must_use]
    pub fn new(request: &'w Deployment, rollout: Option<&'w Rollout>) -> Self {
        let answer = rollout.filter(|rollout| rollout.request == request.at);
        let state = match answer.map(|rollout| rollout.state) {
            None => DeploymentState::Requested,
            Some(RolloutState::Running) => DeploymentState::Running,
            Some(RolloutState::Done) => DeploymentState::Done,
            Some(RolloutState::Failed) => DeploymentState::Failed,
        };
        let detail = answer.map(|rollout| &rollout.detail).filter(|detail| !detail.is_empty());
        Self { request, state, detail }
    }

    /// Whether the instance should have answered by now.
    #[must_use]
    pub fn is_late(&self, now: DateTime<Utc>) -> bool {
        let limit = match self.state {
            DeploymentState::Requested => MAX_TIME_TO_BEGIN,
            DeploymentState::Running => MAX_TIME_TO_END,
            DeploymentState::Done | DeploymentState::Failed => return false,
        };
        now >= self.request.at + limit
    }
}

impl Rollout {
    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.request, &format!("{} {}", self.state, self.detail.raw()))
    }

    /// Parses the value of a tag. Returns `None` if it is invalid.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (request, rest) = tags::parse_timed(value)?;
        let (state, detail) = rest.raw().split_once(' ').unwrap_or((rest.raw(), ""));
        Some(Self { request, state: state.parse().ok()?, detail: detail.into() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-01-02T03:04:05Z done", Some((RolloutState::Done, "")))]
    #[case("2026-01-02T03:04:05Z failed cannot pull payments:f-1", Some((RolloutState::Failed, "cannot pull payments:f-1")))]
    #[case("2026-01-02T03:04:05Z dreaming", None)]
    #[case("yesterday done", None)]
    #[case("", None)]
    fn rollout_is_parsed(#[case] value: &str, #[case] expected: Option<(RolloutState, &str)>) {
        let parsed = Rollout::parse(value);
        assert_eq!(parsed.as_ref().map(|rollout| (rollout.state, rollout.detail.raw())), expected);
        if let Some(rollout) = parsed {
            assert_eq!(rollout.to_tag().trim_end(), value);
        }
    }

    #[test]
    fn deployment_survives_its_tag() {
        let at = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let deployment = Deployment { at, by: "amy".into() };
        assert_eq!(Deployment::parse(&deployment.to_tag()), Some(deployment));
        assert_eq!(Deployment::parse("soon amy"), None);
    }
}
