//! The figures of a pass.

use std::sync::Arc;

use hatchery::domain::metrics::{FleetMetrics, Metrics};
use hatchery::domain::{CloudError, ErrorClass, Launch, Launches, RecordKind, World};

use crate::support::worlds::*;

fn fleet_of(world: &World) -> FleetMetrics {
    Metrics::new(world, Some(now())).fleet.unwrap()
}

#[test]
fn figures_are_those_of_the_world() {
    let mut world = of_size(2);
    let mut creating = database(4);
    creating.status = "creating".into();
    creating.created_at = None;
    world.databases.items.push(creating);
    let expected = FleetMetrics {
        free: 1,
        creating: 1,
        busy: 0,
        claimed: 2,
        failed: 0,
        target: 1,
        environments: 2,
        overdue: 0,
        restore: Some(900),
        hits: None,
        warm_hits: None,
        last_pass: Some(300),
    };
    assert_eq!(fleet_of(&world), expected);
}

#[test]
fn oldest_overdue_environment_counts() {
    let mut world = of_size(3);
    let grace = chrono::TimeDelta::from_std(world.fleet.policy.grace).unwrap();
    world.records.items[0].expires_at = Some(minutes_ago(10) - grace);
    world.records.items[1].expires_at = Some(minutes_ago(25) - grace);
    // Retirements are no environments.
    world.records.items[2].kind = RecordKind::Retirement;
    world.records.items[2].expires_at = Some(minutes_ago(900));
    let fleet = fleet_of(&world);
    assert_eq!((fleet.overdue, fleet.environments), (25 * 60, 2));
}

#[test]
fn launches_of_a_day_are_hits_or_misses() {
    let mut world = of_size(1);
    let launch = |minutes, restore| Launch { at: minutes_ago(minutes), restore, loaded: Some(100) };
    let restore = Some(std::time::Duration::from_mins(15));
    let half = Launch { loaded: Some(50), ..launch(5, restore) };
    let launches =
        vec![half, launch(10, restore), launch(20, None), launch(1_439, restore), launch(1_440, restore)];
    world.launches = Ok(Some(Arc::new(Launches::new(minutes_ago(9_000), now(), launches))));
    let fleet = fleet_of(&world);
    assert_eq!((fleet.hits, fleet.warm_hits), (Some((3, 1)), Some(2)));
}

#[test]
fn incomplete_pass_measures_no_fleet() {
    let mut world = of_size(1);
    assert!(Metrics::new(&world, Some(now())).is_complete);
    // An engine that may only observe makes no plan.
    let observed = Metrics::new(&world, None);
    assert_eq!((observed.is_complete, observed.fleet.is_some()), (false, true));
    world.instances.complete = false;
    world.instances.problem =
        Some(CloudError::new(ErrorClass::Throttled, "DescribeInstances", "RequestLimitExceeded", "too many"));
    let metrics = Metrics::new(&world, Some(now()));
    assert_eq!((metrics.is_complete, metrics.throttled, metrics.fleet), (false, 1, None));
}
