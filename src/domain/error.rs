//! What can go wrong at the cloud, in classes that decide what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an error means for whoever got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// Too many requests: wait, everyone together.
    Throttled,
    /// No credentials, expired credentials, or not permitted: a person has to act.
    Auth,
    /// The thing is not there. Early on that may only be lag.
    NotFound,
    /// The name is taken: look at who has it.
    AlreadyExists,
    /// AWS has no room in that zone or for that type.
    Capacity,
    /// A limit of the account is reached.
    Quota,
    /// The request can never succeed as it is.
    Invalid,
    /// The service failed and nothing has changed: try again later.
    Transient,
    /// Nobody knows whether the change happened: look it up.
    Unknown,
}

impl ErrorClass {
    /// The word for logs and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::Invalid => "invalid",
            Self::Transient => "transient",
            Self::Unknown => "unknown-outcome",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A call to the cloud that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message} ({code})")]
pub struct CloudError {
    /// What it means.
    pub class: ErrorClass,
    /// The operation, as AWS names it, such as `RunInstances`.
    pub operation: &'static str,
    /// The service's error code, or a word of ours where there was no answer.
    pub code: String,
    /// The service's message, cleaned, or ours.
    pub message: String,
}

impl CloudError {
    /// An error of this class.
    pub fn new(
        class: ErrorClass,
        operation: &'static str,
        code: impl Into<String>,
        message: impl AsRef<str>,
    ) -> Self {
        Self { class, operation, code: code.into(), message: super::text::sanitize(message.as_ref()) }
    }

    /// Whether it is of this class.
    #[must_use]
    pub fn is(&self, class: ErrorClass) -> bool {
        self.class == class
    }
}
