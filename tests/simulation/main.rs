//! The engine in the simulated cloud: many engines and users, days of virtual time, every kind of fault, and the invariants of
//! the design checked after every change.
//!
//! `HATCHERY_SEEDS=17 cargo test --test simulation replay -- --ignored --nocapture` replays one seed with its history;
//! `HATCHERY_SEEDS=1..2000 cargo test --release --no-default-features --test simulation soak -- --ignored --nocapture`
//! runs as many as are asked for on all cores. `replay_swarm` and `soak_swarm` do the same for the swarm, in which each seed has its own mix of
//! faults; `HATCHERY_HAZARDS` chooses from them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alive;
mod audit_reads;
#[path = "../support/builders.rs"]
mod builders;
mod cloud_layer;
mod crash_injector;
mod demand;
mod deployers;
mod deployments;
mod ends;
mod engine_invariants;
mod engine_loop;
mod extend;
mod hanging_calls;
mod harness;
mod hold;
mod hold_invariants;
mod invariants;
mod late_claim;
mod latency;
mod launch;
mod launch_history;
mod liveness;
mod lost;
mod many_dashboards;
mod mutants;
mod notice_scripts;
mod notices;
mod observe;
mod operator;
mod operator_scripts;
mod ownership;
mod passes;
mod people;
mod redeploy;
mod refusal_counts;
mod refusals;
mod refused_steps;
mod repeated_requests;
mod reset_invariants;
mod reset_scripts;
mod setup;
mod slowdown;
mod step_delays;
mod steps;
mod swarm;
mod swarm_notices;
mod swarm_run;
mod test_bed;
mod undo;
mod users;
mod waiting;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use harness::{SimulationConfig, SimulationResult, simulate};
use many_dashboards::DashboardLoad;
use mutants::Mutant;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

/// Seeds that have failed once.
const REGRESSIONS: &[u64] = &[6, 10, 26, 287, 294, 298];

/// Seeds of every `cargo test`; they take about a minute.
const SEEDS: Range<u64> = 1..301;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("HATCHERY_SEEDS") else { return SEEDS };
    let parse = |text: &str| {
        text.trim().parse::<u64>().expect("HATCHERY_SEEDS is a number or a range such as 1..100")
    };
    match text.split_once("..") {
        Some((from, to)) => parse(from)..parse(to),
        None => parse(&text)..parse(&text) + 1,
    }
}

/// Runs the seeds on all cores; returns the results in the order of the seeds.
fn simulate_all(seeds: impl IntoIterator<Item = u64>, config: &SimulationConfig) -> Vec<SimulationResult> {
    let seeds: Vec<_> = seeds.into_iter().collect();
    seeds.into_par_iter().map(|seed| simulate(seed, config)).collect()
}

#[track_caller]
fn assert_no_violations(outcomes: &[SimulationResult]) {
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).collect();
    if let Some(first) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|outcome| outcome.seed).collect();
        // Runs the first failed seed again to get its history.
        let first = simulate(first.seed, &SimulationConfig { history: true, ..first.config.clone() });
        panic!("{} of {} seeds failed: {seeds:?}\n{}", failed.len(), outcomes.len(), first.report(80));
    }
}

#[test]
fn invariants_hold_without_faults() {
    assert_no_violations(&simulate_all(
        1..9,
        &SimulationConfig { hostile: false, ..SimulationConfig::default() },
    ));
}

#[test]
fn invariants_hold_with_faults() {
    let seeds = REGRESSIONS.iter().copied().chain(seeds());
    let outcomes = simulate_all(seeds, &SimulationConfig::default());
    assert_no_violations(&outcomes);
    let faults: u64 = outcomes.iter().flat_map(|outcome| outcome.faults.values()).sum();
    let launched: u64 = outcomes.iter().map(|outcome| outcome.launched).sum();
    assert!(
        faults > 1_000 && launched > 100,
        "{faults} faults, {launched} launches: the simulation covers too little"
    );
}

#[test]
fn same_seed_gives_same_history() {
    let config = SimulationConfig { history: true, days: 0.3, ..SimulationConfig::default() };
    let first = simulate(3, &config);
    let second = simulate(3, &config);
    assert!(first.history.len() > 1_000);
    let differs = first.history.iter().zip(&second.history).find(|(a, b)| a != b);
    assert_eq!((differs, first.history.len()), (None, second.history.len()));
    assert_ne!(first.history, simulate(4, &config).history);
}

/// Shows that the invariants can fail: each removed protection violates its invariant on some seed.
#[test]
fn every_mutant_is_caught() {
    let mut missed = Vec::new();
    for (mutant, invariant, known) in Mutant::ALL {
        let swarm = mutant.needs_swarm();
        let config = SimulationConfig { mutant: Some(mutant), swarm, ..SimulationConfig::default() };
        let is_caught = |seed: &u64| {
            simulate(*seed, &config).violations.iter().any(|violation| mutant.is_caught_by(violation))
        };
        match std::iter::once(known).chain(1..200).par_bridge().find_any(is_caught) {
            Some(seed) => println!("{mutant:?}: seed {seed} violates {invariant}"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "no seed catches {missed:?}");
}

#[test]
fn hundred_dashboards_send_each_change_about_once() {
    let load = DashboardLoad::worst(100, 1..5);
    assert!(load.launches > 20, "{load:?}");
    assert_eq!(load.throttled, 0, "{load:?}");
    assert!(load.describe_busy < 0.25 && load.describe_idle < 0.25, "{load:?}");
    assert!(load.sent <= 1.2, "{load:?}");
    assert!((4..=9).contains(&load.passes), "{load:?}");
    let [_, _, all] = load.visible_after;
    assert!(all < 90.0, "{load:?}");
}

#[test]
fn launch_on_warm_pool_waits_for_aws_only() {
    let warm = latency::warm(100, 1);
    assert!(warm.warm * 100 >= warm.launches * 95, "{warm:?}");
    let [own, confirmed, ready] = [warm.own, warm.confirmed, warm.ready].map(|[_, p99, _]| p99);
    assert!(own < 2.0 && confirmed < 10.0, "{warm:?}");
    assert!(ready < 12.0 * 60.0, "the published system took twelve minutes: {warm:?}");
}

#[test]
fn launch_storm_on_cold_pool_starves_no_launch() {
    for seed in 1..4 {
        let storm = latency::storm(20, seed);
        assert_eq!(storm.ready + storm.refused.len(), storm.launches, "{storm:?}");
        assert!(storm.longest_wait <= storm.longest_restore * 1.05, "{storm:?}");
        // After the restore, the bootstrap takes at most five minutes.
        assert!(storm.longest_ready <= storm.longest_restore + 300.0, "{storm:?}");
    }
}

/// The number of calls for each launch does not grow with the number of launches, and each is served or told why not.
#[test]
fn launches_at_once_take_few_calls_each() {
    for launches in [25, 100] {
        let storm = latency::storm_at_once(launches, 1);
        assert_eq!(storm.ready + storm.refused.len(), launches, "{storm:?}");
        assert!(storm.ready >= 25, "{storm:?}");
        let unclear = storm.refused.iter().find(|why| !why.contains("Request limit exceeded"));
        assert_eq!(unclear, None);
        assert!(storm.claims <= 5 * launches as u64, "{storm:?}");
        assert!(storm.requests <= 40 * launches as u64, "{storm:?}");
    }
}

#[test]
#[ignore = "prints the latency of launches"]
fn launches() {
    println!("{:#?}", latency::warm(1_000, 1));
    println!("{:#?}", latency::storm(20, 1));
    println!("{:#?}", [25, 50, 100, 200].map(|launches| latency::storm_at_once(launches, 1)));
}

#[test]
#[ignore = "prints the load of 1, 10, 100 and 300 dashboards"]
fn dashboards() {
    println!("{}", DashboardLoad::HEAD);
    for dashboards in [1, 10, 100, 300] {
        println!("{}", DashboardLoad::worst(dashboards, 1..9).row());
    }
}

/// Seeds of the swarm of every `cargo test`; they take about a minute.
const SWARM_SEEDS: Range<u64> = 1..25;

fn swarm_config() -> SimulationConfig {
    SimulationConfig { swarm: true, ..SimulationConfig::default() }
}

#[test]
fn swarm_invariants_hold() {
    let seeds = if std::env::var_os("HATCHERY_SEEDS").is_some() { seeds() } else { SWARM_SEEDS };
    assert_no_violations(&simulate_all(seeds, &swarm_config()));
}

#[test]
#[ignore = "replays HATCHERY_SEEDS and prints their history"]
fn replay() {
    replay_seeds(&SimulationConfig::default());
}

#[test]
#[ignore = "replays HATCHERY_SEEDS of the swarm and prints their history"]
fn replay_swarm() {
    replay_seeds(&swarm_config());
}

fn replay_seeds(config: &SimulationConfig) {
    for seed in seeds() {
        if config.swarm {
            println!("{:#?}", swarm::Swarm::draw(seed));
        }
        let outcome = simulate(seed, &SimulationConfig { history: true, ..config.clone() });
        println!("{}", outcome.report(usize::MAX));
        assert!(outcome.violations.is_empty());
    }
}

#[test]
#[ignore = "prints the digest of each seed's history, to compare two versions of the simulation"]
fn digests() {
    for seed in seeds() {
        let outcome = simulate(seed, &SimulationConfig { history: true, ..SimulationConfig::default() });
        let digest = Sha256::digest(outcome.history.join("\n"));
        println!("seed {seed}: {} entries, {}", outcome.history.len(), hex::encode(digest));
    }
}

#[test]
#[ignore = "runs HATCHERY_SEEDS on all cores and prints totals"]
fn soak() {
    soak_seeds(&SimulationConfig::default());
}

#[test]
#[ignore = "runs HATCHERY_SEEDS of the swarm on all cores and prints totals"]
fn soak_swarm() {
    soak_seeds(&swarm_config());
}

fn soak_seeds(config: &SimulationConfig) {
    let begun = Instant::now();
    let outcomes = simulate_all(seeds(), config);
    let took = begun.elapsed().as_secs_f64();
    let days: f64 = outcomes.iter().map(|outcome| outcome.days).sum();
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let mut steps: BTreeMap<String, u64> = BTreeMap::new();
    for outcome in &outcomes {
        outcome.faults.iter().for_each(|(kind, count)| *faults.entry(kind).or_default() += count);
        outcome.steps.iter().for_each(|(kind, count)| *steps.entry(kind.clone()).or_default() += count);
    }
    let violations: usize = outcomes.iter().map(|outcome| outcome.violations.len()).sum();
    println!("seeds {}, simulated days {days:.0} ({:.0} a minute)", outcomes.len(), days / took * 60.0);
    println!("launches {}", outcomes.iter().map(|outcome| outcome.launched).sum::<u64>());
    println!("requests {}", outcomes.iter().map(|outcome| outcome.requests).sum::<u64>());
    println!("faults {faults:#?}\nsteps {steps:#?}\nviolations {violations}");
    for outcome in outcomes.iter().filter(|outcome| !outcome.violations.is_empty()) {
        println!("seed {}: {}", outcome.seed, outcome.violations[0]);
        if config.swarm {
            println!("  with {:?}", swarm::Swarm::draw(outcome.seed).hazards);
        }
    }
    assert_no_violations(&outcomes);
}
