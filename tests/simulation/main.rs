//! The engine in the simulated cloud: many engines and many people, days of virtual time, everything that can go wrong,
//! and the invariants of the design checked after every change.
//!
//! `HATCHERY_SEEDS=17 cargo test --test simulation replay -- --ignored --nocapture` replays one seed with its history;
//! `HATCHERY_SEEDS=1..2000 cargo test --release --no-default-features --test simulation soak -- --ignored --nocapture`
//! runs as many as are asked for on all cores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cloud_layer;
mod crash_injector;
mod demand;
mod ends;
mod engine_invariants;
mod engine_loop;
mod extend;
mod harness;
mod invariants;
mod latency;
mod launch;
mod launch_history;
mod many_dashboards;
mod mutants;
mod observe;
mod refusals;
mod setup;
mod steps;
mod test_bed;
mod users;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use harness::{Outcome, Setting, simulate};
use many_dashboards::DashboardLoad;
use mutants::Mutant;

/// Seeds that once failed. They stay.
const REGRESSIONS: &[u64] = &[6, 10, 26, 287, 294, 298];

/// Seeds of every `cargo test`: about a minute's worth.
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

/// Something of each seed, on all cores, in the order of the seeds.
fn on_all_cores<T: Send>(seeds: impl Iterator<Item = u64> + Send, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let seeds = Mutex::new(seeds.enumerate());
    let done = Mutex::new(BTreeMap::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some((place, seed)) = seeds.lock().unwrap().next() else { return };
                    let one = of(seed);
                    done.lock().unwrap().insert(place, one);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

fn simulate_all(seeds: impl Iterator<Item = u64> + Send, setting: &Setting) -> Vec<Outcome> {
    on_all_cores(seeds, |seed| simulate(seed, setting))
}

/// The first seed of which this is so, or one of the first.
fn first_on_all_cores(
    seeds: impl Iterator<Item = u64> + Send,
    setting: &Setting,
    is: impl Fn(&Outcome) -> bool + Sync,
) -> Option<u64> {
    let (seeds, found) = (Mutex::new(seeds), Mutex::new(None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while found.lock().unwrap().is_none() {
                    let Some(seed) = seeds.lock().unwrap().next() else { return };
                    if is(&simulate(seed, setting)) {
                        found.lock().unwrap().get_or_insert(seed);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[track_caller]
fn all_hold(outcomes: &[Outcome]) {
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).collect();
    if let Some(first) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|outcome| outcome.seed).collect();
        // Once more, with everything that everybody saw.
        let first = simulate(first.seed, &Setting { history: true, ..first.setting.clone() });
        panic!("{} of {} seeds failed: {seeds:?}\n{}", failed.len(), outcomes.len(), first.report(80));
    }
}

#[test]
fn the_invariants_hold_when_all_goes_well() {
    all_hold(&simulate_all(1..9, &Setting { hostile: false, ..Setting::default() }));
}

#[test]
fn the_invariants_hold_whatever_goes_wrong() {
    let seeds = REGRESSIONS.iter().copied().chain(seeds());
    let outcomes = simulate_all(seeds, &Setting::default());
    all_hold(&outcomes);
    let faults: u64 = outcomes.iter().flat_map(|outcome| outcome.faults.values()).sum();
    let launched: u64 = outcomes.iter().map(|outcome| outcome.launched).sum();
    assert!(faults > 1_000 && launched > 100, "{faults} faults, {launched} launches: nothing was tried");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let setting = Setting { history: true, days: 0.3, ..Setting::default() };
    let first = simulate(3, &setting);
    let second = simulate(3, &setting);
    assert!(first.history.len() > 1_000);
    let differs = first.history.iter().zip(&second.history).find(|(a, b)| a != b);
    assert_eq!((differs, first.history.len()), (None, second.history.len()));
    assert_ne!(first.history, simulate(4, &setting).history);
}

/// Each protection that is taken away is missed, or the checks could not fail.
#[test]
fn every_flaw_is_found() {
    let mut unfound = Vec::new();
    for (mutant, invariant, known) in Mutant::ALL {
        let setting = Setting { mutant: Some(mutant), ..Setting::default() };
        let shown = |outcome: &Outcome| outcome.violations.iter().any(|line| mutant.shows_in(line));
        match first_on_all_cores(std::iter::once(known).chain(1..200), &setting, shown) {
            Some(seed) => println!("{mutant:?}: {invariant} falls at seed {seed}"),
            None => unfound.push(mutant),
        }
    }
    assert!(unfound.is_empty(), "nobody notices {unfound:?}");
}

#[test]
fn a_hundred_dashboards_are_light_and_do_each_thing_about_once() {
    let load = DashboardLoad::worst(100, 1..5);
    assert!(load.launches > 20, "{load:?}");
    assert_eq!(load.throttled, 0, "{load:?}");
    assert!(load.describe_busy < 0.25 && load.describe_at_rest < 0.25, "{load:?}");
    assert!(load.sent <= 1.2, "{load:?}");
    let [_, _, all] = load.seen;
    assert!(all < 90.0, "{load:?}");
}

#[test]
fn a_launch_on_a_warm_pool_waits_for_aws_alone() {
    let warm = latency::warm(100, 1);
    assert!(warm.warm * 100 >= warm.launches * 95, "{warm:?}");
    let [own, confirmed, ready] = [warm.own, warm.confirmed, warm.ready].map(|[_, p99, _]| p99);
    assert!(own < 2.0 && confirmed < 10.0, "{warm:?}");
    assert!(ready < 12.0 * 60.0, "the published system took twelve minutes: {warm:?}");
}

#[test]
fn a_storm_on_a_cold_pool_starves_nobody() {
    for seed in 1..4 {
        let storm = latency::storm(20, seed);
        assert_eq!(storm.ready + storm.refused.len(), storm.launches, "{storm:?}");
        assert!(storm.longest_wait <= storm.longest_restore * 1.05, "{storm:?}");
        // What follows the restore on an instance takes five minutes at most.
        assert!(storm.longest_ready <= storm.longest_restore + 300.0, "{storm:?}");
    }
}

#[test]
#[ignore = "prints what of a launch is the engine's own time"]
fn launches() {
    println!("{:#?}", latency::warm(1_000, 1));
    println!("{:#?}", latency::storm(20, 1));
}

#[test]
#[ignore = "prints what 1, 10, 100 and 300 dashboards ask of an account"]
fn dashboards() {
    println!("{}", DashboardLoad::HEAD);
    for dashboards in [1, 10, 100, 300] {
        println!("{}", DashboardLoad::worst(dashboards, 1..9).row());
    }
}

#[test]
#[ignore = "replays HATCHERY_SEEDS with all of its history"]
fn replay() {
    for seed in seeds() {
        let outcome = simulate(seed, &Setting { history: true, ..Setting::default() });
        println!("{}", outcome.report(usize::MAX));
        assert!(outcome.violations.is_empty());
    }
}

#[test]
#[ignore = "runs HATCHERY_SEEDS on all cores and prints what was done"]
fn soak() {
    let begun = Instant::now();
    let outcomes = simulate_all(seeds(), &Setting::default());
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
    all_hold(&outcomes);
}
