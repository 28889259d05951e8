//! The findings of the health check.

use serde::{Deserialize, Serialize};

/// The severity of a verdict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// No action is needed.
    Info,
    /// Becomes a problem for users unless it is resolved.
    Warning,
    /// A problem for users now.
    Error,
}

impl Level {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One finding of the health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub level: Level,
    /// A stable identifier for scripts, such as `pool-empty`.
    pub code: String,
    /// The problem, and what to do about it.
    pub message: String,
}

/// Adds a verdict.
pub(super) type Report<'a> = &'a mut dyn FnMut(Level, &str, String);
