//! Steps: each reads its resources again right before a change, and is skipped if they have changed.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::cloud::{DynCloud, LaunchInstance};
use hatchery::domain::tags::{key, role};
use hatchery::domain::{
    CompanyTags, ErrorClass, InstanceId, NewDatabase, Number, Outcome, RecordId, TagChanges, Termination,
};
use hatchery::engine::Launched;
use rstest::rstest;

use crate::cloud_layer::LAUNCH;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A test bed with an environment that expires in an hour, and a full pool.
pub(crate) async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with_policy([("ttl", "1h"), ("grace", "15m")]);
    let launched = bed.launch().await.unwrap();
    bed.run_other_engine(40).await;
    assert_eq!(bed.run_pass().await, []);
    (bed, launched)
}

/// Like [`bed`], after the expiry and the first sweep.
pub(crate) async fn marked() -> (TestBed, Launched) {
    let (bed, launched) = bed().await;
    bed.clock.sleep(Duration::from_mins(21)).await;
    assert_eq!(bed.run_pass().await, [done("mark-reaping")]);
    (bed, launched)
}

/// Like [`bed`], after a request for termination.
pub(crate) async fn ending() -> (TestBed, Launched) {
    let (bed, launched) = bed().await;
    bed.other_engine().terminate(&launched.environment).await.unwrap();
    (bed, launched)
}

pub(crate) fn done(action: &'static str) -> (&'static str, Outcome, String) {
    (action, Outcome::Done, String::new())
}

pub(crate) fn skipped(action: &'static str, why: &str) -> (&'static str, Outcome, String) {
    (action, Outcome::Skipped, why.to_owned())
}

/// Restores a database directly.
pub(crate) async fn restore_database(cloud: &DynCloud, number: u32, claimed: bool) {
    let number = Number(number);
    let snapshot = cloud.latest_snapshot("integration").await.unwrap().unwrap();
    let new = NewDatabase {
        fleet: dev(),
        number,
        source: "integration".into(),
        snapshot,
        claim: claimed.then(|| (dev().environment(number), RecordId::new("lt-1"))),
        requested_at: "2026-03-02T08:08:00Z".parse().unwrap(),
        zone: "eu-west-1a".into(),
        class: "db.t4g.small".into(),
        subnet_group: "private".into(),
        security_groups: Vec::new(),
        parameter_group: None,
        iam_auth: false,
        settings: "0123456789abcdef".into(),
        company_tags: CompanyTags::default(),
    };
    cloud.create_database(&new).await.unwrap();
}

/// Launches another instance of a record with another attempt's token.
pub(crate) async fn launch_again(cloud: &DynCloud, record: RecordId, attempt: u32) -> InstanceId {
    let token = record.client_token(attempt);
    let request = LaunchInstance { record, token, subnet: None, instance_type: None };
    cloud.launch_instance(&request).await.expect("an instance")
}

pub(crate) fn extension(bed: &TestBed) -> TagChanges {
    TagChanges::expire_at(bed.clock.now() + 9 * HOUR).remove(key::REAPING_SINCE)
}

/// A test bed with a launch without an instance, old enough to be finished by any engine.
async fn unfinished() -> (TestBed, Launched) {
    let bed = TestBed::new();
    bed.script.fail(LAUNCH, ALWAYS, error(ErrorClass::Transient));
    let launched = bed.launch().await.unwrap();
    bed.script.clear();
    bed.clock.sleep(Duration::from_mins(1)).await;
    (bed, launched)
}

#[test]
fn unfinished_launch_is_finished_once() {
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
            assert_eq!(bed.run_pass().await[0], skipped("launch-instance", why));
            assert_eq!(bed.active_instances(), []);
        });
    }
    on_paused_time(async {
        let (bed, launched) = unfinished().await;
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
        let instance = bed.active_instances().remove(0).0;
        assert_eq!((action, outcome, detail), ("launch-instance", Outcome::Done, instance.clone()));
        assert_eq!(bed.record(&launched.environment).unwrap()[key::INSTANCE], instance);
    });
    on_paused_time(async {
        let (bed, launched) = unfinished().await;
        bed.script.fail(LAUNCH, 1, error(ErrorClass::Capacity));
        let detail = "the next attempt uses another placement: Operation: injected error (Code)".to_owned();
        assert_eq!(bed.run_pass().await[0], ("launch-instance", Outcome::Done, detail));
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
        bed.script.fail(LAUNCH, 1, error(ErrorClass::Quota));
        let detail = "failed for good: Operation: injected error (Code)".to_owned();
        assert_eq!(bed.run_pass().await[0], ("launch-instance", Outcome::Done, detail));
        let failure = &bed.record(&launched.environment).unwrap()[key::FAILURE];
        assert!(failure.ends_with(" Operation: injected error (Code)"), "{failure}");
    });
}

/// Leaves a record whose launch failed at this operation, a minute ago.
pub(crate) async fn claim_only(bed: &TestBed, operation: &'static str) {
    bed.script.fail(operation, ALWAYS, error(ErrorClass::Auth));
    bed.script.fail("tag record", ALWAYS, error(ErrorClass::Auth));
    bed.launch().await.unwrap_err();
    bed.script.clear();
    bed.clock.sleep(Duration::from_mins(1)).await;
}

#[test]
fn any_engine_completes_a_claim() {
    on_paused_time(async {
        let bed = TestBed::new();
        claim_only(&bed, "tag database").await;
        let environment = bed.records().remove(0);
        assert_eq!(bed.run_pass().await[0], done("claim-database"));
        let tags = bed.database(&environment).unwrap().tags;
        assert_eq!(tags[key::ENVIRONMENT], environment.to_string());
        assert_eq!(bed.run_pass().await[0].0, "launch-instance");
    });
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        claim_only(&bed, "create database").await;
        let environment = bed.records().remove(0);
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
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
            let bed = TestBed::with_scenario(Scenario { free, ..Scenario::default() });
            claim_only(&bed, operation).await;
            let environment = bed.records().remove(0);
            let record = bed.caller().find_record(&environment).await.unwrap().value.unwrap().id;
            let ended = Termination { at: bed.clock.now(), by: "bob".into() };
            bed.tag_before("record", &record, TagChanges::terminate(&ended));
            assert_eq!(bed.run_pass().await[0], skipped(action, "its environment is ending or gone"));
        });
    }
}

#[test]
fn give_up_reads_again_first() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        cloud.terminate_instance(&instance).await.unwrap();
        assert_eq!(bed.run_pass().await, [done("give-up")]);
        let failure = &bed.record(&launched.environment).unwrap()[key::FAILURE];
        assert!(failure.contains(&format!("its instance {instance} is shutting-down")), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().terminate_instance(&launched.instance.unwrap()).await.unwrap();
        let ended = Termination { at: bed.clock.now(), by: "bob".into() };
        bed.tag_before("record", &launched.record, TagChanges::terminate(&ended));
        assert_eq!(bed.run_pass().await, [skipped("give-up", "its environment is ending or gone")]);
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().terminate_instance(&launched.instance.unwrap()).await.unwrap();
        let (cloud, record) = (bed.caller(), launched.record.clone());
        bed.script.before("instances of", async move {
            launch_again(&cloud, record, 7).await;
        });
        assert_eq!(bed.run_pass().await, [skipped("give-up", "its instance and database exist after all")]);
    });
}

#[test]
fn restores_take_numbers_in_order() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        let (action, outcome, detail) = bed.run_pass().await.remove(0);
        assert_eq!((action, outcome), ("create-database", Outcome::Done));
        assert!(detail.starts_with("from rds:integration-"), "{detail}");
        let hint = bed.run_pass().await;
        assert_eq!(hint, [done("move-hint")]);
        assert_eq!(bed.run_pass().await, []);
    });
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        // Another engine creates a database of the same number first.
        let other = bed.other_engine();
        bed.script.before("create database", async move {
            other.once(false).await.expect("a pass");
        });
        assert_eq!(bed.run_pass().await, [skipped("create-database", "another engine created it first")]);
    });
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "2")]);
        assert_eq!(bed.run_pass().await[0].1, Outcome::Done);
        assert_eq!(bed.script.count("database"), 1, "only the new number is read");
    });
    // An engine that was suspended for hours does not reuse a number that was used and released meanwhile.
    for operation in ["fleet", "database", "create database"] {
        on_paused_time(async {
            let bed = TestBed::with_scenario(Scenario::default());
            let (cloud, other, clock) = (bed.caller(), bed.other_engine(), bed.clock.clone());
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
            let outcome = bed.run_pass().await[0].1;
            if operation == "create database" {
                // The call times out first.
                assert_eq!(outcome, Outcome::Unknown);
            } else {
                assert_eq!(outcome, Outcome::Skipped, "{operation}");
                assert!(bed.database(&dev().environment(Number(6))).is_none(), "{operation}");
            }
        });
    }
    // The previous number is in use, but not in this engine's listing yet.
    for (claimed, ends) in [(false, Outcome::Skipped), (true, Outcome::Done)] {
        on_paused_time(async {
            let bed = TestBed::with_policy([("last-number", "6")]);
            let cloud = bed.caller();
            bed.caller().delete_database(&dev().database_id(Number(6))).await.unwrap();
            bed.clock.sleep(Duration::from_mins(8)).await;
            bed.script.before("database", async move {
                restore_database(&cloud, 6, claimed).await;
            });
            let (action, outcome, _) = bed.run_pass().await.remove(0);
            assert_eq!((action, outcome), ("create-database", ends));
        });
    }
}

#[test]
fn number_hint_is_raised_once() {
    on_paused_time(async {
        let bed = TestBed::new();
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let changes = TagChanges::new().set("hatchery:last-number", "0");
        cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
        let other = bed.other_engine();
        bed.script.before("fleet", async {});
        bed.script.before("fleet", async move {
            other.once(false).await.expect("a pass");
        });
        assert_eq!(bed.run_pass().await, [skipped("move-hint", "another engine changed it first")]);
    });
}

#[test]
fn steps_of_one_priority_run_concurrently() {
    let took = async |bed: &TestBed| {
        let begun = bed.clock.elapsed();
        let steps: Vec<_> = bed.run_pass().await.into_iter().map(|(action, _, _)| action).collect();
        (steps, bed.clock.elapsed().saturating_sub(begun).as_secs())
    };
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.delay("delete database", 3);
        bed.delay("terminate", 3);
        assert_eq!(took(&bed).await, (vec!["delete-database", "terminate-instance"], 3));
    });
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let cloud = bed.caller();
        bed.clock.sleep(Duration::from_secs(1)).await;
        // One environment needs its expiry mirrored, another one is ending.
        let other = bed.launch().await.unwrap();
        let changes = TagChanges::expire_at(bed.clock.now());
        cloud.tag_instance(&other.instance.unwrap(), &changes).await.unwrap();
        bed.delay("tag instance", 3);
        bed.delay("terminate", 3);
        bed.delay("delete database", 3);
        let (steps, seconds) = took(&bed).await;
        assert_eq!(&steps[..3], ["mirror-expiry", "delete-database", "terminate-instance"]);
        assert_eq!(seconds, 6, "{steps:?}");
        drop(launched);
    });
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario {
            policy: [("spare".to_owned(), "3".to_owned())].into(),
            ..Scenario::default()
        });
        (0..3).for_each(|_| bed.delay("create database", 3));
        assert_eq!(took(&bed).await, (vec!["create-database"; 3], 9), "one after the other");
        assert!(bed.audit("create-database").iter().all(|event| event.outcome == Outcome::Done));
        assert_eq!(bed.audit("create-database").len(), 3);
    });
}

#[test]
fn failed_restore_is_counted_once() {
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.restore_fails = 1.0;
        let bed = TestBed::with_scenario(scenario);
        bed.run_other_engine(40).await;
        let failures = |bed: &TestBed| {
            bed.sim.inspect(|state| {
                let (_, fleet) = state.templates().find(|(_, found)| found.name == "hatchery/dev").unwrap();
                fleet.tags.get("hatchery:restore-failures").cloned().unwrap_or_default()
            })
        };
        assert!(failures(&bed).split(' ').count() >= 2, "{}", failures(&bed));
        assert_eq!(bed.audit("note-failed-restore").len(), failures(&bed).split(' ').count() - 1);
        bed.sim.clear_faults();
        bed.run_other_engine(120).await;
        assert_eq!(failures(&bed), "");
        assert_eq!(bed.audit("forget-failed-restores").len(), 1);
    });
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.restore_fails = 1.0;
        let bed = TestBed::with_scenario(scenario);
        bed.other_engine().once(false).await.unwrap();
        bed.clock.sleep(Duration::from_mins(31)).await;
        let other = bed.other_engine();
        // The first read of the fleet is the listing's; the second one comes right before the change.
        bed.script.before("fleet", async {});
        bed.script.before("fleet", async move {
            other.once(false).await.expect("a pass");
        });
        let steps = bed.run_pass().await;
        assert_eq!(steps[0], skipped("note-failed-restore", "another engine changed it first"));
    });
}

#[test]
fn failed_step_does_not_stop_the_others() {
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.script.fail("delete database", 1, error(ErrorClass::Transient));
        let failed = ("delete-database", Outcome::Failed, "Operation: injected error (Code)".to_owned());
        assert_eq!(bed.run_pass().await, [failed, done("terminate-instance")]);
        let [event] = &bed.audit("delete-database")[..] else { panic!() };
        assert_eq!(
            (event.outcome, event.detail.raw()),
            (Outcome::Failed, "Operation: injected error (Code)")
        );
    });
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.script.lose_response("delete database", 1);
        assert_eq!(bed.run_pass().await[0].1, Outcome::Unknown);
    });
}

#[rstest]
#[case(ErrorClass::NotFound, Outcome::Skipped)]
#[case(ErrorClass::Auth, Outcome::Failed)]
#[case(ErrorClass::Unknown, Outcome::Unknown)]
fn missing_resource_skips_the_step(#[case] class: ErrorClass, #[case] outcome: Outcome) {
    on_paused_time(async {
        let bed = TestBed::new();
        claim_only(&bed, "tag database").await;
        bed.script.fail("tag database", 1, error(class));
        let (action, ended, why) = bed.run_pass().await.remove(0);
        assert_eq!((action, ended), ("claim-database", outcome));
        assert_eq!(why == "it is gone", outcome == Outcome::Skipped, "{why}");
    });
}

#[test]
fn dry_run_lists_steps_and_changes_nothing() {
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let report = bed.engine.once(true).await.unwrap();
        let steps: Vec<_> = report.steps.iter().map(|step| (step.action, step.outcome)).collect();
        assert_eq!(steps, [("delete-database", Outcome::DryRun), ("terminate-instance", Outcome::DryRun)]);
        assert!(report.steps.iter().all(|step| step.reason == "bob requested it"), "{report:?}");
        assert!(bed.database(&launched.environment).is_some() && bed.active_instances().len() == 1);
        assert!(bed.audit("delete-database").is_empty());
    });
}

#[rstest]
#[case("paused", "true", "the fleet is paused")]
#[case("min-version", "1.0.1", "the fleet requires hatchery 1.0.1 or later, and this is 1.0.0")]
fn observe_only_engine_gives_its_reason(
    #[case] setting: &'static str,
    #[case] value: &'static str,
    #[case] why: &'static str,
) {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario {
            policy: [(setting.to_owned(), value.to_owned())].into(),
            ..Scenario::default()
        });
        let report = bed.engine.once(false).await.unwrap();
        assert_eq!((report.steps.len(), report.refused.len()), (0, 1));
        assert_eq!((report.refused[0].target.as_str(), report.refused[0].reason.as_str()), ("dev", why));
    });
}
