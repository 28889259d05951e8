//! From request to ready: what of that time is the engine's own, and what a storm of launches on a cold pool comes to.

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
use crate::setup::{config, live, on_paused_time, request};

/// Measures the time in which none of a process's calls is at AWS.
#[derive(Clone)]
struct Stopwatch {
    clock: Clock,
    state: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
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

    /// What has passed since the start while nothing was in flight.
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

/// What many launches on a warm pool came to, in seconds at 50, 99 and 100 of 100.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) launches: usize,
    /// How many found a database that was free.
    pub(crate) warm: usize,
    /// While nothing was in flight at AWS.
    pub(crate) own: [f64; 3],
    /// Until the launch was confirmed.
    pub(crate) confirmed: [f64; 3],
    /// Until the environment was ready.
    pub(crate) ready: [f64; 3],
}

/// What a storm of launches on a cold pool came to.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) launches: usize,
    pub(crate) refused: Vec<String>,
    /// Environments that came to be ready.
    pub(crate) ready: usize,
    /// The longest restore, and the longest time from a request until its database was there: seconds.
    pub(crate) longest_restore: f64,
    pub(crate) longest_wait: f64,
    /// The longest time from a request until its environment was ready: seconds.
    pub(crate) longest_ready: f64,
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

/// Launches, a quarter of an hour or so apart, on a pool that has time to fill up again.
pub(crate) fn warm(launches: usize, seed: u64) -> Warm {
    on_paused_time(async { Account::new(seed, 3).warm(launches).await })
}

/// So many launches within a minute, with one spare.
pub(crate) fn storm(launches: usize, seed: u64) -> Storm {
    on_paused_time(async { Account::new(seed, 1).storm(launches).await })
}

struct Account {
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    restores: Arc<Mutex<BTreeMap<String, Restore>>>,
}

/// When a database was asked for, and when it was there.
#[derive(Clone, Copy)]
struct Restore {
    asked: DateTime<Utc>,
    there: Option<DateTime<Utc>>,
}

impl Account {
    /// An account as AWS is on a good day: calls take time, reads lag, buckets are of AWS's sizes.
    fn new(seed: u64, spare: u32) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = Scenario { free: spare, ..Scenario::default() };
        scenario.policy.insert("spare".into(), spare.to_string());
        scenario.latency.call = [0.03, 0.4];
        scenario.faults.lag = 2.0;
        scenario.faults.throttling = true;
        let sim = SimCloud::new(scenario, seed, clock.clone());
        sim.keep_history(0);
        live(&sim);
        let account = Self { sim, clock, random: ChaCha8Rng::seed_from_u64(seed), restores: Arc::default() };
        account.note_restores();
        account
    }

    fn note_restores(&self) {
        let restores = Arc::clone(&self.restores);
        self.sim.observe(Box::new(move |state, _, change| {
            let Change::Database(id) = change else { return };
            let Some((_, database)) = state.databases().find(|(own, _)| own == id) else { return };
            let mut restores = restores.lock().unwrap();
            let restore = restores.entry(id.clone()).or_insert(Restore { asked: state.now(), there: None });
            if database.status == "available" {
                restore.there.get_or_insert(state.now());
            }
        }));
    }

    /// Somebody's engine, and what it spends while nothing is in flight.
    fn engine(&mut self, who: &str) -> (Engine, Stopwatch) {
        let watch = Stopwatch::new(self.clock.clone());
        let cloud: DynCloud = Arc::new(Layer { inner: self.sim.caller(who), hook: watch.clone() });
        (Engine::new(cloud, self.clock.clone(), config(who, self.random.random())), watch)
    }

    /// Dashboards of other people, which top the pool up.
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

    async fn warm(mut self, launches: usize) -> Warm {
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
            let came = self
                .restores
                .lock()
                .unwrap()
                .get(launched.database.as_str())
                .and_then(|restore| restore.there);
            // One that was there from the beginning is not in the checker.
            let known = self.restores.lock().unwrap().contains_key(launched.database.as_str());
            warm += usize::from(!known || came.is_some_and(|came| came <= begun));
            self.clock.sleep(Duration::from_mins(8)).await;
            ready.extend(self.ready_at(&launched.record).map(|at| seconds(at - begun)));
        }
        let [own, confirmed, ready] = [own, confirmed, ready].map(quantiles);
        Warm { launches, warm, own, confirmed, ready }
    }

    async fn storm(mut self, launches: usize) -> Storm {
        self.dashboards(5);
        self.clock.sleep(Duration::from_mins(5)).await;
        let people: Vec<_> = (0..launches).map(|number| self.one_of_storm(number)).collect();
        let asked = futures::future::join_all(people).await;
        self.clock.sleep(Duration::from_hours(2)).await;

        let (mut refused, mut waits, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        let restores = self.restores.lock().unwrap().clone();
        for (begun, launched) in &asked {
            match launched {
                Ok(launched) => {
                    let restore = restores.get(launched.database.as_str());
                    waits.extend(
                        restore.and_then(|restore| restore.there).map(|there| seconds(there - *begun)),
                    );
                    ready.extend(self.ready_at(&launched.record).map(|at| seconds(at - *begun)));
                }
                Err(failure) => refused.push(failure.to_string()),
            }
        }
        let took = restores.values().filter_map(|restore| Some(seconds(restore.there? - restore.asked)));
        Storm {
            launches,
            refused,
            ready: ready.len(),
            longest_restore: took.fold(0.0, f64::max),
            longest_wait: waits.into_iter().fold(0.0, f64::max),
            longest_ready: ready.into_iter().fold(0.0, f64::max),
        }
    }

    /// One of the many who launch within the same minute.
    fn one_of_storm(
        &mut self,
        number: usize,
    ) -> impl Future<Output = (DateTime<Utc>, Result<Launched, Failure>)> + use<> {
        let (engine, _) = self.engine(&format!("person-{number}"));
        let wait = Duration::from_millis(self.random.random_range(0..60_000));
        let clock = self.clock.clone();
        async move {
            clock.sleep(wait).await;
            (clock.now(), engine.launch(&work(number)).await)
        }
    }

    /// When the environment of a record was ready.
    fn ready_at(&self, record: &RecordId) -> Option<DateTime<Utc>> {
        self.sim.inspect(|state| {
            let own =
                |tags: &tags::Tags| tags.get(key::AWS_TEMPLATE_ID).is_some_and(|id| id == record.as_str());
            let (_, machine) = state.instances().find(|(_, machine)| own(&machine.tags))?;
            tags::parse_time(&machine.tags, key::READY_AT)
        })
    }
}

fn work(number: usize) -> LaunchRequest {
    request(format!("work-{number}"), Some(Duration::from_hours(1)))
}
