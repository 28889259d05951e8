//! The throw-away resources of `hatchery doctor --prove`.

use async_trait::async_trait;
use aws_sdk_ec2::types::{
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplateSpecification,
    RequestLaunchTemplateData,
};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::databases::parse_tags as parse_rds_tags;
use super::holdings::all;
use super::instances::RECORD_VERSION;
use super::launch_templates::{LAUNCHED, add_tags, filter, metadata_options, parse_tags};
use super::permissions::dry_run_result;
use crate::cloud::{
    DatabaseProgress, ListedSnapshot, NewProofTemplate, ProofResource, Proofs, Result, SnapshotListing,
};
use crate::domain::{
    CloudError, DatabaseId, ErrorClass, LogGroupName, NewDatabase, RecordId, SnapshotId, Tags, proof,
};

#[async_trait]
impl Proofs for AwsCloud {
    async fn create_proof_template(&self, new: &NewProofTemplate) -> Result<RecordId> {
        Box::pin(self.create_template(&new.name, &new.claim, launch_data(new), &new.tags)).await
    }

    async fn dry_run_template(&self, id: &RecordId) -> Result<()> {
        let template = LaunchTemplateSpecification::builder()
            .launch_template_id(id.as_str())
            .version(RECORD_VERSION)
            .build();
        let run = self.ec2.run_instances().dry_run(true).min_count(1).max_count(1).launch_template(template);
        let result = call(&self.limits, Bucket::Run, Access::Read, "RunInstances", run.send()).await;
        dry_run_result(result).map_err(|error| {
            // Of all that a launch can lack, such as the image, only the template says that it is gone.
            let is_other = error.is(ErrorClass::NotFound) && !error.code.starts_with("InvalidLaunchTemplate");
            if is_other { CloudError { class: ErrorClass::Invalid, ..error } } else { error }
        })
    }

    async fn proof_templates(&self) -> Result<Vec<ProofResource<RecordId>>> {
        let names = filter("launch-template-name", [format!("{}*", proof::TEMPLATES).as_str()]);
        let templates = all(self.list_templates(vec![names])).await?;
        let resource = |template: &aws_sdk_ec2::types::LaunchTemplate| {
            Some(ProofResource {
                id: RecordId::new(template.launch_template_id()?),
                name: template.launch_template_name()?.to_owned(),
                tags: parse_tags(template.tags()),
            })
        };
        Ok(templates.iter().filter_map(resource).collect())
    }

    async fn create_proof_group(&self, name: &LogGroupName, tags: &Tags) -> Result<()> {
        let tags = tags.clone().into_iter().collect();
        let request = self.logs.create_log_group().log_group_name(name.as_str()).set_tags(Some(tags)).send();
        call(&self.limits, Bucket::Other, Access::Write, "CreateLogGroup", request).await.map(|_| ())
    }

    async fn create_proof_stream(&self, group: &LogGroupName, name: &str) -> Result<()> {
        self.create_stream_once(group.as_str(), name).await
    }

    async fn delete_proof_group(&self, name: &LogGroupName) -> Result<()> {
        let request = self.logs.delete_log_group().log_group_name(name.as_str()).send();
        match call(&self.limits, Bucket::Other, Access::Write, "DeleteLogGroup", request).await {
            Err(error) if !error.is(ErrorClass::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    async fn proof_groups(&self) -> Result<Vec<ProofResource<LogGroupName>>> {
        let request = self.logs.describe_log_groups().log_group_name_prefix(proof::GROUPS);
        let pages = request.into_paginator().items().send().collect::<std::result::Result<Vec<_>, _>>();
        let groups = call(&self.limits, Bucket::Log, Access::Read, "DescribeLogGroups", pages).await?.value;
        let mut found = Vec::new();
        for group in groups {
            let (Some(name), Some(arn)) = (group.log_group_name(), group.arn()) else { continue };
            // The ARN of a group ends so, and this operation takes it without.
            // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
            let arn = arn.strip_suffix(":*").unwrap_or(arn);
            let request = self.logs.list_tags_for_resource().resource_arn(arn).send();
            let listed = call(&self.limits, Bucket::Log, Access::Read, "ListTagsForResource", request).await;
            let tags = match listed {
                // It was deleted meanwhile.
                Err(error) if error.is(ErrorClass::NotFound) => continue,
                listed => listed?.value.tags.unwrap_or_default().into_iter().collect(),
            };
            found.push(ProofResource { id: LogGroupName::new(name), name: name.to_owned(), tags });
        }
        Ok(found)
    }

    async fn restore_proof_database(&self, id: &DatabaseId, tags: &Tags, new: &NewDatabase) -> Result<()> {
        self.restore(id, tags, new).await
    }

    async fn proof_databases(&self) -> Result<Vec<ProofResource<DatabaseId>>> {
        let databases = all(self.list_db_instances()).await?;
        let resource = |database: &aws_sdk_rds::types::DbInstance| {
            let name = database.db_instance_identifier()?.to_owned();
            let tags = parse_rds_tags(database.tag_list());
            Some(ProofResource { id: DatabaseId::new(&name), name, tags })
        };
        let is_marked = |resource: &ProofResource<DatabaseId>| {
            resource.tags.keys().any(|key| key.starts_with(proof::key::PREFIX))
        };
        Ok(databases.iter().filter_map(resource).filter(is_marked).collect())
    }

    async fn database_progress(&self, id: &DatabaseId) -> Result<Option<DatabaseProgress>> {
        let found = self.describe(id.as_str()).await?.value;
        Ok(found.map(|database| DatabaseProgress {
            status: database.db_instance_status().unwrap_or("unknown").into(),
            storage: database.storage_operation_status().filter(|text| !text.is_empty()).map(Into::into),
            percent: database.storage_operation_percent_progress(),
        }))
    }

    async fn snapshots(&self, source: &str, listing: SnapshotListing) -> Result<Vec<ListedSnapshot>> {
        let kind = match listing {
            SnapshotListing::Default => None,
            SnapshotListing::AwsBackup => Some("awsbackup"),
        };
        let snapshots = self.list_snapshots(source, kind).await?;
        let listed = |snapshot: &aws_sdk_rds::types::DbSnapshot| {
            Some(ListedSnapshot {
                id: SnapshotId::new(snapshot.db_snapshot_identifier()?),
                has_original_time: snapshot.original_snapshot_create_time().is_some(),
            })
        };
        Ok(snapshots.iter().filter_map(listed).collect())
    }
}

fn launch_data(new: &NewProofTemplate) -> RequestLaunchTemplateData {
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .delete_on_termination(true)
        .set_groups(Some(new.security_groups.clone()).filter(|groups| !groups.is_empty()))
        .set_subnet_id(new.subnet.as_ref().map(ToString::to_string))
        .build();
    let mut tags = Vec::new();
    for kind in LAUNCHED {
        add_tags(&mut tags, &kind, &new.tags);
    }
    RequestLaunchTemplateData::builder()
        .set_image_id(new.image.as_ref().map(ToString::to_string))
        .instance_type(new.instance_type.as_str().into())
        .network_interfaces(interface)
        .metadata_options(metadata_options())
        .set_tag_specifications(Some(tags))
        .build()
}
