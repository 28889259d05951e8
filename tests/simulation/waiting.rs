//! How long a loop observes often for a user who waits.

use std::time::Duration;

use hatchery::cloud::sim::{Latency, Scenario};
use hatchery::domain::ErrorClass;
use hatchery::engine::{Engine, RunOptions};
use rstest::rstest;

use crate::engine_loop::{assert_about, options, run};
use crate::setup::{config, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn loop_does_not_observe_often_for_ever() {
    on_paused_time(async {
        // Its bootstrap hangs.
        let latency = Latency { boot: [1e6, 1e6], ..Latency::default() };
        let bed = TestBed::with_scenario(Scenario { free: 2, latency, ..Scenario::default() });
        bed.never_record_passes().await;
        let (handle, events) = run(&bed, RunOptions { background: false, ..options() });
        // Another person with the same owner name, such as `ubuntu`.
        let namesake = Engine::new(bed.caller(), bed.clock.clone(), config("amy", 9));
        namesake.launch(&checkout()).await.unwrap();
        let mut from = 0.0;
        bed.clock.sleep(10 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(10 * MINUTE).await;
        assert!(events.intervals(&mut from).len() > 20);
        bed.clock.sleep(60 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(60 * MINUTE).await;
        assert_about(&events.intervals(&mut from), 60.0);
        // A request of this user is observed often again.
        bed.launch().await.unwrap();
        handle.refresh();
        bed.clock.sleep(MINUTE).await;
        assert!(events.intervals(&mut from).len() > 8);
        bed.clock.sleep(10 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(10 * MINUTE).await;
        assert!(events.intervals(&mut from).len() > 20);
    });
}

/// Runs a loop with a step that is about to be due when all calls of these operations begin to fail. Returns the number of looks of an hour.
async fn looks_while_failing(operations: &[&'static str], class: ErrorClass) -> usize {
    let bed = TestBed::new();
    bed.never_record_passes().await;
    let other = bed.other_engine();
    let launched = other.launch(&checkout()).await.unwrap();
    bed.run_other_engine(30).await;
    other.terminate(&launched.environment).await.unwrap();
    let (_handle, events) = run(&bed, options());
    let mut from = 0.0;
    bed.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.script.count("terminate"), 0);
    for operation in operations {
        bed.script.fail(operation, ALWAYS, error(class));
    }
    events.intervals(&mut from);
    bed.clock.sleep(60 * MINUTE).await;
    let looks = events.intervals(&mut from).len();
    bed.script.clear();
    bed.clock.sleep(60 * MINUTE).await;
    assert_eq!(bed.records(), [], "it goes on by itself");
    looks
}

#[rstest]
fn pending_step_makes_no_loop_look_often_while_aws_refuses(
    #[values(ErrorClass::Throttled, ErrorClass::Auth, ErrorClass::Transient)] class: ErrorClass,
) {
    on_paused_time(async {
        let looks = looks_while_failing(&["records", "instances", "databases"], class).await;
        assert!((5..=12).contains(&looks), "{looks}");
    });
}

#[test]
fn denied_step_makes_no_loop_look_often() {
    on_paused_time(async {
        let looks = looks_while_failing(&["terminate", "delete database"], ErrorClass::Auth).await;
        assert!((50..=90).contains(&looks), "{looks}");
    });
}

#[test]
fn loop_leaves_its_steps_to_others_and_takes_them_again() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        let (handle, _events) = run(&bed, options());
        let has_database = || bed.sim.inspect(|state| state.databases().next().is_some());
        handle.set_background(false);
        bed.clock.sleep(30 * MINUTE).await;
        assert!(!has_database());
        handle.set_background(true);
        bed.clock.sleep(30 * MINUTE).await;
        assert!(has_database());
    });
}
