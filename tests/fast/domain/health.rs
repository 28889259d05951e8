//! What whole worlds cost, and what is wrong with them.

use crate::support::worlds::*;
use hatchery::domain::cost::{self, Cost};
use hatchery::domain::health::{Level, verdicts};
use hatchery::domain::policy::{Problem, Scope};
use hatchery::domain::{
    CloudError, Environment, ErrorClass, InstanceState, Pipeline, PipelineKind, Run, RunState, World,
};
use rstest::rstest;

/// One environment that was launched two hours ago, and a spare; an instance costs a dollar, a database half of one.
fn priced() -> World {
    let mut world = of_size(1);
    world.fleet.policy.price_instance = Some(1.0);
    world.fleet.policy.price_database = Some(0.5);
    world.records.items[0].created_at = minutes_ago(120);
    world.instances.items[0].launched_at = minutes_ago(120);
    world
}

fn cost_of(world: &World) -> Option<Cost> {
    cost::of_environment(&Environment::all(world, now())[0], &world.fleet.policy, now())
}

#[test]
fn cost_is_the_sum_of_instance_and_database() {
    let mut world = priced();
    assert_eq!(cost_of(&world), Some(Cost { per_hour: 1.5, accrued: 3.0 }));
    assert_eq!(cost::of_fleet(&world), Some(2.0), "the spare costs too");

    // What has been spent stays spent.
    world.instances.items[0].state = InstanceState::ShuttingDown;
    assert_eq!(cost_of(&world), Some(Cost { per_hour: 0.5, accrued: 3.0 }));
    assert_eq!(cost::of_fleet(&world), Some(1.0));

    world.fleet.policy.price_instance = None;
    assert_eq!(cost_of(&world), Some(Cost { per_hour: 0.5, accrued: 1.0 }));
    assert_eq!(cost::of_fleet(&world), Some(1.0));
}

#[test]
fn cost_is_unknown_without_prices() {
    let mut world = priced();
    (world.fleet.policy.price_instance, world.fleet.policy.price_database) = (None, None);
    assert_eq!((cost_of(&world), cost::of_fleet(&world)), (None, None));
}

fn verdicts_of(world: &World) -> Vec<(Level, String)> {
    verdicts(world, now()).into_iter().map(|verdict| (verdict.level, verdict.code)).collect()
}

#[track_caller]
fn assert_verdict(change: impl FnOnce(&mut World), level: Level, code: &str) {
    let mut world = of_size(1);
    assert_eq!(verdicts_of(&world), [], "a fleet at rest is well");
    change(&mut world);
    assert!(verdicts_of(&world).contains(&(level, code.to_owned())), "{code}: {:?}", verdicts(&world, now()));
}

fn service_runs(states: &[RunState]) -> Vec<Pipeline> {
    vec![pipeline(PipelineKind::Service, states)]
}

fn pipeline(kind: PipelineKind, states: &[RunState]) -> Pipeline {
    let run = |&state: &RunState| Run {
        version: "1.0.0/1".into(),
        state,
        reason: None,
        started_at: minutes_ago(600),
        image: None,
    };
    Pipeline { kind, enabled: true, schedule: None, runs: states.iter().map(run).collect() }
}

#[rstest]
#[case::nothing_built(&[], &[], "build the base image with: hatchery images bake base")]
#[case::base_failed(&[RunState::Failed], &[], "build the base image with: hatchery images bake base")]
#[case::base_runs(&[RunState::Testing], &[], "the base image 1.0.0/1 is testing; see its progress with: hatchery images")]
#[case::base_built(&[RunState::Available], &[], "build the service image with: hatchery images bake service")]
#[case::service_runs(
    &[RunState::Available],
    &[RunState::Building],
    "the service image 1.0.0/1 is building; see its progress with: hatchery images"
)]
fn missing_image_has_the_next_step(
    #[case] base: &[RunState],
    #[case] service: &[RunState],
    #[case] next_step: &str,
) {
    let pipelines = vec![pipeline(PipelineKind::Base, base), pipeline(PipelineKind::Service, service)];
    assert_missing_image_message_ends_with(pipelines, next_step);
}

#[test]
fn missing_image_without_pipelines_has_the_next_step() {
    assert_missing_image_message_ends_with(vec![], "tag one, or deploy the pipelines of: hatchery stack");
}

#[track_caller]
fn assert_missing_image_message_ends_with(pipelines: Vec<Pipeline>, next_step: &str) {
    let world = World { image: Ok(None), pipelines: Ok(pipelines), ..of_size(1) };
    let verdicts = verdicts(&world, now());
    let missing = verdicts.iter().find(|verdict| verdict.code == "no-image").unwrap();
    assert!(missing.message.ends_with(&format!("; {next_step}")), "{}", missing.message);
}

#[rstest]
#[case::failed(&[RunState::Failed, RunState::Available], true)]
#[case::failed_before_a_running_one(&[RunState::Testing, RunState::Cancelled, RunState::Failed], true)]
#[case::repaired(&[RunState::Available, RunState::Failed], false)]
#[case::none(&[], false)]
fn last_failed_image_has_a_verdict(#[case] states: &[RunState], #[case] expected: bool) {
    let world = World { pipelines: Ok(service_runs(states)), ..of_size(1) };
    let verdicts = verdicts(&world, now());
    assert_eq!(verdicts.iter().any(|verdict| verdict.code == "image-failed"), expected, "{verdicts:?}");
}

#[test]
fn each_problem_has_a_verdict() {
    assert_verdict(
        |world| world.fleet.problems.push(Problem::new(Scope::Launches, "setting ttl is odd")),
        Level::Error,
        "policy",
    );
    assert_verdict(|world| world.fleet.policy.paused = true, Level::Warning, "paused");
    assert_verdict(|world| world.snapshot = Ok(None), Level::Error, "no-snapshot");
    assert_verdict(|world| world.image = Ok(None), Level::Error, "no-image");
    let age = |minutes| {
        move |world: &mut World| {
            world.snapshot.as_mut().unwrap().as_mut().unwrap().created_at = minutes_ago(minutes);
        }
    };
    assert_verdict(age(48 * 60), Level::Warning, "snapshot-old");
    let age = |minutes| {
        move |world: &mut World| {
            world.image.as_mut().unwrap().as_mut().unwrap().created_at = minutes_ago(minutes);
        }
    };
    assert_verdict(age(72 * 60), Level::Warning, "image-old");
    let denied = CloudError::new(ErrorClass::Auth, "ListImagePipelines", "AccessDenied", "not authorized");
    assert_verdict(|world| world.pipelines = Err(denied.clone()), Level::Info, "image-pipelines");
    assert_verdict(|world| drop(world.databases.items.pop()), Level::Error, "pool-empty");
    assert_verdict(|world| world.databases.items[1].status = "creating".into(), Level::Warning, "pool-low");
    assert_verdict(
        |world| world.databases.items[1].status = "failed".into(),
        Level::Warning,
        "restore-failed",
    );
    assert_verdict(
        |world| {
            world.databases.items.pop();
            world.fleet.policy.max_databases = 1;
        },
        Level::Error,
        "ceiling",
    );
}

#[test]
fn failed_listing_is_reported_by_cause() {
    for (class, level, code) in [
        (ErrorClass::Throttled, Level::Warning, "throttled"),
        (ErrorClass::Auth, Level::Error, "auth"),
        (ErrorClass::Transient, Level::Warning, "incomplete"),
    ] {
        let problem = CloudError::new(class, "DescribeInstances", "Code", "why");
        assert_verdict(|world| world.instances.problem = Some(problem), level, code);
    }
}

#[test]
fn verdicts_are_sorted_by_severity() {
    let mut world = of_size(1);
    world.fleet.policy.paused = true;
    world.image = Ok(None);
    assert!(verdicts_of(&world).is_sorted_by_key(|(level, _)| std::cmp::Reverse(*level)));
    assert_eq!(verdicts_of(&world)[0].0, Level::Error);
}

#[track_caller]
fn assert_no_verdict(change: impl FnOnce(&mut World)) {
    let mut world = of_size(1);
    change(&mut world);
    assert_eq!(verdicts_of(&world), []);
}

#[test]
fn limits_of_age_are_exclusive() {
    let snapshot = |world: &mut World, minutes| {
        world.snapshot.as_mut().unwrap().as_mut().unwrap().created_at = minutes_ago(minutes);
    };
    let image = |world: &mut World, minutes| {
        world.image.as_mut().unwrap().as_mut().unwrap().created_at = minutes_ago(minutes);
    };
    assert_no_verdict(|world| {
        snapshot(world, 48 * 60 - 1);
        image(world, 72 * 60 - 1);
        // With it the pool's own is as old.
        world.databases.items[1].snapshot_at = Some(minutes_ago(48 * 60 - 1));
    });
    let mut world = of_size(1);
    snapshot(&mut world, 50 * 60);
    image(&mut world, 100 * 60);
    let messages: Vec<_> = verdicts(&world, now()).into_iter().map(|verdict| verdict.message).collect();
    assert_eq!(
        messages,
        [
            "the latest snapshot is 2 days old; check the backups of integration",
            "the latest image is 4 days old; see: hatchery images",
        ]
    );
}

#[test]
fn incomplete_listing_reports_nothing_missing() {
    assert_no_verdict(|world| {
        (world.snapshot, world.image) = (Ok(None), Ok(None));
        world.databases.items.clear();
        world.databases.complete = false;
    });
}

#[test]
fn low_pool_is_reported_with_its_numbers() {
    let pool = |statuses: &[&str]| {
        let mut world = of_size(1);
        world.fleet.policy.spare = hatchery::domain::Spare::Fixed(2);
        world.databases.items.pop();
        for (number, status) in (2..).zip(statuses) {
            let mut database = database(number);
            database.status = (*status).into();
            world.databases.items.push(database);
        }
        verdicts(&world, now())
            .into_iter()
            .map(|verdict| (verdict.level, verdict.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(pool(&["available", "available"]), []);
    assert_eq!(
        pool(&["available", "creating"]),
        [(Level::Info, "1 of 2 databases are free; 1 being restored".to_owned())]
    );
    assert_eq!(
        pool(&["creating", "creating"]),
        [(Level::Warning, "no database is free; 2 being restored".to_owned())]
    );
    assert_eq!(
        pool(&[]),
        [(
            Level::Error,
            "no database is free or being restored, so launches wait; fill the pool with: hatchery engine --once".to_owned()
        )]
    );
    assert_eq!(
        pool(&["available", "available", "failed"]),
        [(Level::Warning, "1 restores failed; the engine replaces them".to_owned())]
    );
}

#[test]
fn ceiling_is_reported_only_if_it_limits() {
    assert_no_verdict(|world| world.fleet.policy.max_databases = 2);
    // The one that is missing is on its way.
    assert_verdict(
        |world| {
            world.fleet.policy.max_databases = 2;
            world.databases.items[1].status = "creating".into();
        },
        Level::Warning,
        "pool-low",
    );
    let mut world = of_size(1);
    world.fleet.policy.max_databases = 2;
    world.databases.items[1].status = "creating".into();
    assert!(verdicts_of(&world).iter().all(|(_, code)| code != "ceiling"));
    world.databases.items[1].environment = Some(id(2));
    assert!(verdicts_of(&world).iter().any(|(_, code)| code == "ceiling"));
    world.fleet.policy.max_databases = 3;
    assert!(verdicts_of(&world).iter().all(|(_, code)| code != "ceiling"));
}
