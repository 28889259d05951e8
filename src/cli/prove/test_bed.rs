//! What the experiments of one run share.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::created::Created;
use crate::cli::context::Context;
use crate::cloud::{BaseTemplate, NewProofTemplate, Proofs};
use crate::domain::text::Untrusted;
use crate::domain::{Proof, World, lifecycle};

/// What the experiments work with.
pub(super) struct TestBed<'c> {
    pub(super) context: &'c Context<'c>,
    pub(super) world: World,
    /// AWS's time at the start.
    pub(super) now: DateTime<Utc>,
    pub(super) base: BaseTemplate,
    pub(super) proof: Proof,
    pub(super) created: Created,
}

impl TestBed<'_> {
    pub(super) fn proofs(&self) -> &dyn Proofs {
        self.context.account.proofs()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.context.engine.clock().elapsed()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.context.engine.clock().sleep(duration).await;
    }

    /// Why the fleet's own resources must stay as they are, if there is a reason.
    pub(super) fn frozen(&self) -> Option<String> {
        lifecycle::observe_only_reason(&self.world.fleet, &self.context.engine.config().version)
    }

    /// Returns a template like those of records; `claim` distinguishes rivals for one name.
    pub(super) fn new_template(&self, purpose: &str, claim: &str) -> NewProofTemplate {
        let policy = &self.world.fleet.policy;
        NewProofTemplate {
            name: self.proof.template_name(purpose),
            claim: claim.to_owned(),
            image: self.world.image.as_ref().ok().and_then(Option::as_ref).map(|image| image.id.clone()),
            instance_type: self.base.instance_type.as_ref().map_or("t3.small", Untrusted::raw).to_owned(),
            subnet: policy.subnets.first().cloned(),
            security_groups: self.base.security_groups.iter().map(|group| group.raw().to_owned()).collect(),
            tags: self.proof.tags(&policy.company_tags),
        }
    }
}
