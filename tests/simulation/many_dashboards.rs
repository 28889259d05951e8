//! Many dashboards and a scheduled engine on one account, with AWS's request buckets: how many requests they send, how often
//! they repeat a change, and how soon every dashboard shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Change, Scenario, SimCloud};
use hatchery::domain::tags::key;
use hatchery::engine::{Engine, Event, Handle, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cloud_layer::{Access, Call, Hook, Layer};
use crate::setup::{config, on_paused_time, request, run_events};

/// Durations of the busy and of the measured idle phase.
const BUSY: Duration = Duration::from_hours(3);
const QUIET: Duration = Duration::from_hours(1);

/// Requests a second that AWS's bucket for EC2's `Describe*` refills.
const DESCRIBE_REFILL: f64 = 20.0;

#[derive(Debug)]
pub(crate) struct DashboardLoad {
    pub(crate) dashboards: usize,
    /// Requests of all kinds, per dashboard and idle hour.
    pub(crate) idle: f64,
    /// Share of the bucket for EC2's `Describe*`, in the busy phase and while idle.
    pub(crate) describe_busy: f64,
    pub(crate) describe_idle: f64,
    /// How often a background change was sent, on average.
    pub(crate) sent: f64,
    /// How often a pass was recorded in an idle hour.
    pub(crate) passes: u64,
    /// Seconds until a launch was visible: on half of the dashboards, on 99 of 100, on all.
    pub(crate) visible_after: [f64; 3],
    pub(crate) throttled: u64,
    pub(crate) launches: usize,
}

impl DashboardLoad {
    pub(crate) const HEAD: &'static str = "| dashboards | requests an hour each, idle | Describe bucket used, idle \
         | …, busy | times a change was sent | visible_after after (median) | (p99) | (all) | throttled |\n\
         |---|---|---|---|---|---|---|---|---|";

    /// Runs several seeds and returns the worst of each figure.
    pub(crate) fn worst(dashboards: usize, seeds: Range<u64>) -> Self {
        let loads = seeds.into_par_iter().map(|seed| run(dashboards, seed));
        loads
            .reduce_with(|a, b| Self {
                dashboards,
                idle: a.idle.max(b.idle),
                describe_busy: a.describe_busy.max(b.describe_busy),
                describe_idle: a.describe_idle.max(b.describe_idle),
                sent: a.sent.max(b.sent),
                passes: a.passes.max(b.passes),
                visible_after: [0, 1, 2]
                    .map(|quantile| a.visible_after[quantile].max(b.visible_after[quantile])),
                throttled: a.throttled.max(b.throttled),
                launches: a.launches.min(b.launches),
            })
            .expect("a seed")
    }

    /// Formats a row of a Markdown table.
    pub(crate) fn row(&self) -> String {
        let [median, p99, all] = self.visible_after;
        format!(
            "| {} | {:.0} | {:.1} % | {:.1} % | {:.2} | {median:.0} s | {p99:.0} s | {all:.0} s | {} |",
            self.dashboards,
            self.idle,
            self.describe_idle * 100.0,
            self.describe_busy * 100.0,
            self.sent,
            self.throttled,
        )
    }
}

tokio::task_local! {
    /// Set while an engine serves a request of its user.
    static USER_REQUEST: ();
}

/// Counts background changes by operation and resource.
#[derive(Clone, Default)]
struct ChangeCounter(Arc<Mutex<BTreeMap<String, u64>>>);

#[async_trait::async_trait]
impl Hook for ChangeCounter {
    async fn before(&self, call: &Call) {
        let is_user_request = USER_REQUEST.try_with(|()| ()).is_ok();
        if matches!(call.access, Access::Write | Access::Delete) && !is_user_request {
            let what = format!("{} {}", call.operation, call.target);
            *self.0.lock().unwrap().entry(what).or_default() += 1;
        }
    }
}

impl ChangeCounter {
    #[allow(clippy::cast_precision_loss)]
    fn average(&self) -> f64 {
        let mut sent = self.0.lock().unwrap().clone();
        sent.retain(|what, _| !what.ends_with(key::LAST_PASS));
        sent.values().sum::<u64>() as f64 / sent.len().max(1) as f64
    }

    /// Returns how often a pass was recorded.
    fn passes(&self) -> u64 {
        self.0.lock().unwrap().iter().filter(|(what, _)| what.ends_with(key::LAST_PASS)).map(|(_, n)| n).sum()
    }
}

/// Times of creation of records, and delays until each dashboard showed them.
#[derive(Default)]
struct Sightings {
    created: BTreeMap<String, DateTime<Utc>>,
    delays: Vec<f64>,
}

impl Sightings {
    /// Returns the median, the 99th percentile and the maximum.
    fn quantiles(&mut self) -> [f64; 3] {
        self.delays.sort_by(f64::total_cmp);
        let at =
            |percent: usize| self.delays.get((self.delays.len() * percent / 100).min(self.delays.len() - 1));
        [50, 99, 100].map(|percent| at(percent).copied().unwrap_or_default())
    }
}

/// Records when a dashboard first shows each new record.
async fn watch(mut events: UnboundedReceiver<Event>, sightings: Arc<Mutex<Sightings>>, clock: Clock) {
    let mut shown = BTreeSet::new();
    while let Some(event) = events.recv().await {
        let Event::World(world) = event else { continue };
        let now = clock.now();
        let mut sightings = sightings.lock().unwrap();
        for record in &world.records {
            if let Some(created) = sightings.created.get(record.id.as_str()).copied()
                && shown.insert(record.id.clone())
            {
                #[allow(clippy::cast_precision_loss)]
                sightings.delays.push((now - created).num_milliseconds() as f64 / 1_000.0);
            }
        }
    }
}

fn run(dashboards: usize, seed: u64) -> DashboardLoad {
    on_paused_time(async { Account::new(seed).run(dashboards).await })
}

struct Account {
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    sent: ChangeCounter,
    sightings: Arc<Mutex<Sightings>>,
}

impl Account {
    fn new(seed: u64) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = Scenario { free: 2, ..Scenario::default() };
        for (setting, value) in [("spare", "2"), ("grace", "10m"), ("max-databases", "60")] {
            scenario.policy.insert(setting.to_owned(), value.to_owned());
        }
        scenario.latency.call = [0.03, 0.4];
        scenario.faults.lag = 4.0;
        scenario.faults.throttling = true;
        let sim = SimCloud::new(scenario, seed, clock.clone());
        sim.limit_history(0);
        let (sent, sightings) = Default::default();
        Self { sim, clock, random: ChaCha8Rng::seed_from_u64(seed), sent, sightings }
    }

    async fn run(mut self, dashboards: usize) -> DashboardLoad {
        self.watch_records();
        let events = run_events(&self.sim);
        let scheduled = self.engine("schedule");
        let schedule = tokio::spawn(async move {
            loop {
                let _ = scheduled.once(false).await;
                scheduled.clock().sleep(Duration::from_mins(5)).await;
            }
        });
        let mut screens = Vec::new();
        for number in 1..=dashboards {
            screens.push(self.dashboard(number));
            // Dashboards do not start at the same moment.
            self.clock.sleep(Duration::from_millis(self.random.random_range(0..2_000))).await;
        }
        let before = self.describe_calls();
        let begun = self.clock.now();
        let launches = self.work(&screens).await;
        let describe_busy = self.bucket_share(before, begun);

        // After three hours all environments have expired and are reaped, and the fleet is idle.
        self.clock.sleep(Duration::from_hours(3)).await;
        let (before, begun, all) = (self.describe_calls(), self.clock.now(), self.requests());
        let passes = self.sent.passes();
        self.clock.sleep(QUIET).await;
        let describe_idle = self.bucket_share(before, begun);
        #[allow(clippy::cast_precision_loss)]
        let idle = (self.requests() - all) as f64 / dashboards as f64;
        schedule.abort();
        events.abort();
        let throttled =
            self.sim.inspect(|state| state.faults().get("throttled").copied().unwrap_or_default());
        DashboardLoad {
            dashboards,
            idle,
            describe_busy,
            describe_idle,
            sent: self.sent.average(),
            passes: self.sent.passes() - passes,
            visible_after: self.sightings.lock().unwrap().quantiles(),
            throttled,
            launches,
        }
    }

    fn engine(&mut self, who: &str) -> Engine {
        let cloud: DynCloud = Arc::new(Layer { inner: self.sim.caller(who), hook: self.sent.clone() });
        Engine::new(cloud, self.clock.clone(), config(who, self.random.random()))
    }

    fn dashboard(&mut self, number: usize) -> (Engine, Handle) {
        let engine = self.engine(&format!("host-{number}"));
        let (handle, events) = engine.run(RunOptions { background: true, refresh: Duration::from_mins(1) });
        tokio::spawn(watch(events, Arc::clone(&self.sightings), self.clock.clone()));
        (engine, handle)
    }

    /// Users launch every few minutes, for half an hour to an hour each.
    async fn work(&mut self, screens: &[(Engine, Handle)]) -> usize {
        let end = self.clock.now() + BUSY;
        let mut launches = 0;
        while self.clock.now() < end {
            self.clock.sleep(Duration::from_secs(self.random.random_range(60..420))).await;
            let (engine, handle) = &screens[self.random.random_range(0..screens.len())];
            let ttl = Duration::from_mins(self.random.random_range(30..60));
            let request = request(format!("work-{launches}"), Some(ttl));
            if USER_REQUEST.scope((), engine.launch(&request)).await.is_ok() {
                launches += 1;
                handle.refresh();
            }
        }
        launches
    }

    /// Records when each record is created.
    fn watch_records(&self) {
        let sightings = Arc::clone(&self.sightings);
        self.sim.observe(Box::new(move |state, _, change| {
            let Change::Template(id) = change else { return };
            let exists = state.templates().any(|(own, _)| own == id);
            if exists {
                sightings.lock().unwrap().created.entry(id.clone()).or_insert(state.now());
            }
        }));
    }

    fn requests(&self) -> u64 {
        self.sim.inspect(|state| state.requests().values().sum())
    }

    /// Returns the number of requests that count against EC2's bucket for `Describe*`.
    fn describe_calls(&self) -> u64 {
        let is_describe = |operation: &str| operation.starts_with("Describe") && !operation.contains("DB");
        self.sim.inspect(|state| {
            let own = state.requests().iter().filter(|(operation, _)| is_describe(operation));
            own.map(|(_, count)| count).sum()
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn bucket_share(&self, before: u64, begun: DateTime<Utc>) -> f64 {
        let seconds = (self.clock.now() - begun).num_seconds() as f64;
        (self.describe_calls() - before) as f64 / seconds / DESCRIBE_REFILL
    }
}
