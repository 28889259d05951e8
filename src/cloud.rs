//! The port: the only way out. Two adapters speak it, [`aws`] and [`sim`], and one contract suite runs against both.
//!
//! Listings come page by page and say when AWS answered. Changes return once the service has accepted them; an error of
//! class [`ErrorClass::Unknown`] means that nobody knows whether it has.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use crate::domain::{
    AuditEvent, CloudError, Database, DatabaseId, EnvironmentId, ErrorClass, Fleet, FleetName, Image,
    Instance, InstanceId, Launch, Listing, NewDatabase, NewFleet, NewRecord, Number, Record, RecordId,
    Snapshot, Subnet, SubnetId, TagChanges,
};

#[cfg(feature = "aws")]
pub mod aws;
pub mod sim;

/// The result of a call.
pub type Result<T, E = CloudError> = std::result::Result<T, E>;

/// One answer, with AWS's clock (the response's `Date` header) when it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed<T> {
    /// What was read.
    pub value: T,
    /// AWS's clock. `None` where the answer did not say.
    pub as_of: Option<DateTime<Utc>>,
}

/// One page of a listing.
pub type Page<T> = Observed<Vec<T>>;

/// The pages of a listing. An error ends it.
pub type Pages<'a, T> = BoxStream<'a, Result<Page<T>>>;

/// Shared handle of the port.
pub type DynCloud = Arc<dyn Cloud>;

/// Reads all pages. An error midway leaves an incomplete listing with what came before it.
pub async fn collect<T>(mut pages: Pages<'_, T>) -> Listing<T> {
    use futures::StreamExt as _;
    let mut listing = Listing::default();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => {
                // The oldest answer is the only safe "now".
                listing.as_of = if listing.items.is_empty() && listing.as_of.is_none() {
                    page.as_of
                } else {
                    listing.as_of
                };
                listing.items.extend(page.value);
            }
            Err(problem) => {
                listing.problem = Some(problem);
                return listing;
            }
        }
    }
    listing.complete = true;
    listing
}

/// Who is calling, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

/// A request for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchInstance {
    /// The record to launch from. Once it is deleted the request cannot succeed any more.
    pub record: RecordId,
    /// The client token; see [`RecordId::client_token`].
    pub token: String,
    /// A subnet other than the record's.
    pub subnet: Option<SubnetId>,
    /// An instance type other than the record's.
    pub instance_type: Option<String>,
}

/// A security group and what it admits from everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The VPC that it belongs to.
    pub vpc: String,
    /// `0.0.0.0/0` and `::/0` where an inbound rule admits them.
    pub open_to: Vec<String>,
}

/// The integration environment's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDatabase {
    /// Its identifier.
    pub id: String,
    /// RDS's status string.
    pub status: String,
    /// Its engine, such as `postgres`.
    pub engine: String,
    /// The VPC that it is in.
    pub vpc: Option<String>,
}

/// What a launch from the fleet's base template would use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseTemplate {
    /// The instance type.
    pub instance_type: Option<String>,
    /// The security groups of the instances.
    pub security_groups: Vec<String>,
    /// The name or ARN of the instances' profile.
    pub instance_profile: Option<String>,
    /// Whether the template brings user data.
    pub has_user_data: bool,
}

/// A limit of the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// What is limited.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// How much of it is in use, where that is known.
    pub used: Option<f64>,
}

/// Whether the caller may do something, found out by a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The action, such as `ec2:RunInstances`.
    pub action: &'static str,
    /// `Ok(true)` if permitted, `Ok(false)` if denied, `Err` where it could not be found out.
    pub allowed: Result<bool>,
}

/// One line of an environment's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The event's id, unique in its group; empty where the source gives none (Live Tail).
    pub id: String,
    /// When it was logged.
    pub at: DateTime<Utc>,
    /// Where it comes from, such as `bootstrap` or a service's name.
    pub source: String,
    /// The text, cleaned.
    pub text: String,
}

/// Which log lines to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The fleet.
    pub fleet: FleetName,
    /// The record whose environment's lines are wanted.
    pub record: RecordId,
    /// Only from this source.
    pub source: Option<String>,
    /// Only lines from this instant on.
    pub since: DateTime<Utc>,
}

/// What following a log gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// Lines, in order of time within the batch.
    Lines(Vec<LogLine>),
    /// How the lines come from here on: `live tail`, or `polling` with the reason.
    Mode(String),
}

/// A launch template of a fleet: the fleet itself or one of its records, which one listing gives together.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// The base template.
    Fleet(Box<Fleet>),
    /// A record or a retirement.
    Record(Box<Record>),
}

impl Template {
    /// The record, if it is one.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        match self {
            Self::Fleet(_) => None,
            Self::Record(record) => Some(*record),
        }
    }
}

/// Everything that hatchery asks of the cloud, in its own words.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// The Region.
    fn region(&self) -> &str;

    /// Who is calling.
    async fn identity(&self) -> Result<Identity>;

    /// All fleets of the Region.
    fn fleets(&self) -> Pages<'_, Fleet>;

    /// One fleet; `None` where there is none of that name.
    async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>>;

    /// A fleet's own template and its records, retirements included: all in one listing, since requests are what the
    /// dashboards of an account share.
    fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Template>;

    /// The instances of a fleet, terminated ones included as long as EC2 lists them.
    fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance>;

    /// The databases of a fleet's pool.
    fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database>;

    /// The latest snapshot of a source database, automated or manual, that is `available`.
    async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>>;

    /// The latest image of the account's own that is `available` and whose tag `hatchery:image` has this value.
    async fn latest_image(&self, tag: &str) -> Result<Option<Image>>;

    /// The subnets with these ids. One that does not exist is an error of class `NotFound`.
    async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>>;

    /// The record with this id, read again.
    async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>>;

    /// Whoever holds the claim on an environment's number.
    async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>>;

    /// The instance with this id, read again.
    async fn instance(&self, fleet: &FleetName, id: &InstanceId) -> Result<Observed<Option<Instance>>>;

    /// The instances of one environment id, those of earlier records of the same id included.
    async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>>;

    /// The database with this number, read again.
    async fn database(&self, fleet: &FleetName, number: Number) -> Result<Observed<Option<Database>>>;

    /// Claims a database by creating the record of its number, with everything that the base template has.
    /// Class `AlreadyExists` where somebody else holds the claim.
    async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId>;

    /// Deletes a record. One that is gone already is a success.
    async fn delete_record(&self, id: &RecordId) -> Result<()>;

    /// Changes a record's tags.
    async fn tag_record(&self, id: &RecordId, changes: &TagChanges) -> Result<()>;

    /// Launches the instance of a record. The same token gives the same instance.
    async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId>;

    /// Terminates an instance. One that is gone already is a success.
    async fn terminate_instance(&self, id: &InstanceId) -> Result<()>;

    /// Changes an instance's tags.
    async fn tag_instance(&self, id: &InstanceId, changes: &TagChanges) -> Result<()>;

    /// Restores a database. Class `AlreadyExists` where the name is taken: look again.
    async fn create_database(&self, new: &NewDatabase) -> Result<()>;

    /// Changes a database's tags.
    async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()>;

    /// Deletes a database without a final snapshot and with its automated backups. One that is gone or going is a
    /// success; any other state that forbids it is class `Transient`: the next pass tries again.
    async fn delete_database(&self, id: &DatabaseId) -> Result<()>;

    /// Creates a fleet's base launch template. Class `AlreadyExists` where the name is taken.
    async fn create_fleet(&self, new: &NewFleet) -> Result<RecordId>;

    /// Changes the tags of a fleet's base launch template.
    async fn tag_fleet(&self, template: &RecordId, changes: &TagChanges) -> Result<()>;

    /// What the base template brings.
    async fn base_template(&self, template: &RecordId) -> Result<BaseTemplate>;

    /// The security groups with these ids. One that does not exist is an error of class `NotFound`.
    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>>;

    /// A database of the account by its identifier; `None` where there is none.
    async fn source_database(&self, id: &str) -> Result<Option<SourceDatabase>>;

    /// The VPC of a DB subnet group; `None` where there is no such group.
    async fn database_subnet_group(&self, name: &str) -> Result<Option<String>>;

    /// Of these zones, those that offer the instance type; empty where there is no such type.
    async fn zones_offering(&self, instance_type: &str, zones: &[String]) -> Result<Vec<String>>;

    /// Asks EC2 whether a launch with these values would be accepted, without launching.
    async fn dry_run_launch(&self, new: &NewFleet, image: Option<&Image>) -> Result<()>;

    /// What the caller may do.
    async fn permissions(&self, fleet: &Fleet) -> Vec<Permission>;

    /// The limits of the account that a fleet runs into.
    async fn quotas(&self) -> Result<Vec<Quota>>;

    /// Writes events to the audit log, which is created where it is missing.
    async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()>;

    /// The audit events from `since` on, oldest first; at most the latest `limit`.
    async fn audit(&self, fleet: &FleetName, since: DateTime<Utc>, limit: usize) -> Result<Vec<AuditEvent>>;

    /// All launches from `since` on that the audit log says were done, in any order.
    async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>>;

    /// The log lines that are there, oldest first.
    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogLine>>;

    /// The log lines that are there, and then those that come, until the stream is dropped. An error ends it only
    /// where going on is of no use.
    fn follow(&self, query: LogQuery) -> BoxStream<'_, Result<LogItem>>;
}

/// Treats `NotFound` as absence.
///
/// # Errors
/// Every other error, unchanged.
pub fn absent<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is(ErrorClass::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
