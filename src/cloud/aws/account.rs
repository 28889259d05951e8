//! The caller's identity, and the dry run of a new fleet's launch.

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::{LAUNCHED, profile_of, specification};
use super::permissions::dry_run_result;
use crate::cloud::{Identity, Result};
use crate::domain::{Image, NewFleet};

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
