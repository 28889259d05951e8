//! The target of `spare=auto` for many histories and policies, and the plans that follow from it.

use std::sync::Arc;
use std::time::Duration;

use crate::support::worlds::*;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use hatchery::domain::health;
use hatchery::domain::{CloudError, ErrorClass, Launch, Launches, Spare, Target, World};
use hatchery::engine::plan::plan;
use proptest::prelude::*;

const OFFICE: &str = "Mon-Fri 07:00-19:00 UTC";

/// A time in March 2026; the second is a Monday.
fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-{text}Z").parse().unwrap()
}

/// A world without databases, with `spare=auto` and this launch history.
fn auto_world(launches: Launches) -> World {
    let mut world = empty();
    world.fleet.policy.spare = Spare::Auto;
    world.fleet.policy.hours = Some(OFFICE.parse().unwrap());
    world.launches = Ok(Some(Arc::new(launches)));
    world
}

/// Eight weeks of history with `per_day` launches from 10:00 on each working day, one minute apart.
fn mornings(until: DateTime<Utc>, per_day: i64) -> Launches {
    let since = until - TimeDelta::weeks(8);
    let midnight = since.date_naive().and_hms_opt(0, 0, 0).unwrap().and_utc();
    let working = (0..57)
        .map(|day| midnight + TimeDelta::days(day))
        .filter(|day| day.weekday().num_days_from_monday() < 5);
    let launches = working.flat_map(|day| {
        (0..per_day).map(move |n| Launch {
            at: day + TimeDelta::minutes(600 + n),
            restore: Some(Duration::from_mins(15)),
            loaded: None,
        })
    });
    Launches::new(since, until, launches.collect())
}

fn target(world: &World, at: DateTime<Utc>) -> Target {
    Target::new(world, &world.fleet.policy, at)
}

fn wanted(per_day: i64, text: &str) -> u32 {
    target(&auto_world(mornings(at(text), per_day)), at(text)).wanted
}

fn retired(world: &World, at: DateTime<Utc>) -> usize {
    let plan = plan(world, &world.fleet.policy, at);
    plan.steps.iter().filter(|planned| planned.step.action() == "retire-database").count()
}

#[test]
fn fixed_spare_is_the_target() {
    let fixed = target(&empty(), now());
    assert_eq!((fixed.wanted, fixed.keep, fixed.to_string().as_str()), (1, Some(1), "1"));
    assert_eq!(fixed.reason, "the policy sets spare=1");
}

#[test]
fn target_rises_before_the_morning_and_falls_after() {
    assert_eq!(wanted(6, "02T06:00:00"), 0, "long before");
    assert!(wanted(6, "02T09:45:00") >= 6, "a restore's time before");
    assert!(wanted(6, "02T10:00:00") >= 6);
    assert!(wanted(6, "02T16:00:00") < 3, "nothing has ever come then");
    assert!(wanted(2, "02T09:45:00") < wanted(6, "02T09:45:00"));
    let ready = target(&auto_world(mornings(at("02T09:45:00"), 6)), at("02T09:45:00"));
    assert!(ready.to_string().ends_with(" (auto)"));
    assert!(ready.reason.contains("expected launches in the next"), "{}", ready.reason);
}

#[test]
fn target_is_zero_outside_the_hours() {
    let mut early = mornings(at("02T05:00:00"), 0);
    for world in [auto_world(early.clone()), {
        let opening = at("02T07:00:00");
        let each_day =
            (1..57).map(|day| Launch { at: opening - TimeDelta::days(day), restore: None, loaded: None });
        early = Launches::new(opening - TimeDelta::weeks(8), at("02T05:00:00"), each_day.collect());
        auto_world(early)
    }] {
        assert_eq!(target(&world, at("01T12:00:00")).wanted, 0, "a Sunday");
        assert_eq!(target(&world, at("01T12:00:00")).keep, Some(0));
        assert_eq!(target(&world, at("02T05:00:00")).wanted, 0);
        assert!(target(&world, at("02T06:30:00")).wanted > 0);
        assert_eq!(target(&world, at("02T19:00:00")).wanted, 0);
    }
}

#[test]
fn spare_min_and_max_limit_the_target() {
    let mut world = auto_world(mornings(at("02T10:00:00"), 12));
    let policy = &mut world.fleet.policy;
    (policy.spare_min, policy.spare_max) = (2, 4);
    assert_eq!(target(&world, at("02T10:00:00")).wanted, 4);
    assert_eq!(target(&world, at("02T16:00:00")).wanted, 2);
    assert_eq!(target(&world, at("02T22:00:00")).wanted, 0, "the least is for the hours");
    let verdicts = health::verdicts(&world, at("02T10:00:00"));
    assert!(
        verdicts.iter().any(|verdict| verdict.code == "hit-rate" && verdict.message.contains("spare-max=4"))
    );
    world.fleet.policy.spare_max = 20;
    assert!(health::verdicts(&world, at("02T10:00:00")).iter().all(|verdict| verdict.code != "hit-rate"));
    world.fleet.policy.max_databases = 3;
    assert_eq!(target(&world, at("02T10:00:00")).wanted, 3);
}

#[test]
fn launches_of_the_day_change_the_target() {
    let noon = at("02T12:00:00");
    let each_day = |from: i64, until: DateTime<Utc>| {
        let all = (from..40).flat_map(|day| {
            (0..20).map(move |n| Launch {
                at: at("02T08:00:00") - TimeDelta::days(day) + TimeDelta::minutes(n * 24),
                restore: None,
                loaded: None,
            })
        });
        auto_world(Launches::new(until - TimeDelta::weeks(8), until, all.collect()))
    };
    let usual = target(&each_day(0, noon), noon).wanted;
    let holiday = target(&each_day(1, noon), noon).wanted;
    assert!(holiday < usual, "{holiday} on a holiday, {usual} otherwise");
    // Without the log since eight, the records give the same count.
    let mut busy = each_day(1, at("02T11:30:00"));
    for number in 1..=30 {
        let mut record = record(number);
        record.created_at = at("02T11:40:00");
        busy.records.items.push(record);
    }
    assert!(target(&busy, noon).wanted > usual);
}

#[test]
fn unknown_history_retires_nothing() {
    let error = CloudError::new(ErrorClass::Auth, "FilterLogEvents", "AccessDenied", "no");
    let mut world = auto_world(mornings(at("02T10:00:00"), 6));
    world.databases.items.extend((1..=5).map(database));
    for launches in [Ok(None), Err(error)] {
        world.launches = launches;
        for text in ["02T10:00:00", "02T16:00:00", "02T23:00:00", "01T12:00:00"] {
            let target = target(&world, at(text));
            assert_eq!((target.keep, retired(&world, at(text))), (None, 0), "{text}");
        }
        assert_eq!(target(&world, at("02T10:00:00")).wanted, 1);
        assert!(target(&world, at("02T10:00:00")).reason.contains("none is retired"));
    }
    world.launches = Ok(Some(Arc::new(mornings(at("02T23:00:00"), 6))));
    assert_eq!(retired(&world, at("02T23:00:00")), 5);
}

#[test]
fn short_history_uses_the_default() {
    let first = Launch { at: at("02T09:00:00"), restore: None, loaded: None };
    let world = auto_world(Launches::new(at("01T00:00:00"), at("02T12:00:00"), vec![first]));
    let young = target(&world, at("02T12:00:00"));
    assert_eq!((young.wanted, young.keep), (1, None));
    let world = auto_world(Launches::new(at("01T00:00:00"), at("03T10:00:00"), vec![first]));
    assert_ne!(target(&world, at("03T10:00:00")).keep, None);
}

#[test]
fn surplus_is_retired_only_if_not_needed_soon() {
    let mut world = auto_world(mornings(at("02T09:00:00"), 6));
    world.databases.items.extend((1..=6).map(database));
    assert_eq!(retired(&world, at("02T09:00:00")), 0, "wanted again in an hour");
    assert!(retired(&world, at("02T14:00:00")) > 0);
}

#[test]
fn rare_launches_reach_the_hit_rate() {
    // Two a week, never at the same time: only a database at all hours meets ninety-nine in a hundred.
    let odd = (0..16).map(|n| Launch {
        at: at("02T00:00:00") - TimeDelta::minutes(n * 5_217 + 100),
        restore: None,
        loaded: None,
    });
    let mut world =
        auto_world(Launches::new(at("02T00:00:00") - TimeDelta::weeks(8), at("02T00:00:00"), odd.collect()));
    world.fleet.policy.hours = None;
    for hour in 0..24 {
        assert!(target(&world, at("02T00:00:00") + TimeDelta::hours(hour)).wanted >= 1, "{hour}");
    }
}

prop_compose! {
    fn any_launches()(
        minutes in prop::collection::vec(0_i64..(8 * 7 * 24 * 60), 0..300),
        restore in 60_u64..10_000,
    ) -> Launches {
        let launch = |minutes| Launch { at: minutes_ago(minutes), restore: Some(Duration::from_secs(restore)), loaded: None };
        Launches::new(minutes_ago(8 * 7 * 24 * 60), now(), minutes.into_iter().map(launch).collect())
    }
}

proptest! {
    #[test]
    fn target_stays_within_its_bounds(
        launches in any_launches(),
        least in 0_u32..5,
        more in 0_u32..12,
        ceiling in 0_u32..12,
        rate in 1.0_f64..=100.0,
        minutes in 0_i64..(7 * 24 * 60),
        always: bool,
    ) {
        let mut world = auto_world(launches);
        let policy = &mut world.fleet.policy;
        (policy.spare_min, policy.spare_max, policy.max_databases) = (least, least + more, ceiling);
        policy.pool_hit_rate = rate;
        if always {
            policy.hours = None;
        }
        let at = now() + TimeDelta::minutes(minutes);
        let found = target(&world, at);
        let most = (least + more).min(ceiling);
        prop_assert!(found.wanted <= most, "{found:?}");
        prop_assert!(found.keep.is_none_or(|keep| (found.wanted..=most).contains(&keep)), "{found:?}");
        let hours = world.fleet.policy.hours.clone();
        if hours.is_none_or(|hours| hours.contain(at)) {
            prop_assert!(found.wanted >= least.min(most), "{found:?}");
        }
        prop_assert_eq!(&found, &target(&world, at));
    }

    #[test]
    fn target_is_monotonic_in_the_hit_rate(launches in any_launches(), minutes in 0_i64..(7 * 24 * 60)) {
        let mut world = auto_world(launches);
        let at = now() + TimeDelta::minutes(minutes);
        let mut last = 0;
        for rate in [50.0, 90.0, 95.0, 99.0, 99.9, 100.0] {
            world.fleet.policy.pool_hit_rate = rate;
            let wanted = target(&world, at).wanted;
            prop_assert!(wanted >= last, "{wanted} for {rate} %, {last} for less");
            last = wanted;
        }
    }
}
