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
    pub fn word(self) -> &'static str {
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
        f.pad(self.word())
    }
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
}

impl AuditEvent {
    /// The event with everything that a terminal would act on removed. Events come from a log that others can write.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let clean = |text: String| super::text::clean(&text);
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
