//! Many dashboards and a scheduled engine on one account, with AWS's request buckets: what they ask, how often they do the same
//! thing, and how soon everybody sees a change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Change, Scenario, SimCloud};
use hatchery::engine::{Engine, Event, Handle, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::cloud_layer::{Call, Hook, Layer, Verb};
use crate::on_all_cores;
use crate::setup::{config, live, on_paused_time, request};

/// How long people are at work, and how long the rest after it is measured.
const BUSY: Duration = Duration::from_hours(3);
const QUIET: Duration = Duration::from_hours(1);

/// The requests a second of AWS's bucket for EC2's `Describe*`.
const DESCRIBE_REFILL: f64 = 20.0;

/// What came of so many dashboards.
#[derive(Debug)]
pub(crate) struct DashboardLoad {
    pub(crate) dashboards: usize,
    /// Requests of all kinds in an hour at rest, of each dashboard.
    pub(crate) at_rest: f64,
    /// Shares of the bucket for EC2's `Describe*`, in the busy hours and at rest.
    pub(crate) describe_busy: f64,
    pub(crate) describe_at_rest: f64,
    /// How often a change that somebody's engine made by itself was sent, on average.
    pub(crate) sent: f64,
    /// Seconds until a launch was on one's screen: half of the screens, 99 of 100, all.
    pub(crate) seen: [f64; 3],
    pub(crate) throttled: u64,
    pub(crate) launches: usize,
}

impl DashboardLoad {
    pub(crate) const HEAD: &'static str = "| dashboards | requests an hour each, at rest | Describe bucket used, at rest \
         | …, busy | times a change was sent | seen after (median) | (p99) | (all) | throttled |\n\
         |---|---|---|---|---|---|---|---|---|";

    /// The same number of dashboards on several seeds, on all cores: the worst of each figure.
    pub(crate) fn worst(dashboards: usize, seeds: Range<u64>) -> Self {
        let crowds = on_all_cores(seeds, |seed| load(dashboards, seed)).into_iter();
        crowds
            .reduce(|a, b| Self {
                dashboards,
                at_rest: a.at_rest.max(b.at_rest),
                describe_busy: a.describe_busy.max(b.describe_busy),
                describe_at_rest: a.describe_at_rest.max(b.describe_at_rest),
                sent: a.sent.max(b.sent),
                seen: [0, 1, 2].map(|quantile| a.seen[quantile].max(b.seen[quantile])),
                throttled: a.throttled.max(b.throttled),
                launches: a.launches.min(b.launches),
            })
            .expect("a seed")
    }

    /// A row of a table in Markdown.
    pub(crate) fn row(&self) -> String {
        let [median, p99, all] = self.seen;
        format!(
            "| {} | {:.0} | {:.1} % | {:.1} % | {:.2} | {median:.0} s | {p99:.0} s | {all:.0} s | {} |",
            self.dashboards,
            self.at_rest,
            self.describe_at_rest * 100.0,
            self.describe_busy * 100.0,
            self.sent,
            self.throttled,
        )
    }
}

tokio::task_local! {
    /// Set while an engine does what its person asks for.
    static ASKED_FOR: ();
}

/// Counts the changes that engines send by themselves, by what they change and to what.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<BTreeMap<String, u64>>>);

#[async_trait::async_trait]
impl Hook for Sent {
    async fn before(&self, call: &Call) {
        let asked_for = ASKED_FOR.try_with(|()| ()).is_ok();
        if matches!(call.verb, Verb::Write | Verb::Remove) && !asked_for {
            let what = format!("{} {}", call.operation, call.target);
            *self.0.lock().unwrap().entry(what).or_default() += 1;
        }
    }
}

impl Sent {
    #[allow(clippy::cast_precision_loss)]
    fn average(&self) -> f64 {
        let sent = self.0.lock().unwrap();
        sent.values().sum::<u64>() as f64 / sent.len().max(1) as f64
    }
}

/// When records were created, and how long it took until they were on each screen.
#[derive(Default)]
struct Sightings {
    created: BTreeMap<String, DateTime<Utc>>,
    delays: Vec<f64>,
}

impl Sightings {
    /// Half, 99 of 100, and the most.
    fn quantiles(&mut self) -> [f64; 3] {
        self.delays.sort_by(f64::total_cmp);
        let at =
            |percent: usize| self.delays.get((self.delays.len() * percent / 100).min(self.delays.len() - 1));
        [50, 99, 100].map(|percent| at(percent).copied().unwrap_or_default())
    }
}

/// A dashboard's screen: notes when it shows each new record first.
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

/// Runs so many dashboards.
fn load(dashboards: usize, seed: u64) -> DashboardLoad {
    on_paused_time(async { Account::new(seed).run(dashboards).await })
}

struct Account {
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    sent: Sent,
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
        sim.keep_history(0);
        let (sent, sightings) = Default::default();
        Self { sim, clock, random: ChaCha8Rng::seed_from_u64(seed), sent, sightings }
    }

    async fn run(mut self, dashboards: usize) -> DashboardLoad {
        self.note_records();
        let live = live(&self.sim);
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
            // Nobody starts with everybody else.
            self.clock.sleep(Duration::from_millis(self.random.random_range(0..2_000))).await;
        }
        let before = self.describes();
        let begun = self.clock.now();
        let launches = self.work(&screens).await;
        let describe_busy = self.share(before, begun);

        // Everybody's time is over; when the last reaping is done, it is quiet.
        self.clock.sleep(Duration::from_hours(3)).await;
        let (before, begun, all) = (self.describes(), self.clock.now(), self.requests());
        self.clock.sleep(QUIET).await;
        let describe_at_rest = self.share(before, begun);
        #[allow(clippy::cast_precision_loss)]
        let at_rest = (self.requests() - all) as f64 / dashboards as f64;
        schedule.abort();
        live.abort();
        let throttled =
            self.sim.inspect(|state| state.faults().get("throttled").copied().unwrap_or_default());
        DashboardLoad {
            dashboards,
            at_rest,
            describe_busy,
            describe_at_rest,
            sent: self.sent.average(),
            seen: self.sightings.lock().unwrap().quantiles(),
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

    /// People launch something every few minutes, for half an hour or an hour.
    async fn work(&mut self, screens: &[(Engine, Handle)]) -> usize {
        let end = self.clock.now() + BUSY;
        let mut launches = 0;
        while self.clock.now() < end {
            self.clock.sleep(Duration::from_secs(self.random.random_range(60..420))).await;
            let (engine, handle) = &screens[self.random.random_range(0..screens.len())];
            let ttl = Duration::from_mins(self.random.random_range(30..60));
            let request = request(format!("work-{launches}"), Some(ttl));
            if ASKED_FOR.scope((), engine.launch(&request)).await.is_ok() {
                launches += 1;
                handle.refresh();
            }
        }
        launches
    }

    /// Notes when each record is created.
    fn note_records(&self) {
        let sightings = Arc::clone(&self.sightings);
        self.sim.observe(Box::new(move |state, _, change| {
            let Change::Template(id) = change else { return };
            let stands = state.templates().any(|(own, _)| own == id);
            if stands {
                sightings.lock().unwrap().created.entry(id.clone()).or_insert(state.now());
            }
        }));
    }

    fn requests(&self) -> u64 {
        self.sim.inspect(|state| state.requests().values().sum())
    }

    /// Requests that EC2's bucket for `Describe*` has seen.
    fn describes(&self) -> u64 {
        let is_describe = |operation: &str| operation.starts_with("Describe") && !operation.contains("DB");
        self.sim.inspect(|state| {
            let own = state.requests().iter().filter(|(operation, _)| is_describe(operation));
            own.map(|(_, count)| count).sum()
        })
    }

    #[allow(clippy::cast_precision_loss)]
    fn share(&self, before: u64, begun: DateTime<Utc>) -> f64 {
        let seconds = (self.clock.now() - begun).num_seconds() as f64;
        (self.describes() - before) as f64 / seconds / DESCRIBE_REFILL
    }
}
