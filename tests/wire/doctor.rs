//! What `hatchery doctor` says of permissions and quotas.

use serde_json::Value;

use crate::support::account::{Account, init};
use crate::support::binary::{command_through, hatchery};
use crate::support::moto::Moto;
use crate::support::proxy;

/// The messages of one check, with their levels.
fn findings(document: &Value, check: &str) -> Vec<(String, String)> {
    let all = document["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|finding| (text(&finding["level"]), text(&finding["message"]))).collect()
}

const MESSAGE: &str = "You are not authorized to perform this operation";

/// Operations that the stack's policies allow by the tags of environments.
const BY_TAGS: [&str; 3] = ["RunInstances", "TerminateInstances", "DeleteLaunchTemplate"];

const ON_DATABASES: [&str; 2] = ["RestoreDBInstanceFromDBSnapshot", "DeleteDBInstance"];

/// Runs doctor while AWS refuses some operations.
fn doctor_behind(moto: &Moto, rule: proxy::Rule) -> Value {
    let url = proxy::start(Some(moto.address()), rule);
    let output = command_through(moto, &url).args(["doctor", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_count_only_on_resources_of_the_fleet() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let refuse: proxy::Rule =
        |action| BY_TAGS.contains(&action).then_some(("UnauthorizedOperation", MESSAGE));
    let found = findings(&doctor_behind(&moto, refuse), "permissions");
    for action in BY_TAGS {
        let message = format!("cannot know whether ec2:{action} is permitted: policies allow it by the tags");
        assert!(
            found.iter().any(|(level, text)| level == "info" && text.starts_with(&message)),
            "{message:?} in {found:#?}"
        );
    }
    assert!(found.iter().all(|(level, _)| level != "error"), "{found:#?}");

    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let before = Account::new(&moto).await.inspect().await;
    let found = findings(&doctor_behind(&moto, refuse), "permissions");
    for action in BY_TAGS {
        let message = format!("ec2:{action} is not permitted");
        assert!(found.contains(&("error".to_owned(), message)), "{action} in {found:#?}");
    }
    let found = findings(&hatchery(&moto, &["doctor", "--json"]).json(), "permissions");
    assert!(found.iter().all(|(level, _)| level != "error"), "{found:#?}");
    let unknown: Vec<_> = found.iter().filter(|(level, _)| level == "info").collect();
    assert!(unknown.len() == 1 && unknown[0].1.contains("iam:PassRole"), "{unknown:#?}");
    let after = Account::new(&moto).await.inspect().await;
    assert_eq!(after.active().len(), 1, "nothing was changed");
    assert_eq!((after.records, after.databases), (before.records, before.databases));
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_and_audit_log_are_tried() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let refuse: proxy::Rule = |action| ON_DATABASES.contains(&action).then_some(("AccessDenied", MESSAGE));
    let found = findings(&doctor_behind(&moto, refuse), "permissions");
    for action in ON_DATABASES {
        let message = format!("rds:{action} is not permitted");
        assert!(found.contains(&("error".to_owned(), message)), "{action} in {found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_compared_with_their_use() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let rds = moto.rds().await;
    let other = rds.create_db_instance().db_instance_identifier("other").db_instance_class("db.t4g.small");
    other.engine("postgres").allocated_storage(20).send().await.unwrap();
    // An instance of eight vCPUs, the fleet and its record; the source, the environment's database and the other one.
    let found = findings(&hatchery(&moto, &["doctor", "--json"]).json(), "quotas");
    let expected = [
        ("ok", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances: 8 of 64"),
        ("warning", "DB instances: 3 of 3"),
        ("ok", "Launch templates per Region: 2 of 5000"),
    ];
    assert_eq!(found, expected.map(|(level, message)| (level.to_owned(), message.to_owned())));
}
