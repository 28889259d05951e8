//! `hatchery doctor --prove` on both emulators: the run ends, its table says what the emulator does, and nothing of it is left, however it ends.
//!
//! moto and ministack differ from AWS: a restored database is `available` at the first look, so that what a `creating` one allows is not
//! tried; a storage operation is never shown; a tag's value may begin with `rds:`; there is no AWS Backup; and a dry run does not look at
//! its launch template, so that the run finds a difference there.

use std::time::{Duration, Instant};

use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::types::LaunchTemplateSpecification;
use serde_json::Value;

use crate::support::account::{Account, init};
use crate::support::binary::{command_through, hatchery};
use crate::support::emulator::Emulator;
use crate::support::ministack::Ministack;
use crate::support::moto::Moto;
use crate::support::proxy;
use crate::support::running::{Running, send_signal};

const WITH_DATABASE: [&str; 5] = ["doctor", "--prove", "--with-database", "--yes", "--json"];

/// Lists what runs have created, through the AWS API.
async fn traces(emulator: &Emulator) -> Vec<String> {
    let mut traces = Vec::new();
    let templates = emulator.ec2().await.describe_launch_templates().max_results(200).send().await.unwrap();
    let names = templates.launch_templates().iter().filter_map(|template| template.launch_template_name());
    traces.extend(names.filter(|name| name.starts_with("hatchery-proof")).map(str::to_owned));
    let databases = emulator.rds().await.describe_db_instances().send().await.unwrap();
    for database in databases.db_instances() {
        let id = database.db_instance_identifier().unwrap();
        if id.starts_with("hatchery-proof") {
            traces.push(id.to_owned());
        } else if database.tag_list().iter().any(|tag| tag.key().unwrap().starts_with("hatchery-proof")) {
            traces.push(format!("tag of {id}"));
        }
    }
    let groups = emulator.logs().await.describe_log_groups().log_group_name_prefix("/hatchery-proof");
    let groups = groups.send().await.unwrap();
    traces.extend(groups.log_groups().iter().map(|group| group.log_group_name().unwrap().to_owned()));
    traces
}

/// The id, verdict and observation of each fact.
fn facts(document: &Value) -> Vec<(&str, &str, &str)> {
    let facts = document["facts"].as_array().unwrap().iter();
    facts.map(|fact| ["id", "verdict", "observed"].map(|name| fact[name].as_str().unwrap()).into()).collect()
}

fn fact<'d>(facts: &[(&'d str, &'d str, &'d str)], id: &str) -> (&'d str, &'d str) {
    let found = facts.iter().find(|fact| fact.0 == id).unwrap_or_else(|| panic!("{id} in {facts:#?}"));
    (found.1, found.2)
}

/// Creates a fleet with a free database in its pool.
async fn fleet(emulator: &Emulator) -> Vec<String> {
    init(emulator, "dev", &["--spare", "1"]).await;
    Account::new(emulator).await.run_engine_until("a database is free", |state| state.free() == 1).await;
    pool(emulator).await
}

/// The pool's databases with their tags.
async fn pool(emulator: &Emulator) -> Vec<String> {
    let state = Account::new(emulator).await.inspect().await;
    assert_eq!((state.records.len(), state.instances.len()), (0, 0));
    state.databases.iter().map(|(id, tags)| format!("{id} {tags:?}")).collect()
}

/// The verdict on deleted templates, by what a dry run with an unknown template says.
async fn verdict_on_deleted_templates(emulator: &Emulator) -> &'static str {
    let template = LaunchTemplateSpecification::builder().launch_template_id("lt-00000000000000000").build();
    let run = emulator.ec2().await.run_instances().dry_run(true).min_count(1).max_count(1);
    match run.launch_template(template).send().await.unwrap_err().code() {
        Some("InvalidLaunchTemplateId.NotFound") => "holds",
        Some("DryRunOperation") => "differs",
        _ => "not tried",
    }
}

async fn run_and_check(emulator: &Emulator, rds_tag_value: &str) {
    let before = fleet(emulator).await;
    let run = hatchery(emulator, &WITH_DATABASE);
    let document = run.json();
    assert_eq!((&document["left"], &document["region"]), (&0.into(), &"eu-west-1".into()), "{run:#?}");
    let facts = facts(&document);
    for id in ["unique-name", "unique-stream"] {
        assert_eq!(fact(&facts, id), ("holds", "1 created, 7 refused"), "{id}: {run:#?}");
    }
    for id in ["template-usable", "template-listed", "restore-statuses", "deletion"] {
        assert_eq!(fact(&facts, id).0, "holds", "{id}: {run:#?}");
    }
    assert_eq!(fact(&facts, "rds-tag-value"), ("holds", rds_tag_value), "{run:#?}");
    assert_eq!(fact(&facts, "backup-snapshots").0, "not tried", "{run:#?}");
    for id in ["tag-while-creating", "delete-while-creating", "storage-initialization"] {
        assert_ne!(fact(&facts, id).0, "differs", "{id}: {run:#?}");
    }
    assert_eq!(fact(&facts, "permission ec2:RunInstances"), ("holds", "permitted"), "{run:#?}");
    let rds = emulator.rds().await;
    let source = emulator.seed_of("dev").source_database;
    let listed = rds.describe_db_snapshots().db_instance_identifier(&source).send().await.unwrap();
    let with_time = listed.db_snapshots().iter().filter(|it| it.original_snapshot_create_time().is_some());
    let observed = format!("{} of {}", with_time.count(), listed.db_snapshots().len());
    assert_eq!(fact(&facts, "snapshot-times").1, observed, "{run:#?}");
    let fenced = verdict_on_deleted_templates(emulator).await;
    assert_eq!(fact(&facts, "deleted-template").0, fenced, "{run:#?}");
    let differs = facts.iter().any(|fact| fact.1 == "differs");
    assert_eq!(run.code, i32::from(differs), "{run:#?}");
    assert_eq!(traces(emulator).await, Vec::<String>::new());
    assert_eq!(pool(emulator).await, before, "the fleet is as it was");
    assert!(!run.out.contains("123456789012") && !run.out.contains(&source), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_is_proved() {
    // The wrapper follows the API reference, which forbids the prefix.
    run_and_check(&Moto::start(), "refused with InvalidParameterValue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_is_proved() {
    run_and_check(&Ministack::start(), "accepted and stored").await;
}

/// Waits until a run has created something.
async fn wait_for_trace(emulator: &Emulator, part: &str) -> String {
    let begun = Instant::now();
    loop {
        let found = traces(emulator).await;
        if let Some(name) = found.iter().find(|name| name.contains(part)) {
            return name.clone();
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{part} does not come: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a run behind a proxy that refuses some operations, so that it stops where it is to be killed.
fn start(emulator: &Emulator, rule: proxy::Rule) -> Running {
    let url = proxy::start(Some(emulator.address()), rule);
    Running::start(command_through(emulator, &url).args(WITH_DATABASE))
}

/// EC2 does not find new templates, so that they stay.
fn find_no_template(action: &str) -> Option<(&'static str, &'static str)> {
    (action == "RunInstances").then_some(("InvalidLaunchTemplateId.NotFound", "no such template"))
}

/// CloudWatch Logs deletes no group, so that it stays.
fn delete_no_group(action: &str) -> Option<(&'static str, &'static str)> {
    (action == "DeleteLogGroup").then_some(("ServiceUnavailableException", "try again"))
}

/// RDS deletes no database, so that it stays. Launches are not permitted, so that no template is waited for before.
fn delete_no_database(action: &str) -> Option<(&'static str, &'static str)> {
    match action {
        "DeleteDBInstance" => Some(("InvalidDBInstanceState", "it is being created")),
        "RunInstances" => Some(("UnauthorizedOperation", "not permitted")),
        _ => None,
    }
}

/// RDS removes no tag, so that it stays.
fn remove_no_tag(action: &str) -> Option<(&'static str, &'static str)> {
    (action == "RemoveTagsFromResource").then_some(("Throttling", "Rate exceeded"))
}

const RULES: [(proxy::Rule, &str); 4] = [
    (delete_no_group, "/hatchery-proof/dev/"),
    (find_no_template, "-lag-1"),
    (delete_no_database, "hatchery-proof-dev-"),
    (remove_no_tag, "tag of hatchery-dev-"),
];

async fn kill_and_run_again(emulator: &Emulator, rules: &[(proxy::Rule, &str)]) {
    let before = fleet(emulator).await;
    for &(rule, part) in rules {
        let running = start(emulator, rule);
        let name = wait_for_trace(emulator, part).await;
        send_signal("KILL", running.pid());
        running.wait_for_exit();
        // A request that was on its way is processed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let left = traces(emulator).await;
        assert!(left.contains(&name), "{name} in {left:?}");
        let listed = hatchery(emulator, &["ls", "--json"]).ok().out;
        assert!(!listed.contains("proof"), "{listed}");
        let fleets = hatchery(emulator, &["fleet", "ls", "--json"]).ok().json();
        assert_eq!(fleets["leftovers"], Value::Array(Vec::new()), "{fleets:#}");
        let run = hatchery(emulator, &["doctor", "--prove", "--yes", "--json"]);
        assert_eq!(run.json()["leftovers"], left.len(), "{left:?}: {run:#?}");
        assert!(run.err.contains("removed what an earlier run left behind: "), "{run:#?}");
        assert_eq!(traces(emulator).await, Vec::<String>::new());
        assert_eq!(pool(emulator).await, before, "the fleet is as it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_is_clean_after_a_killed_run() {
    // The wrapper refuses the tag of the last rule.
    kill_and_run_again(&Moto::start(), &RULES[..3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_is_clean_after_a_killed_run() {
    kill_and_run_again(&Ministack::start(), &RULES).await;
}

async fn interrupt(emulator: &Emulator) {
    let before = fleet(emulator).await;
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let running = start(emulator, find_no_template);
        wait_for_trace(emulator, "-lag-1").await;
        send_signal(signal, running.pid());
        let run = running.wait_for_exit();
        assert_eq!(run.code, code, "{run:#?}");
        assert!(run.err.contains("interrupted; removing what was created"), "{run:#?}");
        assert_eq!(traces(emulator).await, Vec::<String>::new());
        let document: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(fact(&facts(&document), "unique-name").0, "holds", "what was found out is printed");
        assert_eq!(pool(emulator).await, before, "the fleet is as it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_is_clean_after_a_signal() {
    interrupt(&Moto::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_is_clean_after_a_signal() {
    interrupt(&Ministack::start()).await;
}

/// While a database refuses to go, the clean-up waits for it; a second signal leaves it to the next run.
#[tokio::test(flavor = "multi_thread")]
async fn second_signal_ends_the_clean_up() {
    let moto = Moto::start();
    fleet(&moto).await;
    let running = start(&moto, delete_no_database);
    let name = wait_for_trace(&moto, "hatchery-proof-dev-").await;
    running.interrupt();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(traces(&moto).await.contains(&name));
    running.interrupt();
    let run = running.wait_for_exit();
    assert_eq!(run.code, 130, "{run:#?}");
    assert!(run.err.contains(&format!("database {name} could not be removed")), "{run:#?}");
    hatchery(&moto, &["doctor", "--prove", "--yes"]);
    assert_eq!(traces(&moto).await, Vec::<String>::new());
}
