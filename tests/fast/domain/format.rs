//! The words that people and scripts read.

use std::time::Duration;

use hatchery::domain::audit::engine_name;
use hatchery::domain::health::Level;
use hatchery::domain::{
    AuditEvent, DatabaseState, EnvironmentState, ErrorClass, InstanceState, Outcome, Phase, Spare,
};
use serde::Serialize;

use crate::support::worlds::*;

/// On a screen and in JSON it is this word, and it takes a width.
#[track_caller]
fn is_called(thing: impl Serialize + ToString + std::fmt::Display, word: &str) {
    assert_eq!(thing.to_string(), word);
    assert_eq!(serde_json::to_value(&thing).unwrap(), word);
    assert_eq!(format!("{thing:>20}|"), format!("{word:>20}|"));
}

#[test]
fn every_state_has_its_word() {
    for (state, word) in [
        (EnvironmentState::Launching, "launching"),
        (EnvironmentState::Starting, "starting"),
        (EnvironmentState::Ready, "ready"),
        (EnvironmentState::Stopped, "stopped"),
        (EnvironmentState::Expired, "expired"),
        (EnvironmentState::Reaping, "reaping"),
        (EnvironmentState::Terminating, "terminating"),
        (EnvironmentState::Failed, "failed"),
    ] {
        is_called(state, word);
    }
    for (state, word) in [
        (DatabaseState::Free, "free"),
        (DatabaseState::Creating, "creating"),
        (DatabaseState::Claimed, "claimed"),
        (DatabaseState::Stale, "stale"),
        (DatabaseState::Failed, "failed"),
        (DatabaseState::Deleting, "deleting"),
    ] {
        is_called(state, word);
    }
    for (outcome, word) in [
        (Outcome::Done, "done"),
        (Outcome::Skipped, "skipped"),
        (Outcome::Failed, "failed"),
        (Outcome::Unknown, "unknown"),
        (Outcome::DryRun, "dry-run"),
    ] {
        is_called(outcome, word);
    }
}

#[test]
fn levels_and_classes_have_their_words() {
    for (level, word) in [(Level::Info, "info"), (Level::Warning, "warning"), (Level::Error, "error")] {
        assert_eq!((level.as_str(), serde_json::to_value(level).unwrap()), (word, word.into()));
    }
    for (class, word) in [
        (ErrorClass::Throttled, "throttled"),
        (ErrorClass::Auth, "auth"),
        (ErrorClass::NotFound, "not-found"),
        (ErrorClass::AlreadyExists, "already-exists"),
        (ErrorClass::Capacity, "capacity"),
        (ErrorClass::Quota, "quota"),
        (ErrorClass::Invalid, "invalid"),
        (ErrorClass::Transient, "transient"),
        (ErrorClass::Unknown, "unknown-outcome"),
    ] {
        assert_eq!(format!("{class:<16}|"), format!("{word:<16}|"));
    }
}

#[test]
fn what_ec2_and_the_bootstrap_say_is_read_as_it_is_written() {
    for state in [
        InstanceState::Pending,
        InstanceState::Running,
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::ShuttingDown,
        InstanceState::Terminated,
        InstanceState::Unknown,
    ] {
        assert_eq!(state.to_string().parse(), Ok(state));
        let gone = matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated);
        assert_eq!(state.is_ending(), gone);
    }
    is_called(InstanceState::ShuttingDown, "shutting-down");
    for phase in Phase::PATH.into_iter().chain([Phase::Failed]) {
        assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        is_called(phase, phase.as_str());
    }
    assert_eq!(Phase::parse("asleep"), None);
}

#[test]
fn a_spare_is_a_number_or_a_word() {
    assert_eq!(serde_json::to_value([Spare::Fixed(3), Spare::Auto]).unwrap(), serde_json::json!([3, "auto"]));
    for (text, spare) in [("0", Spare::Fixed(0)), ("1000", Spare::Fixed(1_000)), ("auto", Spare::Auto)] {
        assert_eq!((text.parse(), spare.to_string().as_str()), (Ok(spare), text));
    }
    assert!("1001".parse::<Spare>().is_err());
    assert_eq!(format!("{:>6}{:>6}", Spare::Fixed(3), Spare::Auto), "     3  auto");
}

fn event(who: &str, action: &str) -> AuditEvent {
    AuditEvent {
        at: now(),
        who: who.into(),
        action: action.into(),
        target: "dev-12\u{1b}[2J".into(),
        reason: "why\u{7}".into(),
        outcome: Outcome::Done,
        detail: "\u{202e}more".into(),
        restore_seconds: Some(900),
    }
}

#[test]
fn an_engine_is_known_by_its_name() {
    assert_eq!(engine_name("laptop"), "engine@laptop");
    assert!(event(&engine_name("laptop"), "launch").is_by_engine());
    assert!(!event("amy", "launch").is_by_engine());
}

#[test]
fn an_event_from_a_log_that_others_write_is_cleaned_whole() {
    let clean = event("amy\u{1b}[31m", "launch\r").sanitized();
    let expected = AuditEvent {
        target: "dev-12".into(),
        reason: "why".into(),
        detail: "more".into(),
        ..event("amy", "launch")
    };
    assert_eq!(clean, expected);
}

#[test]
fn every_deed_is_told_in_the_past() {
    for (action, told) in [
        ("forget-failed-restores", "cleared failed restores"),
        ("keep", "kept"),
        ("give-up", "gave up"),
        ("extend", "extended"),
        ("note-instance", "recorded instance"),
    ] {
        assert_eq!(event("amy", action).summary(), told);
    }
    let dry = AuditEvent { outcome: Outcome::DryRun, ..event("amy", "launch-instance") };
    assert_eq!(dry.summary(), "launch instance");
}

#[test]
fn a_length_of_time_has_its_two_largest_units() {
    for (seconds, text) in [
        (60, "1m 00s"),
        (3_599, "59m 59s"),
        (3_600, "1h 00m"),
        (86_399, "23h 59m"),
        (86_400, "1d 00h"),
        (86_400 + 3_600 * 5 + 59, "1d 05h"),
    ] {
        assert_eq!(hatchery::domain::text::format_duration(Duration::from_secs(seconds)), text);
    }
}
