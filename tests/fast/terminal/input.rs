//! What the terminal sends: the mouse, and pasted text that is not marked as such.

use std::time::Duration;

use super::{demo, quit};

fn pause() {
    std::thread::park_timeout(Duration::from_millis(400));
}

#[test]
fn mouse_can_be_left_to_the_terminal() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--no-mouse", "--speed", "0.1"], &[]);
    assert!(!terminal.modes().mouse);
    terminal.send_keys("m");
    terminal.wait_for("mouse: the dashboard has it");
    assert!(terminal.modes().mouse);
    terminal.send_keys("m");
    terminal.wait_for("mouse: the terminal has it");
    assert!(!terminal.modes().mouse);
    terminal.send_keys(":");
    terminal.wait_for("Commands");
    terminal.send_keys("mouse");
    terminal.wait_for("Leave the mouse to the terminal");
    terminal.send_keys("\x1b");
    // Together with a letter, escape means Alt.
    pause();
    quit(terminal);
}

#[test]
fn mouse_can_be_configured() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("hatchery")).unwrap();
    std::fs::write(folder.path().join("hatchery").join("config.toml"), "mouse = false\n").unwrap();
    let terminal = demo(folder.path(), &[], &[]);
    assert!(!terminal.modes().mouse);
    let raw = quit(terminal);
    assert!(!raw.contains("\x1b[?1000h"), "never captured");
}

#[test]
fn unmarked_paste_presses_no_keys() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    // Would terminate an environment, and quit.
    terminal.send_keys("xy\nx yes\r\nlaunch q\r");
    terminal.wait_for("pasted text is ignored");
    pause();
    let text = terminal.text();
    assert!(
        !text.contains("Terminate") && !text.contains("terminating") && !text.contains("Launch an"),
        "{text}"
    );
    // A long one comes in several reads.
    terminal.send_keys(&"lorem ipsum x y q\r".repeat(400));
    pause();
    let text = terminal.text();
    assert!(!text.contains("Launch an") && !text.contains("terminating"), "{text}");
    quit(terminal);
}

#[test]
fn unmarked_paste_in_a_field_is_text() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("first\rsecond\rthird\r");
    terminal.wait_for("first second third");
    pause();
    assert!(terminal.text().contains("Launch an environment"), "nothing is submitted");
    terminal.send_keys("\x1b");
    terminal.wait_until_gone("Launch an environment");
    quit(terminal);
}

#[test]
fn keys_of_a_fast_typist_are_keys() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    // The repeats of a key that a slow connection delivers together.
    terminal.send_keys("jjjjjjjj");
    pause();
    let moved = terminal.reversed_rows();
    terminal.send_keys("kkk");
    pause();
    assert_ne!(terminal.reversed_rows(), moved);
    // What opens a text field, with the text.
    terminal.send_keys("/checkout-fix\r");
    terminal.wait_for("/checkout-fix");
    terminal.send_keys("\x1b");
    terminal.wait_until_gone("/checkout-fix");
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("voucher-fix\t\tpayments=f-123\r");
    terminal.wait_for("voucher-fix");
    terminal.wait_until_gone("Launch an environment");
    quit(terminal);
}
