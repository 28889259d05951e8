//! Proof of the stack's IAM policies: what each role sends during its work is recorded and must be allowed, and a list of attempts must be
//! denied. The policies are those that moto created from the template, evaluated by a simulator of IAM.
//!
//! The simulator is an npm package under AGPL, so it stays a separate process. `HATCHERY_IAM_SIMULATE` names the folder with its
//! `node_modules`; without it, these tests report that they are skipped.

mod requests;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::{Value, json};

use crate::stack::{deploy, deploy_with};
use crate::support::account::{Account, rfc3339};
use crate::support::binary::{Run, command_through};
use crate::support::image_builder::ImageBuilder;
use crate::support::moto::Moto;
use crate::support::recorder::Recorder;
use crate::support::running::Running;
use crate::support::session_manager::{self, Agent, Programs};
use requests::{
    Authorization, Translator, document, ec2, logs, on_session, pipeline, rds, start_session, tags,
};

const ENGINEER: [&str; 3] = ["hatchery-dev-read", "hatchery-dev-launch", "hatchery-dev-engine"];
const READ_ONLY: [&str; 1] = ["hatchery-dev-read"];
const INSTANCE: [&str; 1] = ["hatchery-dev-instance/environment"];

/// The folder of the simulator, or `None` with a message.
fn simulator() -> Option<PathBuf> {
    let folder = std::env::var_os("HATCHERY_IAM_SIMULATE").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: HATCHERY_IAM_SIMULATE does not name a folder with @cloud-copilot/iam-simulate");
    }
    folder
}

/// Evaluates requests against some of the policies.
fn evaluate(policies: &Value, names: &[&str], requests: &[Authorization]) -> Vec<String> {
    let policies: BTreeMap<_, _> = names.iter().map(|name| (*name, &policies[*name])).collect();
    assert!(policies.values().all(|policy| policy.is_object()), "{policies:#?}");
    let mut process = Command::new("node")
        .args(["-e", include_str!("policies/evaluate.cjs"), "--"])
        .arg(simulator().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!({ "policies": policies, "requests": requests }).to_string();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn assert_allowed(policies: &Value, names: &[&str], requests: &[Authorization]) {
    let results = evaluate(policies, names, requests);
    let denied: Vec<_> = requests.iter().zip(&results).filter(|(_, result)| *result != "Allowed").collect();
    assert!(denied.is_empty(), "{denied:#?}");
}

/// A deployed stack, and the binary behind a recorder.
struct Deployment {
    moto: Moto,
    recorder: Recorder,
    policies: Value,
    translator: Translator,
}

impl Deployment {
    async fn start() -> Self {
        let moto = Moto::start();
        let policies = deploy(&moto).await;
        let builder = ImageBuilder::start(moto.address());
        Self::behind(&builder.address(), moto, policies).await
    }

    /// A deployment whose environments are reached through Session Manager.
    async fn start_with_session_manager() -> Self {
        let moto = Moto::start();
        let policies = deploy_with(&moto, &json!({ "Access": "ssm", "VpnCidr": "" })).await;
        let (address, _) = session_manager::start(moto.address(), Agent::Connected);
        Self::behind(&address.to_string(), moto, policies).await
    }

    /// The binary's requests go to this address.
    async fn behind(address: &str, moto: Moto, policies: Value) -> Self {
        let recorder = Recorder::start(address.to_owned());
        let fleet = tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "fleet")]);
        let template = Account::new(&moto).await.template_id("hatchery/dev").await;
        let translator = Translator::new(BTreeMap::from([(template, fleet)]));
        Self { moto, recorder, policies, translator }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let output = command_through(&self.moto, self.recorder.url()).args(arguments).output().unwrap();
        Run::from(output)
    }

    /// Makes the only instance ready, as its bootstrap does.
    async fn report_ready(&self) {
        let account = Account::new(&self.moto).await;
        let instance = account.inspect().await.active()[0].id.clone();
        account.set_phase(&instance, "ready").await;
        account.set_rollout(&instance, "2026-01-01T00:00:00Z", "done").await;
    }

    /// Translates the calls since the last time.
    fn authorizations(&mut self) -> Vec<Authorization> {
        self.recorder.take().iter().flat_map(|call| self.translator.translate(call)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_may_do_their_work() {
    if simulator().is_none() {
        return;
    }
    let mut deployment = Deployment::start().await;
    deployment.run(&["fleet", "set", "tags=team=payments"]).ok();
    for arguments in [
        &["engine", "--once"][..],
        &["launch", "checkout-fix", "--service", "payments=f-123", "--note", "for QA"],
        &["extend", "checkout-fix", "--by", "1h"],
    ] {
        deployment.run(arguments).ok();
    }
    deployment.report_ready().await;
    for arguments in [
        &["hold", "checkout-fix", "--for", "2h", "--why", "the chart is broken"][..],
        &["hold", "checkout-fix", "--release"],
        &["pin", "checkout-fix", "--until", &rfc3339(10 * 3_600)],
        &["engine", "--once"],
        &["engine", "--once"],
        &["reset", "checkout-fix", "--yes"],
        &["engine", "--once"],
        &["engine", "--once"],
    ] {
        deployment.run(arguments).ok();
    }
    deployment.report_ready().await;
    for arguments in [
        &["redeploy", "checkout-fix", "--service", "payments=f-124", "--service", "kyc=pr-7"][..],
        &["redeploy", "checkout-fix", "--default", "kyc"],
        &["engine", "--once"],
        &["images", "bake", "service"],
        &["terminate", "checkout-fix", "--yes"],
        &["engine", "--once"],
        &["engine", "--once"],
        &["engine", "--once"],
    ] {
        deployment.run(arguments).ok();
    }
    let mut written = deployment.authorizations();
    // Engines start databases that a schedule of the company has stopped, which the emulator cannot show.
    written.push(Authorization::new("rds:StartDBInstance", rds("db:hatchery-dev-1")));
    let actions: BTreeSet<_> = written.iter().map(|request| request.action.as_str()).collect();
    for action in [
        "ec2:CreateLaunchTemplate",
        "ec2:CreateTags",
        "ec2:DeleteLaunchTemplate",
        "ec2:RunInstances",
        "ec2:TerminateInstances",
        "iam:PassRole",
        "imagebuilder:StartImagePipelineExecution",
        "logs:PutLogEvents",
        "rds:AddTagsToResource",
        "rds:DeleteDBInstance",
        "rds:RestoreDBInstanceFromDBSnapshot",
    ] {
        assert!(actions.contains(action), "the work includes {action}: {actions:?}");
    }
    let requests_deployment = |request: &&Authorization| {
        request.context.contains_key("aws:RequestTag/hatchery:deployment")
            && request.context.contains_key("aws:RequestTag/hatchery:service.payments")
    };
    let asked = resources(&written, requests_deployment);
    assert_eq!(asked.len(), 2, "the record and the instance get the request: {asked:?}");
    let requests_database = |request: &&Authorization| {
        request.context.contains_key("aws:RequestTag/hatchery:deployment")
            && request.context.contains_key("aws:RequestTag/hatchery:database")
    };
    let asked = resources(&written, requests_database);
    assert_eq!(asked.len(), 2, "the record and the instance get the new database: {asked:?}");
    let removes = |request: &&Authorization| request.action == "ec2:DeleteTags";
    assert_eq!(resources(&written, removes).len(), 2, "the record and the instance lose the service");
    let company_tag = json!("payments");
    for action in ["ec2:CreateLaunchTemplate", "ec2:RunInstances", "rds:RestoreDBInstanceFromDBSnapshot"] {
        let is_tagged = |request: &Authorization| {
            request.action == action && request.context.get("aws:RequestTag/team") == Some(&company_tag)
        };
        assert!(written.iter().any(is_tagged), "{action} has the tags of the company");
    }
    assert_allowed(&deployment.policies, &ENGINEER, &written);

    deployment.moto.push_images("services/payments", &["f-123"]).await;
    for arguments in [
        &["ls"][..],
        &["pool"],
        &["activity"],
        &["images"],
        &["services"],
        &["services", "--tags", "payments"],
        &["fleet", "show"],
        &["fleet", "ls"],
    ] {
        deployment.run(arguments).ok();
    }
    let read = deployment.authorizations();
    for action in ["ecr:DescribeRepositories", "ecr:DescribeImages"] {
        assert!(read.iter().any(|request| request.action == action), "{action} is sent");
    }
    assert_allowed(&deployment.policies, &READ_ONLY, &read);
}

/// Engines that send notices need the stack's policy for them, which allows no other topic or secret.
#[rstest]
#[case::topic("NotifyTopicArn", "arn:aws:sns:eu-west-1:123456789012:news", "sns:Publish")]
#[case::webhook("NotifySecretArn", "", "secretsmanager:GetSecretValue")]
#[tokio::test(flavor = "multi_thread")]
async fn notices_have_a_policy(#[case] parameter: &str, #[case] topic: &str, #[case] action: &str) {
    if simulator().is_none() {
        return;
    }
    let moto = Moto::start();
    let destination = if topic.is_empty() {
        let secrets = moto.secrets().await;
        // Whether the webhook answers is no matter.
        let secret =
            secrets.create_secret().name("slack").secret_string("http://127.0.0.1:9/hook").send().await;
        secret.unwrap().arn.unwrap()
    } else {
        moto.sns().await.create_topic().name("news").send().await.unwrap().topic_arn.unwrap()
    };
    let policies = deploy_with(&moto, &json!({ parameter: destination })).await;
    let builder = ImageBuilder::start(moto.address());
    let mut deployment = Deployment::behind(&builder.address(), moto, policies).await;
    deployment.run(&["engine", "--once"]).ok();
    deployment.run(&["launch", "checkout-fix"]).ok();
    deployment.report_ready().await;
    deployment.authorizations();
    deployment.run(&["engine", "--once"]);
    let record = resources(&deployment.authorizations(), |request| request.action == "logs:CreateLogStream")
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(
        record.iter().any(|resource| resource.contains("/hatchery/dev/notices:log-stream:lt-")),
        "{record:?}"
    );
    let mut requests: Vec<_> =
        record.into_iter().map(|resource| Authorization::new("logs:CreateLogStream", resource)).collect();
    requests.push(Authorization::new(action, destination));
    requests.push(Authorization::new("logs:DescribeLogStreams", logs("/hatchery/dev/notices:log-stream:")));
    let names = [&ENGINEER[..], &["hatchery-dev-notice"]].concat();
    assert_allowed(&deployment.policies, &names, &requests);
    let notices: Vec<_> =
        requests.into_iter().filter(|request| !request.resource.contains("/audit")).collect();
    assert_denied(&deployment.policies, &ENGINEER, &notices);
    let others = [
        Authorization::new("sns:Publish", "arn:aws:sns:eu-west-1:123456789012:other"),
        Authorization::new(
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-a1b2c3",
        ),
        Authorization::new("logs:DeleteLogStream", logs("/hatchery/dev/notices:log-stream:lt-1/ready/1")),
        Authorization::new("logs:CreateLogStream", logs("/hatchery/qa/notices:log-stream:lt-1/ready/1")),
    ];
    assert_denied(&deployment.policies, &names, &others);
}

/// The resources of the requests that match.
fn resources(requests: &[Authorization], is_match: impl Fn(&&Authorization) -> bool) -> BTreeSet<&str> {
    requests.iter().filter(is_match).map(|request| request.resource.as_str()).collect()
}

/// The dry runs of `hatchery doctor` are allowed where the real requests are. Without an environment, some have nothing to be about.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_as_engines_do() {
    if simulator().is_none() {
        return;
    }
    let mut deployment = Deployment::start().await;
    deployment.run(&["engine", "--once"]).ok();
    deployment.authorizations();
    let denied = async |deployment: &mut Deployment| -> BTreeSet<String> {
        deployment.run(&["doctor"]);
        let requests = deployment.authorizations();
        let actions: BTreeSet<_> = requests.iter().map(|request| request.action.clone()).collect();
        for action in ["ec2:RunInstances", "rds:RestoreDBInstanceFromDBSnapshot", "logs:PutLogEvents"] {
            assert!(actions.contains(action), "{action} is tried: {actions:?}");
        }
        let results = evaluate(&deployment.policies, &ENGINEER, &requests);
        let denied = requests.iter().zip(&results).filter(|(_, result)| *result != "Allowed");
        denied.map(|(request, _)| request.action.clone()).collect()
    };
    // The answers to these count only if they are yes.
    let without_samples = ["ec2:DeleteLaunchTemplate", "ec2:RunInstances", "ec2:TerminateInstances"];
    assert_eq!(denied(&mut deployment).await, without_samples.map(str::to_owned).into());
    deployment.run(&["launch", "checkout-fix"]).ok();
    deployment.authorizations();
    assert_eq!(denied(&mut deployment).await, BTreeSet::new());
}

/// What an instance does: it reports its phase, waits for its database, reads its secret, pulls and logs.
#[tokio::test(flavor = "multi_thread")]
async fn instance_may_do_its_work() {
    if simulator().is_none() {
        return;
    }
    let deployment = Deployment::start().await;
    let own = tags(&[("hatchery:fleet", "dev"), ("hatchery:environment", "dev-1")]);
    let progress =
        tags(&[("hatchery:phase", "images"), ("hatchery:detail", ""), ("hatchery:timeline", "booting=12")]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let ready = tags(&[("hatchery:phase", "ready"), ("hatchery:digest.payments", &digest)]);
    let deployed =
        tags(&[("hatchery:rollout", "2026-03-02T12:00:00Z done"), ("hatchery:digest.payments", &digest)]);
    let requests = [
        report("i-0123456789abcdef0").on(&own).tagging(&progress),
        report("i-0123456789abcdef0").on(&own).tagging(&ready),
        report("i-0123456789abcdef0").on(&own).tagging(&deployed),
        Authorization::new("rds:DescribeDBInstances", rds("db:hatchery-dev-1")),
        Authorization::new(
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:integration-a1b2c3",
        ),
        Authorization::new("ecr:GetAuthorizationToken", "*"),
        Authorization::new(
            "ecr:BatchGetImage",
            "arn:aws:ecr:eu-west-1:123456789012:repository/services/payments",
        ),
        Authorization::new("logs:PutLogEvents", logs("/hatchery/dev/environments:log-stream:lt-1/bootstrap")),
    ];
    assert_allowed(&deployment.policies, &INSTANCE, &requests);
}

/// A request of the instance `i-0123456789abcdef0` to tag an instance.
fn report(instance: &str) -> Authorization {
    Authorization::new("ec2:CreateTags", ec2(&format!("instance/{instance}")))
        .with("aws:userid", "AROAEXAMPLE:i-0123456789abcdef0")
        .with("ec2:InstanceID", instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_outside_the_fleet_are_denied() {
    if simulator().is_none() {
        return;
    }
    let deployment = Deployment::start().await;
    let own = tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "environment")]);
    let foreign = tags(&[("hatchery:fleet", "qa"), ("hatchery:role", "environment")]);
    let record = ec2("launch-template/lt-0123456789abcdef0");
    let request = tags(&[("hatchery:deployment", "now amy"), ("hatchery:service.payments", "f-124")]);
    let engineer = [
        // A launch without a record, from another fleet's record, of another image.
        Authorization::new("ec2:RunInstances", ec2("instance/*")).tagging(&own),
        Authorization::new("ec2:RunInstances", record.as_str()).on(&foreign),
        Authorization::new("ec2:RunInstances", record.as_str())
            .on(&tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "fleet")])),
        Authorization::new("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0")
            .with("ec2:LaunchTemplate", record.as_str()),
        Authorization::new("ec2:RunInstances", ec2("security-group/sg-0123456789abcdef0"))
            .with("ec2:LaunchTemplate", record.as_str()),
        Authorization::new("ec2:RunInstances", ec2("subnet/subnet-0123456789abcdef0"))
            .with("ec2:SubnetID", "subnet-0123456789abcdef0")
            .with("ec2:LaunchTemplate", record.as_str()),
        // Changes to what is not the fleet's.
        Authorization::new("ec2:TerminateInstances", ec2("instance/i-0123456789abcdef0")),
        Authorization::new("ec2:TerminateInstances", ec2("instance/i-0123456789abcdef0")).on(&foreign),
        Authorization::new("ec2:DeleteLaunchTemplate", record.as_str()).on(&foreign),
        Authorization::new("ec2:DeleteLaunchTemplate", record.as_str())
            .on(&tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "fleet")])),
        Authorization::new("ec2:CreateTags", ec2("instance/i-0123456789abcdef0"))
            .tagging(&tags(&[("hatchery:note", "mine")])),
        Authorization::new("ec2:CreateTags", ec2("instance/i-0123456789abcdef0"))
            .on(&own)
            .tagging(&tags(&[("hatchery:fleet", "qa")])),
        // A request to deploy into another fleet's environment, or one that takes the instance along.
        Authorization::new("ec2:CreateTags", ec2("instance/i-0123456789abcdef0"))
            .on(&foreign)
            .tagging(&request),
        Authorization::new("ec2:CreateTags", record.as_str()).on(&foreign).tagging(&request),
        Authorization::new("ec2:CreateTags", ec2("instance/i-0123456789abcdef0"))
            .on(&own)
            .tagging(&tags(&[("hatchery:deployment", "now amy"), ("hatchery:environment", "dev-2")])),
        Authorization::new("ec2:CreateLaunchTemplate", record.as_str()).tagging(&foreign),
        Authorization::new("rds:DeleteDBInstance", rds("db:dev-integration")),
        Authorization::new("rds:DeleteDBInstance", rds("db:hatchery-qa-1")),
        Authorization::new("rds:StartDBInstance", rds("db:dev-integration")),
        Authorization::new("rds:StartDBInstance", rds("db:hatchery-qa-1")),
        Authorization::new("rds:RestoreDBInstanceFromDBSnapshot", rds("db:other")),
        Authorization::new("rds:AddTagsToResource", rds("db:dev-integration")),
        Authorization::new("rds:ModifyDBInstance", rds("db:hatchery-dev-1")),
        // More permissions and a way in.
        Authorization::new("iam:PassRole", "arn:aws:iam::123456789012:role/admin")
            .with("iam:PassedToService", "ec2.amazonaws.com"),
        Authorization::new("iam:PassRole", "arn:aws:iam::123456789012:role/hatchery-dev-instance")
            .with("iam:PassedToService", "lambda.amazonaws.com"),
        Authorization::new("ec2:AuthorizeSecurityGroupIngress", ec2("security-group/sg-0123456789abcdef0"))
            .on(&own),
        Authorization::new("imagebuilder:StartImagePipelineExecution", pipeline("hatchery-qa-service")),
        Authorization::new("imagebuilder:DeleteImagePipeline", pipeline("hatchery-dev-service")),
        Authorization::new("logs:DeleteLogGroup", logs("/hatchery/dev/audit")),
        Authorization::new("logs:FilterLogEvents", logs("/hatchery/qa/audit")),
    ];
    assert_denied(&deployment.policies, &ENGINEER, &engineer);

    let read_only = [
        Authorization::new("ec2:CreateTags", record.as_str()).on(&own).tagging(&request),
        Authorization::new("ec2:RunInstances", record.as_str()).on(&own),
        Authorization::new("ec2:CreateLaunchTemplate", record.as_str()).tagging(&own),
        Authorization::new("ec2:TerminateInstances", ec2("instance/i-0123456789abcdef0")).on(&own),
        Authorization::new("rds:DeleteDBInstance", rds("db:hatchery-dev-1")),
        Authorization::new("imagebuilder:StartImagePipelineExecution", pipeline("hatchery-dev-service")),
        Authorization::new("logs:PutLogEvents", logs("/hatchery/dev/audit:log-stream:2026-03-02")),
        Authorization::new("ecr:DescribeImages", "arn:aws:ecr:eu-west-1:123456789012:repository/other"),
        Authorization::new("ecr:DescribeImages", "arn:aws:ecr:eu-west-1:210987654321:repository/services/a"),
        Authorization::new("ecr:DescribeImages", "arn:aws:ecr:us-east-1:123456789012:repository/services/a"),
        Authorization::new("ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:123456789012:repository/services/a"),
        Authorization::new("ecr:PutImage", "arn:aws:ecr:eu-west-1:123456789012:repository/services/a"),
    ];
    assert_denied(&deployment.policies, &READ_ONLY, &read_only);

    let phase = tags(&[("hatchery:phase", "ready")]);
    let instance = [
        // Another instance, another environment's identity, no key at all.
        report("i-0fedcba9876543210").on(&own).tagging(&phase),
        report("i-0123456789abcdef0").on(&own).tagging(&tags(&[("hatchery:environment", "dev-2")])),
        report("i-0123456789abcdef0")
            .on(&own)
            .tagging(&tags(&[("hatchery:phase", "ready"), ("hatchery:expires-at", "2030-01-01T00:00:00Z")])),
        // Its services and its database are for others to choose.
        report("i-0123456789abcdef0").on(&own).tagging(&request),
        report("i-0123456789abcdef0").on(&own).tagging(&tags(&[("hatchery:service.payments", "evil")])),
        report("i-0123456789abcdef0").on(&own),
        Authorization::new("ec2:RunInstances", record.as_str()).on(&own),
        Authorization::new("rds:DescribeDBInstances", rds("db:dev-integration")),
        Authorization::new("rds:DeleteDBInstance", rds("db:hatchery-dev-1")),
        // Only with DatabaseAuth=password and =iam.
        Authorization::new("rds:ModifyDBInstance", rds("db:hatchery-dev-1")),
        Authorization::new("rds-db:connect", "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC/app"),
        Authorization::new(
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other-a1b2c3",
        ),
        Authorization::new("logs:PutLogEvents", logs("/hatchery/dev/audit:log-stream:2026-03-02")),
    ];
    assert_denied(&deployment.policies, &INSTANCE, &instance);
}

#[track_caller]
fn assert_denied(policies: &Value, names: &[&str], requests: &[Authorization]) {
    let results = evaluate(policies, names, requests);
    let allowed: Vec<_> = requests.iter().zip(&results).filter(|(_, result)| *result == "Allowed").collect();
    assert!(allowed.is_empty(), "{allowed:#?}");
}

#[rstest]
#[case::delete_source("hatchery-dev-engine", "rds:DeleteDBInstance", "*")]
#[case::terminate_all("hatchery-dev-engine", "ec2:TerminateInstances", "*")]
#[tokio::test(flavor = "multi_thread")]
async fn wider_policy_is_detected(#[case] name: &str, #[case] action: &str, #[case] resource: &str) {
    if simulator().is_none() {
        return;
    }
    let wide = json!({ name: { "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": resource }] } });
    let is_database = action.starts_with("rds");
    let target = if is_database { rds("db:dev-integration") } else { ec2("instance/i-0123456789abcdef0") };
    assert_eq!(evaluate(&wide, &[name], &[Authorization::new(action, target)]), ["Allowed"]);
}
