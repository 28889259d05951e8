//! Every JSON document. A changed snapshot is a change that scripts see.

use std::time::Duration;

use super::harness::TestAccount;

/// A fleet with environments in several states, a free database and one being created.
pub(crate) const FLEET: &str = r#"
free = 1
creating = 1

[policy]
spare = "2"
"price.instance" = "0.3328"
"price.database" = "0.034"

[latency]
running = [18.0, 18.0]
boot = [26.0, 26.0]
images = [30.0, 30.0]
cluster = [46.0, 46.0]
services = [60.0, 60.0]
restore = [900.0, 900.0]
delete = [240.0, 240.0]

[[environments]]
name = "checkout-fix"
owner = "amy"
age = "2h 48m"
ttl = "8h"
services = { payments = "f-123" }
note = "for the release on Thursday"

[[environments]]
name = "ledger-spike"
owner = "jo"
age = "40m"
ttl = "8h"
fails = "ledger: image tag pr-404 does not exist"

[[environments]]
name = "expired"
owner = "sam"
age = "8h 1m"
ttl = "8h"
"#;

macro_rules! assert_document {
    ($name:literal, $run:expr) => {
        insta::assert_snapshot!($name, $run.ok().pretty_json())
    };
}

#[tokio::test(start_paused = true)]
async fn ls_document() {
    let account = TestAccount::new(FLEET);
    assert_document!("ls", account.run(&["ls", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn ls_document_without_environments() {
    let account = TestAccount::new("");
    assert_document!("ls_empty", account.run(&["ls", "--json"]).await);
}

/// The fleet of [`FLEET`] with a registry.
const REGISTRY: &str = "[policy]\nregistry = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/services\"";

#[tokio::test(start_paused = true)]
async fn services_documents() {
    let account = TestAccount::new(&FLEET.replace("[policy]", REGISTRY));
    assert_document!("services", account.run(&["services", "--json"]).await);
    let run = account.run(&["services", "--tags", "payments", "--json"]).await.ok();
    let mut document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let tags = document["tags"].as_array_mut().unwrap();
    assert!(tags.len() > 10, "{tags:?}");
    tags.truncate(2);
    insta::assert_snapshot!("services_tags", serde_json::to_string_pretty(&document).unwrap());
}

#[tokio::test(start_paused = true)]
async fn services_as_text_and_their_errors() {
    let account = TestAccount::new(&FLEET.replace("[policy]", REGISTRY));
    assert_eq!(account.run(&["services"]).await.ok().out, "SERVICE\npayments\n");
    let tags = account.run(&["services", "--tags", "payments"]).await.ok().out;
    insta::assert_snapshot!("services_tags_text", tags.lines().take(4).collect::<Vec<_>>().join("\n"));
    let mut errors = String::new();
    for service in ["missing", "../payments", "a=b"] {
        errors.push_str(&account.run(&["services", "--tags", service]).await.err);
    }
    account.sim.change_faults(|faults| faults.registry_denied = true);
    errors.push_str(&account.run(&["services"]).await.err);
    errors.push_str(&TestAccount::new(FLEET).run(&["services"]).await.err);
    insta::assert_snapshot!("services_errors", errors);
}

#[tokio::test(start_paused = true)]
async fn pool_document() {
    let account = TestAccount::new(FLEET);
    assert_document!("pool", account.run(&["pool", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn launch_document() {
    let account = TestAccount::new(FLEET);
    let arguments = ["launch", "fx-rates", "--service", "fx=pr-9", "--ttl", "4h", "--note", "demo", "--json"];
    assert_document!("launch", account.run(&arguments).await);
}

#[tokio::test(start_paused = true)]
async fn launch_and_wait_document() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["launch", "fx-rates", "--wait", "--json"]).await;
    assert_eq!(
        run.err.lines().collect::<Vec<_>>(),
        ["dev-9: booting", "dev-9: images", "dev-9: cluster", "dev-9: services"]
    );
    assert_document!("launch_wait", run);
}

#[tokio::test(start_paused = true)]
async fn extend_document() {
    let account = TestAccount::new(FLEET);
    assert_document!("extend", account.run(&["extend", "checkout-fix", "--by", "4h", "--json"]).await);
    assert_document!(
        "extend_capped",
        account.run(&["extend", "checkout-fix", "--by", "300d", "--json"]).await
    );
}

#[tokio::test(start_paused = true)]
async fn images_documents() {
    let account = TestAccount::new(FLEET);
    assert_document!("images", account.run(&["images", "--json"]).await);
    assert_document!("images_bake", account.run(&["images", "bake", "service", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn terminate_document() {
    let account = TestAccount::new(FLEET);
    assert_document!("terminate", account.run(&["terminate", "checkout-fix", "--yes", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn open_document() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["open", "checkout-fix", "logs", "--print", "--json"]).await;
    assert_document!("open", run);
}

#[tokio::test(start_paused = true)]
async fn log_line_document() {
    let account = TestAccount::new(FLEET);
    account.run(&["launch", "fx-rates", "--wait"]).await.ok();
    let run = account.run(&["logs", "fx-rates", "--since", "1h", "--json"]).await.ok();
    assert!(run.out.lines().count() > 1, "{run:#?}");
    let line = run.out.lines().next().unwrap();
    let document: serde_json::Value = serde_json::from_str(line).unwrap();
    insta::assert_snapshot!("log_line", serde_json::to_string_pretty(&document).unwrap());
}

#[tokio::test(start_paused = true)]
async fn engine_documents() {
    let account = TestAccount::new(FLEET);
    assert_document!("engine_dry_run", account.run(&["engine", "--once", "--dry-run", "--json"]).await);
    assert_document!("engine_once", account.run(&["engine", "--once", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn activity_document() {
    let account = TestAccount::new(FLEET);
    account.run(&["engine", "--once"]).await.ok();
    account.clock.sleep(Duration::from_mins(1)).await;
    account.run(&["extend", "checkout-fix", "--by", "1h"]).await.ok();
    assert_document!("activity", account.run(&["activity", "--since", "10m", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn doctor_document() {
    let account = TestAccount::new(FLEET);
    assert_document!("doctor", account.run(&["doctor", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn fleet_documents() {
    let account = TestAccount::new(FLEET);
    assert_document!("fleet_ls", account.run(&["fleet", "ls", "--json"]).await);
    assert_document!(
        "fleet_set",
        account.run(&["fleet", "set", "spare=3", "hours=", "ttl=4h", "tags=team=payments", "--json"]).await
    );
    assert_document!("fleet_show", account.run(&["fleet", "show", "--json"]).await);
}

#[tokio::test(start_paused = true)]
async fn fleet_init_document() {
    let account = TestAccount::new("");
    let new =
        ["fleet", "init", "qa", "--source-database", "integration", "--database-subnet-group", "private"];
    let network = ["--subnets", "subnet-0a", "--security-group", "sg-0a1", "--image-tag", "dev", "--json"];
    let arguments = [&new[..], &network[..]].concat();
    assert_document!("fleet_init", account.run(&arguments).await);
}

#[tokio::test(start_paused = true)]
async fn error_document() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["extend", "nobody", "--by", "1h", "--json"]).await;
    insta::assert_snapshot!("error", run.pretty_json());
    let run = account.run(&["extend", "--json"]).await;
    insta::assert_snapshot!("error_usage", run.pretty_json());
}
