//! What a world says of its listings and numbers.

use std::time::Duration;

use hatchery::domain::{CloudError, Environment, ErrorClass, InstanceState, Number, World};

use crate::support::worlds::*;

#[test]
fn world_is_as_old_as_its_oldest_listing() {
    let mut world = of_size(2);
    world.instances.as_of = Some(minutes_ago(3));
    assert_eq!((world.now(), world.age(now())), (Some(minutes_ago(3)), Some(Duration::from_mins(3))));
    assert_eq!(world.age(minutes_ago(5)), Some(Duration::ZERO));
    world.databases.as_of = None;
    assert_eq!((world.now(), world.age(now())), (None, None));
}

#[test]
fn world_names_incomplete_listings() {
    let mut world = of_size(1);
    assert!(world.is_complete() && world.incomplete().is_empty() && world.problems().next().is_none());
    for (number, part) in ["records", "instances", "databases"].into_iter().enumerate() {
        let mut world = world.clone();
        *[&mut world.records.complete, &mut world.instances.complete, &mut world.databases.complete]
            [number] = false;
        assert_eq!((world.is_complete(), world.incomplete()), (false, vec![part]));
    }
    let error = |code: &str| CloudError::new(ErrorClass::Transient, "Describe", code, "why\u{1b}[1m");
    world.records.problem = Some(error("1"));
    world.instances.problem = Some(error("2"));
    world.databases.problem = Some(error("3"));
    (world.snapshot, world.image) = (Err(error("4")), Err(error("5")));
    (world.subnets, world.launches) = (Err(error("6")), Err(error("7")));
    let codes: Vec<_> = world.problems().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(error("1").to_string(), "Describe: why (1)");
    assert!(error("1").is(ErrorClass::Transient) && !error("1").is(ErrorClass::Auth));
}

#[test]
fn next_number_is_unused() {
    let next = |change: fn(&mut World)| {
        let mut world = of_size(2);
        change(&mut world);
        world.next_number().0
    };
    assert_eq!(next(|_| ()), 4);
    assert_eq!(next(|world| world.databases.items.push(database(9))), 10);
    assert_eq!(next(|world| world.records.items.push(record(8))), 9);
    assert_eq!(next(|world| world.fleet.policy.last_number = Number(20)), 21);
    assert_eq!(of_size(2).record(&id(2)).unwrap().number(), Number(2));
    assert_eq!((&of_size(2).records).into_iter().count(), of_size(2).records.iter().count());
    assert_eq!(of_size(2).record(&id(3)), None);
    let unseen = World::new(of_size(1).fleet);
    assert!(!unseen.is_complete() && Environment::all(&unseen, now()).is_empty());
    assert_eq!(InstanceState::Pending.to_string(), "pending");
}
