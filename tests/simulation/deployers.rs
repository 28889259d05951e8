//! Users who deploy anew: into environments of anyone, two into one at once, during grace, and while the environment is being extended or
//! terminated. Only some seeds have them, so that the others keep their histories.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::SimCloud;
use hatchery::domain::EnvironmentId;
use hatchery::engine::{Engine, RedeployRequest};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::engine_invariants::ResetHandle;
use crate::invariants::SharedChecker;
use crate::mutants::Mutant;
use crate::users::{self, time_limit};

const SERVICES: [&str; 4] = ["auth", "catalog", "payments", "search"];

pub(crate) struct Deployer {
    engine: Engine,
    reset_handle: ResetHandle,
    /// A second process, of another person.
    partner: Engine,
    partner_reset: ResetHandle,
    random: ChaCha8Rng,
    clock: Clock,
    sim: SimCloud,
    checker: SharedChecker,
    crashes: bool,
}

impl Deployer {
    /// A deployer with two processes, which `process` starts for a name each, with a generator of its own, so that the users stay the same.
    pub(crate) fn new(
        mut random: ChaCha8Rng,
        sim: &SimCloud,
        clock: &Clock,
        checker: &SharedChecker,
        crashes: bool,
        process: impl Fn(&mut ChaCha8Rng, &str) -> (Engine, ResetHandle),
    ) -> Self {
        let (engine, reset_handle) = process(&mut random, "user-d");
        let (partner, partner_reset) = process(&mut random, "user-e");
        Self {
            engine,
            reset_handle,
            partner,
            partner_reset,
            random,
            clock: clock.clone(),
            sim: sim.clone(),
            checker: Arc::clone(checker),
            crashes,
        }
    }

    /// Whether a seed has deployers. With a mutant of anything else it has none, because the seeds that show it are few.
    pub(crate) fn is_in(seed: u64, mutant: Option<Mutant>) -> bool {
        seed.is_multiple_of(3) && mutant.is_none_or(Mutant::is_of_deployments)
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.clock.sleep(Duration::from_secs_f64(self.random.random_range(60.0..2_400.0))).await;
            let limit = time_limit(&mut self.random, self.crashes);
            let done = tokio::time::timeout(limit, self.act()).await;
            if done.is_ok() {
                self.reset_handle.finish();
                self.partner_reset.finish();
            }
            self.reset_handle.reset();
            self.partner_reset.reset();
        }
    }

    async fn act(&mut self) {
        let Ok(world) = self.engine.observe().await else { return };
        let records: Vec<_> = world.records.iter().filter(|record| !record.is_retirement()).collect();
        if records.is_empty() {
            return;
        }
        let drawn = records[self.random.random_range(0..records.len())];
        // Environments in their grace are rare, and the most likely to end meanwhile.
        let in_grace = records.iter().find(|record| record.reaping_since.is_some());
        let record = if self.random.random_bool(0.3) { in_grace.unwrap_or(&drawn) } else { &drawn };
        let id = record.environment.clone();
        let known: BTreeSet<String> =
            record.services.keys().map(|service| service.raw().to_owned()).collect();
        let (request, other) = (self.request(&known), self.request(&known));
        let action = self.random.random_range(0..20);
        let by = Duration::from_secs(self.random.random_range(600..7_200));
        let redeploy = self.redeploy(&self.engine, &id, &request);
        match action {
            0..=5 => drop(futures::join!(redeploy, self.redeploy(&self.partner, &id, &other))),
            6..=8 => drop(futures::join!(redeploy, self.extend(&id, by))),
            9 => drop(futures::join!(redeploy, self.partner.terminate(&id))),
            _ => redeploy.await,
        }
    }

    fn request(&mut self, known: &BTreeSet<String>) -> RedeployRequest {
        let mut request = RedeployRequest::default();
        for service in SERVICES {
            let tag = format!("f-{}", self.random.random_range(1..6));
            match self.random.random_range(0..5) {
                0 | 1 => drop(request.services.insert(service.to_owned(), tag)),
                2 if known.contains(service) => drop(request.defaults.insert(service.to_owned())),
                _ => {}
            }
        }
        request
    }

    async fn redeploy(&self, engine: &Engine, id: &EnvironmentId, request: &RedeployRequest) {
        if let Ok(done) = engine.redeploy(id, request).await {
            self.checker.lock().unwrap().deployments.confirm(done.record.as_str(), &done.deployment);
        }
    }

    async fn extend(&self, id: &EnvironmentId, by: Duration) {
        let _ = users::extend(&self.partner, id, by, &self.sim, &self.checker).await;
    }
}
