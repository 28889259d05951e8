//! What is read from names and tags, and what is written there.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::domain::database::DatabaseAttributes;
use hatchery::domain::instance::{InstanceAttributes, format_timeline, parse_timeline};
use hatchery::domain::record::{parse_service, parse_services};
use hatchery::domain::tags::{self, key, role};
use hatchery::domain::text::Untrusted;
use hatchery::domain::{
    CompanyTags, Database, DatabaseId, Fleet, Instance, InstanceId, Label, LaunchFailure, NewDatabase,
    NewEnvironment, NewFleet, NewRecord, Number, Phase, Policy, Purpose, Record, RecordId, RecordKind,
    Replaces, Snapshot, SnapshotId, StatusClass, SubnetId, TagChanges, Tags, Termination,
};

use crate::support::worlds::*;

fn tags_of<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn company_tags() -> CompanyTags {
    "team=payments,cost-center=42".parse().unwrap()
}

/// Asserts that the tags of the company are among them, and removes them.
#[track_caller]
fn take_company_tags(tags: &mut Tags) {
    assert_eq!(tags.remove("team").as_deref(), Some("payments"));
    assert_eq!(tags.remove("cost-center").as_deref(), Some("42"));
}

fn time(text: &str) -> DateTime<Utc> {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

/// Everything that can be said of an instance.
fn instance_tags() -> Tags {
    tags_of([
        (key::FLEET, "dev"),
        (key::ROLE, role::ENVIRONMENT),
        (key::ENVIRONMENT, "dev-7"),
        (key::AWS_TEMPLATE_ID, "lt-7"),
        (key::EXPIRES_AT, "2026-03-02T20:00:00Z"),
        (key::PHASE, "images"),
        (key::DETAIL, "pulling \u{1b}[1mpayments"),
        (key::READY_AT, "2026-03-02T10:00:00Z"),
        (key::TIMELINE, "booting=0 database=26 nonsense images=x ready=240"),
        (key::ORPHAN_SINCE, "2026-03-02T11:00:00Z"),
        ("hatchery:digest.payments", DIGEST),
        ("hatchery:digest.short", "sha256:c0ffee"),
        ("hatchery:digest.hostile", "\u{1b}[31m"),
    ])
}

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn instance_attributes() -> InstanceAttributes {
    let Instance { id, state, instance_type, public_ip, private_ip, zone, launched_at, .. } = instance(7);
    InstanceAttributes {
        id,
        state,
        state_reason: None,
        instance_type,
        public_ip,
        private_ip,
        zone,
        launched_at,
    }
}

#[test]
fn instance_is_parsed_from_its_tags() {
    let read = |tags: &Tags| Instance::parse(&name(), instance_attributes(), tags);
    let timeline = BTreeMap::from([(Phase::Booting, 0), (Phase::Database, 26), (Phase::Ready, 240)]);
    assert_eq!(format_timeline(&timeline), "booting=0 database=26 ready=240");
    assert_eq!(parse_timeline(&format_timeline(&timeline)), timeline);
    let whole = Instance {
        expires_at: Some(time("20:00:00")),
        phase: Some(Phase::Images),
        detail: Some("pulling \u{1b}[1mpayments".into()),
        timeline,
        database: None,
        services: BTreeMap::new(),
        digests: [("payments".into(), DIGEST.into())].into(),
        orphan_since: Some(time("11:00:00")),
        ..instance(7)
    };
    assert_eq!(read(&instance_tags()), Some(whole));
    let foreign =
        [(key::FLEET, "qa"), (key::ROLE, role::POOL), (key::ENVIRONMENT, "qa-7"), (key::ENVIRONMENT, "dev")];
    for (key, value) in foreign {
        let mut tags = instance_tags();
        tags.insert(key.into(), value.into());
        assert_eq!(read(&tags), None, "{key}={value}");
    }
    let mut empty = instance_tags();
    empty.insert(key::DETAIL.into(), "\u{7}".into());
    assert_eq!(read(&empty).unwrap().detail, None);
}

fn database_tags() -> Tags {
    tags_of([
        (key::FLEET, "dev"),
        (key::ROLE, role::POOL),
        (key::CREATED_AT, "2026-03-02T07:00:00Z"),
        (key::ZONE, "eu-west-1b"),
        (key::SNAPSHOT, "automated:integration-1"),
        (key::SETTINGS, "0123456789abcdef"),
        (key::SNAPSHOT_AT, "2026-03-02T06:00:00Z"),
        (key::ENVIRONMENT, "dev-7"),
        (key::ORPHAN_SINCE, "2026-03-02T11:00:00Z"),
    ])
}

fn database_attributes(id: &str) -> DatabaseAttributes {
    DatabaseAttributes {
        id: DatabaseId::new(id),
        status: "available".into(),
        endpoint: Some("db.example:5432".into()),
        created_at: Some(time("07:15:00")),
        zone: Some("eu-west-1a".into()),
        loaded: None,
    }
}

#[test]
fn database_is_parsed_from_its_name_and_tags() {
    let read = |id: &str, tags: &Tags| Database::parse(&name(), database_attributes(id), tags);
    let whole = Database {
        requested_at: Some(time("07:00:00")),
        created_at: Some(time("07:15:00")),
        zone: Some("eu-west-1b".into()),
        snapshot_at: Some(time("06:00:00")),
        settings: Some("0123456789abcdef".into()),
        orphan_since: Some(time("11:00:00")),
        ..claimed(7)
    };
    assert_eq!(read("hatchery-dev-7", &database_tags()), Some(Ok(whole)));
    assert_eq!(read("integration", &database_tags()), None, "the name is another's");
    for (key, value, is_ours) in [(key::FLEET, "qa", false), (key::ROLE, role::ENVIRONMENT, true)] {
        let mut tags = database_tags();
        tags.insert(key.into(), value.into());
        let unreadable = read("hatchery-dev-7", &tags).unwrap().unwrap_err();
        assert_eq!((unreadable.number, unreadable.is_ours()), (Number(7), is_ours), "{key}={value}");
    }
    let namesake = read("hatchery-dev-7", &Tags::new()).unwrap().unwrap_err();
    assert_eq!((namesake.id.raw(), namesake.is_ours()), ("hatchery-dev-7", false));
    let bare = tags_of([(key::FLEET, "dev"), (key::ROLE, role::POOL), (key::ENVIRONMENT, "?")]);
    let bare = read("hatchery-dev-7", &bare).unwrap().unwrap();
    assert_eq!(bare.zone.as_ref().map(Untrusted::raw), Some("eu-west-1a"));
    assert_eq!(bare.environment, Some(id(7)), "an invalid claim is a claim");
    assert_eq!(bare.since(), Some(time("07:15:00")));
}

#[test]
fn status_is_classified() {
    for (status, class) in [
        ("available", StatusClass::Usable),
        ("storage-optimization", StatusClass::Usable),
        ("storage-initialization", StatusClass::Usable),
        ("creating", StatusClass::Pending),
        ("backing-up", StatusClass::Busy),
        ("storage-full", StatusClass::Busy),
        ("stopping", StatusClass::Busy),
        ("stopped", StatusClass::Stopped),
        ("a-status-of-tomorrow", StatusClass::Busy),
        ("deleting", StatusClass::Deleting),
        ("failed", StatusClass::Failed),
        ("restore-error", StatusClass::Failed),
        ("incompatible-network", StatusClass::Failed),
        ("insufficient-capacity", StatusClass::Failed),
        ("inaccessible-encryption-credentials", StatusClass::Failed),
    ] {
        let database = Database { status: status.into(), ..database(1) };
        assert_eq!(database.status_class(), class, "{status}");
        assert_eq!(database.is_ready(), class == StatusClass::Usable);
    }
    let never_there = Database { status: "modifying".into(), created_at: None, ..database(1) };
    assert_eq!(never_there.status_class(), StatusClass::Pending);
    let unreachable = Database { endpoint: None, ..database(1) };
    assert_eq!((unreachable.status_class(), unreachable.is_ready()), (StatusClass::Busy, false));
}

#[test]
fn restore_time_is_from_request_to_creation() {
    let took = |requested_at, created_at| {
        Database { requested_at, created_at, ..database(1) }.restore_time().map(|took| took.as_secs())
    };
    assert_eq!(took(Some(minutes_ago(300)), Some(minutes_ago(285))), Some(900));
    assert_eq!(took(Some(minutes_ago(300)), Some(minutes_ago(299))), Some(60));
    assert_eq!(took(Some(minutes_ago(300)), Some(minutes_ago(299) - Duration::from_secs(1))), None);
    assert_eq!(took(Some(minutes_ago(285)), Some(minutes_ago(300))), None);
    assert_eq!((took(None, Some(now())), took(Some(now()), None)), (None, None));
    assert_eq!(database(1).since(), Some(minutes_ago(300)));
}

fn record_tags() -> Tags {
    tags_of([
        (key::FLEET, "dev"),
        (key::ROLE, role::ENVIRONMENT),
        (key::NAME, "check\u{1b}[31mout"),
        (key::OWNER, "am\u{7}y"),
        (key::CREATED_AT, "2026-03-02T09:00:00Z"),
        (key::EXPIRES_AT, "2026-03-02T18:00:00Z"),
        (key::REAPING_SINCE, "2026-03-02T18:01:00Z"),
        (key::TERMINATE, "2026-03-02T12:00:00Z bob"),
        (key::ATTEMPT, "2"),
        (key::INSTANCE, "i-7"),
        (key::FAILURE, "2026-03-02T13:00:00Z no room left"),
        (key::CLAIM, "c0ffee"),
        (key::ORPHAN_SINCE, "2026-03-02T14:00:00Z"),
        (key::NOTE, "for the\u{202e} demo"),
        ("hatchery:service.payments", "f-1"),
        ("hatchery:service.search", "f-\u{1b}[0m2"),
        ("hatchery:services", "none of them"),
    ])
}

fn parse_record(template_name: &str, tags: &Tags) -> Option<Record> {
    Record::parse(&name(), RecordId::new("lt-7"), template_name, time("08:59:00"), tags)?.ok()
}

#[test]
fn record_is_parsed_from_its_name_and_tags() {
    let services =
        [("payments", "f-1"), ("search", "f-\u{1b}[0m2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let whole = Record {
        id: RecordId::new("lt-7"),
        environment: id(7),
        name: "check\u{1b}[31mout".into(),
        owner: "am\u{7}y".into(),
        created_at: time("09:00:00"),
        expires_at: Some(time("18:00:00")),
        extensions: BTreeMap::new(),
        reaping_since: Some(time("18:01:00")),
        terminate: Some(Termination { at: time("12:00:00"), by: "bob".into() }),
        attempt: 2,
        instance: Some(InstanceId::new("i-7")),
        kind: RecordKind::Environment,
        database: None,
        failure: Some(LaunchFailure { at: time("13:00:00"), reason: "no room left".into() }),
        claim: Some("c0ffee".into()),
        failed_step: None,
        notified: std::collections::BTreeSet::new(),
        repaired_by: None,
        hold: None,
        orphan_since: Some(time("14:00:00")),
        deployment: None,
        requests: Vec::new(),
        services: services.map(|(name, tag)| (name.into(), tag.into())).into(),
        note: Some("for the\u{202e} demo".into()),
    };
    let read = parse_record("hatchery/dev/7", &record_tags()).unwrap();
    let shown = format!("{} {} {}", read.name, read.owner, read.note.as_ref().unwrap());
    assert_eq!(shown, "checkout amy for the\u{fffd} demo");
    assert_eq!(read, whole);
    assert_eq!(parse_record("hatchery/qa/7", &record_tags()), None);
    for (key, value) in [(key::FLEET, "qa"), (key::ROLE, role::POOL)] {
        let mut tags = record_tags();
        tags.insert(key.into(), value.into());
        assert_eq!(parse_record("hatchery/dev/7", &tags), None, "{key}={value}");
    }
}

#[test]
fn record_with_invalid_tags_is_kept() {
    let bare = tags_of([(key::FLEET, "dev"), (key::ROLE, role::RETIREMENT), (key::TERMINATE, "soon")]);
    let bare = parse_record("hatchery/dev/7", &bare).unwrap();
    assert!(bare.is_retirement());
    assert_eq!((bare.name.raw(), bare.owner.raw()), ("dev-7", "unknown"));
    assert_eq!((bare.created_at, bare.attempt), (time("08:59:00"), 0));
    assert_eq!(bare.terminate, Some(Termination { at: time("08:59:00"), by: "soon".into() }));
    let odd = Termination::parse("yesterday bob", time("08:00:00"));
    assert_eq!(odd, Termination { at: time("08:00:00"), by: "yesterday bob".into() });
    let policy = Policy { max_lifetime: Duration::from_hours(5), ..policy() };
    assert_eq!(bare.ends_at(&policy), time("13:59:00"));
    assert_eq!(record(1).ends_at(&policy), record(1).expires_at.unwrap());
}

#[test]
fn record_is_wanted_until_it_ends() {
    assert!(record(1).is_wanted());
    let ended = Termination { at: now(), by: "amy".into() };
    assert!(!Record { terminate: Some(ended), ..record(1) }.is_wanted());
    assert!(!Record { reaping_since: Some(now()), ..record(1) }.is_wanted());
    let failure = LaunchFailure { at: now(), reason: "no room".into() };
    assert!(!Record { failure: Some(failure), ..record(1) }.is_wanted());
}

fn new_record(purpose: Purpose) -> NewRecord {
    NewRecord {
        environment: id(7),
        owner: "amy".into(),
        created_at: time("09:00:00"),
        claim: "c0ffee".into(),
        company_tags: company_tags(),
        purpose,
    }
}

#[test]
fn launch_tags_round_trip() {
    let new = new_record(Purpose::Launch(Box::new(NewEnvironment {
        name: "checkout".parse::<Label>().unwrap(),
        expires_at: time("17:00:00"),
        services: BTreeMap::from([("payments".to_owned(), "f-1".to_owned())]),
        note: Some("for the\u{202e} demo".into()),
        image: hatchery::domain::ImageId::new("ami-1"),
        root_device: None,
        subnet: SubnetId::new("subnet-a"),
    })));
    let tags = new.tags();
    let read = parse_record("hatchery/dev/7", &tags).unwrap();
    let written = Record {
        name: "checkout".into(),
        created_at: time("09:00:00"),
        expires_at: Some(time("17:00:00")),
        instance: None,
        services: BTreeMap::from([("payments".into(), "f-1".into())]),
        note: Some("for the\u{202e} demo".into()),
        ..record(7)
    };
    assert_eq!(read, written);
    assert_eq!(tags[key::DATABASE], "hatchery-dev-7");
    // What the instance is born with is the record's, without what is the record's alone.
    let mut identity = tags.clone();
    identity.retain(|key, _| ![key::CLAIM, key::NOTE].contains(&key.as_str()));
    assert_eq!(new.identity_tags(), identity);
    take_company_tags(&mut identity);
    assert!(identity.keys().all(|key| key.starts_with("hatchery:")), "{identity:?}");
}

#[test]
fn replacement_names_its_environment() {
    let replaces = Replaces { record: RecordId::new("lt-3"), environment: id(3) };
    let new = new_record(Purpose::Replace(replaces.clone()));
    let read = parse_record("hatchery/dev/7", &new.tags()).unwrap();
    assert_eq!((read.replaces(), read.database), (Some(&replaces), Some(Number(7))));
    assert!(read.is_wanted());
    // An engine that does not know the role takes it for lost.
    let mut tags = new.tags();
    tags.insert(key::ROLE.into(), role::ENVIRONMENT.into());
    assert_eq!(parse_record("hatchery/dev/7", &tags).unwrap().replaces(), Some(&replaces));
    // One whose tag is lost or invalid is for no environment.
    for value in [None, Some("lt-3"), Some("lt-3 devx-3"), Some("lt-3 dev-x")] {
        let mut tags = new.tags();
        tags.remove(key::REPLACES);
        tags.extend(value.map(|value| (key::REPLACES.to_owned(), value.to_owned())));
        let read = parse_record("hatchery/dev/7", &tags).unwrap();
        assert_eq!(read.replaces().unwrap().record, RecordId::new(""), "{value:?}");
    }
    let mut tags = new.tags();
    tags.remove(key::ROLE);
    let lost = Record::parse(&name(), RecordId::new("lt-1"), "hatchery/dev/7", time("09:00:00"), &tags);
    assert_eq!(lost.unwrap().unwrap_err().lost[key::ROLE], role::REPLACEMENT);
}

#[test]
fn retirement_requests_its_termination() {
    let new = new_record(Purpose::Retire { reason: "stale".into() });
    take_company_tags(&mut new.tags());
    let read = parse_record("hatchery/dev/7", &new.tags()).unwrap();
    assert!(read.is_retirement() && !read.is_wanted());
    assert_eq!(read.terminate, Some(Termination { at: time("09:00:00"), by: "amy".into() }));
    assert_eq!((read.note.as_ref().map(Untrusted::raw), read.expires_at), (Some("stale"), None));
}

#[test]
fn timed_text_round_trips_and_fits_a_tag() {
    let failure = LaunchFailure { at: time("09:00:00"), reason: "no\u{1b}[1m room".into() };
    let read = LaunchFailure::parse(&failure.to_tag(), now());
    assert_eq!(read, LaunchFailure { at: time("09:00:00"), reason: "no room".into() });
    let termination = Termination { at: time("09:00:00"), by: "é".repeat(400).into() };
    assert_eq!(termination.to_tag().chars().count(), tags::MAX_VALUE_CHARS);
    assert_eq!(Termination::parse(&termination.to_tag(), now()).at, time("09:00:00"));
}

#[test]
fn record_changes_as_tags() {
    let failure = LaunchFailure { at: now(), reason: "no room".into() };
    let termination = Termination { at: now(), by: "amy".into() };
    for (changes, key, value) in [
        (TagChanges::expire_at(now()), key::EXPIRES_AT, "2026-03-02T12:00:00Z"),
        (TagChanges::reaping_since(now()), key::REAPING_SINCE, "2026-03-02T12:00:00Z"),
        (TagChanges::fail(&failure), key::FAILURE, "2026-03-02T12:00:00Z no room"),
        (TagChanges::terminate(&termination), key::TERMINATE, "2026-03-02T12:00:00Z amy"),
    ] {
        assert_eq!((changes.set, changes.remove.len()), (tags_of([(key, value)]), 0));
    }
}

#[test]
fn tag_changes_remove_before_they_set() {
    assert!(TagChanges::new().is_empty());
    assert!(!TagChanges::new().remove("a").is_empty());
    assert!(!TagChanges::new().set("a", "1").is_empty());
    let mut tags = tags_of([("a", "1"), ("b", "2"), ("c", "3")]);
    TagChanges::new().remove("a").remove("b").set("b", "9").apply_to(&mut tags);
    assert_eq!(tags, tags_of([("b", "9"), ("c", "3")]));
}

#[test]
fn services_are_validated() {
    let longest = format!("{}={}", "s".repeat(40), "t".repeat(128));
    for good in ["payments=f-123", "a=1", "a-b=_x.y-Z", &longest] {
        let (name, tag) = parse_service(good).unwrap();
        assert_eq!(format!("{name}={tag}"), good);
    }
    let too_long = [format!("{}=1", "s".repeat(41)), format!("a={}", "t".repeat(129))];
    let bad = ["payments", "=1", "a=", "-a=1", "a-=1", "A=1", "a b=1", "a=.x", "a=-x", "a=x y", "a=x/y"];
    for bad in bad.iter().copied().chain(too_long.iter().map(String::as_str)) {
        assert!(parse_service(bad).is_err(), "{bad}");
    }
    assert_eq!(
        parse_services(&tags_of([("hatchery:zone", "a"), ("hatchery:service", "x")])),
        BTreeMap::new()
    );
}

fn new_fleet() -> NewFleet {
    NewFleet {
        name: name(),
        policy: Policy { max_databases: 12, company_tags: company_tags(), ..policy() },
        instance_type: "t3.2xlarge".into(),
        security_groups: Vec::new(),
        instance_profile: None,
        public_address: true,
        user_data: None,
        key_name: None,
        volume_gib: None,
    }
}

#[test]
fn fleet_is_parsed_from_its_name_and_tags() {
    let read = |template: &str, tags: &Tags| Fleet::parse(RecordId::new("lt-0"), template, tags);
    let tags = new_fleet().tags();
    let fleet = read("hatchery/dev", &tags).unwrap();
    assert_eq!((fleet.name, fleet.policy, fleet.problems), (name(), new_fleet().policy, Vec::new()));
    assert_eq!(read("hatchery/qa", &tags), None);
    assert_eq!(read("hatchery/dev/7", &tags), None);
    take_company_tags(&mut tags.clone());
    assert_eq!(tags["hatchery:tags"], "cost-center=42,team=payments");
    let mut odd = tags.clone();
    odd.insert("hatchery:ttl".into(), "soon".into());
    assert_eq!(read("hatchery/dev", &odd).unwrap().problems.len(), 1);
    odd.insert(key::ROLE.into(), role::POOL.into());
    assert_eq!(read("hatchery/dev", &odd), None);
}

#[test]
fn restore_has_all_tags() {
    let new = |claim| NewDatabase {
        fleet: name(),
        number: Number(7),
        source: "integration".into(),
        snapshot: Snapshot { id: SnapshotId::new("rds:integration-1"), created_at: time("06:00:00") },
        claim,
        requested_at: time("07:00:00"),
        zone: "eu-west-1b".into(),
        class: "db.t4g.small".into(),
        subnet_group: "private".into(),
        security_groups: Vec::new(),
        parameter_group: None,
        iam_auth: false,
        settings: "0123456789abcdef".into(),
        company_tags: company_tags(),
    };
    let mut tags = database_tags();
    tags.remove(key::ORPHAN_SINCE);
    tags.extend(company_tags().as_tags().clone());
    tags.insert(key::RECORD.into(), "lt-7".into());
    let claim = Some((id(7), RecordId::new("lt-7")));
    assert_eq!((new(claim).tags(), new(None).id().as_str()), (tags.clone(), "hatchery-dev-7"));
    tags.remove(key::ENVIRONMENT);
    tags.remove(key::RECORD);
    assert_eq!(new(None).tags(), tags);
}
