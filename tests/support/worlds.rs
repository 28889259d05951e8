//! Random worlds for properties.

#![allow(unused_imports)] // each test file uses its own part

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::record::{LaunchFailure, Termination};
use hatchery::domain::{
    CloudError, Database, Deployment, ErrorClass, Hydration, Instance, InstanceId, InstanceState, Launches,
    Number, Phase, Record, RecordId, RecordKind, Replaces, Spare, Unreadable, UnreadableKind, World,
};
use proptest::prelude::*;

pub(crate) use super::builders::{
    claimed_database as claimed, database, empty_world as empty, environment_id as id, fleet_name as name,
    instance, launch_history as history, minutes_ago, now, policy, record, world_with as of_size,
};
use super::builders::{empty_world, environment_id, launch_history};

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
            kind: if retirement { RecordKind::Retirement } else { RecordKind::Environment },
            ..record(number)
        }
    }
}

prop_compose! {
    fn some_instance(number: u32)(
        suffix in prop_oneof![4 => Just(""), 1 => Just("b")],
        has_own_record in prop::bool::weighted(0.85),
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
            record: Some(RecordId::new(if has_own_record { format!("lt-{number}") } else { "lt-old".into() })),
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
            "incompatible-network", "an-unknown-status", "stopped", "maintenance", "storage-initialization",
        ]),
        requested_at in prop::option::weighted(0.9, some_time()),
        snapshot_age in 300_i64..4_000,
        orphan_since in prop::option::weighted(0.2, some_time()),
        unusable_since in prop::option::weighted(0.3, some_time()),
        was_usable in prop::bool::weighted(0.8),
        hydration in prop::sample::select(vec![Hydration::Unknown, Hydration::Loading(40), Hydration::Complete]),
    ) -> Database {
        Database {
            status: status.into(),
            requested_at,
            created_at: requested_at.filter(|_| was_usable),
            unusable_since,
            hydration,
            loading_seen: hydration == Hydration::Complete,
            snapshot_at: Some(minutes_ago(snapshot_age)),
            environment: claimed.then(|| environment_id(number)),
            orphan_since,
            ..database(number)
        }
    }
}

/// A resource that has lost its tags, or a namesake.
fn some_unreadable(kind: UnreadableKind) -> impl Strategy<Value = Unreadable> {
    (7_u32..10, any::<bool>()).prop_map(move |(number, is_ours)| {
        let lost = [("hatchery:fleet".to_owned(), "dev".to_owned())];
        let lost = lost.into_iter().filter(|_| is_ours).collect();
        Unreadable { kind, id: format!("{kind}-{number}").into(), number: Number(number), lost }
    })
}

fn some_history() -> impl Strategy<Value = Result<Option<Arc<Launches>>, CloudError>> {
    let unknown =
        CloudError::new(ErrorClass::Throttled, "FilterLogEvents", "ThrottlingException", "slow down");
    let known =
        (0_i64..30, 0_i64..40).prop_map(|(days, per_day)| Ok(Some(Arc::new(launch_history(days, per_day)))));
    prop_oneof![1 => Just(Ok(None)), 1 => Just(Err(unknown)), 4 => known]
}

/// Any world: resources are missing, duplicated, foreign, incomplete or failed.
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
    let unreadable = [UnreadableKind::Record, UnreadableKind::Database]
        .map(|kind| prop::option::weighted(0.2, some_unreadable(kind)));
    let [record, database] = unreadable;
    let resets = prop::collection::vec((2_u32..7, any::<bool>()), 0..3);
    let rest = (record, database, resets);
    (parts, settings, complete, rest).prop_map(|(parts, settings, complete, unreadable)| {
        let (spare, history, ceiling, hint, failed, failed_at) = settings;
        let mut world = empty_world();
        for (record, mut instances, database) in parts {
            world.records.items.extend(record);
            instances.dedup_by(|a, b| a.id == b.id);
            world.instances.items.extend(instances);
            world.databases.items.extend(database);
        }
        world.records.unreadable = unreadable.0.into_iter().collect();
        world.databases.unreadable = unreadable.1.into_iter().collect();
        for (number, is_used) in unreadable.2 {
            reset(&mut world, Number(number), is_used);
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

/// Makes the record with this number a replacement for the first one, which uses its database or not.
fn reset(world: &mut World, number: Number, is_used: bool) {
    let replaces = Replaces { record: RecordId::new("lt-1"), environment: environment_id(1) };
    let Some(record) = world.records.items.iter_mut().find(|record| record.number() == number) else {
        return;
    };
    (record.expires_at, record.instance) = (None, None);
    record.kind = RecordKind::Replacement(replaces);
    world.instances.items.retain(|instance| instance.environment.number != number);
    for database in world.databases.items.iter_mut().filter(|found| found.number == number) {
        database.record = database.environment.as_ref().map(|_| RecordId::new(format!("lt-{}", number.0)));
    }
    if let Some(record) = world.records.items.iter_mut().find(|record| record.number() == Number(1)) {
        record.database = Some(if is_used { number } else { Number(1) });
        record.deployment = is_used.then(|| Deployment { at: minutes_ago(70), by: "amy".into() });
    }
}
