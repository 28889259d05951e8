//! Simulated users: they launch, extend (some in the last seconds of the grace period) and terminate, and sometimes their
//! process crashes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::sim::SimCloud;
use hatchery::cloud::{Template, collect};
use hatchery::domain::EnvironmentId;
use hatchery::engine::{Engine, ExtensionUndo, LaunchRequest};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::engine_invariants::ResetHandle;
use crate::invariants::SharedChecker;

pub(crate) struct User {
    pub(crate) engine: Engine,
    pub(crate) reset_handle: ResetHandle,
    pub(crate) random: ChaCha8Rng,
    /// Draws the resets, apart from the other draws.
    pub(crate) resets: ChaCha8Rng,
    pub(crate) hostile: bool,
    pub(crate) true_clock: Clock,
    pub(crate) sim: SimCloud,
    pub(crate) checker: SharedChecker,
    pub(crate) launched: Arc<Mutex<u64>>,
    /// The policy's `grace`.
    pub(crate) grace: TimeDelta,
    pub(crate) environments: Vec<EnvironmentId>,
}

/// Returns how long the next actions of a user may take. With `crashes`, one time in ten they are cut off, as by a crash.
pub(crate) fn time_limit(random: &mut ChaCha8Rng, crashes: bool) -> Duration {
    let crashes = crashes && random.random_bool(0.1);
    Duration::from_secs_f64(if crashes { random.random_range(0.1..20.0) } else { 20_000.0 })
}

/// Extends an environment, and tells the checker the confirmed expiry. Returns what undoes it.
pub(crate) async fn extend(
    engine: &Engine,
    id: &EnvironmentId,
    by: Duration,
    sim: &SimCloud,
    checker: &SharedChecker,
) -> Option<ExtensionUndo> {
    let record = engine.cloud().find_record(id).await.ok().and_then(|seen| seen.value)?;
    let done = engine.extend(id, by).await.ok()?;
    let who = &engine.config().user;
    sim.inspect(|state| {
        checker.lock().unwrap().extended(state, who, record.id.as_str(), done.expires_at);
    });
    done.undo
}

impl User {
    pub(crate) async fn run(mut self) {
        loop {
            self.true_clock.sleep(Duration::from_secs_f64(self.random.random_range(60.0..9_000.0))).await;
            let limit = time_limit(&mut self.random, self.hostile);
            let actions = async {
                self.act().await;
                self.reset().await;
            };
            let done = tokio::time::timeout(limit, actions).await;
            if done.is_ok() {
                self.reset_handle.finish();
            }
            self.reset_handle.reset();
        }
    }

    async fn act(&mut self) {
        match self.random.random_range(0..10) {
            0..=3 => self.launch().await,
            4..=5 => {
                let Some(id) = self.random_environment() else { return };
                self.extend(&id).await;
            }
            6..=8 => self.extend_late_in_grace().await,
            _ => {
                if let Some(id) = self.random_environment() {
                    self.environments.retain(|other| *other != id);
                    let _ = self.engine.terminate(&id).await;
                }
            }
        }
    }

    /// Resets one of their environments.
    async fn reset(&mut self) {
        let (resets, index) = (self.resets.random_bool(0.2), self.resets.random_range(0..1_000_usize));
        if resets && !self.environments.is_empty() {
            let id = self.environments[index % self.environments.len()].clone();
            drop(self.engine.reset(&id).await);
        }
    }

    fn random_environment(&mut self) -> Option<EnvironmentId> {
        if self.environments.is_empty() {
            return None;
        }
        Some(self.environments[self.random.random_range(0..self.environments.len())].clone())
    }

    async fn launch(&mut self) {
        let ttl = Duration::from_secs(self.random.random_range(1_800..14_400));
        let request = LaunchRequest {
            name: format!("env-{}", self.random.random_range(0..1_000)).parse().unwrap(),
            services: BTreeMap::new(),
            ttl: Some(ttl),
            note: None,
        };
        let cancels = self.random.random_bool(0.1);
        let (launched, ()) = futures::join!(self.engine.launch(&request), self.cancel_if(cancels));
        if let Ok(done) = launched {
            let who = self.engine.config().user.clone();
            let checker = Arc::clone(&self.checker);
            self.sim.inspect(|state| {
                checker.lock().unwrap().confirm(state, &who, done.record.as_str(), done.expires_at);
            });
            *self.launched.lock().unwrap() += 1;
            self.environments.push(done.environment);
        }
    }

    /// Terminates the environment that is being launched as soon as it is listed.
    async fn cancel_if(&self, cancels: bool) {
        let screen = self.sim.caller("screen");
        let person = &self.engine.config().user;
        for _ in 0..if cancels { 10 } else { 0 } {
            self.true_clock.sleep(Duration::from_secs(2)).await;
            let records = collect(screen.templates(&self.engine.config().fleet)).await.items;
            let mut own = records.into_iter().filter_map(Template::record);
            let new = own
                .find(|record| record.owner == *person && !self.environments.contains(&record.environment));
            if let Some(record) = new {
                let _ = self.engine.terminate(&record.environment).await;
                return;
            }
        }
    }

    async fn extend(&mut self, id: &EnvironmentId) {
        let by = Duration::from_secs(self.random.random_range(600..7_200));
        let _ = extend(&self.engine, id, by, &self.sim, &self.checker).await;
    }

    /// Extends an environment in the last seconds of its grace period.
    async fn extend_late_in_grace(&mut self) {
        let mut ends = Vec::new();
        for id in self.environments.clone() {
            let record = self.engine.cloud().find_record(&id).await.ok().and_then(|seen| seen.value);
            ends.extend(record.and_then(|record| Some((record.expires_at?, id))));
        }
        let Some((expires_at, id)) = ends.into_iter().min() else { return };
        // Two minutes after the expiry, an engine has marked it.
        if !self.sleep_until(expires_at + TimeDelta::minutes(2)).await {
            return;
        }
        let record = self.engine.cloud().find_record(&id).await.ok().and_then(|seen| seen.value);
        let Some(since) = record.and_then(|record| record.reaping_since) else { return };
        let early = TimeDelta::milliseconds(self.random.random_range(-1_000..8_000));
        if self.sleep_until(since + self.grace - early).await {
            self.extend(&id).await;
        }
    }

    /// Sleeps and returns `true`, unless it would take three hours or more.
    async fn sleep_until(&self, at: DateTime<Utc>) -> bool {
        let left = (at - self.true_clock.now()).to_std().unwrap_or_default();
        let is_soon = left < Duration::from_hours(3);
        if is_soon {
            self.true_clock.sleep(left).await;
        }
        is_soon
    }
}
