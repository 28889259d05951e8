//! Steps: the idempotent changes that an engine can make, and their order.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::lifecycle::{Placement, Restore};
use crate::domain::{
    DatabaseId, EnvironmentId, InstanceId, Notice, Number, RecordId, StatusClass, TagChanges, Unreadable,
};

mod key;

pub use key::{Key, Priority};

/// The name of [`Step::Retire`] in the audit log.
pub(super) const RETIRE: &str = "retire-database";

/// The name of [`Step::SendNotice`] in the audit log.
pub(super) const SEND_NOTICE: &str = "send-notice";

/// One idempotent change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Tags a claimed database with its environment.
    ClaimDatabase {
        /// The record that holds the claim; `None` if only an instance is left, which may have used the database.
        record: Option<RecordId>,
        environment: EnvironmentId,
    },
    /// Restores the database of an environment that claimed a number without a database.
    CreateClaimed { record: RecordId, environment: EnvironmentId, restore: Restore },
    /// Continues a launch: requests the instance of a record.
    LaunchInstance {
        record: RecordId,
        environment: EnvironmentId,
        /// The number of failed attempts.
        attempt: u32,
        placement: Placement,
    },
    /// Writes the instance on the record, so that no engine launches another one.
    RecordInstance { record: RecordId, environment: EnvironmentId, instance: InstanceId },
    /// Copies the record's expiry to the instance, for its dead man's switch.
    MirrorExpiry { environment: EnvironmentId, instance: InstanceId, expires_at: DateTime<Utc> },
    /// Copies the record's database, its services and its last request to deploy to the instance.
    MirrorDeployment { record: RecordId, environment: EnvironmentId, instance: InstanceId },
    /// Marks an environment as failed for good.
    GiveUp { record: RecordId, environment: EnvironmentId },
    /// Marks an environment whose time is over: the first of two sweeps.
    MarkReaping { record: RecordId, environment: EnvironmentId },
    /// Removes the mark of the first sweep, because the environment was extended.
    UnmarkReaping { record: RecordId, environment: EnvironmentId },
    /// Marks or unmarks an orphan.
    Orphan {
        what: Orphan,
        /// Whether to set or to remove the mark.
        marked: bool,
    },
    /// Marks or unmarks a database that was usable and is not.
    Unusable {
        database: DatabaseId,
        /// Whether to set or to remove the mark.
        marked: bool,
    },
    /// Records that RDS loads the volume of a database, so that a loaded database can be distinguished from one without reports.
    NoteLoading { database: DatabaseId },
    /// Starts a stopped database.
    StartDatabase { database: DatabaseId },
    /// Restores the tags without which a resource is unreadable.
    RestoreTags {
        /// The resource and its lost tags.
        what: Unreadable,
    },
    /// Terminates an instance.
    TerminateInstance { environment: EnvironmentId, instance: InstanceId, reason: TerminationReason },
    /// Deletes the database of an ending environment.
    DeleteDatabase { record: RecordId, environment: EnvironmentId },
    /// Deletes the record of an ending environment once its instance and database are gone.
    DeleteRecord { record: RecordId, environment: EnvironmentId },
    /// Makes an environment use the database that its reset has claimed.
    SwitchDatabase {
        record: RecordId,
        environment: EnvironmentId,
        /// The record that claims the new database.
        replacement: RecordId,
        /// The number of the database that it uses now.
        from: Number,
        instance: InstanceId,
    },
    /// Deletes the database of an environment's own number, because it uses another one.
    DeleteReplaced { record: RecordId, environment: EnvironmentId },
    /// Requests the end of a replacement that its environment does not use.
    EndReplacement {
        record: RecordId,
        /// The environment id with the number of the replacement.
        environment: EnvironmentId,
        reason: ReplacementEnd,
    },
    /// Takes the end of a replacement back, because its environment uses the database.
    KeepReplacement {
        record: RecordId,
        /// The environment id with the number of the replacement.
        environment: EnvironmentId,
    },
    /// Removes a database from the pool by a retirement, which then ends like an environment.
    Retire {
        /// The environment id with the database's number.
        environment: EnvironmentId,
        /// The status for which it leaves the pool. If it has changed meanwhile, the database stays.
        status: StatusClass,
    },
    /// Adds failed restores to the fleet's count, all in one change, because changes of one tag at the same time overwrite each other.
    CountFailedRestores { numbers: BTreeSet<Number> },
    /// Clears the fleet's count of failed restores, because a later restore succeeded.
    ResetFailedRestores,
    /// Restores a database for the pool.
    CreateDatabase { number: Number, database: DatabaseId, restore: Restore },
    /// Raises the fleet's hint of the highest used number.
    RaiseNumberHint { number: Number },
    /// Marks or unmarks the fleet's pool as empty.
    MarkPoolEmpty {
        /// Whether to set or to remove the mark.
        marked: bool,
    },
    /// Sends a notice to the policy's destination.
    SendNotice(Box<Notice>),
    /// Records on the fleet that an engine runs. It is no change of the fleet, so neither reports nor the audit log have it.
    RecordPass,
}

/// Why an instance may be terminated. The engine checks the reason again right before it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationReason {
    /// Its environment is ending.
    Ending(RecordId),
    /// Its record has another instance.
    Surplus {
        /// The record of both instances.
        record: RecordId,
        keep: InstanceId,
    },
    /// It has no record.
    Orphan,
}

/// Why a replacement ends. The engine checks the reason again right before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementEnd {
    /// Its environment is ending.
    Ending,
    /// It has no environment.
    Orphan,
    /// Its environment uses a database that was requested later.
    Superseded,
    /// Another reset of the environment was requested first.
    Late,
    /// Its database cannot be used.
    Failed,
}

/// A resource without its counterpart.
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
    /// Returns the tag change that marks or unmarks an orphan.
    #[must_use]
    pub fn changes(marked: bool, now: DateTime<Utc>) -> TagChanges {
        use crate::domain::tags::key::{ORPHAN_SINCE, REPAIR};
        if marked {
            TagChanges::new().set_time(ORPHAN_SINCE, now)
        } else {
            TagChanges::new().remove(ORPHAN_SINCE).remove(REPAIR)
        }
    }
}

/// The resource that a step changes and that can have its trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    Fleet,
    Record(RecordId),
    Instance(InstanceId),
    Database(DatabaseId),
}

impl Step {
    /// Returns the step's place in the order.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self {
            Self::ClaimDatabase { .. }
            | Self::CreateClaimed { .. }
            | Self::LaunchInstance { .. }
            | Self::RecordInstance { .. }
            | Self::MirrorExpiry { .. }
            | Self::MirrorDeployment { .. }
            | Self::GiveUp { .. }
            | Self::UnmarkReaping { .. }
            | Self::SwitchDatabase { .. }
            | Self::KeepReplacement { .. }
            | Self::StartDatabase { .. }
            | Self::RestoreTags { .. } => Priority::User,
            Self::MarkReaping { .. }
            | Self::Orphan { .. }
            | Self::Unusable { .. }
            | Self::NoteLoading { .. }
            | Self::EndReplacement { .. }
            | Self::CountFailedRestores { .. }
            | Self::MarkPoolEmpty { .. }
            | Self::ResetFailedRestores => Priority::Mark,
            Self::TerminateInstance { .. }
            | Self::DeleteDatabase { .. }
            | Self::DeleteReplaced { .. }
            | Self::DeleteRecord { .. }
            | Self::Retire { .. } => Priority::Delete,
            Self::CreateDatabase { .. } => Priority::Create,
            Self::RaiseNumberHint { .. } | Self::RecordPass => Priority::Hint,
            Self::SendNotice(_) => Priority::Notice,
        }
    }

    /// Returns the step's name in the audit log and in JSON.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::ClaimDatabase { .. } => "claim-database",
            Self::CreateClaimed { .. } | Self::CreateDatabase { .. } => "create-database",
            Self::LaunchInstance { .. } => "launch-instance",
            Self::RecordInstance { .. } => "note-instance",
            Self::MirrorExpiry { .. } => "mirror-expiry",
            Self::MirrorDeployment { .. } => "mirror-deployment",
            Self::GiveUp { .. } => "give-up",
            Self::SwitchDatabase { .. } => "switch-database",
            Self::DeleteReplaced { .. } => "delete-old-database",
            Self::EndReplacement { .. } => "end-replacement",
            Self::KeepReplacement { .. } => "keep-replacement",
            Self::MarkReaping { .. } => "mark-reaping",
            Self::UnmarkReaping { .. } => "unmark-reaping",
            Self::Orphan { marked: true, .. } => "mark-orphan",
            Self::Orphan { marked: false, .. } => "unmark-orphan",
            Self::Unusable { marked: true, .. } => "mark-unusable",
            Self::Unusable { marked: false, .. } => "unmark-unusable",
            Self::NoteLoading { .. } => "note-loading",
            Self::StartDatabase { .. } => "start-database",
            Self::RestoreTags { .. } => "restore-tags",
            Self::TerminateInstance { .. } => "terminate-instance",
            Self::DeleteDatabase { .. } => "delete-database",
            Self::DeleteRecord { .. } => "delete-record",
            Self::Retire { .. } => RETIRE,
            Self::CountFailedRestores { .. } => "note-failed-restore",
            // Steps of one priority run in the order of their actions: counters are cleared before new failures are counted.
            Self::ResetFailedRestores => "forget-failed-restores",
            Self::RaiseNumberHint { .. } => "move-hint",
            Self::MarkPoolEmpty { marked: true } => "mark-pool-empty",
            Self::MarkPoolEmpty { marked: false } => "unmark-pool-empty",
            Self::SendNotice(_) => SEND_NOTICE,
            Self::RecordPass => "note-pass",
        }
    }

    /// Returns the id or name of the changed resource.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::ClaimDatabase { environment, .. }
            | Self::CreateClaimed { environment, .. }
            | Self::DeleteDatabase { environment, .. }
            | Self::DeleteReplaced { environment, .. }
            | Self::EndReplacement { environment, .. }
            | Self::KeepReplacement { environment, .. }
            | Self::Retire { environment, .. } => environment.database_id().to_string(),
            Self::LaunchInstance { environment, .. }
            | Self::RecordInstance { environment, .. }
            | Self::GiveUp { environment, .. }
            | Self::SwitchDatabase { environment, .. }
            | Self::MarkReaping { environment, .. }
            | Self::UnmarkReaping { environment, .. }
            | Self::Orphan { what: Orphan::Record(_, environment), .. }
            | Self::DeleteRecord { environment, .. } => environment.to_string(),
            Self::MirrorExpiry { instance, .. }
            | Self::MirrorDeployment { instance, .. }
            | Self::TerminateInstance { instance, .. }
            | Self::Orphan { what: Orphan::Instance(instance), .. } => instance.to_string(),
            Self::Orphan { what: Orphan::Database(database), .. }
            | Self::Unusable { database, .. }
            | Self::NoteLoading { database }
            | Self::StartDatabase { database }
            | Self::CreateDatabase { database, .. } => database.to_string(),
            Self::RestoreTags { what } => what.id.to_string(),
            Self::CountFailedRestores { numbers } => {
                format!("number {}", numbers.iter().map(Number::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::RaiseNumberHint { number } => format!("number {number}"),
            Self::SendNotice(notice) => notice
                .of
                .as_ref()
                .map_or_else(|| "pool".to_owned(), |(_, environment)| environment.to_string()),
            Self::MarkPoolEmpty { .. } => "pool".to_owned(),
            Self::ResetFailedRestores | Self::RecordPass => "the fleet".to_owned(),
        }
    }

    /// Returns the record that the step works on. An engine takes the step without delay if its own user asked to change that record.
    #[must_use]
    pub fn record(&self) -> Option<&RecordId> {
        match self {
            Self::ClaimDatabase { record, .. } => record.as_ref(),
            Self::CreateClaimed { record, .. }
            | Self::LaunchInstance { record, .. }
            | Self::RecordInstance { record, .. }
            | Self::MirrorDeployment { record, .. }
            | Self::GiveUp { record, .. }
            | Self::SwitchDatabase { record, .. }
            | Self::DeleteReplaced { record, .. }
            | Self::EndReplacement { record, .. }
            | Self::KeepReplacement { record, .. }
            | Self::MarkReaping { record, .. }
            | Self::UnmarkReaping { record, .. }
            | Self::DeleteDatabase { record, .. }
            | Self::DeleteRecord { record, .. }
            | Self::Orphan { what: Orphan::Record(record, _), .. }
            | Self::TerminateInstance {
                reason: TerminationReason::Ending(record) | TerminationReason::Surplus { record, .. },
                ..
            } => Some(record),
            Self::SendNotice(notice) => notice.of.as_ref().map(|(record, _)| record),
            _ => None,
        }
    }
}

impl Step {
    /// Returns the resource whose tag has the trace of a refused step; `None` if there is none.
    #[must_use]
    pub fn resource(&self) -> Option<Resource> {
        match self {
            Self::CreateDatabase { .. } => Some(Resource::Fleet),
            // A destination that refuses one notice refuses all, so the fleet has a trace of them.
            Self::SendNotice(_) => None,
            // A resource has one trace, and both may be refused at a time, so they are not on the record.
            Self::TerminateInstance { instance, .. } => Some(Resource::Instance(instance.clone())),
            Self::DeleteDatabase { environment, .. }
            | Self::DeleteReplaced { environment, .. }
            | Self::Retire { environment, .. }
            | Self::ClaimDatabase { record: None, environment } => {
                Some(Resource::Database(environment.database_id()))
            }
            Self::Unusable { database, .. }
            | Self::NoteLoading { database }
            | Self::StartDatabase { database }
            | Self::Orphan { what: Orphan::Database(database), .. } => {
                Some(Resource::Database(database.clone()))
            }
            _ => self.record().cloned().map(Resource::Record),
        }
    }

    /// Whether the step deletes the resource that has its trace.
    #[must_use]
    pub fn deletes_resource(&self) -> bool {
        matches!(
            self,
            Self::TerminateInstance { .. }
                | Self::DeleteDatabase { .. }
                | Self::DeleteReplaced { .. }
                | Self::DeleteRecord { .. }
        )
    }
}

impl Step {
    /// Returns the step's key, which is unique within a plan.
    #[must_use]
    pub fn key(&self) -> Key {
        let target = match self {
            // An environment can have several.
            Self::SendNotice(notice) => notice.name(),
            _ => self.target(),
        };
        Key(self.priority(), self.action(), target)
    }
}
