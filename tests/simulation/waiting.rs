//! How long a loop observes often for a user who waits.

use std::time::Duration;

use hatchery::cloud::sim::{Latency, Scenario};
use hatchery::engine::{Engine, RunOptions};

use crate::engine_loop::{assert_about, options, run};
use crate::setup::{config, on_paused_time};
use crate::test_bed::{TestBed, checkout};

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
