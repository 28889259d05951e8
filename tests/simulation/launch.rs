//! A launch, whatever becomes of each of its calls: it ends with one environment, or with a clear refusal that leaves nothing.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::tags::key;
use hatchery::domain::{CloudError, ErrorClass, InstanceId, Number, Outcome, TagChanges};
use hatchery::engine::Launched;
use hatchery::failure::Kind;

use crate::cloud_layer::LAUNCH;
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

/// Everything of an environment is there, once.
#[track_caller]
pub(crate) fn stands(bed: &TestBed, launched: &Launched) {
    assert_eq!(bed.records(), std::slice::from_ref(&launched.environment));
    let tags = bed.record(&launched.environment).unwrap();
    let alive = bed.alive();
    let [(instance, born)] = &alive[..] else { panic!("{alive:?}") };
    assert_eq!(tags.get(key::INSTANCE), Some(instance));
    assert_eq!(born[key::ENVIRONMENT], launched.environment.to_string());
    let database = bed.database(&launched.environment).unwrap();
    assert_eq!(database.tags[key::ENVIRONMENT], launched.environment.to_string());
}

/// Once others have cleared up, nothing is left of a launch that failed, and the pool is as before.
async fn nothing_is_left(bed: &TestBed) {
    bed.script.end();
    bed.others_work(90).await;
    assert_eq!((bed.records().len(), bed.alive().len()), (0, 0));
    let databases = bed.sim.inspect(|state| {
        state
            .databases()
            .map(|(_, database)| database.tags.contains_key(key::ENVIRONMENT))
            .collect::<Vec<_>>()
    });
    assert_eq!(databases, [false], "one free database");
}

#[test]
fn a_launch_takes_a_free_database_and_says_what_came_of_it() {
    on_paused_time(async {
        let bed = TestBed::with([("ttl", "3h")]);
        bed.clock.sleep(Duration::from_millis(700)).await;
        let launched = bed.launch().await.unwrap();
        stands(&bed, &launched);
        assert_eq!(launched.instance.as_ref().map(ToString::to_string), bed.alive().pop().map(|(id, _)| id));
        assert_eq!(launched.expires_at.to_rfc3339(), "2026-03-02T11:00:00+00:00");
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
        let [event] = &bed.audit("launch")[..] else { panic!() };
        assert_eq!((event.who.as_str(), event.outcome), ("amy", Outcome::Done));
        assert_eq!(event.target, launched.environment.to_string());
        assert!(event.detail.contains(launched.database.as_str()), "{event:?}");
        assert!(event.restore_seconds.is_some_and(|seconds| seconds >= 600), "the demand is learnt from it");
        assert_eq!(bed.engine.audit_failure(), None);
    });
}

#[test]
fn an_instance_is_launched_beside_its_database() {
    on_paused_time(async {
        let bed = TestBed::new();
        let (first, second) = (bed.launch().await.unwrap(), bed.launch().await.unwrap());
        let zones = [first, second].map(|launched| {
            let instance = launched.instance.unwrap().to_string();
            let machine = bed.sim.inspect(|state| {
                state.instances().find(|(id, _)| *id == instance).map(|(_, machine)| machine.zone.clone())
            });
            assert_eq!(machine, bed.database(&launched.environment).map(|database| database.zone));
            machine
        });
        assert_ne!(zones[0], zones[1]);
    });
}

#[test]
fn a_call_of_unknown_outcome_is_looked_up_and_not_done_twice() {
    for operation in ["create record", "tag database", LAUNCH, "tag record", "audit"] {
        for times in [1, 3] {
            on_paused_time(async {
                let bed = TestBed::new();
                bed.script.lose(operation, times);
                let launched = bed.launch().await.unwrap_or_else(|failure| panic!("{operation}: {failure}"));
                if operation == "tag record" {
                    bed.others_work(2).await;
                }
                stands(&bed, &launched);
            });
        }
    }
}

#[test]
fn a_call_that_did_nothing_is_tried_again_some_times() {
    for (operation, class) in [
        ("create record", ErrorClass::Throttled),
        ("create record", ErrorClass::Transient),
        ("create record", ErrorClass::Unknown),
        ("tag database", ErrorClass::Throttled),
        (LAUNCH, ErrorClass::Transient),
        ("audit", ErrorClass::Throttled),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse(operation, 4, error(class));
            let begun = bed.clock.elapsed();
            let launched = bed.launch().await.unwrap();
            stands(&bed, &launched);
            assert_eq!(bed.script.calls(operation), 5, "{operation}");
            assert_eq!(
                bed.clock.elapsed().saturating_sub(begun).as_secs(),
                8,
                "{operation}: two seconds each"
            );
        });
    }
}

#[test]
fn a_claim_that_fails_leaves_nothing() {
    for (class, kind) in [
        (ErrorClass::Auth, Kind::NotPermitted),
        (ErrorClass::Invalid, Kind::Failed),
        (ErrorClass::Throttled, Kind::Throttled),
        (ErrorClass::Unknown, Kind::UnknownOutcome),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse("create record", ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert_eq!((failure.kind, bed.records().len()), (kind, 0));
            let again = matches!(class, ErrorClass::Throttled | ErrorClass::Unknown);
            assert_eq!(bed.script.calls("create record"), if again { 5 } else { 1 });
            assert!(failure.message.starts_with("cannot claim hatchery-dev-"), "{failure}");
            nothing_is_left(&bed).await;
        });
    }
}

#[test]
fn a_name_that_seems_to_be_taken_by_nobody_is_left_alone() {
    on_paused_time(async {
        let bed = TestBed::with([("max-databases", "2")]);
        bed.script.refuse("create record", 5, error(ErrorClass::AlreadyExists));
        let launched = bed.launch().await.unwrap();
        // After that the next number was taken.
        assert_eq!(bed.script.calls("record of"), 5);
        assert_eq!(bed.script.calls("create record"), 6);
        assert_eq!(bed.database(&launched.environment).unwrap().status, "creating");
    });
}

#[test]
fn what_somebody_else_has_claimed_is_theirs() {
    on_paused_time(async {
        let bed = TestBed::new();
        // They claim it between this engine's look and its claim.
        let other = bed.other();
        let (theirs, told) = tokio::sync::oneshot::channel();
        bed.script.before("create record", async move {
            theirs.send(other.launch(&checkout()).await.unwrap()).unwrap();
        });
        let (mine, theirs) = (bed.launch().await.unwrap(), told.await.unwrap());
        assert_ne!(mine.database, theirs.database);
        assert_eq!((bed.records().len(), bed.alive().len()), (2, 2));
    });
}

#[test]
fn a_database_that_cannot_be_bound_is_given_back_by_others() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("tag database", ALWAYS, error(ErrorClass::Transient));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!(bed.script.calls("tag database"), 5);
        assert!(failure.message.starts_with("cannot bind hatchery-dev-"), "{failure}");
        let tags = bed.record(&bed.records()[0]).unwrap();
        assert!(tags[key::FAILURE].ends_with("Operation: it is so (Code)"), "{tags:?}");
        assert!(tags[key::TERMINATE].ends_with(" amy"), "{tags:?}");
        nothing_is_left(&bed).await;
    });
}

#[test]
fn a_withdrawal_is_tried_again_too() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("tag database", ALWAYS, error(ErrorClass::Auth));
        bed.script.refuse("tag record", 4, error(ErrorClass::Throttled));
        bed.launch().await.unwrap_err();
        assert_eq!((bed.script.calls("tag database"), bed.script.calls("tag record")), (1, 5));
        assert!(bed.record(&bed.records()[0]).unwrap().contains_key(key::TERMINATE));
        nothing_is_left(&bed).await;
    });
}

#[test]
fn a_launch_that_cannot_even_be_withdrawn_ends_with_its_ttl() {
    on_paused_time(async {
        let bed = TestBed::with([("ttl", "10m"), ("grace", "5m")]);
        bed.script.refuse("tag database", ALWAYS, error(ErrorClass::Auth));
        bed.script.refuse("tag record", ALWAYS, error(ErrorClass::Auth));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.script.calls("tag record")), (Kind::NotPermitted, 1));
        nothing_is_left(&bed).await;
    });
}

#[test]
fn a_claim_on_a_database_that_turns_out_unfit_is_let_go() {
    for class in [ErrorClass::Transient, ErrorClass::Auth] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse("database", ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert!(failure.message.starts_with("cannot bind hatchery-dev-"), "{failure}");
            assert_eq!(bed.records(), []);
            nothing_is_left(&bed).await;
        });
    }
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("database", ALWAYS, error(ErrorClass::Auth));
        bed.script.refuse("delete record", ALWAYS, error(ErrorClass::Auth));
        bed.launch().await.unwrap_err();
        assert!(bed.record(&bed.records()[0]).unwrap().contains_key(key::TERMINATE));
        nothing_is_left(&bed).await;
    });
}

#[test]
fn a_database_that_is_lost_before_it_is_bound_is_left_alone() {
    for gone in [true, false] {
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
            stands(&bed, &launched);
        });
    }
}

#[test]
fn a_restore_whose_answer_was_lost_is_ones_own() {
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        bed.script.lose("create database", 1);
        let launched = bed.launch().await.unwrap();
        stands(&bed, &launched);
        assert_eq!(bed.script.calls("create database"), 2);
    });
}

#[test]
fn an_instance_that_has_died_is_not_what_was_launched() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.lose(LAUNCH, 1);
        bed.script.refuse(LAUNCH, 1, error(ErrorClass::Capacity));
        let (cloud, sim) = (bed.caller(), bed.sim.clone());
        bed.script.before(LAUNCH, async {});
        bed.script.before(LAUNCH, async move {
            let first = sim.inspect(|state| state.instances().next().map(|(id, _)| InstanceId::new(id)));
            cloud.terminate_instance(&first.unwrap()).await.unwrap();
        });
        let launched = bed.launch().await.unwrap();
        stands(&bed, &launched);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
    });
}

#[test]
fn without_a_free_database_one_is_restored() {
    for (operation, class, times) in
        [("create database", ErrorClass::Transient, 0), ("create database", ErrorClass::Throttled, 4)]
    {
        on_paused_time(async {
            let bed = TestBed::of(Scenario::default());
            bed.script.refuse(operation, times, error(class));
            let launched = bed.launch().await.unwrap();
            stands(&bed, &launched);
            assert_eq!(bed.database(&launched.environment).unwrap().status, "creating");
            assert_eq!(bed.audit("launch")[0].restore_seconds, None);
        });
    }
}

#[test]
fn a_restore_that_is_refused_is_no_launch() {
    on_paused_time(async {
        let bed = TestBed::with([("max-databases", "1")]);
        let first = bed.launch().await.unwrap();
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.records()), (Kind::Refused, vec![first.environment]));
        assert!(failure.message.contains("the fleet's 1 databases are all in use"), "{failure}");
    });
    for (class, kind) in [(ErrorClass::Quota, Kind::Quota), (ErrorClass::Transient, Kind::Failed)] {
        on_paused_time(async {
            let bed = TestBed::of(Scenario::default());
            bed.script.refuse("create database", ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind);
            assert!(failure.message.starts_with("cannot restore hatchery-dev-"), "{failure}");
            nothing_is_left(&bed).await;
        });
    }
}

#[test]
fn where_there_is_no_room_another_subnet_and_another_type_are_tried() {
    for refused in 1..=3 {
        on_paused_time(async {
            let bed = TestBed::with([("fallback-instance-types", "m5.2xlarge")]);
            bed.script.refuse(LAUNCH, refused, error(ErrorClass::Capacity));
            let launched = bed.launch().await.unwrap();
            stands(&bed, &launched);
            assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], refused.to_string());
        });
    }
}

#[test]
fn a_launch_for_which_there_is_no_room_at_all_is_given_up() {
    for (class, attempts, kind) in [
        // The record's own subnet and the fleet's three.
        (ErrorClass::Capacity, 4, Kind::Failed),
        (ErrorClass::Quota, 1, Kind::Quota),
        (ErrorClass::Auth, 1, Kind::NotPermitted),
        (ErrorClass::Invalid, 1, Kind::Failed),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse(LAUNCH, ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert_eq!((failure.kind, bed.script.calls(LAUNCH)), (kind, attempts));
            assert!(failure.message.starts_with("cannot launch dev-"), "{failure}");
            let tags = bed.record(&bed.records()[0]).unwrap();
            assert!(tags[key::FAILURE].contains("it is so"), "{tags:?}");
            assert_eq!(bed.audit("launch")[0].outcome, Outcome::Failed);
            nothing_is_left(&bed).await;
        });
    }
}

#[test]
fn a_token_that_is_used_up_is_followed_by_the_next() {
    on_paused_time(async {
        let bed = TestBed::new();
        let burnt = CloudError { code: "IdempotentParameterMismatch".into(), ..error(ErrorClass::Invalid) };
        bed.script.refuse(LAUNCH, 1, burnt);
        let launched = bed.launch().await.unwrap();
        stands(&bed, &launched);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ATTEMPT], "1");
    });
}

#[test]
fn what_was_launched_already_is_found_before_another_is_launched() {
    for class in [ErrorClass::Capacity, ErrorClass::Quota] {
        on_paused_time(async {
            let bed = TestBed::new();
            // The first answer is lost; the second says no.
            bed.script.lose(LAUNCH, 1);
            bed.script.refuse(LAUNCH, ALWAYS, error(class));
            let launched = bed.launch().await.unwrap();
            assert_eq!(bed.alive().len(), 1);
            assert_eq!(launched.instance.map(|id| id.to_string()), bed.alive().pop().map(|(id, _)| id));
        });
    }
}

#[test]
fn an_instance_that_does_not_come_is_left_to_any_engine() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse(LAUNCH, ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        assert_eq!((launched.instance.clone(), bed.script.calls(LAUNCH)), (None, 5));
        assert_eq!(bed.audit("launch")[0].outcome, Outcome::Unknown);
        bed.others_work(3).await;
        stands(&bed, &launched);
    });
}

#[test]
fn an_instance_that_could_not_be_noted_is_noted_by_any_engine() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("tag record", ALWAYS, error(ErrorClass::Auth));
        let launched = bed.launch().await.unwrap();
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::INSTANCE));
        bed.others_work(1).await;
        stands(&bed, &launched);
    });
}

#[test]
fn who_is_terminated_while_launching_is_too_late() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse(LAUNCH, ALWAYS, error(ErrorClass::NotFound));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!((failure.kind, bed.script.calls(LAUNCH)), (Kind::TooLate, 1));
        assert_eq!(failure.hint, "launch again if it is still wanted");
    });
}

#[test]
fn a_pass_finishes_what_a_launch_left_and_skips_what_is_not_wanted_any_more() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse(LAUNCH, ALWAYS, error(ErrorClass::Transient));
        let launched = bed.launch().await.unwrap();
        // Bob's engine has looked, and before it acts somebody else has gone on.
        let changes = TagChanges::new().set(key::ATTEMPT, "3");
        bed.clock.sleep(Duration::from_mins(2)).await;
        bed.script.end();
        bed.tag(&launched.record, &changes).await;
        let report = bed.engine.once(false).await.unwrap();
        let step = report.steps.iter().find(|step| step.action == "launch-instance").unwrap();
        assert_eq!(step.outcome, Outcome::Done, "{step:?}");
        stands(&bed, &launched);
    });
}
