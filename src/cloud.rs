//! The port through which everything reaches AWS. It has two adapters, `aws` and [`sim`], and one contract test for both.
//!
//! Listings are read page by page, with AWS's time of each response. Writes return once the service has accepted them. An error of class
//! [`ErrorClass::Unknown`] means that the response was lost, so the change may have been made.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::domain::notice::Claim;
use crate::domain::text::Untrusted;
use crate::domain::{
    AuditEvent, CloudError, Database, DatabaseId, Destination, EnvironmentId, ErrorClass, Fleet, FleetName,
    Image, ImageTags, Instance, InstanceId, Launch, Listing, Message, NewDatabase, NewRecord, Number,
    Pipeline, PipelineKind, Record, RecordId, Registry, Snapshot, Subnet, SubnetId, TagChanges,
};

mod account;
#[cfg(feature = "aws")]
pub mod aws;
mod login;
mod profile;
mod proofs;
mod seen_lines;
mod sessions;
pub mod sim;
mod types;

pub use account::{
    Account, Answer, DatabaseSubnetGroup, DynAccount, Holdings, Identity, Inventory, ListingCost, Permission,
    PermissionSamples, Quota, ScheduledEngine, SourceDatabase,
};
pub use login::{Login, LoginKind};
pub(crate) use profile::{profile_in_environment, variable};
pub use proofs::{
    DatabaseProgress, ListedSnapshot, NewProofTemplate, ProofResource, Proofs, SnapshotListing,
};
pub use sessions::{
    Console, INVALID_DOCUMENT, ManagedSession, Ports, SessionManager, SessionRequest, TARGET_NOT_CONNECTED,
};
pub use types::{
    BaseTemplate, LaunchInstance, LeftOut, LogItem, LogLine, LogQuery, MAX_LOG_LINES, Observed, Page,
    SecurityGroup, StoredLines, Template,
};

/// The result of a call.
pub type Result<T, E = CloudError> = std::result::Result<T, E>;

/// The pages of a listing. An error ends it.
pub type Pages<'a, T> = BoxStream<'a, Result<Page<T>>>;

/// Asks the user for a code of the MFA device with this serial number or ARN.
pub(crate) type AskCode = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<String>> + Send + Sync>;

/// A shared [`Cloud`].
pub type DynCloud = Arc<dyn Cloud>;

/// The operations that the engine needs.
#[async_trait]
pub trait Cloud: Send + Sync {
    fn region(&self) -> &str;

    /// Returns AWS's time, estimated from the latest response; `None` if none has had a time.
    fn time(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Returns once refused or missing credentials may be better ones now, such as after a login.
    async fn credentials_changed(&self) {
        std::future::pending::<()>().await;
    }

    /// Returns a fleet, or `None` if it does not exist.
    async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>>;

    /// Lists the base template, records, retirements and replacements of a fleet, in one listing to save requests.
    fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Template>;

    /// Lists the instances of a fleet, including terminated ones while EC2 lists them.
    fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance>;

    /// Lists the databases of a fleet's pool.
    fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database>;

    /// Returns the latest `available` snapshot of a source database, automated or manual.
    async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>>;

    /// Returns the latest `available` image of the account with this value of the tag `hatchery:image`.
    async fn latest_image(&self, tag: &str) -> Result<Option<Image>>;

    /// Returns the pipelines of the fleet's stack with their latest runs, `base` first; empty if there are none.
    async fn pipelines(&self, fleet: &FleetName) -> Result<Vec<Pipeline>>;

    /// Starts a run of a pipeline and returns its version.
    ///
    /// # Errors
    /// Returns class `NotFound` if the fleet has no such pipeline.
    async fn start_pipeline(&self, fleet: &FleetName, kind: PipelineKind) -> Result<Untrusted>;

    /// Returns the names of the registry's repositories, those of other paths included. A registry may be in another Region and account.
    async fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>>;

    /// Returns the newest tags of a service's images.
    ///
    /// # Errors
    /// Returns class `NotFound` if the service has no repository.
    async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags>;

    /// Returns the subnets with these ids.
    ///
    /// # Errors
    /// Returns class `NotFound` if one does not exist.
    async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>>;

    /// Reads a record by its id.
    ///
    /// # Errors
    /// Returns class `Unreadable` if it exists, but its tags do not say that it is the fleet's; so do all reads of a record or database.
    async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>>;

    /// Reads the record that claims an environment's number.
    async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>>;

    /// Reads the instance that a record names, by its id, or else the one that was launched from it, by EC2's own tag. Its other tags may be lost.
    ///
    /// # Errors
    /// Returns class `Unreadable` if it was not launched from the record.
    async fn instance_of(&self, record: &Record) -> Result<Observed<Option<Instance>>>;

    /// Reads an instance by its id.
    async fn instance(&self, fleet: &FleetName, id: &InstanceId) -> Result<Observed<Option<Instance>>>;

    /// Reads the instances of an environment id, including those of earlier records with the same id.
    async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>>;

    /// Reads a database by its number.
    async fn database(&self, fleet: &FleetName, number: Number) -> Result<Observed<Option<Database>>>;

    /// Claims a database by creating the record of its number, as a copy of the base template.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the number is claimed.
    async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId>;

    /// Deletes a record. Succeeds if it does not exist.
    async fn delete_record(&self, id: &RecordId) -> Result<()>;

    async fn tag_record(&self, id: &RecordId, changes: &TagChanges) -> Result<()>;

    /// Launches the instance of a record. Requests with the same token return the same instance.
    async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId>;

    /// Terminates an instance. Succeeds if it does not exist.
    async fn terminate_instance(&self, id: &InstanceId) -> Result<()>;

    async fn tag_instance(&self, id: &InstanceId, changes: &TagChanges) -> Result<()>;

    /// Restores a database.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the identifier is in use.
    async fn create_database(&self, new: &NewDatabase) -> Result<()>;

    /// Starts a stopped database.
    ///
    /// # Errors
    /// Returns class `Transient` if its status does not allow it.
    async fn start_database(&self, id: &DatabaseId) -> Result<()>;

    async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()>;

    /// Deletes a database and its automated backups, without a final snapshot. Succeeds if it does not exist or is being deleted.
    ///
    /// # Errors
    /// Returns class `Transient` if its status forbids a deletion now.
    async fn delete_database(&self, id: &DatabaseId) -> Result<()>;

    /// Changes the tags of a fleet's base launch template.
    async fn tag_fleet(&self, template: &RecordId, changes: &TagChanges) -> Result<()>;

    async fn base_template(&self, template: &RecordId) -> Result<BaseTemplate>;

    /// Returns the security groups with these ids.
    ///
    /// # Errors
    /// Returns class `NotFound` if one does not exist.
    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>>;

    /// Creates a name among the claims on notices of a fleet, which have a log group of their own.
    ///
    /// # Errors
    /// Returns class `AlreadyExists` if the name exists.
    async fn claim_notice(&self, fleet: &FleetName, name: &str) -> Result<()>;

    /// Returns the claims whose names begin with the name of a notice.
    async fn notice_claims(&self, fleet: &FleetName, notice: &str) -> Result<Observed<Vec<Claim>>>;

    /// Sends a notice, once: a call whose response is lost is not repeated.
    async fn send_notice(&self, destination: &Destination, message: &Message) -> Result<()>;

    /// Appends events to the audit log, which is created if it does not exist.
    async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()>;

    /// Returns the latest audit events since a time, at most `limit`, oldest first.
    async fn audit(&self, fleet: &FleetName, since: DateTime<Utc>, limit: usize) -> Result<Vec<AuditEvent>>;

    /// Returns the successful launches since a time from the audit log, in any order.
    async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>>;

    /// Returns the newest stored log lines.
    async fn logs(&self, query: &LogQuery) -> Result<StoredLines>;

    /// Returns access to the instances, or `None` if this cloud has no instances to connect to.
    fn session_manager(&self) -> Option<&dyn SessionManager> {
        None
    }

    /// Returns the newest stored log lines, and then new ones until the stream is dropped. Older stored lines follow page by page beside them,
    /// up to about `older_bytes` of memory. An error that a retry cannot resolve ends the stream.
    fn follow(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>>;
}

/// Reads all pages. After an error the listing is incomplete and has the items of the earlier pages.
pub async fn collect<T>(mut pages: Pages<'_, T>) -> Listing<T> {
    use futures::StreamExt as _;
    let mut listing = Listing::default();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => {
                // A listing is as old as its first page.
                listing.as_of = if listing.items.is_empty() && listing.as_of.is_none() {
                    page.as_of
                } else {
                    listing.as_of
                };
                listing.items.extend(page.value);
                listing.unreadable.extend(page.unreadable);
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

/// Converts class `NotFound` to `None`.
///
/// # Errors
/// Returns all other errors.
pub fn absent<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is(ErrorClass::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
