//! Errors of AWS, classified by how the engine reacts to them.

use serde::{Deserialize, Serialize};

use super::text::sanitize;

/// The kind of an error, which decides how the engine reacts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ErrorClass {
    /// Too many requests; all requests wait.
    Throttled,
    /// Missing or expired credentials, or missing permissions; only the user can resolve it.
    Auth,
    /// The resource does not exist, or was created so recently that reads do not show it yet.
    NotFound,
    /// The resource exists, but its tags do not say that it belongs to the fleet.
    Unreadable,
    /// The name is in use, possibly by the lost response to an earlier attempt.
    AlreadyExists,
    /// AWS lacks capacity in the Availability Zone or for the instance type.
    Capacity,
    /// A quota of the account is reached.
    Quota,
    /// The request cannot succeed without a change.
    Invalid,
    /// The service failed before any change; a retry is safe.
    Transient,
    /// The response was lost, so the change may have happened.
    #[strum(serialize = "unknown-outcome")]
    Unknown,
}

impl ErrorClass {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the same request may succeed a little later, or has succeeded although its response was lost.
    #[must_use]
    pub(crate) fn is_temporary(self) -> bool {
        matches!(self, Self::Unknown | Self::Transient | Self::Throttled)
    }
}

/// The error of a failed call to AWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message} ({code})")]
pub struct CloudError {
    pub class: ErrorClass,
    /// AWS's name of the operation, such as `RunInstances`.
    pub operation: &'static str,
    /// The service's error code, sanitised, or hatchery's own if there was no response.
    pub code: String,
    /// The service's message, sanitised, or hatchery's own.
    pub message: String,
}

impl CloudError {
    pub fn new(
        class: ErrorClass,
        operation: &'static str,
        code: impl Into<String>,
        message: impl AsRef<str>,
    ) -> Self {
        Self { class, operation, code: sanitize(&code.into()), message: sanitize(message.as_ref()) }
    }

    /// Whether the caller lacks the permission, rather than valid credentials.
    #[must_use]
    pub(crate) fn is_denial(&self) -> bool {
        matches!(self.code.as_str(), "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException")
    }

    #[must_use]
    pub fn is(&self, class: ErrorClass) -> bool {
        self.class == class
    }
}
