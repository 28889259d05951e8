//! What AWS refuses for now or for good, and what a policy that is invalid or paused stops.

use std::time::Duration;

use hatchery::cloud::sim::{Intervention, Scenario, Strictness};
use hatchery::domain::{ErrorClass, Outcome, TagChanges};
use rstest::rstest;

use crate::cloud_layer::LAUNCH;
use crate::engine_loop::{options, run};
use crate::launch::assert_launched;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

/// RDS may refuse tags while it creates a database.
#[test]
fn database_that_refuses_tags_is_tagged_later() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("tag database", ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        assert_eq!((launched.instance.clone(), bed.script.count(LAUNCH)), (None, 0));
        bed.run_other_engine(3).await;
        assert_launched(&bed, &launched);
    });
}

/// What AWS refuses for one database, it may do for another one. The refused one is the last choice of the next launches.
#[rstest]
fn launch_passes_a_database_that_refuses_its_tags(
    #[values(ErrorClass::Invalid, ErrorClass::NotFound)] class: ErrorClass,
) {
    on_paused_time(async {
        let bed = TestBed::with_databases(3, [("spare", "0")]);
        bed.script.fail("tag database", 1, error(class));
        let mut numbers = Vec::new();
        for _ in 0..3 {
            let launched = bed.launch().await.unwrap();
            assert!(launched.instance.is_some());
            numbers.push(launched.environment.number.0);
        }
        // The first launch began with the database that the third one has, and no launch waited for another one.
        assert_eq!(bed.script.count("create record"), 4);
        assert_eq!(bed.script.count("create database"), 0);
        assert!(numbers[2] < numbers[0] && numbers[0] < numbers[1], "{numbers:?}");
        assert_eq!(bed.records().len(), 3, "the refused claim is released");
    });
}

/// What AWS refuses for each database fails the launch in AWS's words, and restores no other one.
#[test]
fn launch_fails_if_all_databases_refuse_their_tags() {
    on_paused_time(async {
        let bed = TestBed::with_databases(5, [("spare", "0")]);
        bed.script.fail("tag database", ALWAYS, error(ErrorClass::Invalid));
        for tries in [4, 5] {
            let failure = bed.launch().await.unwrap_err();
            assert!(failure.message.starts_with("cannot bind hatchery-dev-"), "{failure}");
            assert_eq!(bed.script.count("tag database"), tries);
        }
        assert_eq!(bed.script.count("create database"), 0);
    });
}

/// EC2 may not find a template that was created a moment ago.
#[test]
fn record_that_is_not_visible_yet_is_launched() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(LAUNCH, 2, error(ErrorClass::NotFound));
        let launched = bed.launch().await.unwrap();
        assert!(launched.instance.is_some());
        assert_launched(&bed, &launched);
    });
}

/// An invalid setting stops what depends on it, and nothing else.
#[rstest]
#[case::launches("hatchery:image-tag", "two words", true, "create-database")]
#[case::pool("hatchery:spare", "many", false, "terminate-instance")]
#[case::url("hatchery:url.app", "ftp://x", true, "terminate-instance")]
fn invalid_setting_stops_only_its_part(
    #[case] tag: &'static str,
    #[case] value: &'static str,
    #[case] fills_pool: bool,
    #[case] action: &str,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        let launched = bed.launch().await.unwrap();
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set(tag, value)).await.unwrap();
        bed.engine.terminate(&launched.environment).await.unwrap();
        let actions: Vec<_> = bed.run_pass().await.into_iter().map(|(action, ..)| action).collect();
        assert!(actions.contains(&"terminate-instance") && actions.contains(&action), "{actions:?}");
        assert_eq!(actions.contains(&"create-database"), fills_pool, "{actions:?}");
    });
}

#[test]
fn termination_in_a_paused_fleet_says_so() {
    on_paused_time(async {
        let bed = TestBed::new();
        let launched = bed.launch().await.unwrap();
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set("hatchery:paused", "true")).await.unwrap();
        let ending = bed.engine.terminate(&launched.environment).await.unwrap();
        assert_eq!(ending.delayed_by.as_deref(), Some("the fleet is paused"));
        let refused = bed.launch().await.unwrap_err();
        assert_eq!(refused.message, "cannot launch: the fleet is paused");
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

/// Two steps of one environment that AWS refuses at the same time have a trace each.
#[test]
fn refused_deletions_of_an_environment_are_tried_ever_less_often() {
    on_paused_time(async {
        let bed = TestBed::new();
        let launched = bed.launch().await.unwrap();
        bed.run_other_engine(60).await;
        bed.engine.terminate(&launched.environment).await.unwrap();
        for operation in ["terminate", "delete database"] {
            bed.script.fail(operation, ALWAYS, error(ErrorClass::Invalid));
        }
        for _ in 0..120 {
            bed.run_pass().await;
            bed.clock.sleep(Duration::from_mins(1)).await;
        }
        assert_eq!(["terminate", "delete database"].map(|operation| bed.script.count(operation)), [7, 7]);
        bed.script.clear();
        bed.run_other_engine(120).await;
        assert_eq!(bed.record(&launched.environment), None);
    });
}

/// An engine does not repeat what AWS refused while its listings do not show the trace yet.
#[test]
fn refused_step_waits_for_its_trace() {
    on_paused_time(async {
        let strictness = Strictness { listing_lag: 90.0, ..Strictness::default() };
        let bed = TestBed::with_scenario(Scenario { strictness, ..Scenario::default() });
        bed.script.fail("create database", ALWAYS, error(ErrorClass::Quota));
        let (_handle, _events) = run(&bed, options());
        bed.clock.sleep(Duration::from_mins(15)).await;
        let tries = bed.script.count("create database");
        assert!((3..=5).contains(&tries), "{tries}");
    });
}

/// A launch that was given up before it had a database leaves nothing behind, even if another database has the name.
#[test]
fn record_of_a_namesake_is_deleted() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("create database", ALWAYS, error(ErrorClass::Quota));
        let failure = bed.launch().await.unwrap_err();
        let id = bed.records().first().cloned().unwrap_or_else(|| panic!("{failure}"));
        let namesake = Intervention::CreateDatabase(id.database_id().to_string());
        assert!(bed.sim.intervene("stranger", &namesake));
        bed.run_other_engine(60).await;
        assert_eq!(bed.record(&id), None);
        assert!(bed.database(&id).is_some(), "the database of the stranger stays");
    });
}

#[test]
fn action_without_permission_waits_ever_longer_or_for_a_refresh() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("create database", ALWAYS, error(ErrorClass::Auth));
        let (handle, _events) = run(&bed, options());
        for (minutes, tries) in [(10, 1), (10, 2), (20, 2), (15, 3), (35, 3), (15, 4)] {
            bed.clock.sleep(Duration::from_mins(minutes)).await;
            assert_eq!(bed.script.count("create database"), tries);
        }
        handle.refresh();
        for (minutes, tries) in [(10, 5), (10, 6)] {
            bed.clock.sleep(Duration::from_mins(minutes)).await;
            assert_eq!(bed.script.count("create database"), tries);
        }
    });
}
