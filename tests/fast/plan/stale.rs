//! Stale databases: they stay for launches until fresh ones are free, unless the pool has enough of them, or they take the room of fresh ones.

use super::*;

/// A pool of this many stale databases, for a target of two.
fn stale_pool(count: u32) -> World {
    let mut world = empty_world();
    world.fleet.policy.spare = Spare::Fixed(2);
    world.fleet.policy.last_number = Number(count);
    for number in 1..=count {
        let age = 3 * 24 * 60 - i64::from(number);
        world.databases.items.push(Database { snapshot_at: Some(minutes_ago(age)), ..database(number) });
    }
    world
}

fn retired(world: &World) -> Vec<String> {
    let actions = actions(&planned(world));
    actions.into_iter().filter(|(action, _)| *action == "retire-database").map(|(_, target)| target).collect()
}

#[test]
fn stale_database_is_retired_once_replaced() {
    let mut world = stale_pool(1);
    world.fleet.policy.spare = Spare::Fixed(1);
    assert_eq!(actions(&planned(&world)), [("create-database", "hatchery-dev-2".to_owned())]);
    let mut creating = database(2);
    creating.status = "creating".into();
    creating.endpoint = None;
    creating.requested_at = Some(minutes_ago(5));
    world.databases.items.push(creating);
    world.fleet.policy.last_number = Number(2);
    assert_eq!(actions(&planned(&world)), []);
    world.databases.items[1] = database(2);
    assert_eq!(actions(&planned(&world)), [("retire-database", "hatchery-dev-1".to_owned())]);
}

#[test]
fn stale_databases_beyond_the_target_are_retired_at_once() {
    let world = stale_pool(5);
    assert_eq!(retired(&world), ["hatchery-dev-1", "hatchery-dev-2", "hatchery-dev-3"], "the oldest go");
    let mut world = stale_pool(5);
    world.databases.items.push(database(6));
    assert_eq!(retired(&world).len(), 4, "two are left with the fresh one");
}

/// Otherwise the stale ones wait for fresh ones, and these for room.
#[test]
fn ceiling_is_no_deadlock_of_stale_databases() {
    let mut world = stale_pool(2);
    world.fleet.policy.max_databases = 2;
    assert_eq!(retired(&world), ["hatchery-dev-1"], "one at a time");
    world.databases.items[0].status = "deleting".into();
    assert_eq!(retired(&world), [""; 0], "its deletion makes room");
    world.databases.items[0].status = "available".into();
    world.fleet.policy.restore_failures = RestoreFailures::default().with(Number(9), minutes_ago(0));
    assert_eq!(retired(&world), [""; 0], "the restore waits for something else");
}

/// Engines of two versions may digest the settings differently. Each would replace the databases of the other, and so for ever.
#[test]
fn databases_of_another_version_are_not_stale() {
    let mut world = stale_pool(0);
    let own = world.fleet.policy.database_settings();
    for (number, settings) in [(1, own.as_str()), (2, "999-0123456789abcdef")] {
        let settings = Some(settings.into());
        world.databases.items.push(Database { settings, ..database(number) });
    }
    world.fleet.policy.last_number = Number(2);
    assert_eq!(actions(&planned(&world)), []);
    // A database of other settings in the same version is replaced.
    world.databases.items[1].settings = Some(format!("{own}0").as_str().into());
    assert_eq!(actions(&planned(&world)), [("create-database", "hatchery-dev-3".to_owned())]);
}
