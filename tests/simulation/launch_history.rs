//! The launch history: read every 15 minutes, cached, and used from the cache while it cannot be read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::{ErrorClass, Launches};

use crate::builders::audit_event;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

const MINUTE: Duration = Duration::from_mins(1);

/// A test bed with `spare=auto`.
fn bed() -> TestBed {
    TestBed::with_policy([("spare", "auto"), ("spare-max", "3")])
}

async fn load_launches(bed: &TestBed) -> Result<Option<Arc<Launches>>, ErrorClass> {
    bed.engine.observe_pool().await.expect("a fleet").launches.map_err(|error| error.class)
}

/// Returns the number of launches in the history.
async fn count(bed: &TestBed) -> usize {
    load_launches(bed).await.unwrap().unwrap().iter().count()
}

/// Adds a launch of another user to the audit log.
async fn log_launch(bed: &TestBed, at: DateTime<Utc>) {
    let event = audit_event(at, "bob", "launch", "dev-1");
    bed.caller().append_audit(&dev(), &[event]).await.unwrap();
}

#[test]
fn history_is_read_only_for_auto_pools() {
    on_paused_time(async {
        let fixed = TestBed::new();
        assert_eq!(load_launches(&fixed).await, Ok(None));
        fixed.run_pass().await;
        assert_eq!(fixed.script.count("launches"), 0);
        let bed = bed();
        assert_eq!(bed.engine.observe().await.unwrap().launches, Ok(None));
        assert_eq!((count(&bed).await, bed.script.count("launches")), (0, 1));
        bed.run_pass().await;
        assert_eq!(bed.script.count("launches"), 1);
    });
}

#[test]
fn history_is_read_every_15_minutes() {
    on_paused_time(async {
        let bed = bed();
        log_launch(&bed, bed.clock.now() - MINUTE).await;
        assert_eq!(count(&bed).await, 1);
        log_launch(&bed, bed.clock.now()).await;
        bed.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!((count(&bed).await, bed.script.count("launches")), (1, 1));
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((count(&bed).await, bed.script.count("launches")), (2, 2));

        // The cache is used for less than a day.
        bed.script.fail("launches", ALWAYS, error(ErrorClass::Throttled));
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!((count(&bed).await, bed.script.count("launches")), (2, 3));
        bed.clock.sleep(Duration::from_secs(59)).await;
        assert_eq!((count(&bed).await, bed.script.count("launches")), (2, 3));
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((count(&bed).await, bed.script.count("launches")), (2, 4));
        bed.clock.sleep(Duration::from_secs((24 * 60 - 16) * 60 - 1)).await;
        assert_eq!(count(&bed).await, 2);
        bed.clock.sleep(MINUTE).await;
        assert_eq!(load_launches(&bed).await, Err(ErrorClass::Throttled));
        bed.script.clear();
        assert_eq!(load_launches(&bed).await, Err(ErrorClass::Throttled), "the next read is a minute later");
        bed.clock.sleep(MINUTE).await;
        assert_eq!(count(&bed).await, 2);
    });
}

#[test]
fn late_events_are_counted_once() {
    on_paused_time(async {
        let bed = bed();
        let read = bed.clock.now();
        log_launch(&bed, read - 8 * MINUTE).await;
        assert_eq!(count(&bed).await, 1);
        log_launch(&bed, read - 9 * MINUTE).await;
        log_launch(&bed, read - 11 * MINUTE).await;
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!(count(&bed).await, 2, "ten minutes late is too late");
    });
}

#[test]
fn event_written_twice_is_counted_once() {
    on_paused_time(async {
        let bed = bed();
        let at = bed.clock.now() - MINUTE;
        log_launch(&bed, at).await;
        log_launch(&bed, at).await;
        assert_eq!(count(&bed).await, 1);
    });
}

#[test]
fn history_covers_eight_weeks() {
    on_paused_time(async {
        let bed = bed();
        let weeks = chrono::TimeDelta::weeks(8);
        for minutes in [1, 0, -1, -16] {
            log_launch(&bed, bed.clock.now() - weeks - chrono::TimeDelta::minutes(minutes)).await;
        }
        assert_eq!(count(&bed).await, 3);
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!(count(&bed).await, 1, "the others are older than eight weeks");
    });
}
