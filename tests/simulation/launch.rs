//! Launches whose calls fail one by one: each ends with one environment, or with a clear failure that leaves nothing behind.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::tags::{key, role};
use hatchery::domain::{CloudError, ErrorClass, InstanceId, Number, Outcome, TagChanges, Tags};
use hatchery::engine::Launched;
use hatchery::failure::Kind;
use rstest::rstest;

use crate::cloud_layer::LAUNCH;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

/// Asserts that the environment has exactly one record, instance and database.
#[track_caller]
pub(crate) fn assert_launched(bed: &TestBed, launched: &Launched) {
    assert_eq!(bed.records(), std::slice::from_ref(&launched.environment));
    let tags = bed.record(&launched.environment).unwrap();
    let alive = bed.active_instances();
    let [(instance, instance_tags)] = &alive[..] else { panic!("{alive:?}") };
    assert_eq!(tags.get(key::INSTANCE), Some(instance));
    assert_eq!(instance_tags[key::ENVIRONMENT], launched.environment.to_string());
    let database = bed.database(&launched.environment).unwrap();
    assert_eq!(database.tags[key::ENVIRONMENT], launched.environment.to_string());
}

/// Asserts that other engines remove all of a failed launch, and that the pool is as before.
pub(crate) async fn assert_nothing_left(bed: &TestBed) {
    bed.script.clear();
    bed.run_other_engine(90).await;
    assert_eq!((bed.records().len(), bed.active_instances().len()), (0, 0));
    let databases = bed.sim.inspect(|state| {
        state
            .databases()
            .map(|(_, database)| database.tags.contains_key(key::ENVIRONMENT))
            .collect::<Vec<_>>()
    });
    assert_eq!(databases, [false], "one free database");
}

/// Returns the ids of all resources that lack a tag of the company.
fn without_company_tag(bed: &TestBed) -> Vec<String> {
    bed.sim.inspect(|state| {
        let templates = state.templates().map(|(id, template)| (id, &template.tags));
        let instances = state.instances().map(|(id, instance)| (id, &instance.tags));
        let databases = state.databases().map(|(id, database)| (id, &database.tags));
        let all = templates.chain(instances).chain(databases);
        all.filter(|(_, tags)| tags.get("team").is_none_or(|team| team != "payments"))
            .map(|(id, _)| id.to_owned())
            .collect()
    })
}

#[test]
fn new_resources_have_the_tags_of_the_company() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("tags", "team=payments"), ("snapshot-drift", "1m")]);
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        // The engine restores a database in place of the claimed one, and retires it after the next snapshot.
        let is_retirement = |tags: &Tags| tags.get(key::ROLE).is_some_and(|role| role == role::RETIREMENT);
        let is_retiring =
            || bed.sim.inspect(|state| state.templates().any(|(_, template)| is_retirement(&template.tags)));
        for _ in 0..40 {
            bed.run_other_engine(1).await;
            assert_eq!(without_company_tag(&bed), Vec::<String>::new());
            if is_retiring() {
                return;
            }
            bed.clock.sleep(Duration::from_mins(30)).await;
        }
        panic!("no retirement");
    });
}

#[test]
fn launch_claims_the_free_database() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h")]);
        bed.clock.sleep(Duration::from_millis(700)).await;
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(
            launched.instance.as_ref().map(ToString::to_string),
            bed.active_instances().pop().map(|(id, _)| id)
        );
        assert_eq!(launched.expires_at.to_rfc3339(), "2026-03-02T11:00:00+00:00");
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
        let [event] = &bed.audit("launch")[..] else { panic!() };
        assert_eq!((event.who.raw(), event.outcome), ("amy", Outcome::Done));
        assert_eq!(event.target, launched.environment.to_string());
        assert!(event.detail.raw().contains(launched.database.as_str()), "{event:?}");
        assert!(event.restore_seconds.is_some_and(|seconds| seconds >= 600), "the demand forecast needs it");
        assert_eq!(bed.engine.audit_failure(), None);
    });
}

#[test]
fn instance_is_launched_in_the_zone_of_its_database() {
    on_paused_time(async {
        let bed = TestBed::new();
        let (first, second) = (bed.launch().await.unwrap(), bed.launch().await.unwrap());
        let zones = [first, second].map(|launched| {
            let instance = launched.instance.unwrap().to_string();
            let zone = bed.sim.inspect(|state| {
                state.instances().find(|(id, _)| *id == instance).map(|(_, found)| found.zone.clone())
            });
            assert_eq!(zone, bed.database(&launched.environment).map(|database| database.zone));
            zone
        });
        assert_ne!(zones[0], zones[1]);
    });
}

#[rstest]
fn call_of_unknown_outcome_is_not_repeated(
    #[values("create record", "tag database", LAUNCH, "tag record", "audit")] operation: &'static str,
    #[values(1, 3)] times: usize,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.lose_response(operation, times);
        let launched = bed.launch().await.unwrap_or_else(|failure| panic!("{operation}: {failure}"));
        if operation == "tag record" {
            bed.run_other_engine(2).await;
        }
        assert_launched(&bed, &launched);
    });
}

#[rstest]
#[case("create record", ErrorClass::Throttled)]
#[case("create record", ErrorClass::Transient)]
#[case("create record", ErrorClass::Unknown)]
#[case("tag database", ErrorClass::Throttled)]
#[case(LAUNCH, ErrorClass::Transient)]
#[case("audit", ErrorClass::Throttled)]
fn failed_call_is_retried_four_times(#[case] operation: &'static str, #[case] class: ErrorClass) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(operation, 4, error(class));
        let begun = bed.clock.elapsed();
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.script.count(operation), 5, "{operation}");
        let took = bed.clock.elapsed().saturating_sub(begun).as_secs();
        // 2, 4, 8 and 16 seconds, half or one and a half times as long; or two seconds each.
        let expected = if class == ErrorClass::Throttled { 15..=45 } else { 8..=8 };
        assert!(expected.contains(&took), "{operation}: {took} s");
    });
}

#[rstest]
#[case(ErrorClass::Auth, Kind::NotPermitted)]
#[case(ErrorClass::Invalid, Kind::Failed)]
#[case(ErrorClass::Throttled, Kind::Throttled)]
#[case(ErrorClass::Unknown, Kind::UnknownOutcome)]
fn failed_claim_leaves_nothing(#[case] class: ErrorClass, #[case] kind: Kind) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("create record", ALWAYS, error(class));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.records().len()), (kind, 0));
        let again = matches!(class, ErrorClass::Throttled | ErrorClass::Unknown);
        assert_eq!(bed.script.count("create record"), if again { 5 } else { 1 });
        assert!(failure.message.starts_with("cannot claim hatchery-dev-"), "{failure}");
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn taken_name_without_record_is_skipped() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("max-databases", "2")]);
        bed.script.fail("create record", 5, error(ErrorClass::AlreadyExists));
        let launched = bed.launch().await.unwrap();
        // Then the launch took the next number.
        assert_eq!(bed.script.count("record of"), 5);
        assert_eq!(bed.script.count("create record"), 6);
        assert_eq!(bed.database(&launched.environment).unwrap().status, "creating");
    });
}

#[test]
fn database_claimed_by_another_user_is_skipped() {
    on_paused_time(async {
        let bed = TestBed::new();
        // The other engine claims it between this engine's observation and its claim.
        let other = bed.other_engine();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        bed.script.before("create record", async move {
            sender.send(other.launch(&checkout()).await.unwrap()).unwrap();
        });
        let (mine, theirs) = (bed.launch().await.unwrap(), receiver.await.unwrap());
        assert_ne!(mine.database, theirs.database);
        assert_eq!((bed.records().len(), bed.active_instances().len()), (2, 2));
    });
}

#[test]
fn untagged_database_returns_to_the_pool() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("tag database", ALWAYS, error(ErrorClass::Throttled));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!(bed.script.count("tag database"), 5);
        assert!(failure.message.starts_with("cannot bind hatchery-dev-"), "{failure}");
        let tags = bed.record(&bed.records()[0]).unwrap();
        assert!(tags[key::FAILURE].ends_with("Operation: injected error (Code)"), "{tags:?}");
        assert!(tags[key::TERMINATE].ends_with(" amy"), "{tags:?}");
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn abort_is_retried() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("tag database", ALWAYS, error(ErrorClass::Auth));
        bed.script.fail("tag record", 4, error(ErrorClass::Throttled));
        bed.launch().await.unwrap_err();
        assert_eq!((bed.script.count("tag database"), bed.script.count("tag record")), (1, 5));
        assert!(bed.record(&bed.records()[0]).unwrap().contains_key(key::TERMINATE));
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn launch_that_cannot_be_aborted_ends_at_its_expiry() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "10m"), ("grace", "5m")]);
        bed.script.fail("tag database", ALWAYS, error(ErrorClass::Auth));
        bed.script.fail("tag record", ALWAYS, error(ErrorClass::Auth));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.script.count("tag record")), (Kind::NotPermitted, 1));
        assert_nothing_left(&bed).await;
    });
}

#[rstest]
#[case(ErrorClass::Transient)]
#[case(ErrorClass::Auth)]
fn claim_on_an_unreadable_database_is_released(#[case] class: ErrorClass) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("database", ALWAYS, error(class));
        let failure = bed.launch().await.unwrap_err();
        assert!(failure.message.starts_with("cannot bind hatchery-dev-"), "{failure}");
        assert_eq!(bed.records(), []);
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn claim_that_cannot_be_released_is_terminated() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("database", ALWAYS, error(ErrorClass::Auth));
        bed.script.fail("delete record", ALWAYS, error(ErrorClass::Auth));
        bed.launch().await.unwrap_err();
        assert!(bed.record(&bed.records()[0]).unwrap().contains_key(key::TERMINATE));
        assert_nothing_left(&bed).await;
    });
}

#[rstest]
#[case(true)]
#[case(false)]
fn database_lost_after_the_claim_is_skipped(#[case] gone: bool) {
    on_paused_time(async {
        let bed = TestBed::new();
        let (cloud, database) = (bed.caller(), dev().database_id(Number(6)));
        bed.script.before("database", async move {
            if gone {
                cloud.delete_database(&database).await.unwrap();
            } else {
                let changes = TagChanges::new().set(key::ENVIRONMENT, "dev-999");
                cloud.tag_database(&database, &changes).await.unwrap();
            }
        });
        let launched = bed.launch().await.unwrap();
        assert_eq!(launched.environment.to_string(), "dev-7");
        assert_launched(&bed, &launched);
    });
}

#[test]
fn restore_with_lost_response_is_recognized() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.lose_response("create database", 1);
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.script.count("create database"), 2);
    });
}

#[test]
fn terminated_instance_does_not_count_as_launched() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.lose_response(LAUNCH, 1);
        bed.script.fail(LAUNCH, 1, error(ErrorClass::Capacity));
        let (cloud, sim) = (bed.caller(), bed.sim.clone());
        bed.script.before(LAUNCH, async {});
        bed.script.before(LAUNCH, async move {
            let first = sim.inspect(|state| state.instances().next().map(|(id, _)| InstanceId::new(id)));
            cloud.terminate_instance(&first.unwrap()).await.unwrap();
        });
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
    });
}

#[rstest]
#[case("create database", ErrorClass::Transient, 0)]
#[case("create database", ErrorClass::Throttled, 4)]
fn launch_on_an_empty_pool_restores_a_database(
    #[case] operation: &'static str,
    #[case] class: ErrorClass,
    #[case] times: usize,
) {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail(operation, times, error(class));
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.database(&launched.environment).unwrap().status, "creating");
        assert_eq!(bed.audit("launch")[0].restore_seconds, None);
    });
}

#[test]
fn failed_restore_fails_the_launch() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("max-databases", "1")]);
        let first = bed.launch().await.unwrap();
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.records()), (Kind::Refused, vec![first.environment]));
        assert!(failure.message.contains("all in use or reserved (max-databases is 1)"), "{failure}");
    });
    for (class, kind) in [(ErrorClass::Quota, Kind::Quota), (ErrorClass::Transient, Kind::Failed)] {
        on_paused_time(async {
            let bed = TestBed::with_scenario(Scenario::default());
            bed.script.fail("create database", ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind);
            assert!(failure.message.starts_with("cannot restore hatchery-dev-"), "{failure}");
            assert_nothing_left(&bed).await;
        });
    }
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(3)]
fn missing_capacity_tries_the_next_placement(#[case] refused: usize) {
    on_paused_time(async {
        let bed = TestBed::with_policy([("fallback-instance-types", "m5.2xlarge")]);
        bed.script.fail(LAUNCH, refused, error(ErrorClass::Capacity));
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], refused.to_string());
    });
}

#[rstest]
// The record's own subnet and the fleet's three.
#[case(ErrorClass::Capacity, 4, Kind::Failed)]
#[case(ErrorClass::Quota, 1, Kind::Quota)]
#[case(ErrorClass::Auth, 1, Kind::NotPermitted)]
#[case(ErrorClass::Invalid, 1, Kind::Failed)]
fn launch_fails_if_no_placement_works(
    #[case] class: ErrorClass,
    #[case] attempts: usize,
    #[case] kind: Kind,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(LAUNCH, ALWAYS, error(class));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.script.count(LAUNCH)), (kind, attempts));
        assert!(failure.message.starts_with("cannot launch dev-"), "{failure}");
        let tags = bed.record(&bed.records()[0]).unwrap();
        assert!(tags[key::FAILURE].contains("injected error"), "{tags:?}");
        assert_eq!(bed.audit("launch")[0].outcome, Outcome::Failed);
        assert_nothing_left(&bed).await;
    });
}

#[test]
fn used_client_token_is_replaced() {
    on_paused_time(async {
        let bed = TestBed::new();
        let mismatch =
            CloudError { code: "IdempotentParameterMismatch".into(), ..error(ErrorClass::Invalid) };
        bed.script.fail(LAUNCH, 1, mismatch);
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
    });
}

#[rstest]
#[case(ErrorClass::Capacity)]
#[case(ErrorClass::Quota)]
fn instance_of_a_lost_response_is_found(#[case] class: ErrorClass) {
    on_paused_time(async {
        let bed = TestBed::new();
        // The first response is lost; the second request fails.
        bed.script.lose_response(LAUNCH, 1);
        bed.script.fail(LAUNCH, ALWAYS, error(class));
        let launched = bed.launch().await.unwrap();
        assert_eq!(bed.active_instances().len(), 1);
        assert_eq!(
            launched.instance.map(|id| id.to_string()),
            bed.active_instances().pop().map(|(id, _)| id)
        );
    });
}

#[test]
fn unlaunched_instance_is_left_to_any_engine() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(LAUNCH, ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        assert_eq!((launched.instance.clone(), bed.script.count(LAUNCH)), (None, 5));
        assert_eq!(bed.audit("launch")[0].outcome, Outcome::Unknown);
        bed.run_other_engine(3).await;
        assert_launched(&bed, &launched);
    });
}

#[test]
fn unrecorded_instance_is_recorded_by_any_engine() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("tag record", ALWAYS, error(ErrorClass::Auth));
        let launched = bed.launch().await.unwrap();
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::INSTANCE));
        bed.run_other_engine(1).await;
        assert_launched(&bed, &launched);
    });
}

#[test]
fn termination_during_launch_is_too_late() {
    on_paused_time(async {
        let bed = TestBed::new();
        let (cloud, environment) = (bed.caller(), dev().environment(Number(6)));
        bed.script.before(LAUNCH, async move {
            let record = cloud.find_record(&environment).await.unwrap().value.unwrap();
            cloud.delete_record(&record.id).await.unwrap();
        });
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.script.count(LAUNCH)), (Kind::TooLate, 1));
        assert_eq!(failure.hint, "launch it again if you still need it");
    });
}

#[test]
fn pass_finishes_an_unfinished_launch() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(LAUNCH, ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        // Another engine has already made three attempts.
        let changes = TagChanges::new().set(key::ATTEMPT, "3");
        bed.clock.sleep(Duration::from_mins(2)).await;
        bed.script.clear();
        bed.tag_record(&launched.record, &changes).await;
        let report = bed.engine.once(false).await.unwrap();
        let step = report.steps.iter().find(|step| step.action == "launch-instance").unwrap();
        assert_eq!(step.outcome, Outcome::Done, "{step:?}");
        assert_launched(&bed, &launched);
    });
}
