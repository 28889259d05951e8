//! Fleets, and the images and subnets from which they launch.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ids::{FleetName, ImageId, RecordId, SubnetId};
use super::notice::PoolEmpty;
use super::policy::{Policy, Problem};
use super::step_failure::StepFailure;
use super::tags::{self, Tags, key, role};
use super::text::Untrusted;

/// The age of the last recorded pass from which an engine records the next one, so that the writes do not grow with the number of engines.
const PASS_INTERVAL: Duration = Duration::from_mins(10);

/// The last pass of an engine that saw everything and made a plan, up to `PASS_INTERVAL` ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPass {
    pub at: DateTime<Utc>,
    /// The name of the engine in the audit log.
    pub by: Untrusted,
}

impl LastPass {
    /// Whether it is so old that an engine records a new one.
    #[must_use]
    pub fn is_old(&self, now: DateTime<Utc>) -> bool {
        self.at + PASS_INTERVAL <= now
    }

    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.at, self.by.raw())
    }

    /// Parses the tag of a fleet. An invalid value counts as no pass, so that an engine corrects it.
    #[must_use]
    pub fn parse(fleet: &Tags) -> Option<Self> {
        let (at, by) = tags::parse_timed(fleet.get(key::LAST_PASS)?)?;
        Some(Self { at, by })
    }
}

/// A fleet as AWS returned it: its base launch template, and the policy in the template's tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    pub name: FleetName,
    /// The base launch template.
    pub template: RecordId,
    pub policy: Policy,
    /// The problems of the policy.
    pub problems: Vec<Problem>,
    /// The step on the pool that AWS refuses.
    pub failed_step: Option<StepFailure>,
    /// The last attempt to send a notice that failed.
    pub failed_notice: Option<StepFailure>,
    /// The mark of an empty pool, from which engines send a notice.
    pub pool_empty: Option<PoolEmpty>,
    /// The last pass of an engine; `None` if there was none, or only of an older version.
    pub last_pass: Option<LastPass>,
}

impl Fleet {
    /// Parses a launch template. Returns `None` unless both its name and its tags say that it is a fleet.
    #[must_use]
    pub fn parse(template: RecordId, template_name: &str, tags: &Tags) -> Option<Self> {
        let name = FleetName::from_template_name(template_name)?;
        tags::belongs(tags, name.as_str(), role::FLEET).then(|| {
            let (policy, problems) = Policy::parse(tags, &name);
            Self {
                name,
                template,
                policy,
                problems,
                failed_step: StepFailure::parse(tags),
                failed_notice: StepFailure::parse_tag(tags, key::FAILED_NOTICE),
                pool_empty: PoolEmpty::parse(tags),
                last_pass: LastPass::parse(tags),
            }
        })
    }
}

/// A fleet to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFleet {
    pub name: FleetName,
    pub policy: Policy,
    /// The EC2 instance type, such as `t3.2xlarge`.
    pub instance_type: String,
    /// The ids of the instances' security groups.
    pub security_groups: Vec<String>,
    /// The name or ARN of the instance profile.
    pub instance_profile: Option<String>,
    /// Whether instances get a public IPv4 address. Their security groups admit only the VPN.
    pub public_address: bool,
    /// The bootstrap script, not encoded.
    pub user_data: Option<Vec<u8>>,
    /// The name of the key pair for SSH.
    pub key_name: Option<String>,
    /// The size of the root volume in GiB.
    pub volume_gib: Option<u32>,
}

impl NewFleet {
    /// Returns the tags of the base launch template.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = self.policy.company_tags.as_tags().clone();
        tags.extend(self.policy.tags());
        tags.insert(key::FLEET.to_owned(), self.name.to_string());
        tags.insert(key::ROLE.to_owned(), role::FLEET.to_owned());
        tags
    }
}

/// An `available` Amazon Machine Image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    pub name: Untrusted,
    pub created_at: DateTime<Utc>,
    /// The image's name of its root device, such as `/dev/xvda`.
    pub root_device: Option<Untrusted>,
}

/// A subnet of the fleet's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub id: SubnetId,
    pub zone: Untrusted,
    /// The id of the VPC.
    pub vpc: Untrusted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<LastPass> {
        LastPass::parse(&Tags::from([(key::LAST_PASS.to_owned(), value.to_owned())]))
    }

    #[test]
    fn last_pass_round_trips_through_its_tag() {
        let pass =
            LastPass { at: DateTime::from_timestamp(1_772_442_000, 0).unwrap(), by: "engine@ci".into() };
        assert_eq!(parse(&pass.to_tag()), Some(pass.clone()));
        for odd in ["", "soon", "yesterday engine@ci"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        let hostile = LastPass { by: format!("a\u{1b}{}", "x".repeat(300)).into(), ..pass };
        assert_eq!(hostile.to_tag().chars().count(), 256);
        assert!(!hostile.to_tag().contains('\u{1b}'));
    }
}
