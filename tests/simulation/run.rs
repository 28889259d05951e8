//! One simulation: engines, people, and an account in which things go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::domain::{EnvironmentId, FleetName, NewFleet, Policy};
use hatchery::engine::{Config, Engine, LaunchRequest, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::checks::{Book, REST, SharedBook};

/// How a simulation is set up.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) hostile: bool,
    pub(crate) engines: u64,
    pub(crate) people: u64,
    pub(crate) days: f64,
}

impl Default for Setting {
    fn default() -> Self {
        Self { hostile: true, engines: 3, people: 4, days: 1.5 }
    }
}

/// What came of a simulation.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) days: f64,
    pub(crate) launched: u64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) steps: BTreeMap<String, u64>,
    pub(crate) history: Vec<String>,
    pub(crate) violations: Vec<String>,
}

impl Outcome {
    /// The seed, what was violated, the history of what it was violated by, and how to replay it.
    pub(crate) fn report(&self) -> String {
        let Some(first) = self.violations.first() else { return format!("seed {}: all holds", self.seed) };
        let words: BTreeSet<&str> = first
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '/')
            .filter(|word| {
                word.starts_with("lt-")
                    || word.starts_with("i-0")
                    || word.contains("dev-")
                    || word.contains("dev/")
            })
            .collect();
        let relevant = self.history.iter().filter(|line| words.iter().any(|word| line.contains(word)));
        let lines: Vec<_> = relevant.map(String::as_str).collect();
        let from = lines.len().saturating_sub(80);
        format!(
            "seed {}\n{}\nwhat happened to {words:?}:\n{}\n\nreplay: HATCHERY_SEEDS={} cargo test \
             --no-default-features --test simulation replay -- --ignored --nocapture",
            self.seed,
            self.violations.join("\n"),
            lines[from..].join("\n"),
            self.seed,
        )
    }
}

/// Runs one seed.
pub(crate) fn simulate(seed: u64, setting: &Setting) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(Simulation::new(seed, setting.clone()).run())
}

struct Simulation {
    seed: u64,
    setting: Setting,
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    book: SharedBook,
    launched: Arc<Mutex<u64>>,
    spare: usize,
}

fn dev() -> FleetName {
    "dev".parse().unwrap()
}

impl Simulation {
    fn new(seed: u64, setting: Setting) -> Self {
        let clock = Clock::virtual_from("2026-03-02T06:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = if setting.hostile { Scenario::hostile().unwrap() } else { Scenario::default() };
        scenario.policy.insert("max-databases".into(), "14".into());
        let spare = scenario.policy.get("spare").map_or(1, |spare| spare.parse().unwrap());
        let sim = SimCloud::new(scenario, seed, clock.clone());
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        Self {
            seed,
            setting,
            sim,
            clock,
            random,
            book: SharedBook::default(),
            launched: Arc::default(),
            spare,
        }
    }

    async fn run(mut self) -> Outcome {
        self.make_strangers().await;
        let book = Arc::clone(&self.book);
        self.sim.observe(Box::new(move |state, who, change| {
            book.lock().unwrap().check(state, who, change, 14);
        }));
        let live = tokio::spawn({
            let sim = self.sim.clone();
            async move { sim.live().await }
        });
        let engines: Vec<_> = (0..self.setting.engines).map(|n| tokio::spawn(self.engine_life(n))).collect();
        let people: Vec<_> = (0..self.setting.people).map(|n| tokio::spawn(self.person_life(n))).collect();
        let busy = Duration::from_secs_f64(self.setting.days * 86_400.0);
        self.clock.sleep(busy).await;
        people.iter().for_each(tokio::task::JoinHandle::abort);

        // People go home and everything goes well again: the world comes to rest.
        self.sim.calm();
        let cloud = self.sim.caller("cleaner");
        let _ = clear_failures(&cloud).await;
        let end = self.clock.now() + REST;
        let mut left = vec!["not looked at".to_owned()];
        while !left.is_empty() && self.clock.now() < end {
            self.clock.sleep(Duration::from_mins(20)).await;
            left = self.sim.look(|state| Book::at_rest(state, self.spare));
        }
        engines.iter().for_each(tokio::task::JoinHandle::abort);
        live.abort();
        self.outcome(left)
    }

    fn outcome(&self, left: Vec<String>) -> Outcome {
        let mut violations = self.book.lock().unwrap().violations.clone();
        violations.extend(left.into_iter().map(|left| format!("I7: not at rest: {left}")));
        self.sim.look(|state| {
            let mut steps: BTreeMap<String, u64> = BTreeMap::new();
            state.audit().iter().for_each(|event| *steps.entry(event.action.clone()).or_default() += 1);
            let begun = "2026-03-02T06:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            #[allow(clippy::cast_precision_loss)]
            let days = (state.now() - begun).num_minutes() as f64 / 1_440.0;
            Outcome {
                seed: self.seed,
                days,
                launched: *self.launched.lock().unwrap(),
                faults: state.faults().clone(),
                steps,
                history: state
                    .history()
                    .map(|entry| format!("{} {:<10} {}", entry.at.format("%d %T%.3f"), entry.who, entry.what))
                    .collect(),
                violations,
            }
        })
    }

    /// Another fleet, whose things nobody may touch.
    async fn make_strangers(&self) {
        let cloud = self.sim.caller("stranger");
        let name: FleetName = "devx".parse().unwrap();
        let own = loop {
            if let Ok(Some(own)) = cloud.fleet(&dev()).await {
                break own;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        };
        let new = NewFleet {
            name: name.clone(),
            policy: Policy { image_tag: "dev".into(), ..own.policy },
            instance_type: "t3.large".into(),
            security_groups: vec!["sg-0a1".into()],
            instance_profile: None,
            public_address: false,
            user_data: None,
            key_name: None,
            volume_gib: None,
        };
        let _ = cloud.create_fleet(&new).await;
    }

    fn engine(&mut self, who: &str, clock: Clock) -> Engine {
        let config = Config {
            fleet: dev(),
            person: who.to_owned(),
            host: format!("engine@{who}"),
            seed: self.random.random(),
            version: semver::Version::new(1, 0, 0),
        };
        Engine::new(self.sim.caller(who), clock, config)
    }

    /// A clock that is wrong by up to five minutes.
    fn wrong_clock(&mut self) -> Clock {
        let error = if self.setting.hostile { self.random.random_range(-300..300) } else { 0 };
        self.clock.off_by(TimeDelta::seconds(error))
    }

    /// An engine that runs, is killed at any moment, stays away for a while, and comes back.
    fn engine_life(&mut self, number: u64) -> impl Future<Output = ()> + Send + 'static {
        let clock = self.wrong_clock();
        let engine = self.engine(&format!("host-{number}"), clock);
        let mut random = ChaCha8Rng::seed_from_u64(self.random.random());
        let hostile = self.setting.hostile;
        let truth = self.clock.clone();
        async move {
            loop {
                // A process of its own: killed between any two steps of it.
                let life = random.random_range(600.0..40_000.0);
                if number.is_multiple_of(2) {
                    let options = RunOptions { background: true, refresh: Duration::from_mins(1) };
                    let (handle, mut events) = engine.run(options);
                    handle.focus(random.random_bool(0.3));
                    let _ = tokio::time::timeout(truth.real(Duration::from_secs_f64(life)), async {
                        while events.recv().await.is_some() {}
                    })
                    .await;
                    drop(handle);
                } else {
                    let passes = async {
                        loop {
                            let _ = engine.once(false).await;
                            engine.clock().sleep(Duration::from_mins(5)).await;
                        }
                    };
                    let _ = tokio::time::timeout(Duration::from_secs_f64(life), passes).await;
                }
                if hostile {
                    truth.sleep(Duration::from_secs_f64(random.random_range(1.0..7_200.0))).await;
                }
            }
        }
    }

    /// Somebody who launches, extends and terminates, and whose laptop dies now and then.
    fn person_life(&mut self, number: u64) -> impl Future<Output = ()> + Send + 'static {
        let clock = self.wrong_clock();
        let engine = self.engine(&format!("person-{number}"), clock);
        let mut random = ChaCha8Rng::seed_from_u64(self.random.random());
        let hostile = self.setting.hostile;
        let truth = self.clock.clone();
        let (book, launched) = (Arc::clone(&self.book), Arc::clone(&self.launched));
        async move {
            let mut own: Vec<EnvironmentId> = Vec::new();
            loop {
                truth.sleep(Duration::from_secs_f64(random.random_range(60.0..9_000.0))).await;
                let patience =
                    if hostile && random.random_bool(0.1) { random.random_range(0.1..20.0) } else { 3_600.0 };
                let deed = act(&engine, &mut random, &mut own, &book, &launched);
                // The laptop dies in the middle of it.
                let _ = tokio::time::timeout(Duration::from_secs_f64(patience), deed).await;
            }
        }
    }
}

async fn act(
    engine: &Engine,
    random: &mut ChaCha8Rng,
    own: &mut Vec<EnvironmentId>,
    book: &SharedBook,
    launched: &Mutex<u64>,
) {
    match random.random_range(0..10) {
        0..=4 => {
            let ttl = Duration::from_secs(random.random_range(1_800..14_400));
            let request = LaunchRequest {
                name: format!("env-{}", random.random_range(0..1_000)).parse().unwrap(),
                services: BTreeMap::new(),
                ttl: Some(ttl),
                note: None,
            };
            if let Ok(done) = engine.launch(&request).await {
                let mut book = book.lock().unwrap();
                book.confirmed.insert(done.record.to_string(), done.expires_at);
                *launched.lock().unwrap() += 1;
                own.push(done.environment);
            }
        }
        5..=7 => {
            if own.is_empty() {
                return;
            }
            let id = own[random.random_range(0..own.len())].clone();
            let by = Duration::from_secs(random.random_range(600..7_200));
            let record = engine.cloud().record_of(&id).await.ok().and_then(|seen| seen.value);
            let Some(record) = record else { return };
            if let Ok(done) = engine.extend(&id, by).await {
                book.lock().unwrap().confirmed.insert(record.id.to_string(), done.expires_at);
            }
        }
        _ => {
            if own.is_empty() {
                return;
            }
            let id = own.swap_remove(random.random_range(0..own.len()));
            let _ = engine.terminate(&id).await;
        }
    }
}

/// What a person on call does once restores work again.
async fn clear_failures(cloud: &DynCloud) -> Option<()> {
    let fleet = cloud.fleet(&dev()).await.ok()??;
    let changes = hatchery::domain::TagChanges::new().remove("hatchery:restore-failures");
    cloud.tag_fleet(&fleet.template, &changes).await.ok()?;
    Some(())
}
