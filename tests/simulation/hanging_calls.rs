//! Calls that hang while another engine continues the launch. What follows them must not undo what that engine did.

use std::time::Duration;

use hatchery::domain::tags::key;
use hatchery::domain::{ErrorClass, Outcome};
use rstest::rstest;

use crate::cloud_layer::LAUNCH;
use crate::launch::{assert_launched, assert_nothing_left};
use crate::setup::on_paused_time;
use crate::test_bed::{ALWAYS, TestBed, error};

const HOUR: u64 = 3_600;

/// Another engine launches the instance, because the quota was raised meanwhile.
#[rstest]
fn refusal_is_not_written_hours_later(#[values(ErrorClass::Quota, ErrorClass::Invalid)] class: ErrorClass) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(LAUNCH, ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        assert_eq!(launched.instance, None);
        bed.script.clear();
        bed.clock.sleep(Duration::from_mins(2)).await;
        bed.script.fail(LAUNCH, 1, error(class));
        bed.delay("tag record", 3 * HOUR);
        let others = async {
            bed.clock.sleep(Duration::from_secs(1)).await;
            bed.run_other_engine(240).await;
        };
        let (steps, ()) = futures::join!(bed.run_pass(), others);
        let (_, outcome, detail) = steps.iter().find(|(action, ..)| *action == "launch-instance").unwrap();
        assert_launched(&bed, &launched);
        let tags = bed.record(&launched.environment).unwrap();
        assert_eq!(tags.get(key::FAILURE), None);
        assert_eq!(*outcome, Outcome::Unknown, "{detail}");
    });
}

/// Another engine may launch the instance from a minute after the claim on, so the launch no longer deletes its record then.
#[rstest]
#[case::not_launched(50, 0)]
#[case::launched(600, 1)]
fn claim_that_others_may_continue_is_not_deleted(#[case] seconds: u64, #[case] instances: usize) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.delay("database", seconds);
        bed.script.fail("database", ALWAYS, error(ErrorClass::Auth));
        let minutes = u32::try_from(seconds / 60).unwrap();
        let (failure, ()) = futures::join!(bed.launch(), bed.run_other_engine(minutes));
        failure.unwrap_err();
        assert_eq!((bed.script.count("delete record"), bed.active_instances().len()), (0, instances));
        let tags = bed.record(&bed.records()[0]).unwrap();
        assert!(tags[key::TERMINATE].ends_with(" amy") && tags.contains_key(key::FAILURE), "{tags:?}");
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn claim_is_not_deleted_by_a_call_that_hung() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("database", ALWAYS, error(ErrorClass::Auth));
        bed.delay("delete record", 600);
        let (failure, ()) = futures::join!(bed.launch(), bed.run_other_engine(15));
        failure.unwrap_err();
        assert_eq!((bed.records(), bed.active_instances()), (Vec::new(), Vec::new()));
        assert_eq!(bed.script.count("delete record"), 1, "the call that hung is given up");
        assert_nothing_left(&bed).await;
    });
}
