//! `hatchery doctor --prove` on the simulated cloud: its table, and that nothing of it is left.

use std::process::ExitCode;
use std::time::Duration;

use hatchery::cloud::sim::SimCloud;
use hatchery::domain::tags::key;
use serde_json::Value;

use super::documents::FLEET;
use super::harness::{Run, TestAccount};

const PROVE: [&str; 3] = ["doctor", "--prove", "--yes"];
const WITH_DATABASE: [&str; 4] = ["doctor", "--prove", "--with-database", "--yes"];

/// Names of what a run creates that exist now, and the databases of the pool with its tag.
fn traces(sim: &SimCloud) -> Vec<String> {
    sim.inspect(|state| {
        let templates = state.templates().map(|(_, template)| template.name.clone());
        let databases = state.databases().filter(|(_, database)| database.status != "deleting");
        let databases = databases.map(|(id, database)| {
            let is_tagged = database.tags.contains_key("hatchery-proof:value");
            if is_tagged { format!("hatchery-proof on {id}") } else { id.to_owned() }
        });
        let groups = state.proof_groups().map(str::to_owned);
        let all = templates.chain(databases).chain(groups);
        all.filter(|name| name.trim_start_matches('/').starts_with("hatchery-proof")).collect()
    })
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

/// The verdict of a fact, with what was observed or why it was not tried.
fn fact<'d>(document: &'d Value, id: &str) -> (&'d str, &'d str) {
    let facts = document["facts"].as_array().unwrap();
    let fact = facts.iter().find(|fact| fact["id"] == id).unwrap_or_else(|| panic!("{id}: {document:#}"));
    let text = fact["reason"].as_str().or(fact["observed"].as_str()).unwrap();
    (fact["verdict"].as_str().unwrap(), text)
}

#[tokio::test(start_paused = true)]
async fn table_of_a_calm_account() {
    let account = TestAccount::new(FLEET);
    let before = account.run(&["pool", "--json"]).await.ok().out;
    let run = account.run(&WITH_DATABASE).await.ok();
    assert_eq!(traces(&account.sim), Vec::<String>::new());
    insta::assert_snapshot!(format!("$ {}\n{}{}", run.command, run.out, run.err));
    for secret in ["123456789012", "arn:", "dev", "integration", "amy"] {
        assert!(!run.out.contains(secret), "{secret} in {run:#?}");
    }
    let state = |text: &str| serde_json::from_str::<Value>(text).unwrap()["databases"].clone();
    let after = account.run(&["pool", "--json"]).await.ok().out;
    assert_eq!(state(&before).as_array().unwrap().len(), state(&after).as_array().unwrap().len());
}

#[tokio::test(start_paused = true)]
async fn document_of_a_calm_account() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&[&PROVE[..], &["--json"]].concat()).await.ok();
    let document = document(&run);
    assert_eq!(document["version"], 1);
    assert_eq!((&document["leftovers"], &document["left"]), (&0.into(), &0.into()));
    assert_eq!(fact(&document, "unique-name"), ("holds", "1 created, 7 refused"));
    assert_eq!(fact(&document, "unique-stream"), ("holds", "1 created, 7 refused"));
    assert_eq!(fact(&document, "permission ec2:RunInstances"), ("holds", "permitted"));
    assert!(document["facts"].as_array().unwrap().iter().all(|fact| fact["id"] != "deletion"));
}

#[tokio::test(start_paused = true)]
async fn user_is_asked_first() {
    let account = TestAccount::new(FLEET);
    let requests = |account: &TestAccount| {
        account.sim.inspect(|state| state.requests().get("CreateLaunchTemplate").copied().unwrap_or_default())
    };
    let before = requests(&account);
    for arguments in [&["doctor", "--prove"][..], &["doctor", "--prove", "--yes", "--read-only"]] {
        let refused = account.run(arguments).await;
        assert_ne!(refused.code, ExitCode::SUCCESS, "{refused:#?}");
        assert_eq!(refused.out, "", "{refused:#?}");
    }
    let asked = account.run_and_answer(&["doctor", "--prove", "--with-database"], "yes\n").await;
    insta::assert_snapshot!(asked.transcript());
    assert_eq!(requests(&account), before, "nothing was created");
    account.run_and_answer(&["doctor", "--prove"], "yes\n").await.ok();
    assert!(requests(&account) > before);
}

/// A cloud that breaks what the claim relies on, and whose templates and databases are slow.
#[tokio::test(start_paused = true)]
async fn difference_fails_the_command() {
    let account = TestAccount::new(&format!("{FLEET}\n[faults]\nbroken = [\"unique-names\"]\n"));
    let run = account.run(&[&PROVE[..], &["--json"]].concat()).await;
    assert_eq!(run.code, ExitCode::FAILURE, "{run:#?}");
    assert_eq!(fact(&document(&run), "unique-name"), ("differs", "8 created, 0 refused"));
    assert_eq!(fact(&document(&run), "unique-stream"), ("differs", "8 created, 0 refused"));
    assert_eq!(traces(&account.sim), Vec::<String>::new());

    let slow = TestAccount::new(&format!("{FLEET}\n[strictness]\nwrite-lag = 3.0\ninitialization = true\n"));
    let run = slow.run(&[&WITH_DATABASE[..], &["--json"]].concat()).await.ok();
    let document = document(&run);
    let (verdict, observed) = fact(&document, "template-usable");
    assert!(verdict == "holds" && observed != "after 0.0 s, after 0.0 s, after 0.0 s", "{observed}");
    assert_eq!(fact(&document, "delete-while-creating"), ("holds", "accepted"));
    assert!(fact(&document, "restore-statuses").1.starts_with("creating after "), "{document:#}");
    assert_eq!(traces(&slow.sim), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn frozen_fleet_is_left_alone() {
    let account = TestAccount::new(FLEET);
    account.run(&["fleet", "set", "paused=true"]).await.ok();
    let run = account.run(&[&PROVE[..], &["--json"]].concat()).await.ok();
    assert_eq!(fact(&document(&run), "rds-tag-value"), ("not tried", "the fleet is paused"));
    let empty = TestAccount::new("");
    let run = empty.run(&[&PROVE[..], &["--json"]].concat()).await.ok();
    assert_eq!(fact(&document(&run), "rds-tag-value"), ("not tried", "the pool has no free database"));
}

/// The run is dropped at many moments, as by `SIGKILL`. What it leaves is no part of the fleet, and the next run removes it.
#[tokio::test(start_paused = true)]
async fn next_run_removes_what_a_killed_one_left() {
    let scenario = FLEET.replace("[latency]\n", "[latency]\ncall = [0.1, 0.4]\n");
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..60 {
        let account = TestAccount::new(&format!("{scenario}\n[strictness]\nrefused-while-busy = 1.0\n"));
        let before = traces(&account.sim);
        let limit = Duration::from_millis(100 + 250 * step);
        let killed = tokio::time::timeout(limit, account.run(&WITH_DATABASE)).await;
        assert!(killed.is_err(), "it is not done before the restore");
        // A request on its way is processed.
        account.clock.sleep(Duration::from_secs(1)).await;
        let left = traces(&account.sim);
        seen.extend(left.iter().map(|name| match name.strip_prefix('/') {
            Some(_) => "group".to_owned(),
            None => name.split('-').next_back().unwrap().to_owned(),
        }));
        let records = account.run(&["ls", "--json"]).await.ok().out;
        assert!(!records.contains("proof"), "{records}");
        let run = account.run(&PROVE).await;
        assert_eq!(traces(&account.sim), before, "{left:?}: {run:#?}");
        for name in left.iter().filter(|name| name.starts_with("hatchery-proof/")) {
            let said = format!("removed what an earlier run left behind: launch template {name}\n");
            assert!(run.err.contains(&said), "{said} in {run:#?}");
        }
        for name in left.iter().filter(|name| name.starts_with('/')) {
            let said = format!("removed what an earlier run left behind: log group {name}\n");
            assert!(run.err.contains(&said), "{said} in {run:#?}");
        }
    }
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["1", "2", "3", "9", "claim", "first", "group"], "each kind of trace was left once");
}

#[tokio::test(start_paused = true)]
async fn only_what_a_run_made_is_removed() {
    let account = TestAccount::new(FLEET);
    let other = account.sim.caller("jo");
    let created = tokio::time::timeout(Duration::from_secs(5), account.run_with(&WITH_DATABASE, None, other));
    assert!(created.await.is_err(), "it waits for its database");
    let left = traces(&account.sim);
    assert_eq!(left.len(), 1, "the database of jo: {left:?}");
    account.run(&PROVE).await.ok();
    assert_eq!(traces(&account.sim), left, "jo's run may go on");
    account.clock.sleep(Duration::from_hours(4)).await;
    let run = account.run(&[&PROVE[..], &["--json"]].concat()).await.ok();
    assert_eq!(document(&run)["leftovers"], 1);
    assert_eq!(traces(&account.sim), Vec::<String>::new(), "jo's run is not running any more");
    let fleet = account.sim.inspect(|state| {
        state.templates().filter(|(_, template)| template.tags.contains_key(key::FLEET)).count()
    });
    assert_eq!(fleet, 4, "the fleet and its records are still there");
}
