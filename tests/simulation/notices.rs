//! Notices of many engines: each event is told once, and if an engine is killed while it tells it, at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Guarantee, Intervention, Scenario, SimCloud};
use hatchery::domain::notice::PoolEmpty;
use hatchery::domain::{CloudError, ErrorClass};
use hatchery::engine::{Engine, Handle, Launched, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::cloud_layer::{Call, Failure, Hook, Layer};
use crate::setup::{config, on_paused_time, request, run_events};
use crate::test_bed::error;

const ENGINES: u64 = 30;
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:news";

/// What is wrong in a run.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// The probability that an engine dies at a call of a notice.
    kill: f64,
    /// Whether several engines can claim the same notice.
    shared_claims: bool,
    /// Whether no engine can take an abandoned claim over.
    no_take_over: bool,
}

/// Kills engines at the calls of notices.
#[derive(Clone)]
struct Killer {
    conditions: Conditions,
    clock: Clock,
    shared: Arc<Mutex<Kills>>,
}

struct Kills {
    random: ChaCha8Rng,
    off: bool,
    /// The notice and the time.
    kills: Vec<(String, DateTime<Utc>)>,
}

impl Killer {
    async fn point(&self, call: &Call) {
        if !matches!(call.operation, "claim notice" | "send notice") {
            return;
        }
        let dies = {
            let mut shared = self.shared.lock().unwrap();
            let dies = shared.random.random_bool(self.conditions.kill) && !shared.off;
            if dies {
                shared.kills.push((call.target.clone(), self.clock.now()));
            }
            dies
        };
        if dies {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait::async_trait]
impl Hook for Killer {
    async fn before(&self, call: &Call) {
        self.point(call).await;
    }

    async fn after(&self, call: &Call, _: Option<&CloudError>) {
        self.point(call).await;
    }

    fn failure(&self, call: &Call) -> Option<Failure> {
        let fails = self.conditions.no_take_over && call.operation == "notice claims";
        fails.then(|| Failure::NotApplied(error(ErrorClass::Transient)))
    }
}

struct Run {
    sim: SimCloud,
    clock: Clock,
    killer: Killer,
    random: ChaCha8Rng,
    engines: Vec<(Engine, Handle)>,
    /// The marks of an empty pool, with the first and the last time at which they stood.
    episodes: Arc<Mutex<BTreeMap<DateTime<Utc>, DateTime<Utc>>>>,
}

impl Run {
    fn new(seed: u64, conditions: Conditions) -> Self {
        let clock = Clock::virtual_from("2026-03-02T08:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = Scenario { free: 1, ..Scenario::default() };
        for (setting, value) in [("spare", "1"), ("grace", "10m"), ("max-databases", "20"), ("notify", TOPIC)]
        {
            scenario.policy.insert(setting.to_owned(), value.to_owned());
        }
        scenario.latency.call = [0.03, 0.4];
        scenario.faults.lag = 4.0;
        scenario.faults.throttling = true;
        if conditions.shared_claims {
            scenario.faults.broken.insert(Guarantee::UniqueNames);
        }
        let sim = SimCloud::new(scenario, seed, clock.clone());
        let random = ChaCha8Rng::seed_from_u64(seed);
        let kills = Kills { random: ChaCha8Rng::seed_from_u64(seed ^ 0xdead), off: false, kills: Vec::new() };
        let killer = Killer { conditions, clock: clock.clone(), shared: Arc::new(Mutex::new(kills)) };
        let episodes: Arc<Mutex<BTreeMap<_, _>>> = Arc::default();
        let seen = Arc::clone(&episodes);
        sim.observe(Box::new(move |state, _, _| {
            let fleet = state.templates().find(|(_, template)| template.name == "hatchery/dev");
            if let Some(mark) = fleet.and_then(|(_, fleet)| PoolEmpty::parse(&fleet.tags)) {
                seen.lock().unwrap().insert(mark.since, state.now());
            }
        }));
        Self { sim, clock, killer, random, engines: Vec::new(), episodes }
    }

    fn start_engine(&mut self) {
        let who = format!("host-{}", self.engines.len());
        let cloud: DynCloud = Arc::new(Layer { inner: self.sim.caller(&who), hook: self.killer.clone() });
        let engine = Engine::new(cloud, self.clock.clone(), config(&who, self.random.random()));
        let (handle, _) = engine.run(RunOptions { background: true, refresh: Duration::from_mins(1) });
        self.engines.push((engine, handle));
    }

    /// Passes minutes, and replaces the engines that were killed.
    async fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.clock.sleep(Duration::from_mins(1)).await;
            let killed = self.killer.shared.lock().unwrap().kills.len() as u64;
            while (self.engines.len() as u64) < ENGINES + killed {
                self.start_engine();
            }
        }
    }

    async fn launch(&mut self, name: &str) -> Launched {
        // Its engine must not be one that was killed.
        let engine =
            Engine::new(self.sim.caller("amy"), self.clock.clone(), config("amy", self.random.random()));
        let launched = engine.launch(&request(name, Some(Duration::from_hours(1)))).await.expect("a launch");
        self.pass(5).await;
        launched
    }

    /// Lets engines tell of four environments, one of which is extended and one of which fails.
    async fn run(mut self) -> (Vec<String>, usize) {
        let events = run_events(&self.sim);
        self.pass(0).await;
        for _ in 0..ENGINES {
            self.start_engine();
        }
        let (kept, extended, failed) =
            (self.launch("kept").await, self.launch("extended").await, self.launch("failed").await);
        self.pass(25).await;
        let instance = failed.instance.clone().expect("an instance").to_string();
        assert!(self.sim.intervene("operator", &Intervention::Delete(instance)));
        while self.clock.now() + Duration::from_mins(15) < extended.expires_at {
            self.pass(1).await;
        }
        let user = Engine::new(self.sim.caller("amy"), self.clock.clone(), config("amy", 1));
        let later = user.extend(&extended.environment, Duration::from_hours(1)).await.expect("extended");
        self.pass(60).await;
        // The last ones have all the time that they need.
        self.pass(30).await;
        self.killer.shared.lock().unwrap().off = true;
        self.pass(10).await;
        events.abort();
        let warned = |launched: &Launched, kind: &str, at: DateTime<Utc>| {
            format!("{}/{kind}/{}", launched.record, at.format("%Y%m%dT%H%M%SZ"))
        };
        let mut expected: BTreeSet<_> =
            [&kept, &extended, &failed].map(|launched| format!("{}/ready", launched.record)).into();
        expected.extend([
            warned(&kept, "expires-30m", kept.expires_at),
            warned(&kept, "expires-5m", kept.expires_at),
            warned(&extended, "expires-30m", extended.expires_at),
            warned(&extended, "expires-30m", later.expires_at),
            warned(&extended, "expires-5m", later.expires_at),
            format!("{}/failed", failed.record),
        ]);
        (self.violations(expected), self.killer.shared.lock().unwrap().kills.len())
    }

    /// Compares what was told with what happened.
    fn violations(&self, expected: BTreeSet<String>) -> Vec<String> {
        let sent = self.sim.inspect(|state| state.sent_notices().to_vec());
        let mut times: BTreeMap<&str, Vec<DateTime<Utc>>> = BTreeMap::new();
        for sent in &sent {
            times.entry(&sent.message.id).or_default().push(sent.at);
        }
        let mut violations = Vec::new();
        let episodes = self.episodes.lock().unwrap();
        let name = |since: &DateTime<Utc>| format!("pool/pool-empty/{}", since.format("%Y%m%dT%H%M%SZ"));
        // Engines look every minute, and a kill costs some more.
        let lasting =
            episodes.iter().filter(|(since, last)| **last - **since > chrono::TimeDelta::minutes(15));
        let expected: BTreeSet<_> =
            expected.into_iter().chain(lasting.map(|(since, _)| name(since))).collect();
        assert!(expected.iter().any(|name| name.starts_with("pool/")), "{episodes:?}");
        let possible: BTreeSet<_> = episodes.keys().map(name).collect();
        for name in expected.iter().filter(|name| !times.contains_key(name.as_str())) {
            violations.push(format!("{name} was not told"));
        }
        let kills = &self.killer.shared.lock().unwrap().kills;
        for (name, times) in times {
            let is_failed = name.contains("/expires-")
                && sent
                    .iter()
                    .any(|sent| sent.message.id == name && sent.message.title.starts_with("failed "));
            if !expected.contains(name) && !possible.contains(name) && !is_failed {
                violations.push(format!("{name} was told and did not happen"));
            }
            let is_of = |call: &str| {
                call.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let was_killed =
                |from, to| kills.iter().any(|(call, at)| is_of(call) && from <= *at && *at <= to);
            if times.windows(2).any(|pair| !was_killed(pair[0], pair[1])) {
                violations.push(format!("{name} was told at {times:?} without a kill in between"));
            }
        }
        violations
    }
}

fn run(seed: u64, conditions: Conditions) -> (Vec<String>, usize) {
    on_paused_time(async { Run::new(seed, conditions).run().await })
}

#[test]
fn thirty_engines_tell_each_event_once() {
    for seed in 1..4 {
        assert_eq!(run(seed, Conditions::default()), (Vec::new(), 0), "seed {seed}");
    }
}

#[test]
fn killed_engines_lose_no_event() {
    let mut kills = 0;
    for seed in 1..5 {
        let (violations, killed) = run(seed, Conditions { kill: 0.15, ..Conditions::default() });
        assert_eq!(violations, [""; 0], "seed {seed}");
        kills += killed;
    }
    assert!(kills > 20, "{kills}");
}

/// Shows that the checks can fail.
#[test]
fn notices_without_protection_are_caught() {
    let shared = Conditions { shared_claims: true, ..Conditions::default() };
    let (violations, _) = run(1, shared);
    assert!(violations.iter().any(|violation| violation.contains("without a kill")), "{violations:?}");
    let abandoned = Conditions { kill: 0.3, no_take_over: true, ..Conditions::default() };
    let (violations, _) = run(1, abandoned);
    assert!(violations.iter().any(|violation| violation.contains("was not told")), "{violations:?}");
}
