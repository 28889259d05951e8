//! The rule that keeps environments off the internet.

use super::Engine;
use crate::cloud::Cloud;
use crate::cloud::SecurityGroup;
use crate::domain::{Fleet, Policy};
use crate::failure::{Failure, Kind};

/// The groups that admit the whole internet although the policy does not name them in `allow-public`.
#[must_use]
pub fn exposed_groups<'g>(groups: &'g [SecurityGroup], policy: &Policy) -> Vec<&'g SecurityGroup> {
    groups
        .iter()
        .filter(|group| !group.open_to.is_empty() && !policy.allow_public.contains(&group.id))
        .collect()
}

/// What is wrong with a group that is [`exposed_groups`], and what to do.
#[must_use]
pub fn refusal(group: &SecurityGroup) -> Failure {
    let message =
        format!("security group {} ({}) admits {}", group.id, group.name, group.open_to.join(" and "));
    let hint = format!("close it, or allow it by name with the setting allow-public={}", group.id);
    Failure::new(Kind::Refused, message, hint)
}

/// The security groups of a fleet's instances.
///
/// # Errors
/// Where the base template or the groups cannot be read.
pub async fn security_groups_of(cloud: &dyn Cloud, fleet: &Fleet) -> Result<Vec<SecurityGroup>, Failure> {
    let base = cloud.base_template(&fleet.template).await;
    let base = base.map_err(|error| Failure::cloud("cannot read the fleet's base template", &error))?;
    let groups = cloud.security_groups(&base.security_groups).await;
    groups.map_err(|error| Failure::cloud("cannot read the fleet's security groups", &error))
}

impl Engine {
    /// Refuses a fleet whose instances the whole internet could reach.
    pub(super) async fn check_network(&self, fleet: &Fleet) -> Result<(), Failure> {
        let groups = security_groups_of(&*self.cloud, fleet).await?;
        match exposed_groups(&groups, &fleet.policy).first() {
            None => Ok(()),
            Some(group) => {
                let refusal = refusal(group);
                Err(Failure { message: format!("cannot launch: {}", refusal.message), ..refusal })
            }
        }
    }
}
