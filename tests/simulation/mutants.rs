//! Engines and clouds that are broken on purpose: each does without one of the protections of the design, and the harness must
//! notice.

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
    Database, DatabaseId, ErrorClass, Instance, InstanceId, InstanceState, NewDatabase, NewRecord, Number,
    Record, RecordId,
};

use crate::cloud_layer::{Change, Hook};

/// What is broken, and which invariant must be seen to fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The cloud lets two records have one name, so that a claim excludes nobody.
    NoClaim,
    /// The cloud launches from records that are deleted.
    NoFence,
    /// The tag that binds a database to its environment is never written.
    NeverBound,
    /// A launch is confirmed although its record was never created.
    Invented,
    /// Reaping begins and ends in one sweep.
    OneSweep,
    /// An extension is confirmed without being read back.
    NoReadBack,
    /// The moment of waiting comes after the look instead of before it, and there is no last look before a change for good.
    NoLastLook,
    /// An expiry is judged by the laptop's clock.
    LaptopClock,
    /// A change for good is sent although the look that it stands on is hours old.
    LookHoldsForEver,
    /// What has the fleet's tags is the fleet's, whatever its name.
    ByTagAlone,
    /// A listing that broke off is taken for complete.
    HalfAListing,
    /// The record goes before the rest of its environment.
    RecordFirst,
    /// The pool counts only what is free, and takes another name when one is taken.
    OnlyFree,
    /// Steps are not logged.
    Unlogged,
    /// It looks every second.
    Hasty,
    /// It does not care what version the fleet wants.
    AnyVersion,
}

impl Mutant {
    /// Each mutant, the invariant that must be seen to fall, and a seed that was seen to show it: it is tried first.
    pub(crate) const ALL: [(Self, &'static str, u64); 16] = [
        (Self::NoClaim, "I1", 8),
        (Self::NoFence, "I1", 23),
        (Self::NeverBound, "I2", 2),
        (Self::Invented, "I3", 1),
        (Self::OneSweep, "I4", 2),
        (Self::NoReadBack, "I4", 7),
        (Self::NoLastLook, "I4", 26),
        (Self::LaptopClock, "I4", 2),
        (Self::LookHoldsForEver, "I4", 2),
        (Self::ByTagAlone, "I5", 1),
        (Self::HalfAListing, "I6", 1),
        (Self::RecordFirst, "I7", 4),
        (Self::OnlyFree, "I8", 1),
        (Self::Unlogged, "I9", 1),
        (Self::Hasty, "I10", 5),
        (Self::AnyVersion, "min-version", 1),
    ];

    /// Whether a violation is the one that must be seen.
    pub(crate) fn shows_in(self, violation: &str) -> bool {
        Self::ALL.iter().any(|(mutant, invariant, _)| {
            let rest = violation.strip_prefix(invariant);
            *mutant == self && rest.is_some_and(|rest| rest.starts_with([' ', ':']))
        })
    }

    /// The guarantee of the cloud's that this mutant is about, if it is not the engine's.
    pub(crate) fn broken_guarantee(self) -> Option<Guarantee> {
        match self {
            Self::NoClaim => Some(Guarantee::UniqueNames),
            Self::NoFence => Some(Guarantee::Fencing),
            _ => None,
        }
    }
}

/// How the ids of records begin that were never created.
const INVENTED: &str = "lt-invented-";

/// What a broken engine remembers.
#[derive(Default)]
struct Memory {
    /// The records of its last listing.
    listed: BTreeMap<RecordId, Record>,
    /// The expiries that it has written.
    written: BTreeMap<RecordId, DateTime<Utc>>,
}

/// The layer that breaks an engine.
pub(crate) struct Broken {
    pub(crate) mutant: Option<Mutant>,
    /// The engine's own clock, which may be wrong.
    pub(crate) clock: Clock,
    memory: Mutex<Memory>,
}

impl Broken {
    pub(crate) fn new(mutant: Option<Mutant>, clock: Clock) -> Self {
        Self { mutant, clock, memory: Mutex::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// A listing that is acted on only so much later.
    fn late<'a, T: Send + 'a>(&'a self, pages: Pages<'a, T>) -> Pages<'a, T> {
        let pause = futures::stream::once(self.clock.sleep(Duration::from_secs(40)));
        pages.chain(pause.filter_map(|()| std::future::ready(None))).boxed()
    }

    /// As though the first sweep had long been.
    fn swept(&self, mut record: Record) -> Record {
        let now = self.clock.now();
        if self.is(Mutant::OneSweep) && record.expires_at.is_some_and(|at| at < now) {
            record.reaping_since = Some(now - TimeDelta::days(1));
        }
        record
    }
}

/// Somebody's database that has the fleet's tags, as copies of tagged things have.
fn copied() -> Database {
    Database {
        id: DatabaseId::new("integration-copy"),
        number: Number(1),
        status: "available".to_owned(),
        endpoint: Some("integration-copy:5432".to_owned()),
        requested_at: None,
        created_at: None,
        zone: None,
        snapshot: None,
        snapshot_at: None,
        environment: None,
        orphan_since: None,
    }
}

/// Leaves out the error that a listing ends with.
fn unbroken<'a, T: Send + 'a>(pages: Pages<'a, T>) -> Pages<'a, T> {
    pages.filter(|page| std::future::ready(page.is_ok())).boxed()
}

fn each<'a, T: Send + 'a>(
    pages: Pages<'a, T>,
    change: impl Fn(Vec<T>) -> Vec<T> + Send + Sync + 'a,
) -> Pages<'a, T> {
    pages
        .map(move |page| {
            page.map(|page| hatchery::cloud::Page { value: change(page.value), as_of: page.as_of })
        })
        .boxed()
}

#[async_trait]
impl Hook for Broken {
    fn clock(&self, truth: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        if self.is(Mutant::LaptopClock) { Some(self.clock.now()) } else { truth }
    }

    fn templates<'a>(&'a self, pages: Pages<'a, Template>) -> Pages<'a, Template> {
        let pages = if self.is(Mutant::HalfAListing) { unbroken(pages) } else { pages };
        let pages = if self.is(Mutant::NoLastLook) { self.late(pages) } else { pages };
        each(pages, |mut templates| {
            for template in &mut templates {
                if let Template::Record(record) = template {
                    **record = self.swept((**record).clone());
                    self.memory.lock().unwrap().listed.insert(record.id.clone(), (**record).clone());
                }
            }
            if self.is(Mutant::OnlyFree) {
                templates.retain(|template| matches!(template, Template::Fleet(_)));
            }
            templates
        })
    }

    fn instances<'a>(&'a self, pages: Pages<'a, Instance>) -> Pages<'a, Instance> {
        let pages = if self.is(Mutant::HalfAListing) { unbroken(pages) } else { pages };
        each(pages, |seen| self.instances_of(seen))
    }

    fn databases<'a>(&'a self, pages: Pages<'a, Database>) -> Pages<'a, Database> {
        let pages = if self.is(Mutant::HalfAListing) { unbroken(pages) } else { pages };
        let first = std::sync::atomic::AtomicBool::new(true);
        each(pages, move |mut databases| {
            let free = |database: &Database| database.status == "available" && database.environment.is_none();
            match self.mutant {
                Some(Mutant::OnlyFree) => databases.retain(free),
                Some(Mutant::RecordFirst) => databases.clear(),
                Some(Mutant::ByTagAlone) if first.swap(false, std::sync::atomic::Ordering::Relaxed) => {
                    databases.push(copied());
                }
                _ => {}
            }
            databases
        })
    }

    fn record(&self, id: &RecordId, seen: Option<Record>) -> Option<Record> {
        let memory = self.memory.lock().unwrap();
        match self.mutant {
            Some(Mutant::NoReadBack) => match memory.written.get(id) {
                Some(at) => {
                    let record = seen.or_else(|| memory.listed.get(id).cloned())?;
                    Some(Record { expires_at: Some(*at), reaping_since: None, terminate: None, ..record })
                }
                None => seen,
            },
            _ => seen.map(|record| self.swept(record)),
        }
    }

    fn instead_of_looking(&self, id: &RecordId) -> Option<(Record, DateTime<Utc>)> {
        let listed = self.memory.lock().unwrap().listed.get(id).cloned();
        listed.filter(|_| self.is(Mutant::NoLastLook)).map(|record| (record, self.clock.now()))
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
            Some(Mutant::ByTagAlone) if number == Number(1) => Some(copied()),
            _ => seen,
        }
    }

    async fn instead(&self, inner: &DynCloud, change: &Change<'_>) -> Option<Result<()>> {
        match (self.mutant?, change) {
            (Mutant::Unlogged, Change::Audit) => {
                // It comes to nothing, and it is not even tried.
                Some(Ok(()))
            }
            (Mutant::NeverBound, Change::TagDatabase) => Some(Ok(())),
            (Mutant::NoReadBack, Change::TagRecord(id, changes)) => {
                let at = changes.set.get(key::EXPIRES_AT)?.parse().ok()?;
                self.memory.lock().unwrap().written.insert((*id).clone(), at);
                None
            }
            (Mutant::LookHoldsForEver, Change::Terminate(id)) => {
                let (inner, id, clock) = (inner.clone(), (*id).clone(), self.clock.clone());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_mins(8)).await;
                    let _ = inner.terminate_instance(&id).await;
                });
                Some(Ok(()))
            }
            (Mutant::OnlyFree, Change::CreateDatabase(new)) => Some(another_name(inner, new).await),
            _ => None,
        }
    }

    fn invented(&self, new: &NewRecord) -> Option<RecordId> {
        self.is(Mutant::Invented).then(|| RecordId::new(format!("{INVENTED}{}", new.claim)))
    }

    fn invented_instance(&self, record: &RecordId) -> Option<InstanceId> {
        record.as_str().strip_prefix(INVENTED).map(|claim| InstanceId::new(format!("i-{claim}")))
    }
}

async fn another_name(inner: &DynCloud, new: &NewDatabase) -> Result<()> {
    let mut new = new.clone();
    loop {
        match inner.create_database(&new).await {
            Err(error) if error.is(ErrorClass::AlreadyExists) => new.number = new.number.next(),
            result => return result,
        }
    }
}
