//! The part of the port that only `hatchery doctor --prove` needs.

use async_trait::async_trait;

use super::Caller;
use super::faults::call_error;
use super::mutations::{check_visible, create_database, create_template};
use super::operations::{
    CREATE_GROUP, CREATE_STREAM, CREATE_TEMPLATE, DATABASES, DELETE_GROUP, GROUPS, RUN, TEMPLATES, read,
    write,
};
use super::state::{LaunchData, Template};
use super::throttle::Bucket;
use crate::cloud::{
    BaseTemplate, DatabaseProgress, ListedSnapshot, NewProofTemplate, ProofResource, Proofs, Result,
    SnapshotListing,
};
use crate::domain::{DatabaseId, ErrorClass, LogGroupName, NewDatabase, RecordId, Tags, proof};

#[async_trait]
impl Proofs for Caller {
    async fn create_proof_template(&self, new: &NewProofTemplate) -> Result<RecordId> {
        let new = new.clone();
        self.write(CREATE_TEMPLATE, move |state, who| {
            let launch = new.image.as_ref().zip(new.subnet.clone()).map(|(_, subnet)| LaunchData {
                instance_type: new.instance_type.clone(),
                subnet,
                tags: new.tags.clone(),
            });
            let (name, created_at, tags) = (new.name.clone(), state.now, new.tags.clone());
            let base = BaseTemplate::default();
            create_template(state, who, Template { name, created_at, tags, launch, base })
        })
        .await
    }

    async fn dry_run_template(&self, id: &RecordId) -> Result<()> {
        let found = self.read(RUN, |state, _| {
            let Some(template) = state.templates.get(id.as_str()) else {
                let message = "The specified launch template, with template ID, does not exist";
                let code = "InvalidLaunchTemplateId.NotFound";
                return Err(call_error(ErrorClass::NotFound, RUN, code, message));
            };
            if template.launch.is_none() {
                let message = "The request must contain the parameter ImageId";
                return Err(call_error(ErrorClass::Invalid, RUN, "MissingParameter", message));
            }
            check_visible(state, id.as_str())
        });
        found.await?;
        Ok(())
    }

    async fn proof_templates(&self) -> Result<Vec<ProofResource<RecordId>>> {
        let found = self.read(TEMPLATES, |state, at| {
            let all = state.templates.page("", at);
            let own = all.filter(|(_, template)| template.name.starts_with(proof::TEMPLATES));
            let resource = |(id, template): (&str, &Template)| ProofResource {
                id: RecordId::new(id),
                name: template.name.clone(),
                tags: template.tags.clone(),
            };
            Ok(own.map(resource).collect())
        });
        Ok(found.await?.value)
    }

    async fn create_proof_group(&self, name: &LogGroupName, tags: &Tags) -> Result<()> {
        let (name, tags) = (name.to_string(), tags.clone());
        self.write(CREATE_GROUP, move |state, who| {
            state.record(who, || format!("created the log group {name}"));
            state.notices.proof_groups.insert(name.clone(), tags.clone());
            Ok(())
        })
        .await
    }

    async fn create_proof_stream(&self, group: &LogGroupName, name: &str) -> Result<()> {
        let name = format!("{group}/{name}");
        self.write(CREATE_STREAM, move |state, who| state.claim_notice(who, &name)).await
    }

    async fn delete_proof_group(&self, name: &LogGroupName) -> Result<()> {
        let name = name.to_string();
        self.write(DELETE_GROUP, move |state, who| {
            if state.notices.proof_groups.remove(&name).is_some() {
                let prefix = format!("{name}/");
                state.notices.claims.retain(|stream, _| !stream.starts_with(&prefix));
                state.record(who, || format!("the log group {name} is deleted"));
            }
            Ok(())
        })
        .await
    }

    async fn proof_groups(&self) -> Result<Vec<ProofResource<LogGroupName>>> {
        let found = self.read(GROUPS, |state, _| {
            let groups = state.notices.proof_groups.iter();
            let resource = |(name, tags): (&String, &Tags)| ProofResource {
                id: LogGroupName::new(name),
                name: name.clone(),
                tags: tags.clone(),
            };
            Ok(groups.map(resource).collect())
        });
        Ok(found.await?.value)
    }

    async fn restore_proof_database(&self, id: &DatabaseId, tags: &Tags, new: &NewDatabase) -> Result<()> {
        let (id, tags, new) = (id.to_string(), tags.clone(), new.clone());
        let operation = write("RestoreDBInstanceFromDBSnapshot", Bucket::Database);
        self.write(operation, move |state, who| create_database(state, who, operation, &id, &tags, &new))
            .await
    }

    async fn proof_databases(&self) -> Result<Vec<ProofResource<DatabaseId>>> {
        let found = self.read(DATABASES, |state, at| {
            let all = state.databases.page("", at);
            let marked = all
                .filter(|(_, database)| database.tags.keys().any(|key| key.starts_with(proof::key::PREFIX)));
            let resource = |(id, database): (&str, &super::state::SimDatabase)| ProofResource {
                id: DatabaseId::new(id),
                name: id.to_owned(),
                tags: database.tags.clone(),
            };
            Ok(marked.map(resource).collect())
        });
        Ok(found.await?.value)
    }

    async fn database_progress(&self, id: &DatabaseId) -> Result<Option<DatabaseProgress>> {
        let found = self.read(DATABASES, |state, at| {
            Ok(state.databases.at(id.as_str(), at).map(|database| DatabaseProgress {
                status: database.status.as_str().into(),
                storage: (database.status == "storage-initialization").then(|| "Initializing".into()),
                percent: None,
            }))
        });
        Ok(found.await?.value)
    }

    /// The account has no AWS Backup.
    async fn snapshots(&self, source: &str, listing: SnapshotListing) -> Result<Vec<ListedSnapshot>> {
        let operation = read("DescribeDBSnapshots", Bucket::Database);
        let found = self.read(operation, |state, _| {
            let is_listed = listing == SnapshotListing::Default && source == state.scenario.source_database;
            let snapshots = state.snapshots.iter().filter(|_| is_listed);
            let listed =
                snapshots.map(|found| ListedSnapshot { id: found.id.clone(), has_original_time: true });
            Ok(listed.collect())
        });
        Ok(found.await?.value)
    }
}
