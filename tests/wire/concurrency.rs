//! Concurrent launches, and listings of more than one page.

use std::collections::BTreeSet;

use crate::support::account::{Account, init};
use crate::support::binary::{command, hatchery};
use crate::support::moto::Moto;

#[tokio::test]
async fn eight_concurrent_launches_share_no_database() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "3"]).await;
    account.run_engine_until("the pool is full", |state| state.free() == 3).await;

    let children: Vec<_> = (0..8)
        .map(|n| {
            let name = format!("race-{n}");
            let mut command = command(&moto);
            command.args(["launch", &name, "--json"]).stdout(std::process::Stdio::piped());
            (name, command.stderr(std::process::Stdio::piped()).spawn().unwrap())
        })
        .collect();
    let mut launched = Vec::new();
    for (name, child) in children {
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            launched.push((name, document["environment"]["id"].as_str().unwrap().to_owned()));
        } else {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!text.trim().is_empty(), "a failed launch prints its reason");
        }
    }
    assert!(launched.len() >= 3, "the pool alone serves three: {launched:?}");

    let state = account.inspect().await;
    let databases: Vec<_> =
        state.active().iter().map(|instance| instance.tags["hatchery:database"].clone()).collect();
    let distinct: BTreeSet<_> = databases.iter().collect();
    assert_eq!(distinct.len(), databases.len(), "no database is shared: {databases:?}");
    for (name, id) in &launched {
        let own: Vec<_> = state
            .active()
            .into_iter()
            .filter(|instance| instance.tags["hatchery:environment"] == *id)
            .collect();
        assert_eq!(own.len(), 1, "{id} has one instance");
        assert_eq!(own[0].tags["hatchery:name"], *name);
    }

    for (_, id) in &launched {
        hatchery(&moto, &["terminate", id, "--yes"]).ok();
    }
    account.run_engine_until("only the spares are left", |state| state.is_at_rest(3)).await;
}

#[tokio::test]
async fn listing_of_250_environments_is_complete() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0", "--max-databases", "500"]).await;
    account.create_environments("dev", 250).await;

    let listed = hatchery(&moto, &["ls", "--json"]).ok().json();
    let ids: BTreeSet<_> = listed["environments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|environment| environment["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 250);
    assert_eq!(listed["complete"], true);
    let joined = listed["environments"].as_array().unwrap().iter();
    assert!(joined.clone().all(|environment| environment["instance"]["id"].is_string()));
    assert!(joined.clone().all(|environment| environment["database"]["id"].is_string()));
    let pool = hatchery(&moto, &["pool", "--json"]).ok().json();
    assert_eq!(pool["claimed"], 250);
    let dry = hatchery(&moto, &["engine", "--once", "--dry-run", "--json"]).ok().json();
    let deletes = dry["steps"].as_array().unwrap().iter().filter(|step| {
        ["terminate-instance", "delete-database", "delete-record", "retire-database"]
            .contains(&step["action"].as_str().unwrap())
    });
    assert_eq!(deletes.count(), 0, "no environment is treated as an orphan");
}
