//! The caller's permissions, tried with requests that change nothing: dry runs of EC2, and requests that cannot succeed.
//!
//! Policies allow by tags, so each request has the tags of a real one, and is about a resource of the fleet. Where there is no such resource
//! yet, a refusal proves nothing.

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_ec2::types::{LaunchTemplateSpecification, RequestLaunchTemplateData, ResourceType, Tag};
use futures::join;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::databases::rds_tags;
use super::launch_templates::{LAUNCHED, specification};
use crate::cloud::{Answer, Permission, PermissionSamples, Result};
use crate::domain::tags::{key, role};
use crate::domain::{ErrorClass, Fleet, Number, Tags};

/// The error code of a successful dry run.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
const DRY_RUN_SUCCEEDED: &str = "DryRunOperation";

/// Ids without a resource.
const MISSING_INSTANCE: &str = "i-00000000000000000";
const MISSING_TEMPLATE: &str = "lt-00000000000000000";

/// A name that no snapshot can have: users cannot create names with this prefix.
const MISSING_SNAPSHOT: &str = "rds:hatchery-doctor";

/// Written by nothing.
const DRY_RUN_TAG: &str = "hatchery:dry-run";

const MISSING_STREAM: &str = "hatchery-doctor";

const NO_ENVIRONMENT: &str = "policies allow it by the tags of environments, and there is none to try it on; run this again while one exists";

impl AwsCloud {
    pub(super) async fn permissions(&self, fleet: &Fleet, samples: &PermissionSamples) -> Vec<Permission> {
        let (run, terminate, create, delete, (tag, untag), databases, audit) = join!(
            self.try_run_instances(fleet, samples),
            self.try_terminate_instances(samples),
            self.try_create_record(fleet),
            self.try_delete_record(samples),
            self.try_tags(fleet),
            self.try_databases(fleet),
            self.try_audit_log(fleet),
        );
        let [describe, restore, delete_database] = databases;
        let pass_role = match &run {
            Answer::Denied(message) if message.contains("iam:PassRole") => run.clone(),
            // EC2's documentation does not say that a dry run checks it.
            _ => Answer::Unknown("EC2 checks it for sure only when it launches an instance".to_owned()),
        };
        [
            ("ec2:RunInstances", run),
            ("iam:PassRole", pass_role),
            ("ec2:TerminateInstances", terminate),
            ("ec2:CreateLaunchTemplate", create),
            ("ec2:DeleteLaunchTemplate", delete),
            ("ec2:CreateTags", tag),
            ("ec2:DeleteTags", untag),
            ("rds:DescribeDBInstances", describe),
            ("rds:RestoreDBInstanceFromDBSnapshot", restore),
            ("rds:DeleteDBInstance", delete_database),
            ("logs:PutLogEvents", audit),
        ]
        .into_iter()
        .map(|(action, answer)| Permission { action, answer })
        .collect()
    }

    /// A user's request is a record, or tags on one.
    pub(super) async fn write_permission(&self, fleet: &Fleet, samples: &PermissionSamples) -> Answer {
        let create = self.try_create_record(fleet).await;
        if !matches!(create, Answer::Denied(_)) {
            return create;
        }
        match &samples.record {
            Some(record) => self.try_tag(record.as_str()).await,
            None => Answer::Unknown(NO_ENVIRONMENT.to_owned()),
        }
    }

    async fn try_tag(&self, id: &str) -> Answer {
        let tag = Tag::builder().key(DRY_RUN_TAG).value("").build();
        let request = self.ec2.create_tags().dry_run(true).resources(id).tags(tag).send();
        let result = call(&self.limits, Bucket::Tag, Access::Read, "CreateTags", request).await;
        answer(dry_run_result(result), true)
    }

    /// As engines launch: from a record, with nothing else. Without one, from the base template with an image and tags.
    async fn try_run_instances(&self, fleet: &Fleet, samples: &PermissionSamples) -> Answer {
        let template = LaunchTemplateSpecification::builder();
        let run = self.ec2.run_instances().dry_run(true).min_count(1).max_count(1);
        let run = if let Some(record) = &samples.record {
            run.launch_template(template.launch_template_id(record.as_str()).version("1").build())
        } else {
            let Some(image) = &samples.image else {
                return Answer::Unknown("there is no image to try it with".to_owned());
            };
            let template = template.launch_template_id(fleet.template.as_str()).version("$Default");
            let tags = tags_of(fleet, role::ENVIRONMENT);
            run.launch_template(template.build())
                .image_id(image.id.as_str())
                .set_tag_specifications(Some(LAUNCHED.map(|kind| specification(kind, &tags)).into()))
        };
        let result = call(&self.limits, Bucket::Run, Access::Read, "RunInstances", run.send()).await;
        answer(dry_run_result(result), samples.record.is_some())
    }

    async fn try_terminate_instances(&self, samples: &PermissionSamples) -> Answer {
        let id = samples.instance.as_ref().map_or(MISSING_INSTANCE, |id| id.as_str());
        let request = self.ec2.terminate_instances().dry_run(true).instance_ids(id).send();
        let result = call(&self.limits, Bucket::Terminate, Access::Read, "TerminateInstances", request).await;
        answer(dry_run_result(result), samples.instance.is_some())
    }

    async fn try_create_record(&self, fleet: &Fleet) -> Answer {
        // Numbers start at 1, so that no record has this name.
        let name = fleet.name.environment(Number(0)).record_name();
        let data = RequestLaunchTemplateData::builder().ebs_optimized(true).build();
        let request = self
            .ec2
            .create_launch_template()
            .dry_run(true)
            .launch_template_name(name)
            .launch_template_data(data)
            .tag_specifications(specification(
                ResourceType::LaunchTemplate,
                &tags_of(fleet, role::ENVIRONMENT),
            ));
        let operation = "CreateLaunchTemplate";
        let result = call(&self.limits, Bucket::Change, Access::Read, operation, request.send()).await;
        answer(dry_run_result(result), true)
    }

    async fn try_delete_record(&self, samples: &PermissionSamples) -> Answer {
        let id = samples.record.as_ref().map_or(MISSING_TEMPLATE, |id| id.as_str());
        let request = self.ec2.delete_launch_template().dry_run(true).launch_template_id(id).send();
        let result = call(&self.limits, Bucket::Change, Access::Read, "DeleteLaunchTemplate", request).await;
        answer(dry_run_result(result), samples.record.is_some())
    }

    /// On the fleet's own template, whose tags are those of its settings.
    async fn try_tags(&self, fleet: &Fleet) -> (Answer, Answer) {
        let id = fleet.template.as_str();
        let tag = Tag::builder().key(DRY_RUN_TAG).build();
        let remove = self.ec2.delete_tags().dry_run(true).resources(id).tags(tag).send();
        let (set, remove) =
            join!(self.try_tag(id), call(&self.limits, Bucket::Tag, Access::Read, "DeleteTags", remove),);
        (set, answer(dry_run_result(remove), true))
    }

    /// RDS has no dry runs, so these requests cannot succeed: one names a snapshot that cannot exist, and the other leaves out a parameter that
    /// RDS demands. RDS answers either with a missing permission or with the error of the request.
    async fn try_databases(&self, fleet: &Fleet) -> [Answer; 3] {
        let id = fleet.name.database_id(Number(0));
        let describe = self.rds.describe_db_instances().max_records(20).send();
        let restore = self
            .rds
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(id.as_str())
            .db_snapshot_identifier(MISSING_SNAPSHOT)
            .db_instance_class(&fleet.policy.database_class)
            .db_subnet_group_name(&fleet.policy.database_subnet_group)
            .set_db_parameter_group_name(fleet.policy.database_parameter_group.clone())
            .multi_az(false)
            .publicly_accessible(false)
            .set_tags(Some(rds_tags(&tags_of(fleet, role::POOL))))
            .send();
        // A final snapshot is demanded, but has no name.
        let delete = self
            .rds
            .delete_db_instance()
            .db_instance_identifier(id.as_str())
            .skip_final_snapshot(false)
            .send();
        let (describe, restore, delete) = join!(
            call(&self.limits, Bucket::Database, Access::Read, "DescribeDBInstances", describe),
            call(&self.limits, Bucket::Database, Access::Read, "RestoreDBInstanceFromDBSnapshot", restore),
            call(&self.limits, Bucket::Database, Access::Read, "DeleteDBInstance", delete),
        );
        [answer(describe.map(drop), true), answer(restore.map(drop), true), answer(delete.map(drop), true)]
    }

    /// Writes to a stream that does not exist.
    async fn try_audit_log(&self, fleet: &Fleet) -> Answer {
        let event = InputLogEvent::builder().timestamp(0).message("hatchery doctor").build();
        let request = self
            .logs
            .put_log_events()
            .log_group_name(fleet.name.audit_group())
            .log_stream_name(MISSING_STREAM)
            .set_log_events(event.ok().map(|event| vec![event]))
            .send();
        let result = call(&self.limits, Bucket::Log, Access::Read, "PutLogEvents", request).await;
        answer(result.map(drop), true)
    }
}

/// The tags by which policies recognise what engines create.
fn tags_of(fleet: &Fleet, role: &str) -> Tags {
    let mut tags = fleet.policy.company_tags.as_tags().clone();
    tags.insert(key::FLEET.to_owned(), fleet.name.to_string());
    tags.insert(key::ROLE.to_owned(), role.to_owned());
    tags
}

/// Converts the result of a dry run, whose success is an error code.
pub(super) fn dry_run_result<T>(result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.code == DRY_RUN_SUCCEEDED => Ok(()),
        Err(error) => Err(error),
    }
}

/// Judges the result of a request. `is_real` says that it was about a resource of the fleet, or needs none.
fn answer(result: Result<()>, is_real: bool) -> Answer {
    match result {
        Ok(()) => Answer::Granted,
        // The resource does not exist, so the permission check has passed.
        Err(error) if error.is(ErrorClass::NotFound) => Answer::Granted,
        Err(error) if error.is_denial() && is_real => Answer::Denied(error.message),
        Err(error) if error.is_denial() => Answer::Unknown(NO_ENVIRONMENT.to_owned()),
        Err(error) => Answer::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::CloudError;

    #[rstest]
    #[case("DryRunOperation", ErrorClass::Invalid, true, "granted")]
    #[case("InvalidInstanceID.NotFound", ErrorClass::NotFound, false, "granted")]
    #[case("UnauthorizedOperation", ErrorClass::Auth, true, "denied")]
    #[case("AccessDenied", ErrorClass::Auth, true, "denied")]
    #[case("UnauthorizedOperation", ErrorClass::Auth, false, "unknown")]
    #[case("InvalidParameterCombination", ErrorClass::Invalid, true, "unknown")]
    #[case("RequestLimitExceeded", ErrorClass::Throttled, true, "unknown")]
    fn answers(#[case] code: &str, #[case] class: ErrorClass, #[case] is_real: bool, #[case] expected: &str) {
        let error = CloudError::new(class, "RunInstances", code, "why");
        let word = match answer(dry_run_result::<()>(Err(error)), is_real) {
            Answer::Granted => "granted",
            Answer::Denied(_) => "denied",
            Answer::Unknown(_) => "unknown",
        };
        assert_eq!(word, expected);
    }
}
