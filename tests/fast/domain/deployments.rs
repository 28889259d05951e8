//! Deployments into environments that are ready: how they stand, what is copied to the instance, and how two environments compare.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use hatchery::domain::diff::{Comparison, diff};
use hatchery::domain::environment::deployment_to_mirror;
use hatchery::domain::tags::key;
use hatchery::domain::text::Untrusted;
use hatchery::domain::{
    Deployment, DeploymentState, Environment, EnvironmentState, InstanceState, Phase, Rollout, RolloutState,
    World,
};
use rstest::rstest;

use crate::support::builders::{self, now, world_with};

fn services<const N: usize>(services: [(&str, &str); N]) -> BTreeMap<Untrusted, Untrusted> {
    services.map(|(name, tag)| (name.into(), tag.into())).into()
}

/// A request of `amy` some minutes ago.
fn request(minutes: i64) -> Deployment {
    Deployment { at: now() - TimeDelta::minutes(minutes), by: "amy".into() }
}

fn answer(minutes: i64, state: RolloutState, detail: &str) -> Rollout {
    Rollout { request: request(minutes).at, state, detail: detail.into() }
}

/// A ready environment with a request some minutes ago and this answer.
fn world(minutes: i64, rollout: Rollout) -> World {
    let mut world = world_with(1);
    world.records.items[0].deployment = Some(request(minutes));
    world.instances.items[0].phase = Some(Phase::Ready);
    world.instances.items[0].rollout = Some(rollout);
    world
}

const SLOW: &str = "its instance has not answered the deployment that amy requested at ";

#[rstest]
#[case::not_begun(5, answer(60, RolloutState::Done, ""), DeploymentState::Requested, true, "")]
#[case::late(15, answer(60, RolloutState::Done, ""), DeploymentState::Requested, true, SLOW)]
#[case::of_a_later_request(5, answer(2, RolloutState::Done, ""), DeploymentState::Requested, true, "")]
#[case::running(20, answer(20, RolloutState::Running, "pulling"), DeploymentState::Running, true, "")]
#[case::hangs(90, answer(90, RolloutState::Running, "pulling"), DeploymentState::Running, true, SLOW)]
#[case::done(100, answer(100, RolloutState::Done, ""), DeploymentState::Done, false, "")]
#[case::failed(
    100,
    answer(100, RolloutState::Failed, "cannot pull payments:f-2"),
    DeploymentState::Failed,
    false,
    "the deployment that amy requested failed: cannot pull payments:f-2"
)]
#[case::failed_without_a_reason(
    1,
    answer(1, RolloutState::Failed, ""),
    DeploymentState::Failed,
    false,
    "the deployment that amy requested failed: no reason given"
)]
fn deployment_stands(
    #[case] minutes: i64,
    #[case] rollout: Rollout,
    #[case] state: DeploymentState,
    #[case] is_deploying: bool,
    #[case] problem: &str,
) {
    let world = world(minutes, rollout);
    let environment = &Environment::all(&world, now())[0];
    // A deployment never changes the state.
    assert_eq!(environment.state, EnvironmentState::Ready);
    assert_eq!(environment.deployment().map(|deployment| deployment.state), Some(state));
    assert_eq!(environment.is_deploying(), is_deploying);
    let problems = environment.problems().join("; ");
    assert!(problems.starts_with(problem) && problems.is_empty() == problem.is_empty(), "{problems}");
}

#[test]
fn deployment_of_a_stopped_instance_is_not_late() {
    let mut world = world(60, answer(90, RolloutState::Done, ""));
    world.instances.items[0].state = InstanceState::Stopped;
    let environment = &Environment::all(&world, now())[0];
    assert_eq!((environment.problems(), environment.is_deploying()), (Vec::<String>::new(), false));
}

#[test]
fn bootstrap_counts_before_the_first_readiness() {
    let mut world = world(60, answer(90, RolloutState::Done, ""));
    world.instances.items[0].phase = Some(Phase::Services);
    assert_eq!(Environment::all(&world, now())[0].deployment(), None);
}

#[test]
fn request_and_services_are_copied() {
    let mut record = builders::record(1);
    let mut instance = builders::instance(1);
    instance.services = services([("auth", "a-1"), ("payments", "f-1")]);
    instance.digests = services([("auth", "sha256:1"), ("payments", "sha256:2")]);
    record.services = services([("payments", "f-2"), ("search", "s-1")]);
    assert_eq!(deployment_to_mirror(&record, &instance, now()), None, "nothing was requested");

    record.deployment = Some(request(1));
    let changes = deployment_to_mirror(&record, &instance, now()).unwrap();
    let set: Vec<_> = changes.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        (key::DATABASE, "hatchery-dev-1".to_owned()),
        (key::DEPLOYMENT, request(1).to_tag()),
        ("hatchery:service.payments", "f-2".to_owned()),
        ("hatchery:service.search", "s-1".to_owned()),
    ];
    assert_eq!(set, expected.each_ref().map(|(key, value)| (*key, value.as_str())));
    let removed: Vec<_> = changes.remove.iter().map(String::as_str).collect();
    assert_eq!(removed, ["hatchery:digest.auth", "hatchery:service.auth"]);

    instance.deployment = Some(request(1));
    instance.services.clone_from(&record.services);
    assert_eq!(deployment_to_mirror(&record, &instance, now()), None);
    // A lost part of two requests at once.
    instance.services.remove(&"search".into());
    assert!(deployment_to_mirror(&record, &instance, now()).is_some());
}

#[rstest]
#[case::an_earlier_one(Some(4), true)]
#[case::a_later_one_that_a_stale_read_misses(Some(2), false)]
#[case::none(None, true)]
fn request_is_copied_over(#[case] copied: Option<i64>, #[case] is_copied: bool) {
    let mut record = builders::record(1);
    record.deployment = Some(request(3));
    let mut instance = builders::instance(1);
    instance.deployment = copied.map(request);
    assert_eq!(deployment_to_mirror(&record, &instance, now()).is_some(), is_copied);
    // After five minutes no read is so stale: the record's tags count.
    let later = now() + TimeDelta::minutes(4);
    assert!(deployment_to_mirror(&record, &instance, later).is_some());
}

#[test]
fn services_are_compared_by_digest_and_tag() {
    let mut world = world_with(2);
    let sides = [
        [
            ("a", "1", "x"),
            ("b", "1", "x"),
            ("c", "1", "x"),
            ("d", "1", ""),
            ("e", "1", ""),
            ("only-first", "1", ""),
        ],
        [
            ("a", "1", "x"),
            ("b", "1", "y"),
            ("c", "2", "x"),
            ("d", "1", "y"),
            ("e", "2", "y"),
            ("only-second", "1", ""),
        ],
    ];
    for (index, side) in sides.iter().enumerate() {
        world.records.items[index].services = side.map(|(name, tag, _)| (name.into(), tag.into())).into();
        let digests = side.iter().filter(|(_, _, digest)| !digest.is_empty());
        world.instances.items[index].digests =
            digests.map(|(name, _, digest)| ((*name).into(), (*digest).into())).collect();
    }
    let environments = Environment::all(&world, now());
    let found: Vec<_> = diff(&environments[0], &environments[1])
        .iter()
        .map(|service| (service.service.raw().to_owned(), service.comparison))
        .collect();
    let expected = [
        ("a", Comparison::Equal),
        // The tag has moved between the two launches.
        ("b", Comparison::Different),
        ("c", Comparison::Equal),
        ("d", Comparison::Equal),
        ("e", Comparison::Different),
        ("only-first", Comparison::OnlyFirst),
        ("only-second", Comparison::OnlySecond),
    ];
    assert_eq!(found, expected.map(|(name, comparison)| (name.to_owned(), comparison)));
}
