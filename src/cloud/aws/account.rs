//! The caller's identity and permissions, and the account's quotas.

use aws_sdk_ec2::types::{LaunchTemplateSpecification, Tag};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::{LAUNCHED, profile_of, specification};
use crate::cloud::{Identity, Permission, Quota, Result};
use crate::domain::{CloudError, ErrorClass, Fleet, Image, NewFleet};

/// The error code of a successful dry run.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
const DRY_RUN_SUCCEEDED: &str = "DryRunOperation";

/// Ids without a resource. AWS checks permissions before it looks for the resource.
const MISSING_INSTANCE: &str = "i-00000000000000000";
const MISSING_TEMPLATE: &str = "lt-00000000000000000";

impl AwsCloud {
    pub(super) async fn identity(&self) -> Result<Identity> {
        let request = self.sts.get_caller_identity().send();
        let response =
            call(&self.limits, Bucket::Other, Access::Read, "GetCallerIdentity", request).await?.value;
        Ok(Identity {
            account: response.account().unwrap_or_default().to_owned(),
            arn: response.arn().unwrap_or_default().to_owned(),
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

    pub(super) async fn permissions(&self, fleet: &Fleet) -> Vec<Permission> {
        let limits = &self.limits;
        let access = Access::Read;
        let template = LaunchTemplateSpecification::builder()
            .launch_template_id(fleet.template.as_str())
            .version("$Default");
        let mut run = self.ec2.run_instances().dry_run(true).launch_template(template.build());
        run = run.min_count(1).max_count(1);
        let terminate = self.ec2.terminate_instances().dry_run(true).instance_ids(MISSING_INSTANCE);
        let create = self.ec2.create_launch_template().dry_run(true).launch_template_name("hatchery/dry-run");
        let create = create.launch_template_data(
            aws_sdk_ec2::types::RequestLaunchTemplateData::builder().ebs_optimized(true).build(),
        );
        let delete = self.ec2.delete_launch_template().dry_run(true).launch_template_id(MISSING_TEMPLATE);
        let tag = self.ec2.create_tags().dry_run(true).resources(fleet.template.as_str());
        let tag = tag.tags(Tag::builder().key("hatchery:dry-run").value("").build());
        let databases = self.rds.describe_db_instances().max_records(20);
        let groups = self.logs.describe_log_groups().limit(1);
        let (run, terminate, create, delete, tag, databases, groups) = futures::join!(
            call(limits, Bucket::Run, access, "RunInstances", run.send()),
            call(limits, Bucket::Terminate, access, "TerminateInstances", terminate.send()),
            call(limits, Bucket::Change, access, "CreateLaunchTemplate", create.send()),
            call(limits, Bucket::Change, access, "DeleteLaunchTemplate", delete.send()),
            call(limits, Bucket::Tag, access, "CreateTags", tag.send()),
            call(limits, Bucket::Database, access, "DescribeDBInstances", databases.send()),
            call(limits, Bucket::Other, access, "DescribeLogGroups", groups.send()),
        );
        vec![
            Permission { action: "ec2:RunInstances", allowed: is_allowed(dry_run_result(run)) },
            Permission { action: "ec2:TerminateInstances", allowed: is_allowed(dry_run_result(terminate)) },
            Permission { action: "ec2:CreateLaunchTemplate", allowed: is_allowed(dry_run_result(create)) },
            Permission { action: "ec2:DeleteLaunchTemplate", allowed: is_allowed(dry_run_result(delete)) },
            Permission { action: "ec2:CreateTags", allowed: is_allowed(dry_run_result(tag)) },
            Permission { action: "rds:DescribeDBInstances", allowed: is_allowed(databases.map(|_| ())) },
            Permission { action: "logs:DescribeLogGroups", allowed: is_allowed(groups.map(|_| ())) },
        ]
    }

    /// Returns the quotas of on-demand vCPUs and of DB instances.
    /// <https://docs.aws.amazon.com/general/latest/gr/ec2-service.html#limits_ec2>
    pub(super) async fn quotas(&self) -> Result<Vec<Quota>> {
        let mut quotas = Vec::new();
        for (service, code) in [("ec2", "L-1216C47A"), ("rds", "L-7B6409FD")] {
            let request = self.quotas.get_service_quota().service_code(service).quota_code(code).send();
            let response =
                call(&self.limits, Bucket::Other, Access::Read, "GetServiceQuota", request).await?;
            if let Some(quota) = response.value.quota() {
                quotas.push(Quota {
                    name: quota.quota_name().unwrap_or(code).to_owned(),
                    limit: quota.value().unwrap_or_default(),
                    used: None,
                });
            }
        }
        Ok(quotas)
    }
}

/// Converts the result of a dry run, whose success is an error code.
fn dry_run_result<T>(result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code == DRY_RUN_SUCCEEDED => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_allowed(result: Result<()>) -> Result<bool, CloudError> {
    match result {
        Ok(()) => Ok(true),
        // The resource does not exist, so the permission check has passed.
        Err(error) if error.is(ErrorClass::NotFound) => Ok(true),
        Err(error)
            if matches!(
                error.code.as_str(),
                "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException"
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
