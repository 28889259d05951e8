//! Extending and terminating, whatever others do meanwhile: what is confirmed stays, and what is not says why.

use std::time::Duration;

use hatchery::domain::tags::key;
use hatchery::domain::{EnvironmentId, ErrorClass, LaunchFailure, Outcome, TagChanges, Termination};
use hatchery::engine::{Extended, Launched};
use hatchery::failure::{Failure, Kind};

use crate::account::on_paused_time;
use crate::script::{ALWAYS, Stage, error};

const HOUR: Duration = Duration::from_hours(1);

/// A stage with an environment that lives for three hours.
async fn stage() -> (Stage, Launched) {
    let stage = Stage::with([("ttl", "3h"), ("max-lifetime", "5h")]);
    let launched = stage.launch().await.unwrap();
    (stage, launched)
}

async fn extend(stage: &Stage, launched: &Launched, by: Duration) -> Result<Extended, Failure> {
    stage.engine.extend(&launched.environment, by).await
}

/// Sleeps until so many seconds before the expiry, or after it.
async fn sleep_until(stage: &Stage, launched: &Launched, seconds: i64) {
    let left = launched.expires_at + chrono::TimeDelta::seconds(seconds) - stage.clock.now();
    stage.clock.sleep(left.to_std().unwrap()).await;
}

#[test]
fn an_extension_counts_from_the_expiry_and_is_mirrored_on_the_instance() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let begun = stage.clock.elapsed();
        let extended = extend(&stage, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at, launched.expires_at + HOUR);
        assert!(!extended.capped);
        assert_eq!(stage.clock.elapsed(), begun, "nobody can be reaping it");
        assert_eq!(stage.expiry(&launched.environment), Some(extended.expires_at));
        assert_eq!(stage.alive()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        let [event] = &stage.audit("extend")[..] else { panic!() };
        assert_eq!((event.who.as_str(), event.outcome), ("amy", Outcome::Done));
        assert_eq!((event.reason.as_str(), event.detail.as_str()), ("by 1h", "until 2026-03-02 12:00:00"));
    });
}

#[test]
fn nobody_lives_longer_than_the_policy_lets_them() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let capped = extend(&stage, &launched, 3 * HOUR).await.unwrap();
        assert_eq!((capped.expires_at, capped.capped), (launched.expires_at + 2 * HOUR, true));
        let failure = extend(&stage, &launched, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("max-lifetime of 5h"), "{failure}");
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let exactly = extend(&stage, &launched, 2 * HOUR).await.unwrap();
        assert_eq!((exactly.expires_at, exactly.capped), (launched.expires_at + 2 * HOUR, false));
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        assert!(extend(&stage, &launched, Duration::MAX).await.unwrap().capped);
    });
}

#[test]
fn what_cannot_be_read_lives_from_now_on() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.tag(&launched.record, &TagChanges::new().set(key::EXPIRES_AT, "soon")).await;
        stage.clock.sleep(Duration::from_mins(30)).await;
        let extended = extend(&stage, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at.to_rfc3339(), "2026-03-02T09:30:00+00:00");
    });
}

#[test]
fn near_its_end_and_in_its_grace_an_extension_is_read_back_later() {
    for (seconds, marked, waits) in [(-61, false, false), (-60, false, true), (10, true, true)] {
        on_paused_time(async {
            let (stage, launched) = stage().await;
            sleep_until(&stage, &launched, seconds).await;
            if marked {
                stage.tag(&launched.record, &TagChanges::reaping_since(stage.clock.now())).await;
            }
            let (begun, now) = (stage.clock.elapsed(), stage.clock.now());
            let extended = extend(&stage, &launched, HOUR).await.unwrap();
            assert_eq!(
                stage.clock.elapsed().saturating_sub(begun).as_secs(),
                if waits { 25 } else { 0 },
                "{seconds}"
            );
            assert_eq!(extended.expires_at, launched.expires_at.max(now) + HOUR);
            let tags = stage.record(&launched.environment).unwrap();
            assert!(!tags.contains_key(key::REAPING_SINCE));
        });
    }
}

async fn fails(stage: &Stage, launched: &Launched, kind: Kind, why: &str) {
    let failure = extend(stage, launched, HOUR).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(why), "{failure}");
    assert!(!failure.hint.is_empty(), "{failure}");
}

#[test]
fn what_is_ending_cannot_be_extended() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.other().terminate(&launched.environment).await.unwrap();
        fails(&stage, &launched, Kind::TooLate, "bob asked to terminate it").await;
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let failure = LaunchFailure { at: stage.clock.now(), reason: "no room".into() };
        stage.tag(&launched.record, &TagChanges::fail(&failure)).await;
        fails(&stage, &launched, Kind::TooLate, "it has failed: no room").await;
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        sleep_until(&stage, &launched, 0).await;
        stage.tag(&launched.record, &TagChanges::reaping_since(stage.clock.now())).await;
        stage.clock.sleep(Duration::from_mins(15)).await;
        fails(&stage, &launched, Kind::TooLate, "its grace is over").await;
        assert_eq!(stage.script.calls("tag record"), 1, "only the instance was noted");
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let nobody: EnvironmentId = "dev-99".parse().unwrap();
        let failure = stage.engine.extend(&nobody, HOUR).await.unwrap_err();
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
        let (stage, launched) = stage().await;
        // Somebody undoes it at once, and again.
        let before = stage.script.calls("record");
        let undo = async {
            stage.clock.sleep(Duration::from_millis(1)).await;
            stage.tag(&launched.record, &TagChanges::expire_at(launched.expires_at)).await;
        };
        sleep_until(&stage, &launched, -30).await;
        let (answer, ()) = futures::join!(extend(&stage, &launched, HOUR), undo);
        let failure = answer.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
        assert!(failure.message.contains("somebody else changed its expiry"), "{failure}");
        assert_eq!(stage.script.calls("record") - before, 6);
        assert_eq!(stage.audit("extend")[0].outcome, Outcome::Failed);
    });
}

/// What happens between the write and the read-back of an extension in the last seconds.
async fn meanwhile(stage: &Stage, launched: &Launched, change: impl Future<Output = ()>) -> Failure {
    sleep_until(stage, launched, -30).await;
    let later = async {
        stage.clock.sleep(Duration::from_secs(1)).await;
        change.await;
    };
    let (answer, ()) = futures::join!(extend(stage, launched, HOUR), later);
    answer.unwrap_err()
}

#[test]
fn an_extension_that_came_too_late_is_not_confirmed() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let termination = Termination { at: stage.clock.now(), by: "bob".into() };
        let changes = TagChanges::terminate(&termination);
        let failure = meanwhile(&stage, &launched, stage.tag(&launched.record, &changes)).await;
        assert!(failure.message.contains("somebody asked to terminate it"), "{failure}");
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let cloud = stage.caller();
        let gone = async { cloud.delete_record(&launched.record).await.unwrap() };
        let failure = meanwhile(&stage, &launched, gone).await;
        assert!(failure.message.contains("it is gone"), "{failure}");
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let (cloud, instance) = (stage.caller(), launched.instance.clone().unwrap());
        let ended = async { cloud.terminate_instance(&instance).await.unwrap() };
        let failure = meanwhile(&stage, &launched, ended).await;
        assert!(failure.message.contains("its instance is shutting down"), "{failure}");
    });
    on_paused_time(async {
        let (stage, launched) = stage().await;
        let cloud = stage.caller();
        let deleted = async { cloud.delete_database(&launched.database).await.unwrap() };
        let failure = meanwhile(&stage, &launched, deleted).await;
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
            let (stage, launched) = stage().await;
            if operation == "database" {
                // It is looked for where somebody may be deleting it.
                sleep_until(&stage, &launched, -30).await;
            }
            let before = stage.script.calls(operation);
            stage.script.refuse(operation, ALWAYS, error(class));
            let failure = extend(&stage, &launched, HOUR).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{operation}: {failure}");
            assert!(failure.message.starts_with("cannot extend dev-"), "{failure}");
            let tries = if class == ErrorClass::Auth || operation == "fleet" { 1 } else { 5 };
            assert_eq!(stage.script.calls(operation) - before, tries, "{operation}");
            let logged = stage.audit("extend").pop().map(|event| event.outcome);
            let written = ["record", "instances of", "database"].contains(&operation);
            assert_eq!(logged, written.then_some(Outcome::Unknown), "{operation}");
        });
    }
}

#[test]
fn a_mirror_that_fails_does_not_take_the_extension_back() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.script.refuse("tag instance", ALWAYS, error(ErrorClass::Auth));
        let extended = extend(&stage, &launched, HOUR).await.unwrap();
        assert_eq!(stage.alive()[0].1[key::EXPIRES_AT], "2026-03-02T11:00:00Z");
        stage.others_work(1).await;
        assert_eq!(stage.alive()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        assert_eq!(stage.expiry(&launched.environment), Some(extended.expires_at));
    });
}

#[test]
fn who_asks_to_terminate_is_written_down_once() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.engine.terminate(&launched.environment).await.unwrap();
        let written = stage.record(&launched.environment).unwrap()[key::TERMINATE].clone();
        assert_eq!(written, "2026-03-02T08:00:00Z amy");
        stage.clock.sleep(Duration::from_secs(5)).await;
        stage.other().terminate(&launched.environment).await.unwrap();
        assert_eq!(stage.record(&launched.environment).unwrap()[key::TERMINATE], written);
        let [event] = &stage.audit("terminate")[..] else { panic!() };
        assert_eq!((event.reason.as_str(), event.outcome), ("checkout of amy", Outcome::Done));
        stage.others_work(30).await;
        assert_eq!((stage.records().len(), stage.alive().len()), (0, 0));
        let failure = stage.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
    });
}

#[test]
fn a_termination_that_could_not_be_written_is_a_failure() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.script.refuse("tag record", ALWAYS, error(ErrorClass::Throttled));
        let failure = stage.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Throttled);
        let [event] = &stage.audit("terminate")[..] else { panic!() };
        assert_eq!((event.outcome, event.detail.as_str()), (Outcome::Failed, "Operation: it is so (Code)"));
        assert!(!stage.record(&launched.environment).unwrap().contains_key(key::TERMINATE));
    });
}

#[test]
fn what_is_not_in_the_audit_log_is_said() {
    on_paused_time(async {
        let (stage, launched) = stage().await;
        stage.script.refuse("audit", ALWAYS, error(ErrorClass::Auth));
        extend(&stage, &launched, HOUR).await.unwrap();
        assert_eq!(stage.engine.audit_failure().map(|error| error.class), Some(ErrorClass::Auth));
        stage.script.end();
        extend(&stage, &launched, HOUR).await.unwrap();
        assert_eq!(stage.engine.audit_failure(), None);
    });
}
