//! EC2 instances, and the phases that the bootstrap on them goes through.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{EnvironmentId, FleetName, InstanceId, RecordId};
use super::tags::{self, Tags, key, role};
use super::text;

/// The life cycle of an EC2 instance.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
    /// A state that this version does not know: treated as alive.
    Unknown,
}

impl InstanceState {
    /// Whether the instance is on its way out or gone. Its tags may already be missing.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for InstanceState {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            _ => Self::Unknown,
        })
    }
}

/// Where the bootstrap on an instance stands, in the order in which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The operating system starts.
    Booting,
    /// Waiting for the database to answer.
    Database,
    /// Fetching the images of the services under test.
    Images,
    /// Minikube and the ingress start.
    Cluster,
    /// The services come up.
    Services,
    /// Everything answers.
    Ready,
    /// The bootstrap gave up; the reason is in the instance's detail.
    Failed,
}

impl Phase {
    /// The phases of a successful bootstrap, in order.
    pub const PATH: [Self; 6] =
        [Self::Booting, Self::Database, Self::Images, Self::Cluster, Self::Services, Self::Ready];

    /// The word that is written in tags and shown on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Database => "database",
            Self::Images => "images",
            Self::Cluster => "cluster",
            Self::Services => "services",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The phase that a tag names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::PATH.into_iter().chain([Self::Failed]).find(|phase| phase.as_str() == text)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An EC2 instance of a fleet as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The environment that its tags name.
    pub environment: EnvironmentId,
    /// The record that it was launched from, where EC2's own tag says so.
    pub record: Option<RecordId>,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its type, such as `t3.2xlarge`.
    pub instance_type: String,
    /// Its public IPv4 address; may be absent and changes when it is stopped and started.
    pub public_ip: Option<String>,
    /// Its private IPv4 address.
    pub private_ip: Option<String>,
    /// Its availability zone.
    pub zone: Option<String>,
    /// When it was launched.
    pub launched_at: DateTime<Utc>,
    /// The expiry mirrored on it for its dead man's switch.
    pub expires_at: Option<DateTime<Utc>>,
    /// The bootstrap's phase; `None` before it says anything.
    pub phase: Option<Phase>,
    /// What the bootstrap says about its phase.
    pub detail: Option<String>,
    /// When the bootstrap was done.
    pub ready_at: Option<DateTime<Utc>>,
    /// Seconds since launch at which each phase began.
    pub timeline: BTreeMap<Phase, u64>,
    /// When a sweep first found it without a record.
    pub orphan_since: Option<DateTime<Utc>>,
}

/// What AWS says about an instance beside its tags; see [`Instance::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct InstanceFacts {
    pub id: InstanceId,
    pub state: InstanceState,
    pub instance_type: String,
    pub public_ip: Option<String>,
    pub private_ip: Option<String>,
    pub zone: Option<String>,
    pub launched_at: DateTime<Utc>,
}

impl Instance {
    /// Reads an instance, if its tags say that it is one of the fleet's environments.
    #[must_use]
    pub fn parse(fleet: &FleetName, facts: InstanceFacts, tags: &Tags) -> Option<Self> {
        if !tags::belongs(tags, fleet.as_str(), role::ENVIRONMENT) {
            return None;
        }
        let environment: EnvironmentId = tags.get(key::ENVIRONMENT)?.parse().ok()?;
        (environment.fleet == *fleet).then(|| Self {
            id: facts.id,
            environment,
            record: tags.get(key::AWS_TEMPLATE_ID).map(RecordId::new),
            state: facts.state,
            instance_type: facts.instance_type,
            public_ip: facts.public_ip,
            private_ip: facts.private_ip,
            zone: facts.zone,
            launched_at: facts.launched_at,
            expires_at: tags::parse_time(tags, key::EXPIRES_AT),
            phase: tags.get(key::PHASE).and_then(|word| Phase::parse(word)),
            detail: tags
                .get(key::DETAIL)
                .map(|detail| text::sanitize(detail))
                .filter(|detail| !detail.is_empty()),
            ready_at: tags::parse_time(tags, key::READY_AT),
            timeline: tags.get(key::TIMELINE).map(|value| parse_timeline(value)).unwrap_or_default(),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
        })
    }
}

/// Reads `booting=12 database=20 …`; what is not of that form is left out.
#[must_use]
pub fn parse_timeline(value: &str) -> BTreeMap<Phase, u64> {
    value
        .split_whitespace()
        .filter_map(|entry| {
            let (phase, seconds) = entry.split_once('=')?;
            Some((Phase::parse(phase)?, seconds.parse().ok()?))
        })
        .collect()
}

/// Writes a timeline as [`read_timeline`] reads it.
#[must_use]
pub fn format_timeline(timeline: &BTreeMap<Phase, u64>) -> String {
    timeline.iter().map(|(phase, seconds)| format!("{phase}={seconds}")).collect::<Vec<_>>().join(" ")
}
