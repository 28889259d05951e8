//! Extending and terminating, whatever others do meanwhile: what is confirmed stays, and what is not says why.

use std::time::Duration;

use hatchery::domain::tags::key;
use hatchery::domain::{EnvironmentId, ErrorClass, LaunchFailure, Outcome, TagChanges, Termination};
use hatchery::engine::{Extended, Launched};
use hatchery::failure::{Failure, Kind};

use crate::setup::on_paused_time;
use crate::test_bed::{ALWAYS, TestBed, error};

const HOUR: Duration = Duration::from_hours(1);

/// A bed with an environment that lives for three hours.
async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with([("ttl", "3h"), ("max-lifetime", "5h")]);
    let launched = bed.launch().await.unwrap();
    (bed, launched)
}

async fn extend(bed: &TestBed, launched: &Launched, by: Duration) -> Result<Extended, Failure> {
    bed.engine.extend(&launched.environment, by).await
}

/// Sleeps until so many seconds before the expiry, or after it.
async fn sleep_until(bed: &TestBed, launched: &Launched, seconds: i64) {
    let left = launched.expires_at + chrono::TimeDelta::seconds(seconds) - bed.clock.now();
    bed.clock.sleep(left.to_std().unwrap()).await;
}

#[test]
fn an_extension_counts_from_the_expiry_and_is_mirrored_on_the_instance() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let begun = bed.clock.elapsed();
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at, launched.expires_at + HOUR);
        assert!(!extended.capped);
        assert_eq!(bed.clock.elapsed(), begun, "nobody can be reaping it");
        assert_eq!(bed.expiry(&launched.environment), Some(extended.expires_at));
        assert_eq!(bed.alive()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        let [event] = &bed.audit("extend")[..] else { panic!() };
        assert_eq!((event.who.as_str(), event.outcome), ("amy", Outcome::Done));
        assert_eq!((event.reason.as_str(), event.detail.as_str()), ("by 1h", "until 2026-03-02 12:00:00"));
    });
}

#[test]
fn nobody_lives_longer_than_the_policy_lets_them() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let capped = extend(&bed, &launched, 3 * HOUR).await.unwrap();
        assert_eq!((capped.expires_at, capped.capped), (launched.expires_at + 2 * HOUR, true));
        let failure = extend(&bed, &launched, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("max-lifetime of 5h"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let exactly = extend(&bed, &launched, 2 * HOUR).await.unwrap();
        assert_eq!((exactly.expires_at, exactly.capped), (launched.expires_at + 2 * HOUR, false));
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        assert!(extend(&bed, &launched, Duration::MAX).await.unwrap().capped);
    });
}

#[test]
fn what_cannot_be_read_lives_from_now_on() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.tag(&launched.record, &TagChanges::new().set(key::EXPIRES_AT, "soon")).await;
        bed.clock.sleep(Duration::from_mins(30)).await;
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at.to_rfc3339(), "2026-03-02T09:30:00+00:00");
    });
}

#[test]
fn near_its_end_and_in_its_grace_an_extension_is_read_back_later() {
    for (seconds, marked, waits) in [(-61, false, false), (-60, false, true), (10, true, true)] {
        on_paused_time(async {
            let (bed, launched) = bed().await;
            sleep_until(&bed, &launched, seconds).await;
            if marked {
                bed.tag(&launched.record, &TagChanges::reaping_since(bed.clock.now())).await;
            }
            let (begun, now) = (bed.clock.elapsed(), bed.clock.now());
            let extended = extend(&bed, &launched, HOUR).await.unwrap();
            assert_eq!(
                bed.clock.elapsed().saturating_sub(begun).as_secs(),
                if waits { 25 } else { 0 },
                "{seconds}"
            );
            assert_eq!(extended.expires_at, launched.expires_at.max(now) + HOUR);
            let tags = bed.record(&launched.environment).unwrap();
            assert!(!tags.contains_key(key::REAPING_SINCE));
        });
    }
}

async fn fails(bed: &TestBed, launched: &Launched, kind: Kind, why: &str) {
    let failure = extend(bed, launched, HOUR).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(why), "{failure}");
    assert!(!failure.hint.is_empty(), "{failure}");
}

#[test]
fn what_is_ending_cannot_be_extended() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.other().terminate(&launched.environment).await.unwrap();
        fails(&bed, &launched, Kind::TooLate, "bob asked to terminate it").await;
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let failure = LaunchFailure { at: bed.clock.now(), reason: "no room".into() };
        bed.tag(&launched.record, &TagChanges::fail(&failure)).await;
        fails(&bed, &launched, Kind::TooLate, "it has failed: no room").await;
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        sleep_until(&bed, &launched, 0).await;
        bed.tag(&launched.record, &TagChanges::reaping_since(bed.clock.now())).await;
        bed.clock.sleep(Duration::from_mins(15)).await;
        fails(&bed, &launched, Kind::TooLate, "its grace is over").await;
        assert_eq!(bed.script.calls("tag record"), 1, "only the instance was noted");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let nobody: EnvironmentId = "dev-99".parse().unwrap();
        let failure = bed.engine.extend(&nobody, HOUR).await.unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::NotFound, "there is no environment dev-99")
        );
        drop(launched);
    });
}

#[test]
fn an_extension_that_is_not_to_be_seen_is_read_again_and_then_not_confirmed() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        // Somebody undoes it at once, and again.
        let before = bed.script.calls("record");
        let undo = async {
            bed.clock.sleep(Duration::from_millis(1)).await;
            bed.tag(&launched.record, &TagChanges::expire_at(launched.expires_at)).await;
        };
        sleep_until(&bed, &launched, -30).await;
        let (answer, ()) = futures::join!(extend(&bed, &launched, HOUR), undo);
        let failure = answer.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
        assert!(failure.message.contains("its expiry was changed at the same time"), "{failure}");
        assert_eq!(bed.script.calls("record") - before, 6);
        assert_eq!(bed.audit("extend")[0].outcome, Outcome::Failed);
    });
}

/// What happens between the write and the read-back of an extension in the last seconds.
async fn meanwhile(bed: &TestBed, launched: &Launched, change: impl Future<Output = ()>) -> Failure {
    sleep_until(bed, launched, -30).await;
    let later = async {
        bed.clock.sleep(Duration::from_secs(1)).await;
        change.await;
    };
    let (answer, ()) = futures::join!(extend(bed, launched, HOUR), later);
    answer.unwrap_err()
}

#[test]
fn an_extension_that_came_too_late_is_not_confirmed() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let termination = Termination { at: bed.clock.now(), by: "bob".into() };
        let changes = TagChanges::terminate(&termination);
        let failure = meanwhile(&bed, &launched, bed.tag(&launched.record, &changes)).await;
        assert!(failure.message.contains("its termination was requested"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        let gone = async { cloud.delete_record(&launched.record).await.unwrap() };
        let failure = meanwhile(&bed, &launched, gone).await;
        assert!(failure.message.contains("it is gone"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        let ended = async { cloud.terminate_instance(&instance).await.unwrap() };
        let failure = meanwhile(&bed, &launched, ended).await;
        assert!(failure.message.contains("its instance is shutting down"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        let deleted = async { cloud.delete_database(&launched.database).await.unwrap() };
        let failure = meanwhile(&bed, &launched, deleted).await;
        assert_eq!((failure.kind, failure.hint.as_str()), (Kind::TooLate, "launch a new one"));
    });
}

#[test]
fn an_extension_whose_calls_fail_says_so() {
    for (operation, class, kind) in [
        ("record of", ErrorClass::Auth, Kind::NotPermitted),
        ("fleet", ErrorClass::Throttled, Kind::Throttled),
        ("tag record", ErrorClass::Unknown, Kind::UnknownOutcome),
        ("record", ErrorClass::Unknown, Kind::UnknownOutcome),
        ("instances of", ErrorClass::Unknown, Kind::UnknownOutcome),
        ("database", ErrorClass::Unknown, Kind::UnknownOutcome),
    ] {
        on_paused_time(async {
            let (bed, launched) = bed().await;
            if operation == "database" {
                // It is looked for where somebody may be deleting it.
                sleep_until(&bed, &launched, -30).await;
            }
            let before = bed.script.calls(operation);
            bed.script.refuse(operation, ALWAYS, error(class));
            let failure = extend(&bed, &launched, HOUR).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{operation}: {failure}");
            assert!(failure.message.starts_with("cannot extend dev-"), "{failure}");
            let tries = if class == ErrorClass::Auth || operation == "fleet" { 1 } else { 5 };
            assert_eq!(bed.script.calls(operation) - before, tries, "{operation}");
            let logged = bed.audit("extend").pop().map(|event| event.outcome);
            let written = ["record", "instances of", "database"].contains(&operation);
            assert_eq!(logged, written.then_some(Outcome::Unknown), "{operation}");
        });
    }
}

#[test]
fn a_mirror_that_fails_does_not_take_the_extension_back() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.refuse("tag instance", ALWAYS, error(ErrorClass::Auth));
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.alive()[0].1[key::EXPIRES_AT], "2026-03-02T11:00:00Z");
        bed.others_work(1).await;
        assert_eq!(bed.alive()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        assert_eq!(bed.expiry(&launched.environment), Some(extended.expires_at));
    });
}

#[test]
fn who_asks_to_terminate_is_written_down_once() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.engine.terminate(&launched.environment).await.unwrap();
        let written = bed.record(&launched.environment).unwrap()[key::TERMINATE].clone();
        assert_eq!(written, "2026-03-02T08:00:00Z amy");
        bed.clock.sleep(Duration::from_secs(5)).await;
        bed.other().terminate(&launched.environment).await.unwrap();
        assert_eq!(bed.record(&launched.environment).unwrap()[key::TERMINATE], written);
        let [event] = &bed.audit("terminate")[..] else { panic!() };
        assert_eq!((event.reason.as_str(), event.outcome), ("checkout of amy", Outcome::Done));
        bed.others_work(30).await;
        assert_eq!((bed.records().len(), bed.alive().len()), (0, 0));
        let failure = bed.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
    });
}

#[test]
fn a_termination_that_could_not_be_written_is_a_failure() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.refuse("tag record", ALWAYS, error(ErrorClass::Throttled));
        let failure = bed.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Throttled);
        let [event] = &bed.audit("terminate")[..] else { panic!() };
        assert_eq!((event.outcome, event.detail.as_str()), (Outcome::Failed, "Operation: it is so (Code)"));
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::TERMINATE));
    });
}

#[test]
fn what_is_not_in_the_audit_log_is_said() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.refuse("audit", ALWAYS, error(ErrorClass::Auth));
        extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.engine.audit_failure().map(|error| error.class), Some(ErrorClass::Auth));
        bed.script.end();
        extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.engine.audit_failure(), None);
    });
}
