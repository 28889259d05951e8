//! The inputs of a target: the duration of restores, the hours, and the launches since the history was read.

use std::sync::Arc;

use super::super::database::Database;
use super::super::fleet::Fleet;
use super::super::hydration::Hydration;
use super::super::ids::{FleetName, Number, RecordId};
use super::super::launches::Launch;
use super::super::record::RecordKind;
use super::super::world::Listing;
use super::*;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// A complete world of a fleet with `spare=auto` and working hours.
fn world() -> World {
    let name: FleetName = "dev".parse().unwrap();
    let mut policy = Policy::new(&name);
    (policy.spare, policy.hours) = (Spare::Auto, Some("Mon 07:00-19:00 UTC".parse().unwrap()));
    let fleet = Fleet {
        name,
        template: RecordId::new("lt-0"),
        policy,
        problems: Vec::new(),
        failed_step: None,
        failed_notice: None,
        pool_empty: None,
        last_pass: None,
    };
    World { records: Listing::complete(Vec::new(), at("12:00:00")), ..World::new(fleet) }
}

fn target(world: &World, now: &str) -> Target {
    Target::new(world, &world.fleet.policy, at(now))
}

/// Launches one minute apart, the last one at 11:00, with these durations of restores in minutes.
fn launches_with(restores: impl IntoIterator<Item = u64>) -> Launches {
    let restores: Vec<_> = restores.into_iter().collect();
    let first = at("11:00:00") - TimeDelta::minutes(i64::try_from(restores.len()).unwrap());
    let launches = (1..).zip(&restores).map(|(number, restore)| Launch {
        at: first + TimeDelta::minutes(number),
        restore: Some(minutes(*restore)),
        loaded: None,
    });
    Launches::new(first, at("12:00:00"), launches.collect())
}

#[track_caller]
fn assert_measured(restores: impl IntoIterator<Item = u64>, mean: i64, slow: i64) {
    let found = RestoreTimes::measure(&launches_with(restores), &world());
    assert_eq!(found, RestoreTimes { mean: TimeDelta::minutes(mean), slow: TimeDelta::minutes(slow) });
}

#[test]
fn restore_times_are_measured_from_the_latest() {
    assert_measured([60; 4], 20, 30);
    assert_measured([60; 5], 60, 60);
    // Five of a hundred are slower.
    assert_measured((1..=100).map(|n| if n > 95 { 50 } else { 10 }), 12, 50);
    assert_measured((1..=100).map(|n| if n > 96 { 45 } else { 20 }), 21, 20);
    // Only the latest 200 count.
    assert_measured((0..250).map(|n| if n < 50 { 90 } else { 10 }), 10, 10);
}

#[test]
fn listed_databases_count_as_restores() {
    let mut world = world();
    let name = world.fleet.name.clone();
    world.databases.items.extend((1..=5).map(|number| Database {
        id: name.database_id(Number(number)),
        number: Number(number),
        status: "available".into(),
        endpoint: None,
        requested_at: Some(at("09:00:00")),
        created_at: Some(at("09:40:00")),
        zone: None,
        snapshot: None,
        snapshot_at: None,
        settings: None,
        environment: None,
        record: None,
        orphan_since: None,
        unusable_since: None,
        hydration: Hydration::Unknown,
        loading_seen: false,
        failed_step: None,
    }));
    let found = RestoreTimes::measure(&launches_with([]), &world);
    assert_eq!(found, RestoreTimes { mean: TimeDelta::minutes(40), slow: TimeDelta::minutes(40) });
}

#[test]
fn restores_start_before_the_hours() {
    let mut world = world();
    // A slow restore and its request take 35 minutes.
    for (now, wanted) in [("06:20:00", 0), ("06:25:00", 1), ("07:00:00", 1), ("18:59:00", 1), ("19:00:00", 0)]
    {
        assert_eq!((target(&world, now).wanted, target(&world, now).keep), (wanted, None), "{now}");
    }
    world.launches = Ok(Some(Arc::new(launches_with([]))));
    // Until an hour before that, surplus databases are retired.
    for (now, keep) in [("05:20:00", Some(0)), ("05:25:00", None), ("06:20:00", None), ("19:00:00", Some(0))]
    {
        assert_eq!((target(&world, now).wanted, target(&world, now).keep), (0, keep), "{now}");
    }
    world.fleet.policy.hours = None;
    assert_eq!(target(&world, "03:00:00").wanted, 1);
    for (min, max, ceiling, wanted) in [(3, 9, 9, 3), (0, 0, 9, 0), (3, 9, 2, 2), (0, 9, 9, 1)] {
        let policy = &mut world.fleet.policy;
        (policy.spare_min, policy.spare_max, policy.max_databases) = (min, max, ceiling);
        assert_eq!(target(&world, "03:00:00").wanted, wanted);
    }
}

fn record(number: u32, created_at: DateTime<Utc>) -> Record {
    let name: FleetName = "dev".parse().unwrap();
    let mut tags = super::super::tags::Tags::new();
    tags.insert("hatchery:fleet".into(), "dev".into());
    tags.insert("hatchery:role".into(), "environment".into());
    let template = name.record_name(Number(number));
    Record::parse(&name, RecordId::new("lt-1"), &template, created_at, &tags).unwrap().unwrap()
}

#[test]
fn records_count_launches_after_the_history() {
    let history = launches_with([10]);
    let mut world = world();
    let mut retirement = record(4, at("12:10:00"));
    retirement.kind = RecordKind::Retirement;
    world.records.items.extend([
        record(1, at("11:59:59")),
        record(2, at("12:00:00")),
        record(3, at("12:10:00")),
        retirement,
    ]);
    let since = |world: &World, now| launches_since_history(&history, world, at(now));
    assert_eq!(since(&world, "12:30:00"), (2, at("12:30:00")));
    assert_eq!(since(&world, "13:00:00"), (2, at("13:00:00")));
    // Later, some of them may have ended.
    assert_eq!(since(&world, "13:00:01"), (0, at("12:00:00")));
    world.records.complete = false;
    assert_eq!(since(&world, "12:30:00"), (0, at("12:00:00")));
}

#[test]
fn target_covers_the_time_of_a_restore() {
    let mut world = world();
    world.fleet.policy.hours = None;
    let now = at("12:00:00");
    let since = now - TimeDelta::weeks(8);
    // One launch per quarter of an hour, four more within one hour a day, and restores of ten minutes.
    let launch =
        |minute| Launch { at: since + TimeDelta::minutes(minute), restore: Some(minutes(10)), loaded: None };
    let usual = (0..8 * 7 * 96).map(|slot| launch(15 * slot));
    let busy = (0..8 * 7).flat_map(|day| (50..54).map(move |minute| day * 24 * 60 + minute)).map(launch);
    let launches = Launches::new(since, now, usual.chain(busy).collect());
    let always = |_, _| true;
    let demand = Demand::estimate(&launches, Tz::UTC, always, now).unwrap();
    world.launches = Ok(Some(Arc::new(launches.clone())));
    let today = demand.today(&launches, 0, now, now);
    let (restore, max) = (TimeDelta::minutes(15), 10);
    let half_the_misses = 0.995;
    let (min_gain, rate) = demand.min_gain(always, restore, half_the_misses, 0, max);
    let needed = |minutes: i64, min_gain| {
        let at = |step: i64| now + TimeDelta::minutes(5 * step);
        (0..=minutes / 5).map(|step| demand.needed(at(step), &today, restore, min_gain, max)).max().unwrap()
    };
    let found = target(&world, "12:00:00");
    assert_eq!((found.wanted, found.keep), (needed(15, min_gain), Some(needed(75, min_gain / 2.0))));
    assert_eq!(found.hit_rate, Some(rate * 100.0));
    assert!(found.keep.unwrap() > found.wanted, "the two differ: {found:?}");
    let faster = demand.min_gain(always, TimeDelta::minutes(5), half_the_misses, 0, max).0;
    assert_ne!(faster.to_bits(), min_gain.to_bits(), "the result depends on the duration of a restore");
    assert_eq!(
        found.reason,
        format!(
            "{} spare for 1.1 expected launches in the next 15 min, so that 99 % find a free database",
            found.wanted
        )
    );
}
