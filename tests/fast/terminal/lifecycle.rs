//! The life of an environment and of the dashboard, by keys and by the terminal alone.

use std::time::{Duration, Instant};

use portable_pty::{PtySize, native_pty_system};

use super::{UNSET, demo};
use crate::support::pty::Terminal;

/// Waits until a line of the screen has all texts.
#[track_caller]
fn wait_for_line(terminal: &Terminal, texts: &[&str]) {
    let begun = Instant::now();
    while !terminal.text().lines().any(|line| texts.iter().all(|text| line.contains(text))) {
        assert!(begun.elapsed() < Duration::from_mins(1), "no line has {texts:?}:\n{}", terminal.text());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn environment_lives_and_ends_by_keys_alone() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "60"], &[]);
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("voucher-fix\t\tpayments=f-131");
    terminal.wait_for("payments=f-131");
    terminal.send_keys("\r");
    terminal.wait_until_gone("Launch an environment");
    terminal.send_keys("/voucher-fix\r");
    wait_for_line(&terminal, &["▸", "voucher-fix", "● ready"]);
    terminal.send_keys("x");
    terminal.wait_for("Terminate");
    terminal.send_keys("y");
    wait_for_line(&terminal, &["voucher-fix", "terminating"]);
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
    assert_eq!(terminal.modes(), UNSET);
}

/// The input is a terminal of its own, so that what is written at the end can be seen.
#[test]
fn end_of_input_restores_the_terminal() {
    let input = native_pty_system().openpty(PtySize { rows: 30, cols: 110, pixel_width: 0, pixel_height: 0 });
    let input = input.unwrap();
    let path = input.master.tty_name().unwrap();
    let command = format!("exec {} demo --speed 1 < {}", env!("CARGO_BIN_EXE_hatchery"), path.display());
    let mut terminal = Terminal::start_program("/bin/sh", &["-c", &command], &[], (110, 30));
    terminal.wait_for("checkout-fix");
    drop(input);
    let begun = Instant::now();
    assert_eq!(terminal.wait_for_exit(), 0);
    assert!(begun.elapsed() < Duration::from_secs(15), "took {:?}", begun.elapsed());
    terminal.assert_restored();
    assert_eq!(terminal.modes(), UNSET);
}
