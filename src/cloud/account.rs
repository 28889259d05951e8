//! The part of the port that only set-up and doctor need.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Cloud, Pages, Proofs, Result};
use crate::domain::text::Untrusted;
use crate::domain::{Fleet, FleetName, Image, InstanceId, NewFleet, RecordId, World};

/// A shared [`Account`].
pub type DynAccount = Arc<dyn Account>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The 12 digits of the account.
    pub account: Untrusted,
    pub arn: Untrusted,
}

/// An RDS instance whose snapshots a fleet can restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDatabase {
    pub id: Untrusted,
    /// RDS's status, such as `available`.
    pub status: Untrusted,
    /// RDS's name of the engine, such as `postgres`.
    pub engine: Untrusted,
    /// The engine's version, such as `17.6`.
    pub engine_version: Untrusted,
    /// The DB cluster that it belongs to.
    pub cluster: Option<Untrusted>,
    /// The name of its DB parameter group.
    pub parameter_group: Option<Untrusted>,
}

/// A DB subnet group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSubnetGroup {
    /// The id of the VPC.
    pub vpc: Untrusted,
    /// The Availability Zones of its subnets, sorted.
    pub zones: Vec<Untrusted>,
}

/// What a fleet owns, counted by tags and names. A fleet whose base template is gone may own something still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    pub fleet: FleetName,
    pub records: usize,
    /// The instances that are not terminated.
    pub instances: usize,
    pub databases: usize,
}

impl Holdings {
    #[must_use]
    pub fn new(fleet: FleetName) -> Self {
        Self { fleet, records: 0, instances: 0, databases: 0 }
    }
}

/// What is known of the scheduled engine, the Lambda function of the fleet's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduledEngine {
    /// The fleet has none: its log group does not exist.
    Missing,
    /// It has logged nothing in the time that was asked for.
    Silent,
    /// The time of its latest log line.
    Ran(DateTime<Utc>),
}

/// What a listing of the databases reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingCost {
    /// All DB instances of the account in the Region.
    pub databases: usize,
    pub requests: usize,
}

/// What hatchery owns in the Region, from one listing of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// What each fleet owns, also those without a base template.
    pub holdings: Vec<Holdings>,
    /// What each listing of a fleet's databases reads.
    pub listing: ListingCost,
}

/// A service quota of the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    pub name: Untrusted,
    pub limit: f64,
    /// The current use; `None` if it is unknown.
    pub used: Option<f64>,
}

/// Whether the caller may call an operation, according to a request that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The IAM action, such as `ec2:RunInstances`.
    pub action: &'static str,
    pub answer: Answer,
}

/// What AWS answers to the question for a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Granted,
    /// With AWS's message.
    Denied(String),
    /// With the reason why no request can tell.
    Unknown(String),
}

/// Resources of the fleet on which permissions are tried, because policies allow by tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionSamples {
    pub image: Option<Image>,
    /// The record of an environment.
    pub record: Option<RecordId>,
    /// An instance that is not terminated.
    pub instance: Option<InstanceId>,
}

impl PermissionSamples {
    #[must_use]
    pub fn of(world: &World) -> Self {
        let record = world.records.iter().find(|record| record.is_environment());
        let instance = world.instances.iter().find(|instance| !instance.state.is_ending());
        Self {
            image: world.image.clone().ok().flatten(),
            record: record.map(|record| record.id.clone()),
            instance: instance.map(|instance| instance.id.clone()),
        }
    }
}

/// Operations on the account for `fleet init`, `fleet set` and `doctor`.
#[async_trait]
pub trait Account: Cloud {
    async fn identity(&self) -> Result<Identity>;

    /// Lists all fleets of the Region.
    fn fleets(&self) -> Pages<'_, Fleet>;

    /// Creates a fleet's base launch template. The same request can return the same template after its deletion; `gone` is that template, and
    /// makes this another request.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the name is in use.
    async fn create_fleet(&self, new: &NewFleet, gone: Option<&RecordId>) -> Result<RecordId>;

    /// Returns an RDS instance, or `None` if it does not exist.
    async fn source_database(&self, id: &str) -> Result<Option<SourceDatabase>>;

    /// Returns a DB subnet group, or `None` if it does not exist.
    async fn database_subnet_group(&self, name: &str) -> Result<Option<DatabaseSubnetGroup>>;

    /// Returns the family of a DB parameter group, such as `postgres17`, or `None` if the group does not exist.
    async fn database_parameter_family(&self, name: &str) -> Result<Option<Untrusted>>;

    /// Returns the zones that offer the DB instance class for the engine of the source, in a VPC.
    async fn zones_offering_database(&self, source: &SourceDatabase, class: &str) -> Result<Vec<Untrusted>>;

    async fn has_key_pair(&self, name: &str) -> Result<bool>;

    /// Returns those of the zones that offer the instance type.
    async fn zones_offering(&self, instance_type: &str, zones: &[Untrusted]) -> Result<Vec<Untrusted>>;

    /// Checks with a dry run whether EC2 accepts a launch with these settings.
    async fn dry_run_launch(&self, new: &NewFleet, image: Option<&Image>) -> Result<()>;

    /// Checks the caller's permissions with requests that change nothing.
    async fn permissions(&self, fleet: &Fleet, samples: &PermissionSamples) -> Vec<Permission>;

    /// Checks in the same way, with one request for most callers, whether the caller may launch environments or change them. It is denied
    /// only if both are.
    async fn write_permission(&self, fleet: &Fleet, samples: &PermissionSamples) -> Answer;

    /// Returns what the fleets of the Region own, and what a listing of databases costs.
    async fn inventory(&self) -> Result<Inventory>;

    /// Returns when the fleet's scheduled engine ran, if it did since a time.
    async fn scheduled_engine(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<ScheduledEngine>;

    /// Returns the quotas that limit a fleet.
    async fn quotas(&self) -> Result<Vec<Quota>>;

    /// Returns the operations on throw-away resources.
    fn proofs(&self) -> &dyn Proofs;
}
