//! Sessions of Session Manager: who may open one, on which instances, and with which documents.

use super::*;

const OPENING_ENGINEER: [&str; 2] = ["hatchery-dev-read", "hatchery-dev-open"];
const CONNECTING_ENGINEER: [&str; 2] = ["hatchery-dev-read", "hatchery-dev-connect"];
const CONNECTED_INSTANCE: [&str; 2] = ["hatchery-dev-instance/environment", "hatchery-dev-session"];

/// The user only reads the fleet and opens an environment; the instance accepts the session.
#[tokio::test(flavor = "multi_thread")]
async fn session_manager_reaches_the_fleet_only() {
    if simulator().is_none() {
        return;
    }
    let mut deployment = Deployment::start_with_session_manager().await;
    deployment.run(&["engine", "--once"]).ok();
    deployment.run(&["launch", "checkout-fix"]).ok();
    deployment.authorizations();
    let programs = Programs::install();
    let mut command = command_through(&deployment.moto, deployment.recorder.url());
    let command = command.args(["open", "checkout-fix", "--print"]).env("PATH", programs.path());
    let mut running = Running::start(command);
    running.wait_for("http://localhost:");
    running.interrupt();
    assert_eq!(running.wait_for_exit().code, 130);
    let work = deployment.authorizations();
    let actions: BTreeSet<_> = work.iter().map(|request| request.action.as_str()).collect();
    assert!(actions.contains("ssm:StartSession") && actions.contains("ssm:TerminateSession"), "{actions:?}");
    // Not proven: `ssmmessages:OpenDataChannel`, for which the simulator knows no resources, unlike AWS's documentation.
    assert_allowed(&deployment.policies, &OPENING_ENGINEER, &work);
    let agent = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ]
    .map(|action| Authorization::new(action, "*"));
    assert_allowed(&deployment.policies, &CONNECTED_INSTANCE, &agent);

    let fleet = tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "environment")]);
    let instance = "i-0123456789abcdef0";
    let denied = [
        // An instance outside the fleet.
        start_session(instance, &tags(&[])),
        start_session(instance, &tags(&[("hatchery:fleet", "qa"), ("hatchery:role", "environment")])),
        start_session(instance, &tags(&[("hatchery:fleet", "dev")])),
        // A shell, another host behind the instance.
        start_session(instance, &fleet).with("ssm:SessionDocumentAccessCheck", "false"),
        Authorization::new("ssm:StartSession", document("SSM-SessionManagerRunShell")),
        Authorization::new("ssm:StartSession", document("AWS-StartSSHSession")),
        Authorization::new("ssm:StartSession", document("AWS-StartInteractiveCommand")),
        Authorization::new("ssm:StartSession", document("AWS-StartPortForwardingSessionToRemoteHost")),
        Authorization::new("ssm:StartSession", document("hatchery-dev-shell")),
        Authorization::new("ssm:StartSession", document("hatchery-dev-database")),
        Authorization::new("ssm:StartSession", document("hatchery-dev-kubeconfig")),
        Authorization::new("ssm:StartSession", document("hatchery-dev-kubernetes")),
        Authorization::new("ssm:SendCommand", ec2("instance/i-0123456789abcdef0")).on(&fleet),
        // Another user's session.
        on_session("ssm:TerminateSession", "sam-0123456789abcdef0", "AROAEXAMPLE:sam"),
    ];
    assert_denied(&deployment.policies, &OPENING_ENGINEER, &denied);
    assert_denied(&deployment.policies, &ENGINEER, &[start_session(instance, &fleet)]);
    assert_denied(&deployment.policies, &CONNECTED_INSTANCE, &[start_session(instance, &fleet)]);
}

/// The user gets a kubeconfig and runs a command with it, in a fleet whose environments are on a VPN.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_needs_a_policy_of_its_own() {
    if simulator().is_none() {
        return;
    }
    let moto = Moto::start();
    let policies = deploy(&moto).await;
    let (address, _) = session_manager::start(moto.address(), Agent::Connected);
    let mut deployment = Deployment::behind(&address.to_string(), moto, policies).await;
    deployment.run(&["engine", "--once"]).ok();
    deployment.run(&["launch", "checkout-fix"]).ok();
    deployment.authorizations();
    let programs = Programs::install();
    let mut command = command_through(&deployment.moto, deployment.recorder.url());
    command.args(["connect", "checkout-fix", "--", "session-manager-plugin", "--version"]);
    Run::from(command.env("PATH", programs.path()).output().unwrap()).ok();
    let work = deployment.authorizations();
    let resources: BTreeSet<_> = work.iter().map(|request| request.resource.as_str()).collect();
    for name in ["kubeconfig", "kubernetes"] {
        let document = document(&format!("hatchery-dev-{name}"));
        assert!(resources.contains(document.as_str()), "{document}: {resources:?}");
    }
    let actions: BTreeSet<_> = work.iter().map(|request| request.action.as_str()).collect();
    assert!(actions.contains("logs:PutLogEvents"), "{actions:?}");
    assert_allowed(&deployment.policies, &CONNECTING_ENGINEER, &work);

    let fleet = tags(&[("hatchery:fleet", "dev"), ("hatchery:role", "environment")]);
    let instance = "i-0123456789abcdef0";
    let on = |name: &str| Authorization::new("ssm:StartSession", document(name));
    let consoles = [start_session(instance, &fleet), on("hatchery-dev-shell"), on("hatchery-dev-database")];
    assert_allowed(&deployment.policies, &CONNECTING_ENGINEER, &consoles);
    // The instances accept sessions with this access too.
    let agent = [Authorization::new("ssmmessages:CreateControlChannel", "*")];
    assert_allowed(&deployment.policies, &CONNECTED_INSTANCE, &agent);

    let denied = [
        start_session(instance, &tags(&[])),
        start_session(instance, &tags(&[("hatchery:fleet", "qa"), ("hatchery:role", "environment")])),
        start_session(instance, &fleet).with("ssm:SessionDocumentAccessCheck", "false"),
        on("SSM-SessionManagerRunShell"),
        on("AWS-StartInteractiveCommand"),
        on("AWS-StartPortForwardingSession"),
        on("AWS-StartPortForwardingSessionToRemoteHost"),
        on("hatchery-qa-shell"),
        Authorization::new("ssm:UpdateDocument", document("hatchery-dev-shell")),
        Authorization::new("ssm:SendCommand", ec2("instance/i-0123456789abcdef0")).on(&fleet),
        on_session("ssm:TerminateSession", "sam-0123456789abcdef0", "AROAEXAMPLE:sam"),
    ];
    assert_denied(&deployment.policies, &CONNECTING_ENGINEER, &denied);
    for name in ["shell", "database", "kubeconfig", "kubernetes"] {
        assert_denied(&deployment.policies, &ENGINEER, &[on(&format!("hatchery-dev-{name}"))]);
    }
}
