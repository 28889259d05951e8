//! Whole passes of an engine: what they report, and how they are recorded.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::{ErrorClass, Outcome, TagChanges};

use crate::setup::{dev, on_paused_time};
use crate::steps::restore_database;
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

#[test]
fn restores_that_listings_do_not_show_yet_count() {
    on_paused_time(async {
        let bed = TestBed::with_databases(0, [("spare", "2"), ("max-databases", "2")]);
        let created = async || {
            let steps = bed.run_pass().await;
            let restores = steps.into_iter().filter(|(action, ..)| *action == "create-database");
            restores.map(|(_, outcome, _)| outcome).collect::<Vec<_>>()
        };
        // A slow response delays both restores to the next pass.
        bed.delay("database", 600);
        assert_eq!(created().await, [Outcome::Skipped, Outcome::Skipped]);
        // Another engine has made the first one, and the listing does not show it yet.
        restore_database(&bed.caller(), 6, false).await;
        bed.script.hide([6]);
        assert_eq!(created().await, [Outcome::Skipped, Outcome::Skipped]);
        bed.script.hide([]);
        assert_eq!(created().await, [Outcome::Done]);
        bed.script.hide([7]);
        assert_eq!(created().await, [Outcome::Skipped]);
        bed.script.hide([6]);
        assert_eq!(created().await, [Outcome::Skipped]);
        assert_eq!(bed.sim.inspect(|state| state.databases().count()), 2);
    });
}

#[test]
fn restore_within_the_ceiling_waits_for_all_lower_numbers() {
    on_paused_time(async {
        let bed = TestBed::with_databases(0, [("spare", "2"), ("max-databases", "2")]);
        // Two others have restored at the same time. The next number, 9, does not follow theirs.
        let cloud = bed.caller();
        for number in [6, 7] {
            restore_database(&cloud, number, false).await;
        }
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set("hatchery:last-number", "8")).await.unwrap();
        bed.clock.sleep(Duration::from_mins(1)).await;
        bed.script.hide([6, 7]);
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Skipped));
        assert_eq!(detail, "max-databases is reached by restores that are not listed yet");
        assert_eq!(bed.sim.inspect(|state| state.databases().count()), 2);
    });
}

/// Others have restored and deleted databases meanwhile, so that the next number is far from the one that the listing does not show.
#[test]
fn restore_that_another_engine_made_first_counts() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "2"), ("max-databases", "2")]);
        let cloud = bed.caller();
        bed.script.before("create database", async move { restore_database(&cloud, 7, false).await });
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Skipped));
        assert_eq!(detail, "another engine created it first");
        bed.script.hide([7]);
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set("hatchery:last-number", "12")).await.unwrap();
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Skipped));
        assert_eq!(detail, "max-databases is reached by restores that are not listed yet");
        assert_eq!(bed.sim.inspect(|state| state.databases().count()), 2);
    });
}

/// The numbers before a new one can be the engine's own, so that those of others are further away.
#[test]
fn restores_of_others_count_beyond_the_own_ones() {
    on_paused_time(async {
        let bed = TestBed::with_databases(0, [("spare", "5"), ("max-databases", "5")]);
        let cloud = bed.caller();
        for number in [6, 7, 8] {
            restore_database(&cloud, number, false).await;
        }
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set("hatchery:last-number", "9")).await.unwrap();
        bed.clock.sleep(Duration::from_mins(1)).await;
        bed.script.hide([6, 7, 8]);
        let steps = bed.run_pass().await;
        let done = steps.iter().filter(|step| (step.0, step.1) == ("create-database", Outcome::Done));
        assert_eq!((done.count(), bed.sim.inspect(|state| state.databases().count())), (2, 5));
    });
}
