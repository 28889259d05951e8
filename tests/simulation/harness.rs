//! One simulation: engines, people, and an account in which things go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::domain::{NewFleet, Policy, TagChanges};
use hatchery::engine::{Engine, EngineConfig, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use semver::Version;

use crate::cloud_layer::Layer;
use crate::crash_injector::{CrashSchedule, FaultSwitch, Frail};
use crate::engine_invariants::{ResetHandle, Witness};
use crate::invariants::{InvariantChecker, REST, SharedBook};
use crate::mutants::{Broken, Mutant};
use crate::setup::{config, dev, live, on_paused_time};
use crate::users::Person;

/// The versions of the engines: some are not kept up to date.
const OLD: Version = Version::new(0, 9, 0);
const NEW: Version = Version::new(1, 0, 0);

/// How a simulation is set up.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) hostile: bool,
    pub(crate) engines: u64,
    pub(crate) people: u64,
    pub(crate) days: f64,
    /// What is broken on purpose.
    pub(crate) mutant: Option<Mutant>,
    /// Whether the whole history is kept, with what everybody saw.
    pub(crate) history: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { hostile: true, engines: 4, people: 4, days: 1.5, mutant: None, history: false }
    }
}

/// The databases that the policy of every simulation allows.
const CEILING: usize = 14;

/// What one engine may ask of a quiet account in an hour, whatever its pages: a look a minute with its three listings in at
/// most two pages each, and what it reads of snapshots, images, subnets and the audit log.
const QUIET: u64 = 550;

/// What came of a simulation.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) days: f64,
    pub(crate) launched: u64,
    pub(crate) requests: u64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) steps: BTreeMap<String, u64>,
    pub(crate) history: Vec<String>,
    pub(crate) violations: Vec<String>,
}

impl Outcome {
    /// The seed, what was violated, the last so many entries of the history of what it was violated by, and how to replay it.
    pub(crate) fn report(&self, most: usize) -> String {
        if self.violations.is_empty() {
            return format!("seed {}: all holds", self.seed);
        }
        let words: BTreeSet<&str> = self
            .violations
            .iter()
            .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '/'))
            .filter(|word| {
                word.starts_with("lt-")
                    || word.starts_with("i-0")
                    || word.contains("dev-")
                    || word.contains("dev/")
            })
            .collect();
        let relevant = self.history.iter().filter(|line| words.iter().any(|word| line.contains(word)));
        let lines: Vec<_> = relevant.map(String::as_str).collect();
        let from = lines.len().saturating_sub(most);
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
    on_paused_time(async { Simulation::new(seed, setting.clone()).run().await })
}

struct Simulation {
    seed: u64,
    setting: Setting,
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    checker: SharedBook,
    launched: Arc<Mutex<u64>>,
    fault_switch: Arc<FaultSwitch>,
    spare: usize,
}

impl Simulation {
    fn new(seed: u64, setting: Setting) -> Self {
        let clock = Clock::virtual_from("2026-03-02T06:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = if setting.hostile { Scenario::hostile().unwrap() } else { Scenario::default() };
        scenario.policy.insert("max-databases".into(), CEILING.to_string());
        scenario.faults.broken.extend(setting.mutant.and_then(Mutant::broken_guarantee));
        let spare = scenario.policy.get("spare").map_or(1, |spare| spare.parse().unwrap());
        let sim = SimCloud::new(scenario, seed, clock.clone());
        sim.keep_history(if setting.history { 1_000_000 } else { 0 });
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let (checker, launched, fault_switch) = Default::default();
        Self { seed, setting, sim, clock, random, checker, launched, fault_switch, spare }
    }

    async fn run(mut self) -> Outcome {
        let grace = self.make_strangers().await;
        self.open_book(grace);
        let live = live(&self.sim);
        let engines: Vec<_> = (0..self.setting.engines).map(|n| tokio::spawn(self.engine_life(n))).collect();
        let people: Vec<_> =
            (0..self.setting.people).map(|n| tokio::spawn(self.person(n, grace).live())).collect();
        let busy = Duration::from_secs_f64(self.setting.days * 86_400.0);
        self.pass(busy / 2).await;
        self.want_newer_engines().await;
        self.pass(busy / 2).await;
        people.iter().for_each(tokio::task::JoinHandle::abort);

        // People go home and everything goes well again: the world comes to rest.
        self.sim.clear_faults();
        self.fault_switch.calm();
        let cloud = self.sim.caller("cleaner");
        let _ = clear_failures(&cloud).await;
        let end = self.clock.now() + REST;
        let mut left = vec!["not looked at".to_owned()];
        while !left.is_empty() && self.clock.now() < end && !self.is_caught() {
            self.clock.sleep(Duration::from_mins(20)).await;
            left = self.sim.inspect(|state| InvariantChecker::at_rest(state, self.spare));
        }
        self.rest().await;
        engines.iter().for_each(tokio::task::JoinHandle::abort);
        live.abort();
        self.outcome(left)
    }

    /// Lets time pass, unless what was to be seen has been seen.
    async fn pass(&self, time: Duration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end && !self.is_caught() {
            let left = (end - self.clock.now()).to_std().unwrap_or_default();
            self.clock.sleep(left.min(Duration::from_hours(1))).await;
        }
    }

    /// Whether the mutant of this simulation has shown itself.
    fn is_caught(&self) -> bool {
        let Some(mutant) = self.setting.mutant else { return false };
        self.checker.lock().unwrap().violations.iter().any(|line| mutant.shows_in(line))
    }

    fn open_book(&self, grace: TimeDelta) {
        {
            let mut checker = self.checker.lock().unwrap();
            (checker.ceiling, checker.grace) = (CEILING, grace);
        }
        let checker = Arc::clone(&self.checker);
        self.sim.inspect(|state| checker.lock().unwrap().begin(state));
        self.sim
            .observe(Box::new(move |state, who, change| checker.lock().unwrap().check(state, who, change)));
    }

    /// I10: a fleet at rest asks for little.
    async fn rest(&self) {
        let requests = || self.sim.inspect(|state| state.requests().values().sum::<u64>());
        let before = requests();
        self.clock.sleep(Duration::from_hours(2)).await;
        let an_hour = (requests() - before) / 2;
        let most = QUIET * self.setting.engines;
        if an_hour > most {
            let what = format!("I10: {an_hour} requests an hour at rest, and {most} are enough");
            self.checker.lock().unwrap().violations.push(what);
        }
    }

    /// From the middle on, the policy wants engines that not everybody has.
    async fn want_newer_engines(&self) {
        let cloud = self.sim.caller("admin");
        let changes = TagChanges::new().set("hatchery:min-version", NEW.to_string());
        loop {
            if let Ok(Some(fleet)) = cloud.fleet(&dev()).await
                && cloud.tag_fleet(&fleet.template, &changes).await.is_ok()
            {
                break;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        }
        // Reads lag.
        let from = self.clock.now() + TimeDelta::seconds(10);
        self.checker.lock().unwrap().outdated_from = Some(from);
    }

    fn outcome(&self, left: Vec<String>) -> Outcome {
        let mut violations = self.checker.lock().unwrap().violations.clone();
        violations.extend(left.into_iter().map(|left| format!("I7: not at rest: {left}")));
        self.sim.inspect(|state| {
            let mut steps: BTreeMap<String, u64> = BTreeMap::new();
            state.audit().iter().for_each(|event| *steps.entry(event.action.clone()).or_default() += 1);
            let begun = "2026-03-02T06:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            #[allow(clippy::cast_precision_loss)]
            let days = (state.now() - begun).num_minutes() as f64 / 1_440.0;
            Outcome {
                seed: self.seed,
                setting: self.setting.clone(),
                days,
                launched: *self.launched.lock().unwrap(),
                requests: state.requests().values().sum(),
                faults: state
                    .faults()
                    .iter()
                    .map(|(kind, n)| (*kind, *n))
                    .chain(self.fault_switch.faults())
                    .collect(),
                steps,
                history: state
                    .history()
                    .map(|entry| format!("{} {:<10} {}", entry.at.format("%d %T%.3f"), entry.who, entry.what))
                    .collect(),
                violations,
            }
        })
    }

    /// Another fleet, whose things nobody may touch. The grace of our own.
    async fn make_strangers(&self) -> TimeDelta {
        let cloud = self.sim.caller("stranger");
        let own = loop {
            if let Ok(Some(own)) = cloud.fleet(&dev()).await {
                break own;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        };
        let grace = TimeDelta::from_std(own.policy.grace).unwrap();
        let new = NewFleet {
            name: "devx".parse().unwrap(),
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
        grace
    }

    fn maker(&mut self, who: String, old: bool) -> Maker {
        let error = if self.setting.hostile { self.random.random_range(-300..300) } else { 0 };
        Maker {
            who,
            old,
            setting: self.setting.clone(),
            truth: self.clock.clone(),
            clock: self.clock.off_by(TimeDelta::seconds(error)),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            fault_switch: Arc::clone(&self.fault_switch),
            random: ChaCha8Rng::seed_from_u64(self.random.random()),
        }
    }

    /// An engine that runs, dies before or after any of its calls, stays away for a while, and comes back.
    fn engine_life(&mut self, number: u64) -> impl Future<Output = ()> + Send + 'static {
        // The last one is not kept up to date.
        let old = number + 1 == self.setting.engines;
        let mut maker = self.maker(format!("host-{number}"), old);
        let mut random = ChaCha8Rng::seed_from_u64(self.random.random());
        let hostile = self.setting.hostile;
        let truth = self.clock.clone();
        async move {
            loop {
                let life = if hostile {
                    CrashSchedule::of(random.random_range(1..5_000))
                } else {
                    CrashSchedule::eternal()
                };
                let (engine, _) = maker.process(Arc::clone(&life));
                if number.is_multiple_of(2) {
                    let hasty = maker.setting.mutant == Some(Mutant::Hasty);
                    let refresh = if hasty { Duration::from_secs(1) } else { Duration::from_mins(1) };
                    let (handle, events) = engine.run(RunOptions { background: true, refresh });
                    // Nobody reads: a dead process has no screen, and a headless one has none either.
                    drop(events);
                    handle.focus(random.random_bool(0.6));
                    life.over.notified().await;
                    drop(handle);
                } else {
                    let passes = async {
                        loop {
                            let _ = engine.once(false).await;
                            engine.clock().sleep(Duration::from_mins(5)).await;
                        }
                    };
                    tokio::select! {
                        biased;
                        () = passes => {}
                        () = life.over.notified() => {}
                    }
                }
                truth.sleep(Duration::from_secs_f64(random.random_range(1.0..7_200.0))).await;
            }
        }
    }

    fn person(&mut self, number: u64, grace: TimeDelta) -> Person {
        let (engine, rebirth) =
            self.maker(format!("person-{number}"), false).process(CrashSchedule::eternal());
        Person {
            engine,
            rebirth,
            random: ChaCha8Rng::seed_from_u64(self.random.random()),
            hostile: self.setting.hostile,
            truth: self.clock.clone(),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            launched: Arc::clone(&self.launched),
            grace,
            own: Vec::new(),
        }
    }
}

/// Makes the processes of one person or host, one after the other.
struct Maker {
    who: String,
    old: bool,
    setting: Setting,
    truth: Clock,
    /// Its own clock, which is wrong by up to five minutes.
    clock: Clock,
    sim: SimCloud,
    checker: SharedBook,
    fault_switch: Arc<FaultSwitch>,
    random: ChaCha8Rng,
}

impl Maker {
    /// A process: an engine, what is broken about it, who watches it, and what its network does.
    fn process(&mut self, life: Arc<CrashSchedule>) -> (Engine, ResetHandle) {
        let mutant = self.setting.mutant;
        let seed = self.random.random();
        let frail =
            Frail::new(self.setting.hostile, seed, self.truth.clone(), life, Arc::clone(&self.fault_switch));
        let network: DynCloud = Arc::new(Layer { inner: self.sim.caller(&self.who), hook: frail });
        let checker = Arc::clone(&self.checker);
        let (witness, rebirth) = Witness::new(&self.who, self.truth.clone(), checker, self.old);
        let watched: DynCloud = Arc::new(Layer { inner: network, hook: witness });
        let cloud = match mutant {
            Some(_) => Arc::new(Layer { inner: watched, hook: Broken::new(mutant, self.clock.clone()) }),
            None => watched,
        };
        let version = if self.old && mutant != Some(Mutant::AnyVersion) { OLD } else { NEW };
        let config = EngineConfig { version, ..config(&self.who, self.random.random()) };
        (Engine::new(cloud, self.clock.clone(), config), rebirth)
    }
}

/// What a person on call does once restores work again.
async fn clear_failures(cloud: &DynCloud) -> Option<()> {
    let fleet = cloud.fleet(&dev()).await.ok()??;
    let changes = TagChanges::new().remove("hatchery:restore-failures");
    cloud.tag_fleet(&fleet.template, &changes).await.ok()?;
    Some(())
}
