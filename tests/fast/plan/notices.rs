//! Notices: which events are told, and when.

use hatchery::domain::notice::{Notified, TAKE_OVER_AFTER};
use hatchery::domain::{Phase, StepFailure};
use rstest::rstest;

use super::*;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:news";

/// A world with one ready environment whose fleet has `notify`.
fn told(change: impl FnOnce(&mut World)) -> World {
    let mut world = world_with(1);
    world.fleet.policy.notify = Some(TOPIC.parse().unwrap());
    change(&mut world);
    world.instances.items[0].expires_at = world.records.items[0].expires_at;
    world
}

fn ready_at(world: &mut World, minutes: i64) {
    let instance = &mut world.instances.items[0];
    instance.launched_at = minutes_ago(minutes + 3);
    instance.timeline = [(Phase::Ready, 180)].into();
}

/// The name, title and text of the planned notices.
fn notices(world: &World) -> Vec<(String, String, String)> {
    let steps = planned(world).steps.into_iter();
    let notices = steps.filter_map(|planned| match planned.step {
        Step::SendNotice(notice) => Some((notice.name(), notice.title.clone(), notice.text.clone())),
        _ => None,
    });
    notices.collect()
}

fn names(world: &World) -> Vec<String> {
    notices(world).into_iter().map(|(name, _, _)| name).collect()
}

#[test]
fn ready_environment_is_told_for_an_hour() {
    let text = "dev-1 of amy in fleet dev, until 2026-03-02 18:00 UTC";
    let expected = ("lt-1/ready".to_owned(), "env-1 is ready".to_owned(), text.to_owned());
    assert_eq!(notices(&told(|world| ready_at(world, 59))), [expected]);
    assert_eq!(notices(&told(|world| ready_at(world, 60))), []);
    let noted = told(|world| {
        ready_at(world, 1);
        world.records.items[0].notified = Notified::from(["ready".into()]);
    });
    assert_eq!(notices(&noted), []);
}

#[test]
fn failed_environment_is_told_with_the_reason() {
    let failed = |minutes, terminated: bool| {
        told(|world| {
            let record = &mut world.records.items[0];
            record.failure =
                Some(LaunchFailure { at: minutes_ago(minutes), reason: "no \u{1b}[1mroom".into() });
            record.reaping_since = Some(minutes_ago(minutes));
            record.terminate = terminated.then(|| Termination { at: minutes_ago(1), by: "amy".into() });
        })
    };
    let text = "dev-1 of amy in fleet dev: no room";
    let expected = ("lt-1/failed".to_owned(), "env-1 failed".to_owned(), text.to_owned());
    assert_eq!(notices(&failed(5, false)), [expected]);
    assert_eq!(notices(&failed(60, false)), []);
    assert_eq!(notices(&failed(5, true)), []);
}

#[rstest]
#[case::first(30, "lt-1/expires-30m/20260302T123000Z", "env-1 expires in 30 minutes")]
#[case::between(6, "lt-1/expires-30m/20260302T120600Z", "env-1 expires in 6 minutes")]
#[case::last(5, "lt-1/expires-5m/20260302T120500Z", "env-1 expires in 5 minutes")]
#[case::at_the_end(1, "lt-1/expires-5m/20260302T120100Z", "env-1 expires in 1 minute")]
fn expiry_is_told_twice(#[case] minutes: i64, #[case] name: &str, #[case] title: &str) {
    let world = told(|world| world.records.items[0].expires_at = Some(minutes_ago(-minutes)));
    let [(found, said, text)] = &notices(&world)[..] else { panic!("one notice") };
    assert_eq!((found.as_str(), said.as_str()), (name, title));
    assert!(text.ends_with("; extend it with: hatchery extend dev-1 --by 2h"), "{text}");
}

#[test]
fn warning_is_for_one_expiry() {
    let warned = |expires: i64, notified: i64| {
        told(|world| {
            let record = &mut world.records.items[0];
            record.expires_at = Some(minutes_ago(-expires));
            let expiry = minutes_ago(-notified).format("%Y%m%dT%H%M%SZ");
            record.notified = Notified::from([format!("expires-30m/{expiry}").into()]);
        })
    };
    assert_eq!(names(&warned(20, 20)), [""; 0]);
    // An extension moves the expiry.
    assert_eq!(names(&warned(25, 20)), ["lt-1/expires-30m/20260302T122500Z"]);
    assert_eq!(names(&warned(31, 20)), [""; 0]);
    assert_eq!(names(&warned(0, 20)), [""; 0]);
}

#[test]
fn short_lifetime_is_no_news() {
    let lasting = |lifetime: i64, left: i64| {
        told(|world| {
            let record = &mut world.records.items[0];
            record.created_at = minutes_ago(lifetime - left);
            record.expires_at = Some(minutes_ago(-left));
        })
    };
    assert_eq!(names(&lasting(30, 29)), [""; 0]);
    assert_eq!(names(&lasting(30, 5)), ["lt-1/expires-5m/20260302T120500Z"]);
    assert_eq!(names(&lasting(31, 29)), ["lt-1/expires-30m/20260302T122900Z"]);
    assert_eq!(names(&lasting(5, 4)), [""; 0]);
}

#[test]
fn longest_lifetime_cannot_be_extended() {
    let world = told(|world| {
        let record = &mut world.records.items[0];
        record.expires_at = Some(minutes_ago(-10));
        record.created_at = minutes_ago(-10) - world.fleet.policy.max_lifetime;
    });
    let text = &notices(&world)[0].2;
    assert!(text.ends_with("; it cannot be extended, because it has the fleet's max-lifetime"), "{text}");
}

#[test]
fn empty_pool_is_marked_before_it_is_told() {
    let empty = |since: Option<i64>, is_told| {
        told(|world| {
            world.databases.items.pop();
            world.fleet.pool_empty = since.map(|since| PoolEmpty { since: minutes_ago(since), is_told });
        })
    };
    let steps = |world: &World| -> Vec<_> {
        let steps = actions(&planned(world)).into_iter();
        steps.filter(|(action, _)| action.contains("pool-empty") || action.contains("notice")).collect()
    };
    assert_eq!(steps(&empty(None, false)), [("mark-pool-empty", "pool".to_owned())]);
    assert_eq!(steps(&empty(Some(1), false)), []);
    assert_eq!(steps(&empty(Some(2), false)), [("send-notice", "pool".to_owned())]);
    assert_eq!(names(&empty(Some(2), false)), ["pool/pool-empty/20260302T115800Z"]);
    assert_eq!(steps(&empty(Some(2), true)), []);
    assert_eq!(steps(&empty(Some(60), false)), []);
    let mut full =
        told(|world| world.fleet.pool_empty = Some(PoolEmpty { since: minutes_ago(1), is_told: true }));
    assert_eq!(steps(&full), [("unmark-pool-empty", "pool".to_owned())]);
    full.databases.complete = false;
    assert_eq!(steps(&full), []);
    // Nothing is wanted, so nothing is missing.
    let mut none = empty(None, false);
    none.fleet.policy.spare = Spare::Fixed(0);
    assert_eq!(steps(&none), []);
}

#[test]
fn failed_notice_delays_all_notices() {
    let error = hatchery::domain::CloudError::new(
        hatchery::domain::ErrorClass::NotFound,
        "Publish",
        "NotFound",
        "Topic does not exist",
    );
    let failed = |action: &str, minutes| {
        told(|world| {
            ready_at(world, 5);
            world.fleet.failed_notice = Some(StepFailure::after(None, action, &error, minutes_ago(minutes)));
        })
    };
    let world = failed("send-notice", 0);
    let plan = planned(&world);
    assert_eq!((actions(&plan), plan.refused.len()), (vec![], 1));
    let refusal = &plan.refused[0];
    assert_eq!((refusal.action, refusal.target.as_str()), ("send-notice", "dev-1"));
    let why = "env-1 is ready; notices have failed once since 2026-03-02 12:00:00 UTC, and are tried again at 12:01:00 UTC: \
         Publish: Topic does not exist (NotFound)";
    assert_eq!(refusal.reason, why);
    assert_eq!(names(&failed("send-notice", 1)), ["lt-1/ready"]);
    // Another engine may have the permission.
    assert_eq!(names(&failed("permit-notice", 0)), ["lt-1/ready"]);
}

#[test]
fn paused_fleet_tells_of_its_environments() {
    let world = told(|world| {
        ready_at(world, 5);
        world.databases.items.pop();
    });
    let plan = plan::plan_notices(&world, &world.fleet.policy, now());
    assert_eq!(actions(&plan), [("send-notice", "dev-1".to_owned())]);
}

#[test]
fn take_over_leaves_time_for_the_last_warning() {
    assert!(TAKE_OVER_AFTER * 2 < hatchery::domain::notice::LAST_WARNING);
}

proptest! {
    #[test]
    fn notify_adds_notices_only(world in some_world()) {
        let is_notice = |step: &Step| matches!(step, Step::SendNotice(_) | Step::MarkPoolEmpty { .. });
        let without = planned(&world);
        prop_assert!(!without.steps.iter().any(|planned| is_notice(&planned.step)));
        let mut told = world;
        told.fleet.policy.notify = Some(TOPIC.parse().unwrap());
        let mut with = planned(&told);
        with.steps.retain(|planned| !is_notice(&planned.step));
        prop_assert_eq!(&with, &without);
        for planned in planned(&told).steps.iter().filter(|planned| is_notice(&planned.step)) {
            apply(&mut told, &planned.step);
            let again = super::planned(&told);
            prop_assert!(again.steps.iter().all(|other| other.step.key() != planned.step.key()), "{planned:?}");
        }
    }
}
