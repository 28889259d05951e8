//! The people of a simulation: they launch, extend (some at the last moment) and terminate, and their laptops die now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::sim::SimCloud;
use hatchery::cloud::{Template, collect};
use hatchery::domain::EnvironmentId;
use hatchery::engine::{Engine, LaunchRequest};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::engine_invariants::ResetHandle;
use crate::invariants::SharedBook;

/// Somebody at a laptop.
pub(crate) struct Person {
    pub(crate) engine: Engine,
    pub(crate) rebirth: ResetHandle,
    pub(crate) random: ChaCha8Rng,
    pub(crate) hostile: bool,
    pub(crate) truth: Clock,
    pub(crate) sim: SimCloud,
    pub(crate) checker: SharedBook,
    pub(crate) launched: Arc<Mutex<u64>>,
    /// How long the policy keeps what is over.
    pub(crate) grace: TimeDelta,
    pub(crate) own: Vec<EnvironmentId>,
}

impl Person {
    pub(crate) async fn live(mut self) {
        loop {
            self.truth.sleep(Duration::from_secs_f64(self.random.random_range(60.0..9_000.0))).await;
            // Now and then the laptop dies in the middle of it.
            let dies = self.hostile && self.random.random_bool(0.1);
            let patience = if dies { self.random.random_range(0.1..20.0) } else { 20_000.0 };
            let _ = tokio::time::timeout(Duration::from_secs_f64(patience), self.act()).await;
            self.rebirth.reborn();
        }
    }

    async fn act(&mut self) {
        match self.random.random_range(0..10) {
            0..=3 => self.launch().await,
            4..=5 => {
                let Some(id) = self.one_of_own() else { return };
                self.extend(&id).await;
            }
            6..=8 => self.keep_at_the_last_moment().await,
            _ => {
                if let Some(id) = self.one_of_own() {
                    self.own.retain(|own| *own != id);
                    let _ = self.engine.terminate(&id).await;
                }
            }
        }
    }

    fn one_of_own(&mut self) -> Option<EnvironmentId> {
        if self.own.is_empty() {
            return None;
        }
        Some(self.own[self.random.random_range(0..self.own.len())].clone())
    }

    async fn launch(&mut self) {
        let ttl = Duration::from_secs(self.random.random_range(1_800..14_400));
        let request = LaunchRequest {
            name: format!("env-{}", self.random.random_range(0..1_000)).parse().unwrap(),
            services: BTreeMap::new(),
            ttl: Some(ttl),
            note: None,
        };
        let regrets = self.random.random_bool(0.1);
        let (launched, ()) = futures::join!(self.engine.launch(&request), self.regret(regrets));
        if let Ok(done) = launched {
            let who = self.engine.config().user.clone();
            let checker = Arc::clone(&self.checker);
            self.sim.inspect(|state| {
                checker.lock().unwrap().confirm(state, &who, done.record.as_str(), done.expires_at);
            });
            *self.launched.lock().unwrap() += 1;
            self.own.push(done.environment);
        }
    }

    /// Ends what is being launched as soon as it is on some screen.
    async fn regret(&self, regrets: bool) {
        let screen = self.sim.caller("screen");
        let person = &self.engine.config().user;
        for _ in 0..if regrets { 10 } else { 0 } {
            self.truth.sleep(Duration::from_secs(2)).await;
            let records = collect(screen.templates(&self.engine.config().fleet)).await.items;
            let mut own = records.into_iter().filter_map(Template::record);
            let new = own.find(|record| record.owner == *person && !self.own.contains(&record.environment));
            if let Some(record) = new {
                let _ = self.engine.terminate(&record.environment).await;
                return;
            }
        }
    }

    async fn extend(&mut self, id: &EnvironmentId) {
        let by = Duration::from_secs(self.random.random_range(600..7_200));
        let record = self.engine.cloud().find_record(id).await.ok().and_then(|seen| seen.value);
        let Some(record) = record else { return };
        if let Ok(done) = self.engine.extend(id, by).await {
            let who = self.engine.config().user.clone();
            let checker = Arc::clone(&self.checker);
            self.sim.inspect(|state| {
                checker.lock().unwrap().extended(state, &who, record.id.as_str(), done.expires_at);
            });
        }
    }

    /// Waits for the last seconds of an environment's grace, and keeps it then.
    async fn keep_at_the_last_moment(&mut self) {
        let mut ends = Vec::new();
        for id in self.own.clone() {
            let record = self.engine.cloud().find_record(&id).await.ok().and_then(|seen| seen.value);
            ends.extend(record.and_then(|record| Some((record.expires_at?, id))));
        }
        let Some((expires_at, id)) = ends.into_iter().min() else { return };
        // By two minutes later some engine has marked it.
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

    /// Waits, unless it is longer than anybody would.
    async fn sleep_until(&self, at: DateTime<Utc>) -> bool {
        let left = (at - self.truth.now()).to_std().unwrap_or_default();
        let soon = left < Duration::from_hours(3);
        if soon {
            self.truth.sleep(left).await;
        }
        soon
    }
}
