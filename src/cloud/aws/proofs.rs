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
use crate::domain::{CloudError, DatabaseId, ErrorClass, NewDatabase, RecordId, SnapshotId, Tags, proof};

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
