//! Resets: what the plan wants of an environment, its replacements and their databases in each state.

use rstest::rstest;

use super::*;
use hatchery::domain::{RecordKind, Replaces, Rollout, RolloutState};

/// The ready environment `dev-1` with its database, and a replacement for it with the number 9, created half an hour ago, whose database is
/// bound and usable.
fn resetting() -> World {
    let mut world = world_with(1);
    world.instances.items[0].expires_at = world.records.items[0].expires_at;
    world.instances.items[0].rollout = Some(Rollout {
        request: minutes_ago(100),
        state: RolloutState::Done,
        detail: hatchery::domain::text::Untrusted::default(),
    });
    world.fleet.policy.last_number = Number(20);
    world.records.items.push(replacement(9, 30));
    world.databases.items.push(bound(9));
    world
}

fn replacement(number: u32, minutes: i64) -> Record {
    let replaces = Replaces { record: RecordId::new("lt-1"), environment: environment_id(1) };
    Record {
        created_at: minutes_ago(minutes),
        expires_at: None,
        instance: None,
        kind: RecordKind::Replacement(replaces),
        ..record(number)
    }
}

fn bound(number: u32) -> Database {
    Database { record: Some(RecordId::new(format!("lt-{number}"))), ..claimed_database(number) }
}

/// Lets the environment use the database of its replacement since this many minutes.
fn switched(world: &mut World, number: u32, minutes: i64) {
    let deployment = Deployment { at: minutes_ago(minutes), by: "amy".into() };
    let record = &mut world.records.items[0];
    (record.database, record.deployment) = (Some(Number(number)), Some(deployment.clone()));
    let instance = &mut world.instances.items[0];
    (instance.database, instance.deployment) = (Some(Number(number)), Some(deployment));
}

fn answer(world: &mut World, minutes: i64, state: RolloutState) {
    let rollout = world.instances.items[0].rollout.as_mut().unwrap();
    (rollout.request, rollout.state) = (minutes_ago(minutes), state);
}

fn ending(record: &mut Record, minutes: i64) {
    record.terminate = Some(Termination { at: minutes_ago(minutes), by: "engine".into() });
}

/// The records are `dev-1` and the replacement, the databases 1, a spare, and 9.
#[rstest]
#[case::usable(|_: &mut World| {}, &["switch-database dev-1"])]
#[case::being_restored(|world: &mut World| set_status(world, 2, "creating", false), &[])]
#[case::not_bound(|world: &mut World| (world.databases.items[2].environment, world.databases.items[2].record) = (None, None),
    &["claim-database hatchery-dev-9"])]
#[case::not_restored(|world: &mut World| drop(world.databases.items.pop()), &["create-database hatchery-dev-9"])]
#[case::still_requested(|world: &mut World| {
    world.records.items[1].created_at = minutes_ago(0);
    world.databases.items.pop();
}, &[])]
#[case::stopped(|world: &mut World| set_status(world, 2, "stopped", true), &["start-database hatchery-dev-9"])]
#[case::busy(|world: &mut World| set_status(world, 2, "maintenance", true), &[])]
#[case::failed_restore(|world: &mut World| set_status(world, 2, "incompatible-restore", false), &["end-replacement hatchery-dev-9"])]
#[case::broken_database(|world: &mut World| set_status(world, 2, "failed", true), &["end-replacement hatchery-dev-9"])]
#[case::failed_record(|world: &mut World| {
    world.records.items[1].failure = Some(LaunchFailure { at: minutes_ago(1), reason: "no room".into() });
}, &["end-replacement hatchery-dev-9"])]
#[case::environment_in_grace(|world: &mut World| {
    world.records.items[0].expires_at = Some(minutes_ago(5));
    world.instances.items[0].expires_at = Some(minutes_ago(5));
    world.records.items[0].reaping_since = Some(minutes_ago(4));
}, &[])]
#[case::environment_ending(|world: &mut World| ending(&mut world.records.items[0], 1),
    &["end-replacement hatchery-dev-9", "delete-database hatchery-dev-1", "terminate-instance i-1"])]
#[case::both_ending(|world: &mut World| {
    ending(&mut world.records.items[0], 2);
    ending(&mut world.records.items[1], 1);
}, &["delete-database hatchery-dev-1", "delete-database hatchery-dev-9", "terminate-instance i-1"])]
#[case::just_ended(|world: &mut World| ending(&mut world.records.items[1], 0), &[])]
#[case::ended(|world: &mut World| ending(&mut world.records.items[1], 1), &["delete-database hatchery-dev-9"])]
#[case::ended_and_database_gone(|world: &mut World| {
    ending(&mut world.records.items[1], 1);
    world.databases.items.pop();
}, &["delete-record dev-9"])]
#[case::environment_gone(|world: &mut World| no_environment(world, None), &["mark-orphan dev-9"])]
#[case::environment_just_gone(|world: &mut World| no_environment(world, Some(9)), &[])]
#[case::environment_long_gone(|world: &mut World| no_environment(world, Some(10)), &["end-replacement hatchery-dev-9"])]
#[case::environment_back(|world: &mut World| world.records.items[1].orphan_since = Some(minutes_ago(9)),
    &["switch-database dev-1", "unmark-orphan dev-9"])]
#[case::second_reset(|world: &mut World| {
    world.records.items.push(replacement(8, 20));
    world.databases.items.push(bound(8));
}, &["switch-database dev-1", "end-replacement hatchery-dev-8"])]
#[case::lower_number_first(|world: &mut World| {
    world.records.items.push(replacement(8, 30));
    world.databases.items.push(bound(8));
}, &["switch-database dev-1", "end-replacement hatchery-dev-9"])]
#[case::switched(|world: &mut World| switched(world, 9, 5), &[])]
#[case::instance_not_told(|world: &mut World| {
    switched(world, 9, 5);
    world.instances.items[0].database = Some(Number(1));
}, &["mirror-deployment i-1"])]
#[case::instance_deploys(|world: &mut World| {
    switched(world, 9, 5);
    answer(world, 5, RolloutState::Running);
}, &[])]
#[case::instance_has_answered(|world: &mut World| {
    switched(world, 9, 5);
    answer(world, 5, RolloutState::Done);
}, &["delete-old-database hatchery-dev-1"])]
#[case::instance_failed(|world: &mut World| {
    switched(world, 9, 59);
    answer(world, 59, RolloutState::Failed);
}, &[])]
#[case::instance_failed_an_hour_ago(|world: &mut World| {
    switched(world, 9, 60);
    answer(world, 60, RolloutState::Failed);
}, &["delete-old-database hatchery-dev-1"])]
#[case::answer_to_an_earlier_request(|world: &mut World| {
    switched(world, 9, 5);
    answer(world, 6, RolloutState::Done);
}, &[])]
#[case::new_database_busy(|world: &mut World| {
    switched(world, 9, 5);
    answer(world, 5, RolloutState::Done);
    set_status(world, 2, "maintenance", true);
}, &[])]
#[case::old_database_gone(|world: &mut World| {
    switched(world, 9, 5);
    answer(world, 5, RolloutState::Done);
    world.databases.items.remove(0);
}, &[])]
#[case::new_database_gone(|world: &mut World| {
    switched(world, 9, 65);
    world.databases.items.pop();
}, &["mark-orphan dev-1"])]
#[case::superseded(|world: &mut World| {
    world.records.items.push(replacement(8, 20));
    world.databases.items.push(bound(8));
    switched(world, 8, 5);
    answer(world, 5, RolloutState::Done);
    world.databases.items.remove(0);
}, &["end-replacement hatchery-dev-9"])]
#[case::used_although_ended(|world: &mut World| {
    switched(world, 9, 5);
    ending(&mut world.records.items[1], 30);
}, &["keep-replacement hatchery-dev-9"])]
#[case::used_and_environment_ending(|world: &mut World| {
    switched(world, 9, 5);
    ending(&mut world.records.items[1], 30);
    ending(&mut world.records.items[0], 31);
    world.instances.items.clear();
    world.databases.items.remove(0);
}, &["delete-database hatchery-dev-9", "delete-record dev-1"])]
#[case::tag_names_the_database_of_another(|world: &mut World| {
    world.records.items[0].database = Some(Number(7));
    world.records.items.push(record(7));
    world.instances.items.push(Instance { expires_at: record(7).expires_at, ..instance(7) });
    world.databases.items.push(claimed_database(7));
}, &[])]
#[case::tag_of_database_lost(|world: &mut World| world.records.items[0].database = None, &[])]
#[case::record_of_used_database_gone(|world: &mut World| {
    switched(world, 9, 65);
    world.records.items.pop();
}, &[])]
#[case::used_database_lost_its_tags(|world: &mut World| {
    switched(world, 9, 5);
    world.databases.items[2].environment = None;
}, &["claim-database hatchery-dev-9"])]
fn reset_in_each_state(#[case] change: fn(&mut World), #[case] expected: &[&str]) {
    let mut world = resetting();
    change(&mut world);
    let steps: Vec<_> =
        actions(&planned(&world)).into_iter().map(|(action, target)| format!("{action} {target}")).collect();
    assert_eq!(steps, expected);
}

fn set_status(world: &mut World, index: usize, status: &str, was_usable: bool) {
    let database = &mut world.databases.items[index];
    database.status = status.into();
    if !was_usable {
        (database.created_at, database.endpoint) = (None, None);
        database.requested_at = Some(minutes_ago(30));
    }
}

fn no_environment(world: &mut World, marked: Option<i64>) {
    world.records.items.remove(0);
    world.instances.items.clear();
    world.databases.items.remove(0);
    world.records.items[0].orphan_since = marked.map(minutes_ago);
}

#[test]
fn incomplete_listing_neither_switches_nor_deletes() {
    for number in [1, 9] {
        let mut world = resetting();
        if number == 9 {
            switched(&mut world, 9, 65);
        }
        world.records.complete = false;
        assert_eq!(actions(&planned(&world)), []);
    }
}

/// The number of an environment stays taken, and counts as no database once it has none any more.
#[test]
fn replaced_number_leaves_room_for_another_database() {
    let mut world = resetting();
    switched(&mut world, 9, 5);
    world.databases.items.remove(0);
    world.fleet.policy.max_databases = 3;
    world.fleet.policy.spare = Spare::Fixed(2);
    assert_eq!(actions(&planned(&world)), [("create-database", "hatchery-dev-21".to_owned())]);
    world.records.items[0].database = Some(Number(1));
    world.records.items.pop();
    world.databases.items.pop();
    world.instances.items[0].database = Some(Number(1));
    world.records.items.push(record(5));
    assert!(actions(&planned(&world)).iter().all(|(action, _)| *action != "create-database"));
}

/// The reason is on the record of the reset, which stays until its database is deleted.
#[test]
fn failed_reset_is_a_problem_of_its_environment() {
    let mut world = resetting();
    let problems = |world: &World| {
        let environments = hatchery::domain::Environment::all(world, now());
        environments.iter().find(|found| found.record.number() == Number(1)).unwrap().problems()
    };
    assert_eq!(problems(&world), [""; 0]);
    let reason = "the new database hatchery-dev-9 is incompatible-network";
    world.records.items[1].failure = Some(LaunchFailure { at: now(), reason: reason.into() });
    ending(&mut world.records.items[1], 0);
    assert_eq!(problems(&world), [format!("its reset failed: {reason}; it keeps the database that it has")]);
}
