//! Notifications: the sequence, and nothing else.

use super::{demo, quit};
use crate::support::pty::Terminal;

/// Launches an environment and waits until the dashboard says that it is ready.
#[track_caller]
fn launch_until_ready(terminal: &mut Terminal) {
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("notify-me");
    terminal.wait_for("notify-me");
    terminal.send_keys("\r");
    terminal.wait_until_gone("Launch an environment");
    terminal.wait_for("notify-me is ready");
}

/// Returns the contents of all OSC sequences.
fn osc(raw: &str) -> Vec<&str> {
    raw.split("\x1b]").skip(1).map(|rest| &rest[..rest.find("\x1b\\").unwrap()]).collect()
}

#[test]
fn notification_is_written_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("hatchery")).unwrap();
    std::fs::write(folder.path().join("hatchery").join("config.toml"), "notify = \"bell\"\n").unwrap();
    let mut terminal = demo(folder.path(), &["--speed", "300", "--notify", "osc9"], &[]);
    // The terminal says that the user looks elsewhere.
    terminal.send_keys("\x1b[O");
    launch_until_ready(&mut terminal);
    assert!(terminal.text().contains("checkout-fix"), "the screen is as before:\n{}", terminal.text());
    let raw = quit(terminal);
    let sent = osc(&raw);
    assert!(sent.iter().any(|text| text.starts_with("9;hatchery: notify-me is ready: dev-")), "{sent:?}");
    assert!(sent.iter().all(|text| text.starts_with("9;hatchery: ")), "{sent:?}");
    assert!(!raw.contains('\x07'), "the flag wins over the configuration");
}

#[test]
fn terminal_with_the_focus_gets_no_notification() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "300", "--notify", "bell"], &[]);
    terminal.send_keys("\x1b[I");
    std::thread::park_timeout(std::time::Duration::from_millis(200));
    let before = terminal.raw().len();
    launch_until_ready(&mut terminal);
    let raw = terminal.raw();
    assert!(!raw[before..].contains(&7), "{:?}", String::from_utf8_lossy(&raw));
    quit(terminal);
}

#[test]
fn demo_notifies_only_if_asked() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "300"], &[("TERM_PROGRAM", "iTerm.app")]);
    launch_until_ready(&mut terminal);
    let raw = quit(terminal);
    assert_eq!(osc(&raw), [""; 0]);
    assert!(!raw.contains('\x07'), "{raw:?}");
}

/// tmux 3.3, asked about hatchery's pane.
#[test]
fn notification_goes_through_tmux() {
    let folder = tempfile::tempdir().unwrap();
    let tmux = folder.path().join("tmux");
    let script = "#!/bin/sh\necho \"$*\" > \"${0%/*}/asked\"\necho '1,1,foot,foot(1.16.2)'\n";
    std::fs::write(&tmux, script).unwrap();
    std::fs::set_permissions(&tmux, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let inside = [
        ("TMUX", "/tmp/tmux-1000/default,1,0"),
        ("TMUX_PANE", "%3"),
        ("TERM", "tmux-256color"),
        ("PATH", &path),
    ];
    let mut terminal = demo(folder.path(), &["--speed", "300", "--notify", "auto"], &inside);
    launch_until_ready(&mut terminal);
    let start = std::time::Instant::now();
    let mut raw = String::new();
    while !raw.contains("notify-me is ready;") && start.elapsed().as_secs() < 20 {
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    }
    assert!(raw.contains("\x1bPtmux;\x1b\x1b]777;notify;notify-me is ready;dev-"), "{raw:?}");
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    assert!(asked.starts_with("display-message -p -t %3 "), "{asked}");
    quit(terminal);
}
