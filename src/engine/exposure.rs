//! The rule that an environment must not be reachable from the internet.

use super::Engine;
use crate::cloud::Cloud;
use crate::cloud::SecurityGroup;
use crate::domain::{Fleet, Policy};
use crate::failure::{Failure, Kind};

/// Returns the security groups that admit the whole internet and are not listed in the policy's `allow-public`.
#[must_use]
pub fn exposed_groups<'g>(groups: &'g [SecurityGroup], policy: &Policy) -> Vec<&'g SecurityGroup> {
    groups
        .iter()
        .filter(|group| !group.open_to.is_empty() && !policy.allow_public.contains(&group.id))
        .collect()
}

/// Returns the error for one of the [`exposed_groups`].
#[must_use]
pub fn refusal(group: &SecurityGroup) -> Failure {
    let message =
        format!("security group {} ({}) admits {}", group.id, group.name, group.open_to.join(" and "));
    let hint =
        format!("restrict its inbound rules, or allow it with: hatchery fleet set allow-public={}", group.id);
    Failure::new(Kind::Refused, message, hint)
}

/// Returns the security groups of the instances that the fleet's base template launches.
///
/// # Errors
/// Returns an error if the base template or its groups cannot be read.
pub(crate) async fn security_groups_of(
    cloud: &dyn Cloud,
    fleet: &Fleet,
) -> Result<Vec<SecurityGroup>, Failure> {
    let base = cloud.base_template(&fleet.template).await;
    let base = base.map_err(|error| Failure::cloud("cannot read the fleet's base template", &error))?;
    let groups = cloud.security_groups(&base.security_groups).await;
    groups.map_err(|error| Failure::cloud("cannot read the fleet's security groups", &error))
}

impl Engine {
    /// Rejects a fleet whose instances would be reachable from the internet.
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
