//! `hatchery demo`: the dashboard on a simulated cloud, shared with simulated colleagues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::context::{Session, version};
use super::dashboard;
use crate::clock::Clock;
use crate::cloud::sim::{Scenario, SimCloud};
use crate::domain::FleetName;
use crate::domain::audit::engine_name;
use crate::engine::{self, Engine, LaunchRequest, RedeployRequest, RunOptions};
use crate::failure::{Failure, Kind};
use crate::tui::{self, Connected, ConsoleRequest, DemoInfo, FleetConnection, NotifyBy, SimulatedConsole};

mod shell;

use shell::SimulatedHost;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many times faster than real time
    #[arg(long, default_value_t = 30.0, value_parser = parse_speed, value_name = "TIMES")]
    speed: f64,
    /// Seed of the simulation; the same seed gives the same history
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// How many fleets, in different accounts and Regions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3), value_name = "NUMBER")]
    fleets: u8,
}

/// The fleets after the first one: their names, accounts and Regions, and whether they are marked as production.
const OTHER_FLEETS: [(&str, &str, &str, bool); 2] =
    [("qa", "210987654321", "us-east-1", false), ("live", "345678901234", "eu-west-1", true)];

/// Name of the user of the demo.
const USER: &str = "you";

const COLLEAGUES: [&str; 6] = ["amy", "jo", "lena", "marta", "ravi", "sven"];
const LABELS: [&str; 10] = [
    "fx-rates",
    "login-throttle",
    "cart-merge",
    "refund-flow",
    "dark-mode",
    "ledger-v2",
    "psd2-consent",
    "geo-search",
    "price-alerts",
    "faster-boot",
];
const SERVICES: [&str; 8] = ["payments", "kyc", "search", "catalog", "gateway", "billing", "auth", "reports"];

/// The number of environments at which colleagues stop launching.
const MAX_ENVIRONMENTS: usize = 11;

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1_000.0).contains(&speed) => Ok(speed),
        _ => Err("use a number from 0.1 to 1000".to_owned()),
    }
}

fn scenario() -> Result<Scenario, Failure> {
    Scenario::demo()
        .map_err(|error| Failure::new(Kind::Failed, format!("cannot read the demo's scenario: {error}"), ""))
}

fn fleet(scenario: &Scenario) -> Result<FleetName, Failure> {
    Ok(scenario.fleet.parse()?)
}

fn engine(sim: &SimCloud, clock: &Clock, fleet: &FleetName, user: &str, seed: u64) -> Engine {
    let config = engine::EngineConfig {
        fleet: fleet.clone(),
        user: user.to_owned(),
        request: None,
        host: engine_name(user),
        seed,
        version: version(),
    };
    Engine::new(sim.caller(user), clock.clone(), config)
}

/// Returns the scenarios of the fleets, with whether they are marked as production. The others have some of the first one's environments.
fn scenarios(count: u8) -> Result<Vec<(Scenario, bool)>, Failure> {
    let first = scenario()?;
    let others = OTHER_FLEETS.into_iter().enumerate().map(|(index, (name, account, region, production))| {
        let mut scenario = first.clone();
        scenario.environments = scenario.environments.into_iter().skip(index).step_by(2 + index).collect();
        for url in scenario.policy.values_mut() {
            *url = url.replace(".dev.", &format!(".{name}."));
        }
        (scenario.fleet, scenario.account, scenario.region) = (name.into(), account.into(), region.into());
        (scenario, production)
    });
    Ok(std::iter::once((first.clone(), false)).chain(others).take(usize::from(count)).collect())
}

pub(crate) fn run(args: &DemoArgs, session: &Session) -> Result<(), Failure> {
    let speed = args.speed;
    let scenarios = scenarios(args.fleets)?;
    dashboard::block_on(async move {
        let clock = Clock::virtual_from(Clock::system().now(), speed);
        let mut fleets = Vec::new();
        for (index, (scenario, production)) in (0..).zip(scenarios) {
            let seed = args.seed.wrapping_add(index);
            let fleet = fleet(&scenario)?;
            let sim = simulated_cloud(scenario, seed, &clock);
            let mut options = dashboard::tui_options(&session.options, &session.config, clock.clone(), USER)?;
            options.demo = Some(DemoInfo { about: format!("{speed} times as fast") });
            options.refresh = Duration::from_secs(20);
            // Its simulated hours would notify every few seconds.
            if session.options.notify.or(session.config.notify).is_none() {
                options.notify = NotifyBy::Off;
            }
            options.simulated_console = Some(simulated_console(&sim, &clock));
            options.production = production;
            if args.fleets > 1 {
                options.label = fleet.to_string();
            }
            spawn_simulation(&sim, &clock, &fleet, seed);
            let clock = clock.clone();
            let connect = move || {
                let engine = engine(&sim, &clock, &fleet, USER, seed);
                let connected = Connected { engine, account: sim.caller(USER) };
                async move { Ok(connected) }
            };
            fleets.push(FleetConnection::new(connect, options));
        }
        tui::run_fleets(fleets).await
    })
}

fn simulated_cloud(scenario: Scenario, seed: u64, clock: &Clock) -> SimCloud {
    let sim = SimCloud::new(scenario, seed, clock.clone());
    // Only tests read the history. At 20,000 entries it would take most of the demo's memory.
    sim.limit_history(0);
    sim
}

/// Returns what runs the demo's shells and database consoles.
fn simulated_console(sim: &SimCloud, clock: &Clock) -> SimulatedConsole {
    let (sim, clock) = (sim.clone(), clock.clone());
    SimulatedConsole(Arc::new(move |request: ConsoleRequest| {
        let (cloud, clock) = (sim.caller(USER), clock.clone());
        async move {
            // A simulated read may be throttled, or too early to find it.
            for _ in 0..3 {
                if let Ok(read) = cloud.find_record(&request.environment).await
                    && let Some(record) = read.value
                {
                    let minutes = (clock.now() - record.created_at).num_minutes();
                    let host =
                        SimulatedHost::new(&record, USER, request.instance.as_str(), minutes, &SERVICES);
                    return shell::run(host, request.tool).await;
                }
            }
        }
        .boxed()
    }))
}

/// Spawns the simulated cloud's events, the engine of the schedule, and the colleagues. They end with the runtime.
fn spawn_simulation(sim: &SimCloud, clock: &Clock, fleet: &FleetName, seed: u64) {
    let cloud = sim.clone();
    tokio::spawn(async move { cloud.run_events().await });
    let schedule = engine(sim, clock, fleet, "schedule", seed ^ 0x5c4e);
    tokio::spawn(async move {
        let options = RunOptions { background: true, refresh: Duration::from_mins(1) };
        let (_handle, mut events) = schedule.run(options);
        while events.recv().await.is_some() {}
    });
    for (index, name) in (0_u64..).zip(COLLEAGUES) {
        let engine = engine(sim, clock, fleet, name, seed ^ index << 8);
        tokio::spawn(run_colleague(engine, ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1_000) + index)));
    }
}

/// Launches, extends, redeploys, resets and terminates environments of one colleague at random times.
async fn run_colleague(engine: Engine, mut random: ChaCha8Rng) {
    loop {
        let minutes = random.random_range(6.0..45.0);
        engine.clock().sleep(Duration::from_secs_f64(minutes * 60.0)).await;
        let action = random.random_range(0..10);
        let label = LABELS[random.random_range(0..LABELS.len())];
        let service = SERVICES[random.random_range(0..SERVICES.len())];
        let tag = format!("pr-{}", random.random_range(100..1_300));
        let hours = random.random_range(1..9);
        let Ok(world) = engine.observe().await else { continue };
        let owner = &engine.config().user;
        let own: Vec<_> = world
            .records
            .iter()
            .filter(|record| record.is_environment() && record.owner == *owner && record.is_wanted())
            .collect();
        let outcome = match (action, own.first()) {
            (0..=4, _) if world.records.items.len() < MAX_ENVIRONMENTS => {
                let Ok(name) = label.parse() else { continue };
                let services = BTreeMap::from([(service.to_owned(), tag)]);
                let ttl = Some(Duration::from_hours(hours));
                engine.launch(&LaunchRequest { name, services, ttl, note: None }).await.map(|_| ())
            }
            (5, Some(record)) => {
                engine.extend(&record.environment, Duration::from_hours(1)).await.map(|_| ())
            }
            (6, Some(record)) => {
                let known = record.services.keys().next().map(|name| name.raw().to_owned());
                let services = BTreeMap::from([(known.unwrap_or_else(|| service.to_owned()), tag)]);
                let request = RedeployRequest { services, ..RedeployRequest::default() };
                engine.redeploy(&record.environment, &request).await.map(|_| ())
            }
            (7, Some(record)) => engine.reset(&record.environment).await.map(|_| ()),
            (8..=9, Some(record)) => engine.terminate(&record.environment).await.map(|_| ()),
            _ => Ok(()),
        };
        if let Err(failure) = outcome {
            tracing::info!(owner, message = failure.message, "simulated request refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn demo_keeps_no_history() {
        let clock = Clock::virtual_from("2026-03-02T12:00:00Z".parse().unwrap(), 30.0);
        let scenario = scenario().unwrap();
        let fleet = fleet(&scenario).unwrap();
        let sim = simulated_cloud(scenario, 1, &clock);
        let entries = || sim.inspect(|state| state.history().count());
        let before = entries();
        engine(&sim, &clock, &fleet, USER, 1).observe().await.unwrap();
        assert_eq!(entries(), before, "only those of the start");
    }
}
