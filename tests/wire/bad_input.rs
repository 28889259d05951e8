//! Commands that fail: one sentence with what failed, why and what to do next, the documented exit code, and no partial changes.

use crate::support::account::{Account, init, init_arguments};
use crate::support::binary::{Run, command, command_through, hatchery};
use crate::support::moto::Moto;
use crate::support::proxy;
use crate::support::recorder::Recorder;

/// A server with a fleet whose pool is empty.
async fn fleet_without_pool() -> Moto {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0", "--grace", "5s"]).await;
    moto
}

/// Runs the binary with one environment variable changed.
fn run_with_env(moto: &Moto, variable: &str, value: &str, arguments: &[&str]) -> Run {
    command(moto).env(variable, value).args(arguments).output().unwrap().into()
}

async fn assert_nothing_created(moto: &Moto) {
    let state = Account::new(moto).await.inspect().await;
    assert!(
        state.records.is_empty() && state.active().is_empty() && state.databases.is_empty(),
        "{state:#?}"
    );
}

#[tokio::test]
async fn unknown_fleet_exits_3() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["launch", "x", "--fleet", "nobody"])
        .fails(3, &["there is no fleet", "nobody", "fleet ls"]);
    hatchery(&moto, &["ls", "--fleet", "No Body"]).fails(2, &["fleet name", "lower-case"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn ambiguous_fleet_exits_3() {
    let moto = fleet_without_pool().await;
    init(&moto, "qa", &["--spare", "0"]).await;
    hatchery(&moto, &["ls"]).fails(3, &["several fleets", "dev, qa", "--fleet"]);
    hatchery(&moto, &["ls", "--fleet", "qa"]).ok();
}

#[tokio::test]
async fn missing_credentials_exit_4() {
    let moto = fleet_without_pool().await;
    let run: Run = command(&moto)
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .args(["launch", "x"])
        .output()
        .unwrap()
        .into();
    run.fails(4, &["no credentials", "log in"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn expired_credentials_exit_4() {
    let moto = fleet_without_pool().await;
    let url = proxy::start(None, |_| {
        Some(("ExpiredToken", "The security token included in the request is expired"))
    });
    run_with_env(&moto, "AWS_ENDPOINT_URL", &url, &["launch", "x"]).fails(4, &["expired", "log in again"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn unreachable_endpoint_exits_1() {
    let moto = fleet_without_pool().await;
    run_with_env(&moto, "AWS_ENDPOINT_URL", "http://127.0.0.1:9", &["launch", "x"])
        .fails(1, &["cannot be reached", "check the network"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn region_without_fleet_exits_3() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["launch", "x", "--region", "us-east-1"])
        .fails(3, &["there is no fleet in us-east-1", "Region"]);
    hatchery(&moto, &["ls", "--region", "eu west/1"]).fails(2, &["Region", "eu-west-1"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn missing_image_exits_3() {
    let moto = fleet_without_pool().await;
    let ec2 = moto.ec2().await;
    ec2.deregister_image().image_id(moto.seed_of("dev").image).send().await.unwrap();
    hatchery(&moto, &["launch", "x"]).fails(3, &["no available image", "hatchery:image=dev", "images bake"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn missing_snapshot_exits_1() {
    let moto = fleet_without_pool().await;
    let rds = moto.rds().await;
    let found = rds.describe_db_snapshots().send().await.unwrap();
    for snapshot in found.db_snapshots() {
        let id = snapshot.db_snapshot_identifier().unwrap();
        rds.delete_db_snapshot().db_snapshot_identifier(id).send().await.unwrap();
    }
    hatchery(&moto, &["launch", "x"]).fails(1, &["no database is free", "no snapshot", "doctor"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn control_characters_are_rejected() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["launch", "a\u{1b}[31mred"]).fails(2, &["environment name", "letters"]);
    hatchery(&moto, &["launch", "x", "--note", "a\u{7}b"]).fails(2, &["note", "control characters"]);
    hatchery(&moto, &["launch", "x", "--service", "pay ments=1"]).fails(2, &["service"]);
    hatchery(&moto, &["logs", "x", "--source", "a/b"]).fails(2, &["source"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn ambiguous_label_exits_3() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["launch", "twin"]).ok();
    hatchery(&moto, &["launch", "twin"]).ok();
    let before = Account::new(&moto).await.inspect().await.records;
    hatchery(&moto, &["extend", "twin", "--by", "1h"]).fails(3, &["dev-1, dev-2", "use an id"]);
    hatchery(&moto, &["terminate", "twin", "--yes"]).fails(3, &["2 environments"]);
    hatchery(&moto, &["terminate", "nobody", "--yes"]).fails(3, &["there is no environment", "hatchery ls"]);
    hatchery(&moto, &["terminate", "dev-1"]).fails(2, &["--yes"]);
    assert_eq!(Account::new(&moto).await.inspect().await.records, before);
}

#[tokio::test]
async fn ttl_beyond_max_lifetime_exits_5() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["launch", "x", "--ttl", "30d"]).fails(5, &["max-lifetime", "at most 7d"]);
    assert_nothing_created(&moto).await;
    hatchery(&moto, &["launch", "x", "--ttl", "8h"]).ok();
    hatchery(&moto, &["extend", "x", "--by", "300d"]).ok();
    hatchery(&moto, &["extend", "x", "--by", "1h"]).fails(5, &["max-lifetime", "launch a new one"]);
}

#[tokio::test]
async fn exhausted_quota_fails_the_launch() {
    let moto = fleet_without_pool().await;
    let url = proxy::start(Some(moto.address()), |action| {
        (action == "RunInstances")
            .then_some(("VcpuLimitExceeded", "You have requested more vCPU capacity than your limit"))
    });
    run_with_env(&moto, "AWS_ENDPOINT_URL", &url, &["launch", "x"])
        .fails(1, &["dev-1", "vCPU", "higher quota"]);
    // The record stays listed as failed, with the reason, until its grace period ends.
    let listed = hatchery(&moto, &["ls", "--json"]).ok().json();
    assert_eq!(listed["environments"][0]["state"], "failed");
    assert!(listed["environments"][0]["problems"][0].as_str().unwrap().contains("VcpuLimitExceeded"));
    let account = Account::new(&moto).await;
    hatchery(&moto, &["engine", "--once"]).ok();
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    account.run_engine_until("nothing is left", |state| state.is_at_rest(0)).await;
}

#[tokio::test]
async fn max_databases_exits_5() {
    let moto = fleet_without_pool().await;
    hatchery(&moto, &["fleet", "set", "max-databases=1"]).ok();
    hatchery(&moto, &["launch", "first"]).ok();
    hatchery(&moto, &["launch", "second"]).fails(5, &["max-databases is 1", "max-databases"]);
    assert_eq!(Account::new(&moto).await.inspect().await.records.len(), 1);
}

#[tokio::test]
async fn security_group_open_to_the_internet_exits_5() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    moto.allow_ingress(&seed.security_group, "0.0.0.0/0").await;
    let subnets = seed.subnets.join(" ");
    let mut arguments = vec![
        "fleet",
        "init",
        "dev",
        "--source-database",
        &seed.source_database,
        "--database-subnet-group",
        &seed.subnet_group,
        "--subnets",
        &subnets,
        "--security-group",
        &seed.security_group,
    ];
    hatchery(&moto, &arguments).fails(5, &["admits 0.0.0.0/0", "allow-public", "nothing was written"]);
    hatchery(&moto, &["fleet", "ls"]).ok();
    arguments.extend(["--allow-public", &seed.security_group]);
    hatchery(&moto, &arguments).ok();
    // The same request has the same client token, and EC2 answers it as the first one.
    arguments.extend(["--spare", "3"]);
    hatchery(&moto, &arguments).fails(5, &["already exists", "fleet set"]);
    hatchery(&moto, &["fleet", "set", "allow-public="]).ok();
    hatchery(&moto, &["launch", "x"]).fails(5, &["cannot launch", "admits 0.0.0.0/0"]);
    assert_nothing_created(&moto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_cloud_init_ignores_exits_2() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let script = tempfile::NamedTempFile::new().unwrap();
    let init = |content: &[u8]| {
        std::fs::write(script.path(), content).unwrap();
        let arguments = init_arguments(&seed, "dev", &["--user-data", script.path().to_str().unwrap()]);
        hatchery(&moto, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    init("\u{feff}#!/bin/sh\n".as_bytes()).fails(2, &["cloud-init would ignore", "byte-order mark"]);
    init(b"\n#!/bin/sh\n").fails(2, &["cloud-init would ignore", "blanks"]);
    init(b"#!/bin/sh\r\necho up\r\n").fails(2, &["cloud-init would ignore", "dos2unix"]);
    hatchery(&moto, &["ls", "--fleet", "dev"]).fails(3, &["there is no fleet"]);
    init(b"#!/bin/sh\necho up\n").ok();
}

#[tokio::test]
async fn fleet_init_with_missing_resources_exits_3() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let run = hatchery(
        &moto,
        &[
            "fleet",
            "init",
            "dev",
            "--source-database",
            "nobody",
            "--database-subnet-group",
            "nowhere",
            "--subnets",
            "subnet-0000000000000000f",
            "--security-group",
            &seed.security_group,
            "--image-tag",
            "none",
        ],
    );
    run.fails(
        3,
        &[
            "\"nobody\"",
            "\"nowhere\"",
            "subnet-0000000000000000f",
            "hatchery:image=none",
            "nothing was written",
        ],
    );
    hatchery(&moto, &["ls"]).fails(3, &["there is no fleet", "fleet init"]);
}

#[tokio::test]
async fn json_errors_are_versioned_documents() {
    let moto = fleet_without_pool().await;
    let run = hatchery(&moto, &["extend", "nobody", "--by", "1h", "--json"]);
    assert_eq!(run.code, 3);
    let document = run.json();
    assert_eq!((&document["version"], &document["error"]["code"]), (&1.into(), &"not-found".into()));
    let run = hatchery(&moto, &["launch", "--json"]);
    assert_eq!((run.code, &run.json()["error"]["code"]), (2, &"usage".into()));
    let run = hatchery(&moto, &["launch", "x", "--read-only", "--json"]);
    assert_eq!((run.code, &run.json()["error"]["code"]), (4, &"read-only".into()));
    assert_nothing_created(&moto).await;
}

#[tokio::test]
async fn doctor_reports_the_missing_image() {
    let moto = fleet_without_pool().await;
    let healthy = hatchery(&moto, &["doctor", "--json"]).json();
    let checks: Vec<_> = healthy["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    for check in
        ["region", "credentials", "fleet", "clock", "snapshot", "image", "subnets", "network", "permissions"]
    {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    let ec2 = moto.ec2().await;
    ec2.deregister_image().image_id(moto.seed_of("dev").image).send().await.unwrap();
    let unhealthy = hatchery(&moto, &["doctor"]);
    assert_eq!(unhealthy.code, 1, "{unhealthy:#?}");
    assert!(
        unhealthy.out.contains("✗ error") && unhealthy.out.contains("hatchery:image=dev"),
        "{unhealthy:#?}"
    );
}

/// EC2 refuses a client token that was used for other data, before it looks at the name.
#[tokio::test(flavor = "multi_thread")]
async fn fleet_init_with_other_user_data_has_another_token() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), "#!/bin/sh\n").unwrap();
    let recorder = Recorder::start(moto.address());
    let init = |more: &[&str]| -> Run {
        let arguments = init_arguments(&seed, "dev", more);
        command_through(&moto, recorder.url()).args(arguments).output().unwrap().into()
    };
    init(&[]).ok();
    init(&["--user-data", script.path().to_str().unwrap()]).fails(5, &["already exists", "fleet set"]);
    let bodies = recorder.take().into_iter().map(|call| String::from_utf8(call.request.body).unwrap());
    let tokens: Vec<String> = bodies
        .filter(|body| body.contains("Action=CreateLaunchTemplate"))
        .map(|body| body.split('&').find(|part| part.starts_with("ClientToken=")).unwrap().to_owned())
        .collect();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert_ne!(tokens[0], tokens[1]);
}
