//! The end of the dashboard by a signal or a panic.

use std::time::{Duration, Instant};

use hatchery::failure::Failure;
use hatchery::tui::{self, Connected, FleetConnection};
use rstest::rstest;

use super::{SET, UNSET, send_signal};
use crate::support::pty::{Exit, Terminal};
use crate::support::sample_fleet;

/// The signals by which a process ends, with their descriptions.
const SIGNALS: [(&str, &str); 4] =
    [("TERM", "Terminated"), ("HUP", "Hangup"), ("INT", "Interrupt"), ("QUIT", "Quit")];

fn demo() -> Terminal {
    let terminal = Terminal::start(&["demo", "--speed", "1"], &[], (110, 30));
    terminal.wait_for("checkout-fix");
    terminal
}

#[track_caller]
fn assert_ended_by(mut terminal: Terminal, name: &str, description: &str) {
    let Exit::Signal(signal) = terminal.wait_for_end() else { panic!("not ended by a signal: {name}") };
    assert!(signal.starts_with(description), "{signal} instead of {name}");
    assert_eq!(terminal.modes(), UNSET, "{name}");
}

#[rstest]
#[case::main("", "checkout-fix")]
#[case::form("l", "Launch an environment")]
#[case::question("x", "Terminate")]
#[case::help("?", "Help")]
#[case::filter("/", "filter")]
fn signal_restores_the_terminal(#[case] keys: &str, #[case] shown: &str) {
    for (name, description) in SIGNALS {
        let mut terminal = demo();
        terminal.send_keys(keys);
        terminal.wait_for(shown);
        send_signal(name, terminal.pid());
        assert_ended_by(terminal, name, description);
    }
}

#[test]
fn signal_ends_a_dashboard_whose_terminal_is_not_read() {
    for (name, description) in SIGNALS {
        let mut terminal = demo();
        terminal.stop_reading(true);
        // More than a pseudo-terminal takes.
        for _ in 0..60 {
            terminal.send_keys("t");
            std::thread::park_timeout(Duration::from_millis(30));
        }
        let begun = Instant::now();
        send_signal(name, terminal.pid());
        let Exit::Signal(signal) = terminal.wait_for_end() else { panic!("not ended by a signal: {name}") };
        assert!(signal.starts_with(description), "{signal} instead of {name}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{name} took {:?}", begun.elapsed());
    }
}

/// Starts a test of this file, which is ignored otherwise, in a terminal.
fn child(name: &str) -> Terminal {
    let program = std::env::current_exe().unwrap();
    let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let arguments = [&name, "--exact", "--ignored", "--nocapture"];
    Terminal::start_program(program.to_str().unwrap(), &arguments, &[], (110, 30))
}

fn run_dashboard<F>(connect: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = Result<Connected, Failure>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Err(failure) =
        runtime.block_on(tui::run_fleets(vec![FleetConnection::new(connect, sample_fleet::options())]))
    {
        eprintln!("hatchery: {}", failure.sentence());
    }
    runtime.shutdown_background();
}

#[test]
#[ignore = "runs in the terminal of panic_message_stays_readable"]
fn dashboard_that_panics() {
    run_dashboard(|| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        panic!("the cloud is falling")
    });
}

#[test]
#[ignore = "runs in the terminal of signal_ends_a_dashboard_that_connects"]
fn dashboard_that_connects() {
    run_dashboard(std::future::pending);
}

#[test]
fn panic_message_stays_readable() {
    let mut terminal = child("dashboard_that_panics");
    terminal.wait_for("connecting");
    terminal.wait_for_end();
    let text = terminal.text();
    for part in ["panicked at", "the cloud is falling", "hatchery: a part of the dashboard panicked"] {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
    assert_eq!(terminal.modes(), UNSET);
}

#[test]
fn signal_ends_a_dashboard_that_connects() {
    let terminal = child("dashboard_that_connects");
    terminal.wait_for("connecting");
    assert_eq!(terminal.modes(), SET);
    send_signal("TERM", terminal.pid());
    assert_ended_by(terminal, "TERM", "Terminated");
}
