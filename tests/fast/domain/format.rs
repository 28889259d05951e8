//! The words that people and scripts read.

use hatchery::domain::audit::engine_name;
use hatchery::domain::health::Level;
use hatchery::domain::{
    AuditEvent, DatabaseState, EnvironmentState, ErrorClass, InstanceState, Outcome, Phase, Spare,
};
use serde::Serialize;

use crate::support::worlds::*;

/// On a screen and in JSON it is this word, and it takes a width.
#[track_caller]
fn assert_text(thing: impl Serialize + ToString + std::fmt::Display, word: &str) {
    assert_eq!(thing.to_string(), word);
    assert_eq!(serde_json::to_value(&thing).unwrap(), word);
    assert_eq!(format!("{thing:>20}|"), format!("{word:>20}|"));
}

#[test]
fn states_as_text() {
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
        assert_text(state, word);
    }
    for (state, word) in [
        (DatabaseState::Free, "free"),
        (DatabaseState::Creating, "creating"),
        (DatabaseState::Claimed, "claimed"),
        (DatabaseState::Stale, "stale"),
        (DatabaseState::Failed, "failed"),
        (DatabaseState::Deleting, "deleting"),
    ] {
        assert_text(state, word);
    }
    for (outcome, word) in [
        (Outcome::Done, "done"),
        (Outcome::Skipped, "skipped"),
        (Outcome::Failed, "failed"),
        (Outcome::Unknown, "unknown"),
        (Outcome::DryRun, "dry-run"),
    ] {
        assert_text(outcome, word);
    }
}

#[test]
fn levels_and_classes_as_text() {
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
fn instance_states_and_phases_round_trip() {
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
    assert_text(InstanceState::ShuttingDown, "shutting-down");
    for phase in Phase::PATH.into_iter().chain([Phase::Failed]) {
        assert_eq!(phase.as_str().parse(), Ok(phase));
        assert_text(phase, phase.as_str());
    }
    assert!("asleep".parse::<Phase>().is_err());
}

#[test]
fn spare_is_a_number_or_auto() {
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
        loaded_percent: None,
    }
}

#[test]
fn engine_is_recognised_by_its_name() {
    assert_eq!(engine_name("laptop"), "engine@laptop");
    assert!(event(&engine_name("laptop"), "launch").is_by_engine());
    assert!(!event("amy", "launch").is_by_engine());
}

#[test]
fn summary_of_each_kind_of_action() {
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
