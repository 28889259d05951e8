//! RDS instances of the pool, and the snapshots that they are restored from.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ids::{DatabaseId, EnvironmentId, FleetName, Number, SnapshotId};
use super::tags::{self, Tags, key, role};

/// What an RDS status string means for the pool.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// It answers queries.
    Usable,
    /// It is on its way, or in a state that this version does not know.
    Pending,
    /// It will never be usable.
    Failed,
    /// It is being deleted.
    Deleting,
}

impl StatusClass {
    /// Classifies a status string; unknown strings are pending.
    #[must_use]
    pub fn from_status(status: &str) -> Self {
        match status {
            "available" | "storage-optimization" => Self::Usable,
            "deleting" => Self::Deleting,
            "failed" | "restore-error" => Self::Failed,
            status if status.starts_with("incompatible-") => Self::Failed,
            _ => Self::Pending,
        }
    }
}

/// A database of the pool as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its identifier, `hatchery-<fleet>-<n>`.
    pub id: DatabaseId,
    /// Its number.
    pub number: Number,
    /// RDS's status string, such as `available`.
    pub status: String,
    /// `host:port`, once it has one.
    pub endpoint: Option<String>,
    /// When its restore was asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// When RDS says that it was created; absent while it is being created.
    pub created_at: Option<DateTime<Utc>>,
    /// The zone that it was created for, from its tag or from RDS.
    pub zone: Option<String>,
    /// The snapshot that it was restored from.
    pub snapshot: Option<SnapshotId>,
    /// When that snapshot was taken.
    pub snapshot_at: Option<DateTime<Utc>>,
    /// The environment that it was given to. Once set it is never free again.
    pub environment: Option<EnvironmentId>,
    /// When a sweep first found it claimed without a record.
    pub orphan_since: Option<DateTime<Utc>>,
}

/// What RDS says about a database beside its tags; see [`Database::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DatabaseFacts {
    pub id: DatabaseId,
    pub status: String,
    pub endpoint: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub zone: Option<String>,
}

impl Database {
    /// Reads a database, if its name *and* tags say that it is one of the fleet's pool.
    #[must_use]
    pub fn parse(fleet: &FleetName, facts: DatabaseFacts, tags: &Tags) -> Option<Self> {
        let number = fleet.database_number(facts.id.as_str())?;
        tags::belongs(tags, fleet.as_str(), role::POOL).then(|| Self {
            id: facts.id,
            number,
            status: super::text::sanitize(&facts.status),
            endpoint: facts.endpoint,
            requested_at: tags::parse_time(tags, key::CREATED_AT),
            created_at: facts.created_at,
            zone: tags.get(key::ZONE).cloned().or(facts.zone),
            snapshot: tags.get(key::SNAPSHOT).map(SnapshotId::new),
            snapshot_at: tags::parse_time(tags, key::SNAPSHOT_AT),
            // An unreadable claim is still a claim: by construction the number is the environment's.
            environment: tags
                .get(key::ENVIRONMENT)
                .map(|id| id.parse().unwrap_or_else(|_| fleet.environment(number))),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
        })
    }

    /// What its status means. `available` without an endpoint is still pending.
    #[must_use]
    pub fn status_class(&self) -> StatusClass {
        match StatusClass::from_status(&self.status) {
            StatusClass::Usable if self.endpoint.is_none() => StatusClass::Pending,
            class => class,
        }
    }

    /// When it came into being, as well as is known: the restore's request, else RDS's own time.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.requested_at.or(self.created_at)
    }

    /// How long its restore took, from the request to RDS's own time, which is that of the first availability. One that is
    /// next to the request says nothing.
    #[must_use]
    pub fn restore_time(&self) -> Option<Duration> {
        let took = (self.created_at? - self.requested_at?).to_std().ok()?;
        Some(took).filter(|took| *took >= Duration::from_mins(1))
    }

    /// Whether it answers queries: `available` *and* an endpoint.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status_class() == StatusClass::Usable
    }
}

/// A database to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatabase {
    /// The fleet whose pool it joins.
    pub fleet: FleetName,
    /// Its number.
    pub number: Number,
    /// The snapshot to restore.
    pub snapshot: Snapshot,
    /// The environment that has claimed it already; `None` for a spare.
    pub environment: Option<EnvironmentId>,
    /// When it is asked for.
    pub requested_at: DateTime<Utc>,
    /// The availability zone to restore into.
    pub zone: String,
    /// The RDS instance class, such as `db.t4g.small`.
    pub class: String,
    /// The DB subnet group.
    pub subnet_group: String,
    /// VPC security group ids; empty for the VPC's default group.
    pub security_groups: Vec<String>,
    /// The DB parameter group; `None` for the engine's default.
    pub parameter_group: Option<String>,
}

impl NewDatabase {
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> DatabaseId {
        self.fleet.database_id(self.number)
    }

    /// The full tag set. It is always sent whole: without one, a restore copies the source's tags.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html>
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::from(
            [
                (key::FLEET, self.fleet.to_string()),
                (key::ROLE, role::POOL.to_owned()),
                (key::CREATED_AT, tags::format_time(self.requested_at)),
                (key::ZONE, self.zone.clone()),
                (key::SNAPSHOT, self.snapshot.id.to_string()),
                (key::SNAPSHOT_AT, tags::format_time(self.snapshot.created_at)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        tags.extend(self.environment.iter().map(|id| (key::ENVIRONMENT.to_owned(), id.to_string())));
        tags
    }
}

/// An RDS snapshot of the source database that is `available`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identifier.
    pub id: SnapshotId,
    /// When it was taken.
    pub created_at: DateTime<Utc>,
}
