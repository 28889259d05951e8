//! The audit log: one event a step, so that anybody can say later who did what, when, and why.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The change was made.
    Done,
    /// Somebody else had made it already, or a last look showed that it is not wanted any more.
    Skipped,
    /// It failed and nothing has changed.
    Failed,
    /// Nobody knows yet; the next pass looks.
    Unknown,
    /// Only said, not done.
    DryRun,
}

impl Outcome {
    /// The word for screens and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::DryRun => "dry-run",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the names of engines begin in the audit log.
const ENGINE: &str = "engine@";

/// The name under which the engine of a host writes the audit log.
#[must_use]
pub fn engine_name(host: &str) -> String {
    format!("{ENGINE}{host}")
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When, by AWS's clock as far as it is known.
    pub at: DateTime<Utc>,
    /// Who: a person's name, or `engine` on some host.
    pub who: String,
    /// What was done, such as `launch` or `create-database`.
    pub action: String,
    /// To what, such as `dev-12` or `hatchery-dev-12`.
    pub target: String,
    /// Why.
    pub reason: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What else there is to say: an error's text, or a new value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Of a launch that found a free database: how long that one's restore had taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_seconds: Option<u64>,
}

impl AuditEvent {
    /// What happened, as one reads it: `launched`, `created database`, `failed to launch instance`.
    #[must_use]
    pub fn summary(&self) -> String {
        let words = self.action.replace('-', " ");
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
            _ if verb.ends_with('e') => format!("{verb}d"),
            _ => format!("{verb}ed"),
        };
        format!("{done} {object}").trim_end().to_owned()
    }

    /// Whether an engine did it by itself, and no person asked for it.
    #[must_use]
    pub fn is_by_engine(&self) -> bool {
        self.who.starts_with(ENGINE)
    }

    /// The event with everything that a terminal would act on removed. Events come from a log that others can write.
    #[must_use]
    pub fn sanitized(self) -> Self {
        let clean = |text: String| super::text::sanitize(&text);
        Self {
            who: clean(self.who),
            action: clean(self.action),
            target: clean(self.target),
            reason: clean(self.reason),
            detail: clean(self.detail),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(action: &str, outcome: Outcome) -> String {
        let at = DateTime::UNIX_EPOCH;
        let (who, target) = ("amy".to_owned(), "dev-12".to_owned());
        let (reason, detail) = (String::new(), String::new());
        AuditEvent {
            at,
            who,
            action: action.to_owned(),
            target,
            reason,
            outcome,
            detail,
            restore_seconds: None,
        }
        .summary()
    }

    #[test]
    fn an_event_says_what_happened() {
        assert_eq!(summary("launch", Outcome::Done), "launched");
        assert_eq!(summary("create-database", Outcome::Done), "created database");
        assert_eq!(summary("give-up", Outcome::Done), "gave up");
        assert_eq!(summary("create-database", Outcome::Failed), "failed to create database");
        assert_eq!(summary("delete-record", Outcome::Unknown), "delete record");
    }
}
