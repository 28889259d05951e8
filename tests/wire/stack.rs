//! The CloudFormation template: checked by cfn-lint, deployed to moto, and used by the binary. `deploy_stack.py` lists what the emulators
//! leave out.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::binary::{Run, hatchery};
use crate::support::emulator::{Emulator, REGION};
use crate::support::moto::Moto;

/// Runs a program with the text on stdin, and returns its output.
fn run(program: &Path, arguments: &[&str], variables: &[(String, String)], text: &str) -> Output {
    let mut process = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn template_passes_cfn_lint() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    std::fs::write(&path, hatchery(&moto, &["stack"]).ok().out).unwrap();
    // Informational findings count too.
    let arguments = ["--template", path.to_str().unwrap(), "--include-checks", "I"];
    let output = run(&moto.program("cfn-lint"), &arguments, &[], "");
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Deploys the template to the emulator, on the network and the source database of its seed. Returns the created policies.
pub(crate) async fn deploy(emulator: &Emulator) -> Value {
    run_deployment(emulator, "10.8.0.0/16", &[]).await.ok().json()
}

/// The same, and fails unless what the emulator leaves out is exactly what `deploy_stack.py` lists.
pub(crate) async fn deploy_and_check(emulator: &Emulator) {
    run_deployment(emulator, "10.8.0.0/16", &["check"]).await.ok();
}

/// Deploys the template with this range as the VPN's.
pub(crate) async fn run_deployment(emulator: &Emulator, vpn: &str, options: &[&str]) -> Run {
    let seed = emulator.seed("dev").await;
    let subnets = seed.subnets.join(",");
    let vpc = emulator.ec2().await.describe_subnets().subnet_ids(&seed.subnets[0]).send().await.unwrap();
    let parameters = json!({
        "FleetName": "dev",
        "VpcId": vpc.subnets()[0].vpc_id().unwrap(),
        "SubnetIds": subnets,
        "DatabaseSubnetIds": subnets,
        "VpnCidr": vpn,
        "SourceDatabase": seed.source_database,
        "DatabaseSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:integration-a1b2c3",
        "Registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services",
        "Chart": "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/chart",
        "Services": "payments,kyc",
        "ArtifactBucket": "artifacts",
    });
    let template = hatchery(emulator, &["stack"]).ok().out;
    let mut variables = emulator.env();
    variables.push(("AWS_DEFAULT_REGION".into(), REGION.into()));
    let mut arguments = vec!["-W", "ignore", "-c", include_str!("deploy_stack.py"), emulator.name()];
    arguments.extend(options);
    let request = json!({ "template": template, "parameters": parameters }).to_string();
    run(&emulator.program("python"), &arguments, &variables, &request).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_creates_all_but_what_is_listed() {
    deploy_and_check(&Moto::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployed_fleet_launches_and_terminates() {
    let moto = Moto::start();
    let policies = deploy(&moto).await;
    assert!(policies["hatchery-dev-engine"].is_object(), "{policies:#}");

    let fleet = hatchery(&moto, &["fleet", "show", "--json"]).ok().json();
    assert_eq!(fleet["fleet"]["problems"].as_array().map_or(0, Vec::len), 0, "{fleet:#}");
    // moto gives parameter groups of a stack names of its own; AWS keeps the template's.
    hatchery(&moto, &["fleet", "set", "database-parameter-group="]).ok();
    let account = Account::new(&moto).await;
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let state = account.inspect().await;
    assert_eq!(state.active()[0].tags["hatchery:name"], "checkout-fix");
    account.set_phase(&state.active()[0].id, "ready").await;
    hatchery(&moto, &["terminate", "checkout-fix", "--yes"]).ok();
    account.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
}
