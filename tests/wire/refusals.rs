//! What RDS and EC2 refuse for a while or for good. moto does so by `moto_rules.py`.

use std::time::Duration;

use aws_sdk_ec2::types::AttributeBooleanValue;
use hatchery::domain::RecordId;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::account::{Account, State, init};
use crate::support::binary::{Run, command_through, hatchery};
use crate::support::microburst::{Call, Fault, Microburst};
use crate::support::moto::Moto;
use crate::support::proxy;

fn database(moto: &Moto) -> Value {
    hatchery(moto, &["pool", "--json"]).ok().json()["databases"][0].clone()
}

/// `creating` without a creation time, then `modifying`, then `available`.
#[tokio::test]
async fn restored_database_is_free_once_available() {
    // Long enough for a slow machine to see each.
    let moto = Moto::start_with(&json!({ "creating": 8.0, "modifying": 8.0, "initializing": 600.0 }));
    init(&moto, "dev", &["--spare", "1"]).await;
    hatchery(&moto, &["engine", "--once"]).ok();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(_, status)| status != "available") {
        let found = database(&moto);
        let has_been_created = found["created_at"].is_string() && found["endpoint"].is_string();
        assert_eq!(has_been_created, found["status"] != "creating", "{found}");
        seen.push((found["state"].to_string(), found["status"].as_str().unwrap().to_owned()));
        assert!(seen.len() < 1_000, "{found}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    seen.dedup();
    let of = |(state, status): (&str, &str)| (format!("{state:?}"), status.to_owned());
    assert_eq!(seen, [("creating", "creating"), ("busy", "modifying"), ("free", "available")].map(of));

    // A volume that is still being loaded answers queries.
    let found =
        moto.rds().await.describe_db_instances().db_instance_identifier("hatchery-dev-1").send().await;
    let found = found.unwrap().db_instances()[0].clone();
    assert_eq!(found.storage_operation_status(), Some("Initializing"));
    assert!(found.storage_operation_percent_progress().is_some_and(|percent| percent < 100));
    let launched = hatchery(&moto, &["launch", "warm", "--json"]).ok().json();
    assert_eq!(launched["environment"]["id"], "dev-1", "the spare is used");
}

/// RDS refuses to tag and to delete a database that it is creating. Both are repeated until it is done.
#[tokio::test]
async fn new_database_is_claimed_and_deleted_later() {
    let moto = Moto::start_with(&json!({ "creating": 6.0, "refuses_tags": true, "write_lag": 1.0 }));
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "1", "--grace", "1s"]).await;
    hatchery(&moto, &["engine", "--once"]).ok();
    hatchery(&moto, &["launch", "early"]).ok();
    account
        .run_engine_until("the environment has a database", |state| {
            state.databases.values().any(|tags| tags.contains_key("hatchery:environment"))
        })
        .await;
    hatchery(&moto, &["launch", "brief"]).ok();
    let listed = hatchery(&moto, &["ls", "--json"]).ok().json();
    for environment in listed["environments"].as_array().unwrap() {
        hatchery(&moto, &["terminate", environment["id"].as_str().unwrap(), "--yes"]).ok();
    }
    account.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
}

/// An environment ends except for what is protected, and that as soon as it is no longer protected.
#[rstest]
#[case::instance("terminate-instance", "may not be terminated", (1, 0))]
#[case::database("delete-database", "Cannot delete protected DB Instance", (0, 1))]
#[tokio::test]
async fn protected_resource_ends_once_unprotected(
    #[case] action: &str,
    #[case] words: &str,
    #[case] kept: (usize, usize),
) {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    let (ec2, rds) = (moto.ec2().await, moto.rds().await);
    init(&moto, "dev", &["--spare", "1", "--grace", "1s"]).await;
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    hatchery(&moto, &["launch", "guarded"]).ok();
    hatchery(&moto, &["fleet", "set", "spare=0"]).ok();
    let instance = account.inspect().await.active()[0].id.clone();
    let protect = async |on| {
        if action == "terminate-instance" {
            let value = AttributeBooleanValue::builder().value(on).build();
            let request =
                ec2.modify_instance_attribute().instance_id(&instance).disable_api_termination(value);
            request.send().await.unwrap();
        } else {
            let request = rds.modify_db_instance().db_instance_identifier("hatchery-dev-1");
            request.deletion_protection(on).send().await.unwrap();
        }
    };
    protect(true).await;
    hatchery(&moto, &["terminate", "guarded", "--yes"]);

    let remaining = |state: &State| (state.active().len(), state.databases.len());
    account.run_engine_until("the rest is gone", |state| remaining(state) == kept).await;
    let state = account.inspect().await;
    let tags = if action == "terminate-instance" {
        &state.instances.iter().find(|own| own.id == instance).unwrap().tags
    } else {
        &state.databases["hatchery-dev-1"]
    };
    let failure = &tags["hatchery:failed-step"];
    assert!(failure.contains(action) && failure.contains(words), "{failure}");
    let pass = hatchery(&moto, &["engine", "--once", "--json"]).ok().json();
    assert_eq!(pass["steps"], json!([]), "it waits before it tries again");
    let refused = pass["refused"].as_array().unwrap();
    assert!(refused.iter().any(|refusal| refusal["reason"].as_str().unwrap().contains(words)), "{pass:#}");

    protect(false).await;
    // As if hours had passed since AWS refused it.
    let long_ago = format!("2026-01-01T00:00:00Z 2026-01-01T00:00:00Z 1 {action} refused");
    if action == "terminate-instance" {
        let tag = aws_sdk_ec2::types::Tag::builder().key("hatchery:failed-step").value(long_ago).build();
        ec2.create_tags().resources(&instance).tags(tag).send().await.unwrap();
    } else {
        let tag = aws_sdk_rds::types::Tag::builder().key("hatchery:failed-step").value(long_ago).build();
        let database = "arn:aws:rds:eu-west-1:123456789012:db:hatchery-dev-1";
        rds.add_tags_to_resource().resource_name(database).tags(tag).send().await.unwrap();
    }
    account.run_engine_until("nothing is left", |state| state.is_at_rest(0)).await;
}

/// AWS's words, in which RDS would refuse the tag.
const WORDS: &str = "There's no capacity for \"db.t4g.small\" in this zone (yet), try again; code #7.";

#[tokio::test]
async fn refusal_is_noted_on_the_database() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "1"]).await;
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    moto.rds().await.stop_db_instance().db_instance_identifier("hatchery-dev-1").send().await.unwrap();
    let url = proxy::start(Some(moto.address()), |action| {
        (action == "StartDBInstance").then_some(("InsufficientDBInstanceCapacity", WORDS))
    });
    let noted = |state: &State| state.databases["hatchery-dev-1"].get("hatchery:failed-step").cloned();
    for _ in 0..5 {
        if noted(&account.inspect().await).is_some() {
            break;
        }
        let _ = command_through(&moto, &url).args(["engine", "--once"]).output().unwrap();
    }
    let note = noted(&account.inspect().await).expect("the refusal is noted");
    assert!(note.contains("start-database"), "{note}");
    assert!(note.contains("no capacity for db.t4g.small in this zone"), "{note}");
}

/// EC2 refuses a client token with other parameters. The next attempt has another token.
#[tokio::test]
async fn used_token_leads_to_the_next_attempt() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    let microburst = Microburst::start(&moto.url());
    let run = Call { service: "ec2", operation: "RunInstances", filter: None };
    microburst.set(&vec![(run, vec![Fault::Unavailable])]);
    let launch = command_through(&moto, &microburst.url()).args(["launch", "twice"]).output().unwrap();
    assert!(account.inspect().await.instances.is_empty(), "{:#?}", Run::from(launch));

    let record = account.template_id("hatchery/dev/1").await;
    let other = moto.ec2().await.run_instances();
    let other =
        other.client_token(RecordId::new(&record).client_token(0)).image_id(moto.seed_of("dev").image);
    other.min_count(1).max_count(1).send().await.unwrap();
    account
        .run_engine_until("the environment has its instance", |state| {
            let tags = state.instances.iter().map(|instance| &instance.tags);
            tags.filter(|tags| tags.get("aws:ec2launchtemplate:id") == Some(&record)).count() == 1
        })
        .await;
    assert_eq!(account.inspect().await.records["hatchery/dev/1"]["hatchery:attempt"], "1");
}
