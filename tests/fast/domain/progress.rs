//! How far things have come, and how long they will still take.

use std::time::Duration;

use hatchery::domain::progress::{Estimates, Progress};
use hatchery::domain::{Environment, Phase, World};

use crate::support::worlds::*;

const USUAL: [u64; 6] = [0, 26, 30, 90, 136, 240];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An environment whose instance was launched a minute after its record was written, so long ago, in this phase.
fn starting(launched: u64, phase: Option<Phase>) -> World {
    let mut world = of_size(1);
    world.records.items[0].created_at = now() - seconds(launched + 60);
    let instance = &mut world.instances.items[0];
    (instance.launched_at, instance.phase) = (now() - seconds(launched), phase);
    world
}

fn progress(world: &World) -> Progress {
    Estimates::default().environment(&Environment::all(world, now())[0], now()).unwrap()
}

#[track_caller]
fn assert_progress(world: &World, elapsed: u64, remaining: u64) {
    let found = progress(world);
    assert_eq!(found.remaining, Some(seconds(remaining)));
    #[allow(clippy::cast_precision_loss)]
    let ratio = elapsed as f64 / (elapsed + remaining) as f64;
    assert!((found.ratio - ratio).abs() < 1e-9, "{} is not {ratio}", found.ratio);
}

#[test]
fn defaults_are_the_published_figures() {
    let usual = Estimates::default();
    assert_eq!(usual.phases, USUAL.map(seconds));
    assert_eq!(usual.restore, Duration::from_mins(15));
    assert_eq!(Estimates::learn(&empty()), usual);
}

#[test]
fn estimates_are_medians_of_ready_instances() {
    let mut world = of_size(6);
    for (instance, factor) in world.instances.items.iter_mut().zip([3, 1, 2, 4, 2, 9]) {
        instance.timeline = Phase::PATH.into_iter().zip(USUAL.map(|at| at * factor)).collect();
    }
    // The last one is not ready, and says nothing.
    world.instances.items[5].timeline.remove(&Phase::Ready);
    for (database, minutes) in world.databases.items.iter_mut().zip([10, 30, 20, 40, 15, 0, 0]) {
        database.created_at = database.requested_at.map(|at| at + Duration::from_mins(minutes));
    }
    let learnt = Estimates::learn(&world);
    assert_eq!(learnt.phases, USUAL.map(|at| seconds(at * 2)));
    assert_eq!(learnt.restore, Duration::from_mins(20));
}

#[test]
fn progress_follows_the_phase() {
    assert_progress(&starting(10, None), 70, 230);
    assert_progress(&starting(10, Some(Phase::Booting)), 70, 230);
    assert_progress(&starting(28, Some(Phase::Database)), 88, 2 + 210);
    assert_progress(&starting(50, Some(Phase::Images)), 110, 40 + 150);
    // It is ahead of its time, or late: the rest of its path is still to go.
    assert_progress(&starting(40, Some(Phase::Services)), 100, 104);
    assert_progress(&starting(200, Some(Phase::Images)), 260, 150);
    let mut alone = starting(10, None);
    alone.instances.items.clear();
    assert_progress(&alone, 70, 240);
}

#[test]
fn progress_includes_the_restore() {
    let mut world = starting(30, Some(Phase::Database));
    let database = &mut world.databases.items[0];
    (database.status, database.requested_at) = ("creating".into(), Some(minutes_ago(5)));
    assert_progress(&world, 90, 600 + 240 - 26);
    // One that is late may come at any moment.
    world.databases.items[0].requested_at = Some(minutes_ago(20));
    assert_progress(&world, 90, 240 - 26);
}

#[test]
fn finished_and_failed_have_no_progress() {
    let usual = Estimates::default();
    let world = of_size(1);
    assert_eq!(usual.environment(&Environment::all(&world, now())[0], now()), None);
    assert_eq!(usual.database(&database(1), now()), None);
    let mut unknown = database(1);
    (unknown.status, unknown.requested_at) = ("creating".into(), None);
    assert_eq!(usual.database(&unknown, now()), None);
}

#[test]
fn database_progress_uses_the_median_restore() {
    let usual = Estimates::default();
    let after = |minutes| {
        let mut database = database(1);
        (database.status, database.requested_at) = ("creating".into(), Some(minutes_ago(minutes)));
        usual.database(&database, now()).unwrap()
    };
    assert_eq!(after(3), Progress { ratio: 0.2, remaining: Some(Duration::from_mins(12)) });
    assert_eq!(after(-3), Progress { ratio: 0.0, remaining: Some(Duration::from_mins(15)) });
    // It never says that it is done before it is.
    assert_eq!(after(15), Progress { ratio: 0.97, remaining: None });
    assert_eq!(after(40), Progress { ratio: 0.97, remaining: None });
}
