//! The CloudFormation template: checked by cfn-lint, deployed to moto, and used by the binary. `deploy_stack.py` lists what the emulators
//! leave out.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::account::{Account, State};
use crate::support::binary::{Run, hatchery};
use crate::support::emulator::{Emulator, REGION};
use crate::support::moto::Moto;
use crate::support::python::VirtualEnvironment;

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

/// The linters of security, apart from moto's environment, because checkov needs an old boto3. parliament needs `pkg_resources`.
static LINTERS: VirtualEnvironment = VirtualEnvironment {
    name: "linters",
    requirements: &[
        "cfn-lint==1.58.0",
        "checkov==3.3.30",
        "cloudsplaining==0.7.0",
        "parliament==1.6.4",
        "setuptools==80.9.0",
    ],
};

/// Writes the template into a folder, and returns its path.
fn write_template(emulator: &Emulator, folder: &Path) -> String {
    let path = folder.join("template.yaml");
    std::fs::write(&path, hatchery(emulator, &["stack"]).ok().out).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_finding_of_the_security_linters_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let template = write_template(&Moto::start(), folder.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/lint_stack.py");
    let output: Run = run(&LINTERS.program("python"), &["-W", "ignore", script, &template], &[], "").into();
    assert!(output.ok().out.contains("all answered"));
}

#[test]
fn template_passes_cfn_lint() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let template = write_template(&moto, folder.path());
    // Informational findings count too.
    let arguments = ["--template", &template, "--include-checks", "I"];
    let output = run(&moto.program("cfn-lint"), &arguments, &[], "");
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// The template without what the emulator cannot create.
pub(crate) fn restrict(emulator: &Emulator, template: &str) -> String {
    let arguments = ["-W", "ignore", "-c", include_str!("deploy_stack.py"), emulator.name(), "restrict"];
    let variables = [("AWS_DEFAULT_REGION".to_owned(), REGION.to_owned())];
    Run::from(run(&emulator.program("python"), &arguments, &variables, template)).ok().out
}

/// Deploys the template to the emulator, on the network and the source database of its seed. Returns the created policies.
pub(crate) async fn deploy(emulator: &Emulator) -> Value {
    deploy_with(emulator, &json!({})).await
}

/// The same, with other parameters.
pub(crate) async fn deploy_with(emulator: &Emulator, parameters: &Value) -> Value {
    run_deployment(emulator, parameters, &[]).await.ok().json()
}

/// The same, and fails unless what the emulator leaves out is exactly what `deploy_stack.py` lists.
pub(crate) async fn deploy_and_check(emulator: &Emulator) {
    run_deployment(emulator, &json!({}), &["check"]).await.ok();
}

/// Deploys the template with these parameters and, of the others, those that a fleet needs.
pub(crate) async fn run_deployment(emulator: &Emulator, others: &Value, options: &[&str]) -> Run {
    let seed = emulator.seed("dev").await;
    let subnets = seed.subnets.join(",");
    let vpc = emulator.ec2().await.describe_subnets().subnet_ids(&seed.subnets[0]).send().await.unwrap();
    let mut parameters = json!({
        "FleetName": "dev",
        "VpcId": vpc.subnets()[0].vpc_id().unwrap(),
        "SubnetIds": subnets,
        "DatabaseSubnetIds": subnets,
        "VpnCidr": "10.8.0.0/16",
        "SourceDatabase": seed.source_database,
        "DatabaseSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:integration-a1b2c3",
        "Registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services",
        "Chart": "oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/chart",
        "Services": "payments,kyc",
        "ArtifactBucket": "artifacts",
    });
    parameters.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
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
async fn fleet_deployed_to_moto_runs_the_story() {
    let moto = Moto::start();
    let policies = deploy(&moto).await;
    assert!(policies["hatchery-dev-engine"].is_object(), "{policies:#}");
    run_story(&moto).await;
}

/// Runs an environment from the empty pool back to it, in the fleet that the stack made.
pub(crate) async fn run_story(emulator: &Emulator) {
    let account = Account::new(emulator).await;
    let fleet = hatchery(emulator, &["fleet", "show", "--json"]).ok().json();
    assert_eq!(fleet["problems"], json!([]), "{fleet:#}");
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    let group = fleet["settings"]["database-parameter-group"].as_str().unwrap();
    assert_stack_is_used_by_the_database(emulator, group).await;

    let launch = ["launch", "checkout-fix", "--service", "payments=f-123", "--ttl", "8h", "--json"];
    let launched = hatchery(emulator, &launch).ok().json();
    assert_eq!(launched["environment"]["id"], "dev-1");
    let state = account.inspect().await;
    assert_eq!(state.active().len(), 1);
    let instance = state.active()[0].clone();
    for (key, value) in [
        ("hatchery:fleet", "dev"),
        ("hatchery:role", "environment"),
        ("hatchery:environment", "dev-1"),
        ("hatchery:name", "checkout-fix"),
        ("hatchery:owner", "amy"),
        ("hatchery:service.payments", "f-123"),
        ("hatchery:database", "hatchery-dev-1"),
    ] {
        assert_eq!(instance.tags[key], value, "{key}");
    }
    assert_eq!(state.databases["hatchery-dev-1"]["hatchery:environment"], "dev-1");
    assert_stack_is_used_by_the_instance(emulator, &instance.id).await;

    account.set_phase(&instance.id, "ready").await;
    let listed = hatchery(emulator, &["ls", "--json"]).ok().json();
    let environment = &listed["environments"][0];
    assert_eq!((&environment["id"], &environment["state"]), (&json!("dev-1"), &json!("ready")));
    let open = hatchery(emulator, &["open", "checkout-fix", "dashboard", "--print"]).ok();
    assert!(open.out.trim().starts_with("http://"), "{open:#?}");
    account.ship_log("dev", "hatchery/dev/1", "bootstrap", &["all services answer"]).await;
    let logs = hatchery(emulator, &["logs", "checkout-fix", "--since", "1h", "--source", "bootstrap"]).ok();
    assert!(logs.out.contains("all services answer"), "{logs:#?}");

    let expiry = |state: &State| state.records["hatchery/dev/1"]["hatchery:expires-at"].clone();
    let before = expiry(&state);
    hatchery(emulator, &["extend", "checkout-fix", "--by", "4h"]).ok();
    let state = account.inspect().await;
    assert!(expiry(&state) > before);
    assert_eq!(state.active()[0].tags["hatchery:expires-at"], expiry(&state));

    account.run_engine_until("the pool is full again", |state| state.free() == 1).await;
    hatchery(emulator, &["terminate", "checkout-fix", "--yes"]).ok();
    account.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    let quiet = hatchery(emulator, &["engine", "--once", "--json"]).ok().json();
    assert_eq!(quiet["steps"], json!([]), "no steps remain");
    let activity = hatchery(emulator, &["activity", "--json"]).ok().json();
    let actions: Vec<_> =
        activity["events"].as_array().unwrap().iter().map(|event| event["action"].clone()).collect();
    for action in ["create-database", "launch", "extend", "terminate", "delete-database", "delete-record"] {
        assert!(actions.contains(&json!(action)), "{action} in {actions:?}");
    }
}

async fn assert_stack_is_used_by_the_database(emulator: &Emulator, parameter_group: &str) {
    let rds = emulator.rds().await;
    let found = rds.describe_db_instances().db_instance_identifier("hatchery-dev-1").send().await.unwrap();
    let database = &found.db_instances()[0];
    let subnet_group = database.db_subnet_group().and_then(|group| group.db_subnet_group_name());
    assert_eq!(subnet_group, Some("hatchery-dev"), "{database:#?}");
    let group = database.db_parameter_groups()[0].db_parameter_group_name();
    assert_eq!(group, Some(parameter_group), "{database:#?}");
    let groups = emulator.ec2().await.describe_security_groups().send().await.unwrap();
    let used = database.vpc_security_groups()[0].vpc_security_group_id();
    let group = groups.security_groups().iter().find(|group| group.group_id() == used).unwrap();
    assert!(group.group_name().unwrap().contains("DatabaseSecurityGroup"), "{group:#?}");
}

async fn assert_stack_is_used_by_the_instance(emulator: &Emulator, id: &str) {
    let found = emulator.ec2().await.describe_instances().instance_ids(id).send().await.unwrap();
    let instance = &found.reservations()[0].instances()[0];
    assert_eq!(instance.instance_type(), Some(&"t3.2xlarge".into()));
    // moto launches in the default group and without an instance profile.
    if emulator.name() == "moto" {
        return;
    }
    let profile = instance.iam_instance_profile().and_then(|profile| profile.arn()).unwrap();
    assert!(profile.ends_with(":instance-profile/hatchery-dev-instance"), "{instance:#?}");
    let groups: Vec<_> = instance.security_groups().iter().map(|group| group.group_name().unwrap()).collect();
    assert!(matches!(groups[..], [group] if group.contains("EnvironmentSecurityGroup")), "{groups:?}");
}
