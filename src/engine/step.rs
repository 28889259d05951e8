//! Steps: the idempotent changes that an engine can make, in the order in which it makes them.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::{
    DatabaseId, EnvironmentId, Fleet, InstanceId, NewDatabase, Number, RecordId, Snapshot, SubnetId,
    TagChanges,
};

/// One idempotent change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Binds a claimed database to its environment for good.
    ClaimDatabase {
        /// The claim.
        record: RecordId,
        /// The environment that claimed it.
        environment: EnvironmentId,
    },
    /// Restores the database of an environment that claimed a number which has none.
    CreateClaimed {
        /// The claim.
        record: RecordId,
        /// The environment that claimed it.
        environment: EnvironmentId,
        /// Where and from what.
        restore: Restore,
    },
    /// Finishes a launch: asks for the instance of a record.
    LaunchInstance {
        /// The record to launch from.
        record: RecordId,
        /// The environment.
        environment: EnvironmentId,
        /// How many attempts have failed before.
        attempt: u32,
        /// Where and as what.
        placement: Placement,
    },
    /// Writes on the record which instance it has, so that nobody launches another.
    RecordInstance {
        /// The record.
        record: RecordId,
        /// Its environment.
        environment: EnvironmentId,
        /// Its instance.
        instance: InstanceId,
    },
    /// Mirrors the record's expiry on the instance, for its dead man's switch.
    MirrorExpiry {
        /// The environment.
        environment: EnvironmentId,
        /// Its instance.
        instance: InstanceId,
        /// The record's expiry.
        expires_at: DateTime<Utc>,
    },
    /// Writes down that an environment has failed for good.
    GiveUp {
        /// The record.
        record: RecordId,
        /// Its environment.
        environment: EnvironmentId,
    },
    /// Sweep one: the time is over.
    MarkReaping {
        /// The record.
        record: RecordId,
        /// Its environment.
        environment: EnvironmentId,
    },
    /// Takes back sweep one, because the environment was extended.
    UnmarkReaping {
        /// The record.
        record: RecordId,
        /// Its environment.
        environment: EnvironmentId,
    },
    /// Marks or unmarks something that has lost its counterpart.
    Orphan {
        /// What.
        what: Orphan,
        /// Whether it is one.
        marked: bool,
    },
    /// Terminates an instance.
    TerminateInstance {
        /// The environment.
        environment: EnvironmentId,
        /// The instance.
        instance: InstanceId,
        /// By which right.
        reason: TerminationReason,
    },
    /// Deletes the database of an environment that ends.
    DeleteDatabase {
        /// The record of the environment.
        record: RecordId,
        /// The environment.
        environment: EnvironmentId,
    },
    /// Deletes the record of an environment of which nothing else is left.
    DeleteRecord {
        /// The record.
        record: RecordId,
        /// The environment.
        environment: EnvironmentId,
    },
    /// Takes a database out of the pool: claims it for nobody, so that it ends like an environment.
    Retire {
        /// The environment id of its number.
        environment: EnvironmentId,
    },
    /// Counts a restore that failed.
    CountFailedRestore {
        /// The database's number.
        number: Number,
    },
    /// Forgets the restores that failed, because one came through.
    ResetFailedRestores,
    /// Restores a database for the pool.
    CreateDatabase {
        /// Its number.
        number: Number,
        /// Its identifier.
        database: DatabaseId,
        /// Where and from what.
        restore: Restore,
    },
    /// Moves the hint of the highest number up.
    RaiseNumberHint {
        /// The highest number seen.
        number: Number,
    },
}

/// Where a database is restored, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The availability zone.
    pub zone: String,
}

impl Restore {
    /// The database to be restored, by the fleet's policy.
    #[must_use]
    pub fn database(
        &self,
        fleet: &Fleet,
        number: Number,
        environment: Option<EnvironmentId>,
        now: DateTime<Utc>,
    ) -> NewDatabase {
        let policy = &fleet.policy;
        NewDatabase {
            fleet: fleet.name.clone(),
            number,
            environment,
            requested_at: now,
            snapshot: self.snapshot.clone(),
            zone: self.zone.clone(),
            class: policy.database_class.clone(),
            subnet_group: policy.database_subnet_group.clone(),
            security_groups: policy.database_security_groups.clone(),
            parameter_group: policy.database_parameter_group.clone(),
        }
    }
}

/// Where an instance is launched, and as what. Empty: as the record says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Another subnet than the record's.
    pub subnet: Option<SubnetId>,
    /// Another type than the record's.
    pub instance_type: Option<String>,
}

/// By which right an instance is terminated; each is looked at again right before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationReason {
    /// Its environment's time is over.
    Ending(RecordId),
    /// It is one too many: the record's own is this other one.
    Surplus {
        /// The record.
        record: RecordId,
        /// The instance that stays.
        keep: InstanceId,
    },
    /// It has no record.
    Orphan,
}

/// Something without its counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orphan {
    /// A live instance without a record.
    Instance(InstanceId),
    /// A claimed database without a record.
    Database(DatabaseId),
    /// A record whose database or instance is gone.
    Record(RecordId, EnvironmentId),
}

impl Orphan {
    /// The tag change that marks or unmarks it.
    #[must_use]
    pub fn changes(marked: bool, now: DateTime<Utc>) -> TagChanges {
        use crate::domain::tags::key::ORPHAN_SINCE;
        if marked {
            TagChanges::new().set_time(ORPHAN_SINCE, now)
        } else {
            TagChanges::new().remove(ORPHAN_SINCE)
        }
    }
}

/// The order of steps, and how they may share the wire: people first, deletes before creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody waits for it.
    People,
    /// A mark that costs nothing and can be taken back.
    Mark,
    /// Takes something away.
    Delete,
    /// Adds to the pool.
    Create,
    /// Bookkeeping.
    Hint,
}

impl Step {
    /// Its place in the order.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self {
            Self::ClaimDatabase { .. }
            | Self::CreateClaimed { .. }
            | Self::LaunchInstance { .. }
            | Self::RecordInstance { .. }
            | Self::MirrorExpiry { .. }
            | Self::GiveUp { .. }
            | Self::UnmarkReaping { .. } => Priority::People,
            Self::MarkReaping { .. }
            | Self::Orphan { .. }
            | Self::CountFailedRestore { .. }
            | Self::ResetFailedRestores => Priority::Mark,
            Self::TerminateInstance { .. }
            | Self::DeleteDatabase { .. }
            | Self::DeleteRecord { .. }
            | Self::Retire { .. } => Priority::Delete,
            Self::CreateDatabase { .. } => Priority::Create,
            Self::RaiseNumberHint { .. } => Priority::Hint,
        }
    }

    /// The word for the audit log and JSON.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::ClaimDatabase { .. } => "claim-database",
            Self::CreateClaimed { .. } | Self::CreateDatabase { .. } => "create-database",
            Self::LaunchInstance { .. } => "launch-instance",
            Self::RecordInstance { .. } => "note-instance",
            Self::MirrorExpiry { .. } => "mirror-expiry",
            Self::GiveUp { .. } => "give-up",
            Self::MarkReaping { .. } => "mark-reaping",
            Self::UnmarkReaping { .. } => "unmark-reaping",
            Self::Orphan { marked: true, .. } => "mark-orphan",
            Self::Orphan { marked: false, .. } => "unmark-orphan",
            Self::TerminateInstance { .. } => "terminate-instance",
            Self::DeleteDatabase { .. } => "delete-database",
            Self::DeleteRecord { .. } => "delete-record",
            Self::Retire { .. } => "retire-database",
            Self::CountFailedRestore { .. } => "note-failed-restore",
            Self::ResetFailedRestores => "forget-failed-restores",
            Self::RaiseNumberHint { .. } => "move-hint",
        }
    }

    /// What it is done to.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::ClaimDatabase { environment, .. }
            | Self::CreateClaimed { environment, .. }
            | Self::DeleteDatabase { environment, .. }
            | Self::Retire { environment } => environment.database_id().to_string(),
            Self::LaunchInstance { environment, .. }
            | Self::RecordInstance { environment, .. }
            | Self::GiveUp { environment, .. }
            | Self::MarkReaping { environment, .. }
            | Self::UnmarkReaping { environment, .. }
            | Self::Orphan { what: Orphan::Record(_, environment), .. }
            | Self::DeleteRecord { environment, .. } => environment.to_string(),
            Self::MirrorExpiry { instance, .. }
            | Self::TerminateInstance { instance, .. }
            | Self::Orphan { what: Orphan::Instance(instance), .. } => instance.to_string(),
            Self::Orphan { what: Orphan::Database(database), .. } | Self::CreateDatabase { database, .. } => {
                database.to_string()
            }
            Self::CountFailedRestore { number } | Self::RaiseNumberHint { number } => {
                format!("number {number}")
            }
            Self::ResetFailedRestores => "the fleet".to_owned(),
        }
    }

    /// The record that it works on, if any: an engine whose person asked for that record does not wait.
    #[must_use]
    pub fn record(&self) -> Option<&RecordId> {
        match self {
            Self::ClaimDatabase { record, .. }
            | Self::CreateClaimed { record, .. }
            | Self::LaunchInstance { record, .. }
            | Self::RecordInstance { record, .. }
            | Self::GiveUp { record, .. }
            | Self::MarkReaping { record, .. }
            | Self::UnmarkReaping { record, .. }
            | Self::DeleteDatabase { record, .. }
            | Self::DeleteRecord { record, .. }
            | Self::Orphan { what: Orphan::Record(record, _), .. }
            | Self::TerminateInstance {
                reason: TerminationReason::Ending(record) | TerminationReason::Surplus { record, .. },
                ..
            } => Some(record),
            _ => None,
        }
    }
}

/// Two plans mean the same step if its key is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Priority, pub &'static str, pub String);

impl Step {
    /// Its key: unique within a plan, and in the order of work.
    #[must_use]
    pub fn key(&self) -> Key {
        Key(self.priority(), self.action(), self.target())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.2)
    }
}
