//! Latency of launches from request to ready, the engine's own share of it, and a storm of launches on a cold pool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Change, Scenario, SimCloud};
use hatchery::domain::tags::{self, key};
use hatchery::domain::{CloudError, RecordId};
use hatchery::engine::{Engine, LaunchRequest, Launched, RunOptions};
use hatchery::failure::Failure;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::cloud_layer::{Call, Hook, Layer};
use crate::setup::{config, on_paused_time, request, run_events};

/// Measures the time in which a process has no AWS call in flight.
#[derive(Clone)]
struct Stopwatch {
    clock: Clock,
    state: Arc<Mutex<StopwatchState>>,
}

#[derive(Default)]
struct StopwatchState {
    in_flight: usize,
    since: Duration,
    spent: Duration,
}

impl Stopwatch {
    fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    fn start(&self) {
        let mut state = self.state.lock().unwrap();
        (state.since, state.spent) = (self.clock.elapsed(), Duration::ZERO);
    }

    /// Returns the time since the start without a call in flight.
    fn idle(&self) -> Duration {
        let state = self.state.lock().unwrap();
        state.spent
            + if state.in_flight == 0 {
                self.clock.elapsed().saturating_sub(state.since)
            } else {
                Duration::ZERO
            }
    }
}

#[async_trait::async_trait]
impl Hook for Stopwatch {
    async fn before(&self, _: &Call) {
        let mut state = self.state.lock().unwrap();
        if state.in_flight == 0 {
            let idle = self.clock.elapsed().saturating_sub(state.since);
            state.spent += idle;
        }
        state.in_flight += 1;
    }

    async fn after(&self, _: &Call, _: Option<&CloudError>) {
        let mut state = self.state.lock().unwrap();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.since = self.clock.elapsed();
        }
    }
}

/// Launches on a warm pool. Times are in seconds: median, 99th percentile and maximum.
#[derive(Debug)]
pub(crate) struct WarmLaunches {
    pub(crate) launches: usize,
    /// Launches that found a free database.
    pub(crate) warm: usize,
    /// Time without an AWS call in flight.
    pub(crate) own: [f64; 3],
    /// Time until the launch was confirmed.
    pub(crate) confirmed: [f64; 3],
    /// Time until the environment was ready.
    pub(crate) ready: [f64; 3],
}

/// Simultaneous launches on a cold pool. Times are in seconds.
#[derive(Debug)]
pub(crate) struct LaunchStorm {
    pub(crate) launches: usize,
    pub(crate) refused: Vec<String>,
    /// Environments that became ready.
    pub(crate) ready: usize,
    /// The longest restore, and the longest time from a request until its database was available.
    pub(crate) longest_restore: f64,
    pub(crate) longest_wait: f64,
    /// The longest time from a request until its environment was ready.
    pub(crate) longest_ready: f64,
    /// The requests of the launches until each was confirmed or refused.
    pub(crate) requests: u64,
    /// The claims among them, of which those of taken numbers fail.
    pub(crate) claims: u64,
}

fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    [50, 99, 100]
        .map(|percent| values.get((values.len() * percent / 100).min(last)).copied().unwrap_or_default())
}

#[allow(clippy::cast_precision_loss)]
fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1_000.0
}

/// Launches 10 to 30 minutes apart, so that the pool refills in between.
pub(crate) fn warm(launches: usize, seed: u64) -> WarmLaunches {
    on_paused_time(async { Account::new(seed, 3).warm(launches).await })
}

/// Launches within one minute, with one spare.
pub(crate) fn storm(launches: usize, seed: u64) -> LaunchStorm {
    on_paused_time(async { Account::new(seed, 1).storm(launches, Duration::from_mins(1)).await })
}

/// Launches within one second, with one spare and a ceiling for all of them.
pub(crate) fn storm_at_once(launches: usize, seed: u64) -> LaunchStorm {
    on_paused_time(async {
        let ceiling = [("max-databases".to_owned(), (launches * 3 / 2).to_string())];
        let account = Account::with_policy(seed, 1, ceiling.into());
        account.storm(launches, Duration::from_secs(1)).await
    })
}

struct Account {
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    restores: Arc<Mutex<BTreeMap<String, Restore>>>,
}

/// Times of the request and of the end of a restore.
#[derive(Clone, Copy)]
struct Restore {
    requested_at: DateTime<Utc>,
    available_at: Option<DateTime<Utc>>,
}

impl Account {
    /// An account without faults, with AWS's latencies, stale reads and request buckets.
    fn new(seed: u64, spare: u32) -> Self {
        Self::with_policy(seed, spare, BTreeMap::new())
    }

    fn with_policy(seed: u64, spare: u32, policy: BTreeMap<String, String>) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = Scenario { free: spare, policy, ..Scenario::default() };
        scenario.policy.insert("spare".into(), spare.to_string());
        scenario.latency.call = [0.03, 0.4];
        scenario.faults.lag = 2.0;
        scenario.faults.throttling = true;
        let sim = SimCloud::new(scenario, seed, clock.clone());
        sim.limit_history(0);
        run_events(&sim);
        let account = Self { sim, clock, random: ChaCha8Rng::seed_from_u64(seed), restores: Arc::default() };
        account.watch_restores();
        account
    }

    fn watch_restores(&self) {
        let restores = Arc::clone(&self.restores);
        self.sim.observe(Box::new(move |state, _, change| {
            let Change::Database(id) = change else { return };
            let Some((_, database)) = state.databases().find(|(own, _)| own == id) else { return };
            let mut restores = restores.lock().unwrap();
            let restore = restores
                .entry(id.clone())
                .or_insert(Restore { requested_at: state.now(), available_at: None });
            if database.status == "available" {
                restore.available_at.get_or_insert(state.now());
            }
        }));
    }

    /// Creates an engine, and a stopwatch for its time without a call in flight.
    fn engine(&mut self, who: &str) -> (Engine, Stopwatch) {
        let watch = Stopwatch::new(self.clock.clone());
        let cloud: DynCloud = Arc::new(Layer { inner: self.sim.caller(who), hook: watch.clone() });
        (Engine::new(cloud, self.clock.clone(), config(who, self.random.random())), watch)
    }

    /// Starts dashboards of other users, whose engines refill the pool.
    fn dashboards(&mut self, number: usize) {
        for number in 0..number {
            let (engine, _) = self.engine(&format!("host-{number}"));
            let (handle, mut events) =
                engine.run(RunOptions { background: true, refresh: Duration::from_mins(1) });
            tokio::spawn(async move {
                while events.recv().await.is_some() {}
                drop(handle);
            });
        }
    }

    async fn warm(mut self, launches: usize) -> WarmLaunches {
        self.dashboards(5);
        let (mut own, mut confirmed, mut ready, mut warm) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for number in 0..launches {
            self.clock.sleep(Duration::from_secs(self.random.random_range(600..1_800))).await;
            let (engine, watch) = self.engine("amy");
            let begun = self.clock.now();
            watch.start();
            let launched = engine.launch(&work(number)).await.expect("a launch");
            own.push(watch.idle().as_secs_f64());
            confirmed.push(seconds(self.clock.now() - begun));
            let available_at = self
                .restores
                .lock()
                .unwrap()
                .get(launched.database.as_str())
                .and_then(|restore| restore.available_at);
            // Databases of the initial pool have no recorded restore.
            let known = self.restores.lock().unwrap().contains_key(launched.database.as_str());
            warm += usize::from(!known || available_at.is_some_and(|available_at| available_at <= begun));
            self.clock.sleep(Duration::from_mins(8)).await;
            ready.extend(self.ready_at(&launched.record).map(|at| seconds(at - begun)));
        }
        let [own, confirmed, ready] = [own, confirmed, ready].map(quantiles);
        WarmLaunches { launches, warm, own, confirmed, ready }
    }

    async fn storm(mut self, launches: usize, within: Duration) -> LaunchStorm {
        self.dashboards(5);
        self.clock.sleep(Duration::from_mins(5)).await;
        let sent = |account: &Self| account.sim.inspect(|state| state.requests().clone());
        let before = sent(&self);
        let users: Vec<_> = (0..launches).map(|number| self.launch_in_storm(number, within)).collect();
        let requested_at = futures::future::join_all(users).await;
        let after = sent(&self);
        let claims = |requests: &BTreeMap<&str, u64>| {
            requests.get("CreateLaunchTemplate").copied().unwrap_or_default()
        };
        self.clock.sleep(Duration::from_hours(2)).await;

        let (mut refused, mut waits, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        let restores = self.restores.lock().unwrap().clone();
        for (begun, launched) in &requested_at {
            match launched {
                Ok(launched) => {
                    let restore = restores.get(launched.database.as_str());
                    waits.extend(
                        restore
                            .and_then(|restore| restore.available_at)
                            .map(|available_at| seconds(available_at - *begun)),
                    );
                    ready.extend(self.ready_at(&launched.record).map(|at| seconds(at - *begun)));
                }
                Err(failure) => refused.push(failure.to_string()),
            }
        }
        let took = restores
            .values()
            .filter_map(|restore| Some(seconds(restore.available_at? - restore.requested_at)));
        LaunchStorm {
            launches,
            refused,
            ready: ready.len(),
            longest_restore: took.fold(0.0, f64::max),
            longest_wait: waits.into_iter().fold(0.0, f64::max),
            longest_ready: ready.into_iter().fold(0.0, f64::max),
            requests: after.values().sum::<u64>() - before.values().sum::<u64>(),
            claims: claims(&after) - claims(&before),
        }
    }

    /// Launches at a random moment of this time.
    fn launch_in_storm(
        &mut self,
        number: usize,
        within: Duration,
    ) -> impl Future<Output = (DateTime<Utc>, Result<Launched, Failure>)> + use<> {
        let (engine, _) = self.engine(&format!("user-{number}"));
        let wait = self.random.random_range(Duration::ZERO..within);
        let clock = self.clock.clone();
        async move {
            clock.sleep(wait).await;
            (clock.now(), engine.launch(&work(number)).await)
        }
    }

    /// Returns when a record's environment was ready.
    fn ready_at(&self, record: &RecordId) -> Option<DateTime<Utc>> {
        self.sim.inspect(|state| {
            let own =
                |tags: &tags::Tags| tags.get(key::AWS_TEMPLATE_ID).is_some_and(|id| id == record.as_str());
            let (_, instance) = state.instances().find(|(_, instance)| own(&instance.tags))?;
            tags::parse_time(&instance.tags, key::READY_AT)
        })
    }
}

fn work(number: usize) -> LaunchRequest {
    request(format!("work-{number}"), Some(Duration::from_hours(1)))
}
