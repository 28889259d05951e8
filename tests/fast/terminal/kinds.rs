//! Terminals of several kinds: without Unicode, without a full screen, without answers, with other widths.

use rstest::rstest;

use super::{demo, quit};
use crate::support::pty::{Exit, Terminal};

#[rstest]
#[case::c(&[("LANG", "C")])]
#[case::posix(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "POSIX")])]
#[case::console(&[("TERM", "linux"), ("LANG", "C.UTF-8")])]
fn terminal_without_unicode_gets_ascii(#[case] environment: &[(&str, &str)]) {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], environment);
    terminal.send_keys("?");
    terminal.wait_until_gone("checkout-fix");
    terminal.send_keys("\x1b");
    terminal.wait_for("checkout-fix");
    terminal.send_keys("i");
    terminal.wait_until_gone("checkout-fix");
    terminal.send_keys(":");
    terminal.wait_for("Move half a page up");
    terminal.send_keys("\x03");
    assert_eq!(terminal.wait_for_end(), Exit::Code(0));
    let raw = terminal.raw();
    let other: String = String::from_utf8_lossy(&raw).chars().filter(|c| !c.is_ascii()).collect();
    assert_eq!(other, "");
}

#[test]
fn configuration_decides_about_ascii() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("hatchery")).unwrap();
    std::fs::write(folder.path().join("hatchery").join("config.toml"), "ascii = false\n").unwrap();
    let raw = quit(demo(folder.path(), &[], &[("LANG", "C")]));
    assert!(raw.contains('─'));
}

#[rstest]
fn terminal_without_a_full_screen_is_told(#[values("dumb", "unknown")] term: &str) {
    let mut terminal = Terminal::start(&["demo"], &[("TERM".to_owned(), term.to_owned())], (200, 24));
    assert_eq!(terminal.wait_for_end(), Exit::Code(1));
    let raw = String::from_utf8(terminal.raw()).unwrap();
    assert!(raw.contains(&format!("TERM is {term}")) && raw.contains("hatchery ls"), "{raw:?}");
    assert!(!raw.contains('\x1b'), "{raw:?}");
}

/// No test's terminal answers; ratatui and crossterm wait for two seconds, and fail.
#[test]
fn terminal_that_never_answers_is_not_asked() {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    for _ in 0..2 {
        terminal.send_keys("t");
        terminal.wait_for("theme: ");
        std::thread::park_timeout(std::time::Duration::from_millis(2_500));
    }
    terminal.resize(80, 24);
    terminal.send_keys("?");
    terminal.wait_for("Help");
    let raw = quit(terminal);
    for question in ["\x1b[6n", "\x1b[c", "\x1b[?u", "\x1b[>", "\x1b]10;?", "\x1b]11;?"] {
        assert!(!raw.contains(question), "{question:?} asks the terminal");
    }
}

/// The emulator of the tests gives each of these sequences more columns than Unicode does.
#[rstest]
#[case::skin_tone("👍🏽👍🏽👍🏽")]
#[case::family("👨\u{200d}👩\u{200d}👧👨\u{200d}👩\u{200d}👧")]
#[case::flags("🇩🇪🇫🇷🇩🇪")]
#[case::emoji_presentation("❤\u{fe0f}☂\u{fe0f}❤\u{fe0f}")]
#[case::keycap("1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}")]
fn sequences_leave_no_remnants(#[case] sequence: &str) {
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[]);
    terminal.send_keys("l");
    terminal.wait_for("Launch an environment");
    terminal.send_keys("ab");
    terminal.wait_for(" ab ");
    let row = |terminal: &Terminal| {
        terminal.text().lines().find(|line| line.contains("Name ")).unwrap_or_default().to_owned()
    };
    let before = row(&terminal);
    let first = sequence.chars().next().unwrap();
    for clear in ["\x15", "\x7f\x7f\x7f\x15"] {
        terminal.send_keys(&format!("\x1b[200~{sequence}\x1b[201~"));
        terminal.wait_for(&format!("ab{first}"));
        // Ctrl-U clears the field; backspace takes parts of it away before.
        terminal.send_keys(clear);
        terminal.wait_for("for example checkout-fix");
        terminal.send_keys("ab");
        terminal.wait_for(" ab ");
        assert_eq!(row(&terminal), before, "{}", terminal.text());
    }
    terminal.send_keys("\x1b");
    terminal.wait_until_gone("Launch an environment");
    quit(terminal);
}

/// An offset from UTC that changes in an hour shows in the time at which environments end, and not in the time of their launch.
#[test]
fn times_follow_the_rules_of_the_zone() {
    use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
    use hatchery::clock::Clock;

    let change = Clock::system().now() + TimeDelta::hours(1);
    let day = |at: DateTime<Utc>| {
        // `Jn` never counts 29 February.
        at.ordinal() - u32::from(at.date_naive().leap_year() && at.month() > 2)
    };
    let (start, end) = (day(change), (day(change) + 60) % 365 + 1);
    let zone = format!("AAA0BBB-5,J{start}/{:02}:{:02}:00,J{end}/0", change.hour(), change.minute());
    let empty = tempfile::tempdir().unwrap();
    let mut terminal = demo(empty.path(), &["--speed", "0.1"], &[("TZ", &zone)]);
    // The one that ends last.
    for _ in 0..12 {
        terminal.send_keys("\x1b[B");
        std::thread::park_timeout(std::time::Duration::from_millis(30));
    }
    let mut checked = 0;
    for _ in 0..12 {
        terminal.send_keys("\r");
        terminal.wait_for("Launched");
        let text = terminal.text();
        let value = |label: &str| {
            let line = text.lines().find(|line| line.contains(label))?;
            let at = line.split(label).nth(1)?.trim().get(..16)?.to_owned();
            NaiveDateTime::parse_from_str(&at, "%Y-%m-%d %H:%M").ok()
        };
        if let (Some(launched), Some(ends)) = (value("Launched"), value("Ends")) {
            let now = Clock::system().now().naive_utc();
            assert!(launched <= now, "{zone}\n{text}");
            if ends > change.naive_utc() + TimeDelta::hours(5) {
                checked += 1;
            }
            assert!(
                ends < change.naive_utc()
                    || ends >= change.naive_utc() + TimeDelta::hours(5) - TimeDelta::minutes(2),
                "no such time exists in {zone}:\n{text}"
            );
        }
        terminal.send_keys("\x1b");
        terminal.wait_until_gone("Launched");
        terminal.send_keys("\x1b[A");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    assert!(checked > 0, "no environment ends after the change");
    quit(terminal);
}
