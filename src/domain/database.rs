//! RDS instances of the pool, and the snapshots from which they are restored.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::company_tags::CompanyTags;
use super::hydration::Hydration;
use super::ids::{DatabaseId, EnvironmentId, FleetName, Number, RecordId, SnapshotId};
use super::step_failure::StepFailure;
use super::tags::{self, TagChanges, Tags, key, role};
use super::text::Untrusted;
use super::unreadable::{Parsed, Unreadable, UnreadableKind};

/// The age from which an unfinished restore counts as failed. RDS restores take 10 to 30 minutes.
pub(crate) const RESTORE_TIMEOUT: Duration = Duration::from_hours(2);

/// The meaning of an RDS status for the pool.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// The database accepts connections.
    Usable,
    /// The database is being created, and has never accepted connections.
    Pending,
    /// The database exists and is unavailable for a while, or has a status that this version does not know.
    Busy,
    /// The database is stopped. RDS starts it after seven days.
    Stopped,
    /// The database will not be usable again, unless a person repairs it.
    Failed,
    Deleting,
}

impl StatusClass {
    /// Classifies a status. Unknown ones are busy.
    #[must_use]
    pub(crate) fn from_status(status: &str) -> Self {
        match status {
            // Restored volumes load their blocks while queries are answered.
            "available" | "storage-optimization" | "storage-initialization" => Self::Usable,
            "creating" => Self::Pending,
            "stopped" => Self::Stopped,
            "deleting" => Self::Deleting,
            "failed" | "restore-error" | "insufficient-capacity" | "inaccessible-encryption-credentials" => {
                Self::Failed
            }
            status if status.starts_with("incompatible-") => Self::Failed,
            _ => Self::Busy,
        }
    }
}

/// A database of the pool as AWS returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The identifier, `hatchery-<fleet>-<n>`.
    pub id: DatabaseId,
    pub number: Number,
    /// RDS's status, such as `available`.
    pub status: Untrusted,
    /// `host:port`; `None` until RDS has assigned one.
    pub endpoint: Option<Untrusted>,
    /// The time of the restore's request.
    pub requested_at: Option<DateTime<Utc>>,
    /// RDS's creation time, which is when the database first became available.
    pub created_at: Option<DateTime<Utc>>,
    /// The Availability Zone, from the tag or else from RDS.
    pub zone: Option<Untrusted>,
    /// The snapshot from which it was restored.
    pub snapshot: Option<SnapshotId>,
    /// The creation time of that snapshot.
    pub snapshot_at: Option<DateTime<Utc>>,
    /// The digest of the settings with which it was restored; see [`Policy::database_settings`](super::policy::Policy::database_settings).
    pub settings: Option<Untrusted>,
    /// The environment that uses it. A database with this tag never becomes free again.
    pub environment: Option<EnvironmentId>,
    /// The record that claimed it; `None` if it is free or an older version claimed it.
    pub record: Option<RecordId>,
    /// The time of the first sweep that found it claimed without a record.
    pub orphan_since: Option<DateTime<Utc>>,
    /// The time of the first sweep that found it busy, stopped or failed although it had been usable.
    pub unusable_since: Option<DateTime<Utc>>,
    pub hydration: Hydration,
    /// Whether a tag says that RDS loaded its volume.
    pub loading_seen: bool,
    /// The step on it that AWS refuses.
    pub failed_step: Option<StepFailure>,
}

/// The attributes of a database in RDS's response, without its tags; see [`Database::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAttributes {
    pub id: DatabaseId,
    pub status: Untrusted,
    pub endpoint: Option<Untrusted>,
    pub created_at: Option<DateTime<Utc>>,
    pub zone: Option<Untrusted>,
    /// The percentage of its volume that is loaded, while RDS reports that it loads it.
    pub loaded: Option<u8>,
}

impl Database {
    /// Parses a database. Returns `None` unless its name is that of a database of the fleet's pool.
    #[must_use]
    pub fn parse(fleet: &FleetName, attributes: DatabaseAttributes, tags: &Tags) -> Parsed<Self> {
        let number = fleet.database_number(attributes.id.as_str())?;
        if !tags::belongs(tags, fleet.as_str(), role::POOL) {
            let id = attributes.id.as_str();
            return Some(Err(Unreadable::new(UnreadableKind::Database, id, fleet, number, tags)));
        }
        let loading_seen = tags.contains_key(key::LOADING_SEEN);
        Some(Ok(Self {
            id: attributes.id,
            number,
            status: attributes.status,
            endpoint: attributes.endpoint,
            requested_at: tags::parse_time(tags, key::CREATED_AT),
            created_at: attributes.created_at,
            zone: tags::text(tags, key::ZONE).or(attributes.zone),
            snapshot: tags.get(key::SNAPSHOT).map(|value| parse_snapshot(value)),
            settings: tags::text(tags, key::SETTINGS),
            snapshot_at: tags::parse_time(tags, key::SNAPSHOT_AT),
            // An invalid value is still a claim, and the environment has the database's number.
            environment: tags
                .get(key::ENVIRONMENT)
                .map(|id| id.parse().unwrap_or_else(|_| fleet.environment(number))),
            record: tags.get(key::RECORD).map(RecordId::new),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
            unusable_since: tags::parse_time(tags, key::UNUSABLE_SINCE),
            hydration: Hydration::new(attributes.loaded, loading_seen),
            loading_seen,
            failed_step: StepFailure::parse(tags),
        }))
    }

    /// Classifies the status. A database without a creation time has never been usable, regardless of its status.
    #[must_use]
    pub fn status_class(&self) -> StatusClass {
        match StatusClass::from_status(self.status.raw()) {
            StatusClass::Usable if self.endpoint.is_some() => StatusClass::Usable,
            StatusClass::Usable | StatusClass::Busy if self.created_at.is_none() => StatusClass::Pending,
            StatusClass::Usable => StatusClass::Busy,
            class => class,
        }
    }

    /// Whether a restore takes longer than `RESTORE_TIMEOUT`.
    #[must_use]
    pub fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.status_class() == StatusClass::Pending
            && self.since().is_some_and(|since| since + RESTORE_TIMEOUT <= now)
    }

    /// Whether the restore has failed or takes too long. Such a database has never been usable, so there is nothing to repair.
    #[must_use]
    pub fn has_failed_restore(&self, now: DateTime<Utc>) -> bool {
        let has_failed = self.status_class() == StatusClass::Failed && self.created_at.is_none();
        has_failed || self.is_overdue(now)
    }

    /// Returns the time of the restore's request, or RDS's creation time if that is unknown.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.requested_at.or(self.created_at)
    }

    /// Returns the duration of the restore, from the request to RDS's creation time. Less than a minute is no duration of a restore.
    #[must_use]
    pub fn restore_time(&self) -> Option<Duration> {
        let took = (self.created_at? - self.requested_at?).to_std().ok()?;
        Some(took).filter(|took| *took >= Duration::from_mins(1))
    }

    /// Whether the database accepts connections and has an endpoint.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status_class() == StatusClass::Usable
    }
}

/// A database to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatabase {
    pub fleet: FleetName,
    pub number: Number,
    /// The identifier of the snapshot's RDS instance.
    pub source: String,
    pub snapshot: Snapshot,
    /// The environment that has claimed the number, with its record; `None` for a spare.
    pub claim: Option<(EnvironmentId, RecordId)>,
    pub requested_at: DateTime<Utc>,
    pub zone: String,
    /// The RDS instance class, such as `db.t4g.small`.
    pub class: String,
    pub subnet_group: String,
    /// The ids of VPC security groups; empty for the VPC's default group.
    pub security_groups: Vec<String>,
    /// The DB parameter group; `None` for the engine's default.
    pub parameter_group: Option<String>,
    pub iam_auth: bool,
    /// The digest of the settings above; see [`Policy::database_settings`](super::policy::Policy::database_settings).
    pub settings: String,
    pub company_tags: CompanyTags,
}

/// The prefix of the ids of automated snapshots, which the value of a tag must not have.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html>
const AUTOMATED: &str = "rds:";

/// Replaces [`AUTOMATED`] in a tag.
const AUTOMATED_IN_TAG: &str = "automated:";

fn format_snapshot(id: &SnapshotId) -> String {
    match id.as_str().strip_prefix(AUTOMATED) {
        Some(rest) => format!("{AUTOMATED_IN_TAG}{rest}"),
        None => id.to_string(),
    }
}

fn parse_snapshot(value: &str) -> SnapshotId {
    match value.strip_prefix(AUTOMATED_IN_TAG) {
        Some(rest) => SnapshotId::new(format!("{AUTOMATED}{rest}")),
        None => SnapshotId::new(value),
    }
}

impl NewDatabase {
    #[must_use]
    pub fn id(&self) -> DatabaseId {
        self.fleet.database_id(self.number)
    }

    /// Returns all tags. They are always sent, because a restore without tags copies those of the source.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html>
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = self.company_tags.as_tags().clone();
        tags.extend(
            [
                (key::FLEET, self.fleet.to_string()),
                (key::ROLE, role::POOL.to_owned()),
                (key::CREATED_AT, tags::format_time(self.requested_at)),
                (key::ZONE, self.zone.clone()),
                (key::SNAPSHOT, format_snapshot(&self.snapshot.id)),
                (key::SETTINGS, self.settings.clone()),
                (key::SNAPSHOT_AT, tags::format_time(self.snapshot.created_at)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        if let Some((environment, record)) = &self.claim {
            TagChanges::claim(environment, record).apply_to(&mut tags);
        }
        tags
    }
}

/// An `available` RDS snapshot of the source database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub created_at: DateTime<Utc>,
}

/// Changes to a database.
impl TagChanges {
    /// Binds a database to its environment. From then on it is never free again.
    #[must_use]
    pub fn claim(environment: &EnvironmentId, record: &RecordId) -> Self {
        Self::new().set(key::ENVIRONMENT, environment.to_string()).set(key::RECORD, record.as_str())
    }
}
