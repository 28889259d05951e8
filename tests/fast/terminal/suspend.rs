//! Ctrl-Z, SIGTSTP and SIGCONT, under a shell with job control.

use std::path::Path;

use super::{SET, UNSET, send_signal};
use crate::support::pty::{Exit, Terminal};

/// Starts the demo as a job of a shell, which says when it is stopped or ended, and continues it after a line.
fn job(folder: &Path) -> Terminal {
    let script = r#"set -m
        sh -c 'echo $$ > pid; exec "$0" demo --speed 0.1' "$0"
        stty -a; stty sane; echo "job stopped"; read line
        fg
        echo "job ended with $?""#;
    let environment = [
        ("XDG_CONFIG_HOME".to_owned(), folder.to_str().unwrap().to_owned()),
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
    ];
    let script = format!("cd '{}'\n{script}", folder.display());
    let arguments = ["-c", &script, env!("CARGO_BIN_EXE_hatchery")];
    let terminal = Terminal::start_program("/bin/sh", &arguments, &environment, (110, 30));
    terminal.wait_for("checkout-fix");
    terminal.wait_for("ready");
    assert_eq!(terminal.modes(), SET);
    terminal
}

fn pid(folder: &Path) -> u32 {
    std::fs::read_to_string(folder.join("pid")).unwrap().trim().parse().unwrap()
}

/// The demo is stopped, and the shell has its terminal as it was.
#[track_caller]
fn assert_stopped(terminal: &Terminal) {
    terminal.wait_for("job stopped");
    assert_eq!(terminal.modes(), UNSET);
    let text = terminal.text();
    let modes: Vec<_> = text.split_whitespace().collect();
    for mode in ["isig", "icanon", "echo"] {
        assert!(modes.contains(&mode), "{mode}:\n{text}");
    }
}

/// The demo is on the screen again, takes keys, and ends.
#[track_caller]
fn assert_resumed(mut terminal: Terminal) {
    terminal.send_keys("\n");
    terminal.wait_for("checkout-fix");
    terminal.wait_for("ready");
    assert_eq!(terminal.modes(), SET);
    terminal.send_keys("?");
    terminal.wait_for("Help");
    terminal.send_keys("q");
    terminal.wait_for("job ended with 0");
    assert_eq!(terminal.wait_for_end(), Exit::Code(0));
    assert_eq!(terminal.modes(), UNSET);
}

#[test]
fn ctrl_z_suspends_and_fg_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = job(folder.path());
    terminal.send_keys("\x1a");
    assert_stopped(&terminal);
    assert_resumed(terminal);
}

#[test]
fn ctrl_z_suspends_in_a_dialog() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = job(folder.path());
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("\x1a");
    assert_stopped(&terminal);
    terminal.send_keys("\n");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("\x03");
    terminal.wait_for("job ended with 0");
}

#[test]
fn stop_from_outside_suspends() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = job(folder.path());
    send_signal("TSTP", pid(folder.path()));
    assert_stopped(&terminal);
    assert_resumed(terminal);
}

#[test]
fn continuation_sets_up_a_terminal_that_was_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = job(folder.path());
    // Cannot be handled: the shell gets the terminal as it is.
    send_signal("STOP", pid(folder.path()));
    terminal.wait_for("job stopped");
    assert_resumed(terminal);
}

#[test]
fn new_size_is_taken_after_a_suspension() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = job(folder.path());
    terminal.send_keys("\x1a");
    assert_stopped(&terminal);
    terminal.resize(80, 20);
    terminal.send_keys("\n");
    terminal.wait_for("checkout-fix");
    let last = terminal.text().lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("help"), "the footer is in the last row:\n{}", terminal.text());
    terminal.send_keys("q");
    terminal.wait_for("job ended with 0");
}

#[test]
fn dashboard_without_a_shell_does_not_stop() {
    let mut terminal = Terminal::start(&["demo", "--speed", "0.1"], &[], (110, 30));
    terminal.wait_for("checkout-fix");
    terminal.send_keys("\x1a");
    terminal.wait_for("cannot suspend");
    send_signal("TSTP", terminal.pid());
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_end(), Exit::Code(0));
}
