//! The part of the port that only `hatchery doctor --prove` needs: throw-away resources, which belong to no fleet, and what they show.

use async_trait::async_trait;

use super::Result;
use crate::domain::text::Untrusted;
use crate::domain::{DatabaseId, ImageId, LogGroupName, NewDatabase, RecordId, SnapshotId, SubnetId, Tags};

/// A resource of a run, or with a tag of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofResource<Id> {
    pub id: Id,
    pub name: String,
    pub tags: Tags,
}

/// A throw-away launch template, like a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProofTemplate {
    pub name: String,
    /// Tells requests with the same name apart. EC2 returns the same template for identical requests.
    pub claim: String,
    pub image: Option<ImageId>,
    pub instance_type: String,
    pub subnet: Option<SubnetId>,
    /// The ids of the instance's security groups.
    pub security_groups: Vec<String>,
    /// The tags of the template, and of what would be launched from it.
    pub tags: Tags,
}

/// A snapshot of a source database in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSnapshot {
    pub id: SnapshotId,
    /// Whether the listing has its `OriginalSnapshotCreateTime`.
    pub has_original_time: bool,
}

/// Which snapshots of a source database to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotListing {
    /// Those that RDS lists if no type is asked for, as the engine does.
    Default,
    /// Those of AWS Backup.
    AwsBackup,
}

/// What RDS shows of a database while it is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseProgress {
    /// RDS's status, such as `available`.
    pub status: Untrusted,
    /// The storage operation, such as `Initializing`.
    pub storage: Option<Untrusted>,
    /// How much of the storage operation is done, in percent.
    pub percent: Option<i32>,
}

/// Operations on throw-away resources.
#[async_trait]
pub trait Proofs: Send + Sync {
    /// Creates a launch template.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the name is in use.
    async fn create_proof_template(&self, new: &NewProofTemplate) -> Result<RecordId>;

    /// Checks with a dry run whether EC2 would launch an instance from a template.
    ///
    /// # Errors
    /// Returns class `NotFound` if and only if EC2 finds no such template.
    async fn dry_run_template(&self, id: &RecordId) -> Result<()>;

    /// Lists the launch templates whose names begin with [`TEMPLATES`](crate::domain::proof::TEMPLATES), regardless of their tags.
    async fn proof_templates(&self) -> Result<Vec<ProofResource<RecordId>>>;

    /// Creates a log group.
    async fn create_proof_group(&self, name: &LogGroupName, tags: &Tags) -> Result<()>;

    /// Creates a log stream by one request, as claims on notices.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the name is in use.
    async fn create_proof_stream(&self, group: &LogGroupName, name: &str) -> Result<()>;

    /// Deletes a log group with its streams, if it exists.
    async fn delete_proof_group(&self, name: &LogGroupName) -> Result<()>;

    /// Lists the log groups whose names begin with [`GROUPS`](crate::domain::proof::GROUPS), by their names.
    async fn proof_groups(&self) -> Result<Vec<ProofResource<LogGroupName>>>;

    /// Restores a database as [`Cloud::create_database`](super::Cloud::create_database), with another identifier and other tags.
    async fn restore_proof_database(&self, id: &DatabaseId, tags: &Tags, new: &NewDatabase) -> Result<()>;

    /// Lists the DB instances of the account that have a tag whose key begins with [`PREFIX`](crate::domain::proof::key::PREFIX).
    async fn proof_databases(&self) -> Result<Vec<ProofResource<DatabaseId>>>;

    /// Returns what RDS shows of a database, or `None` if it does not exist.
    async fn database_progress(&self, id: &DatabaseId) -> Result<Option<DatabaseProgress>>;

    /// Lists the `available` snapshots of a source database.
    async fn snapshots(&self, source: &str, listing: SnapshotListing) -> Result<Vec<ListedSnapshot>>;
}
