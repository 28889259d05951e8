//! The engine: observe, plan, act, and the requests of users. Every front end works through it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::cloud::DynCloud;
use crate::domain::history::Reading;
use crate::domain::text::Untrusted;
use crate::domain::{
    AuditEvent, CloudError, DatabaseId, Deployment, EnvironmentId, FleetName, InstanceId, Label, RecordId,
    World,
};
use crate::failure::Failure;

mod act;
mod audit;
mod bake;
mod cache;
pub mod exposure;
mod extend;
mod fresh_read;
mod hold;
pub mod jitter;
mod launch;
mod launch_history;
mod logs;
mod look_again;
mod observe;
pub mod plan;
mod recent_databases;
mod recycle;
mod redeploy;
mod repeated_requests;
mod report;
mod reset;
mod retry;
pub mod run;
pub mod step;
mod switch;
mod terminate;
mod undo;

pub(crate) use fresh_read::READ_LAG;
pub(crate) use launch::VISIBLE_WITHIN;
pub(crate) use look_again::{Notify, look_again};
pub use recycle::Recycled;
pub use redeploy::{RedeployRequest, format_changes};
pub use report::{NextStep, Refusal, Report, StepReport};
pub use reset::ResetStarted;

use cache::{HistoryCache, SourceCache};
use recent_databases::{LISTING_LAG, REFUSED_FOR, RecentDatabases};

/// The identity of an engine and the fleet that it manages.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    pub fleet: FleetName,
    /// The name in the audit log for requests of the user, such as `amy`.
    pub user: String,
    /// The id of the Lambda request that the user's request came in, for the audit log and the claims.
    pub request: Option<String>,
    /// The name in the audit log for background steps, such as `engine@laptop`.
    pub host: String,
    /// Seeds the delays before background steps. Engines must have different seeds, or they act at the same moment.
    pub seed: u64,
    /// The version that is compared with the policy's `min-version`.
    pub version: semver::Version,
}

/// A user's request for a new environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    pub name: Label,
    /// Services under test and their image tags; see [`crate::domain::record::parse_service`].
    pub services: BTreeMap<String, String>,
    /// The time until its expiry; the policy's `ttl` if `None`.
    pub ttl: Option<Duration>,
    /// Free text of the owner.
    pub note: Option<String>,
}

/// A confirmed launch: the record exists and the instance was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    pub environment: EnvironmentId,
    pub record: RecordId,
    pub database: DatabaseId,
    /// The instance; `None` if EC2 has not created it yet. Any engine then continues the launch.
    pub instance: Option<InstanceId>,
    pub expires_at: DateTime<Utc>,
}

/// A confirmed extension, pin or hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    pub environment: EnvironmentId,
    /// Its expiry, or the end of the hold.
    pub expires_at: DateTime<Utc>,
    /// Whether the policy's `max-lifetime` made it shorter than requested.
    pub capped: bool,
    /// What takes it back; `None` if it cannot be.
    pub undo: Option<ExtensionUndo>,
}

/// What takes back an extension of an environment that was neither in grace nor broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionUndo {
    pub environment: EnvironmentId,
    pub record: RecordId,
    /// The rest of the key of the extension's tag.
    pub nonce: String,
    /// The expiry of the extension.
    pub expires_at: DateTime<Utc>,
    /// The expiry before it.
    pub earlier: DateTime<Utc>,
}

/// A confirmed request to deploy anew, which the instance takes within seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeployed {
    pub environment: EnvironmentId,
    pub record: RecordId,
    /// The request that counts: this one, or that of another user at the same time.
    pub deployment: Deployment,
    /// All services under test after the change.
    pub services: BTreeMap<Untrusted, Untrusted>,
    /// The change, such as `payments f-1 → f-2`.
    pub changes: String,
}

/// A recorded request to terminate an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminating {
    pub environment: EnvironmentId,
    /// Why no engine acts on the request yet, such as a paused fleet.
    pub delayed_by: Option<String>,
}

/// A message from a running engine to its front end.
#[derive(Debug, Clone)]
pub enum Event {
    /// A new observation. The first one is sent page by page, with incomplete listings.
    World(Arc<World>),
    /// The fleet could not be observed; the last world remains the latest.
    ObserveFailed(Failure),
    /// New audit events of this engine or of others, oldest first.
    Activity(Vec<AuditEvent>),
    /// The period of the audit log whose events have now all been sent, or why it could not be read.
    AuditRead(Result<Reading, CloudError>),
    /// The refusals of the last plan.
    Refused(Vec<Refusal>),
    /// The steps of the last plan, before any is taken.
    Planned(Vec<NextStep>),
    /// The result of a pass with background steps, whose refusals were sent before its steps were taken.
    Passed(Box<Report>),
    /// The result of the last write to the audit log: `None` if it succeeded.
    AuditWriteFailed(Option<CloudError>),
    /// The number of steps in progress.
    Working(usize),
}

/// Settings of a running engine.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Whether the engine takes background steps; if not, it only observes.
    pub background: bool,
    /// The time between two observations while nothing changes.
    pub refresh: Duration,
}

/// Controls a running engine. Dropping it stops the engine.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Refresh,
    Focus(bool),
    Background(bool),
}

impl Handle {
    /// Requests an observation as soon as possible.
    pub fn refresh(&self) {
        // A full queue means that an observation is due anyway.
        let _ = self.commands.try_send(Command::Refresh);
    }

    /// Tells whether a user sees the screen. Without one, the engine observes less often.
    pub fn focus(&self, watched: bool) {
        let _ = self.commands.try_send(Command::Focus(watched));
    }

    /// Takes background steps from now on, or leaves them to other engines.
    pub fn set_background(&self, background: bool) {
        let _ = self.commands.try_send(Command::Background(background));
    }
}

/// The engine of one fleet. Clones share it.
#[derive(Clone)]
pub struct Engine {
    cloud: DynCloud,
    clock: Clock,
    config: Arc<EngineConfig>,
    random: Arc<Mutex<ChaCha8Rng>>,
    /// What this engine has restored; listings may not show it yet.
    recent_restores: Arc<RecentDatabases>,
    /// The databases that AWS has refused to bind.
    refused_databases: Arc<RecentDatabases>,
    source_cache: Arc<Mutex<Option<SourceCache>>>,
    history_cache: Arc<Mutex<Option<HistoryCache>>>,
    /// The records that this engine's user asked to change, with the time of the request. Their steps are not delayed.
    own_requests: Arc<Mutex<HashMap<RecordId, Duration>>>,
    events: Option<mpsc::UnboundedSender<Event>>,
    /// Tells the user of a command why it takes longer.
    notify: Option<Notify>,
    /// The error of the last write to the audit log, kept if there is no receiver of `events`.
    audit_failure: Arc<Mutex<Option<CloudError>>>,
}

impl Engine {
    /// Creates an engine without starting it.
    #[must_use]
    pub fn new(cloud: DynCloud, clock: Clock, config: EngineConfig) -> Self {
        let random = ChaCha8Rng::seed_from_u64(config.seed);
        Self {
            cloud,
            clock,
            config: Arc::new(config),
            random: Arc::new(Mutex::new(random)),
            recent_restores: Arc::new(RecentDatabases::new(LISTING_LAG)),
            refused_databases: Arc::new(RecentDatabases::new(REFUSED_FOR)),
            source_cache: Arc::default(),
            history_cache: Arc::default(),
            own_requests: Arc::default(),
            events: None,
            notify: None,
            audit_failure: Arc::default(),
        }
    }

    /// Returns this engine with a way to tell the user why a request takes longer.
    #[must_use]
    pub(crate) fn with_notify(self, notify: Notify) -> Self {
        Self { notify: Some(notify), ..self }
    }

    /// As the function [`look_again()`], with a message to the user of this engine.
    pub(crate) async fn look_again<T, F>(&self, look: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        look_again(&self.clock, self.notify.as_ref(), look).await
    }

    /// Returns the port to the cloud.
    #[must_use]
    pub fn cloud(&self) -> &DynCloud {
        &self.cloud
    }

    /// Returns the engine's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the engine's configuration.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Returns why the last request could not be written to the audit log. A running engine reports this by
    /// [`Event::AuditWriteFailed`] instead.
    #[must_use]
    pub fn audit_failure(&self) -> Option<CloudError> {
        self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Observes the fleet once, without the launch history. Listings that fail are incomplete.
    ///
    /// # Errors
    /// Returns an error if the fleet cannot be read or, after several reads, does not exist.
    pub async fn observe(&self) -> Result<World, Failure> {
        self.observe_with(|_| {}).await
    }

    /// Observes the fleet once, with the launch history if the policy needs it.
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
            // The receiver is gone only when the front end stops; the loop then ends with the handle.
            let _ = events.send(event);
        }
    }

    /// Returns a nonce, by which an engine recognises its own claim: the id of the Lambda request, which is the same when Lambda repeats a
    /// request, else a random one.
    fn nonce(&self) -> String {
        if let Some(request) = &self.config.request {
            return request.clone();
        }
        format!("{:016x}", self.random.lock().unwrap_or_else(PoisonError::into_inner).next_u64())
    }

    /// Returns a uniform random number from 0 to 1.
    fn random(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    fn register_own_request(&self, record: &RecordId) {
        let mut own_requests = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        own_requests.insert(record.clone(), self.clock.elapsed());
    }
}
