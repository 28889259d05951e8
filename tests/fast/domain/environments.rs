//! What a world says of its environments and of its pool.

use std::time::Duration;

use hatchery::domain::environment::{find, is_instance_of};
use hatchery::domain::{
    Database, DatabaseState, Environment, EnvironmentState, Instance, InstanceId, InstanceState,
    LaunchFailure, Lookup, Number, Phase, Pool, Record, RecordId, Termination, World,
};

use crate::support::worlds::*;

/// A world of one environment, changed.
fn changed(change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) -> World {
    let mut world = of_size(1);
    change(&mut world.records.items[0], &mut world.instances.items[0], &mut world.databases.items[0]);
    world
}

#[track_caller]
fn is(state: EnvironmentState, change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) {
    assert_eq!(Environment::all(&changed(change), now())[0].state, state);
}

#[test]
fn an_environment_is_what_its_record_its_instance_and_its_database_are_together() {
    use EnvironmentState as State;
    is(State::Ready, |_, _, _| ());
    is(State::Launching, |_, instance, _| instance.environment = id(9));
    is(State::Starting, |_, instance, _| instance.phase = None);
    is(State::Starting, |_, instance, _| instance.phase = Some(Phase::Images));
    is(State::Stopped, |_, instance, _| instance.state = InstanceState::Stopping);
    is(State::Stopped, |_, instance, _| instance.state = InstanceState::Stopped);
    is(State::Failed, |_, instance, _| instance.state = InstanceState::ShuttingDown);
    is(State::Failed, |_, instance, _| instance.state = InstanceState::Terminated);
    is(State::Failed, |_, instance, _| instance.phase = Some(Phase::Failed));
    is(State::Failed, |_, _, database| database.status = "failed".into());
    is(State::Failed, |record, _, _| {
        record.failure = Some(LaunchFailure { at: now(), reason: "no room".into() });
    });
    is(State::Terminating, |record, _, _| {
        record.terminate = Some(Termination { at: now(), by: "amy".into() });
    });
    is(State::Ready, |record, _, _| record.expires_at = Some(now() + Duration::from_secs(1)));
    is(State::Expired, |record, _, _| record.expires_at = Some(now()));
    is(State::Expired, |record, _, _| {
        (record.expires_at, record.created_at) = (None, minutes_ago(7 * 24 * 60));
    });
    // The grace is a quarter of an hour.
    is(State::Reaping, |record, _, _| record.reaping_since = Some(minutes_ago(14)));
    is(State::Terminating, |record, _, _| record.reaping_since = Some(minutes_ago(15)));
}

#[test]
fn environments_come_in_order_and_a_retirement_is_none() {
    let mut world = of_size(3);
    world.records.items.reverse();
    world.records.items[1].retirement = true;
    let numbers = |all: Vec<Environment>| all.iter().map(|one| one.id().number.0).collect::<Vec<_>>();
    assert_eq!(numbers(Environment::all(&world, now())), [1, 3]);
    assert_eq!(numbers(Environment::all_claims(&world, now())), [1, 2, 3]);
    for environment in Environment::all_claims(&world, now()) {
        let number = environment.record.number();
        assert_eq!(environment.instance.map(|instance| instance.environment.number), Some(number));
        assert_eq!(environment.database.map(|database| database.number), Some(number));
    }
}

#[test]
fn of_several_instances_the_first_that_lives_is_its_own() {
    let with = |id: &str, state, minutes| Instance {
        id: InstanceId::new(id),
        state,
        launched_at: minutes_ago(minutes),
        ..instance(1)
    };
    let chosen = |instances: Vec<Instance>| {
        let mut world = of_size(1);
        world.instances.items = instances;
        let one = Environment::all(&world, now()).remove(0);
        let surplus: Vec<_> = one.surplus.iter().map(|instance| instance.id.to_string()).collect();
        (one.instance.map(|instance| instance.id.to_string()).unwrap_or_default(), surplus.join(" "))
    };
    let (running, gone) = (InstanceState::Running, InstanceState::Terminated);
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let late = with("i-a", running, 10);
    let early = with("i-b", running, 20);
    let early_too = with("i-c", running, 20);
    let all = vec![late.clone(), early_too, early, with("i-0", gone, 30)];
    assert_eq!(chosen(all), pair("i-b", "i-c i-a"));
    // Where none lives, the last that ended tells why.
    assert_eq!(chosen(vec![with("i-a", gone, 10), with("i-b", gone, 20)]), pair("i-a", ""));
    assert_eq!(chosen(vec![with("i-a", gone, 10), with("i-b", gone, 10)]), pair("i-b", ""));
    assert_eq!(chosen(vec![with("i-b", gone, 10), with("i-a", gone, 10)]), pair("i-b", ""));
    // An earlier environment of the number left one behind.
    let foreign = Instance { record: Some(RecordId::new("lt-old")), ..late };
    assert_eq!(chosen(vec![foreign.clone()]), pair("", ""));
    assert!(!is_instance_of(&foreign, &record(1)));
    assert!(is_instance_of(&Instance { record: None, ..foreign }, &record(1)));
    assert!(!is_instance_of(&Instance { record: None, ..instance(2) }, &record(1)));
}

fn problems(change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) -> String {
    Environment::all_claims(&changed(change), now())[0].problems().join("; ")
}

#[test]
fn what_is_wrong_with_an_environment_is_said_in_words() {
    assert_eq!(problems(|_, _, _| ()), "");
    assert_eq!(
        problems(|record, _, _| record.failure = Some(LaunchFailure { at: now(), reason: "no room".into() })),
        "no room"
    );
    assert_eq!(
        problems(|_, instance, _| instance.phase = Some(Phase::Failed)),
        "the bootstrap failed: no reason given"
    );
    assert_eq!(
        problems(|_, instance, _| {
            (instance.phase, instance.detail) = (Some(Phase::Failed), Some("ImagePullBackOff".into()));
        }),
        "the bootstrap failed: ImagePullBackOff"
    );
    let dies = |instance: &mut Instance| instance.state = InstanceState::ShuttingDown;
    assert_eq!(problems(|_, instance, _| dies(instance)), "its instance i-1 is shutting-down");
    assert_eq!(
        problems(|record, instance, _| {
            dies(instance);
            record.terminate = Some(Termination { at: now(), by: "amy".into() });
        }),
        "",
        "it is to end"
    );
    assert_eq!(
        problems(|_, _, database| database.status = "incompatible-network".into()),
        "its database hatchery-dev-1 is incompatible-network"
    );
    assert_eq!(
        problems(|record, _, _| record.expires_at = None),
        "its expiry cannot be read, so it lives as long as the fleet's max-lifetime"
    );
    assert_eq!(problems(|record, _, _| (record.expires_at, record.retirement) = (None, true)), "");
    let mut world = of_size(1);
    world.instances.items.push(Instance { id: InstanceId::new("i-1b"), ..instance(1) });
    assert_eq!(Environment::all(&world, now())[0].problems(), ["it has 1 instances too many"]);
}

#[test]
fn a_phase_is_that_of_a_living_instance() {
    let phase = |change: fn(&mut Instance)| {
        Environment::all(&changed(|_, instance, _| change(instance)), now())[0].phase()
    };
    assert_eq!(phase(|_| ()), Some(Phase::Ready));
    assert_eq!(phase(|instance| instance.phase = None), Some(Phase::Booting));
    assert_eq!(phase(|instance| instance.state = InstanceState::Terminated), None);
    assert_eq!(phase(|instance| instance.environment = id(9)), None);
}

#[test]
fn a_marked_environment_is_kept_for_the_grace() {
    let kept = |since| {
        let world = changed(|record, _, _| record.reaping_since = since);
        Environment::all(&world, now())[0].kept_until(&world.fleet.policy)
    };
    assert_eq!(kept(Some(minutes_ago(10))), Some(now() + Duration::from_mins(5)));
    assert_eq!(kept(None), None);
}

#[test]
fn an_address_has_its_placeholders_filled_in() {
    let url = |template: &str, change: fn(&mut Instance)| {
        Environment::all(&changed(|_, instance, _| change(instance)), now())[0].url(template)
    };
    let all = "http://{ip}/{public_ip}/{private_ip}/{id}/{name}/{other}";
    let filled = "http://203.0.113.7/203.0.113.7/10.0.0.7/dev-1/env-1/{other}";
    assert_eq!(url(all, |_| ()).as_deref(), Some(filled));
    let private = |instance: &mut Instance| instance.public_ip = None;
    assert_eq!(url("http://{ip}/", private).as_deref(), Some("http://10.0.0.7/"));
    assert_eq!(url("http://{public_ip}/", private), None);
    assert_eq!(url("http://{name}.example.org/", private).as_deref(), Some("http://env-1.example.org/"));
    assert_eq!(url(all, |instance| instance.state = InstanceState::Terminated), None);
    assert_eq!(url(all, |instance| instance.environment = id(9)), None);
}

#[test]
fn an_environment_is_found_by_its_id_or_by_a_name_that_is_its_own() {
    let mut world = of_size(4);
    let records = &mut world.records.items;
    records[1].name = "dev-1".into();
    records[2].name = "twin".into();
    records[3].name = "twin".into();
    let mut retirement = record(5);
    retirement.retirement = true;
    records.push(retirement);
    let records = &world.records.items;
    assert_eq!(find(&world, "dev-1"), Lookup::Found(&records[0]), "an id wins over a name");
    assert_eq!(find(&world, "env-1"), Lookup::Found(&records[0]));
    assert_eq!(find(&world, "twin"), Lookup::Ambiguous(vec![&records[2], &records[3]]));
    for missing in ["dev-5", "env-5", "dev-9", ""] {
        assert_eq!(find(&world, missing), Lookup::Missing, "{missing:?}");
    }
}

#[track_caller]
fn database_is(state: DatabaseState, change: impl FnOnce(&mut World)) {
    let mut world = empty();
    world.databases.items.push(database(1));
    change(&mut world);
    let pool = Pool::new(&world);
    assert_eq!(pool.databases.iter().map(|(state, _)| *state).collect::<Vec<_>>(), [state]);
    assert_eq!((pool.count(state), pool.in_state(state).count()), (1, 1));
}

#[test]
fn a_database_stands_in_the_pool_as_its_status_its_claim_and_its_age_say() {
    let status =
        |status: &'static str| move |world: &mut World| world.databases.items[0].status = status.into();
    database_is(DatabaseState::Free, |_| ());
    database_is(DatabaseState::Creating, status("creating"));
    database_is(DatabaseState::Failed, status("failed"));
    database_is(DatabaseState::Deleting, status("deleting"));
    database_is(DatabaseState::Claimed, |world| world.databases.items[0] = claimed(1));
    database_is(DatabaseState::Claimed, |world| world.records.items.push(record(1)));
    database_is(DatabaseState::Free, |world| world.records.items.push(record(2)));
    let older =
        |minutes| move |world: &mut World| world.databases.items[0].snapshot_at = Some(minutes_ago(minutes));
    // The latest snapshot is six hours old, and a day is what the policy lets pass.
    database_is(DatabaseState::Free, older(360 + 24 * 60));
    database_is(DatabaseState::Stale, older(361 + 24 * 60));
    database_is(DatabaseState::Free, older(0));
    database_is(DatabaseState::Free, |world| world.databases.items[0].snapshot_at = None);
    database_is(DatabaseState::Free, |world| {
        older(9_999)(world);
        world.snapshot = Ok(None);
    });
}

#[test]
fn a_launch_takes_the_best_that_there_is() {
    let mut world = empty();
    let mut add = |number: u32, change: fn(&mut Database), requested: i64| {
        let mut database = database(number);
        database.requested_at = Some(minutes_ago(requested));
        change(&mut database);
        world.databases.items.push(database);
    };
    let creating = |database: &mut Database| database.status = "creating".into();
    let stale = |database: &mut Database| database.snapshot_at = Some(minutes_ago(9_999));
    add(1, creating, 5);
    add(2, creating, 9);
    add(3, stale, 4_000);
    add(4, stale, 3_000);
    add(5, |_| (), 50);
    add(6, |_| (), 60);
    add(7, |database| (database.requested_at, database.created_at) = (None, None), 0);
    add(8, |database| database.environment = Some(id(8)), 99);
    add(9, |_| (), 60);
    let order: Vec<_> = Pool::new(&world).claimable().iter().map(|database| database.number.0).collect();
    assert_eq!(order, [6, 9, 5, 7, 4, 3, 2, 1]);
    assert!(Pool::new(&world).databases.is_sorted_by_key(|(_, database)| database.number));
    assert_eq!(Pool::new(&world).databases.last().unwrap().1.number, Number(9));
}
