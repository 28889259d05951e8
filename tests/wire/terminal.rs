//! The dashboard in a pseudo-terminal.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::account::{Account, init};
use crate::support::moto::Moto;
use crate::support::pty::Terminal;

/// Runs what blocks on a thread of its own, as the server's client needs this one.
async fn on_screen<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_launches_and_terminates() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1"]).await;
    Account::of(&moto).await.engine_until("the pool is full", |state| state.free() == 1).await;
    let mut terminal = Terminal::dashboard(moto.env(), &[]);
    let mut terminal = on_screen(move || {
        terminal.shows("pool 1/1 free");
        terminal.keys("l");
        terminal.shows("Launch an environment");
        terminal.keys("checkout-fix\t\tpayments=f-123\r");
        terminal.shows("dev-1 launches on");
        terminal
    })
    .await;
    let account = Account::of(&moto).await;
    let state = account.look().await;
    assert_eq!(state.alive().len(), 1);
    assert_eq!(state.alive()[0].tags["hatchery:owner"], "amy");
    assert_eq!(state.alive()[0].tags["hatchery:service.payments"], "f-123");

    account.say_phase(&state.alive()[0].id, "ready").await;
    terminal = on_screen(move || {
        terminal.keys("r");
        terminal.shows("● ready");
        terminal.keys("x");
        terminal.shows("Terminate");
        terminal.keys("y");
        terminal.shows("terminat");
        terminal
    })
    .await;
    // The engine behind the dashboard finishes it: what its own person asks for does not wait.
    let begun = Instant::now();
    loop {
        let left = account.look().await;
        if left.records.is_empty()
            && left.alive().is_empty()
            && !left.databases.contains_key("hatchery-dev-1")
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "{left:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    on_screen(move || {
        terminal.keys("q");
        assert_eq!(terminal.ends(), 0);
        terminal.is_restored();
    })
    .await;
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_state_on_the_screen() {
    let environment: Vec<_> = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let mut terminal = Terminal::start(&[], &environment, (80, 24));
    terminal.shows("hatchery");
    terminal.shows("cannot be reached");
    terminal.keys("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn signals_and_the_end_of_input_restore_the_terminal() {
    for signal in ["TERM", "HUP", "INT"] {
        let mut terminal = Terminal::start(&["demo", "--speed", "1"], &[], (80, 24));
        terminal.shows("checkout-fix");
        let pid = terminal.pid().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        terminal.ends();
        terminal.is_restored();
    }
}

#[test]
fn the_demo_fits_any_terminal() {
    let mut terminal = Terminal::start(&["demo"], &[], (160, 45));
    terminal.shows("checkout-fix");
    for (cols, rows) in [(80, 24), (60, 15), (20, 5), (1, 1), (120, 40)] {
        terminal.resize(cols, rows);
        std::thread::park_timeout(Duration::from_millis(200));
    }
    terminal.shows("checkout-fix");
    terminal.keys("?");
    terminal.shows("Help");
    // The two keys in one go would be another key, Alt-q.
    terminal.keys("\x1b");
    terminal.shows("checkout-fix");
    terminal.keys("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn at_rest_the_screen_is_left_alone() {
    let mut terminal = Terminal::start(&["demo", "--speed", "0.1"], &[], (80, 24));
    terminal.shows("checkout-fix");
    std::thread::park_timeout(Duration::from_secs(2));
    let before = terminal.raw().len();
    std::thread::park_timeout(Duration::from_secs(2));
    let written = terminal.raw().len() - before;
    // At a tenth of life's speed hardly anything visible can change in two seconds.
    assert!(written < 2_000, "{written} bytes were written at rest");
    terminal.keys("q");
    terminal.ends();
}

#[test]
fn the_picture_in_the_readme_is_what_the_program_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.svg");
    let binary = env!("CARGO_BIN_EXE_hatchery");
    let done = Command::new(binary).args(["demo", "--picture"]).arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/assets/dashboard.svg");
    let same = std::fs::read(path).unwrap() == std::fs::read(shipped).unwrap();
    assert!(same, "make it again: cargo run -- demo --picture .github/assets/dashboard.svg");
}
