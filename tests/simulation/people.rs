//! Users of the swarm: they launch, extend and terminate their own environments, act on those of others from stale lists and by label, and two
//! of them act on one environment at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::SimCloud;
use hatchery::domain::environment::{self, Lookup};
use hatchery::domain::{EnvironmentId, World};
use hatchery::engine::{Engine, ExtensionUndo};
use hatchery::failure::Kind;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::engine_invariants::ResetHandle;
use crate::invariants::SharedChecker;
use crate::setup::request;
use crate::users::{self, time_limit};

#[allow(clippy::struct_excessive_bools)] // hazards of the swarm, each on or off
pub(crate) struct Person {
    pub(crate) engine: Engine,
    pub(crate) reset_handle: ResetHandle,
    /// A second process, of the same or another person.
    pub(crate) partner: Engine,
    pub(crate) partner_reset: ResetHandle,
    pub(crate) random: ChaCha8Rng,
    /// Draws the resets, apart from the other draws.
    pub(crate) resets: ChaCha8Rng,
    pub(crate) clock: Clock,
    pub(crate) sim: SimCloud,
    pub(crate) checker: SharedChecker,
    pub(crate) launched: Arc<Mutex<u64>>,
    /// The mean time between two actions.
    pub(crate) pace: Duration,
    pub(crate) crashes: bool,
    /// Whether they act on environments of others.
    pub(crate) foreign: bool,
    /// Whether they hold environments and databases.
    pub(crate) holds: bool,
    /// Whether they undo extensions.
    pub(crate) undoes: bool,
    /// Draws what they undo, apart from the other draws.
    pub(crate) undone: ChaCha8Rng,
    /// What they have extended in the current actions.
    pub(crate) extensions: Mutex<Vec<ExtensionUndo>>,
    /// Whether two act on one environment at once.
    pub(crate) two_on_one: bool,
    /// Their own environments.
    pub(crate) environments: Vec<EnvironmentId>,
    /// A list that they have seen some time ago.
    pub(crate) list: Option<World>,
}

impl Person {
    pub(crate) async fn run(mut self) {
        loop {
            self.clock.sleep(self.pace.mul_f64(self.random.random_range(0.05..2.0))).await;
            let limit = time_limit(&mut self.random, self.crashes);
            let actions = async {
                self.act().await;
                Box::pin(self.reset()).await;
                Box::pin(self.undo()).await;
            };
            let done = tokio::time::timeout(limit, actions).await;
            if done.is_ok() {
                self.reset_handle.finish();
                self.partner_reset.finish();
            }
            self.reset_handle.reset();
            self.partner_reset.reset();
        }
    }

    async fn act(&mut self) {
        if self.holds && self.random.random_bool(0.15) {
            return self.hold().await;
        }
        match self.random.random_range(0..12) {
            0..=4 => self.launch().await,
            5..=7 => {
                let Some(id) = self.target() else { return };
                let by = self.duration();
                if self.two_on_one && self.random.random_bool(0.5) {
                    let other = self.duration();
                    futures::join!(
                        self.extend(&self.engine, &id, by),
                        self.extend(&self.partner, &id, other)
                    );
                } else {
                    self.extend(&self.engine, &id, by).await;
                }
            }
            8 => self.list = self.engine.observe().await.ok(),
            9 if self.two_on_one => {
                let Some(id) = self.target() else { return };
                let by = self.duration();
                let terminate = async { drop(self.partner.terminate(&id).await) };
                futures::join!(self.extend(&self.engine, &id, by), terminate);
            }
            9 | 10 => {
                if let Some(id) = self.target() {
                    self.environments.retain(|other| *other != id);
                    let _ = self.engine.terminate(&id).await;
                }
            }
            _ => {
                // Their last one, in the last minutes before it expires.
                let Some(id) = self.environments.last().cloned() else { return };
                let Ok(found) = self.engine.cloud().find_record(&id).await else { return };
                let Some(expiry) = found.value.and_then(|record| record.expires_at) else { return };
                let early = self.random.random_range(-600..300);
                let left = expiry + chrono::TimeDelta::seconds(early) - self.clock.now();
                if let Some(left) = left.to_std().ok().filter(|left| *left < Duration::from_hours(5)) {
                    self.clock.sleep(left).await;
                    let by = self.duration();
                    self.extend(&self.engine, &id, by).await;
                }
            }
        }
    }

    /// Resets one of their environments, now and then two people at once.
    async fn reset(&mut self) {
        let (resets, both) = (self.resets.random_bool(0.25), self.resets.random_bool(0.2));
        let index = self.resets.random_range(0..1_000_usize);
        if !resets || self.environments.is_empty() {
            return;
        }
        let id = self.environments[index % self.environments.len()].clone();
        if both {
            drop(futures::join!(self.engine.reset(&id), self.partner.reset(&id)));
        } else {
            drop(self.engine.reset(&id).await);
        }
    }

    /// Undoes some of what they have just extended, at once or minutes later.
    async fn undo(&mut self) {
        let extensions = std::mem::take(&mut *self.extensions.lock().unwrap());
        for extension in extensions {
            if !self.undoes || self.undone.random_bool(0.4) {
                continue;
            }
            self.clock.sleep(Duration::from_secs_f64(self.undone.random_range(0.0..300.0))).await;
            // From the request on, the environment may end earlier, whatever the answer is.
            self.checker.lock().unwrap().undone(&extension);
            let _ = self.engine.undo_extension(&extension).await;
        }
    }

    fn duration(&mut self) -> Duration {
        Duration::from_secs(self.random.random_range(600..7_200))
    }

    /// Returns an environment to act on: one of their own, or one of a list that may be stale, by its id or by its label.
    fn target(&mut self) -> Option<EnvironmentId> {
        if self.foreign
            && self.random.random_bool(0.5)
            && let Some(world) = &self.list
        {
            let records: Vec<_> = world.records.iter().filter(|record| record.is_environment()).collect();
            if records.is_empty() {
                return None;
            }
            let record = records[self.random.random_range(0..records.len())];
            return match environment::find(world, record.name.raw()) {
                Lookup::Found(found) => Some(found.environment.clone()),
                Lookup::Missing | Lookup::Ambiguous(_) => Some(record.environment.clone()),
            };
        }
        if self.environments.is_empty() {
            return None;
        }
        Some(self.environments[self.random.random_range(0..self.environments.len())].clone())
    }

    async fn launch(&mut self) {
        let ttl = self.random.random_bool(0.7).then(|| self.duration() * 2);
        // Labels are not unique, so that some are ambiguous.
        let name = format!("env-{}", self.random.random_range(0..20));
        let who = self.engine.config().user.clone();
        let checker = Arc::clone(&self.checker);
        let done = match self.engine.launch(&request(name, ttl)).await {
            Ok(done) => done,
            Err(failure) => {
                let claim = failure.message.split(' ').next().and_then(|id| id.parse().ok());
                if let (Kind::TooLate, Some(environment)) = (failure.kind, claim) {
                    self.sim.inspect(|state| checker.lock().unwrap().denied(state, &who, &environment));
                }
                return;
            }
        };
        self.sim.inspect(|state| {
            checker.lock().unwrap().confirm(state, &who, done.record.as_str(), done.expires_at);
        });
        *self.launched.lock().unwrap() += 1;
        self.environments.push(done.environment);
    }

    /// Holds an environment or a database of the pool, or releases a database.
    async fn hold(&mut self) {
        let (by, who) = (self.duration(), self.engine.config().user.clone());
        if self.random.random_bool(0.5) {
            let Some(id) = self.target() else { return };
            let record = self.engine.cloud().find_record(&id).await.ok().and_then(|seen| seen.value);
            let (Some(record), Ok(held)) = (record, self.engine.hold(&id, by, "to inspect it").await) else {
                return;
            };
            let checker = Arc::clone(&self.checker);
            self.sim.inspect(|state| {
                checker.lock().unwrap().held(state, &who, record.id.as_str(), held.expires_at);
            });
            return;
        }
        let Ok(world) = self.engine.observe().await else { return };
        let numbers: Vec<_> = world.databases.iter().map(|database| database.number).collect();
        if numbers.is_empty() {
            return;
        }
        let id = world.fleet.name.environment(numbers[self.random.random_range(0..numbers.len())]);
        if self.random.random_bool(0.2) {
            // From the request on, engines may delete it, whatever the answer is.
            self.checker.lock().unwrap().released(id.database_id().as_str());
            let _ = self.engine.release_database(&id).await;
        } else if let Ok(held) = self.engine.hold_database(&id, by, "to inspect it").await {
            self.checker.lock().unwrap().held_database(id.database_id().as_str(), held.expires_at);
        }
    }

    async fn extend(&self, engine: &Engine, id: &EnvironmentId, by: Duration) {
        let extended = users::extend(engine, id, by, &self.sim, &self.checker).await;
        self.extensions.lock().unwrap().extend(extended);
    }
}
