//! Shells, database consoles and kubectl through Session Manager, with a stub of its plugin.

mod dashboard;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};

use crate::port_forward::{Bed, get};
use crate::support::binary::Run;
use crate::support::pty::Terminal;
use crate::support::running::{Running, send_signal};
use crate::support::session_manager::{Agent, Programs, TOKEN};

/// The token of the stub's kubeconfig.
const CLUSTER_TOKEN: &str = "c1ustertoken";

const OTHERS: &str = "apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: https://prod.example.org}}
contexts:
- {name: prod, context: {cluster: prod, user: prod}}
users:
- {name: prod, user: {exec: {command: aws, args: [--region, eu-west-1, '1.0']}}}
";

async fn bed() -> Bed {
    Bed::start_with("vpn", Agent::Connected, Programs::install()).await
}

fn kubeconfig_file(bed: &Bed) -> PathBuf {
    bed.programs.path().join("kube").join("config")
}

/// A command whose kubeconfig file and temporary folder are in the bed's folder.
fn command(bed: &Bed, arguments: &[&str]) -> Command {
    let mut command = bed.command(arguments);
    command.env("KUBECONFIG", kubeconfig_file(bed)).env("TMPDIR", temporary_folder(bed));
    command
}

fn temporary_folder(bed: &Bed) -> PathBuf {
    let folder = bed.programs.path().join("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(bed: &Bed, arguments: &[&str]) -> Run {
    command(bed, arguments).output().unwrap().into()
}

/// The result of a command that says on standard error that it connects.
fn connecting(run: Run) -> Run {
    let err = run.err.lines().filter(|line| !line.contains("connecting to dev-1"));
    Run { err: err.map(|line| format!("{line}\n")).collect(), ..run }
}

fn terminal(bed: &Bed, arguments: &[&str]) -> Terminal {
    Terminal::start(arguments, &environment(bed), (110, 30))
}

fn environment(bed: &Bed) -> Vec<(String, String)> {
    let mut environment = bed.moto.env_through(&bed.url);
    environment.retain(|(key, _)| key != "PATH");
    environment.push(("PATH".into(), bed.programs.path().to_string_lossy().into_owned()));
    environment.push(("HATCHERY_OWNER".into(), "amy".into()));
    environment
}

fn audit(bed: &Bed) -> Vec<String> {
    let activity = bed.run(&["activity", "--json"]).ok().json();
    let events = activity["events"].as_array().unwrap().iter();
    events.map(|event| format!("{} {} {}", event["who"], event["action"], event["target"])).collect()
}

fn assert_audited(bed: &Bed, action: &str) {
    let audit = audit(bed);
    assert!(audit.contains(&format!("\"amy\" \"{action}\" \"dev-1\"")), "{audit:#?}");
}

/// Nothing that others see has the token of a session or of a cluster.
fn assert_no_secrets(bed: &Bed) {
    for call in bed.programs.calls() {
        let arguments = call["arguments"].to_string();
        assert!(!arguments.contains(TOKEN) && !arguments.contains(CLUSTER_TOKEN), "{arguments}");
    }
    for event in audit(bed) {
        assert!(!event.contains(TOKEN) && !event.contains(CLUSTER_TOKEN), "{event}");
    }
}

#[rstest]
#[case::shell("ssh", "hatchery-dev-shell", "remote shell", "open-shell")]
#[case::database("db", "hatchery-dev-database", "remote database", "open-database-console")]
#[tokio::test(flavor = "multi_thread")]
async fn console_has_the_terminal(
    #[case] name: &'static str,
    #[case] document: &str,
    #[case] banner: &'static str,
    #[case] action: &str,
) {
    let bed = bed().await;
    let mut terminal = terminal(&bed, &[name, "feature-1"]);
    let terminal = tokio::task::spawn_blocking(move || {
        terminal.wait_for(banner);
        terminal.send_keys("uptime\n");
        terminal.wait_for("ran uptime");
        // Ctrl-C and Ctrl-\ are keys of the remote program.
        terminal.send_keys("\u{3}");
        terminal.wait_for("remote program interrupted");
        terminal.send_keys("exit\n");
        assert_eq!(terminal.wait_for_exit(), 0);
        assert!(!terminal.text().contains(TOKEN));
        terminal
    });
    terminal.await.unwrap();
    assert_eq!(bed.parameters(0)["DocumentName"], document);
    assert_eq!(bed.parameters(0)["Target"], *bed.instance);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
    assert_audited(&bed, action);
    assert_no_secrets(&bed);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_is_that_of_the_plugin() {
    let bed = bed().await;
    let mut terminal = terminal(&bed, &["ssh", "dev-1"]);
    let work = move || {
        terminal.wait_for("remote shell");
        terminal.send_keys("fail websocket closed\n");
        assert_eq!(terminal.wait_for_exit(), 7);
        assert!(terminal.text().contains("websocket closed"), "{}", terminal.text());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
}

#[rstest]
#[case::terminated("TERM", 143)]
#[case::hung_up("HUP", 129)]
#[tokio::test(flavor = "multi_thread")]
async fn signal_ends_the_session(#[case] signal: &'static str, #[case] code: u32) {
    let bed = bed().await;
    let mut terminal = terminal(&bed, &["ssh", "dev-1"]);
    let programs = bed.programs.path().to_owned();
    let work = move || {
        terminal.wait_for("remote shell");
        send_signal(signal, terminal.pid());
        assert_eq!(terminal.wait_for_exit(), code);
        assert!(!is_running(&programs), "the plugin has ended");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
}

/// Whether the plugin that was started last runs.
fn is_running(programs: &Path) -> bool {
    let calls = std::fs::read_to_string(programs.join("calls")).unwrap();
    let call: Value = serde_json::from_str(calls.lines().last().unwrap()).unwrap();
    Path::new(&format!("/proc/{}", call["pid"])).exists()
}

#[rstest]
#[case::without_terminal(&["ssh", "dev-1"], 2, "are not a terminal")]
#[case::json(&["db", "dev-1", "--json"], 2, "prints no JSON")]
#[case::json_of_a_command(&["connect", "dev-1", "--json", "--", "true"], 2, "not JSON")]
#[case::unknown(&["kubeconfig", "dev-7"], 3, "there is no environment")]
#[case::without_context(&["connect", "dev-1"], 3, "hatchery kubeconfig dev-1")]
#[case::read_only_shell(&["ssh", "dev-1", "--read-only"], 4, "--read-only is set")]
#[case::read_only_database(&["db", "dev-1", "--read-only"], 4, "--read-only is set")]
#[case::read_only_kubeconfig(&["kubeconfig", "dev-1", "--read-only"], 4, "--read-only is set")]
#[case::read_only_connect(&["connect", "dev-1", "--read-only"], 4, "--read-only is set")]
#[tokio::test(flavor = "multi_thread")]
async fn refused_commands_start_no_session(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] part: &str,
) {
    let bed = bed().await;
    run(&bed, arguments).fails(code, &[part]);
    assert!(bed.operations().is_empty() && bed.programs.calls().is_empty());
}

#[rstest]
#[case::denied(Agent::Denied, 4, "the policy hatchery-dev-connect")]
#[case::not_connected(Agent::NotConnected, 1, "is not connected to Session Manager yet")]
#[case::old_stack(Agent::WithoutDocuments, 1, "update the fleet's stack")]
#[tokio::test(flavor = "multi_thread")]
async fn refused_session_is_explained(#[case] agent: Agent, #[case] code: i32, #[case] part: &'static str) {
    let bed = Bed::start_with("vpn", agent, Programs::install()).await;
    connecting(run(&bed, &["kubeconfig", "dev-1"]))
        .fails(code, &[part, "cannot get the kubeconfig of dev-1"]);
    assert!(!kubeconfig_file(&bed).exists());
    let mut terminal = terminal(&bed, &["ssh", "dev-1"]);
    let work = move || {
        terminal.wait_for("cannot open a shell on dev-1");
        assert_eq!(terminal.wait_for_exit(), u32::try_from(code).unwrap());
        let text = terminal.text().replace('\n', "");
        assert!(text.contains(part), "{text}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(bed.operations(), ["StartSession", "StartSession"]);
    assert!(bed.programs.calls().is_empty(), "the plugin is not started");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_plugin_is_named() {
    let bed = Bed::start_with("vpn", Agent::Connected, Programs::without_plugin()).await;
    let parts = ["session-manager-plugin is not installed", "install-plugin.html"];
    connecting(run(&bed, &["kubeconfig", "dev-1"])).fails(1, &parts);
    connecting(run(&bed, &["connect", "dev-1", "--", "true"])).fails(1, &parts);
    assert!(bed.operations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfig_adds_a_context() {
    let bed = bed().await;
    let file = kubeconfig_file(&bed);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, OTHERS).unwrap();
    let log = bed.programs.path().join("log.json");
    let arguments = ["kubeconfig", "dev-1", "--for", "2h", "--log-file", log.to_str().unwrap()];
    let run: Run = command(&bed, &arguments).env("HATCHERY_LOG", "trace").output().unwrap().into();
    let run = run.ok();
    assert!(run.out.contains("The context hatchery-dev-1 is in") && run.out.contains("2h"), "{run:#?}");
    assert!(run.out.contains("hatchery connect dev-1"), "{run:#?}");
    let shown = run.out + &run.err + &std::fs::read_to_string(log).unwrap();
    assert!(!shown.contains(CLUSTER_TOKEN) && !shown.contains(TOKEN), "{shown}");
    assert_eq!(bed.parameters(0)["Parameters"], json!({ "seconds": ["7200"] }));
    assert_eq!(bed.parameters(0)["DocumentName"], "hatchery-dev-kubeconfig");
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);

    let text = std::fs::read_to_string(&file).unwrap();
    for part in ["current-context: prod", "https://prod.example.org", "\"1.0\"", CLUSTER_TOKEN] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        text.contains("tls-server-name: hatchery.internal") && text.contains("https://127.0.0.1:"),
        "{text}"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let server = |text: &str| text.lines().find(|line| line.contains("127.0.0.1")).unwrap().to_owned();
    let again = self::run(&bed, &["kubeconfig", "dev-1", "--json"]).ok().json();
    let after = std::fs::read_to_string(&file).unwrap();
    assert_eq!(server(&after), server(&text), "the port stays");
    assert_eq!(again["context"], "hatchery-dev-1");
    assert_eq!(again["file"], file.to_str().unwrap());
    assert!(server(&text).contains(again["server"].as_str().unwrap()), "{again}");
    assert!(again["expires_at"].as_str().unwrap().ends_with('Z'), "{again}");
    self::run(&bed, &["kubeconfig", "dev-1", "--remove"]).ok();
    let removed = std::fs::read_to_string(&file).unwrap();
    assert!(!removed.contains("dev-1") && removed.contains("prod.example.org"), "{removed}");
    assert_audited(&bed, "issue-kubeconfig");
    assert_no_secrets(&bed);
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_kubeconfig_changes_no_file() {
    let bed = bed().await;
    let run = run(&bed, &["kubeconfig", "dev-1", "--print"]).ok();
    assert!(run.out.starts_with("---\napiVersion: v1\n") && run.out.contains(CLUSTER_TOKEN), "{run:#?}");
    assert!(!kubeconfig_file(&bed).exists());
}

#[rstest]
#[case::broken("clusters: [", 0o600, "is not a kubeconfig")]
#[case::read_only(OTHERS, 0o400, "is read-only")]
#[tokio::test(flavor = "multi_thread")]
async fn unusable_file_stays(#[case] text: &str, #[case] mode: u32, #[case] part: &str) {
    let bed = bed().await;
    let file = kubeconfig_file(&bed);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    run(&bed, &["kubeconfig", "dev-1"]).fails(1, &[part]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let names: Vec<_> =
        file.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["config"], "neither a lock nor a temporary file is left");
    assert!(bed.operations().is_empty(), "no token is issued for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_without_kubeconfig_says_why() {
    let bed = bed().await;
    let words = "\u{1b}[31mcannot create the kubeconfig; is the environment ready?";
    let mut command = command(&bed, &["kubeconfig", "dev-1"]);
    let run: Run = command.env("STUB_KUBECONFIG", words).output().unwrap().into();
    connecting(run).fails(1, &["cannot get the kubeconfig of dev-1: cannot create the kubeconfig"]);
    assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
}

/// A command that tells what it got, and how it ends.
fn kubectl(bed: &Bed, end: &str) {
    let out = bed.programs.path().join("kubectl.out");
    let script = format!(
        "#!/bin/sh\necho \"$KUBECONFIG\" > '{0}'\nwhile read -r line; do echo \"$line\"; done < \"$KUBECONFIG\" >> '{0}'\n\
         echo \"args $*\"\n{end}\n",
        out.display()
    );
    install(bed, "kubectl", &script);
}

/// Puts a program into the only folder of `PATH`.
fn install(bed: &Bed, name: &str, script: &str) -> PathBuf {
    let program = bed.programs.path().join(name);
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn temporary_files(bed: &Bed) -> usize {
    bed.programs.path().join("tmp").read_dir().unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_runs_a_command_and_cleans_up() {
    let bed = bed().await;
    kubectl(&bed, "exit 9");
    let run = run(&bed, &["connect", "dev-1", "--", "kubectl", "get", "pods"]);
    assert_eq!((run.code, run.out.as_str()), (9, "args get pods\n"), "{run:#?}");
    let seen = std::fs::read_to_string(bed.programs.path().join("kubectl.out")).unwrap();
    let path = PathBuf::from(seen.lines().next().unwrap());
    assert!(path.starts_with(bed.programs.path().join("tmp")) && !path.exists(), "{seen}");
    assert!(seen.contains(CLUSTER_TOKEN) && seen.contains("current-context: hatchery-dev-1"), "{seen}");
    assert_eq!(temporary_files(&bed), 0);
    assert!(!kubeconfig_file(&bed).exists(), "the user's file is not touched");
    let port = bed.parameters(2)["Parameters"]["localPortNumber"][0].as_str().unwrap().to_owned();
    assert!(seen.contains(&format!("https://127.0.0.1:{port}")), "{seen}");
    assert_eq!(bed.parameters(2)["DocumentName"], "hatchery-dev-kubernetes");
    let twice = ["StartSession", "TerminateSession", "StartSession", "TerminateSession"];
    assert_eq!(bed.operations(), twice);
    assert_audited(&bed, "connect");
    assert_no_secrets(&bed);
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_ends_the_command_and_cleans_up() {
    let bed = bed().await;
    kubectl(&bed, "while :; do read -r line; done");
    let mut running = Running::start(&mut command(&bed, &["connect", "dev-1", "--", "kubectl", "proxy"]));
    running.wait_for("args proxy");
    assert_eq!(temporary_files(&bed), 1);
    send_signal("TERM", running.pid());
    assert_eq!(running.wait_for_exit().code, 143);
    assert_eq!(temporary_files(&bed), 0);
    assert_eq!(bed.operations().last().unwrap(), "TerminateSession");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_command_ends_the_forward() {
    let bed = bed().await;
    let run = run(&bed, &["connect", "dev-1", "--", "kubectl"]);
    connecting(run).fails(1, &["cannot run kubectl"]);
    assert_eq!(temporary_files(&bed), 0);
    assert_eq!(bed.operations().last().unwrap(), "TerminateSession");
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_holds_the_forward_of_the_context() {
    let bed = bed().await;
    let server = run(&bed, &["kubeconfig", "dev-1", "--json"]).ok().json()["server"].clone();
    let port = server.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut running = Running::start(&mut command(&bed, &["connect", "dev-1"]));
    running.wait_for(&format!("Forwarding port {port} to Kubernetes on dev-1"));
    assert!(get(&port, "/version").ends_with("forwarded /version"));
    running.interrupt();
    assert_eq!(running.wait_for_exit().code, 130);
    let twice = ["StartSession", "TerminateSession", "StartSession", "TerminateSession"];
    assert_eq!(bed.operations(), twice);
}
