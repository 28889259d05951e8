//! EC2 instances, and the phases of their bootstrap.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::deployment::{Deployment, Rollout};
use super::error::{CloudError, ErrorClass};
use super::ids::{EnvironmentId, FleetName, InstanceId, Number, RecordId};
use super::record::{Record, parse_services};
use super::step_failure::StepFailure;
use super::tags::{self, Tags, key, role};
use super::text::Untrusted;

/// The state of an EC2 instance.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
    /// A state that this version does not know; treated as active.
    Unknown,
}

impl InstanceState {
    /// Whether the instance is being terminated or is terminated. EC2 may have removed its tags.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// The phase of an instance's bootstrap, in order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// The operating system starts.
    Booting,
    /// The bootstrap waits for the database.
    Database,
    /// The images of the services under test are pulled.
    Images,
    /// Minikube and the ingress start.
    Cluster,
    /// The services start.
    Services,
    /// All services are healthy.
    Ready,
    /// The bootstrap failed; the instance's detail has the reason.
    Failed,
}

impl Phase {
    /// The phases of a successful bootstrap, in order.
    pub const PATH: [Self; 6] =
        [Self::Booting, Self::Database, Self::Images, Self::Cluster, Self::Services, Self::Ready];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An EC2 instance of a fleet as AWS returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    /// The environment, from the instance's tags.
    pub environment: EnvironmentId,
    /// The record from which it was launched, from EC2's own tag.
    pub record: Option<RecordId>,
    pub state: InstanceState,
    /// EC2's reason for the state, such as why an instance terminated at once.
    pub state_reason: Option<Untrusted>,
    /// The instance type, such as `t3.2xlarge`.
    pub instance_type: Untrusted,
    /// The public IPv4 address, which changes when the instance is stopped and started.
    pub public_ip: Option<Untrusted>,
    pub private_ip: Option<Untrusted>,
    pub zone: Option<Untrusted>,
    pub launched_at: DateTime<Utc>,
    /// The copy of the expiry by which the instance terminates itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The bootstrap's phase; `None` until the instance reports one.
    pub phase: Option<Phase>,
    /// The bootstrap's message about its phase.
    pub detail: Option<Untrusted>,
    /// The start of each phase, in seconds since the launch.
    pub timeline: BTreeMap<Phase, u64>,
    /// The digests of the images that the services under test run, such as `sha256:…`.
    pub digests: BTreeMap<Untrusted, Untrusted>,
    /// The number of the database that it is to use; `None` if its tag is missing or invalid.
    pub database: Option<Number>,
    /// The copy of the record's services under test and their image tags, which the instance deploys.
    pub services: BTreeMap<Untrusted, Untrusted>,
    /// The copy of the record's last request to deploy anew.
    pub deployment: Option<Deployment>,
    /// How far the instance is with the last request that it has seen; `None` if its bootstrap is too old to deploy anew.
    pub rollout: Option<Rollout>,
    /// The time of the first sweep that found it without a record.
    pub orphan_since: Option<DateTime<Utc>>,
    /// Whether it has lost tags without which no listing shows it; only [`Instance::parse_of`] returns such an instance.
    pub lost_tags: bool,
    /// The step on it that AWS refuses.
    pub failed_step: Option<StepFailure>,
}

/// The attributes of an instance in AWS's response, without its tags; see [`Instance::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceAttributes {
    pub id: InstanceId,
    pub state: InstanceState,
    pub state_reason: Option<Untrusted>,
    pub instance_type: Untrusted,
    pub public_ip: Option<Untrusted>,
    pub private_ip: Option<Untrusted>,
    pub zone: Option<Untrusted>,
    pub launched_at: DateTime<Utc>,
}

impl Instance {
    /// Parses an instance. Returns `None` unless its tags name an environment of the fleet.
    #[must_use]
    pub fn parse(fleet: &FleetName, attributes: InstanceAttributes, tags: &Tags) -> Option<Self> {
        if !tags::belongs(tags, fleet.as_str(), role::ENVIRONMENT) {
            return None;
        }
        let environment: EnvironmentId = tags.get(key::ENVIRONMENT)?.parse().ok()?;
        (environment.fleet == *fleet).then(|| Self::with_tags(environment, attributes, tags))
    }

    /// Parses the instance that a record names. EC2's own tag, which no caller can write, proves that it was launched from the record.
    ///
    /// # Errors
    /// Returns class `Unreadable` if it was not.
    pub fn parse_of(
        record: &Record,
        attributes: InstanceAttributes,
        tags: &Tags,
    ) -> Result<Self, CloudError> {
        let environment = &record.environment;
        let parsed = Self::parse(&environment.fleet, attributes.clone(), tags);
        let is_tagged = parsed.is_some_and(|parsed| parsed.environment == *environment);
        let launched_from = tags.get(key::AWS_TEMPLATE_ID);
        if launched_from.map_or(is_tagged, |id| id == record.id.as_str()) {
            let instance = Self::with_tags(environment.clone(), attributes, tags);
            return Ok(Self { lost_tags: !is_tagged, ..instance });
        }
        let message = format!("{} was not launched from the record of {environment}", attributes.id);
        Err(CloudError::new(ErrorClass::Unreadable, "DescribeInstances", "Unreadable", message))
    }

    /// Returns the instance that counts of several from one record: the oldest that is not ending, if there is one.
    #[must_use]
    pub fn first(instances: Vec<Self>) -> Option<Self> {
        instances.into_iter().min_by_key(|instance| {
            let is_terminated = instance.state == InstanceState::Terminated;
            (is_terminated, instance.state.is_ending(), instance.launched_at)
        })
    }

    /// Whether it runs and its bootstrap has succeeded.
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.state == InstanceState::Running && self.phase == Some(Phase::Ready)
    }

    fn with_tags(environment: EnvironmentId, attributes: InstanceAttributes, tags: &Tags) -> Self {
        Self {
            id: attributes.id,
            record: tags.get(key::AWS_TEMPLATE_ID).map(RecordId::new),
            state: attributes.state,
            state_reason: attributes.state_reason.filter(|reason| !reason.is_empty()),
            instance_type: attributes.instance_type,
            public_ip: attributes.public_ip,
            private_ip: attributes.private_ip,
            zone: attributes.zone,
            launched_at: attributes.launched_at,
            expires_at: tags::parse_time(tags, key::EXPIRES_AT),
            phase: tags.get(key::PHASE).and_then(|phase| phase.parse().ok()),
            detail: tags::text(tags, key::DETAIL).filter(|detail| !detail.is_empty()),
            timeline: tags.get(key::TIMELINE).map(|value| parse_timeline(value)).unwrap_or_default(),
            digests: parse_digests(tags),
            database: tags.get(key::DATABASE).and_then(|id| environment.fleet.database_number(id)),
            services: parse_services(tags),
            deployment: tags.get(key::DEPLOYMENT).and_then(|value| Deployment::parse(value)),
            rollout: tags.get(key::ROLLOUT).and_then(|value| Rollout::parse(value)),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
            lost_tags: false,
            failed_step: StepFailure::parse(tags),
            environment,
        }
    }
}

/// Returns the valid digests by the names of the services.
fn parse_digests(tags: &Tags) -> BTreeMap<Untrusted, Untrusted> {
    let is_digest = |value: &str| {
        let hex = value.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    };
    tags.iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(key::DIGEST_PREFIX)?, value)))
        .filter(|(_, value)| is_digest(value))
        .map(|(service, value)| (service.into(), value.as_str().into()))
        .collect()
}

/// Parses `booting=12 database=20 …`. Entries of another form are ignored.
#[must_use]
pub fn parse_timeline(value: &str) -> BTreeMap<Phase, u64> {
    value
        .split_whitespace()
        .filter_map(|entry| {
            let (phase, seconds) = entry.split_once('=')?;
            Some((phase.parse().ok()?, seconds.parse().ok()?))
        })
        .collect()
}

/// Formats a timeline for [`parse_timeline`].
#[must_use]
pub fn format_timeline(timeline: &BTreeMap<Phase, u64>) -> String {
    timeline.iter().map(|(phase, seconds)| format!("{phase}={seconds}")).collect::<Vec<_>>().join(" ")
}
