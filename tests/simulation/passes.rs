//! Whole passes of an engine: what they report, and how they are recorded.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::{ErrorClass, Outcome};

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

#[test]
fn pass_is_recorded_without_a_word() {
    on_paused_time(async {
        let bed = TestBed::new();
        let last_pass = async || bed.caller().fleet(&dev()).await.unwrap().unwrap().last_pass;
        bed.run_pass().await;
        let first = last_pass().await.unwrap();
        assert_eq!(first.by, "engine@amy");
        bed.clock.sleep(Duration::from_mins(9)).await;
        assert!(bed.run_pass().await.is_empty());
        assert_eq!(last_pass().await.unwrap(), first);
        bed.clock.sleep(Duration::from_mins(1)).await;
        // It is no change of the fleet.
        assert!(bed.run_pass().await.is_empty());
        assert_eq!(last_pass().await.unwrap().at, first.at + Duration::from_mins(10));
        assert!(bed.audit("note-pass").is_empty());
        // A failure is reported, but not logged.
        bed.clock.sleep(Duration::from_mins(10)).await;
        bed.script.fail("tag fleet", ALWAYS, error(ErrorClass::Auth));
        let report = bed.engine.once(false).await.unwrap();
        assert_eq!(report.failures(), ["cannot note pass the fleet: Operation: injected error (Code)"]);
        assert!(bed.audit("note-pass").is_empty());
    });
}

#[test]
fn incomplete_listing_stops_the_plan() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("databases", ALWAYS, error(ErrorClass::Auth));
        let report = bed.engine.once(false).await.unwrap();
        assert_eq!((report.steps.len(), &report.incomplete), (0, &vec!["databases"]));
        let failure = "cannot list all databases: Operation: injected error (Code)";
        assert_eq!(report.failures(), [failure]);
        assert_eq!(report.check().unwrap_err().message, format!("the pass failed in part: {failure}"));
        let why = "a listing failed, so nothing is planned: Operation: injected error (Code)";
        assert_eq!(report.refused[0].reason, why);
    });
}

/// What AWS refuses for good is tried ever less often, by all engines together, and logged once.
#[test]
fn refused_restores_leave_a_trace() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "10"), ("max-databases", "14")]);
        bed.script.fail("create database", ALWAYS, error(ErrorClass::Quota));
        for _ in 0..120 {
            bed.run_pass().await;
            bed.clock.sleep(Duration::from_mins(1)).await;
        }
        // The pauses are 1, 2, 4 … 64 minutes. Each try asks in every zone no more than once.
        assert_eq!(bed.script.count("create database"), 7);
        let failed =
            bed.audit("create-database").into_iter().filter(|event| event.outcome == Outcome::Failed);
        assert_eq!(failed.count(), 2);
        let refused = bed.engine.once(true).await.unwrap().refused;
        let refusal = refused.iter().find(|refusal| refusal.action == "create-database").unwrap();
        assert!(refusal.reason.starts_with("it has failed 7 times since 2026-03-02 08:00:00"), "{refusal:?}");
        assert!(refusal.reason.ends_with("Operation: injected error (Code)"), "{refusal:?}");
        // The first success removes the trace.
        bed.script.clear();
        bed.clock.sleep(Duration::from_mins(64)).await;
        bed.run_pass().await;
        let fleet = bed.caller().fleet(&dev()).await.unwrap().unwrap();
        assert_eq!(fleet.failed_step, None);
    });
}

#[test]
fn zone_without_capacity_is_replaced_by_another() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("create database", 2, error(ErrorClass::Capacity));
        let steps = bed.run_pass().await;
        let (_, outcome, detail) = steps.iter().find(|(action, ..)| *action == "create-database").unwrap();
        assert_eq!((*outcome, bed.script.count("create database")), (Outcome::Done, 3));
        assert!(detail.contains(" in eu-west-1"), "{detail}");
    });
}
