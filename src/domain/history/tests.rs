use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::domain::audit::{AuditEvent, Outcome};
use crate::domain::database::DatabaseAttributes;
use crate::domain::instance::{Phase, parse_timeline};
use crate::domain::{Database, DatabaseId, Fleet, Listing, Policy, RecordId, TagChanges, World, tags};

/// A time in minutes after the start of the log, which is at midnight.
fn at(minute: i64) -> DateTime<Utc> {
    "2026-03-10T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
}

fn event(minute: i64, action: &str, target: &str) -> AuditEvent {
    AuditEvent {
        at: at(minute),
        who: "engine@ci".into(),
        action: action.into(),
        target: target.into(),
        reason: "".into(),
        outcome: Outcome::Done,
        detail: "".into(),
        restore_seconds: None,
        loaded_percent: None,
    }
}

fn restored(minutes: u64, event: AuditEvent) -> AuditEvent {
    AuditEvent { restore_seconds: Some(minutes * 60), ..event }
}

/// A world without resources, listed at a minute.
fn world(minute: i64) -> World {
    let name = "dev".parse().unwrap();
    let fleet = Fleet {
        policy: Policy::new(&name),
        name,
        template: RecordId::new("lt-0"),
        problems: Vec::new(),
        failed_step: None,
        failed_notice: None,
        pool_empty: None,
        last_pass: None,
    };
    let mut world = World::new(fleet);
    world.records = Listing::complete(Vec::new(), at(minute));
    world.instances = Listing::complete(Vec::new(), at(minute));
    world.databases = Listing::complete(Vec::new(), at(minute));
    world
}

/// A usable, unclaimed database.
fn database(number: u32, requested: i64, took: i64) -> Database {
    let attributes = DatabaseAttributes {
        id: DatabaseId::new(format!("hatchery-dev-{number}")),
        status: "available".into(),
        endpoint: Some("db:5432".into()),
        created_at: Some(at(requested + took)),
        zone: None,
        loaded: None,
    };
    let mut tags = tags::Tags::new();
    TagChanges::new()
        .set(tags::key::FLEET, "dev")
        .set(tags::key::ROLE, "pool")
        .set_time(tags::key::CREATED_AT, at(requested))
        .apply_to(&mut tags);
    Database::parse(&"dev".parse().unwrap(), attributes, &tags).unwrap().unwrap()
}

/// The log of a whole day, read at a minute.
fn log(minute: i64, events: Vec<AuditEvent>) -> AuditLog {
    let mut log = AuditLog::default();
    read(&mut log, events, -1_440, minute);
    log
}

fn read(log: &mut AuditLog, events: Vec<AuditEvent>, since: i64, until: i64) {
    log.add(events);
    log.cover(Reading { since: at(since), until: at(until) });
}

/// Returns the lowest number of free databases in each hour before a minute.
fn hours(log: &AuditLog, world: &World, minute: i64, count: usize) -> (Vec<Option<usize>>, usize) {
    let buckets = Buckets::until(at(minute), TimeDelta::hours(1), count);
    let history = free_history(log, world, &buckets, at(minute));
    (history.lowest, history.unsure)
}

#[test]
fn database_is_free_from_its_restore_to_its_claim() {
    let log = log(
        330,
        vec![
            event(60, "create-database", "hatchery-dev-1"),
            restored(20, event(200, "launch", "dev-1")),
            event(201, "create-database", "hatchery-dev-2"),
        ],
    );
    let mut world = world(330);
    world.databases.items.push(database(2, 201, 15));
    // The hour of 01:00 begins without, that of 02:00 with one, that of 03:00 loses it, and the next one is ready at 03:36.
    let expected = vec![None, Some(0), Some(1), Some(0), Some(1), Some(1)];
    assert_eq!(hours(&log, &world, 330, 6), (expected, 0));
}

#[test]
fn nothing_is_known_before_the_first_event() {
    let log = log(300, vec![event(120, "mark-reaping", "dev-9")]);
    assert_eq!(hours(&log, &world(300), 300, 4).0, [Some(0), Some(0), Some(0), Some(0)]);
    assert_eq!(hours(&log, &world(300), 300, 6).0[..2], [None, None]);
    assert_eq!(hours(&AuditLog::default(), &world(300), 300, 2).0, [None, None], "the log was not read");
    let mut unlisted = world(300);
    unlisted.databases.complete = false;
    assert_eq!(hours(&log, &unlisted, 300, 2).0, [None, None], "the databases are not listed");
}

#[test]
fn listed_database_tells_of_the_time_before_the_first_event() {
    let mut world = world(300);
    world.databases.items.push(database(4, 60, 30));
    assert_eq!(hours(&log(300, Vec::new()), &world, 300, 5).0, [Some(0), Some(1), Some(1), Some(1), Some(1)]);
}

#[rstest]
#[case::claimed_while_restoring(event(80, "launch", "dev-1"), 0)]
#[case::failed(AuditEvent { reason: "its restore failed: it is failed".into(), ..event(80, "retire-database", "hatchery-dev-1") }, 0)]
#[case::retired_by_an_older_version(event(180, "retire-database", "hatchery-dev-1"), 1)]
fn database_that_was_not_seen_free(#[case] end: AuditEvent, #[case] unsure: usize) {
    let log = log(240, vec![event(60, "create-database", "hatchery-dev-1"), end]);
    assert_eq!(hours(&log, &world(240), 240, 3), (vec![Some(0), Some(0), Some(0)], unsure));
}

/// A reset has the new database in its detail, and an engine may have bound it before.
#[test]
fn reset_takes_the_database_of_its_detail() {
    let reset = AuditEvent {
        detail: "hatchery-dev-1 replaces hatchery-dev-7".into(),
        ..restored(30, event(190, "reset", "dev-7"))
    };
    let events = vec![
        event(60, "create-database", "hatchery-dev-1"),
        event(189, "claim-database", "hatchery-dev-1"),
        reset,
    ];
    let expected = (vec![Some(0), Some(1), Some(0), Some(0)], 0);
    assert_eq!(hours(&log(250, events), &world(250), 250, 4), expected);
}

#[test]
fn deletion_without_an_event_is_not_counted() {
    let log = log(240, vec![event(60, "create-database", "hatchery-dev-1")]);
    assert_eq!(hours(&log, &world(240), 240, 2), (vec![Some(0), Some(0)], 1));
    // The listing may not have it yet.
    assert_eq!(hours(&log, &world(62), 62, 1), (vec![Some(0)], 0));
}

#[test]
fn hits_are_launches_that_found_a_usable_database() {
    let events = [
        restored(12, event(1, "launch", "dev-1")),
        event(2, "launch", "dev-2"),
        restored(14, event(3, "reset", "dev-1")),
        AuditEvent { outcome: Outcome::Failed, ..event(4, "launch", "dev") },
        event(5, "extend", "dev-1"),
    ];
    let found = hits(&events);
    assert_eq!((found.hits, found.misses), (2, 1));
    assert_eq!(found.percent().map(f64::round), Some(67.0));
    assert_eq!(hits(&[]).percent(), None);
}

#[test]
fn restore_is_counted_once() {
    let log = log(
        300,
        vec![
            restored(12, event(1, "launch", "dev-1")),
            restored(13, event(2, "retire-database", "hatchery-dev-2")),
            restored(31, event(3, "launch", "dev-3")),
            // The numbers were used before.
            restored(17, event(-500, "launch", "dev-3")),
            restored(18, event(-400, "launch", "dev-1")),
        ],
    );
    let mut world = world(300);
    world.databases.items.push(database(3, -60, 31));
    world.databases.items.push(database(5, 60, 14));
    let restores = restores(&log, &world);
    let minutes = |percent| restores.percentile(percent).map(|took| took.as_secs() / 60);
    assert_eq!((restores.count(), minutes(50), minutes(95)), (6, Some(14), Some(31)));
    let bars =
        [(10, Some(15), 3), (15, Some(20), 2), (20, Some(25), 0), (25, Some(30), 0), (30, Some(45), 1)];
    assert_eq!(restores.histogram(), bars);
    assert!(Restores::default().histogram().is_empty());
}

#[test]
fn failures_are_counted_by_cause_and_day() {
    let refused = AuditEvent {
        outcome: Outcome::Failed,
        detail: "RestoreDBInstanceFromDBSnapshot: no room (InsufficientDBInstanceCapacity)".into(),
        ..event(60, "create-database", "hatchery-dev-1")
    };
    let noted = AuditEvent {
        reason: "hatchery-dev-2 is failed, hatchery-dev-3 is failed".into(),
        ..event(90, "note-failed-restore", "number 2, 3")
    };
    let later = AuditEvent { at: at(1_500), ..refused.clone() };
    let events = [refused, noted, later, event(95, "retire-database", "hatchery-dev-2")];
    let found = failures(&events, |at| at.date_naive());
    let shown: Vec<_> = found
        .iter()
        .map(|failures| (failures.cause.to_string(), failures.by_day.values().copied().collect::<Vec<_>>()))
        .collect();
    let expected = [
        ("create database: InsufficientDBInstanceCapacity".to_owned(), vec![1, 1]),
        ("restore: failed".to_owned(), vec![2]),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn phase_is_compared_with_other_instances() {
    let mut times = PhaseTimes::default();
    assert_eq!(times.of_others(Phase::Images, None), None);
    let mut world = world(0);
    for images in [30, 40, 50, 200] {
        let timeline = format!("booting=0 database=20 images=25 cluster={} ready=400", 25 + images);
        let timeline = parse_timeline(&timeline);
        assert_eq!(durations(&timeline)[2], (Phase::Images, Duration::from_secs(images)));
        world.instances.items.push(crate::domain::Instance { timeline, ..instance() });
    }
    times = PhaseTimes::new(&world);
    let own = Duration::from_secs(200);
    let usual = times.of_others(Phase::Images, Some(own)).unwrap();
    assert_eq!((usual.p50.as_secs(), usual.p95.as_secs(), usual.count), (40, 50, 3));
    assert!(usual.is_slow(own) && !usual.is_slow(Duration::from_secs(45)));
    let all = times.of_others(Phase::Images, None).unwrap();
    assert_eq!((all.p95.as_secs(), all.count), (200, 4));
}

fn instance() -> crate::domain::Instance {
    let tags =
        [(tags::key::FLEET, "dev"), (tags::key::ROLE, "environment"), (tags::key::ENVIRONMENT, "dev-1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    crate::domain::Instance::parse(
        &"dev".parse().unwrap(),
        crate::domain::instance::InstanceAttributes {
            id: crate::domain::InstanceId::new("i-1"),
            instance_type: "t3.large".into(),
            state: crate::domain::InstanceState::Running,
            state_reason: None,
            public_ip: None,
            private_ip: None,
            zone: None,
            launched_at: at(0),
        },
        &tags,
    )
    .unwrap()
}

#[test]
fn reads_that_overlap_leave_no_gap() {
    let mut log = AuditLog::default();
    log.add(vec![event(99, "extend", "dev-1")]);
    assert_eq!(log.known_since(), None, "an event of its own tells nothing of others");
    read(&mut log, vec![event(50, "launch", "dev-1"), event(99, "extend", "dev-1")], 40, 100);
    assert_eq!((log.events().len(), log.known_since()), (2, Some(at(40))));
    read(&mut log, vec![event(105, "launch", "dev-2")], 99, 110);
    assert_eq!((log.events().len(), log.known_since()), (3, Some(at(40))));
    let limited = vec![event(20, "launch", "dev-3"), event(50, "launch", "dev-1")];
    let reading = Reading::of(&limited, at(0), at(111), 2);
    log.add(limited.clone());
    log.cover(reading);
    assert_eq!(Reading::of(&limited, at(0), at(111), 3).since, at(0));
    assert_eq!((log.events().len(), log.known_since()), (4, Some(at(20))), "a limited read");
    read(&mut log, vec![event(200, "launch", "dev-4")], 150, 210);
    assert_eq!(log.known_since(), Some(at(150)), "nothing is known between the two");
    read(&mut log, vec![event(130, "launch", "dev-5")], 120, 140);
    assert_eq!(log.known_since(), Some(at(150)), "an older period");
}

#[test]
fn oldest_events_are_dropped() {
    let mut log = AuditLog::default();
    let count = i64::try_from(MAX_EVENTS).unwrap() + 5;
    let events = (0..count).map(|minute| event(minute, "extend", "dev-1")).collect();
    read(&mut log, events, -10, count);
    assert_eq!((log.events().len(), log.known_since()), (MAX_EVENTS, Some(at(5))));
    assert_eq!(log.since(at(count - 2)).len(), 2);
}

proptest! {
    /// The count at the end of each minute equals one that is taken database by database.
    #[test]
    fn free_history_counts_every_database(lives in proptest::collection::vec((0i64..180, 1u64..40, 0i64..120), 0..40)) {
        let mut events = vec![event(0, "extend", "dev-99")];
        for (number, (requested, took, kept)) in lives.iter().enumerate() {
            let (took_minutes, id) = (i64::try_from(*took).unwrap(), number + 1);
            events.push(event(*requested, "create-database", &format!("hatchery-dev-{id}")));
            events.push(restored(*took, event(requested + took_minutes + kept, "launch", &format!("dev-{id}"))));
        }
        let log = log(400, events);
        let buckets = Buckets::until(at(399), TimeDelta::minutes(1), 380);
        let history = free_history(&log, &world(400), &buckets, at(400));
        for (index, lowest) in history.lowest.iter().enumerate() {
            let minute = buckets.start(index);
            let free = lives.iter().filter(|(requested, took, kept)| {
                let ready = requested + i64::try_from(*took).unwrap();
                at(ready) <= minute && minute < at(ready + kept)
            });
            prop_assert_eq!(*lowest, Some(free.count()), "{}", minute);
        }
        prop_assert_eq!(history.unsure, 0);
    }

    #[test]
    fn log_keeps_each_event_once(minutes in proptest::collection::vec((0i64..30, 0u8..3), 0..60), split in 0usize..60) {
        let events: Vec<_> = minutes.iter().map(|(minute, number)| event(*minute, "launch", &format!("dev-{number}"))).collect();
        let mut log = AuditLog::default();
        let split = split.min(events.len());
        log.add(events[split..].to_vec());
        log.add(events.clone());
        let mut expected = crate::domain::audit::distinct(events);
        expected.sort_by_key(|event| (event.at, event.target.to_string()));
        let mut found = log.events().to_vec();
        prop_assert!(found.is_sorted_by_key(|event| event.at));
        found.sort_by_key(|event| (event.at, event.target.to_string()));
        prop_assert_eq!(found, expected);
    }
}
