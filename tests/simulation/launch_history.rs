//! The launches of the last weeks: read now and then, remembered, and stood in for while they cannot be read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::{AuditEvent, ErrorClass, Launches, Outcome};

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

const MINUTE: Duration = Duration::from_mins(1);

/// A bed whose pool is sized by the launches.
fn bed() -> TestBed {
    TestBed::with([("spare", "auto"), ("spare-max", "3")])
}

async fn launches(bed: &TestBed) -> Result<Option<Arc<Launches>>, ErrorClass> {
    bed.engine.observe_pool().await.expect("a fleet").launches.map_err(|error| error.class)
}

/// How many launches are known.
async fn known(bed: &TestBed) -> usize {
    launches(bed).await.unwrap().unwrap().iter().count()
}

/// Somebody's event comes into the log.
async fn logs(bed: &TestBed, at: DateTime<Utc>) {
    let event = AuditEvent {
        at,
        who: "bob".into(),
        action: "launch".into(),
        target: "dev-1".into(),
        reason: String::new(),
        outcome: Outcome::Done,
        detail: String::new(),
        restore_seconds: None,
    };
    bed.caller().append_audit(&dev(), &[event]).await.unwrap();
}

#[test]
fn only_who_sizes_the_pool_by_them_reads_them() {
    on_paused_time(async {
        let fixed = TestBed::new();
        assert_eq!(launches(&fixed).await, Ok(None));
        fixed.pass().await;
        assert_eq!(fixed.script.calls("launches"), 0);
        let bed = bed();
        assert_eq!(bed.engine.observe().await.unwrap().launches, Ok(None));
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (0, 1));
        bed.pass().await;
        assert_eq!(bed.script.calls("launches"), 1);
    });
}

#[test]
fn they_are_read_again_after_a_quarter_of_an_hour_and_after_a_failure_sooner() {
    on_paused_time(async {
        let bed = bed();
        logs(&bed, bed.clock.now() - MINUTE).await;
        assert_eq!(known(&bed).await, 1);
        logs(&bed, bed.clock.now()).await;
        bed.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (1, 1));
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (2, 2));

        // What is remembered stands in, for less than a day.
        bed.script.refuse("launches", ALWAYS, error(ErrorClass::Throttled));
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (2, 3));
        bed.clock.sleep(Duration::from_secs(59)).await;
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (2, 3));
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((known(&bed).await, bed.script.calls("launches")), (2, 4));
        bed.clock.sleep(Duration::from_secs((24 * 60 - 16) * 60 - 1)).await;
        assert_eq!(known(&bed).await, 2);
        bed.clock.sleep(MINUTE).await;
        assert_eq!(launches(&bed).await, Err(ErrorClass::Throttled));
        bed.script.end();
        assert_eq!(launches(&bed).await, Err(ErrorClass::Throttled), "for a minute");
        bed.clock.sleep(MINUTE).await;
        assert_eq!(known(&bed).await, 2);
    });
}

#[test]
fn an_event_that_came_late_is_seen_and_none_is_counted_twice() {
    on_paused_time(async {
        let bed = bed();
        let read = bed.clock.now();
        logs(&bed, read - 8 * MINUTE).await;
        assert_eq!(known(&bed).await, 1);
        logs(&bed, read - 9 * MINUTE).await;
        logs(&bed, read - 11 * MINUTE).await;
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!(known(&bed).await, 2, "ten minutes late is too late");
    });
}

#[test]
fn eight_weeks_are_enough() {
    on_paused_time(async {
        let bed = bed();
        let weeks = chrono::TimeDelta::weeks(8);
        for minutes in [1, 0, -1, -16] {
            logs(&bed, bed.clock.now() - weeks - chrono::TimeDelta::minutes(minutes)).await;
        }
        assert_eq!(known(&bed).await, 3);
        bed.clock.sleep(15 * MINUTE).await;
        assert_eq!(known(&bed).await, 1, "the others have grown too old");
    });
}
