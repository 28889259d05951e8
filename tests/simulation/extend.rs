//! Extending and terminating while others change the environment. A confirmed request is never undone; a failed one says why.

use std::time::Duration;

use hatchery::cloud::sim::Intervention;
use hatchery::domain::tags::key;
use hatchery::domain::{EnvironmentId, ErrorClass, LaunchFailure, Outcome, Record, TagChanges, Termination};
use hatchery::engine::{Extended, Launched};
use hatchery::failure::{Failure, Kind};
use rstest::rstest;

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A test bed with an environment that expires in three hours.
pub(crate) async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "5h")]);
    let launched = bed.launch().await.unwrap();
    (bed, launched)
}

pub(crate) async fn extend(bed: &TestBed, launched: &Launched, by: Duration) -> Result<Extended, Failure> {
    bed.engine.extend(&launched.environment, by).await
}

/// Sleeps until this many seconds after the expiry; negative means before.
pub(crate) async fn sleep_until(bed: &TestBed, launched: &Launched, seconds: i64) {
    let left = launched.expires_at + chrono::TimeDelta::seconds(seconds) - bed.clock.now();
    bed.clock.sleep(left.to_std().unwrap()).await;
}

#[test]
fn extend_adds_to_the_expiry_and_tags_the_instance() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let begun = bed.clock.elapsed();
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at, launched.expires_at + HOUR);
        assert!(!extended.capped);
        assert_eq!(bed.clock.elapsed(), begun, "far from the expiry, no read-back is needed");
        assert_eq!(bed.script.count("instance of"), 0, "far from the expiry, no engine has ended a part");
        assert_eq!(bed.expiry(&launched.environment), Some(extended.expires_at));
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        let [event] = &bed.audit("extend")[..] else { panic!() };
        assert_eq!((event.who.raw(), event.outcome), ("amy", Outcome::Done));
        assert_eq!((event.reason.raw(), event.detail.raw()), ("by 1h", "until 2026-03-02 12:00:00 UTC"));
    });
}

#[test]
fn extend_is_capped_by_max_lifetime() {
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
    // A lower maximum shortens no environment.
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let changes = TagChanges::new().set("hatchery:max-lifetime", "2h");
        cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
        assert_extend_fails(&bed, &launched, Kind::Refused, "max-lifetime of 2h").await;
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
    });
}

#[test]
fn extend_of_unreadable_expiry_counts_from_now() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.tag_record(&launched.record, &TagChanges::new().set(key::EXPIRES_AT, "soon")).await;
        bed.clock.sleep(Duration::from_mins(30) + Duration::from_millis(700)).await;
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at.to_rfc3339(), "2026-03-02T09:30:00+00:00");
    });
}

#[rstest]
#[case(-61, false, false)]
#[case(-60, false, true)]
#[case(10, true, true)]
fn extend_near_the_expiry_waits_for_the_read_back(
    #[case] seconds: i64,
    #[case] marked: bool,
    #[case] waits: bool,
) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        sleep_until(&bed, &launched, seconds).await;
        if marked {
            bed.tag_record(&launched.record, &TagChanges::reaping_since(bed.clock.now())).await;
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

/// An engine may be about to end it, however far its expiry is.
#[rstest]
fn extend_of_a_failed_or_marked_one_is_read_back(#[values(key::FAILURE, key::REAPING_SINCE)] mark: &str) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (at, begun) = (bed.clock.now(), bed.clock.elapsed());
        let changes = match mark {
            key::FAILURE => TagChanges::fail(&LaunchFailure { at, reason: "no room".into() }),
            _ => TagChanges::reaping_since(at),
        };
        bed.tag_record(&launched.record, &changes).await;
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.clock.elapsed().saturating_sub(begun).as_secs(), 25);
        assert_eq!(extended.undo, None);
        assert!(!bed.record(&launched.environment).unwrap().contains_key(mark));
    });
}

#[rstest]
#[case(5, true, None)]
#[case(6, true, Some("an engine is reaping it"))]
#[case(5, false, None)]
#[case(6, false, Some("the environment is gone"))]
fn extend_waits_until_reads_show_it(
    #[case] reads: usize,
    #[case] is_visible: bool,
    #[case] why: Option<&str>,
) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let earlier = read(&bed, &launched).await;
        bed.script.lag(reads, is_visible.then_some(earlier));
        if let Some(why) = why {
            return assert_extend_fails(&bed, &launched, Kind::TooLate, why).await;
        }
        let begun = bed.clock.elapsed();
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(extended.expires_at, launched.expires_at + HOUR);
        assert_eq!(bed.clock.elapsed().saturating_sub(begun).as_secs(), 10);
    });
}

/// Returns the environment's record.
pub(crate) async fn read(bed: &TestBed, launched: &Launched) -> Record {
    bed.caller().find_record(&launched.environment).await.unwrap().value.unwrap()
}

async fn assert_extend_fails(bed: &TestBed, launched: &Launched, kind: Kind, why: &str) {
    let failure = extend(bed, launched, HOUR).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(why), "{failure}");
    assert!(!failure.hint.is_empty(), "{failure}");
}

#[test]
fn extend_of_an_ending_environment_is_refused() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.other_engine().terminate(&launched.environment).await.unwrap();
        assert_extend_fails(&bed, &launched, Kind::TooLate, "bob requested its termination").await;
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().terminate_instance(launched.instance.as_ref().unwrap()).await.unwrap();
        let failure = LaunchFailure { at: bed.clock.now(), reason: "no room".into() };
        bed.tag_record(&launched.record, &TagChanges::fail(&failure)).await;
        assert_extend_fails(&bed, &launched, Kind::TooLate, "it has failed: no room").await;
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.caller().delete_database(&launched.database).await.unwrap();
        let failure = LaunchFailure { at: bed.clock.now(), reason: "no database".into() };
        bed.tag_record(&launched.record, &TagChanges::fail(&failure)).await;
        assert_extend_fails(&bed, &launched, Kind::TooLate, "it has failed: no database").await;
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        sleep_until(&bed, &launched, 0).await;
        bed.tag_record(&launched.record, &TagChanges::reaping_since(bed.clock.now())).await;
        bed.clock.sleep(Duration::from_mins(15)).await;
        assert_extend_fails(&bed, &launched, Kind::TooLate, "its grace is over").await;
        assert_eq!(bed.script.count("tag record"), 1, "the launch recorded its instance");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let unknown: EnvironmentId = "dev-99".parse().unwrap();
        let failure = bed.engine.extend(&unknown, HOUR).await.unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::NotFound, "there is no environment dev-99")
        );
        drop(launched);
    });
}

/// Each extension has a tag of its own, so the later one counts, whichever is written last.
#[test]
fn later_of_two_extensions_at_once_counts() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (other, id) = (bed.other_engine(), launched.environment.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // Bob extends and gets his confirmation between the read and the write of Amy.
        bed.script.before("tag record", async move {
            sender.send(other.extend(&id, 2 * HOUR).await.unwrap().expires_at).unwrap();
        });
        let amys = extend(&bed, &launched, HOUR).await.unwrap().expires_at;
        let bobs = receiver.await.unwrap();
        assert_eq!((amys, bobs), (launched.expires_at + HOUR, launched.expires_at + 2 * HOUR));
        let read = read(&bed, &launched).await;
        assert_eq!((read.expires_at, read.extensions.len()), (Some(bobs), 2));
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T13:00:00Z");
        // The next extension covers both.
        let capped = extend(&bed, &launched, Duration::from_secs(1)).await;
        assert_eq!(capped.unwrap_err().kind, Kind::Refused);
    });
}

#[test]
fn extension_covers_earlier_ones() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        extend(&bed, &launched, HOUR / 2).await.unwrap();
        extend(&bed, &launched, HOUR / 2).await.unwrap();
        let read = read(&bed, &launched).await;
        assert_eq!((read.expires_at, read.extensions.len()), (Some(launched.expires_at + HOUR), 1));
    });
}

#[test]
fn broken_environment_is_kept_for_repairs() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let failure = LaunchFailure { at: bed.clock.now(), reason: "its database is failed".into() };
        let changes = TagChanges::fail(&failure).set_time(key::REAPING_SINCE, bed.clock.now());
        bed.tag_record(&launched.record, &changes).await;
        let kept = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(kept.expires_at, launched.expires_at + HOUR);
        let tags = bed.record(&launched.environment).unwrap();
        assert!(tags[key::REPAIR].ends_with(" amy"), "{tags:?}");
        assert!(!tags.contains_key(key::FAILURE) && !tags.contains_key(key::REAPING_SINCE), "{tags:?}");
        // It works, so nothing is left to repair.
        bed.run_other_engine(1).await;
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::REPAIR));
    });
}

#[test]
fn environment_with_a_lost_part_is_kept_for_repairs() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let mark = TagChanges::new().set_time(key::ORPHAN_SINCE, bed.clock.now());
        bed.tag_record(&launched.record, &mark).await;
        let kept = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!((kept.expires_at, kept.undo), (launched.expires_at + HOUR, None));
        let tags = bed.record(&launched.environment).unwrap();
        assert!(tags[key::REPAIR].ends_with(" amy") && !tags.contains_key(key::ORPHAN_SINCE), "{tags:?}");
    });
}

/// Nothing makes up for a lost database, so an extension of what is left would promise in vain.
#[rstest]
fn environment_without_its_database_is_not_extended(#[values(false, true)] is_marked: bool) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        assert!(bed.sim.intervene("operator", &Intervention::Delete(launched.database.to_string())));
        if is_marked {
            let mark = TagChanges::new().set_time(key::ORPHAN_SINCE, bed.clock.now());
            bed.tag_record(&launched.record, &mark).await;
        }
        bed.clock.sleep(Duration::from_mins(15)).await;
        let failure = extend(&bed, &launched, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate, "{failure}");
        assert!(failure.message.ends_with("its database is gone"), "{failure}");
        assert_eq!(failure.hint, "give it another one with: hatchery reset");
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
    });
}

/// Extends in the last seconds, with a change between the write and the read-back; returns the failure.
async fn fail_extend_during(bed: &TestBed, launched: &Launched, change: impl Future<Output = ()>) -> Failure {
    sleep_until(bed, launched, -30).await;
    let later = async {
        bed.clock.sleep(Duration::from_secs(1)).await;
        change.await;
    };
    let (result, ()) = futures::join!(extend(bed, launched, HOUR), later);
    result.unwrap_err()
}

/// An operator protects the database, so that the environment never ends, and loses its expiry.
#[test]
fn half_ended_environment_is_not_extended() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("grace", "5m")]);
        let launched = bed.launch().await.unwrap();
        bed.run_other_engine(30).await;
        let (record, database) = (launched.record.to_string(), launched.database.to_string());
        let by_hand = |change: Intervention| assert!(bed.sim.intervene("operator", &change));
        by_hand(Intervention::Protect(database, true));
        let ended = launched.expires_at - bed.clock.now() + chrono::TimeDelta::minutes(90);
        bed.run_other_engine(u32::try_from(ended.num_minutes()).unwrap()).await;
        assert_eq!(bed.active_instances(), []);
        by_hand(Intervention::Tag(record, key::EXPIRES_AT.into(), None));
        bed.clock.sleep(Duration::from_secs(10)).await;
        let failure = extend(&bed, &launched, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate, "{failure}");
        assert!(failure.message.ends_with("its instance or its database is gone"), "{failure}");
    });
}

#[test]
fn extend_that_loses_a_race_is_not_confirmed() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let termination = Termination { at: bed.clock.now(), by: "bob".into() };
        let changes = TagChanges::terminate(&termination);
        let failure = fail_extend_during(&bed, &launched, bed.tag_record(&launched.record, &changes)).await;
        assert!(failure.message.contains("its termination was requested"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let changes = TagChanges::reaping_since(bed.clock.now());
        let failure = fail_extend_during(&bed, &launched, bed.tag_record(&launched.record, &changes)).await;
        assert!(failure.message.contains("an engine is reaping it"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        let gone = async { cloud.delete_record(&launched.record).await.unwrap() };
        let failure = fail_extend_during(&bed, &launched, gone).await;
        assert!(failure.message.contains("the environment is gone"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        let ended = async { cloud.terminate_instance(&instance).await.unwrap() };
        let failure = fail_extend_during(&bed, &launched, ended).await;
        assert!(failure.message.contains("its instance is shutting down"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        // An engine died before it noted the instance on the record.
        bed.tag_record(&launched.record, &TagChanges::new().remove(key::INSTANCE)).await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        let ended = async { cloud.terminate_instance(&instance).await.unwrap() };
        let failure = fail_extend_during(&bed, &launched, ended).await;
        assert!(failure.message.contains("its instance is shutting down"), "{failure}");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        let deleted = async { cloud.delete_database(&launched.database).await.unwrap() };
        let failure = fail_extend_during(&bed, &launched, deleted).await;
        assert_eq!((failure.kind, failure.hint.as_str()), (Kind::TooLate, "launch a new one"));
    });
}

#[rstest]
#[case("record of", ErrorClass::Auth, Kind::NotPermitted)]
#[case("fleet", ErrorClass::Throttled, Kind::Throttled)]
#[case("tag record", ErrorClass::Unknown, Kind::UnknownOutcome)]
#[case("record", ErrorClass::Unknown, Kind::UnknownOutcome)]
#[case("instances of", ErrorClass::Unknown, Kind::UnknownOutcome)]
#[case("database", ErrorClass::Unknown, Kind::UnknownOutcome)]
fn extend_reports_failed_calls(
    #[case] operation: &'static str,
    #[case] class: ErrorClass,
    #[case] kind: Kind,
) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        if operation == "database" {
            // The database is read only near the expiry, when an engine may be deleting it.
            sleep_until(&bed, &launched, -30).await;
        }
        let before = bed.script.count(operation);
        bed.script.fail(operation, ALWAYS, error(class));
        let failure = extend(&bed, &launched, HOUR).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{operation}: {failure}");
        assert!(failure.message.starts_with("cannot extend dev-"), "{failure}");
        let tries = if class == ErrorClass::Auth || operation == "fleet" { 1 } else { 5 };
        // Whether the database needs repairs is read first, and need not be known.
        let tries = tries + usize::from(operation == "database");
        assert_eq!(bed.script.count(operation) - before, tries, "{operation}");
        let logged = bed.audit("extend").pop().map(|event| event.outcome);
        let sent = ["tag record", "record", "instances of", "database"].contains(&operation);
        assert_eq!(logged, sent.then_some(Outcome::Unknown), "{operation}");
    });
}

#[test]
fn failed_instance_tag_keeps_the_extension() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.fail("tag instance", ALWAYS, error(ErrorClass::Auth));
        let extended = extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T11:00:00Z");
        bed.run_other_engine(1).await;
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        assert_eq!(bed.expiry(&launched.environment), Some(extended.expires_at));
    });
}

#[test]
fn terminate_records_the_first_user() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.engine.terminate(&launched.environment).await.unwrap();
        let written = bed.record(&launched.environment).unwrap()[key::TERMINATE].clone();
        assert_eq!(written, "2026-03-02T08:00:00Z amy");
        bed.clock.sleep(Duration::from_secs(5)).await;
        bed.other_engine().terminate(&launched.environment).await.unwrap();
        assert_eq!(bed.record(&launched.environment).unwrap()[key::TERMINATE], written);
        let [event] = &bed.audit("terminate")[..] else { panic!() };
        assert_eq!((event.reason.raw(), event.outcome), ("checkout of amy", Outcome::Done));
        bed.run_other_engine(30).await;
        assert_eq!((bed.records().len(), bed.active_instances().len()), (0, 0));
        let failure = bed.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
    });
}

#[test]
fn terminate_reports_a_failed_write() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.fail("tag record", ALWAYS, error(ErrorClass::Throttled));
        let failure = bed.engine.terminate(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Throttled);
        let [event] = &bed.audit("terminate")[..] else { panic!() };
        assert_eq!(
            (event.outcome, event.detail.raw()),
            (Outcome::Failed, "Operation: injected error (Code)")
        );
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::TERMINATE));
    });
}

#[test]
fn failed_audit_write_is_reported() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.fail("audit", ALWAYS, error(ErrorClass::Auth));
        extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.engine.audit_failure().map(|error| error.class), Some(ErrorClass::Auth));
        bed.script.clear();
        extend(&bed, &launched, HOUR).await.unwrap();
        assert_eq!(bed.engine.audit_failure(), None);
    });
}
