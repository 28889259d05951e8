//! The contract of the port, which every adapter must fulfil. The simulated cloud and the AWS adapter run the same checks.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use hatchery::cloud::{
    Account, Answer, LaunchInstance, LogQuery, NewProofTemplate, PermissionSamples, SnapshotListing,
    StoredLines, Template, collect,
};
use hatchery::domain::tags::key;
use hatchery::domain::text::Untrusted;
use hatchery::domain::{
    AuditEvent, CompanyTags, ErrorClass, Fleet, FleetName, InstanceState, NewDatabase, NewEnvironment,
    NewFleet, NewRecord, Number, Outcome, Policy, Proof, Purpose, RecordId, Registry, Spare, SubnetId,
    TagChanges, Tags,
};

/// The resources that the account must have.
pub(crate) struct Fixtures {
    pub(crate) subnets: Vec<String>,
    pub(crate) security_group: String,
    pub(crate) source_database: String,
    pub(crate) subnet_group: String,
    pub(crate) now: DateTime<Utc>,
    /// Reads the tags of a resource by its id, and those in a record's launch data, without the port.
    pub(crate) tags_of: TagReader,
}

/// Where the account has images of the service `payments`, and of no other.
const REGISTRY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services";

pub(crate) type TagReader = Box<dyn Fn(String) -> BoxFuture<'static, Vec<Tags>> + Send + Sync>;

/// Checks the whole contract.
pub(crate) async fn check(cloud: &dyn Account, fixtures: &Fixtures) {
    let fleet = fleets(cloud, fixtures).await;
    records(cloud, fixtures, &fleet).await;
    instances(cloud, fixtures, &fleet).await;
    databases(cloud, fixtures, &fleet).await;
    proofs(cloud, fixtures, &fleet).await;
    audit(cloud, fixtures, &fleet).await;
    notices(cloud, &fleet).await;
    images(cloud).await;
    absent(cloud, &fleet).await;
    // The callers of the contract may change everything.
    let answer = cloud.write_permission(&fleet, &PermissionSamples::default()).await;
    assert_eq!(answer, Answer::Granted);
}

fn name() -> FleetName {
    "qa".parse().unwrap()
}

fn company_tags() -> CompanyTags {
    "team=payments, cost-center=42 EU".parse().unwrap()
}

/// Asserts that a resource was created with the tags of the company.
async fn assert_company_tags(fixtures: &Fixtures, id: &str) {
    let all = (fixtures.tags_of)(id.to_owned()).await;
    assert!(!all.is_empty(), "{id} exists");
    for tags in all {
        let pair = |key: &str| tags.get(key).map(String::as_str);
        assert_eq!((pair("team"), pair("cost-center")), (Some("payments"), Some("42 EU")), "{id}: {tags:?}");
        assert_eq!(pair(key::FLEET), Some("qa"), "{id}: {tags:?}");
    }
}

async fn fleets(cloud: &dyn Account, fixtures: &Fixtures) -> Fleet {
    let policy = Policy {
        source_database: fixtures.source_database.clone(),
        database_subnet_group: fixtures.subnet_group.clone(),
        subnets: fixtures.subnets.iter().map(SubnetId::new).collect(),
        image_tag: "dev".to_owned(),
        company_tags: company_tags(),
        ..Policy::new(&name())
    };
    let new = NewFleet {
        name: name(),
        policy,
        instance_type: "t3.2xlarge".into(),
        security_groups: vec![fixtures.security_group.clone()],
        instance_profile: None,
        public_address: true,
        user_data: Some("#!/bin/sh\necho up\n".into()),
        key_name: None,
        volume_gib: Some(80),
    };
    let template = cloud.create_fleet(&new, None).await.unwrap();
    let again = NewFleet {
        user_data: None,
        policy: Policy { spare: Spare::Fixed(3), ..new.policy.clone() },
        ..new.clone()
    };
    assert_eq!(cloud.create_fleet(&again, None).await.unwrap_err().class, ErrorClass::AlreadyExists);
    let fleet = cloud.fleet(&name()).await.unwrap().unwrap();
    assert_eq!((&fleet.template, &fleet.policy), (&template, &new.policy));
    assert_eq!(fleet.problems, Vec::new());
    assert_company_tags(fixtures, template.as_str()).await;
    let listed = collect(cloud.fleets()).await;
    assert!(listed.complete && listed.iter().any(|found| found.name == name()));
    cloud.tag_fleet(&template, &TagChanges::new().set("hatchery:spare", "2")).await.unwrap();
    let fleet = cloud.fleet(&name()).await.unwrap().unwrap();
    assert_eq!(fleet.policy.spare, Spare::Fixed(2));
    let base = cloud.base_template(&template).await.unwrap();
    assert_eq!(base.security_groups, std::slice::from_ref(&fixtures.security_group));
    assert_eq!(base.instance_type.as_ref().map(hatchery::domain::text::Untrusted::raw), Some("t3.2xlarge"));
    let subnets = cloud.subnets(&fleet.policy.subnets).await.unwrap();
    assert_eq!(subnets.len(), fixtures.subnets.len());
    let missing = cloud.subnets(&[SubnetId::new("subnet-00000000")]).await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::NotFound);
    let groups = cloud.security_groups(std::slice::from_ref(&fixtures.security_group)).await.unwrap();
    assert_eq!(groups[0].open_to, Vec::<String>::new());
    assert!(cloud.latest_image("dev").await.unwrap().is_some());
    assert_eq!(cloud.latest_image("missing").await.unwrap(), None);
    assert!(cloud.latest_snapshot(&fixtures.source_database).await.unwrap().is_some());
    assert_eq!(cloud.latest_snapshot("missing").await.unwrap(), None);
    let source = cloud.source_database(&fixtures.source_database).await.unwrap().unwrap();
    assert_eq!((source.engine.raw(), source.engine_version.raw()), ("postgres", "17.6"));
    assert_eq!(source.cluster, None);
    let own = source.parameter_group.as_ref().map(hatchery::domain::text::Untrusted::raw).unwrap();
    assert_eq!(cloud.database_parameter_family(own).await.unwrap(), Some("postgres17".into()));
    assert_eq!(cloud.database_parameter_family("missing").await.unwrap(), None);
    let offering = cloud.zones_offering_database(&source, "db.t4g.small").await.unwrap();
    assert!(subnets.iter().all(|subnet| offering.contains(&subnet.zone)), "{offering:?}");
    assert_eq!(cloud.zones_offering_database(&source, "small").await.unwrap(), Vec::<Untrusted>::new());
    assert_eq!(cloud.source_database("missing").await.unwrap(), None);
    let group = cloud.database_subnet_group(&fixtures.subnet_group).await.unwrap().unwrap();
    assert!(subnets.iter().all(|subnet| subnet.vpc == group.vpc && group.zones.contains(&subnet.zone)));
    assert_eq!(cloud.database_subnet_group("missing").await.unwrap(), None);
    fleet
}

async fn images(cloud: &dyn Account) {
    let registry: Registry = REGISTRY.parse().unwrap();
    let repositories = cloud.repositories(&registry).await.unwrap();
    assert_eq!(registry.services(&repositories), ["payments"]);
    let found = cloud.image_tags(&registry, "payments").await.unwrap();
    assert!(found.valid().count() >= 2 && !found.is_partial, "{found:?}");
    assert!(found.tags.is_sorted_by(|tag, next| tag.pushed_at >= next.pushed_at), "{found:?}");
    let missing = cloud.image_tags(&registry, "missing").await.unwrap_err();
    assert_eq!((missing.class, missing.operation), (ErrorClass::NotFound, "DescribeImages"));
}

async fn new_record(cloud: &dyn Account, fixtures: &Fixtures, number: u32, claim: &str) -> NewRecord {
    NewRecord {
        environment: name().environment(Number(number)),
        owner: "amy".into(),
        created_at: fixtures.now,
        claim: claim.into(),
        company_tags: company_tags(),
        purpose: Purpose::Launch(Box::new(NewEnvironment {
            name: "checkout-fix".parse().unwrap(),
            expires_at: fixtures.now + TimeDelta::hours(8),
            services: BTreeMap::from([("payments".to_owned(), "f-123".to_owned())]),
            note: Some("a note, with a comma".into()),
            image: cloud.latest_image("dev").await.unwrap().unwrap().id,
            root_device: Some("/dev/xvda".into()),
            subnet: SubnetId::new(&fixtures.subnets[0]),
        })),
    }
}

async fn records(cloud: &dyn Account, fixtures: &Fixtures, fleet: &Fleet) {
    let new = new_record(cloud, fixtures, 1, "first").await;
    let id = cloud.create_record(fleet, &new).await.unwrap();
    assert_company_tags(fixtures, id.as_str()).await;
    let rival = new_record(cloud, fixtures, 1, "second").await;
    assert_eq!(cloud.create_record(fleet, &rival).await.unwrap_err().class, ErrorClass::AlreadyExists);

    let seen = cloud.record(&name(), &id).await.unwrap();
    assert!(seen.as_of.is_some(), "AWS's clock is in every answer");
    let record = seen.value.unwrap();
    assert_eq!(record.claim.as_ref().map(hatchery::domain::text::Untrusted::raw), Some("first"));
    assert_eq!(record.services[&"payments".into()], "f-123");
    assert_eq!(
        record.note.as_ref().map(hatchery::domain::text::Untrusted::raw),
        Some("a note, with a comma")
    );
    assert!(record.is_environment() && record.is_wanted());
    assert_eq!(cloud.find_record(&new.environment).await.unwrap().value, Some(record));

    let changes = TagChanges::reaping_since(fixtures.now);
    cloud.tag_record(&id, &changes).await.unwrap();
    let marked = cloud.record(&name(), &id).await.unwrap().value.unwrap();
    assert!(marked.reaping_since.is_some());
    let changes = TagChanges::expire_at(fixtures.now + TimeDelta::hours(9)).remove(key::REAPING_SINCE);
    cloud.tag_record(&id, &changes).await.unwrap();
    let kept = cloud.record(&name(), &id).await.unwrap().value.unwrap();
    assert_eq!(kept.reaping_since, None);
    assert!(kept.expires_at > marked.expires_at);

    let retirement = NewRecord {
        environment: name().environment(Number(2)),
        purpose: Purpose::Retire { reason: "stale".into() },
        ..new.clone()
    };
    let retired = cloud.create_record(fleet, &retirement).await.unwrap();
    assert_company_tags(fixtures, retired.as_str()).await;
    let listed = collect(cloud.templates(&fleet.name)).await;
    assert!(listed.complete && listed.as_of.is_some());
    assert!(listed.iter().any(|template| matches!(template, Template::Fleet(own) if own.name == fleet.name)));
    let records: Vec<_> = listed.items.into_iter().filter_map(Template::record).collect();
    assert_eq!(records.len(), 2);
    assert!(records.iter().any(|record| record.is_retirement() && record.terminate.is_some()));
    cloud.delete_record(&retired).await.unwrap();
    cloud.delete_record(&retired).await.unwrap();
    cloud.delete_record(&id).await.unwrap();
    assert_eq!(cloud.record(&name(), &id).await.unwrap().value, None);
    assert_eq!(cloud.find_record(&new.environment).await.unwrap().value, None);
}

async fn instances(cloud: &dyn Account, fixtures: &Fixtures, fleet: &Fleet) {
    let new = new_record(cloud, fixtures, 3, "third").await;
    let record = cloud.create_record(fleet, &new).await.unwrap();
    let request = LaunchInstance {
        record: record.clone(),
        token: record.client_token(0),
        subnet: None,
        instance_type: None,
    };
    let id = cloud.launch_instance(&request).await.unwrap();
    assert_company_tags(fixtures, id.as_str()).await;
    let seen = cloud.instance(&name(), &id).await.unwrap();
    let instance = seen.value.unwrap();
    assert_eq!(instance.environment, new.environment, "its tags exist from birth");
    assert_eq!(
        instance.expires_at.map(|at| at.timestamp()),
        Some((fixtures.now + TimeDelta::hours(8)).timestamp())
    );
    assert!(!instance.state.is_ending());
    assert_eq!(cloud.instances_of(&new.environment).await.unwrap().value.len(), 1);

    // Other places, as an attempt after a lack of capacity takes them.
    let elsewhere = LaunchInstance {
        token: record.client_token(1),
        subnet: Some(SubnetId::new(&fixtures.subnets[1])),
        instance_type: Some("m6i.2xlarge".into()),
        ..request.clone()
    };
    let other = cloud.launch_instance(&elsewhere).await.unwrap();
    let seen = cloud.instance(&name(), &other).await.unwrap().value.unwrap();
    assert_eq!(seen.instance_type, "m6i.2xlarge");
    assert_ne!(seen.zone, instance.zone);

    cloud.tag_instance(&id, &TagChanges::new().set(key::PHASE, "ready")).await.unwrap();
    let listed = collect(cloud.instances(&fleet.name)).await;
    assert!(listed.complete && listed.as_of.is_some());
    assert!(listed.iter().any(|instance| instance.phase.is_some()));
    for id in [&id, &other] {
        cloud.terminate_instance(id).await.unwrap();
        cloud.terminate_instance(id).await.unwrap();
        let ended = cloud.instance(&name(), id).await.unwrap().value;
        assert!(ended.is_none_or(|ended| ended.state.is_ending()));
    }

    cloud.delete_record(&record).await.unwrap();
    let late = LaunchInstance { token: record.client_token(2), ..request };
    let fenced = cloud.launch_instance(&late).await.unwrap_err();
    assert!(fenced.is(ErrorClass::NotFound), "a deleted record fences: {fenced}");
    let alive = cloud.instances_of(&new.environment).await.unwrap().value;
    assert!(alive.iter().all(|instance| instance.state.is_ending()));
}

async fn new_database(cloud: &dyn Account, fixtures: &Fixtures, zone: &str) -> NewDatabase {
    NewDatabase {
        fleet: name(),
        number: Number(4),
        claim: None,
        requested_at: fixtures.now,
        source: "integration".into(),
        snapshot: cloud.latest_snapshot(&fixtures.source_database).await.unwrap().unwrap(),
        zone: zone.to_owned(),
        class: "db.t4g.small".into(),
        subnet_group: fixtures.subnet_group.clone(),
        security_groups: Vec::new(),
        parameter_group: None,
        iam_auth: false,
        settings: "0123456789abcdef".into(),
        company_tags: company_tags(),
    }
}

async fn databases(cloud: &dyn Account, fixtures: &Fixtures, fleet: &Fleet) {
    let subnets = cloud.subnets(&fleet.policy.subnets).await.unwrap();
    let new = new_database(cloud, fixtures, subnets[0].zone.raw()).await;
    cloud.create_database(&new).await.unwrap();
    assert_company_tags(fixtures, new.id().as_str()).await;
    assert_eq!(cloud.create_database(&new).await.unwrap_err().class, ErrorClass::AlreadyExists);
    let seen = cloud.database(&name(), Number(4)).await.unwrap().value.unwrap();
    assert_eq!(
        seen.zone.as_ref().map(hatchery::domain::text::Untrusted::raw),
        Some(subnets[0].zone.raw()),
        "known from birth"
    );
    assert_eq!(seen.snapshot.as_ref(), Some(&new.snapshot.id));
    assert_eq!(seen.environment, None);
    let changes = TagChanges::new().set(key::ENVIRONMENT, "qa-4").set_time(key::ORPHAN_SINCE, fixtures.now);
    cloud.tag_database(&new.id(), &changes).await.unwrap();
    cloud.tag_database(&new.id(), &TagChanges::new().remove(key::ORPHAN_SINCE)).await.unwrap();
    let refused = cloud.start_database(&new.id()).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Transient, "only a stopped database starts: {refused}");
    let listed = collect(cloud.databases(&fleet.name)).await;
    assert!(listed.complete && listed.as_of.is_some());
    let own: Vec<_> = listed.iter().filter(|database| database.number == Number(4)).collect();
    assert_eq!(own.len(), 1, "the source database is not one of the pool");
    assert_eq!(own[0].environment, Some(name().environment(Number(4))));
    assert_eq!(own[0].orphan_since, None);
    // RDS may refuse to delete a database that it is creating.
    let mut tries = 0..100;
    while let Err(error) = cloud.delete_database(&new.id()).await {
        assert!(error.is(ErrorClass::Transient) && tries.next().is_some(), "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cloud.delete_database(&new.id()).await.unwrap();
}

/// What belongs to a proof is not the fleet's, although it is made like it.
async fn proofs(cloud: &dyn Account, fixtures: &Fixtures, fleet: &Fleet) {
    let proofs = cloud.proofs();
    let proof = Proof::new(name(), "arn:aws:iam::123456789012:user/amy", fixtures.now, 1);
    let tags = proof.tags(&company_tags());
    let new = |claim: &str| NewProofTemplate {
        name: proof.template_name("claim"),
        claim: claim.to_owned(),
        image: None,
        instance_type: "t3.2xlarge".into(),
        subnet: Some(SubnetId::new(&fixtures.subnets[0])),
        security_groups: vec![fixtures.security_group.clone()],
        tags: tags.clone(),
    };
    let image = cloud.latest_image("dev").await.unwrap().unwrap().id;
    let first = NewProofTemplate { image: Some(image), ..new("first") };
    let id = proofs.create_proof_template(&first).await.unwrap();
    let rival = proofs.create_proof_template(&new("second")).await.unwrap_err();
    assert_eq!(rival.class, ErrorClass::AlreadyExists);
    let found = proofs.proof_templates().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, &found[0].name, &found[0].tags), (&id, &first.name, &tags));
    proofs.dry_run_template(&id).await.unwrap();
    assert_eq!(cloud.instances_of(&name().environment(Number(0))).await.unwrap().value, []);
    assert!(
        collect(cloud.templates(&fleet.name)).await.iter().all(|found| matches!(found, Template::Fleet(_)))
    );
    cloud.delete_record(&id).await.unwrap();
    assert_eq!(proofs.proof_templates().await.unwrap(), []);

    let zone = cloud.subnets(&fleet.policy.subnets).await.unwrap()[0].zone.clone();
    let (id, like) = (proof.database_id("first"), new_database(cloud, fixtures, zone.raw()).await);
    proofs.restore_proof_database(&id, &tags, &like).await.unwrap();
    let found = proofs.proof_databases().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, &found[0].name, &found[0].tags), (&id, &id.to_string(), &tags));
    assert!(proofs.database_progress(&id).await.unwrap().is_some());
    assert_eq!(proofs.database_progress(&proof.database_id("missing")).await.unwrap(), None);
    let listed = collect(cloud.databases(&fleet.name)).await;
    assert_eq!(listed.iter().filter(|database| database.id == id).count() + listed.unreadable.len(), 0);
    assert!(cloud.inventory().await.unwrap().holdings.iter().all(|held| held.records == 0));
    // RDS may refuse to delete what it is creating.
    while let Err(error) = cloud.delete_database(&id).await {
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    let source = &fixtures.source_database;
    let listed = proofs.snapshots(source, SnapshotListing::Default).await.unwrap();
    let latest = cloud.latest_snapshot(source).await.unwrap().unwrap();
    assert!(listed.iter().any(|snapshot| snapshot.id == latest.id), "{listed:?}");
    assert_eq!(proofs.snapshots("missing", SnapshotListing::Default).await.unwrap(), []);
    assert_eq!(proofs.snapshots(source, SnapshotListing::AwsBackup).await.unwrap(), []);
}

async fn audit(cloud: &dyn Account, fixtures: &Fixtures, fleet: &Fleet) {
    let since = fixtures.now - TimeDelta::hours(1);
    assert_eq!(cloud.audit(&fleet.name, since, 10).await.unwrap(), []);
    let event = |minutes: i64, action: &str| AuditEvent {
        at: fixtures.now - TimeDelta::minutes(minutes),
        who: "amy".into(),
        action: action.into(),
        target: "qa-1".into(),
        reason: "a test".into(),
        outcome: Outcome::Done,
        detail: "".into(),
        restore_seconds: None,
        loaded_percent: None,
    };
    cloud.append_audit(&fleet.name, &[event(2, "launch"), event(3, "create-database")]).await.unwrap();
    cloud.append_audit(&fleet.name, &[event(1, "extend")]).await.unwrap();
    let read = cloud.audit(&fleet.name, since, 10).await.unwrap();
    let actions: Vec<_> = read.iter().map(|event| event.action.raw()).collect();
    assert_eq!(actions, ["create-database", "launch", "extend"]);
    let latest = cloud.audit(&fleet.name, since, 1).await.unwrap();
    assert_eq!(latest[0].action, "extend");
    launches(cloud, fixtures, fleet, &event).await;
}

/// A claim on a notice exists once, and is listed with the others of the notice.
async fn notices(cloud: &dyn Account, fleet: &Fleet) {
    let claim = async |name: &str| cloud.claim_notice(&fleet.name, name).await.map_err(|error| error.class);
    assert_eq!(claim("lt-1/ready/1").await, Ok(()));
    assert_eq!(claim("lt-1/ready/1").await, Err(ErrorClass::AlreadyExists));
    let rivals = futures::future::join_all((0..8).map(|_| claim("lt-1/ready/1.sent"))).await;
    assert_eq!(rivals.iter().filter(|claim| claim.is_ok()).count(), 1, "{rivals:?}");
    assert_eq!((claim("lt-1/readying/1").await, claim("lt-12/ready/1").await), (Ok(()), Ok(())));
    let listed = cloud.notice_claims(&fleet.name, "lt-1/ready").await.unwrap();
    let mut names: Vec<_> = listed.value.iter().map(|claim| claim.name.raw()).collect();
    names.sort_unstable();
    assert_eq!(names, ["lt-1/ready/1", "lt-1/ready/1.sent"]);
    let ages = listed.value.iter().map(|claim| (listed.as_of.unwrap() - claim.at).abs());
    assert!(ages.max().unwrap() < TimeDelta::minutes(5));
}

/// Only launches that were done, however old the event and whatever else its text says.
async fn launches(
    cloud: &dyn Account,
    fixtures: &Fixtures,
    fleet: &Fleet,
    event: &(dyn Fn(i64, &str) -> AuditEvent + Sync),
) {
    let mut measured = event(50, "launch");
    measured.restore_seconds = Some(1_040);
    let mut failed = event(40, "launch");
    failed.outcome = Outcome::Failed;
    let mut other = event(30, "launch-instance");
    other.reason = "launch".into();
    cloud.append_audit(&fleet.name, &[measured, failed, other]).await.unwrap();
    let all = async |minutes| {
        let since = fixtures.now - TimeDelta::minutes(minutes);
        let mut found = cloud.launches(&fleet.name, since).await.unwrap();
        found.sort_by_key(|launch| launch.at);
        found.into_iter().map(|launch| launch.restore.map(|restore| restore.as_secs())).collect::<Vec<_>>()
    };
    assert_eq!(all(60).await, [Some(1_040), None]);
    assert_eq!(all(20).await, [None]);
    assert_eq!(all(1).await, []);
    assert_eq!(cloud.launches(&"missing".parse().unwrap(), fixtures.now).await.unwrap(), []);
}

async fn absent(cloud: &dyn Account, fleet: &Fleet) {
    let nothing = RecordId::new("lt-0123456789abcdef0");
    assert_eq!(cloud.record(&fleet.name, &nothing).await.unwrap().value, None);
    assert_eq!(cloud.fleet(&"missing".parse().unwrap()).await.unwrap(), None);
    assert_eq!(cloud.database(&fleet.name, Number(99)).await.unwrap().value, None);
    let query = LogQuery {
        fleet: fleet.name.clone(),
        record: nothing,
        source: None,
        since: DateTime::<Utc>::UNIX_EPOCH,
    };
    assert_eq!(cloud.logs(&query).await.unwrap(), StoredLines::default());
    let first = tokio::time::timeout(Duration::from_secs(30), cloud.follow(query, 0).next()).await;
    assert!(first.unwrap().unwrap().is_ok(), "following an empty log waits for lines");
    assert_eq!(InstanceState::Unknown.to_string(), "unknown");
}
