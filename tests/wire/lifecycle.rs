//! The lifecycle of an environment, from an empty account back to a pool at its target size.

use std::collections::BTreeMap;
use std::time::Duration;

use rstest::rstest;

use crate::support::account::{Account, init};
use crate::support::binary::hatchery;
use crate::support::emulators::EmulatorKind;

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn launch_extend_terminate_leaves_only_the_spare(#[case] kind: EmulatorKind) {
    let emulator = kind.start_with_write_lag();
    let account = Account::new(&emulator).await;
    init(&emulator, "dev", &["--spare", "1", "--grace", "1m"]).await;

    // The pool fills up.
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    let pool = hatchery(&emulator, &["pool", "--json"]).ok().json();
    assert_eq!((&pool["version"], &pool["free"], &pool["target"]), (&1.into(), &1.into(), &1.into()));

    // A launch claims the spare and prints the new environment.
    let launched = hatchery(
        &emulator,
        &[
            "launch",
            "checkout-fix",
            "--service",
            "payments=f-123",
            "--ttl",
            "8h",
            "--note",
            "for QA",
            "--json",
        ],
    )
    .ok()
    .json();
    let id = launched["environment"]["id"].as_str().unwrap().to_owned();
    assert_eq!(id, "dev-1");
    let state = account.inspect().await;
    assert_eq!(state.active().len(), 1);
    let tags = &state.active()[0].tags;
    assert_eq!(tags["hatchery:name"], "checkout-fix");
    assert_eq!(tags["hatchery:owner"], "amy");
    assert_eq!(tags["hatchery:service.payments"], "f-123");
    assert_eq!(tags["hatchery:database"], "hatchery-dev-1");
    assert_eq!(state.databases["hatchery-dev-1"]["hatchery:environment"], "dev-1");
    assert_eq!(state.records["hatchery/dev/1"]["hatchery:note"], "for QA");

    // Once the bootstrap reports ready, so does the list.
    account.set_phase(&state.active()[0].id, "ready").await;
    let listed = hatchery(&emulator, &["ls", "--json"]).ok().json();
    let environment = &listed["environments"][0];
    assert_eq!(listed["complete"], true);
    assert_eq!(environment["id"], id.as_str());
    assert_eq!(environment["state"], "ready");
    assert_eq!(environment["services"]["payments"], "f-123");
    assert_eq!(environment["database"]["id"], "hatchery-dev-1");
    assert!(environment["urls"]["app"].as_str().unwrap().starts_with("http://"));
    let open = hatchery(&emulator, &["open", "checkout-fix", "dashboard", "--print"]).ok();
    assert!(open.out.trim().starts_with("http://"), "{open:#?}");

    // An extension moves the expiry on the record and on the instance.
    let before = account.inspect().await.records["hatchery/dev/1"]["hatchery:expires-at"].clone();
    hatchery(&emulator, &["extend", "checkout-fix", "--by", "4h"]).ok();
    let state = account.inspect().await;
    let after = &state.records["hatchery/dev/1"]["hatchery:expires-at"];
    let moved = time(after) - time(&before);
    assert_eq!(moved.to_std().unwrap(), Duration::from_hours(4));
    assert_eq!(&state.active()[0].tags["hatchery:expires-at"], after);

    // Another version is requested of the instance, which takes it, or says why not.
    let tags = redeploy(&account, &["redeploy", "checkout-fix"], Err("its bootstrap is too old")).await;
    assert!(!tags.contains_key("hatchery:deployment"));
    account.set_rollout(&state.active()[0].id, "2026-01-01T00:00:00Z", "done").await;
    let update = ["redeploy", "checkout-fix", "--service", "payments=f-124", "--service", "kyc=pr-7"];
    let tags = redeploy(&account, &update, Ok(())).await;
    assert_eq!(
        (tags["hatchery:service.payments"].as_str(), tags["hatchery:service.kyc"].as_str()),
        ("f-124", "pr-7")
    );
    assert_eq!(tags["hatchery:expires-at"], *after);
    let request = tags["hatchery:deployment"].split_once(' ').unwrap().0.to_owned();
    let listed = || hatchery(&emulator, &["ls", "--json"]).ok().json()["environments"][0].clone();
    assert_eq!(listed()["deployment"]["state"], "requested");
    account.set_rollout(&state.active()[0].id, &request, "failed images: cannot pull kyc:pr-7").await;
    assert_eq!((&listed()["state"], &listed()["deployment"]["state"]), (&"ready".into(), &"failed".into()));
    let problem = "the deployment that amy requested failed: images: cannot pull kyc:pr-7";
    assert_eq!(listed()["problems"], serde_json::json!([problem]));
    let tags = redeploy(&account, &["redeploy", "checkout-fix", "--default", "kyc"], Ok(())).await;
    assert!(!tags.contains_key("hatchery:service.kyc"), "{tags:?}");
    let request = tags["hatchery:deployment"].split_once(' ').unwrap().0.to_owned();
    account.set_rollout(&state.active()[0].id, &request, "done").await;
    assert_eq!(
        (&listed()["deployment"]["state"], &listed()["problems"]),
        (&"done".into(), &serde_json::json!([]))
    );

    // The instance's log lines can be read.
    account.ship_log("dev", "hatchery/dev/1", "bootstrap", &["minikube is up", "all services answer"]).await;
    let logs = hatchery(&emulator, &["logs", "checkout-fix", "--since", "1h", "--source", "bootstrap"]).ok();
    assert!(logs.out.contains("minikube is up") && logs.out.contains("all services answer"), "{logs:#?}");

    // The engine refills the pool after the launch, and completes the termination.
    account.run_engine_until("the pool is full again", |state| state.free() == 1).await;
    hatchery(&emulator, &["terminate", &id, "--yes"]).ok();
    account.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    let quiet = hatchery(&emulator, &["engine", "--once", "--json"]).ok().json();
    assert_eq!(quiet["steps"], serde_json::json!([]), "no steps remain");

    // Every step is in the audit log.
    let activity = hatchery(&emulator, &["activity", "--json"]).ok().json();
    let actions: Vec<_> = activity["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    for action in [
        "create-database",
        "launch",
        "extend",
        "redeploy",
        "terminate",
        "terminate-instance",
        "delete-database",
        "delete-record",
    ] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn expired_environment_is_reaped_in_two_sweeps(#[case] kind: EmulatorKind) {
    let emulator = kind.start_with_write_lag();
    let account = Account::new(&emulator).await;
    init(&emulator, "dev", &["--spare", "0", "--grace", "5s"]).await;
    hatchery(&emulator, &["launch", "short", "--ttl", "1m"]).ok();
    // As if the minute had passed.
    account.tag_record("hatchery/dev/1", "hatchery:expires-at", "2026-01-01T00:00:00Z").await;

    hatchery(&emulator, &["engine", "--once"]).ok();
    let state = account.inspect().await;
    assert!(state.records["hatchery/dev/1"].contains_key("hatchery:reaping-since"));
    assert_eq!(state.active().len(), 1, "the first sweep only marks");
    hatchery(&emulator, &["engine", "--once"]).ok();
    assert_eq!(account.inspect().await.active().len(), 1, "the grace period has not passed");

    tokio::time::sleep(Duration::from_secs(6)).await;
    account.run_engine_until("nothing is left", |state| state.is_at_rest(0)).await;
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn dry_run_lists_steps_and_changes_nothing(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    let account = Account::new(&emulator).await;
    init(&emulator, "dev", &["--spare", "2"]).await;
    let dry = hatchery(&emulator, &["engine", "--once", "--dry-run", "--json"]).ok().json();
    let actions: Vec<_> = dry["steps"].as_array().unwrap().iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, ["create-database", "create-database"]);
    assert!(account.inspect().await.databases.is_empty());
}

/// Runs the command, and returns the tags of the only instance. They are those of its record.
async fn redeploy(
    account: &Account<'_>,
    arguments: &[&str],
    expected: Result<(), &str>,
) -> BTreeMap<String, String> {
    let run = hatchery(account.emulator(), arguments);
    match expected {
        Ok(()) => drop(run.ok()),
        Err(reason) => assert!(run.code == 5 && run.err.contains(reason), "{run:#?}"),
    }
    let state = account.inspect().await;
    let record = &state.records["hatchery/dev/1"];
    let tags = state.active()[0].tags.clone();
    let copied = |tags: &BTreeMap<String, String>| {
        let is_copied = |key: &str| key == "hatchery:deployment" || key.starts_with("hatchery:service.");
        tags.iter().filter(|(key, _)| is_copied(key)).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    assert_eq!(copied(record), copied(&tags));
    tags
}

fn time(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}
