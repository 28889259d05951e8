//! What whole worlds cost, and what is wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::worlds::*;
use hatchery::domain::cost::{self, Cost};
use hatchery::domain::health::{Level, verdicts};
use hatchery::domain::policy::{Problem, Scope};
use hatchery::domain::record::{LaunchFailure, Termination};
use hatchery::domain::{
    CloudError, Environment, ErrorClass, InstanceState, Number, Pipeline, PipelineKind, Record, RecordKind,
    Run, RunState, StepFailure, Unreadable, UnreadableKind, World,
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
fn engine_that_does_not_run_is_reported() {
    let ran =
        |minutes| move |world: &mut World| world.fleet.last_pass.as_mut().unwrap().at = minutes_ago(minutes);
    assert_verdict(ran(40), Level::Warning, "no-engine");
    assert_no_verdict(ran(39));
    let mut world = of_size(1);
    ran(65)(&mut world);
    assert_eq!(
        messages(&world),
        [
            "no engine has run for 1h 5m; the last one was engine@schedule; start one with: hatchery engine, or check the schedule with: \
          hatchery doctor"
        ]
    );
    assert_verdict(|world| world.fleet.last_pass = None, Level::Info, "no-engine");
    // A new fleet.
    let mut new = World { fleet: world.fleet.clone(), ..empty() };
    new.fleet.last_pass = None;
    assert!(verdicts_of(&new).iter().all(|(_, code)| code != "no-engine"));
    // Engines of a paused fleet only observe.
    world.fleet.policy.paused = true;
    assert_eq!(verdicts_of(&world), [(Level::Warning, "paused".to_owned())]);
}

fn messages(world: &World) -> Vec<String> {
    verdicts(world, now()).into_iter().map(|verdict| verdict.message).collect()
}

fn refused(action: &str, minutes: i64) -> StepFailure {
    let quota = CloudError::new(ErrorClass::Quota, "RestoreDBInstance", "InstanceQuotaExceeded", "no more");
    StepFailure::after(None, action, &quota, minutes_ago(minutes))
}

#[test]
fn failing_steps_are_reported_in_the_words_of_aws() {
    let words = "RestoreDBInstance: no more (InstanceQuotaExceeded) (once since 2026-03-02 11:59:30 UTC, next try at 12:00:30 UTC)";
    let fresh = |action: &str| {
        let at = now() - chrono::TimeDelta::seconds(30);
        Some(StepFailure { since: at, last: at, ..refused(action, 0) })
    };
    let mut world = of_size(1);
    world.fleet.failed_step = fresh("create-database");
    world.records.items[0].failed_step = fresh("launch-instance");
    world.databases.items[1].failed_step = fresh("start-database");
    world.instances.items[0].failed_step = fresh("terminate-instance");
    assert_eq!(
        verdicts_of(&world),
        ["restore-refused", "step-failing", "step-failing", "step-failing"]
            .map(|code| (Level::Warning, code.to_owned()))
    );
    let all = "correct the cause, see all tries with: hatchery activity --since 24h";
    assert_eq!(
        messages(&world),
        [
            format!(
                "AWS refuses to restore databases for the pool: {words}; correct the cause, see the settings with: hatchery fleet show"
            ),
            format!("AWS refuses launch-instance for dev-1: {words}; {all}"),
            format!("AWS refuses start-database for hatchery-dev-2: {words}; {all}"),
            format!("AWS refuses terminate-instance for dev-1: {words}; {all}"),
        ]
    );
    // Two hours after the next try, no engine has repeated it.
    assert_verdict(
        |world| world.fleet.failed_step = Some(refused("create-database", 120)),
        Level::Warning,
        "restore-refused",
    );
    assert_no_verdict(|world| {
        world.fleet.failed_step = Some(refused("create-database", 121));
        world.records.items[0].failed_step = Some(refused("launch-instance", 121));
        world.databases.items[1].failed_step = Some(refused("start-database", 121));
    });
}

#[test]
fn stopped_restores_have_the_command_that_resumes_them() {
    let failed = |count: u32| {
        move |world: &mut World| {
            let failures = &mut world.fleet.policy.restore_failures;
            *failures = (3..3 + count).fold(failures.clone(), |all, n| all.with(Number(n), minutes_ago(5)));
        }
    };
    assert_no_verdict(failed(4));
    let mut world = of_size(1);
    failed(5)(&mut world);
    assert_eq!(verdicts_of(&world), [(Level::Error, "restores-stopped".to_owned())]);
    let message = &messages(&world)[0];
    assert!(message.starts_with("5 restores failed in a row (hatchery-dev-3, "), "{message}");
    assert!(message.contains("--source-identifier hatchery-dev-7 "), "{message}");
    assert!(message.ends_with("resume with: hatchery fleet set restore-failures="), "{message}");
}

#[rstest]
#[case::expired(|record: &mut Record, ended| record.expires_at = Some(ended - Duration::from_mins(15)))]
#[case::failed(|record: &mut Record, ended| {
    record.failure = Some(LaunchFailure { at: ended - Duration::from_mins(15), reason: "no room".into() });
})]
#[case::terminated(|record: &mut Record, ended| record.terminate = Some(Termination { at: ended, by: "amy".into() }))]
fn environment_that_does_not_end_is_reported(#[case] end: fn(&mut Record, chrono::DateTime<chrono::Utc>)) {
    let ended = |minutes| {
        move |world: &mut World| {
            world.fleet.policy.grace = Duration::from_mins(15);
            end(&mut world.records.items[0], minutes_ago(minutes));
        }
    };
    assert_verdict(ended(30), Level::Warning, "reaping-late");
    assert_no_verdict(ended(29));
}

/// What hangs in its deletion is named with its age and AWS's words: an environment, and a database that leaves the pool.
#[test]
fn deletion_that_hangs_is_reported_with_its_age() {
    let mut world = of_size(1);
    world.records.items[0].terminate = Some(Termination { at: minutes_ago(95), by: "amy".into() });
    world.databases.items[1].status = "deleting".into();
    let mut retirement = Record { kind: RecordKind::Retirement, ..record(2) };
    (retirement.expires_at, retirement.instance) = (None, None);
    retirement.terminate = Some(Termination { at: minutes_ago(130), by: "engine".into() });
    retirement.failed_step = Some(refused("delete-database", 1));
    world.records.items.push(retirement);
    let late: Vec<_> =
        verdicts(&world, now()).into_iter().filter(|verdict| verdict.code == "reaping-late").collect();
    let [environment, database] = &late[..] else { panic!("{:?}", verdicts(&world, now())) };
    assert!(
        environment.message.starts_with("dev-1 of amy was to end 1h 35m ago and still stands; "),
        "{environment:?}"
    );
    assert!(
        database.message.starts_with("hatchery-dev-2 was to be deleted 2h 10m ago and is deleting; "),
        "{database:?}"
    );
    let words = "AWS refuses delete-database for dev-2: RestoreDBInstance: no more (InstanceQuotaExceeded) (once since ";
    assert!(messages(&world).iter().any(|message| message.starts_with(words)), "{:?}", messages(&world));
    // Once RDS has deleted it, its record is what is left.
    world.databases.items.pop();
    assert!(
        messages(&world).iter().any(|message| message
            .starts_with("hatchery-dev-2 was to be deleted 2h 10m ago and its record still stands; ")),
        "{:?}",
        messages(&world)
    );
}

#[test]
fn launch_without_an_instance_is_reported() {
    let launched = |minutes| {
        move |world: &mut World| {
            world.instances.items.clear();
            let record = &mut world.records.items[0];
            (record.instance, record.created_at) = (None, minutes_ago(minutes));
        }
    };
    assert_verdict(launched(30), Level::Warning, "launch-stuck");
    assert_no_verdict(launched(29));
    // A listing that failed proves nothing.
    assert_no_verdict(|world| {
        launched(30)(world);
        world.instances.complete = false;
    });
}

#[test]
fn unusable_database_is_reported_after_an_hour() {
    let stopped = |minutes| {
        move |world: &mut World| {
            world.databases.items[1].status = "upgrading".into();
            world.databases.items[1].unusable_since = Some(minutes_ago(minutes));
        }
    };
    assert_verdict(stopped(60), Level::Warning, "database-unusable");
    let mut world = of_size(1);
    stopped(59)(&mut world);
    assert!(verdicts_of(&world).iter().all(|(_, code)| code != "database-unusable"));
}

#[test]
fn unreadable_resource_is_reported_with_the_command_that_restores_it() {
    let found = |kind, id: &str| Unreadable { kind, id: id.into(), number: Number(9), lost: BTreeMap::new() };
    let mut world = of_size(1);
    world.records.unreadable.push(found(UnreadableKind::Record, "lt-9"));
    world.databases.unreadable.push(found(UnreadableKind::Database, "hatchery-dev-9"));
    assert!(verdicts_of(&world).iter().all(|verdict| *verdict == (Level::Warning, "unreadable".to_owned())));
    let [record, database] = &messages(&world)[..] else { panic!("{world:?}") };
    assert!(
        record.ends_with("aws ec2 create-tags --resources lt-9 --tags Key=hatchery:fleet,Value=dev Key=hatchery:role,Value=environment"),
        "{record}"
    );
    assert!(
        database.contains("aws rds add-tags-to-resource --resource-name $(aws rds describe-db-instances "),
        "{database}"
    );
    assert!(
        database.ends_with(" --tags Key=hatchery:fleet,Value=dev Key=hatchery:role,Value=pool"),
        "{database}"
    );
    let lost = [("hatchery:role".to_owned(), "pool".to_owned())].into();
    world.databases.unreadable[0].lost = lost;
    assert!(
        messages(&world)[1].ends_with("restore them with: hatchery engine --once"),
        "{:?}",
        messages(&world)
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
