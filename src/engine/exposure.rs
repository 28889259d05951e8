//! What a fleet's base template must not be: without a way to launch, or reachable from the internet.

use super::Engine;
use crate::cloud::{BaseTemplate, Cloud, SecurityGroup};
use crate::domain::{Fleet, Policy};
use crate::failure::{Failure, Kind};

/// Returns the security groups that admit the whole internet and are not listed in the policy's `allow-public`.
#[must_use]
pub fn exposed_groups<'g>(groups: &'g [SecurityGroup], policy: &Policy) -> Vec<&'g SecurityGroup> {
    groups
        .iter()
        .filter(|group| !group.open_to.is_empty() && !policy.allow_public.iter().any(|id| group.id == *id))
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

/// Returns the fleet's base template and the security groups of its instances.
///
/// # Errors
/// Returns an error if the base template or its groups cannot be read.
pub(crate) async fn base_template_of(
    cloud: &dyn Cloud,
    fleet: &Fleet,
) -> Result<(BaseTemplate, Vec<SecurityGroup>), Failure> {
    let base = cloud.base_template(&fleet.template).await;
    let base = base.map_err(|error| Failure::cloud("cannot read the fleet's base template", &error))?;
    let ids: Vec<_> = base.security_groups.iter().map(|id| id.raw().to_owned()).collect();
    let groups = cloud.security_groups(&ids).await;
    let groups = groups.map_err(|error| Failure::cloud("cannot read the fleet's security groups", &error))?;
    Ok((base, groups))
}

/// Returns the error for a base template that cannot launch anything, or `None` if it can.
#[must_use]
pub(crate) fn template_refusal(fleet: &Fleet, base: &BaseTemplate) -> Option<Failure> {
    let problem = base.problems.first()?;
    let message = format!(
        "the launch template {} ({}) cannot be used: {problem}",
        fleet.name.template_name(),
        fleet.template
    );
    Some(Failure::new(Kind::Refused, message, "correct it in a new version and make that the default"))
}

impl Engine {
    /// Rejects a fleet that is being removed, whose base template cannot launch, or whose instances would be reachable from the internet.
    pub(super) async fn check_network(&self, fleet: &Fleet) -> Result<(), Failure> {
        if fleet.policy.draining {
            let message = format!("cannot launch: fleet {} is being removed", fleet.name);
            let hint =
                "use another fleet, or take the removal back with: hatchery fleet set draining=false spare=N";
            return Err(Failure::new(Kind::Refused, message, hint));
        }
        // The template of a new fleet may not be visible everywhere yet.
        let (base, groups) = self.look_again(|| base_template_of(&*self.cloud, fleet)).await?;
        let exposed = exposed_groups(&groups, &fleet.policy);
        let refusal = template_refusal(fleet, &base).or_else(|| exposed.first().map(|group| refusal(group)));
        refusal.map_or(Ok(()), |refusal| {
            Err(Failure { message: format!("cannot launch: {}", refusal.message), ..refusal })
        })
    }
}
