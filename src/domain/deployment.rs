//! Deployments into an environment that exists: other versions of its services, or another database.
//!
//! A request is a tag of the record, which engines copy to the instance together with what it names. The instance deploys what its own tags
//! name, and answers with the time of the request, so that the answer to an earlier request does not count for a later one.

use chrono::{DateTime, Utc};

use super::tags;
use super::text::Untrusted;

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
