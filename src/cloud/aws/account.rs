//! The account: who calls, what they may do, and what limits there are.

use aws_sdk_ec2::types::{LaunchTemplateSpecification, Tag};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::profile_of;
use crate::cloud::{Identity, Permission, Quota, Result};
use crate::domain::{CloudError, ErrorClass, Fleet, Image, NewFleet};

/// EC2's answer to a dry run that would have succeeded.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
const WOULD_SUCCEED: &str = "DryRunOperation";

/// A name that no resource has: dry runs ask for permission before they look for it.
const NO_INSTANCE: &str = "i-00000000000000000";
const NO_TEMPLATE: &str = "lt-00000000000000000";

impl AwsCloud {
    pub(super) async fn identity(&self) -> Result<Identity> {
        let request = self.sts.get_caller_identity().send();
        let answer =
            call(&self.limits, Bucket::Other, Access::Read, "GetCallerIdentity", request).await?.value;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    pub(super) async fn dry_run_launch(&self, new: &NewFleet, image: Option<&Image>) -> Result<()> {
        let request = self
            .ec2
            .run_instances()
            .dry_run(true)
            .min_count(1)
            .max_count(1)
            .instance_type(new.instance_type.as_str().into())
            .set_image_id(image.map(|image| image.id.to_string()))
            .set_key_name(new.key_name.clone())
            .set_subnet_id(new.policy.subnets.first().map(ToString::to_string))
            .set_security_group_ids(Some(new.security_groups.clone()))
            .set_iam_instance_profile(new.instance_profile.as_deref().map(profile_of));
        rehearsed(call(&self.limits, Bucket::Run, Access::Read, "RunInstances", request.send()).await)
    }

    pub(super) async fn permissions(&self, fleet: &Fleet) -> Vec<Permission> {
        let limits = &self.limits;
        let access = Access::Read;
        let template = LaunchTemplateSpecification::builder()
            .launch_template_id(fleet.template.as_str())
            .version("$Default");
        let mut run = self.ec2.run_instances().dry_run(true).launch_template(template.build());
        run = run.min_count(1).max_count(1);
        let end = self.ec2.terminate_instances().dry_run(true).instance_ids(NO_INSTANCE);
        let create = self.ec2.create_launch_template().dry_run(true).launch_template_name("hatchery/dry-run");
        let create = create.launch_template_data(
            aws_sdk_ec2::types::RequestLaunchTemplateData::builder().ebs_optimized(true).build(),
        );
        let delete = self.ec2.delete_launch_template().dry_run(true).launch_template_id(NO_TEMPLATE);
        let tag = self.ec2.create_tags().dry_run(true).resources(fleet.template.as_str());
        let tag = tag.tags(Tag::builder().key("hatchery:dry-run").value("").build());
        let databases = self.rds.describe_db_instances().max_records(20);
        let groups = self.logs.describe_log_groups().limit(1);
        let (run, end, create, delete, tag, databases, groups) = futures::join!(
            call(limits, Bucket::Run, access, "RunInstances", run.send()),
            call(limits, Bucket::Terminate, access, "TerminateInstances", end.send()),
            call(limits, Bucket::Change, access, "CreateLaunchTemplate", create.send()),
            call(limits, Bucket::Change, access, "DeleteLaunchTemplate", delete.send()),
            call(limits, Bucket::Tag, access, "CreateTags", tag.send()),
            call(limits, Bucket::Database, access, "DescribeDBInstances", databases.send()),
            call(limits, Bucket::Other, access, "DescribeLogGroups", groups.send()),
        );
        vec![
            Permission { action: "ec2:RunInstances", allowed: allowed(rehearsed(run)) },
            Permission { action: "ec2:TerminateInstances", allowed: allowed(rehearsed(end)) },
            Permission { action: "ec2:CreateLaunchTemplate", allowed: allowed(rehearsed(create)) },
            Permission { action: "ec2:DeleteLaunchTemplate", allowed: allowed(rehearsed(delete)) },
            Permission { action: "ec2:CreateTags", allowed: allowed(rehearsed(tag)) },
            Permission { action: "rds:DescribeDBInstances", allowed: allowed(databases.map(|_| ())) },
            Permission { action: "logs:DescribeLogGroups", allowed: allowed(groups.map(|_| ())) },
        ]
    }

    /// The limits that a fleet runs into first.
    /// <https://docs.aws.amazon.com/general/latest/gr/ec2-service.html#limits_ec2>
    pub(super) async fn quotas(&self) -> Result<Vec<Quota>> {
        let mut quotas = Vec::new();
        for (service, code) in [("ec2", "L-1216C47A"), ("rds", "L-7B6409FD")] {
            let request = self.quotas.get_service_quota().service_code(service).quota_code(code).send();
            let answer = call(&self.limits, Bucket::Other, Access::Read, "GetServiceQuota", request).await?;
            if let Some(quota) = answer.value.quota() {
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

/// A dry run always ends in an error, and one of them means that it would have succeeded.
fn rehearsed<T>(result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code == WOULD_SUCCEED => Ok(()),
        Err(error) => Err(error),
    }
}

fn allowed(result: Result<()>) -> Result<bool, CloudError> {
    match result {
        Ok(()) => Ok(true),
        // What was named does not exist, and permission was looked at first.
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
