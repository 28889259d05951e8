//! Launches that are refused before they change anything.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::cloud::SecurityGroup;
use hatchery::domain::{ErrorClass, NewFleet, Policy, TagChanges};
use hatchery::engine::exposure::{exposed_groups, refusal};
use hatchery::engine::{Engine, EngineConfig, LaunchRequest};
use hatchery::failure::Kind;
use rstest::rstest;

use crate::launch::assert_launched;
use crate::setup::{config, dev, new_fleet, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

#[rstest]
#[case("records", ErrorClass::Throttled, Kind::Throttled)]
#[case("databases", ErrorClass::Auth, Kind::NotPermitted)]
#[case("latest image", ErrorClass::Transient, Kind::Failed)]
#[case("subnets", ErrorClass::Auth, Kind::NotPermitted)]
#[case("fleet", ErrorClass::Throttled, Kind::Throttled)]
#[case("base template", ErrorClass::Auth, Kind::NotPermitted)]
#[case("security groups", ErrorClass::Throttled, Kind::Throttled)]
fn launch_needs_every_relevant_read(
    #[case] operation: &'static str,
    #[case] class: ErrorClass,
    #[case] kind: Kind,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(operation, ALWAYS, error(class));
        let failure = bed.launch().await.unwrap_err();
        assert_eq!(failure.kind, kind, "{operation}: {failure}");
        assert!(failure.message.starts_with("cannot "), "{failure}");
        assert_eq!(bed.script.count("create record"), 0, "{operation}");
    });
}

/// A launch needs no instances, and no snapshot if a database is free.
#[rstest]
fn launch_ignores_irrelevant_reads(#[values("instances", "latest snapshot")] operation: &'static str) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(operation, ALWAYS, error(ErrorClass::Throttled));
        let launched = bed.launch().await.unwrap();
        assert_launched(&bed, &launched);
    });
}

#[rstest]
#[case("min-version", "9.0.0", Kind::Refused, "newer hatchery than 1.0.0")]
#[case("ttl", "8d", Kind::Refused, "ttl is longer than max-lifetime")]
#[case("image-tag", "none", Kind::NotFound, "hatchery:image=none")]
fn policy_refuses_a_launch(
    #[case] setting: &'static str,
    #[case] value: &'static str,
    #[case] kind: Kind,
    #[case] message: &str,
) {
    on_paused_time(async {
        let bed = TestBed::with_policy([(setting, value)]);
        let failure = bed.launch().await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(message), "{failure}");
        assert_eq!(bed.records(), []);
    });
}

#[test]
fn policy_allows_its_minimum_version() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("min-version", "1.0.0")]);
        bed.launch().await.unwrap();
    });
}

fn services(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|n| (format!("s{n}"), "1".to_owned())).collect()
}

#[rstest]
#[case(true, LaunchRequest { services: services(17), note: Some("n".repeat(200)), ..checkout() })]
#[case(false, LaunchRequest { services: services(18), ..checkout() })]
#[case(false, LaunchRequest { note: Some("n".repeat(201)), ..checkout() })]
#[case(false, LaunchRequest { note: Some("a\u{7}b".into()), ..checkout() })]
#[case(true, LaunchRequest { ttl: Some(Duration::from_hours(7 * 24)), ..checkout() })]
#[case(false, LaunchRequest { ttl: Some(Duration::from_hours(7 * 24 + 1)), ..checkout() })]
#[case(true, LaunchRequest { ttl: Some(Duration::from_mins(1)), ..checkout() })]
#[case(false, LaunchRequest { ttl: Some(Duration::from_secs(59)), ..checkout() })]
fn invalid_request_is_refused_without_calls(#[case] is_valid: bool, #[case] request: LaunchRequest) {
    on_paused_time(async {
        let bed = TestBed::new();
        let result = bed.engine.launch(&request).await;
        assert_eq!(result.is_ok(), is_valid, "{request:?}: {result:?}");
        assert_eq!(bed.records().len(), usize::from(is_valid));
        if let Err(failure) = result {
            assert!(matches!(failure.kind, Kind::Usage | Kind::Refused), "{failure}");
        }
    });
}

#[rstest]
#[case::room_for_thirteen(13, true)]
#[case::no_room_for_fourteen(14, false)]
fn company_tags_limit_the_services(#[case] count: usize, #[case] is_valid: bool) {
    on_paused_time(async {
        let tags = (0..8).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let bed = TestBed::with_policy([("tags", tags.as_str())]);
        let result = bed.engine.launch(&LaunchRequest { services: services(count), ..checkout() }).await;
        let refused = "14 services under test are too many; the maximum is 13";
        assert_eq!(result.is_ok(), is_valid, "{result:?}");
        assert!(result.err().is_none_or(|failure| failure.message == refused));
        assert_eq!(bed.records().len(), usize::from(is_valid));
    });
}

#[test]
fn open_security_group_must_be_allowed_by_id() {
    let group = |id: &str, open_to: &[&str]| SecurityGroup {
        id: id.into(),
        name: format!("group {id}").into(),
        vpc: "vpc-1".into(),
        open_to: open_to.iter().map(ToString::to_string).collect(),
        unread: Vec::new(),
    };
    let groups = [group("sg-1", &[]), group("sg-2", &["0.0.0.0/0", "::/0"]), group("sg-3", &["::/0"])];
    let policy = Policy { allow_public: vec!["sg-3".into()], ..Policy::new(&dev()) };
    let open = exposed_groups(&groups, &policy);
    assert_eq!(open, [&groups[1]]);
    let refusal = refusal(open[0]);
    assert_eq!(refusal.message, "security group sg-2 (group sg-2) admits 0.0.0.0/0 and ::/0");
    assert!(refusal.hint.ends_with("allow-public=sg-2"), "{refusal:?}");
}

#[test]
fn launch_into_an_open_security_group_is_refused() {
    on_paused_time(async {
        let bed = TestBed::new();
        let cloud = bed.sim.caller("amy");
        let policy = cloud.fleet(&dev()).await.unwrap().unwrap().policy;
        let open = NewFleet {
            security_groups: vec!["sg-0open".into()],
            public_address: true,
            ..new_fleet("open", policy)
        };
        cloud.create_fleet(&open, None).await.unwrap();
        let config = EngineConfig { fleet: open.name, ..config("amy", 7) };
        let engine = Engine::new(cloud, bed.clock.clone(), config);
        let failure = engine.launch(&checkout()).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.starts_with("cannot launch: security group sg-0open ("), "{failure}");
        assert!(bed.records().is_empty());
    });
}

/// Where a listing takes long, or the computer was suspended meanwhile, the policy may be another one when the launch can begin.
#[rstest]
#[case::launch("subnets", false)]
#[case::check_of_the_network("security groups", false)]
#[case::reset("subnets", true)]
fn claim_after_a_long_observation_follows_the_policy_of_now(
    #[case] operation: &'static str,
    #[case] is_reset: bool,
) {
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "2")]);
        let launched = bed.launch().await.unwrap();
        bed.run_other_engine(60).await;
        let (cloud, clock) = (bed.caller(), bed.clock.clone());
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        bed.script.before(operation, async move {
            clock.sleep(Duration::from_mins(2)).await;
            let changes = TagChanges::new().set("hatchery:paused", "true");
            cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
        });
        let failure = if is_reset {
            bed.engine.reset(&launched.environment).await.unwrap_err()
        } else {
            bed.launch().await.unwrap_err()
        };
        assert!(failure.message.ends_with("the fleet is paused"), "{failure}");
        assert_eq!(bed.records(), [launched.environment]);
    });
}
