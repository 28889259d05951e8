//! What a world says of its environments and of its pool.

use std::time::Duration;

use hatchery::domain::environment::{find, is_instance_of};
use hatchery::domain::{
    Access, Address, Database, DatabaseState, Endpoint, Environment, EnvironmentState, Instance, InstanceId,
    InstanceState, LaunchFailure, Lookup, Number, Phase, Pool, Record, RecordId, RecordKind, Termination,
    World,
};

use proptest::prelude::*;
use rstest::rstest;
use url::Url;

use crate::support::worlds::*;

/// A world of one environment, changed.
fn world_with(change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) -> World {
    let mut world = of_size(1);
    change(&mut world.records.items[0], &mut world.instances.items[0], &mut world.databases.items[0]);
    world
}

#[track_caller]
fn assert_state(state: EnvironmentState, change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) {
    assert_eq!(Environment::all(&world_with(change), now())[0].state, state);
}

#[test]
fn state_combines_record_instance_and_database() {
    use EnvironmentState as State;
    assert_state(State::Ready, |_, _, _| ());
    assert_state(State::Launching, |_, instance, _| instance.environment = id(9));
    assert_state(State::Starting, |_, instance, _| instance.phase = None);
    assert_state(State::Starting, |_, instance, _| instance.phase = Some(Phase::Images));
    assert_state(State::Stopped, |_, instance, _| instance.state = InstanceState::Stopping);
    assert_state(State::Stopped, |_, instance, _| instance.state = InstanceState::Stopped);
    assert_state(State::Failed, |_, instance, _| instance.state = InstanceState::ShuttingDown);
    assert_state(State::Failed, |_, instance, _| instance.state = InstanceState::Terminated);
    assert_state(State::Failed, |_, instance, _| instance.phase = Some(Phase::Failed));
    assert_state(State::Failed, |_, _, database| database.status = "failed".into());
    assert_state(State::Failed, |record, _, _| {
        record.failure = Some(LaunchFailure { at: now(), reason: "no room".into() });
    });
    assert_state(State::Terminating, |record, _, _| {
        record.terminate = Some(Termination { at: now(), by: "amy".into() });
    });
    assert_state(State::Ready, |record, _, _| record.expires_at = Some(now() + Duration::from_secs(1)));
    assert_state(State::Expired, |record, _, _| record.expires_at = Some(now()));
    assert_state(State::Expired, |record, _, _| {
        (record.expires_at, record.created_at) = (None, minutes_ago(7 * 24 * 60));
    });
    // The grace is a quarter of an hour.
    assert_state(State::Reaping, |record, _, _| record.reaping_since = Some(minutes_ago(14)));
    assert_state(State::Terminating, |record, _, _| record.reaping_since = Some(minutes_ago(15)));
}

#[test]
fn environments_are_sorted_without_retirements() {
    let mut world = of_size(3);
    world.records.items.reverse();
    world.records.items[1].kind = RecordKind::Retirement;
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
fn oldest_active_instance_is_chosen() {
    let with = |id: &str, state, minutes| Instance {
        id: InstanceId::new(id),
        state,
        launched_at: minutes_ago(minutes),
        ..instance(1)
    };
    let chosen = |instances: Vec<Instance>| {
        let mut world = of_size(1);
        world.instances.items = instances.into_iter().collect();
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
    Environment::all_claims(&world_with(change), now())[0].problems().join("; ")
}

#[test]
fn problems_are_sentences() {
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
        problems(|_, instance, _| {
            dies(instance);
            instance.state_reason = Some("Client.VolumeLimitExceeded: no".into());
        }),
        "its instance i-1 is shutting-down: Client.VolumeLimitExceeded: no"
    );
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
        "its expiry tag is not valid, so it expires at the fleet's max-lifetime"
    );
    assert_eq!(
        problems(|record, _, _| (record.expires_at, record.kind) = (None, RecordKind::Retirement)),
        ""
    );
    let mut world = of_size(1);
    world.instances.items.push(Instance { id: InstanceId::new("i-1b"), ..instance(1) });
    assert_eq!(Environment::all(&world, now())[0].problems(), ["surplus instances: 1"]);
}

#[test]
fn phase_needs_an_active_instance() {
    let phase = |change: fn(&mut Instance)| {
        Environment::all(&world_with(|_, instance, _| change(instance)), now())[0].phase()
    };
    assert_eq!(phase(|_| ()), Some(Phase::Ready));
    assert_eq!(phase(|instance| instance.phase = None), Some(Phase::Booting));
    assert_eq!(phase(|instance| instance.state = InstanceState::Terminated), None);
    assert_eq!(phase(|instance| instance.environment = id(9)), None);
}

#[test]
fn marked_environment_is_kept_for_the_grace() {
    let kept = |since| {
        let world = world_with(|record, _, _| record.reaping_since = since);
        Environment::all(&world, now())[0].kept_until(&world.fleet.policy)
    };
    assert_eq!(kept(Some(minutes_ago(10))), Some(now() + Duration::from_mins(5)));
    assert_eq!(kept(None), None);
}

proptest! {
    /// The name is a tag, which others can write.
    #[test]
    fn name_does_not_change_the_host(name in "[ -~]{0,12}|evil.example[/#?@\\\\:]*|user:pw@evil.example/|\\PC{0,8}") {
        let world = world_with(|record, _, _| record.name = name.as_str().into());
        let environment = Environment::all(&world, now()).remove(0);
        for (template, domain) in [
            ("http://{ip}/{name}", "203.0.113.7"),
            ("https://apps.example.org/?of={name}#{name}", "apps.example.org"),
            ("http://{name}.example.org/", ".example.org"),
        ] {
            // A host with other characters is none, and no browser opens the URL.
            if let Ok(url) = Url::parse(&environment.url(template).unwrap()) {
                prop_assert!(url.host_str().unwrap().ends_with(domain), "{url}");
                prop_assert_eq!((url.username(), url.password()), ("", None));
            }
        }
    }
}

#[test]
fn url_placeholders_are_filled() {
    let url = |template: &str, change: fn(&mut Instance)| {
        Environment::all(&world_with(|_, instance, _| change(instance)), now())[0].url(template)
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

#[rstest]
#[case(Endpoint::App, "/")]
#[case(Endpoint::Dashboard, "/dashboard/")]
#[case(Endpoint::Logs, "/env-1?of=dev-1")]
fn forwarded_address_is_the_path_of_the_url(#[case] endpoint: Endpoint, #[case] expected: &str) {
    let address = |change: fn(&mut Instance)| {
        let mut world = world_with(|_, instance, _| change(instance));
        world.fleet.policy.access = Access::Ssm;
        world.fleet.policy.url_logs = "https://{id}.example.org/{name}?of={id}".into();
        Environment::all(&world, now())[0].address(endpoint, &world.fleet.policy)
    };
    let without_address = |instance: &mut Instance| (instance.public_ip, instance.private_ip) = (None, None);
    let Some(Address::Forwarded { instance, path }) = address(without_address) else { panic!() };
    assert_eq!((instance, path.as_str()), (world_with(|_, _, _| ()).instances.items[0].id.clone(), expected));
    assert_eq!(address(|instance| instance.state = InstanceState::Terminated), None);
}

#[test]
fn find_takes_an_id_or_a_unique_label() {
    let mut world = of_size(4);
    let records = &mut world.records.items;
    records[1].name = "dev-1".into();
    records[2].name = "twin".into();
    records[3].name = "twin".into();
    let mut retirement = record(5);
    retirement.kind = RecordKind::Retirement;
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
fn assert_database(state: DatabaseState, change: impl FnOnce(&mut World)) {
    let mut world = empty();
    world.databases.items.push(database(1));
    change(&mut world);
    let pool = Pool::new(&world);
    assert_eq!(pool.databases.iter().map(|(state, _)| *state).collect::<Vec<_>>(), [state]);
    assert_eq!((pool.count(state), pool.in_state(state).count()), (1, 1));
}

#[test]
fn database_state_depends_on_status_claim_and_age() {
    let status =
        |status: &'static str| move |world: &mut World| world.databases.items[0].status = status.into();
    assert_database(DatabaseState::Free, |_| ());
    assert_database(DatabaseState::Creating, status("creating"));
    assert_database(DatabaseState::Failed, status("failed"));
    assert_database(DatabaseState::Deleting, status("deleting"));
    assert_database(DatabaseState::Claimed, |world| world.databases.items[0] = claimed(1));
    assert_database(DatabaseState::Claimed, |world| world.records.items.push(record(1)));
    assert_database(DatabaseState::Free, |world| world.records.items.push(record(2)));
    let older =
        |minutes| move |world: &mut World| world.databases.items[0].snapshot_at = Some(minutes_ago(minutes));
    // The latest snapshot is six hours old, and a day is what the policy lets pass.
    assert_database(DatabaseState::Free, older(360 + 25 * 60));
    assert_database(DatabaseState::Stale, older(361 + 25 * 60));
    assert_database(DatabaseState::Free, older(0));
    assert_database(DatabaseState::Free, |world| world.databases.items[0].snapshot_at = None);
    let restored_with = |settings: String| {
        move |world: &mut World| world.databases.items[0].settings = Some(settings.as_str().into())
    };
    assert_database(DatabaseState::Free, restored_with(policy().database_settings()));
    assert_database(DatabaseState::Stale, restored_with("1-of other settings".to_owned()));
    // It is unknown of another version, and of a text that is none.
    assert_database(DatabaseState::Free, restored_with("2-of other settings".to_owned()));
    assert_database(DatabaseState::Free, restored_with("of other settings".to_owned()));
    let recycled =
        |minutes| move |world: &mut World| world.fleet.policy.recycled_at = Some(minutes_ago(minutes));
    assert_database(DatabaseState::Free, recycled(300));
    assert_database(DatabaseState::Stale, recycled(299));
    assert_database(DatabaseState::Free, |world| {
        older(9_999)(world);
        world.snapshot = Ok(None);
    });
}

#[test]
fn claimable_is_sorted_best_first() {
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
    let order: Vec<_> = Pool::new(&world).claimable(now()).iter().map(|database| database.number.0).collect();
    assert_eq!(order, [6, 9, 5, 7, 4, 3, 2, 1]);
    assert!(Pool::new(&world).databases.is_sorted_by_key(|(_, database)| database.number));
    assert_eq!(Pool::new(&world).databases.last().unwrap().1.number, Number(9));
}
