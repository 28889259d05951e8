//! Worlds to plan for: built by hand, by size, and at random.

#![allow(dead_code, clippy::unwrap_used)] // each test binary uses its own part

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::record::{LaunchFailure, Termination};
use hatchery::domain::{
    CloudError, Database, EnvironmentId, ErrorClass, Fleet, FleetName, Image, ImageId, Instance, InstanceId,
    InstanceState, Launch, Launches, Listing, Number, Phase, Policy, Record, RecordId, Snapshot, SnapshotId,
    Spare, Subnet, SubnetId, World,
};
use proptest::prelude::*;

pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

pub(crate) fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    now() - chrono::TimeDelta::minutes(minutes)
}

pub(crate) fn name() -> FleetName {
    "dev".parse().unwrap()
}

pub(crate) fn id(number: u32) -> EnvironmentId {
    name().environment(Number(number))
}

pub(crate) fn policy() -> Policy {
    Policy {
        source_database: "integration".into(),
        database_subnet_group: "private".into(),
        subnets: vec![SubnetId::new("subnet-a"), SubnetId::new("subnet-b")],
        ..Policy::for_fleet(&name())
    }
}

/// A complete world with nothing in it.
pub(crate) fn empty() -> World {
    let subnet =
        |id: &str, zone: &str| Subnet { id: SubnetId::new(id), zone: zone.into(), vpc: "vpc-1".into() };
    World {
        fleet: Fleet {
            name: name(),
            template: RecordId::new("lt-0"),
            policy: policy(),
            problems: Vec::new(),
        },
        records: Listing::complete(Vec::new(), now()),
        instances: Listing::complete(Vec::new(), now()),
        databases: Listing::complete(Vec::new(), now()),
        snapshot: Ok(Some(Snapshot {
            id: SnapshotId::new("rds:integration-1"),
            created_at: minutes_ago(360),
        })),
        image: Ok(Some(Image {
            id: ImageId::new("ami-1"),
            name: "service-1".into(),
            created_at: minutes_ago(600),
        })),
        subnets: Ok(vec![subnet("subnet-a", "eu-west-1a"), subnet("subnet-b", "eu-west-1b")]),
        launches: Ok(None),
    }
}

/// An environment's record, created two hours ago, that lives for six more.
pub(crate) fn record(number: u32) -> Record {
    Record {
        id: RecordId::new(format!("lt-{number}")),
        environment: id(number),
        name: format!("env-{number}"),
        owner: "amy".into(),
        created_at: minutes_ago(120),
        expires_at: Some(now() + Duration::from_hours(6)),
        reaping_since: None,
        terminate: None,
        attempt: 0,
        instance: Some(InstanceId::new(format!("i-{number}"))),
        retirement: false,
        failure: None,
        claim: Some("c0ffee".into()),
        orphan_since: None,
        services: BTreeMap::from([("payments".to_owned(), "f-123".to_owned())]),
        note: None,
    }
}

pub(crate) fn instance(number: u32) -> Instance {
    Instance {
        id: InstanceId::new(format!("i-{number}")),
        environment: id(number),
        record: Some(RecordId::new(format!("lt-{number}"))),
        state: InstanceState::Running,
        instance_type: "t3.2xlarge".into(),
        public_ip: Some("203.0.113.7".into()),
        private_ip: Some("10.0.0.7".into()),
        zone: Some("eu-west-1a".into()),
        launched_at: minutes_ago(119),
        expires_at: Some(now() + Duration::from_hours(6)),
        phase: Some(Phase::Ready),
        detail: None,
        ready_at: Some(minutes_ago(115)),
        timeline: BTreeMap::new(),
        orphan_since: None,
    }
}

/// A free database.
pub(crate) fn database(number: u32) -> Database {
    Database {
        id: name().database_id(Number(number)),
        number: Number(number),
        status: "available".into(),
        endpoint: Some("db.example:5432".into()),
        requested_at: Some(minutes_ago(300)),
        created_at: Some(minutes_ago(285)),
        zone: Some("eu-west-1a".into()),
        snapshot: Some(SnapshotId::new("rds:integration-1")),
        snapshot_at: Some(minutes_ago(360)),
        environment: None,
        orphan_since: None,
    }
}

pub(crate) fn claimed(number: u32) -> Database {
    Database { environment: Some(id(number)), ..database(number) }
}

/// A world with this many ready environments and one free database.
pub(crate) fn of_size(environments: u32) -> World {
    let mut world = empty();
    for number in 1..=environments {
        world.records.items.push(record(number));
        world.instances.items.push(instance(number));
        world.databases.items.push(claimed(number));
    }
    world.databases.items.push(database(environments + 1));
    world.fleet.policy.max_databases = environments + 10;
    world.fleet.policy.last_number = Number(environments + 1);
    world
}

fn some_time() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![0_i64..3, 5_i64..20, 60_i64..300].prop_map(minutes_ago)
}

prop_compose! {
    fn some_record(number: u32)(
        created_at in some_time(),
        expires_in in prop_oneof![Just(None), (-120_i64..400).prop_map(Some)],
        reaping_since in prop::option::weighted(0.3, some_time()),
        terminate in prop::option::weighted(0.2, some_time()),
        failure in prop::option::weighted(0.2, some_time()),
        orphan_since in prop::option::weighted(0.2, some_time()),
        attempt in 0_u32..6,
        has_instance: bool,
        retirement in prop::bool::weighted(0.15),
    ) -> Record {
        Record {
            created_at,
            expires_at: expires_in.filter(|_| !retirement).map(|minutes| now() + chrono::TimeDelta::minutes(minutes)),
            reaping_since,
            terminate: if retirement { Some(Termination { at: created_at, by: "engine".into() }) }
                else { terminate.map(|at| Termination { at, by: "amy".into() }) },
            failure: failure.map(|at| LaunchFailure { at, reason: "no room".into() }),
            orphan_since,
            attempt,
            instance: has_instance.then(|| InstanceId::new(format!("i-{number}"))),
            retirement,
            ..record(number)
        }
    }
}

prop_compose! {
    fn some_instance(number: u32)(
        suffix in prop_oneof![4 => Just(""), 1 => Just("b")],
        own_record in prop::bool::weighted(0.85),
        state in prop::sample::select(vec![
            InstanceState::Pending, InstanceState::Running, InstanceState::Running, InstanceState::Stopped,
            InstanceState::ShuttingDown, InstanceState::Terminated,
        ]),
        launched_at in some_time(),
        orphan_since in prop::option::weighted(0.3, some_time()),
        phase in prop::sample::select(vec![None, Some(Phase::Images), Some(Phase::Ready), Some(Phase::Failed)]),
    ) -> Instance {
        Instance {
            id: InstanceId::new(format!("i-{number}{suffix}")),
            record: Some(RecordId::new(if own_record { format!("lt-{number}") } else { "lt-old".into() })),
            state, launched_at, orphan_since, phase,
            ..instance(number)
        }
    }
}

prop_compose! {
    fn some_database(number: u32)(
        claimed in prop::bool::weighted(0.5),
        status in prop::sample::select(vec![
            "available", "available", "available", "creating", "backing-up", "storage-optimization", "deleting", "failed",
            "incompatible-network", "a-new-word",
        ]),
        requested_at in prop::option::weighted(0.9, some_time()),
        snapshot_age in 300_i64..4_000,
        orphan_since in prop::option::weighted(0.2, some_time()),
    ) -> Database {
        Database {
            status: status.into(),
            requested_at,
            created_at: requested_at,
            snapshot_at: Some(minutes_ago(snapshot_age)),
            environment: claimed.then(|| id(number)),
            orphan_since,
            ..database(number)
        }
    }
}

/// The launches of some weeks: so many each day, the first at nine, the others an hour later each.
pub(crate) fn history(days: i64, each_day: i64) -> Launches {
    let midnight = minutes_ago(12 * 60);
    let launches = (1..=days).flat_map(|day| {
        (0..each_day).map(move |n| Launch {
            at: midnight - chrono::TimeDelta::days(day) + chrono::TimeDelta::hours(9 + n % 10),
            restore: Some(Duration::from_mins(15)),
        })
    });
    Launches::new(midnight - chrono::TimeDelta::days(days), now(), launches.collect())
}

fn some_history() -> impl Strategy<Value = Result<Option<Arc<Launches>>, CloudError>> {
    let unknown =
        CloudError::new(ErrorClass::Throttled, "FilterLogEvents", "ThrottlingException", "slow down");
    let known =
        (0_i64..30, 0_i64..40).prop_map(|(days, each_day)| Ok(Some(Arc::new(history(days, each_day)))));
    prop_oneof![1 => Just(Ok(None)), 1 => Just(Err(unknown)), 4 => known]
}

/// Any world, with things missing, doubled, foreign, half-done and failed.
pub(crate) fn some_world() -> impl Strategy<Value = World> {
    let parts = (1_u32..7).prop_flat_map(|count| {
        (1..=count)
            .map(|number| {
                (
                    prop::option::weighted(0.7, some_record(number)),
                    prop::collection::vec(some_instance(number), 0..3),
                    prop::option::weighted(0.8, some_database(number)),
                )
            })
            .collect::<Vec<_>>()
    });
    let spare = prop_oneof![4 => (0_u32..4).prop_map(Spare::Fixed), 1 => Just(Spare::Auto)];
    let settings = (
        spare,
        some_history(),
        0_u32..12,
        0_u32..9,
        prop::collection::btree_set(1_u32..7, 0..6),
        some_time(),
    );
    let complete = (prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::bool::weighted(0.8));
    (parts, settings, complete).prop_map(|(parts, settings, complete)| {
        let (spare, history, ceiling, hint, failed, failed_at) = settings;
        let mut world = empty();
        for (record, mut instances, database) in parts {
            world.records.items.extend(record);
            instances.dedup_by(|a, b| a.id == b.id);
            world.instances.items.extend(instances);
            world.databases.items.extend(database);
        }
        world.launches = history;
        world.records.complete = complete.0;
        world.instances.complete = complete.1;
        world.databases.complete = complete.2;
        let policy = &mut world.fleet.policy;
        policy.spare = spare;
        policy.max_databases = ceiling;
        policy.last_number = Number(hint);
        if !failed.is_empty() {
            policy.restore_failures.last = Some(failed_at);
            policy.restore_failures.numbers = failed.into_iter().map(Number).collect();
        }
        world
    })
}
