//! The launches of the last weeks: read now and then, remembered, and stood in for while they cannot be read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::{AuditEvent, ErrorClass, Launches, Outcome};

use crate::account::{dev, on_paused_time};
use crate::script::{ALWAYS, Stage, error};

const MINUTE: Duration = Duration::from_mins(1);

/// A stage whose pool is sized by the launches.
fn stage() -> Stage {
    Stage::with([("spare", "auto"), ("spare-max", "3")])
}

async fn launches(stage: &Stage) -> Result<Option<Arc<Launches>>, ErrorClass> {
    stage.engine.observe_pool().await.expect("a fleet").launches.map_err(|error| error.class)
}

/// How many launches are known.
async fn known(stage: &Stage) -> usize {
    launches(stage).await.unwrap().unwrap().iter().count()
}

/// Somebody's event comes into the log.
async fn logs(stage: &Stage, at: DateTime<Utc>) {
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
    stage.caller().append_audit(&dev(), &[event]).await.unwrap();
}

#[test]
fn only_who_sizes_the_pool_by_them_reads_them() {
    on_paused_time(async {
        let fixed = Stage::new();
        assert_eq!(launches(&fixed).await, Ok(None));
        fixed.pass().await;
        assert_eq!(fixed.script.calls("launches"), 0);
        let stage = stage();
        assert_eq!(stage.engine.observe().await.unwrap().launches, Ok(None));
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (0, 1));
        stage.pass().await;
        assert_eq!(stage.script.calls("launches"), 1);
    });
}

#[test]
fn they_are_read_again_after_a_quarter_of_an_hour_and_after_a_failure_sooner() {
    on_paused_time(async {
        let stage = stage();
        logs(&stage, stage.clock.now() - MINUTE).await;
        assert_eq!(known(&stage).await, 1);
        logs(&stage, stage.clock.now()).await;
        stage.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (1, 1));
        stage.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (2, 2));

        // What is remembered stands in, for less than a day.
        stage.script.refuse("launches", ALWAYS, error(ErrorClass::Throttled));
        stage.clock.sleep(15 * MINUTE).await;
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (2, 3));
        stage.clock.sleep(Duration::from_secs(59)).await;
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (2, 3));
        stage.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((known(&stage).await, stage.script.calls("launches")), (2, 4));
        stage.clock.sleep(Duration::from_secs((24 * 60 - 16) * 60 - 1)).await;
        assert_eq!(known(&stage).await, 2);
        stage.clock.sleep(MINUTE).await;
        assert_eq!(launches(&stage).await, Err(ErrorClass::Throttled));
        stage.script.end();
        assert_eq!(launches(&stage).await, Err(ErrorClass::Throttled), "for a minute");
        stage.clock.sleep(MINUTE).await;
        assert_eq!(known(&stage).await, 2);
    });
}

#[test]
fn an_event_that_came_late_is_seen_and_none_is_counted_twice() {
    on_paused_time(async {
        let stage = stage();
        let read = stage.clock.now();
        logs(&stage, read - 8 * MINUTE).await;
        assert_eq!(known(&stage).await, 1);
        logs(&stage, read - 9 * MINUTE).await;
        logs(&stage, read - 11 * MINUTE).await;
        stage.clock.sleep(15 * MINUTE).await;
        assert_eq!(known(&stage).await, 2, "ten minutes late is too late");
    });
}

#[test]
fn eight_weeks_are_enough() {
    on_paused_time(async {
        let stage = stage();
        let weeks = chrono::TimeDelta::weeks(8);
        for minutes in [1, 0, -1, -16] {
            logs(&stage, stage.clock.now() - weeks - chrono::TimeDelta::minutes(minutes)).await;
        }
        assert_eq!(known(&stage).await, 3);
        stage.clock.sleep(15 * MINUTE).await;
        assert_eq!(known(&stage).await, 1, "the others have grown too old");
    });
}
