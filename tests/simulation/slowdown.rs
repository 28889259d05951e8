//! The longer intervals of an engine loop that AWS throttles or does not answer.

use hatchery::domain::ErrorClass;
use hatchery::engine::RunOptions;

use crate::engine_loop::{MINUTE, assert_about, at_rest, options};
use crate::setup::on_paused_time;
use crate::test_bed::{ALWAYS, error};

#[test]
fn throttling_slows_the_loop_down() {
    on_paused_time(async {
        let (bed, _handle, events, mut from) = at_rest(options()).await;
        bed.script.fail("instances", ALWAYS, error(ErrorClass::Throttled));
        bed.clock.sleep(60 * MINUTE).await;
        let intervals = events.intervals(&mut from);
        for (interval, seconds) in intervals.iter().zip([60.0, 120.0, 240.0, 480.0, 480.0]) {
            assert_about(&[*interval], seconds);
        }
        bed.script.clear();
        bed.clock.sleep(60 * MINUTE).await;
        let intervals = events.intervals(&mut from);
        for (interval, seconds) in
            intervals[1..].iter().zip([360.0, 270.0, 202.5, 151.9, 113.9, 85.4, 64.1, 60.0, 60.0])
        {
            assert_about(&[*interval], seconds);
        }
    });
}

/// Otherwise a fleet of which half of the looks are throttled can go without a whole one for an hour.
#[test]
fn throttled_loop_looks_every_ten_minutes() {
    on_paused_time(async {
        let (bed, _handle, events, mut from) = at_rest(RunOptions { refresh: 3 * MINUTE, ..options() }).await;
        bed.script.fail("instances", ALWAYS, error(ErrorClass::Throttled));
        bed.clock.sleep(120 * MINUTE).await;
        let intervals = events.intervals(&mut from);
        assert_about(&intervals[2..], 600.0);
    });
}

#[test]
fn one_failed_listing_does_not_slow_the_loop_down() {
    on_paused_time(async {
        let (bed, handle, events, mut from) = at_rest(options()).await;
        for _ in 0..4 {
            bed.script.fail("instances", 1, error(ErrorClass::Transient));
            bed.clock.sleep(2 * MINUTE).await;
        }
        assert_about(&events.intervals(&mut from), 60.0);
        // A service that does not answer twice is given time.
        bed.script.fail("instances", ALWAYS, error(ErrorClass::Transient));
        handle.refresh();
        bed.clock.sleep(30 * MINUTE).await;
        let intervals = events.intervals(&mut from);
        for (interval, seconds) in intervals[1..].iter().zip([60.0, 120.0, 240.0, 480.0, 480.0]) {
            assert_about(&[*interval], seconds);
        }
    });
}
