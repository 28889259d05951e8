//! What the commands print for a user.

use std::time::Duration;

use rstest::rstest;

use super::documents::FLEET;
use super::harness::TestAccount;

macro_rules! assert_text {
    ($name:literal, $run:expr) => {{
        let run = $run.ok();
        insta::assert_snapshot!($name, format!("$ {}\n{}{}", run.command, run.out, run.err));
    }};
}

#[tokio::test(start_paused = true)]
async fn ls_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("ls_text", account.run(&["ls"]).await);
    assert_text!("ls_text_empty", TestAccount::new("").run(&["ls"]).await);
}

#[tokio::test(start_paused = true)]
async fn pool_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("pool_text", account.run(&["pool"]).await);
    account.run(&["fleet", "set", "spare=auto"]).await.ok();
    assert_text!("pool_text_auto", account.run(&["pool"]).await);
    assert_text!("pool_text_empty", TestAccount::new("").run(&["pool"]).await);
}

#[tokio::test(start_paused = true)]
async fn images_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("images_text", account.run(&["images"]).await);
    assert_text!("images_bake_text", account.run(&["images", "bake", "base"]).await);
    let listed = account.run(&["images"]).await.ok().out;
    assert!(listed.contains("base"), "{listed}");
    let activity = account.run(&["activity"]).await.ok().out;
    assert!(activity.contains("bake-image"), "{activity}");
}

#[tokio::test(start_paused = true)]
async fn changes_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("launch_text", account.run(&["launch", "fx-rates", "--wait"]).await);
    assert_text!("extend_text", account.run(&["extend", "fx-rates", "--by", "4h"]).await);
    assert_text!("extend_capped_text", account.run(&["extend", "fx-rates", "--by", "300d"]).await);
    assert_text!("open_text", account.run(&["open", "fx-rates", "--print"]).await);
    assert_text!("logs_text", account.run(&["logs", "fx-rates", "--since", "1h"]).await);
    assert_text!("terminate_text", account.run(&["terminate", "fx-rates", "--yes"]).await);
}

#[tokio::test(start_paused = true)]
async fn simulated_instances_forward_no_ports() {
    let account = TestAccount::new(FLEET);
    account.run(&["fleet", "set", "access=ssm"]).await.ok();
    let ready = account.run(&["launch", "fx-rates", "--wait"]).await.ok();
    assert!(ready.out.ends_with("dev-9 is ready.\nOpen it with: hatchery open dev-9\n"), "{ready:#?}");
    assert!(account.run(&["ls", "--json"]).await.ok().out.contains("\"urls\":{}"));
    insta::assert_snapshot!(account.run(&["open", "fx-rates"]).await.transcript());
}

/// The zone's offset is that of each time.
#[rstest]
#[case::local(&[], "-04:00 ")]
#[case::utc(&["--utc"], "Z ")]
#[tokio::test(start_paused = true)]
async fn times_are_local_unless_utc_is_asked_for(#[case] flags: &[&str], #[case] offset: &str) {
    let mut account = TestAccount::new(FLEET);
    account.zone = chrono_tz::America::New_York.into();
    account.run(&["launch", "fx-rates", "--wait"]).await.ok();
    for command in [&["logs", "fx-rates", "--since", "1h"][..], &["activity"]] {
        let run = account.run(&[command, flags].concat()).await.ok();
        let mut lines = run.out.lines().filter(|line| line.starts_with("2026-"));
        assert!(lines.clone().count() > 1 && lines.all(|line| line[19..].starts_with(offset)), "{run:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn logs_text_empty() {
    let account = TestAccount::new(FLEET);
    assert_text!("logs_text_empty", account.run(&["logs", "checkout-fix", "--since", "1s"]).await);
}

#[tokio::test(start_paused = true)]
async fn terminate_asks_the_owner() {
    let account = TestAccount::new(FLEET);
    assert_text!("terminate_own", account.run_and_answer(&["terminate", "checkout-fix"], "yes\n").await);
}

#[tokio::test(start_paused = true)]
async fn terminate_of_others_asks_for_the_name() {
    let account = TestAccount::new(FLEET);
    let refused = account.run_and_answer(&["terminate", "ledger-spike"], "yes\n").await;
    insta::assert_snapshot!("terminate_not_confirmed", refused.transcript());
    let run = account.run_and_answer(&["terminate", "ledger-spike"], "ledger-spike\n").await;
    assert_text!("terminate_other", run);
}

#[tokio::test(start_paused = true)]
async fn reset_asks_and_waits() {
    let account = TestAccount::new(FLEET);
    let refused = account.run_and_answer(&["reset", "ledger-spike"], "yes\n").await;
    insta::assert_snapshot!("reset_not_confirmed", refused.transcript());
    let run = account.run_and_answer(&["reset", "checkout-fix"], "yes\n").await.ok();
    assert!(run.out.contains("instead of hatchery-dev-"), "{run:#?}");
    let again = account.run(&["reset", "checkout-fix", "--yes"]).await;
    assert_eq!(again.code, std::process::ExitCode::from(5), "{again:#?}");
    assert!(again.err.contains("in progress since"), "{again:#?}");
    let listed = account.run(&["ls"]).await.ok();
    assert_eq!(listed.out.matches("checkout-fix").count(), 1, "{listed:#?}");
}

#[tokio::test(start_paused = true)]
async fn reset_waits_for_the_instance() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["reset", "checkout-fix", "--yes", "--wait", "--json"]).await.ok();
    let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&document["done"], &document["switched"]), (&true.into(), &true.into()), "{run:#?}");
    let listed = account.run(&["ls", "--json"]).await.ok();
    let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    let environments = listed["environments"].as_array().unwrap();
    let found = environments.iter().find(|found| found["name"] == "checkout-fix").unwrap();
    assert_eq!(found["database"]["id"], document["database"]);
    let pool = account.run(&["pool", "--json"]).await.ok();
    let pool: serde_json::Value = serde_json::from_str(&pool.out).unwrap();
    let databases = pool["databases"].as_array().unwrap();
    let used = databases.iter().find(|found| found["id"] == document["database"]).unwrap();
    assert_eq!((&used["state"], &used["environment"]), (&"claimed".into(), &document["id"]));
}

#[tokio::test(start_paused = true)]
async fn engine_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("engine_dry_run_text", account.run(&["engine", "--once", "--dry-run"]).await);
    assert_text!("engine_once_text", account.run(&["engine", "--once"]).await);
    account.clock.sleep(Duration::from_mins(1)).await;
    assert_text!("activity_text", account.run(&["activity", "--since", "10m"]).await);
    assert_text!("activity_text_empty", account.run(&["activity", "--since", "1s"]).await);
}

#[tokio::test(start_paused = true)]
async fn pool_says_what_is_not_done() {
    let account = TestAccount::new(FLEET);
    account.run(&["fleet", "set", "paused=true"]).await.ok();
    let run = account.run(&["pool"]).await.ok();
    assert!(run.out.ends_with("\nNot done:\n  engine dev: the fleet is paused\n"), "{run:#?}");
    let document: serde_json::Value =
        serde_json::from_str(&account.run(&["pool", "--json"]).await.out).unwrap();
    let refused =
        serde_json::json!([{ "action": "engine", "target": "dev", "reason": "the fleet is paused" }]);
    assert_eq!(document["refused"], refused);
}

#[tokio::test(start_paused = true)]
async fn metrics_are_one_line_of_json() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["engine", "--once", "--metrics"]).await.ok();
    assert_eq!(run.out.lines().count(), 1, "{run:#?}");
    let line: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&line["Fleet"], &line["CompletePasses"]), (&"dev".into(), &1.into()), "{line:#}");
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "hatchery");
    let run = account.run(&["engine", "--once", "--metrics", "--json"]).await;
    assert_eq!(run.code, std::process::ExitCode::from(2), "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn doctor_text() {
    assert_text!("doctor_text", TestAccount::new(FLEET).run(&["doctor"]).await);
}

#[tokio::test(start_paused = true)]
async fn fleet_text() {
    let account = TestAccount::new(FLEET);
    assert_text!("fleet_ls_text", account.run(&["fleet", "ls"]).await);
    let tags = "tags=team=payments, cost-center=42";
    assert_text!("fleet_set_text", account.run(&["fleet", "set", "spare=3", "ttl=4h", tags]).await);
    assert_text!("fleet_set_text_unchanged", account.run(&["fleet", "set", "spare=3"]).await);
    assert_text!("fleet_show_text", account.run(&["fleet", "show"]).await);
}
