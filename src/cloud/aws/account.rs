//! The part of the port that only set-up and doctor need, the caller's identity, and the dry run of a new fleet's launch.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::{LAUNCHED, profile_of, specification};
use super::permissions::dry_run_result;
use crate::cloud::{
    Account, Answer, DatabaseSubnetGroup, Identity, Inventory, Pages, Permission, PermissionSamples, Proofs,
    Quota, Result, ScheduledEngine, SourceDatabase,
};
use crate::domain::text::Untrusted;
use crate::domain::{Fleet, FleetName, Image, NewFleet, RecordId};

impl AwsCloud {
    pub(super) async fn identity(&self) -> Result<Identity> {
        let request = self.sts.get_caller_identity().send();
        let response =
            call(&self.limits, Bucket::Other, Access::Read, "GetCallerIdentity", request).await?.value;
        Ok(Identity {
            account: response.account().unwrap_or_default().into(),
            arn: response.arn().unwrap_or_default().into(),
        })
    }

    pub(super) async fn dry_run_launch(&self, new: &NewFleet, image: Option<&Image>) -> Result<()> {
        // A service control policy may demand them.
        let tags = Some(new.policy.company_tags.as_tags()).filter(|tags| !tags.is_empty());
        let specifications = tags.map(|tags| LAUNCHED.map(|kind| specification(kind, tags)).into());
        let request = self
            .ec2
            .run_instances()
            .dry_run(true)
            .min_count(1)
            .max_count(1)
            .instance_type(new.instance_type.as_str().into())
            .set_image_id(image.map(|image| image.id.to_string()))
            .set_key_name(new.key_name.clone())
            .set_tag_specifications(specifications)
            .set_subnet_id(new.policy.subnets.first().map(ToString::to_string))
            .set_security_group_ids(Some(new.security_groups.clone()))
            .set_iam_instance_profile(new.instance_profile.as_deref().map(profile_of));
        dry_run_result(call(&self.limits, Bucket::Run, Access::Read, "RunInstances", request.send()).await)
    }
}

// As for the other part, the operations are inherent methods of the same names.
#[async_trait]
impl Account for AwsCloud {
    async fn identity(&self) -> Result<Identity> {
        self.identity().await
    }

    fn fleets(&self) -> Pages<'_, Fleet> {
        self.fleets()
    }

    async fn create_fleet(&self, new: &NewFleet, gone: Option<&RecordId>) -> Result<RecordId> {
        self.create_fleet(new, gone).await
    }

    async fn source_database(&self, id: &str) -> Result<Option<SourceDatabase>> {
        self.source_database(id).await
    }

    async fn database_subnet_group(&self, name: &str) -> Result<Option<DatabaseSubnetGroup>> {
        self.database_subnet_group(name).await
    }

    async fn database_parameter_family(&self, name: &str) -> Result<Option<Untrusted>> {
        self.database_parameter_family(name).await
    }

    async fn zones_offering_database(&self, source: &SourceDatabase, class: &str) -> Result<Vec<Untrusted>> {
        self.zones_offering_database(source, class).await
    }

    async fn has_key_pair(&self, name: &str) -> Result<bool> {
        self.has_key_pair(name).await
    }

    async fn zones_offering(&self, instance_type: &str, zones: &[Untrusted]) -> Result<Vec<Untrusted>> {
        self.zones_offering(instance_type, zones).await
    }

    async fn dry_run_launch(&self, new: &NewFleet, image: Option<&Image>) -> Result<()> {
        self.dry_run_launch(new, image).await
    }

    async fn permissions(&self, fleet: &Fleet, samples: &PermissionSamples) -> Vec<Permission> {
        self.permissions(fleet, samples).await
    }

    async fn write_permission(&self, fleet: &Fleet, samples: &PermissionSamples) -> Answer {
        self.write_permission(fleet, samples).await
    }

    async fn inventory(&self) -> Result<Inventory> {
        self.inventory().await
    }

    async fn scheduled_engine(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<ScheduledEngine> {
        self.scheduled_engine(fleet, since).await
    }

    async fn quotas(&self) -> Result<Vec<Quota>> {
        self.quotas().await
    }

    fn proofs(&self) -> &dyn Proofs {
        self
    }
}
