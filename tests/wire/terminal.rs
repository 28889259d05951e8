//! The dashboard in a pseudo-terminal.

use std::time::{Duration, Instant};

use crate::support::account::{Account, init};
use crate::support::moto::Moto;
use crate::support::pty::Terminal;
use crate::support::running::send_signal;

/// Runs blocking work on its own thread, because the AWS clients need this one.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn user_launches_and_terminates() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1"]).await;
    Account::new(&moto).await.run_engine_until("the pool is full", |state| state.free() == 1).await;
    let mut terminal = Terminal::dashboard(moto.env(), &[]);
    let mut terminal = run_blocking(move || {
        terminal.wait_for("pool 1/1 free");
        terminal.send_keys("l");
        terminal.wait_for("Launch an environment");
        terminal.send_keys("checkout-fix\t\tpayments=f-123\r");
        terminal.wait_for("dev-1 is launching on");
        terminal
    })
    .await;
    let account = Account::new(&moto).await;
    let state = account.inspect().await;
    assert_eq!(state.active().len(), 1);
    assert_eq!(state.active()[0].tags["hatchery:owner"], "amy");
    assert_eq!(state.active()[0].tags["hatchery:service.payments"], "f-123");

    account.set_phase(&state.active()[0].id, "ready").await;
    terminal = run_blocking(move || {
        terminal.send_keys("r");
        terminal.wait_for("● ready");
        terminal.send_keys("x");
        terminal.wait_for("Terminate");
        terminal.send_keys("y");
        terminal.wait_for("terminating");
        terminal
    })
    .await;
    // The dashboard's engine completes the termination; requests of its own user have no delay.
    let begun = Instant::now();
    loop {
        let left = account.inspect().await;
        if left.records.is_empty()
            && left.active().is_empty()
            && !left.databases.contains_key("hatchery-dev-1")
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "{left:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    run_blocking(move || {
        terminal.send_keys("q");
        assert_eq!(terminal.wait_for_exit(), 0);
        terminal.assert_restored();
    })
    .await;
}

#[test]
fn unreachable_endpoint_is_shown() {
    let environment: Vec<_> = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let mut terminal = Terminal::start(&[], &environment, (80, 24));
    terminal.wait_for("hatchery");
    terminal.wait_for("cannot be reached");
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn signals_restore_the_terminal() {
    for signal in ["TERM", "HUP", "INT"] {
        let mut terminal = Terminal::start(&["demo", "--speed", "1"], &[], (80, 24));
        terminal.wait_for("checkout-fix");
        send_signal(signal, terminal.pid());
        terminal.wait_for_exit();
        terminal.assert_restored();
    }
}

#[test]
fn demo_draws_at_any_size() {
    let mut terminal = Terminal::start(&["demo"], &[], (160, 45));
    terminal.wait_for("checkout-fix");
    for (cols, rows) in [(80, 24), (60, 15), (20, 5), (1, 1), (120, 40)] {
        terminal.resize(cols, rows);
        std::thread::park_timeout(Duration::from_millis(200));
    }
    terminal.wait_for("checkout-fix");
    terminal.send_keys("?");
    terminal.wait_for("Help");
    // Sent together, the two keys would be read as Alt-q.
    terminal.send_keys("\x1b");
    terminal.wait_for("checkout-fix");
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn idle_dashboard_writes_little() {
    let mut terminal = Terminal::start(&["demo", "--speed", "0.1"], &[], (80, 24));
    terminal.wait_for("checkout-fix");
    std::thread::park_timeout(Duration::from_secs(2));
    let before = terminal.raw().len();
    std::thread::park_timeout(Duration::from_secs(2));
    let written = terminal.raw().len() - before;
    // At a tenth of real time, hardly anything visible changes in two seconds.
    assert!(written < 2_000, "{written} bytes were written while idle");
    terminal.send_keys("q");
    terminal.wait_for_exit();
}
