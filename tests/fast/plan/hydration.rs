//! Databases whose volume is still loaded from the snapshot.

use super::*;
use hatchery::domain::{DatabaseState, Hydration, Pool};

fn loaded(number: u32, hydration: Hydration) -> Database {
    Database { hydration, loading_seen: hydration != Hydration::Unknown, ..database(number) }
}

fn pool_of(databases: Vec<Database>) -> World {
    let mut world = empty_world();
    world.fleet.policy.last_number = Number(9);
    world.fleet.policy.spare = Spare::Fixed(u32::try_from(databases.len()).unwrap());
    world.databases.items = databases.into_iter().collect();
    world
}

#[test]
fn first_report_of_loading_is_recorded() {
    let mut world = pool_of(vec![loaded(1, Hydration::Loading(3))]);
    world.databases.items[0].loading_seen = false;
    assert_eq!(actions(&planned(&world)), [("note-loading", "hatchery-dev-1".to_owned())]);
    world.databases.items[0].loading_seen = true;
    assert_eq!(actions(&planned(&world)), []);
}

#[test]
fn launches_claim_the_warmest() {
    let mut stale = database(1);
    stale.snapshot_at = Some(minutes_ago(3 * 24 * 60));
    let mut world = pool_of(vec![
        stale,
        loaded(2, Hydration::Loading(40)),
        loaded(3, Hydration::Loading(90)),
        loaded(4, Hydration::Complete),
        loaded(5, Hydration::Unknown),
        loaded(6, Hydration::Complete),
    ]);
    let claimable = |world: &World| -> Vec<u32> {
        Pool::new(world).claimable(now()).iter().map(|database| database.number.0).collect()
    };
    assert_eq!(claimable(&world), [4, 6, 5, 3, 2, 1]);
    // What is not free yet is claimed before a stale one.
    world.fleet.policy.free_from = 80;
    assert_eq!(claimable(&world), [4, 6, 5, 3, 2, 1]);
    let pool = Pool::new(&world);
    assert_eq!((pool.count(DatabaseState::Free), pool.count(DatabaseState::Creating)), (4, 1));
}

#[test]
fn database_that_is_loaded_counts_towards_the_target() {
    let mut world = pool_of(vec![loaded(1, Hydration::Loading(10))]);
    world.fleet.policy.free_from = 100;
    assert_eq!(actions(&planned(&world)), []);
    assert_eq!(Pool::new(&world).count(DatabaseState::Free), 0);
}
