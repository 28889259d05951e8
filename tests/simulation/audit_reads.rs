//! How a running engine reads the audit log, and what the log tells of the pool.

use std::time::Duration;

use chrono::TimeDelta;
use hatchery::cloud::sim::Scenario;
use hatchery::domain::history::Reading;
use hatchery::domain::{ErrorClass, Outcome};
use hatchery::engine::Event;

use crate::engine_loop::{options, run};
use crate::setup::on_paused_time;
use crate::test_bed::{TestBed, error};

/// Returns the periods of the reads since the last call; `None` for those that failed.
fn reads(events: &crate::engine_loop::RecordedEvents) -> Vec<Option<Reading>> {
    let reads = events.take().into_iter().filter_map(|(_, event)| match event {
        Event::AuditRead(read) => Some(read.ok()),
        _ => None,
    });
    reads.collect()
}

#[test]
fn failed_read_leaves_no_gap() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.never_record_passes().await;
        bed.script.fail("read audit", 1, error(ErrorClass::Throttled));
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(Duration::from_mins(20)).await;
        let reads = reads(&events);
        let [None, Some(first), Some(second), ..] = reads[..] else { panic!("{reads:?}") };
        assert!(
            first.until - first.since > TimeDelta::hours(24),
            "the failed read is made up for: {first:?}"
        );
        assert!(second.since < first.until, "{first:?} {second:?}");
        assert!(second.until - second.since < TimeDelta::minutes(10), "{second:?}");
    });
}

/// Without it, the log does not tell since when a retired database was free.
#[test]
fn retirement_has_the_restore_time() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario { free: 2, ..Scenario::default() });
        bed.run_other_engine(3).await;
        let retired = bed.audit("retire-database");
        let [event] = &retired[..] else { panic!("{retired:?}") };
        assert_eq!(event.outcome, Outcome::Done);
        assert!(event.restore_seconds.is_some_and(|seconds| (660..=1_020).contains(&seconds)), "{event:?}");
    });
}
