//! The login of the AWS CLI, a stub here, has the terminal, and gives it back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::cloud::{Login, LoginKind};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::{self, Connected, FleetConnection};
use rstest::rstest;

use super::{SET, UNSET, send_signal};
use crate::support::pty::{Exit, Terminal};
use crate::support::sample_fleet;

/// Where the stub leaves a file once the user is logged in.
const FOLDER: &str = "LOGIN_FOLDER";

fn connect(logged_in: &Path) -> Result<Connected, Failure> {
    if !logged_in.exists() {
        let hint = "log in with: aws sso login, and the same --profile";
        return Err(Failure::new(
            Kind::NotPermitted,
            "cannot list the fleets: the session has expired",
            hint,
        ));
    }
    let clock = Clock::system();
    let sim = SimCloud::new(Scenario::demo().unwrap(), 1, clock.clone());
    Ok(sample_fleet::connected(&sim, &clock, "amy"))
}

#[test]
#[ignore = "runs in the terminals of this file"]
fn dashboard_of_an_expired_session() {
    let logged_in = PathBuf::from(std::env::var_os(FOLDER).unwrap()).join("logged-in");
    let mut options = sample_fleet::options();
    options.login = Some(Login::new(LoginKind::Sso, "my profile"));
    options.read_only = true;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let connect = move || std::future::ready(connect(&logged_in));
    runtime.block_on(tui::run_fleets(vec![FleetConnection::new(connect, options)])).unwrap();
    runtime.shutdown_background();
}

/// Starts the dashboard in a terminal, with this script as `aws` if there is one.
fn dashboard(folder: &Path, script: Option<&str>) -> Terminal {
    if let Some(script) = script {
        let aws = folder.join("aws");
        std::fs::write(&aws, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("{}::dashboard_of_an_expired_session", module_path!().split_once("::").unwrap().1);
    let arguments = [&name, "--exact", "--ignored", "--nocapture"];
    let folder = folder.to_str().unwrap();
    let environment =
        [("PATH", folder), (FOLDER, folder)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let terminal = Terminal::start_program(program.to_str().unwrap(), &arguments, &environment, (110, 30));
    terminal.wait_for("press I to log in (aws sso login), r to retry");
    terminal
}

#[test]
fn login_has_the_terminal_and_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo \"opening a browser: $*\"\nread answer\n: > \"$LOGIN_FOLDER/logged-in\"";
    let mut terminal = dashboard(folder.path(), Some(script));
    assert_eq!(terminal.modes(), SET);
    terminal.send_keys("I");
    terminal.wait_for("opening a browser: sso login --profile=my profile");
    assert_eq!(terminal.modes(), UNSET);
    // A key of the dashboard, which is the program's now.
    terminal.send_keys("q\n");
    terminal.wait_for("checkout-fix");
    assert_eq!(terminal.modes(), SET);
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    assert_eq!(terminal.modes(), UNSET);
}

#[test]
fn login_that_fails_is_read_before_the_dashboard_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = dashboard(folder.path(), Some("echo 'the code has expired' >&2\nexit 255"));
    terminal.send_keys("I");
    terminal.wait_for("Press Enter to return to the dashboard.");
    assert!(terminal.text().contains("the code has expired"), "{}", terminal.text());
    terminal.send_keys("\n");
    terminal.wait_for("you are not logged in: aws sso login failed (exit code 255)");
    terminal.wait_for("press I to log in");
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn missing_cli_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = dashboard(folder.path(), None);
    terminal.send_keys("I");
    terminal.wait_for("cannot log in: there is no program aws in PATH; install the AWS CLI");
    assert_eq!(terminal.modes(), SET);
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[rstest]
#[case("TERM", "Terminated")]
#[case("HUP", "Hangup")]
fn signal_ends_the_login_too(#[case] signal: &str, #[case] description: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo \"process $$\"\nexec /bin/sleep 60";
    let mut terminal = dashboard(folder.path(), Some(script));
    terminal.send_keys("I");
    terminal.wait_for("process ");
    let text = terminal.text();
    let process = text.split("process ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    send_signal(signal, terminal.pid());
    let Exit::Signal(ended) = terminal.wait_for_end() else { panic!("not ended by a signal") };
    assert!(ended.starts_with(description), "{ended}");
    assert!(!Path::new("/proc").join(process).exists(), "the program is left behind");
    assert_eq!(terminal.modes(), UNSET);
}
