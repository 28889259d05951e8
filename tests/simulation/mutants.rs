//! Mutants: engines and clouds that lack one protection of the design each. The invariants must catch every one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use hatchery::clock::Clock;
use hatchery::cloud::sim::Guarantee;
use hatchery::cloud::{DynCloud, Pages, Result, Template};
use hatchery::domain::tags::key;
use hatchery::domain::{
    CloudError, Database, DatabaseId, Deployment, ErrorClass, Hold, Hydration, Instance, InstanceId,
    InstanceState, NewDatabase, NewRecord, Number, Record, RecordId, Snapshot, SnapshotId, TagChanges,
};

use crate::cloud_layer::{Call, Change, Failure, Hook, LAUNCH};

/// A removed protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The cloud allows two records of one name, so that two engines can claim the same database.
    DuplicateNames,
    /// The cloud launches from deleted records.
    NoFencing,
    /// The tag that binds a database to its environment is never written.
    NoEnvironmentTag,
    /// Launches are confirmed without a record.
    UncreatedRecord,
    /// Reaping takes one sweep.
    OneSweep,
    /// Extensions are confirmed without a read-back.
    NoReadBack,
    /// The random delay comes after the observation, and irreversible changes go without a fresh read.
    NoReread,
    /// Expiries are compared with the local clock.
    LocalClock,
    /// Terminations are sent eight minutes after their read.
    LateTermination,
    /// Resources belong to the fleet by their tags alone, whatever their names.
    MatchByTagsAlone,
    /// A listing that ended with an error counts as complete.
    PartialListing,
    /// The record is deleted before the instance and the database.
    RecordFirst,
    /// The pool counts free databases only, and takes the next number if one is taken.
    CountFreeOnly,
    /// Steps are not written to the audit log.
    NoAuditLog,
    /// The engine observes every second.
    RefreshEverySecond,
    /// The engine ignores `min-version`.
    IgnoreMinVersion,
    /// The tag of a claim is also written on the next database.
    TwoDatabases,
    /// Claimed databases with an even number look failed.
    HastyGiveUp,
    /// Launches and engines ignore `max-databases`.
    IgnoreCeiling,
    /// Requests of users are not written to the audit log.
    NoRequestLog,
    /// A restore that AWS refuses is tried again at once, and again.
    RetryForever,
    /// `RunInstances` is never sent.
    NeverLaunch,
    /// No record is found by its id, so that each step that needs one is skipped without a word.
    BlindReads,
    /// Restores are reported as done and never sent.
    LostRestores,
    /// The database that a reset replaces returns to the pool.
    FreedAfterReset,
    /// The database that a reset replaces is deleted at once.
    HastyReset,
    /// A reset makes an environment use a database that it has not claimed.
    UnclaimedReset,
    /// The environment goes back to the database that a reset has replaced.
    UndoneReset,
    /// Requests to deploy are not copied to the instance.
    NoDeploymentMirror,
    /// Requests to deploy are confirmed without being written.
    UnwrittenDeployment,
    /// A request to deploy also moves the expiry.
    DeploymentExtends,
    /// Engines ignore holds.
    IgnoreHolds,
    /// Engines take holds for a year longer than they are.
    EndlessHolds,
}

impl Mutant {
    /// Each mutant, the invariant that catches it, and a seed known to show it, which is tried first.
    pub(crate) const ALL: [(Self, &'static str, u64); 33] = [
        (Self::DuplicateNames, "I1", 8),
        (Self::NoFencing, "I1", 23),
        (Self::NoEnvironmentTag, "I2", 2),
        (Self::UncreatedRecord, "I3", 1),
        (Self::OneSweep, "I4", 2),
        (Self::NoReadBack, "I4", 7),
        (Self::NoReread, "I4", 60),
        (Self::LocalClock, "I4", 2),
        (Self::LateTermination, "I4", 2),
        (Self::MatchByTagsAlone, "I5", 1),
        (Self::PartialListing, "I6", 1),
        (Self::RecordFirst, "I7", 4),
        (Self::CountFreeOnly, "I8", 1),
        (Self::NoAuditLog, "I9", 1),
        (Self::RefreshEverySecond, "I10", 5),
        (Self::IgnoreMinVersion, "min-version", 1),
        (Self::TwoDatabases, "I1", 1),
        (Self::HastyGiveUp, "I4", 1),
        (Self::IgnoreCeiling, "I8", 1),
        (Self::NoRequestLog, "I9", 1),
        (Self::RetryForever, "I10", 1),
        (Self::NeverLaunch, "I11", 1),
        (Self::BlindReads, "I11", 1),
        (Self::LostRestores, "I11", 1),
        (Self::FreedAfterReset, "I2", 1),
        (Self::HastyReset, "I4", 1),
        (Self::UnclaimedReset, "I1", 1),
        (Self::UndoneReset, "I2", 1),
        (Self::NoDeploymentMirror, "I11", 3),
        (Self::UnwrittenDeployment, "I11", 3),
        (Self::DeploymentExtends, "I4", 3),
        (Self::IgnoreHolds, "I4", 1),
        (Self::EndlessHolds, "I11", 6),
    ];

    /// Whether a violation is of this mutant's invariant.
    pub(crate) fn is_caught_by(self, violation: &str) -> bool {
        Self::ALL.iter().any(|(mutant, invariant, _)| {
            let rest = violation.strip_prefix(invariant);
            *mutant == self && rest.is_some_and(|rest| rest.starts_with([' ', ':']))
        })
    }

    /// Whether only the swarm has the checks or the account that show the mutant.
    pub(crate) fn needs_swarm(self) -> bool {
        matches!(
            self,
            Self::IgnoreCeiling
                | Self::NeverLaunch
                | Self::BlindReads
                | Self::LostRestores
                | Self::IgnoreHolds
                | Self::EndlessHolds
        )
    }

    /// Whether only users who deploy anew show the mutant.
    pub(crate) fn is_of_deployments(self) -> bool {
        matches!(self, Self::NoDeploymentMirror | Self::UnwrittenDeployment | Self::DeploymentExtends)
    }

    /// The guarantee of the cloud that the mutant removes; `None` for mutants of the engine.
    pub(crate) fn broken_guarantee(self) -> Option<Guarantee> {
        match self {
            Self::DuplicateNames => Some(Guarantee::UniqueNames),
            Self::NoFencing => Some(Guarantee::Fencing),
            _ => None,
        }
    }
}

/// Prefix of the ids of records that were never created.
const FAKE_ID: &str = "lt-fake-";

/// The state of a mutant.
#[derive(Default)]
struct Memory {
    /// The records of its last listing.
    listed: BTreeMap<RecordId, Record>,
    /// The expiries that it wrote.
    written: BTreeMap<RecordId, DateTime<Utc>>,
    /// The requests to deploy that it did not write.
    unwritten: BTreeMap<RecordId, TagChanges>,
}

/// The layer that breaks an engine.
pub(crate) struct MutantLayer {
    pub(crate) mutant: Option<Mutant>,
    /// The engine's local clock, which may be wrong.
    pub(crate) clock: Clock,
    is_user: bool,
    memory: Mutex<Memory>,
}

impl MutantLayer {
    pub(crate) fn new(mutant: Option<Mutant>, clock: Clock, who: &str) -> Self {
        Self { mutant, clock, is_user: who.contains("user-"), memory: Mutex::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Delays the end of a listing, so that the engine acts on stale data.
    fn delayed<'a, T: Send + 'a>(&'a self, pages: Pages<'a, T>) -> Pages<'a, T> {
        let pause = futures::stream::once(self.clock.sleep(Duration::from_secs(40)));
        pages.chain(pause.filter_map(|()| std::future::ready(None))).boxed()
    }

    /// Switches the record of an environment to another database, without one of the protections.
    async fn reset(
        &self,
        inner: &DynCloud,
        record: &RecordId,
        changes: &TagChanges,
        old: &DatabaseId,
        new: &str,
    ) -> Option<Result<()>> {
        match self.mutant? {
            Mutant::FreedAfterReset => {
                let free = TagChanges::new().remove(key::ENVIRONMENT).remove(key::RECORD);
                let _ = inner.tag_database(old, &free).await;
            }
            Mutant::HastyReset => drop(inner.delete_database(old).await),
            Mutant::UnclaimedReset => {
                let (name, number) = new.rsplit_once('-')?;
                let other = format!("{name}-{}", number.parse::<u32>().ok()? + 1);
                return Some(inner.tag_record(record, &changes.clone().set(key::DATABASE, other)).await);
            }
            _ => {
                let (inner, record, clock) = (inner.clone(), record.clone(), self.clock.clone());
                let back = TagChanges::new().set(key::DATABASE, old.as_str());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_mins(10)).await;
                    let _ = inner.tag_record(&record, &back).await;
                });
            }
        }
        None
    }

    /// Changes a record as the mutant sees it. For `OneSweep`, the first sweep of an expired one was a day ago.
    fn seen(&self, mut record: Record) -> Record {
        let now = self.clock.now();
        match self.mutant {
            Some(Mutant::IgnoreHolds) if !self.is_user => record.hold = None,
            Some(Mutant::EndlessHolds) if !self.is_user => {
                record.hold =
                    record.hold.map(|hold| Hold { until: hold.until + TimeDelta::days(365), ..hold });
            }
            _ => {}
        }
        if self.is(Mutant::OneSweep) && record.expires_at.is_some_and(|at| at < now) {
            record.reaping_since = Some(now - TimeDelta::days(1));
        }
        record
    }
}

/// A database of another owner that carries the fleet's tags, as copies of tagged resources do.
fn foreign_database() -> Database {
    Database {
        id: DatabaseId::new("integration-copy"),
        number: Number(1),
        status: "available".into(),
        endpoint: Some("integration-copy:5432".into()),
        requested_at: None,
        created_at: None,
        zone: None,
        snapshot: None,
        snapshot_at: None,
        settings: None,
        environment: None,
        record: None,
        orphan_since: None,
        unusable_since: None,
        hydration: Hydration::Unknown,
        loading_seen: false,
        failed_step: None,
    }
}

fn look_failed(database: &mut Database) {
    if database.environment.is_some() && database.number.0.is_multiple_of(2) {
        database.status = "failed".into();
    }
}

/// Drops the error that ends a listing.
fn without_errors<'a, T: Send + 'a>(pages: Pages<'a, T>) -> Pages<'a, T> {
    pages.filter(|page| std::future::ready(page.is_ok())).boxed()
}

fn map_pages<'a, T: Send + 'a>(
    pages: Pages<'a, T>,
    change: impl Fn(Vec<T>) -> Vec<T> + Send + Sync + 'a,
) -> Pages<'a, T> {
    pages.map(move |page| page.map(|page| page.map(&change))).boxed()
}

#[async_trait]
impl Hook for MutantLayer {
    fn failure(&self, call: &Call) -> Option<Failure> {
        let is_lost = self.is(Mutant::NeverLaunch) && call.operation == LAUNCH;
        let error = || CloudError::new(ErrorClass::Transient, "RunInstances", "Unavailable", "not sent");
        is_lost.then(|| Failure::NotApplied(error()))
    }

    fn clock(&self, truth: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        if self.is(Mutant::LocalClock) { Some(self.clock.now()) } else { truth }
    }

    fn templates<'a>(&'a self, pages: Pages<'a, Template>) -> Pages<'a, Template> {
        let pages = if self.is(Mutant::PartialListing) { without_errors(pages) } else { pages };
        let pages = if self.is(Mutant::NoReread) { self.delayed(pages) } else { pages };
        map_pages(pages, |mut templates| {
            for template in &mut templates {
                if let Template::Fleet(fleet) = template
                    && self.is(Mutant::IgnoreCeiling)
                {
                    fleet.policy.max_databases = 1_000;
                }
                if let Template::Record(record) = template {
                    **record = self.seen((**record).clone());
                    self.memory.lock().unwrap().listed.insert(record.id.clone(), (**record).clone());
                }
            }
            if self.is(Mutant::CountFreeOnly) {
                templates.retain(|template| matches!(template, Template::Fleet(_)));
            }
            templates
        })
    }

    fn instances<'a>(&'a self, pages: Pages<'a, Instance>) -> Pages<'a, Instance> {
        let pages = if self.is(Mutant::PartialListing) { without_errors(pages) } else { pages };
        map_pages(pages, |seen| self.instances_of(seen))
    }

    fn databases<'a>(&'a self, pages: Pages<'a, Database>) -> Pages<'a, Database> {
        let pages = if self.is(Mutant::PartialListing) { without_errors(pages) } else { pages };
        let first = std::sync::atomic::AtomicBool::new(true);
        map_pages(pages, move |mut databases| {
            let free = |database: &Database| database.status == "available" && database.environment.is_none();
            match self.mutant {
                Some(Mutant::CountFreeOnly) => databases.retain(free),
                Some(Mutant::HastyGiveUp) => databases.iter_mut().for_each(look_failed),
                Some(Mutant::RecordFirst) => databases.clear(),
                Some(Mutant::MatchByTagsAlone) if first.swap(false, std::sync::atomic::Ordering::Relaxed) => {
                    databases.push(foreign_database());
                }
                _ => {}
            }
            databases
        })
    }

    fn record(&self, id: &RecordId, seen: Option<Record>) -> Option<Record> {
        let memory = self.memory.lock().unwrap();
        match self.mutant {
            Some(Mutant::BlindReads) => None,
            Some(Mutant::NoReadBack) => match memory.written.get(id) {
                Some(at) => {
                    let record = seen.or_else(|| memory.listed.get(id).cloned())?;
                    Some(Record { expires_at: Some(*at), reaping_since: None, terminate: None, ..record })
                }
                None => seen,
            },
            Some(Mutant::UnwrittenDeployment) => {
                let deployment = memory.unwritten.get(id).map(|changes| &changes.set[key::DEPLOYMENT]);
                let deployment = deployment.and_then(|value| Deployment::parse(value));
                seen.map(|record| Record { deployment: deployment.or(record.deployment.clone()), ..record })
            }
            _ => seen.map(|record| self.seen(record)),
        }
    }

    fn cached_record(&self, id: &RecordId) -> Option<(Record, DateTime<Utc>)> {
        let listed = self.memory.lock().unwrap().listed.get(id).cloned();
        listed.filter(|_| self.is(Mutant::NoReread)).map(|record| (record, self.clock.now()))
    }

    fn instances_of(&self, mut seen: Vec<Instance>) -> Vec<Instance> {
        match self.mutant {
            Some(Mutant::RecordFirst) => seen.clear(),
            Some(Mutant::NoReadBack) if !self.memory.lock().unwrap().written.is_empty() => {
                for instance in &mut seen {
                    instance.state = InstanceState::Running;
                }
            }
            _ => {}
        }
        seen
    }

    fn database(&self, number: Number, seen: Option<Database>) -> Option<Database> {
        match self.mutant {
            Some(Mutant::RecordFirst) => None,
            Some(Mutant::MatchByTagsAlone) if number == Number(1) => Some(foreign_database()),
            Some(Mutant::HastyGiveUp) => seen.map(|mut database| {
                look_failed(&mut database);
                database
            }),
            _ => seen,
        }
    }

    async fn replace(&self, inner: &DynCloud, change: &Change<'_>) -> Option<Result<()>> {
        match (self.mutant?, change) {
            (Mutant::NoAuditLog, Change::Audit)
            | (Mutant::NoEnvironmentTag, Change::TagDatabase(..))
            | (Mutant::LostRestores, Change::CreateDatabase(_)) => Some(Ok(())),
            (Mutant::NoRequestLog, Change::Audit) if self.is_user => Some(Ok(())),
            (Mutant::TwoDatabases, Change::TagDatabase(id, changes)) => {
                let (name, number) = id.as_str().rsplit_once('-')?;
                let next = DatabaseId::new(format!("{name}-{}", number.parse::<u32>().ok()? + 1));
                let _ = inner.tag_database(&next, changes).await;
                None
            }
            (Mutant::RetryForever, Change::CreateDatabase(new)) => {
                // The snapshot was deleted since the observation.
                let gone = Snapshot { id: SnapshotId::new("gone"), ..new.snapshot.clone() };
                let gone = NewDatabase { snapshot: gone, ..(*new).clone() };
                for _ in 0..100 {
                    let _ = inner.create_database(&gone).await;
                }
                None
            }
            (Mutant::NoReadBack, Change::TagRecord(id, changes)) => {
                let at = changes.set.get(key::EXPIRES_AT)?.parse().ok()?;
                self.memory.lock().unwrap().written.insert((*id).clone(), at);
                None
            }
            (
                Mutant::FreedAfterReset | Mutant::HastyReset | Mutant::UnclaimedReset | Mutant::UndoneReset,
                Change::TagRecord(id, changes),
            ) => {
                let new = changes.set.get(key::DATABASE)?.clone();
                let old = self.memory.lock().unwrap().listed.get(*id)?.environment.database_id();
                self.reset(inner, id, changes, &old, &new).await
            }
            (Mutant::NoDeploymentMirror, Change::TagInstance(changes)) => {
                changes.set.contains_key(key::DEPLOYMENT).then_some(Ok(()))
            }
            (Mutant::UnwrittenDeployment, Change::TagRecord(id, changes)) => {
                changes.set.get(key::DEPLOYMENT)?;
                self.memory.lock().unwrap().unwritten.insert((*id).clone(), (*changes).clone());
                Some(Ok(()))
            }
            (Mutant::DeploymentExtends, Change::TagRecord(id, changes)) => {
                changes.set.get(key::DEPLOYMENT)?;
                let later = TagChanges::expire_at(self.clock.now() + TimeDelta::hours(12));
                let both = TagChanges {
                    set: later.set.into_iter().chain(changes.set.clone()).collect(),
                    ..(*changes).clone()
                };
                Some(inner.tag_record(id, &both).await)
            }
            (Mutant::LateTermination, Change::Terminate(id)) => {
                let (inner, id, clock) = (inner.clone(), (*id).clone(), self.clock.clone());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_mins(8)).await;
                    let _ = inner.terminate_instance(&id).await;
                });
                Some(Ok(()))
            }
            (Mutant::CountFreeOnly, Change::CreateDatabase(new)) => {
                Some(create_with_next_number(inner, new).await)
            }
            _ => None,
        }
    }

    fn fake_record(&self, new: &NewRecord) -> Option<RecordId> {
        self.is(Mutant::UncreatedRecord).then(|| RecordId::new(format!("{FAKE_ID}{}", new.claim)))
    }

    fn fake_instance(&self, record: &RecordId) -> Option<InstanceId> {
        record.as_str().strip_prefix(FAKE_ID).map(|claim| InstanceId::new(format!("i-{claim}")))
    }
}

async fn create_with_next_number(inner: &DynCloud, new: &NewDatabase) -> Result<()> {
    let mut new = new.clone();
    loop {
        match inner.create_database(&new).await {
            Err(error) if error.is(ErrorClass::AlreadyExists) => new.number = new.number.next(),
            result => return result,
        }
    }
}
