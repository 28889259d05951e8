//! The simulated shell and database console of the demo have the terminal, and give it back.

use rstest::rstest;

use super::{SET, UNSET, demo, select_ready, send_signal};
use crate::support::pty::{Exit, Terminal};

/// The demo with a console of a ready environment.
fn console(folder: &std::path::Path, key: &str, banner: &str) -> Terminal {
    let mut terminal = demo(folder, &["--speed", "0.1"], &[]);
    select_ready(&mut terminal);
    terminal.send_keys(key);
    terminal.wait_for(banner);
    assert_eq!(terminal.modes(), UNSET);
    terminal
}

#[rstest]
#[case::shell("s", "A simulated shell on", "kubectl get pods", "payments-", "exit\n", "the shell on")]
#[case::kubectl(
    "K",
    "A simulated shell with kubectl",
    "kubectl get pods",
    "payments-",
    "exit\n",
    "the shell with kubectl on"
)]
#[case::database("D", "A simulated console of", "\\dt", "invoices", "\u{4}", "the database console on")]
fn console_has_the_terminal_and_returns_it(
    #[case] key: &str,
    #[case] banner: &str,
    #[case] command: &str,
    #[case] part: &str,
    #[case] end: &str,
    #[case] closed: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = console(folder.path(), key, banner);
    // A key of the dashboard, and a line that Ctrl-C discards.
    terminal.send_keys("q");
    terminal.send_keys("\u{3}");
    terminal.send_keys(&format!("{command}\n"));
    terminal.wait_for(part);
    terminal.send_keys(end);
    terminal.wait_for(closed);
    assert_eq!(terminal.modes(), SET);
    assert!(terminal.text().lines().any(|line| line.contains('▸') && line.contains("● ready")));
    // Keys are the dashboard's again.
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn signal_ends_the_demo_behind_its_shell() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = console(folder.path(), "s", "A simulated shell on");
    send_signal("TERM", terminal.pid());
    assert_eq!(terminal.wait_for_end(), Exit::Signal("Terminated".to_owned()));
    assert_eq!(terminal.modes(), UNSET);
}
