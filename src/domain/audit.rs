//! Audit events. Every step of an engine and every request of a user is one, with its actor, time and reason.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::{CloudError, ErrorClass};
use super::text::Untrusted;

/// The outcome of a step or request.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// The change was made.
    Done,
    /// Another engine made the change first, or a re-read showed that it is no longer needed.
    Skipped,
    /// The change failed, and nothing has changed.
    Failed,
    /// The response was lost. The next pass finds out whether the change was made.
    Unknown,
    /// The change was only planned.
    DryRun,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the outcome of a change that failed with this error.
    #[must_use]
    pub(crate) fn of_error(error: &CloudError) -> Self {
        if error.is(ErrorClass::Unknown) { Self::Unknown } else { Self::Failed }
    }
}

/// The prefix of the names of engines.
const ENGINE: &str = "engine@";

/// Returns the name of a host's engine in the audit log.
#[must_use]
pub fn engine_name(host: &str) -> String {
    format!("{ENGINE}{host}")
}

/// One event of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditEvent {
    /// In AWS's time if that is known, else in the local clock's.
    pub at: DateTime<Utc>,
    /// The name of a user, or `engine@<host>`.
    pub who: Untrusted,
    /// The action, such as `launch` or `create-database`.
    pub action: Untrusted,
    /// The changed resource, such as `dev-12` or `hatchery-dev-12`.
    pub target: Untrusted,
    pub reason: Untrusted,
    pub outcome: Outcome,
    /// Details, such as an error message or a new value.
    #[serde(default, skip_serializing_if = "Untrusted::is_empty")]
    pub detail: Untrusted,
    /// For a launch with a usable database: the duration of its restore in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_seconds: Option<u64>,
    /// For a launch with a usable database: the percentage of its volume that was loaded, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_percent: Option<u8>,
}

impl AuditEvent {
    /// Describes the event for the user: `launched`, `created database`, `failed to launch instance`.
    #[must_use]
    pub fn summary(&self) -> String {
        let words = self.action.to_string().replace('-', " ");
        match self.outcome {
            Outcome::Done => {}
            Outcome::Failed => return format!("failed to {words}"),
            Outcome::Skipped | Outcome::Unknown | Outcome::DryRun => return words,
        }
        let (verb, object) = words.split_once(' ').unwrap_or((&words, ""));
        let done = match verb {
            "forget" => "cleared".to_owned(),
            "note" => "recorded".to_owned(),
            "give" => "gave".to_owned(),
            "keep" => "kept".to_owned(),
            "send" => "sent".to_owned(),
            "hold" => "held".to_owned(),
            "pin" => "pinned".to_owned(),
            "reset" => "reset".to_owned(),
            "undo" => "undid".to_owned(),
            _ if verb.ends_with('e') => format!("{verb}d"),
            _ => format!("{verb}ed"),
        };
        format!("{done} {object}").trim_end().to_owned()
    }

    /// Whether an engine took the step in the background, not on a user's request.
    #[must_use]
    pub fn is_by_engine(&self) -> bool {
        self.who.raw().starts_with(ENGINE)
    }
}

/// Removes repeated events. An event whose write had an unknown outcome is written again, with the same time and text.
#[must_use]
pub fn distinct(events: impl IntoIterator<Item = AuditEvent>) -> Vec<AuditEvent> {
    let mut known = HashSet::new();
    events.into_iter().filter(|event| known.insert(event.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(action: &str, outcome: Outcome) -> String {
        let at = DateTime::UNIX_EPOCH;
        let (who, target) = ("amy".into(), "dev-12".into());
        let (reason, detail) = Default::default();
        AuditEvent {
            at,
            who,
            action: action.into(),
            target,
            reason,
            outcome,
            detail,
            restore_seconds: None,
            loaded_percent: None,
        }
        .summary()
    }

    #[test]
    fn summary_describes_the_event() {
        assert_eq!(summary("launch", Outcome::Done), "launched");
        assert_eq!(summary("create-database", Outcome::Done), "created database");
        assert_eq!(summary("give-up", Outcome::Done), "gave up");
        let of_users = ["extend", "pin", "hold", "release", "reset", "redeploy", "undo-extension"];
        let done = of_users.map(|action| summary(action, Outcome::Done));
        let expected = ["extended", "pinned", "held", "released", "reset", "redeployed", "undid extension"];
        assert_eq!(done, expected);
        assert_eq!(summary("create-database", Outcome::Failed), "failed to create database");
        assert_eq!(summary("delete-record", Outcome::Unknown), "delete record");
    }
}
