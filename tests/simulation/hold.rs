//! Holds and pins: what has failed stays for inspection until the hold ends, and a held database never returns to the pool.

use std::time::Duration;

use hatchery::cloud::sim::Intervention;
use hatchery::domain::tags::key;
use hatchery::domain::{Hold, LaunchFailure, Outcome, TagChanges, Termination};
use hatchery::engine::Launched;
use hatchery::failure::Kind;
use rstest::rstest;

use crate::setup::{dev, on_paused_time};
use crate::test_bed::TestBed;

const HOUR: Duration = Duration::from_hours(1);

/// A test bed with an environment that has failed and expires in three hours.
async fn failed() -> (TestBed, Launched) {
    let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "12h"), ("grace", "10m")]);
    let launched = bed.launch().await.unwrap();
    let failure = LaunchFailure { at: bed.clock.now(), reason: "the bootstrap broke it".into() };
    bed.tag_record(&launched.record, &TagChanges::fail(&failure)).await;
    (bed, launched)
}

#[test]
fn held_failure_stays_until_the_hold_ends() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let id = &launched.environment;
        bed.run_pass().await;
        assert!(bed.record(id).unwrap().contains_key(key::REAPING_SINCE), "without a hold it is reaped");
        let held = bed.engine.hold(id, 6 * HOUR, "disk full").await.unwrap();
        assert_eq!(
            (held.expires_at, held.capped),
            (bed.clock.now() + 6 * HOUR - Duration::from_secs(25), false)
        );
        bed.run_other_engine(355).await;
        let record = bed.record(id).unwrap();
        assert!(record.contains_key(key::FAILURE), "why it failed is still to be seen");
        assert_eq!(bed.active_instances().len(), 1);
        assert_eq!(
            bed.active_instances()[0].1[key::EXPIRES_AT],
            record[key::EXPIRES_AT],
            "its switch waits too"
        );
        let [event] = &bed.audit("hold")[..] else { panic!() };
        assert_eq!((event.reason.raw(), event.outcome), ("for 6h: disk full", Outcome::Done));
        bed.run_other_engine(60).await;
        assert_eq!((bed.record(id), bed.active_instances().len()), (None, 0));
    });
}

#[test]
fn failed_launch_is_not_repeated_while_held() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        bed.engine.hold(&launched.environment, HOUR, "why?").await.unwrap();
        let instance = bed.active_instances()[0].0.clone();
        assert!(bed.sim.intervene("operator", &Intervention::Delete(instance)));
        bed.run_other_engine(30).await;
        assert!(bed.active_instances().is_empty());
        assert!(bed.database(&launched.environment).is_some(), "what is left stays");
    });
}

#[test]
fn hold_is_capped_and_the_later_of_two_counts() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let id = &launched.environment;
        let long = bed.engine.hold(id, 100 * HOUR, "long").await.unwrap();
        assert!(long.capped);
        let short = bed.engine.hold(id, HOUR, "short").await.unwrap();
        assert_eq!(short.expires_at, long.expires_at);
        assert_eq!(Hold::parse(&bed.record(id).unwrap()[key::HOLD]).unwrap().until, long.expires_at);
    });
}

#[test]
fn hold_that_ends_before_the_expiry_keeps_the_expiry() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h")]);
        let launched = bed.launch().await.unwrap();
        bed.clock.sleep(Duration::from_millis(700)).await;
        let held = bed.engine.hold(&launched.environment, HOUR, "look").await.unwrap();
        let stored = Hold::parse(&bed.record(&launched.environment).unwrap()[key::HOLD]).unwrap();
        assert_eq!(held.expires_at, launched.expires_at - 2 * HOUR);
        assert_eq!((stored.until, held.undo), (held.expires_at, None));
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
        // A hold is ended by its release, not by an undo.
        let longer = bed.engine.hold(&launched.environment, 4 * HOUR, "look").await.unwrap();
        assert_eq!((longer.expires_at, longer.undo), (launched.expires_at + HOUR, None));
    });
}

#[rstest]
#[case::instance(true, false, None)]
#[case::database(false, true, None)]
#[case::both(true, true, Some("nothing is left of it to inspect"))]
fn hold_keeps_what_is_left(#[case] ended: bool, #[case] deleted: bool, #[case] refusal: Option<&str>) {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let cloud = bed.caller();
        if ended {
            cloud.terminate_instance(launched.instance.as_ref().unwrap()).await.unwrap();
        }
        if deleted {
            cloud.delete_database(&launched.database).await.unwrap();
        }
        let held = bed.engine.hold(&launched.environment, HOUR, "why?").await;
        let failure = held.as_ref().err().map(|failure| (failure.kind, failure.message.clone()));
        let expected =
            refusal.map(|why| (Kind::TooLate, format!("cannot hold {}: {why}", launched.environment)));
        assert_eq!(failure, expected);
    });
}

/// Its record says why, for as long as the hold lasts.
#[test]
fn environment_that_was_never_launched_can_be_held() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let (cloud, id) = (bed.caller(), &launched.environment);
        bed.tag_record(&launched.record, &TagChanges::new().remove(key::INSTANCE)).await;
        cloud.terminate_instance(launched.instance.as_ref().unwrap()).await.unwrap();
        cloud.delete_database(&launched.database).await.unwrap();
        bed.clock.sleep(Duration::from_hours(2)).await;
        assert_eq!((bed.active_instances().len(), bed.database(id).is_some()), (0, false));
        bed.engine.hold(id, HOUR, "why?").await.unwrap();
    });
}

#[test]
fn hold_that_loses_a_race_is_not_confirmed() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        bed.script.before("record", async move { cloud.terminate_instance(&instance).await.unwrap() });
        let failure = bed.engine.hold(&launched.environment, HOUR, "why?").await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
        assert!(failure.message.ends_with("its instance is shutting down"), "{failure}");
    });
}

#[test]
fn hold_at_the_end_of_the_lifetime_is_refused() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "3h")]);
        let launched = bed.launch().await.unwrap();
        bed.clock.sleep(3 * HOUR).await;
        let failure = bed.engine.hold(&launched.environment, HOUR, "look").await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.ends_with("max-lifetime of 3h"), "{failure}");
    });
}

#[test]
fn shorter_hold_at_the_same_time_is_corrected() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let shorter = Hold { until: bed.clock.now() + HOUR, by: "bob".into(), why: "short".into() };
        // Bob has read the record before, and writes afterwards.
        bed.tag_before("record", &launched.record, TagChanges::new().hold(&shorter));
        let held = bed.engine.hold(&launched.environment, 5 * HOUR, "long").await.unwrap();
        let stored = Hold::parse(&bed.record(&launched.environment).unwrap()[key::HOLD]).unwrap();
        assert_eq!((stored.until, stored.by.raw()), (held.expires_at, "amy"));
    });
}

#[test]
fn released_failure_is_reaped() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        bed.engine.hold(&launched.environment, 6 * HOUR, "look").await.unwrap();
        bed.engine.release(&launched.environment).await.unwrap();
        bed.run_other_engine(45).await;
        assert_eq!(bed.record(&launched.environment), None);
    });
}

#[test]
fn hold_is_too_late_for_what_is_ending() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let termination = Termination { at: bed.clock.now(), by: "bob".into() };
        bed.tag_record(&launched.record, &TagChanges::terminate(&termination)).await;
        let failure = bed.engine.hold(&launched.environment, HOUR, "look").await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
        assert!(failure.message.contains("bob requested its termination"), "{failure}");
    });
}

#[test]
fn held_database_leaves_the_pool_and_is_replaced() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("max-lifetime", "12h"), ("grace", "10m")]);
        let id =
            dev().environment(bed.engine.observe().await.unwrap().databases.iter().next().unwrap().number);
        let held = bed.engine.hold_database(&id, 3 * HOUR, "slow restore").await.unwrap();
        let launched = bed.launch().await.unwrap();
        assert_ne!(launched.environment, id, "a launch does not get it");
        bed.run_other_engine(175).await;
        assert!(bed.database(&id).is_some_and(|database| database.status == "available"));
        let free = bed.engine.observe().await.unwrap();
        let pool = hatchery::domain::Pool::new(&free);
        assert_eq!(pool.count(hatchery::domain::DatabaseState::Free), 1, "it is replaced");
        assert_eq!(pool.count(hatchery::domain::DatabaseState::Held), 1);
        assert!(bed.clock.now() < held.expires_at);
        bed.run_other_engine(60).await;
        assert!(bed.database(&id).is_none() && bed.record(&id).is_none(), "it is deleted afterwards");
    });
}

#[test]
fn database_about_to_be_deleted_can_be_held() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("max-lifetime", "12h"), ("spare", "0"), ("grace", "10m")]);
        let id =
            dev().environment(bed.engine.observe().await.unwrap().databases.iter().next().unwrap().number);
        bed.run_pass().await;
        assert!(bed.record(&id).unwrap().contains_key(key::TERMINATE), "it is surplus");
        let failure = bed.engine.extend(&id, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "it is no environment");
        bed.engine.hold_database(&id, 3 * HOUR, "look at it").await.unwrap();
        bed.run_other_engine(120).await;
        assert!(bed.database(&id).is_some_and(|database| database.status == "available"));
        bed.engine.release_database(&id).await.unwrap();
        bed.run_other_engine(30).await;
        assert!(bed.database(&id).is_none() && bed.record(&id).is_none());
        let failure = bed.engine.hold_database(&id, HOUR, "look at it").await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
    });
}

#[test]
fn database_of_an_environment_is_not_held_alone() {
    on_paused_time(async {
        let (bed, launched) = failed().await;
        let failure = bed.engine.hold_database(&launched.environment, HOUR, "look").await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.hint.contains(&format!("hatchery hold {}", launched.environment)), "{failure}");
    });
}

#[test]
fn hold_loses_against_a_launch() {
    on_paused_time(async {
        let bed = TestBed::new();
        let id =
            dev().environment(bed.engine.observe().await.unwrap().databases.iter().next().unwrap().number);
        let other = bed.other_engine();
        bed.script.before("create record", async move {
            other.launch(&crate::test_bed::checkout()).await.unwrap();
        });
        let failure = bed.engine.hold_database(&id, HOUR, "look").await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("belongs to"), "{failure}");
    });
}

#[test]
fn pin_keeps_until_a_time_and_never_shortens() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "12h")]);
        let launched = bed.launch().await.unwrap();
        let at = launched.expires_at + 2 * HOUR;
        assert_eq!(bed.engine.pin(&launched.environment, at).await.unwrap().expires_at, at);
        let earlier = bed.engine.pin(&launched.environment, at - HOUR).await.unwrap();
        assert_eq!((earlier.expires_at, earlier.undo), (at, None));
        let far = bed.engine.pin(&launched.environment, at + 100 * HOUR).await.unwrap();
        assert!(far.capped);
        assert_eq!(bed.audit("pin").len(), 3);
    });
}
