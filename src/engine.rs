//! The engine: observe → plan → act, and the requests of people. Every face of hatchery works through it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::cloud::DynCloud;
use crate::domain::{
    AuditEvent, CloudError, DatabaseId, EnvironmentId, FleetName, InstanceId, Label, Outcome, RecordId, World,
};
use crate::failure::Failure;

mod act;
mod audit;
pub mod exposure;
mod extend;
mod fresh_read;
mod launch;
mod launch_history;
mod observe;
pub mod plan;
pub mod run;
pub mod step;

/// Who an engine works for and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The fleet.
    pub fleet: FleetName,
    /// The name that goes into the audit log for what a person asks, such as `amy`.
    pub person: String,
    /// The name that goes into the audit log for background steps, such as `engine@laptop`.
    pub host: String,
    /// Seeds the waits before background steps. Every engine should have its own.
    pub seed: u64,
    /// This engine's version, compared with the policy's `min-version`.
    pub version: semver::Version,
}

/// What a person wants to launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// What people will call it.
    pub name: Label,
    /// Services under test and their image tags; see [`crate::domain::record::parse_service`].
    pub services: BTreeMap<String, String>,
    /// How long it lives; the policy's default where absent.
    pub ttl: Option<Duration>,
    /// Free text.
    pub note: Option<String>,
}

/// A launch that is confirmed: its record stands and its instance was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// The environment.
    pub environment: EnvironmentId,
    /// Its record.
    pub record: RecordId,
    /// The database that it claimed.
    pub database: DatabaseId,
    /// Its instance; `None` where EC2 has not given one yet and an engine goes on trying.
    pub instance: Option<InstanceId>,
    /// When its time is over.
    pub expires_at: DateTime<Utc>,
}

/// An extension that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    /// The environment.
    pub environment: EnvironmentId,
    /// When its time is over now.
    pub expires_at: DateTime<Utc>,
    /// Whether the policy's `max-lifetime` made it shorter than what was asked for.
    pub capped: bool,
}

/// How one step of a pass ended, or why it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// What, such as `create-database`.
    pub action: &'static str,
    /// To what.
    pub target: String,
    /// Why.
    pub reason: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What else there is to say.
    pub detail: String,
}

/// Something that the engine saw and would not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What, such as `create-database`.
    pub action: &'static str,
    /// To what.
    pub target: String,
    /// Why not.
    pub reason: String,
}

/// One pass of observe → plan → act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What was done.
    pub steps: Vec<StepReport>,
    /// What was not done, and why.
    pub refused: Vec<Refusal>,
    /// The listings that were not complete.
    pub incomplete: Vec<&'static str>,
}

/// What a running engine tells its screen.
#[derive(Debug, Clone)]
pub enum Event {
    /// A new observation. While the first one comes in page by page, its listings are not complete yet.
    World(Arc<World>),
    /// An observation could not be made at all; the last world stands and grows old.
    ObserveFailed(Failure),
    /// Something happened: a step of this engine, or of another one as the audit log has it. Oldest first.
    Activity(Vec<AuditEvent>),
    /// What the last plan would not do, and why.
    Refused(Vec<Refusal>),
    /// Whether the last events could be written to the audit log.
    AuditWriteFailed(Option<CloudError>),
    /// Steps under way; 0 when the engine rests.
    Working(usize),
}

/// How a running engine behaves.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Whether background steps are taken; otherwise it only looks.
    pub background: bool,
    /// The shortest time between two looks while nothing happens.
    pub refresh: Duration,
}

/// Controls a running engine. It stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Refresh,
    Focus(bool),
}

impl Handle {
    /// Looks again soon.
    pub fn refresh(&self) {
        // A full queue means that a look is due anyway.
        let _ = self.commands.try_send(Command::Refresh);
    }

    /// Says whether anybody is watching; without, it looks less often.
    pub fn focus(&self, watching: bool) {
        let _ = self.commands.try_send(Command::Focus(watching));
    }
}

/// The engine of one fleet. Clones share it.
#[derive(Clone)]
pub struct Engine {
    cloud: DynCloud,
    clock: Clock,
    config: Arc<Config>,
    random: Arc<Mutex<ChaCha8Rng>>,
    source_cache: Arc<Mutex<Option<observe::SourceCache>>>,
    history_cache: Arc<Mutex<Option<launch_history::HistoryCache>>>,
    /// Records that this engine's person asked something of, and when: their steps do not wait.
    own_requests: Arc<Mutex<HashMap<RecordId, Duration>>>,
    events: Option<mpsc::UnboundedSender<Event>>,
    /// Why what was done last is not in the audit log, where nobody listens to `events`.
    audit_failure: Arc<Mutex<Option<CloudError>>>,
}

impl Engine {
    /// An engine for a fleet. Nothing happens yet.
    #[must_use]
    pub fn new(cloud: DynCloud, clock: Clock, config: Config) -> Self {
        let random = ChaCha8Rng::seed_from_u64(config.seed);
        Self {
            cloud,
            clock,
            config: Arc::new(config),
            random: Arc::new(Mutex::new(random)),
            source_cache: Arc::default(),
            history_cache: Arc::default(),
            own_requests: Arc::default(),
            events: None,
            audit_failure: Arc::default(),
        }
    }

    /// The port that it works through.
    #[must_use]
    pub fn cloud(&self) -> &DynCloud {
        &self.cloud
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Why what this engine was asked to do last is not in the audit log. What it does by itself while it runs, it tells
    /// by [`Event::AuditWriteFailed`].
    #[must_use]
    pub fn audit_failure(&self) -> Option<CloudError> {
        self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at everything once, except the launches of the last weeks. Listings that fail are incomplete.
    ///
    /// # Errors
    /// Where the fleet itself cannot be read, or there is none of that name.
    pub async fn observe(&self) -> Result<World, Failure> {
        self.observe_with(|_| {}).await
    }

    /// Looks at everything once, also at the launches of the last weeks where the policy sizes the pool by them.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub async fn observe_pool(&self) -> Result<World, Failure> {
        let mut world = self.observe().await?;
        self.load_launch_history(&mut world).await;
        Ok(world)
    }

    fn emit(&self, event: Event) {
        if let Some(events) = &self.events {
            // Nobody listens any more: the loop ends with the handle.
            let _ = events.send(event);
        }
    }

    /// A random word by which a claim is known again.
    fn nonce(&self) -> String {
        format!("{:016x}", self.random.lock().unwrap_or_else(PoisonError::into_inner).next_u64())
    }

    /// A random number from 0 to 1.
    fn random(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    fn register_own_request(&self, record: &RecordId) {
        let mut mine = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        mine.insert(record.clone(), self.clock.elapsed());
    }
}
