//! One simulation: engines and users in an account with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use hatchery::clock::Clock;
use hatchery::cloud::DynCloud;
use hatchery::cloud::sim::{Entry, Scenario, SimCloud};
use hatchery::domain::{FleetName, Policy, TagChanges};
use hatchery::engine::{Engine, EngineConfig, RunOptions};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use semver::Version;

use crate::cloud_layer::Layer;
use crate::crash_injector::{CrashInjector, CrashSchedule, FaultSwitch, HangObserver};
use crate::deployers::Deployer;
use crate::engine_invariants::{EngineInvariants, ResetHandle};
use crate::invariants::{MAX_TIME_TO_IDLE, SharedChecker};
use crate::mutants::{Mutant, MutantLayer};
use crate::ownership::leftovers;
use crate::setup::{config, dev, new_fleet, on_paused_time, run_events};
use crate::swarm_run::SwarmSimulation;
use crate::users::User;

/// One engine stays at the old version.
const OLD: Version = Version::new(0, 9, 0);
pub(crate) const NEW: Version = Version::new(1, 0, 0);

#[derive(Debug, Clone)]
pub(crate) struct SimulationConfig {
    pub(crate) hostile: bool,
    /// Whether the seed draws its own faults, fleets and people; see [`crate::swarm`].
    pub(crate) swarm: bool,
    pub(crate) engines: u64,
    pub(crate) users: u64,
    pub(crate) days: f64,
    /// The protection that is removed, if any.
    pub(crate) mutant: Option<Mutant>,
    /// Whether the history of all calls is kept.
    pub(crate) history: bool,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self { hostile: true, swarm: false, engines: 4, users: 4, days: 1.5, mutant: None, history: false }
    }
}

/// `max-databases` of every simulation's policy.
const MAX_DATABASES: usize = 14;

/// Requests an hour that one engine may send while the fleet is idle: an observation a minute of three listings of up to two
/// pages each, plus the reads of snapshots, images, subnets and the audit log.
const MAX_IDLE_REQUESTS: u64 = 550;

pub(crate) struct SimulationResult {
    pub(crate) seed: u64,
    pub(crate) config: SimulationConfig,
    pub(crate) days: f64,
    pub(crate) launched: u64,
    pub(crate) requests: u64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) steps: BTreeMap<String, u64>,
    pub(crate) history: Vec<String>,
    pub(crate) violations: Vec<String>,
}

impl SimulationResult {
    pub(crate) fn collect(
        seed: u64,
        config: SimulationConfig,
        sim: &SimCloud,
        launched: u64,
        fault_switch: &FaultSwitch,
        violations: Vec<String>,
    ) -> Self {
        sim.inspect(|state| {
            let mut steps: BTreeMap<String, u64> = BTreeMap::new();
            state.audit().iter().for_each(|event| *steps.entry(event.action.to_string()).or_default() += 1);
            let begun = "2026-03-02T06:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            #[allow(clippy::cast_precision_loss)]
            let days = (state.now() - begun).num_minutes() as f64 / 1_440.0;
            let faults = state.faults().iter().map(|(kind, n)| (*kind, *n)).chain(fault_switch.faults());
            let entry =
                |entry: &Entry| format!("{} {:<10} {}", entry.at.format("%d %T%.3f"), entry.who, entry.what);
            Self {
                seed,
                config,
                days,
                launched,
                requests: state.requests().values().sum(),
                faults: faults.collect(),
                steps,
                history: state.history().map(entry).collect(),
                violations,
            }
        })
    }

    /// Formats the seed, its violations, at most `max_lines` history entries about the resources in the violations, and the
    /// command that replays the seed.
    pub(crate) fn report(&self, max_lines: usize) -> String {
        if self.violations.is_empty() {
            return format!("seed {}: no violations", self.seed);
        }
        let ids: BTreeSet<&str> = self
            .violations
            .iter()
            .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '/'))
            .filter(|word| {
                word.starts_with("lt-")
                    || word.starts_with("i-0")
                    || ["dev", "ops", "qa"].iter().any(|fleet| {
                        word.contains(&format!("{fleet}-")) || word.contains(&format!("{fleet}/"))
                    })
            })
            .collect();
        let more = std::env::var("HATCHERY_ABOUT").unwrap_or_default();
        let ids: BTreeSet<&str> = ids.into_iter().chain(more.split_terminator(',')).collect();
        let relevant = self.history.iter().filter(|line| ids.iter().any(|id| line.contains(id)));
        let lines: Vec<_> = relevant.map(String::as_str).collect();
        let from = lines.len().saturating_sub(max_lines);
        format!(
            "seed {}\n{}\nhistory of {ids:?}:\n{}\n\nreplay: HATCHERY_SEEDS={} cargo test \
             --no-default-features --test simulation {} -- --ignored --nocapture",
            self.seed,
            self.violations.join("\n"),
            lines[from..].join("\n"),
            self.seed,
            if self.config.swarm { "replay_swarm" } else { "replay" },
        )
    }
}

/// Runs one seed.
pub(crate) fn simulate(seed: u64, config: &SimulationConfig) -> SimulationResult {
    let config = config.clone();
    on_paused_time(async {
        if config.swarm {
            SwarmSimulation::new(seed, config).run().await
        } else {
            Simulation::new(seed, config).run().await
        }
    })
}

struct Simulation {
    seed: u64,
    config: SimulationConfig,
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    checker: SharedChecker,
    launched: Arc<Mutex<u64>>,
    fault_switch: Arc<FaultSwitch>,
    spare: usize,
}

impl Simulation {
    fn new(seed: u64, config: SimulationConfig) -> Self {
        let clock = Clock::virtual_from("2026-03-02T06:00:00Z".parse().unwrap(), 1.0);
        let mut scenario = if config.hostile { Scenario::hostile().unwrap() } else { Scenario::default() };
        scenario.policy.insert("max-databases".into(), MAX_DATABASES.to_string());
        scenario.faults.broken.extend(config.mutant.and_then(Mutant::broken_guarantee));
        let spare = scenario.policy.get("spare").map_or(1, |spare| spare.parse().unwrap());
        let sim = SimCloud::new(scenario, seed, clock.clone());
        sim.limit_history(if config.history { 1_000_000 } else { 0 });
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let (checker, launched, fault_switch) = Default::default();
        Self { seed, config, sim, clock, random, checker, launched, fault_switch, spare }
    }

    async fn run(mut self) -> SimulationResult {
        let grace = self.create_other_fleet().await;
        self.attach_checker();
        let events = run_events(&self.sim);
        let engines: Vec<_> = (0..self.config.engines).map(|n| tokio::spawn(self.run_engine(n))).collect();
        let users: Vec<_> = (0..self.config.users).map(|n| tokio::spawn(self.user(n, grace).run())).collect();
        let deployer =
            Deployer::is_in(self.seed, self.config.mutant).then(|| tokio::spawn(self.deployer().run()));
        let busy = Duration::from_secs_f64(self.config.days * 86_400.0);
        self.wait(busy / 2).await;
        self.raise_min_version().await;
        self.wait(busy / 2).await;
        users.iter().chain(&deployer).for_each(tokio::task::JoinHandle::abort);

        // Users stop and faults end, so the fleet must converge to its idle state (I7).
        self.sim.clear_faults();
        self.fault_switch.turn_off();
        let cloud: DynCloud = self.sim.caller("cleaner");
        let _ = clear_failures(&cloud).await;
        let end = self.clock.now() + MAX_TIME_TO_IDLE;
        let mut left = vec!["not checked yet".to_owned()];
        while !left.is_empty() && self.clock.now() < end && !self.is_caught() {
            self.clock.sleep(Duration::from_mins(20)).await;
            left = self.sim.inspect(|state| leftovers(state, "dev", Some(self.spare)));
        }
        self.check_idle_requests().await;
        engines.iter().for_each(tokio::task::JoinHandle::abort);
        events.abort();
        self.outcome(left)
    }

    /// Waits, but no longer than until the mutant is caught.
    async fn wait(&self, time: Duration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end && !self.is_caught() {
            let left = (end - self.clock.now()).to_std().unwrap_or_default();
            self.clock.sleep(left.min(Duration::from_hours(1))).await;
            self.sample_deployments();
        }
    }

    /// I11, as far as it is about deployments; the swarm has the rest.
    fn sample_deployments(&self) {
        let checker = Arc::clone(&self.checker);
        self.sim.inspect(|state| {
            let mut checker = checker.lock().unwrap();
            let since = checker.alive.since("dev").filter(|_| !state.is_hindered());
            for what in checker.deployments.sample(state, &dev(), since) {
                checker.report(format!("I11 at {}: {what}", state.now().format("%F %T")));
            }
        });
    }

    /// Whether a violation shows this simulation's mutant.
    fn is_caught(&self) -> bool {
        let Some(mutant) = self.config.mutant else { return false };
        self.checker.lock().unwrap().violations.iter().any(|line| mutant.is_caught_by(line))
    }

    fn attach_checker(&self) {
        let checker = Arc::clone(&self.checker);
        self.sim.inspect(|state| checker.lock().unwrap().begin(state, &["dev"]));
        self.sim
            .observe(Box::new(move |state, who, change| checker.lock().unwrap().check(state, who, change)));
    }

    /// I10: the engines of an idle fleet send a bounded number of requests.
    async fn check_idle_requests(&self) {
        let requests = || self.sim.inspect(|state| state.requests().values().sum::<u64>());
        let before = requests();
        self.clock.sleep(Duration::from_hours(2)).await;
        let per_hour = (requests() - before) / 2;
        let max = MAX_IDLE_REQUESTS * self.config.engines;
        if per_hour > max {
            let what = format!("I10: {per_hour} requests an hour while idle, at most {max} allowed");
            self.checker.lock().unwrap().violations.push(what);
        }
    }

    /// Raises `min-version` above the version of the old engine.
    async fn raise_min_version(&self) {
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
        // Reads are stale by up to 8 s.
        let from = self.clock.now() + TimeDelta::seconds(10);
        self.checker.lock().unwrap().outdated_from = Some(from);
    }

    fn outcome(&self, left: Vec<String>) -> SimulationResult {
        let mut violations = self.checker.lock().unwrap().violations.clone();
        violations.extend(left.into_iter().map(|left| format!("I7: not idle: {left}")));
        let launched = *self.launched.lock().unwrap();
        let config = self.config.clone();
        SimulationResult::collect(self.seed, config, &self.sim, launched, &self.fault_switch, violations)
    }

    /// Creates another fleet, which no engine may change; returns the grace period of this one.
    async fn create_other_fleet(&self) -> TimeDelta {
        let cloud = self.sim.caller("stranger");
        let fleet = loop {
            if let Ok(Some(fleet)) = cloud.fleet(&dev()).await {
                break fleet;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        };
        let grace = TimeDelta::from_std(fleet.policy.grace).unwrap();
        let new = new_fleet("devx", Policy { image_tag: "dev".into(), ..fleet.policy });
        let _ = cloud.create_fleet(&new, None).await;
        grace
    }

    fn factory(&mut self, who: String, old: bool) -> ProcessFactory {
        let mut random = self.random.clone();
        let factory = self.factory_from(&mut random, who, old);
        self.random = random;
        factory
    }

    fn factory_from(&self, random: &mut ChaCha8Rng, who: String, old: bool) -> ProcessFactory {
        let error = if self.config.hostile { random.random_range(-300..300) } else { 0 };
        ProcessFactory {
            who,
            fleet: dev(),
            old,
            config: self.config.clone(),
            true_clock: self.clock.clone(),
            clock: self.clock.off_by(TimeDelta::seconds(error)),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            fault_switch: Arc::clone(&self.fault_switch),
            random: ChaCha8Rng::seed_from_u64(random.random()),
        }
    }

    fn run_engine(&mut self, number: u64) -> impl Future<Output = ()> + Send + 'static {
        // The last engine stays at the old version.
        let old = number + 1 == self.config.engines;
        let factory = self.factory(format!("host-{number}"), old);
        let random = ChaCha8Rng::seed_from_u64(self.random.random());
        run_engine(factory, number.is_multiple_of(2), random)
    }

    fn deployer(&self) -> Deployer {
        let random = ChaCha8Rng::seed_from_u64(self.seed ^ 0xde_9107);
        Deployer::new(random, &self.sim, &self.clock, &self.checker, self.config.hostile, |random, who| {
            self.factory_from(random, who.to_owned(), false).process(CrashSchedule::never())
        })
    }

    fn user(&mut self, number: u64, grace: TimeDelta) -> User {
        let (engine, reset_handle) =
            self.factory(format!("user-{number}"), false).process(CrashSchedule::never());
        User {
            engine,
            reset_handle,
            random: ChaCha8Rng::seed_from_u64(self.random.random()),
            resets: ChaCha8Rng::seed_from_u64(self.seed ^ (0xe5e7 + number)),
            hostile: self.config.hostile,
            true_clock: self.clock.clone(),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            launched: Arc::clone(&self.launched),
            grace,
            environments: Vec::new(),
        }
    }
}

/// Runs an engine that crashes before or after one of its calls, and restarts after up to two hours. It loops, or makes passes like a scheduled
/// engine.
pub(crate) async fn run_engine(mut factory: ProcessFactory, loops: bool, mut random: ChaCha8Rng) {
    let hostile = factory.config.hostile;
    let true_clock = factory.true_clock.clone();
    let alive = factory.alive_observer();
    if !loops {
        let fleet = factory.fleet.as_str();
        factory.checker.lock().unwrap().refusals.add_scheduled_engine(fleet);
    }
    loop {
        let schedule = if hostile {
            CrashSchedule::after(random.random_range(1..5_000))
        } else {
            CrashSchedule::never()
        };
        let (engine, _) = factory.process(Arc::clone(&schedule));
        alive(true);
        if loops {
            let is_fast = factory.config.mutant == Some(Mutant::RefreshEverySecond);
            let refresh = if is_fast { Duration::from_secs(1) } else { Duration::from_mins(1) };
            let (handle, events) = engine.run(RunOptions { background: true, refresh });
            // Headless: no dashboard reads the events.
            drop(events);
            handle.focus(random.random_bool(0.6));
            schedule.crashed.notified().await;
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
                () = schedule.crashed.notified() => {}
            }
        }
        alive(false);
        true_clock.sleep(Duration::from_secs_f64(random.random_range(1.0..7_200.0))).await;
    }
}

/// Starts the processes of one user or host, one after the other.
pub(crate) struct ProcessFactory {
    pub(crate) who: String,
    pub(crate) fleet: FleetName,
    pub(crate) old: bool,
    pub(crate) config: SimulationConfig,
    pub(crate) true_clock: Clock,
    /// The local clock, wrong by up to five minutes.
    pub(crate) clock: Clock,
    pub(crate) sim: SimCloud,
    pub(crate) checker: SharedChecker,
    pub(crate) fault_switch: Arc<FaultSwitch>,
    pub(crate) random: ChaCha8Rng,
}

impl ProcessFactory {
    /// Returns an observer of when an engine runs, and does not hang. An old one only observes once `min-version` is raised, so it does not count.
    fn alive_observer(&self) -> HangObserver {
        let (checker, fleet, clock) =
            (Arc::clone(&self.checker), self.fleet.clone(), self.true_clock.clone());
        let is_old = self.old;
        Arc::new(move |is_alive| {
            if !is_old {
                checker.lock().unwrap().alive.set(fleet.as_str(), is_alive, clock.now());
            }
        })
    }

    /// Starts a process: an engine whose calls pass through its mutant, the invariants, and the crash injector.
    pub(crate) fn process(&mut self, schedule: Arc<CrashSchedule>) -> (Engine, ResetHandle) {
        let mutant = self.config.mutant;
        let seed = self.random.random();
        let injector = CrashInjector::new(
            self.config.hostile,
            seed,
            self.true_clock.clone(),
            schedule,
            Arc::clone(&self.fault_switch),
            self.who.contains("host-").then(|| self.alive_observer()),
        );
        let network: DynCloud = Arc::new(Layer { inner: self.sim.caller(&self.who), hook: injector });
        let checker = Arc::clone(&self.checker);
        let (invariants, reset_handle) =
            EngineInvariants::new(&self.who, self.true_clock.clone(), checker, self.old);
        let watched: DynCloud = Arc::new(Layer { inner: network, hook: invariants });
        let cloud = match mutant {
            Some(_) => Arc::new(Layer {
                inner: watched,
                hook: MutantLayer::new(mutant, self.clock.clone(), &self.who),
            }),
            None => watched,
        };
        let version = if self.old && mutant != Some(Mutant::IgnoreMinVersion) { OLD } else { NEW };
        let config =
            EngineConfig { version, fleet: self.fleet.clone(), ..config(&self.who, self.random.random()) };
        (Engine::new(cloud, self.clock.clone(), config), reset_handle)
    }
}

/// Clears the failure budget, as the on-call engineer does once restores work again.
async fn clear_failures(cloud: &DynCloud) -> Option<()> {
    let fleet = cloud.fleet(&dev()).await.ok()??;
    let changes = TagChanges::new().remove("hatchery:restore-failures");
    cloud.tag_fleet(&fleet.template, &changes).await.ok()?;
    Some(())
}
