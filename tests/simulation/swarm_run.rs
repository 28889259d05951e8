//! One simulation of the swarm: the fleets, engines, users, operator and administrator of a seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hatchery::clock::Clock;
use hatchery::cloud::sim::{Delivery, Intervention, SimCloud};
use hatchery::domain::policy::Setting;
use hatchery::domain::{FleetName, Policy, Tags};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinHandle;

use crate::crash_injector::{CrashSchedule, FaultSwitch};
use crate::deployers::Deployer;
use crate::harness::{NEW, ProcessFactory, SimulationConfig, SimulationResult, run_engine};
use crate::invariants::{MAX_TIME_TO_IDLE, SharedChecker};
use crate::liveness::{Liveness, describe_plan, true_world};
use crate::mutants::Mutant;
use crate::operator::{ADMINISTRATOR, Operator, fleet_template};
use crate::ownership::leftovers;
use crate::people::Person;
use crate::setup::{new_fleet, run_events};
use crate::swarm::{Hazard, Swarm, SwarmFleet};
use crate::swarm_notices;

/// How often liveness is checked.
const SAMPLE: Duration = Duration::from_mins(10);

pub(crate) struct SwarmSimulation {
    seed: u64,
    config: SimulationConfig,
    swarm: Swarm,
    sim: SimCloud,
    clock: Clock,
    random: ChaCha8Rng,
    checker: SharedChecker,
    launched: Arc<Mutex<u64>>,
    fault_switch: Arc<FaultSwitch>,
    /// The settings of each fleet, which the administrator puts back at the end.
    settings: BTreeMap<&'static str, Tags>,
}

impl SwarmSimulation {
    pub(crate) fn new(seed: u64, config: SimulationConfig) -> Self {
        let mut swarm = Swarm::draw(seed);
        // Only the hold of an environment that has failed shows an engine that ignores holds: the others last as long as their expiry.
        if matches!(config.mutant, Some(Mutant::IgnoreHolds | Mutant::EndlessHolds)) {
            swarm.hazards.entry(Hazard::Holds).or_insert(0.5);
            swarm.scenario.faults.instance_failures_per_day = 6.0;
        }
        swarm.scenario.faults.broken.extend(config.mutant.and_then(crate::mutants::Mutant::broken_guarantee));
        let clock = Clock::virtual_from("2026-03-02T06:00:00Z".parse().unwrap(), 1.0);
        let sim = SimCloud::new(swarm.scenario.clone(), seed, clock.clone());
        sim.limit_history(if config.history { 2_000_000 } else { 0 });
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let (checker, launched, fault_switch, settings) = Default::default();
        Self { seed, config, swarm, sim, clock, random, checker, launched, fault_switch, settings }
    }

    fn names(&self) -> Vec<&'static str> {
        self.swarm.fleets.iter().map(|fleet| fleet.name).collect()
    }

    pub(crate) async fn run(mut self) -> SimulationResult {
        self.create_fleets().await;
        self.attach_checker();
        let events = run_events(&self.sim);
        let fleets = self.swarm.fleets.clone();
        let mut engines = Vec::new();
        let mut people = Vec::new();
        for fleet in &fleets {
            engines.extend((0..fleet.engines).map(|n| self.engine(fleet, n)));
            people.extend((0..fleet.users).map(|n| tokio::spawn(self.person(fleet, n).run())));
        }
        if Deployer::is_in(self.seed, self.config.mutant) {
            people.extend(fleets.iter().map(|fleet| tokio::spawn(self.deployer(fleet).run())));
        }
        people.push(tokio::spawn(self.operator().operate()));
        people.push(tokio::spawn(self.operator().administer()));
        if self.swarm.has(Hazard::Notices) {
            people.push(tokio::spawn(swarm_notices::disturb(
                self.seed,
                self.sim.clone(),
                self.clock.clone(),
            )));
        }
        let mut liveness = Liveness::new(&fleets, NEW);
        let has = |hazard| self.swarm.has(hazard);
        liveness.flaky_restores = has(Hazard::FailedRestores) || has(Hazard::HangingRestores);
        liveness.database_quota =
            self.swarm.scenario.faults.database_quota.map_or(usize::MAX, |quota| quota as usize);
        self.wait(self.swarm.days, &mut liveness).await;
        people.iter().for_each(JoinHandle::abort);

        // People stop and faults end, so the fleets must converge to their idle state (I7).
        self.sim.clear_faults();
        self.sim.set_delivery(Delivery::Works);
        self.fault_switch.turn_off();
        let end = self.clock.now() + MAX_TIME_TO_IDLE;
        let mut left = vec!["not checked yet".to_owned()];
        while !left.is_empty() && self.clock.now() < end && !self.is_caught() {
            self.tidy();
            self.clock.sleep(Duration::from_mins(20)).await;
            left = self.leftovers();
        }
        engines.iter().for_each(JoinHandle::abort);
        events.abort();
        let violations = self.checker.lock().unwrap().violations.clone();
        let left = left.into_iter().map(|left| format!("I7: not idle: {left}"));
        let repeated = swarm_notices::repeated(&self.sim, &self.swarm);
        let violations = violations.into_iter().chain(left).chain(repeated).collect();
        let launched = *self.launched.lock().unwrap();
        SimulationResult::collect(self.seed, self.config, &self.sim, launched, &self.fault_switch, violations)
    }

    /// Waits for days, but no longer than until the mutant is caught.
    async fn wait(&self, days: f64, liveness: &mut Liveness) {
        let end = self.clock.now() + TimeDelta::from_std(Duration::from_secs_f64(days * 86_400.0)).unwrap();
        while self.clock.now() < end && !self.is_caught() {
            self.clock.sleep(SAMPLE).await;
            let checker = Arc::clone(&self.checker);
            self.sim.inspect(|state| liveness.sample(state, &mut checker.lock().unwrap()));
        }
    }

    fn is_caught(&self) -> bool {
        let Some(mutant) = self.config.mutant else { return false };
        self.checker.lock().unwrap().violations.iter().any(|line| mutant.is_caught_by(line))
    }

    /// Creates the fleets other than the first one, and one that no engine may change.
    async fn create_fleets(&mut self) {
        let cloud = self.sim.caller("stranger");
        let first = loop {
            if let Ok(Some(fleet)) = cloud.fleet(&"dev".parse().unwrap()).await {
                break fleet;
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        };
        let others = self.swarm.fleets[1..].iter().map(|fleet| (fleet.name, fleet.policy.clone()));
        for (name, settings) in others.chain([("devx", BTreeMap::new())]).collect::<Vec<_>>() {
            let mut policy = Policy { image_tag: "dev".into(), ..first.policy.clone() };
            for (setting, value) in &settings {
                let setting = Setting::find(setting).expect("a setting");
                setting.set(&mut policy, value).expect("a valid value");
            }
            let new = new_fleet(name, policy);
            while !matches!(cloud.create_fleet(&new, None).await, Err(error) if error.is(hatchery::domain::ErrorClass::AlreadyExists))
            {
                self.clock.sleep(Duration::from_secs(1)).await;
            }
        }
        self.settings = self.sim.inspect(|state| {
            let tags = |name: &'static str| {
                let own = format!("hatchery/{name}");
                let template = state.templates().find(|(_, template)| template.name == own);
                template.map(|(_, template)| (name, template.tags.clone()))
            };
            self.names().into_iter().filter_map(tags).collect()
        });
    }

    fn attach_checker(&self) {
        let checker = Arc::clone(&self.checker);
        let names = self.names();
        self.sim.inspect(|state| checker.lock().unwrap().begin(state, &names));
        self.sim
            .observe(Box::new(move |state, who, change| checker.lock().unwrap().check(state, who, change)));
    }

    fn factory(&mut self, fleet: &SwarmFleet, who: &str) -> ProcessFactory {
        let mut random = self.random.clone();
        let factory = self.factory_from(&mut random, fleet, who);
        self.random = random;
        factory
    }

    fn factory_from(&self, random: &mut ChaCha8Rng, fleet: &SwarmFleet, who: &str) -> ProcessFactory {
        let error = random.random_range(-300..300);
        let name: FleetName = fleet.name.parse().unwrap();
        let who = if fleet.name == "dev" { who.to_owned() } else { format!("{name}/{who}") };
        let mut config = self.config.clone();
        config.hostile = self.swarm.has(Hazard::Crashes);
        ProcessFactory {
            who,
            fleet: name,
            old: false,
            config,
            true_clock: self.clock.clone(),
            clock: self.clock.off_by(TimeDelta::seconds(error)),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            fault_switch: Arc::clone(&self.fault_switch),
            random: ChaCha8Rng::seed_from_u64(random.random()),
        }
    }

    fn engine(&mut self, fleet: &SwarmFleet, number: u64) -> JoinHandle<()> {
        let factory = self.factory(fleet, &format!("host-{number}"));
        let random = ChaCha8Rng::seed_from_u64(self.random.random());
        let run: BoxFuture<'static, ()> = run_engine(factory, number.is_multiple_of(2), random).boxed();
        tokio::spawn(run)
    }

    fn person(&mut self, fleet: &SwarmFleet, number: u64) -> Person {
        let (engine, reset_handle) =
            self.factory(fleet, &format!("user-{number}")).process(CrashSchedule::never());
        let (partner, partner_reset) =
            self.factory(fleet, &format!("user-{number}b")).process(CrashSchedule::never());
        Person {
            engine,
            reset_handle,
            partner,
            partner_reset,
            random: ChaCha8Rng::seed_from_u64(self.random.random()),
            resets: ChaCha8Rng::seed_from_u64(self.seed ^ (0xe5e7 + number)),
            clock: self.clock.clone(),
            sim: self.sim.clone(),
            checker: Arc::clone(&self.checker),
            launched: Arc::clone(&self.launched),
            pace: self.swarm.pace,
            crashes: self.swarm.has(Hazard::Crashes),
            foreign: self.swarm.has(Hazard::ForeignActs),
            holds: self.swarm.has(Hazard::Holds),
            undoes: self.swarm.has(Hazard::Undone),
            undone: ChaCha8Rng::seed_from_u64(self.seed ^ (0x0d_0e00 + number)),
            extensions: Mutex::default(),
            two_on_one: self.swarm.has(Hazard::TwoOnOne),
            environments: Vec::new(),
            list: None,
        }
    }

    fn deployer(&self, fleet: &SwarmFleet) -> Deployer {
        let number = self.swarm.fleets.iter().position(|own| own.name == fleet.name).unwrap_or(0) as u64;
        let random = ChaCha8Rng::seed_from_u64(self.seed ^ 0xde_9107 ^ number << 32);
        let crashes = self.swarm.has(Hazard::Crashes);
        Deployer::new(random, &self.sim, &self.clock, &self.checker, crashes, |random, who| {
            self.factory_from(random, fleet, who).process(CrashSchedule::never())
        })
    }

    fn operator(&mut self) -> Operator {
        Operator {
            sim: self.sim.clone(),
            clock: self.clock.clone(),
            random: ChaCha8Rng::seed_from_u64(self.random.random()),
            fleets: self.names(),
            hazards: self.swarm.hazards.clone(),
        }
    }

    /// What people put right in the end: settings, protections, stops, and the failure budget.
    fn tidy(&self) {
        Operator::tidy(&self.sim, &self.names());
        for (name, tags) in &self.settings {
            let Some((id, _)) = self.sim.inspect(|state| fleet_template(state, name, "paused")) else {
                continue;
            };
            let own = |key: &&String| {
                key.starts_with("hatchery:")
                    && !["hatchery:last-number", "hatchery:restore-failures"].contains(&key.as_str())
            };
            let added = ["hatchery:paused", "hatchery:min-version", "hatchery:fallback-instance-types"];
            let set = tags.keys().filter(own).map(|key| (key.clone(), tags.get(key).cloned()));
            let removed =
                added.iter().filter(|key| !tags.contains_key(**key)).map(|key| ((*key).to_owned(), None));
            let failures = std::iter::once(("hatchery:restore-failures".to_owned(), None));
            for (key, value) in set.chain(removed).chain(failures) {
                let _ = self.sim.intervene(ADMINISTRATOR, &Intervention::Tag(id.clone(), key, value));
            }
        }
    }

    fn leftovers(&self) -> Vec<String> {
        self.sim.inspect(|state| {
            let checker = self.checker.lock().unwrap();
            let mut left = Vec::new();
            for fleet in &self.swarm.fleets {
                left.extend(leftovers(state, fleet.name, fleet.spare));
            }
            left.extend(checker.ownership.leaks(state));
            if !left.is_empty() {
                let worlds = self
                    .swarm
                    .fleets
                    .iter()
                    .filter_map(|fleet| true_world(state, &fleet.name.parse().expect("a name")));
                left.extend(worlds.map(|world| describe_plan(&world, state.now())));
            }
            left
        })
    }
}
