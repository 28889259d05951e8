//! Launches that are refused, before anything is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::cloud::SecurityGroup;
use hatchery::domain::{ErrorClass, NewFleet, Policy};
use hatchery::engine::exposure::{exposed_groups, refusal};
use hatchery::engine::{Engine, EngineConfig, LaunchRequest};
use hatchery::failure::Kind;

use crate::launch::stands;
use crate::setup::{config, dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

#[test]
fn what_cannot_be_seen_is_not_launched_on() {
    for (operation, class, kind) in [
        ("records", ErrorClass::Throttled, Kind::Throttled),
        ("databases", ErrorClass::Auth, Kind::NotPermitted),
        ("latest image", ErrorClass::Transient, Kind::Failed),
        ("subnets", ErrorClass::Auth, Kind::NotPermitted),
        ("fleet", ErrorClass::Throttled, Kind::Throttled),
        ("base template", ErrorClass::Auth, Kind::NotPermitted),
        ("security groups", ErrorClass::Throttled, Kind::Throttled),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse(operation, ALWAYS, error(class));
            let failure = bed.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{operation}: {failure}");
            assert!(failure.message.starts_with("cannot "), "{failure}");
            assert_eq!(bed.script.calls("create record"), 0, "{operation}");
        });
    }
    // A launch needs neither the instances nor, with a free database, the snapshot.
    for operation in ["instances", "latest snapshot"] {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse(operation, ALWAYS, error(ErrorClass::Throttled));
            let launched = bed.launch().await.unwrap();
            stands(&bed, &launched);
        });
    }
}

#[test]
fn a_policy_may_say_no() {
    for (setting, value, kind, word) in [
        ("min-version", "9.0.0", Kind::Refused, "newer hatchery than 1.0.0"),
        ("ttl", "8d", Kind::Refused, "ttl is longer than max-lifetime"),
        ("image-tag", "none", Kind::NotFound, "hatchery:image=none"),
    ] {
        on_paused_time(async {
            let bed = TestBed::with([(setting, value)]);
            let failure = bed.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.message.contains(word), "{failure}");
            assert_eq!(bed.records(), []);
        });
    }
    on_paused_time(async {
        let bed = TestBed::with([("min-version", "1.0.0")]);
        bed.launch().await.unwrap();
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused_before_anything_is_asked() {
    let services =
        |count: usize| (0..count).map(|n| (format!("s{n}"), "1".to_owned())).collect::<BTreeMap<_, _>>();
    let note = |text: &str| Some(text.to_owned());
    let hours = |hours| Some(Duration::from_hours(hours));
    let long = "n".repeat(200);
    for (good, request) in [
        (true, LaunchRequest { services: services(25), note: note(&long), ..checkout() }),
        (false, LaunchRequest { services: services(26), ..checkout() }),
        (false, LaunchRequest { note: note(&format!("{long}n")), ..checkout() }),
        (false, LaunchRequest { note: note("a\u{7}b"), ..checkout() }),
        (true, LaunchRequest { ttl: hours(7 * 24), ..checkout() }),
        (false, LaunchRequest { ttl: hours(7 * 24 + 1), ..checkout() }),
        (true, LaunchRequest { ttl: Some(Duration::from_mins(1)), ..checkout() }),
        (false, LaunchRequest { ttl: Some(Duration::from_secs(59)), ..checkout() }),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            let answer = bed.engine.launch(&request).await;
            assert_eq!(answer.is_ok(), good, "{request:?}: {answer:?}");
            assert_eq!(bed.records().len(), usize::from(good));
            if let Err(failure) = answer {
                assert!(matches!(failure.kind, Kind::Usage | Kind::Refused), "{failure}");
            }
        });
    }
}

#[test]
fn a_group_that_admits_the_internet_must_be_allowed_by_name() {
    let group = |id: &str, open_to: &[&str]| SecurityGroup {
        id: id.into(),
        name: format!("group {id}"),
        vpc: "vpc-1".into(),
        open_to: open_to.iter().map(ToString::to_string).collect(),
    };
    let groups = [group("sg-1", &[]), group("sg-2", &["0.0.0.0/0", "::/0"]), group("sg-3", &["::/0"])];
    let policy = Policy { allow_public: vec!["sg-3".into()], ..Policy::for_fleet(&dev()) };
    let open = exposed_groups(&groups, &policy);
    assert_eq!(open, [&groups[1]]);
    let refusal = refusal(open[0]);
    assert_eq!(refusal.message, "security group sg-2 (group sg-2) admits 0.0.0.0/0 and ::/0");
    assert!(refusal.hint.ends_with("allow-public=sg-2"), "{refusal:?}");
}

#[test]
fn nobody_is_launched_where_the_internet_can_reach_them() {
    on_paused_time(async {
        let bed = TestBed::new();
        let cloud = bed.caller();
        let policy = cloud.fleet(&dev()).await.unwrap().unwrap().policy;
        let open = NewFleet {
            name: "open".parse().unwrap(),
            policy,
            instance_type: "t3.large".into(),
            security_groups: vec!["sg-0open".into()],
            instance_profile: None,
            public_address: true,
            user_data: None,
            key_name: None,
            volume_gib: None,
        };
        cloud.create_fleet(&open).await.unwrap();
        let config = EngineConfig { fleet: open.name, ..config("amy", 7) };
        let engine = Engine::new(cloud, bed.clock.clone(), config);
        let failure = engine.launch(&checkout()).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.starts_with("cannot launch: security group sg-0open ("), "{failure}");
        assert!(bed.records().is_empty());
    });
}
