//! Environments behind port forwards of Session Manager, with a stub of its plugin.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, IpPermission, IpRange};
use rstest::rstest;
use serde_json::{Value, json};

use crate::stack::deploy_with;
use crate::support::account::{Account, init};
use crate::support::binary::{Run, command_through, hatchery};
use crate::support::moto::{Moto, REGION};
use crate::support::pty::Terminal;
use crate::support::running::{Running, send_signal};
use crate::support::session_manager::{self, Agent, Programs, Sessions, TOKEN};

const INSTALLATION: &str = "https://docs.aws.amazon.com/systems-manager/latest/userguide/\
    session-manager-working-with-install-plugin.html";

/// A fleet with environments, `dev-1` and so on, behind a stub of Session Manager.
pub(crate) struct Bed {
    pub(crate) moto: Moto,
    pub(crate) url: String,
    sessions: Sessions,
    pub(crate) programs: Programs,
    /// The instance of the first environment.
    pub(crate) instance: String,
}

impl Bed {
    async fn start(agent: Agent, programs: Programs) -> Self {
        Self::start_with("ssm", agent, programs).await
    }

    pub(crate) async fn start_with(access: &str, agent: Agent, programs: Programs) -> Self {
        Self::create(access, 1, agent, programs).await
    }

    pub(crate) async fn start_many(environments: u32, agent: Agent, programs: Programs) -> Self {
        Self::create("vpn", environments, agent, programs).await
    }

    async fn create(access: &str, environments: u32, agent: Agent, programs: Programs) -> Self {
        let moto = Moto::start();
        init(&moto, "dev", &["--access", access]).await;
        let account = Account::new(&moto).await;
        account.create_environments("dev", environments).await;
        let instance = account.inspect().await.active()[0].id.clone();
        let (address, sessions) = session_manager::start(moto.address(), agent);
        Self { moto, url: format!("http://{address}"), sessions, programs, instance }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command_through(&self.moto, &self.url);
        command.args(arguments).env("PATH", self.programs.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn operations(&self) -> Vec<String> {
        self.sessions.lock().unwrap().iter().map(|(operation, _)| operation.clone()).collect()
    }

    pub(crate) fn parameters(&self, index: usize) -> Value {
        self.sessions.lock().unwrap()[index].1.clone()
    }

    /// Waits until this many calls of Session Manager were made.
    #[track_caller]
    fn wait_for_operations(&self, expected: &[&str]) {
        wait_until(&format!("{expected:?}"), || self.operations() == expected);
    }
}

#[track_caller]
pub(crate) fn wait_until(condition: &str, is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never true: {condition}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub(crate) fn get(port: &str, path: &str) -> String {
    let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    write!(client, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn open_forwards_until_interrupted() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let mut running = Running::start(&mut bed.command(&["open", "dev-1", "dashboard"]));
    running.wait_for("Forwarding http://localhost:");
    let line = running.lines[0].clone();
    let port = line.trim_start_matches("Forwarding http://localhost:").split('/').next().unwrap();
    assert_eq!(line, format!("Forwarding http://localhost:{port}/dashboard/ to dev-1 until Ctrl-C"));
    assert!(get(port, "/dashboard/").ends_with("forwarded /dashboard/"));
    let url = format!("http://localhost:{port}/dashboard/\n");
    wait_until("the browser opens the URL", || bed.programs.opened() == url);

    let request = bed.parameters(0);
    let expected = json!({
        "Target": bed.instance,
        "DocumentName": "AWS-StartPortForwardingSession",
        "Parameters": { "portNumber": ["80"], "localPortNumber": [port] },
    });
    assert_eq!(request, expected);
    let call = bed.programs.calls()[0].clone();
    let arguments: Vec<String> = serde_json::from_value(call["arguments"].clone()).unwrap();
    assert_eq!(arguments[..4], ["AWS_SSM_START_SESSION_RESPONSE", REGION, "StartSession", ""]);
    assert_eq!(serde_json::from_str::<Value>(&arguments[4]).unwrap(), expected);
    assert_eq!((arguments.len(), &arguments[5]), (6, &bed.url));
    assert!(!call["arguments"].to_string().contains(TOKEN), "other users see arguments");
    let response: Value = serde_json::from_str(call["response"].as_str().unwrap()).unwrap();
    let session = response["SessionId"].as_str().unwrap();
    assert_eq!(response["TokenValue"], TOKEN);
    assert!(response["StreamUrl"].as_str().unwrap().contains(session));
    assert_eq!(call["host"], "127.0.0.1");

    running.interrupt();
    assert_eq!(running.wait_for_exit().code, 130);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
    assert_eq!(bed.parameters(1), json!({ "SessionId": session }));
    assert_eq!(bed.programs.calls()[1], json!({ "interrupted": call["pid"] }));
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err(), "the plugin has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn print_opens_nothing_and_sigterm_ends_it() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let log = bed.programs.path().join("log.json");
    let arguments = ["open", "dev-1", "--print", "--read-only", "--log-file", log.to_str().unwrap()];
    let mut running = Running::start(bed.command(&arguments).env("HATCHERY_LOG", "trace"));
    running.wait_for("http://localhost:");
    assert!(running.lines[0].starts_with("http://localhost:") && running.lines[0].ends_with('/'));
    send_signal("TERM", running.pid());
    assert_eq!(running.wait_for_exit().code, 0);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
    assert_eq!(bed.programs.opened(), "");
    let log = std::fs::read_to_string(log).unwrap();
    let leaks: Vec<_> = log.lines().filter(|line| line.contains(TOKEN)).collect();
    assert!(log.contains("StartSession") && leaks.is_empty(), "the token is logged: {leaks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_plugin_ends_the_command() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let mut running = Running::start(&mut bed.command(&["open", "dev-1", "--json"]));
    running.wait_for("\"url\":\"http://localhost:");
    send_signal("KILL", bed.programs.first_pid());
    let run = running.wait_for_exit();
    run.fails(1, &["the port forward to dev-1 has ended", "signal: 9", "open it again"]);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_plugin_is_named_before_a_session() {
    let bed = Bed::start(Agent::Connected, Programs::without_plugin()).await;
    bed.run(&["open", "dev-1"]).fails(1, &["session-manager-plugin is not installed", INSTALLATION]);
    assert!(bed.operations().is_empty());
    let doctor = bed.run(&["doctor", "--json"]).json();
    let findings = doctor["findings"].as_array().unwrap();
    let access = findings.iter().find(|finding| finding["check"] == "access").unwrap();
    assert_eq!(access["level"], "warning");
    assert!(access["hint"].as_str().unwrap().contains(INSTALLATION), "{access}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_is_not_connected_is_explained() {
    let bed = Bed::start(Agent::NotConnected, Programs::install()).await;
    let parts = ["cannot forward a port to dev-1", &bed.instance, "is not connected to Session Manager yet"];
    bed.run(&["open", "dev-1"]).fails(1, &parts);
    assert_eq!(bed.operations(), ["StartSession"]);
    assert!(bed.programs.calls().is_empty(), "the plugin is not started");
    let doctor = bed.run(&["doctor"]);
    assert!(doctor.out.contains("through session-manager-plugin 1.2.707.0"), "{doctor:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_session_is_not_permitted() {
    let bed = Bed::start(Agent::Denied, Programs::install()).await;
    bed.run(&["open", "dev-1"]).fails(4, &["not authorized to StartSession", "the policy hatchery-dev-open"]);
    assert_eq!(bed.operations(), ["StartSession"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_plugin_says_why_and_its_session_ends() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let error = "\u{1b}[31mCannot perform start session: websocket: bad handshake";
    let run: Run = bed.command(&["open", "dev-1"]).env("STUB_ERROR", error).output().unwrap().into();
    let said = "ended (exit code 1): Cannot perform start session: websocket: bad handshake";
    run.fails(1, &["cannot forward a port to dev-1", said]);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
}

/// As the AWS CLI does.
#[tokio::test(flavor = "multi_thread")]
async fn old_plugin_gets_the_response_as_an_argument() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let mut command = bed.command(&["open", "dev-1", "--print", "--profile", "work"]);
    let config = bed.programs.path().join("config");
    let profile = "[profile work]\naws_access_key_id = testing\naws_secret_access_key = testing\n";
    std::fs::write(&config, profile).unwrap();
    command.env("STUB_VERSION", "1.2.497.0").env("AWS_CONFIG_FILE", &config);
    let mut running = Running::start(&mut command);
    running.wait_for("http://localhost:");
    let call = bed.programs.calls()[0].clone();
    assert!(call["arguments"][0].as_str().unwrap().contains(TOKEN));
    assert_eq!(call["arguments"][3], "work");
    assert_eq!(call["response"], Value::Null);
    running.interrupt();
    assert_eq!(running.wait_for_exit().code, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_keeps_its_forwards_until_it_ends() {
    let bed = Bed::start(Agent::Connected, Programs::install()).await;
    let mut environment = bed.moto.env_through(&bed.url);
    environment.retain(|(key, _)| key != "PATH");
    environment.push(("PATH".into(), bed.programs.path().to_string_lossy().into_owned()));
    let mut terminal = Terminal::dashboard(environment, &["--no-engine"]);
    let work = move || {
        terminal.wait_for("feature-1");
        terminal.send_keys("o");
        // There is no display, so the URL is shown.
        terminal.wait_for("No browser is available here");
        assert!(terminal.text().contains("http://localhost:"), "{}", terminal.text());
        terminal.send_keys("q");
        terminal.wait_until_gone("No browser is available here");
        // The second time, the forward is used again.
        terminal.send_keys("o");
        terminal.wait_for("No browser is available here");
        assert_eq!(bed.operations(), ["StartSession"]);
        // A plugin that has ended is started again.
        send_signal("KILL", bed.programs.first_pid());
        bed.wait_for_operations(&["StartSession", "TerminateSession"]);
        terminal.send_keys("q");
        terminal.wait_until_gone("No browser is available here");
        terminal.send_keys("o");
        terminal.wait_for("No browser is available here");
        assert_eq!(bed.operations(), ["StartSession", "TerminateSession", "StartSession"]);
        terminal.send_keys("q");
        terminal.wait_until_gone("No browser is available here");
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
        terminal.assert_restored();
        let ended = ["StartSession", "TerminateSession", "StartSession", "TerminateSession"];
        assert_eq!(bed.operations(), ended);
        let calls = bed.programs.calls();
        assert_eq!(calls[2], json!({ "interrupted": calls[1]["pid"] }));
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

/// What the template's security group of the environments admits, and the setting of the fleet.
#[rstest]
#[case::vpn(json!({}), "vpn", &["10.8.0.0/16"])]
#[case::ssm(json!({ "Access": "ssm", "VpnCidr": "" }), "ssm", &[])]
#[case::ssm_with_range(json!({ "Access": "ssm" }), "ssm", &[])]
#[tokio::test(flavor = "multi_thread")]
async fn template_admits_the_vpn_or_nothing(
    #[case] parameters: Value,
    #[case] access: &str,
    #[case] ranges: &[&str],
) {
    let moto = Moto::start();
    deploy_with(&moto, &parameters).await;
    let fleet = hatchery(&moto, &["fleet", "show", "--json"]).ok().json();
    assert_eq!(fleet["settings"]["access"], access);
    let filter = Filter::builder().name("tag:Name").values("hatchery-dev-environments").build();
    let groups = moto.ec2().await.describe_security_groups().filters(filter).send().await.unwrap();
    let permissions = groups.security_groups()[0].ip_permissions();
    let admitted = permissions.iter().flat_map(IpPermission::ip_ranges).filter_map(IpRange::cidr_ip);
    assert_eq!(admitted.collect::<Vec<_>>(), ranges);
    // The fleet's own check accepts a group without inbound rules.
    let doctor = hatchery(&moto, &["doctor"]);
    assert!(doctor.out.contains("no security group is open to the internet"), "{doctor:#?}");
}
