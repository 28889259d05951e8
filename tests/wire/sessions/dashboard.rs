//! Programs that get the terminal from the dashboard, and give it back.

use rstest::rstest;

use super::{environment, install, is_running, temporary_files, temporary_folder};
use crate::port_forward::{Bed, wait_until};
use crate::support::pty::{Exit, Terminal};
use crate::support::running::send_signal;
use crate::support::session_manager::{Agent, Programs};

/// The dashboard with the second environment selected.
fn dashboard(bed: &Bed) -> Terminal {
    dashboard_in(environment(bed))
}

fn dashboard_in(environment: Vec<(String, String)>) -> Terminal {
    let mut terminal = Terminal::dashboard(environment, &["--no-engine"]);
    terminal.wait_for("feature-2");
    terminal.send_keys("j");
    wait_until("the second row is selected", || {
        terminal.reversed_rows().iter().any(|row| row.contains("feature-2"))
    });
    terminal
}

#[rstest]
#[case::shell("s", "remote shell", "the shell on dev-2 is closed")]
#[case::database("D", "remote database", "the database console on dev-2 is closed")]
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_hands_over_and_returns(
    #[case] key: &'static str,
    #[case] banner: &'static str,
    #[case] closed: &'static str,
) {
    let bed = Bed::start_many(2, Agent::Connected, Programs::install()).await;
    let work = move || {
        let mut terminal = dashboard(&bed);
        let modes = terminal.modes();
        terminal.send_keys(key);
        terminal.wait_for(banner);
        assert!(
            !terminal.modes().alternate_screen && !terminal.modes().mouse && !terminal.modes().hidden_cursor
        );
        terminal.send_keys("uptime\n");
        terminal.wait_for("ran uptime");
        // Keys of the dashboard are keys of the program, and so is Ctrl-C.
        terminal.send_keys("q\n");
        terminal.wait_for("ran q");
        terminal.send_keys("\u{3}");
        terminal.wait_for("remote program interrupted");
        // A session of less than three seconds waits for Enter.
        std::thread::park_timeout(std::time::Duration::from_millis(3_200));
        terminal.send_keys("exit\n");
        terminal.wait_for(closed);
        assert_eq!(terminal.modes(), modes);
        assert!(terminal.reversed_rows().iter().any(|row| row.contains("feature-2")), "{}", terminal.text());
        terminal.send_keys("k");
        wait_until("keys work again", || {
            terminal.reversed_rows().iter().any(|row| row.contains("feature-1"))
        });
        assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
        terminal.assert_restored();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

/// The shell is the user's own, and finds the cluster by its environment.
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_opens_a_shell_with_kubectl() {
    let bed = Bed::start_many(2, Agent::Connected, Programs::install()).await;
    // A shell of less than three seconds waits for Enter.
    let script =
        "#!/bin/sh\necho own shell with $KUBECONFIG; read -r line; echo read $line; exec /bin/sleep 3.2\n";
    let shell = install(&bed, "own-shell", script);
    let work = move || {
        let mut environment = environment(&bed);
        let folder = temporary_folder(&bed);
        for (name, path) in [("SHELL", &shell), ("TMPDIR", &folder)] {
            environment.push((name.into(), path.to_string_lossy().into_owned()));
        }
        let mut terminal = dashboard_in(environment);
        let modes = terminal.modes();
        terminal.send_keys("K");
        terminal.wait_for("hatchery-kubeconfig-");
        terminal.send_keys("done\n");
        terminal.wait_for("read done");
        terminal.wait_for("the shell with kubectl on dev-2 is closed");
        assert_eq!(terminal.modes(), modes);
        let twice = ["StartSession", "TerminateSession", "StartSession", "TerminateSession"];
        assert_eq!(bed.operations(), twice);
        assert_eq!(temporary_files(&bed), 0);
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_shows_why_a_session_ended() {
    let bed = Bed::start_many(2, Agent::Connected, Programs::install()).await;
    let work = move || {
        let mut terminal = dashboard(&bed);
        terminal.send_keys("s");
        terminal.wait_for("remote shell");
        terminal.send_keys("fail websocket closed\n");
        terminal.wait_for("Press Enter to return to the dashboard");
        terminal.send_keys("\n");
        terminal.wait_for("the shell on dev-2 has ended (exit code 7): websocket closed");
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_shows_a_refused_session() {
    let bed = Bed::start_many(2, Agent::Denied, Programs::install()).await;
    let work = move || {
        let mut terminal = dashboard(&bed);
        terminal.send_keys("s");
        terminal.wait_for("cannot open a shell on dev-2");
        assert!(terminal.modes().alternate_screen);
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
        terminal.assert_restored();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[rstest]
#[case::terminated("TERM", "Terminated")]
#[case::hung_up("HUP", "Hangup")]
#[tokio::test(flavor = "multi_thread")]
async fn signal_ends_session_and_dashboard(#[case] signal: &'static str, #[case] name: &'static str) {
    let bed = Bed::start_many(2, Agent::Connected, Programs::install()).await;
    let work = move || {
        let mut terminal = dashboard(&bed);
        terminal.send_keys("s");
        terminal.wait_for("remote shell");
        send_signal(signal, terminal.pid());
        assert_eq!(terminal.wait_for_end(), Exit::Signal(name.to_owned()));
        terminal.assert_restored();
        assert!(!is_running(bed.programs.path()), "the plugin has ended");
        assert_eq!(bed.operations(), ["StartSession", "TerminateSession"]);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
