//! Builders of domain values. Tests override the fields that they are about.

#![allow(dead_code, clippy::unwrap_used)] // each binary uses its own part

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::cloud::sim::InitialEnvironment;
use hatchery::domain::{
    AuditEvent, Database, EnvironmentId, Fleet, FleetName, Hydration, Image, ImageId, Instance, InstanceId,
    InstanceState, LastPass, Launch, Launches, Listing, Number, Outcome, Phase, Policy, Record, RecordId,
    RecordKind, Snapshot, SnapshotId, Subnet, SubnetId, World,
};

pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

pub(crate) fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    now() - chrono::TimeDelta::minutes(minutes)
}

pub(crate) fn fleet_name() -> FleetName {
    "dev".parse().unwrap()
}

pub(crate) fn environment_id(number: u32) -> EnvironmentId {
    fleet_name().environment(Number(number))
}

pub(crate) fn policy() -> Policy {
    Policy {
        source_database: "integration".into(),
        database_subnet_group: "private".into(),
        subnets: vec![SubnetId::new("subnet-a"), SubnetId::new("subnet-b")],
        ..Policy::new(&fleet_name())
    }
}

/// A completely listed fleet without environments and databases.
pub(crate) fn empty_world() -> World {
    let subnet =
        |id: &str, zone: &str| Subnet { id: SubnetId::new(id), zone: zone.into(), vpc: "vpc-1".into() };
    World {
        fleet: Fleet {
            name: fleet_name(),
            template: RecordId::new("lt-0"),
            policy: policy(),
            problems: Vec::new(),
            failed_step: None,
            failed_notice: None,
            pool_empty: None,
            last_pass: Some(LastPass { at: minutes_ago(5), by: "engine@schedule".into() }),
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
            root_device: Some("/dev/xvda".into()),
        })),
        subnets: Ok(vec![subnet("subnet-a", "eu-west-1a"), subnet("subnet-b", "eu-west-1b")]),
        pipelines: Ok(Vec::new()),
        launches: Ok(None),
    }
}

/// The record of an environment, created two hours ago, that expires in six.
pub(crate) fn record(number: u32) -> Record {
    Record {
        id: RecordId::new(format!("lt-{number}")),
        environment: environment_id(number),
        name: format!("env-{number}").into(),
        owner: "amy".into(),
        created_at: minutes_ago(120),
        expires_at: Some(now() + Duration::from_hours(6)),
        extensions: BTreeMap::new(),
        reaping_since: None,
        terminate: None,
        attempt: 0,
        instance: Some(InstanceId::new(format!("i-{number}"))),
        kind: RecordKind::Environment,
        database: Some(Number(number)),
        failure: None,
        claim: Some("c0ffee".into()),
        orphan_since: None,
        repaired_by: None,
        hold: None,
        failed_step: None,
        notified: BTreeSet::new(),
        services: BTreeMap::from([("payments".into(), "f-123".into())]),
        deployment: None,
        requests: Vec::new(),
        note: None,
    }
}

/// The ready instance of [`record`].
pub(crate) fn instance(number: u32) -> Instance {
    Instance {
        id: InstanceId::new(format!("i-{number}")),
        environment: environment_id(number),
        record: Some(RecordId::new(format!("lt-{number}"))),
        state: InstanceState::Running,
        state_reason: None,
        instance_type: "t3.2xlarge".into(),
        public_ip: Some("203.0.113.7".into()),
        private_ip: Some("10.0.0.7".into()),
        zone: Some("eu-west-1a".into()),
        launched_at: minutes_ago(119),
        expires_at: Some(now() + Duration::from_hours(6)),
        phase: Some(Phase::Ready),
        detail: None,
        timeline: BTreeMap::new(),
        digests: BTreeMap::new(),
        database: Some(Number(number)),
        services: BTreeMap::from([("payments".into(), "f-123".into())]),
        deployment: None,
        rollout: None,
        orphan_since: None,
        lost_tags: false,
        failed_step: None,
    }
}

/// A free database, five hours old.
pub(crate) fn database(number: u32) -> Database {
    Database {
        id: fleet_name().database_id(Number(number)),
        number: Number(number),
        status: "available".into(),
        endpoint: Some("db.example:5432".into()),
        requested_at: Some(minutes_ago(300)),
        created_at: Some(minutes_ago(285)),
        zone: Some("eu-west-1a".into()),
        snapshot: Some(SnapshotId::new("rds:integration-1")),
        snapshot_at: Some(minutes_ago(360)),
        settings: None,
        environment: None,
        record: None,
        orphan_since: None,
        unusable_since: None,
        hydration: Hydration::Unknown,
        loading_seen: false,
        failed_step: None,
    }
}

pub(crate) fn claimed_database(number: u32) -> Database {
    Database { environment: Some(environment_id(number)), ..database(number) }
}

/// A world with ready environments, numbered from 1, and one free database.
pub(crate) fn world_with(environments: u32) -> World {
    let mut world = empty_world();
    for number in 1..=environments {
        world.records.items.push(record(number));
        world.instances.items.push(instance(number));
        world.databases.items.push(claimed_database(number));
    }
    world.databases.items.push(database(environments + 1));
    world.fleet.policy.max_databases = environments + 10;
    world.fleet.policy.last_number = Number(environments + 1);
    world
}

/// Launches of some days: `per_day` each day, an hour apart from nine o'clock on.
pub(crate) fn launch_history(days: i64, per_day: i64) -> Launches {
    let midnight = minutes_ago(12 * 60);
    let launches = (1..=days).flat_map(|day| {
        (0..per_day).map(move |n| Launch {
            at: midnight - chrono::TimeDelta::days(day) + chrono::TimeDelta::hours(9 + n % 10),
            restore: Some(Duration::from_mins(15)),
            loaded: None,
        })
    });
    Launches::new(midnight - chrono::TimeDelta::days(days), now(), launches.collect())
}

/// A successful step or request, without reason and detail.
pub(crate) fn audit_event(at: DateTime<Utc>, who: &str, action: &str, target: &str) -> AuditEvent {
    AuditEvent {
        at,
        who: who.into(),
        action: action.into(),
        target: target.into(),
        reason: "".into(),
        outcome: Outcome::Done,
        detail: "".into(),
        restore_seconds: None,
        loaded_percent: None,
    }
}

/// An environment of amy with which a simulated account begins. It is two hours old, and lives for two days.
pub(crate) fn initial_environment(number: u32) -> InitialEnvironment {
    InitialEnvironment {
        name: format!("env-{number}"),
        owner: "amy".into(),
        age: Duration::from_hours(2),
        ttl: Duration::from_hours(48),
        services: BTreeMap::new(),
        note: None,
        fails: None,
    }
}
