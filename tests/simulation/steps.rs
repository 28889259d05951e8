//! Steps: each looks again right before it changes anything, and is not taken where the look shows something else.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::cloud::{DynCloud, LaunchInstance};
use hatchery::domain::tags::{key, role};
use hatchery::domain::{
    ErrorClass, InstanceId, NewDatabase, Number, Outcome, RecordId, TagChanges, Termination,
};
use hatchery::engine::Launched;

use crate::cloud_layer::LAUNCH;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A bed with an environment that lives for an hour, and its pool as it is to be.
pub(crate) async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with([("ttl", "1h"), ("grace", "15m")]);
    let launched = bed.launch().await.unwrap();
    bed.others_work(40).await;
    assert_eq!(bed.pass().await, []);
    (bed, launched)
}

/// As [`bed`], after the expiry and marked.
pub(crate) async fn marked() -> (TestBed, Launched) {
    let (bed, launched) = bed().await;
    bed.clock.sleep(Duration::from_mins(21)).await;
    assert_eq!(bed.pass().await, [done("mark-reaping")]);
    (bed, launched)
}

/// As [`bed`], after its owner asked for its end.
pub(crate) async fn ending() -> (TestBed, Launched) {
    let (bed, launched) = bed().await;
    bed.other().terminate(&launched.environment).await.unwrap();
    (bed, launched)
}

pub(crate) fn done(action: &'static str) -> (&'static str, Outcome, String) {
    (action, Outcome::Done, String::new())
}

pub(crate) fn skipped(action: &'static str, why: &str) -> (&'static str, Outcome, String) {
    (action, Outcome::Skipped, why.to_owned())
}

/// Somebody has a database restored.
pub(crate) async fn restore(cloud: &DynCloud, number: u32, claimed: bool) {
    let number = Number(number);
    let snapshot = cloud.latest_snapshot("integration").await.unwrap().unwrap();
    let new = NewDatabase {
        fleet: dev(),
        number,
        snapshot,
        environment: claimed.then(|| dev().environment(number)),
        requested_at: "2026-03-02T08:08:00Z".parse().unwrap(),
        zone: "eu-west-1a".into(),
        class: "db.t4g.small".into(),
        subnet_group: "private".into(),
        security_groups: Vec::new(),
        parameter_group: None,
    };
    cloud.create_database(&new).await.unwrap();
}

/// Another instance comes of a record, by the token of another attempt.
pub(crate) async fn launch_again(cloud: &DynCloud, record: RecordId, attempt: u32) -> InstanceId {
    let token = record.client_token(attempt);
    let request = LaunchInstance { record, token, subnet: None, instance_type: None };
    cloud.launch_instance(&request).await.expect("an instance")
}

pub(crate) fn extended(bed: &TestBed) -> TagChanges {
    TagChanges::expire_at(bed.clock.now() + 9 * HOUR).remove(key::REAPING_SINCE)
}

/// A bed with a launch whose instance has not come, and which is old enough for any engine to finish.
async fn unfinished() -> (TestBed, Launched) {
    let bed = TestBed::new();
    bed.script.refuse(LAUNCH, ALWAYS, error(ErrorClass::Transient));
    let launched = bed.launch().await.unwrap();
    bed.script.end();
    bed.clock.sleep(Duration::from_mins(1)).await;
    (bed, launched)
}

#[test]
fn a_launch_is_only_finished_as_long_as_it_is_wanted_and_nobody_else_does() {
    let why_unwanted = "its environment is ending or gone";
    for (changes, why) in [
        (
            TagChanges::terminate(&Termination {
                at: "2026-03-02T08:00:00Z".parse().unwrap(),
                by: "bob".into(),
            }),
            why_unwanted,
        ),
        (TagChanges::new().set(key::FAILURE, "2026-03-02T08:00:00Z no room"), why_unwanted),
        (TagChanges::new().set(key::ATTEMPT, "1"), "another engine has continued the launch"),
        (TagChanges::new().set(key::INSTANCE, "i-1"), "another engine has continued the launch"),
    ] {
        on_paused_time(async {
            let (bed, launched) = unfinished().await;
            bed.tag_before("record", &launched.record, changes);
            assert_eq!(bed.pass().await[0], skipped("launch-instance", why));
            assert_eq!(bed.alive(), []);
        });
    }
    on_paused_time(async {
        let (bed, launched) = unfinished().await;
        let (action, outcome, detail) = bed.pass().await.remove(0);
        let instance = bed.alive().remove(0).0;
        assert_eq!((action, outcome, detail), ("launch-instance", Outcome::Done, instance.clone()));
        assert_eq!(bed.record(&launched.environment).unwrap()[key::INSTANCE], instance);
    });
    on_paused_time(async {
        let (bed, launched) = unfinished().await;
        bed.script.refuse(LAUNCH, 1, error(ErrorClass::Capacity));
        let detail = "the next attempt uses another placement: Operation: it is so (Code)".to_owned();
        assert_eq!(bed.pass().await[0], ("launch-instance", Outcome::Done, detail));
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
        bed.script.refuse(LAUNCH, 1, error(ErrorClass::Quota));
        let detail = "failed for good: Operation: it is so (Code)".to_owned();
        assert_eq!(bed.pass().await[0], ("launch-instance", Outcome::Done, detail));
        let failure = &bed.record(&launched.environment).unwrap()[key::FAILURE];
        assert!(failure.ends_with(" Operation: it is so (Code)"), "{failure}");
    });
}

/// A record that its launch left before anything else, and that is not younger than a minute.
pub(crate) async fn claim_only(bed: &TestBed, operation: &'static str) {
    bed.script.refuse(operation, ALWAYS, error(ErrorClass::Auth));
    bed.script.refuse("tag record", ALWAYS, error(ErrorClass::Auth));
    bed.launch().await.unwrap_err();
    bed.script.end();
    bed.clock.sleep(Duration::from_mins(1)).await;
}

#[test]
fn a_claim_is_made_good_by_any_engine() {
    on_paused_time(async {
        let bed = TestBed::new();
        claim_only(&bed, "tag database").await;
        let environment = bed.records().remove(0);
        assert_eq!(bed.pass().await[0], done("claim-database"));
        let tags = bed.database(&environment).unwrap().tags;
        assert_eq!(tags[key::ENVIRONMENT], environment.to_string());
        assert_eq!(bed.pass().await[0].0, "launch-instance");
    });
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        claim_only(&bed, "create database").await;
        let environment = bed.records().remove(0);
        let (action, outcome, detail) = bed.pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Done));
        assert!(detail.starts_with("from rds:integration-"), "{detail}");
        let tags = bed.database(&environment).unwrap().tags;
        assert_eq!(
            (tags[key::ENVIRONMENT].clone(), tags[key::ROLE].as_str()),
            (environment.to_string(), role::POOL)
        );
    });
    for (operation, action) in [("tag database", "claim-database"), ("create database", "create-database")] {
        on_paused_time(async {
            let free = u32::from(operation == "tag database");
            let bed = TestBed::of(Scenario { free, ..Scenario::default() });
            claim_only(&bed, operation).await;
            let environment = bed.records().remove(0);
            let record = bed.caller().find_record(&environment).await.unwrap().value.unwrap().id;
            let ended = Termination { at: bed.clock.now(), by: "bob".into() };
            bed.tag_before("record", &record, TagChanges::terminate(&ended));
            assert_eq!(bed.pass().await[0], skipped(action, "its environment is ending or gone"));
        });
    }
}

#[test]
fn who_is_given_up_is_looked_at_once_more() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        cloud.terminate_instance(&instance).await.unwrap();
        assert_eq!(bed.pass().await, [done("give-up")]);
        let failure = &bed.record(&launched.environment).unwrap()[key::FAILURE];
        assert!(failure.contains(&format!("its instance {instance} is shutting-down")), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().terminate_instance(&launched.instance.unwrap()).await.unwrap();
        let ended = Termination { at: bed.clock.now(), by: "bob".into() };
        bed.tag_before("record", &launched.record, TagChanges::terminate(&ended));
        assert_eq!(bed.pass().await, [skipped("give-up", "its environment is ending or gone")]);
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().terminate_instance(&launched.instance.unwrap()).await.unwrap();
        let (cloud, record) = (bed.caller(), launched.record.clone());
        bed.script.before("instances of", async move {
            launch_again(&cloud, record, 7).await;
        });
        assert_eq!(bed.pass().await, [skipped("give-up", "its instance and database exist after all")]);
    });
}

#[test]
fn the_pool_takes_numbers_in_turn_and_gives_way_to_others() {
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        let (action, outcome, detail) = bed.pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Done));
        assert!(detail.starts_with("from rds:integration-"), "{detail}");
        let hint = bed.pass().await;
        assert_eq!(hint, [done("raise-number-hint")]);
        assert_eq!(bed.pass().await, []);
    });
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        // Another engine is faster by a moment: with the same number, or with the one before.
        let other = bed.other();
        bed.script.before("create database", async move {
            other.once(false).await.expect("a pass");
        });
        assert_eq!(bed.pass().await, [skipped("create-database", "another engine created it first")]);
    });
    on_paused_time(async {
        let bed = TestBed::with([("spare", "2")]);
        assert_eq!(bed.pass().await[0].1, Outcome::Done);
        assert_eq!(bed.script.calls("database"), 0, "the one before is to be seen");
    });
    // Whoever sleeps for hours does not bring a number back that has come and gone.
    for operation in ["fleet", "database", "create database"] {
        on_paused_time(async {
            let bed = TestBed::of(Scenario::default());
            let (cloud, other, clock) = (bed.caller(), bed.other(), bed.clock.clone());
            if operation == "fleet" {
                bed.script.before(operation, async {});
            }
            bed.script.before(operation, async move {
                for _ in 0..60 {
                    other.once(false).await.expect("a pass");
                    clock.sleep(Duration::from_mins(1)).await;
                }
                cloud.delete_database(&dev().database_id(Number(6))).await.unwrap();
                clock.sleep(Duration::from_mins(10)).await;
            });
            let outcome = bed.pass().await[0].1;
            if operation == "create database" {
                // It is not waited for so long.
                assert_eq!(outcome, Outcome::Unknown);
            } else {
                assert_eq!(outcome, Outcome::Skipped, "{operation}");
                assert!(bed.database(&dev().environment(Number(6))).is_none(), "{operation}");
            }
        });
    }
    // The number before was given out, and is not in this engine's listing yet.
    for (claimed, ends) in [(false, Outcome::Skipped), (true, Outcome::Done)] {
        on_paused_time(async {
            let bed = TestBed::with([("last-number", "6")]);
            let cloud = bed.caller();
            bed.caller().delete_database(&dev().database_id(Number(6))).await.unwrap();
            bed.clock.sleep(Duration::from_mins(8)).await;
            bed.script.before("database", async move {
                restore(&cloud, 6, claimed).await;
            });
            let (action, outcome, _) = bed.pass().await.remove(0);
            assert_eq!((action, outcome), ("create-database", ends));
        });
    }
}

#[test]
fn the_hint_moves_once() {
    on_paused_time(async {
        let bed = TestBed::new();
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let changes = TagChanges::new().set("hatchery:last-number", "0");
        cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
        let other = bed.other();
        bed.script.before("fleet", async {});
        bed.script.before("fleet", async move {
            other.once(false).await.expect("a pass");
        });
        assert_eq!(bed.pass().await, [skipped("raise-number-hint", "another engine changed it first")]);
    });
}

#[test]
fn steps_of_one_rank_share_the_wire_and_the_ranks_follow_each_other() {
    let took = async |bed: &TestBed| {
        let begun = bed.clock.elapsed();
        let steps: Vec<_> = bed.pass().await.into_iter().map(|(action, _, _)| action).collect();
        (steps, bed.clock.elapsed().saturating_sub(begun).as_secs())
    };
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.slow("delete database", 3);
        bed.slow("terminate", 3);
        assert_eq!(took(&bed).await, (vec!["delete-database", "terminate-instance"], 3));
    });
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let cloud = bed.caller();
        bed.clock.sleep(Duration::from_secs(1)).await;
        // A mirror for one, and the end of another.
        let other = bed.launch().await.unwrap();
        let changes = TagChanges::expire_at(bed.clock.now());
        cloud.tag_instance(&other.instance.unwrap(), &changes).await.unwrap();
        bed.slow("tag instance", 3);
        bed.slow("terminate", 3);
        bed.slow("delete database", 3);
        let (steps, seconds) = took(&bed).await;
        assert_eq!(&steps[..3], ["mirror-expiry", "delete-database", "terminate-instance"]);
        assert_eq!(seconds, 6, "{steps:?}");
        drop(launched);
    });
    on_paused_time(async {
        let bed = TestBed::of(Scenario {
            policy: [("spare".to_owned(), "3".to_owned())].into(),
            ..Scenario::default()
        });
        (0..3).for_each(|_| bed.slow("create database", 3));
        assert_eq!(took(&bed).await, (vec!["create-database"; 3], 9), "in turn");
        assert!(bed.audit("create-database").iter().all(|event| event.outcome == Outcome::Done));
        assert_eq!(bed.audit("create-database").len(), 3);
    });
}

#[test]
fn a_restore_that_failed_is_counted_once_and_forgotten_when_one_came_through() {
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.restore_fails = 1.0;
        let bed = TestBed::of(scenario);
        bed.others_work(40).await;
        let failures = |bed: &TestBed| {
            bed.sim.inspect(|state| {
                let (_, fleet) = state.templates().find(|(_, found)| found.name == "hatchery/dev").unwrap();
                fleet.tags.get("hatchery:restore-failures").cloned().unwrap_or_default()
            })
        };
        assert!(failures(&bed).split(' ').count() >= 2, "{}", failures(&bed));
        assert_eq!(bed.audit("count-failed-restore").len(), failures(&bed).split(' ').count() - 1);
        bed.sim.clear_faults();
        bed.others_work(120).await;
        assert_eq!(failures(&bed), "");
        assert_eq!(bed.audit("clear-failed-restores").len(), 1);
    });
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.restore_fails = 1.0;
        let bed = TestBed::of(scenario);
        bed.other().once(false).await.unwrap();
        bed.clock.sleep(Duration::from_mins(31)).await;
        let other = bed.other();
        // The listing has been read; the fleet's own tags are read right before.
        bed.script.before("fleet", async {});
        bed.script.before("fleet", async move {
            other.once(false).await.expect("a pass");
        });
        let steps = bed.pass().await;
        assert_eq!(steps[0], skipped("count-failed-restore", "another engine changed it first"));
    });
}

#[test]
fn a_step_that_fails_does_not_stop_the_others() {
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.script.refuse("delete database", 1, error(ErrorClass::Transient));
        let failed = ("delete-database", Outcome::Failed, "Operation: it is so (Code)".to_owned());
        assert_eq!(bed.pass().await, [failed, done("terminate-instance")]);
        let [event] = &bed.audit("delete-database")[..] else { panic!() };
        assert_eq!((event.outcome, event.detail.as_str()), (Outcome::Failed, "Operation: it is so (Code)"));
    });
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.script.lose("delete database", 1);
        assert_eq!(bed.pass().await[0].1, Outcome::Unknown);
    });
}

#[test]
fn what_is_gone_needs_no_change_and_every_other_error_is_one() {
    for (class, outcome) in [
        (ErrorClass::NotFound, Outcome::Skipped),
        (ErrorClass::Auth, Outcome::Failed),
        (ErrorClass::Unknown, Outcome::Unknown),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            claim_only(&bed, "tag database").await;
            bed.script.refuse("tag database", 1, error(class));
            let (action, ended, why) = bed.pass().await.remove(0);
            assert_eq!((action, ended), ("claim-database", outcome));
            assert_eq!(why == "it is gone", outcome == Outcome::Skipped, "{why}");
        });
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let report = bed.engine.once(true).await.unwrap();
        let steps: Vec<_> = report.steps.iter().map(|step| (step.action, step.outcome)).collect();
        assert_eq!(steps, [("delete-database", Outcome::DryRun), ("terminate-instance", Outcome::DryRun)]);
        assert!(report.steps.iter().all(|step| step.reason == "bob requested it"), "{report:?}");
        assert!(bed.database(&launched.environment).is_some() && bed.alive().len() == 1);
        assert!(bed.audit("delete-database").is_empty());
    });
}

#[test]
fn an_engine_that_may_only_look_says_why() {
    for (setting, value, why) in [
        ("paused", "true", "the fleet is paused"),
        ("min-version", "1.0.1", "the policy wants engines of version 1.0.1 or later, and this is 1.0.0"),
        ("ttl", "8d", "the fleet's policy cannot be followed: setting ttl is longer than max-lifetime"),
    ] {
        on_paused_time(async {
            let bed = TestBed::of(Scenario {
                policy: [(setting.to_owned(), value.to_owned())].into(),
                ..Scenario::default()
            });
            let report = bed.engine.once(false).await.unwrap();
            assert_eq!((report.steps.len(), report.refused.len()), (0, 1));
            assert_eq!((report.refused[0].target.as_str(), report.refused[0].reason.as_str()), ("dev", why));
        });
    }
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        bed.script.refuse("databases", ALWAYS, error(ErrorClass::Auth));
        let report = bed.engine.once(false).await.unwrap();
        assert_eq!((report.steps.len(), report.incomplete), (0, vec!["databases"]));
        let why = "a listing failed, so nothing is planned: Operation: it is so (Code)";
        assert_eq!(report.refused[0].reason, why);
    });
}
