//! A fleet and the parts of the network and of the image pipeline that it launches from.

use chrono::{DateTime, Utc};

use super::ids::{FleetName, ImageId, RecordId, SubnetId};
use super::policy::Policy;
use super::tags::{self, Tags, key, role};

/// A fleet as it was read: its base launch template and the policy in that template's tags.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// The fleet's name.
    pub name: FleetName,
    /// The id of the base launch template.
    pub template: RecordId,
    /// The policy.
    pub policy: Policy,
    /// What is wrong with the policy's tags, one sentence each. A fleet with problems is shown, and its engine only
    /// looks.
    pub problems: Vec<String>,
}

impl Fleet {
    /// Reads a fleet, if the template's name *and* tags say that it is one.
    #[must_use]
    pub fn parse(template: RecordId, template_name: &str, tags: &Tags) -> Option<Self> {
        let name = FleetName::of_template(template_name)?;
        tags::belongs(tags, name.as_str(), role::FLEET).then(|| {
            let (policy, problems) = Policy::parse(tags, &name);
            Self { name, template, policy, problems }
        })
    }
}

/// A fleet to be created by `hatchery fleet init`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFleet {
    /// The fleet's name.
    pub name: FleetName,
    /// The policy to write.
    pub policy: Policy,
    /// The EC2 instance type, such as `t3.2xlarge`.
    pub instance_type: String,
    /// Security groups of the instances.
    pub security_groups: Vec<String>,
    /// The name or ARN of the instances' profile.
    pub instance_profile: Option<String>,
    /// Whether instances get a public address (the VPN's ranges alone are admitted).
    pub public_address: bool,
    /// The bootstrap script, before Base64.
    pub user_data: Option<String>,
    /// The key pair for SSH.
    pub key_name: Option<String>,
    /// The size of the root volume, GiB.
    pub volume_gib: Option<u32>,
}

impl NewFleet {
    /// All tags of the base launch template.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = self.policy.tags();
        tags.insert(key::FLEET.to_owned(), self.name.to_string());
        tags.insert(key::ROLE.to_owned(), role::FLEET.to_owned());
        tags
    }
}

/// An Amazon Machine Image that is `available`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// When it was built.
    pub created_at: DateTime<Utc>,
}

/// A subnet that instances may be launched into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its availability zone.
    pub zone: String,
    /// The VPC that it belongs to.
    pub vpc: String,
}
