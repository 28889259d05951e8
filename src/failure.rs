//! What is told to people and scripts when something cannot be done: what failed, why, and what to do next.

use std::fmt;

use crate::domain::{CloudError, ErrorClass, InvalidName};

/// The kind of a failure: a stable word for scripts, and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The command line or a value makes no sense.
    Usage,
    /// There is no such thing.
    NotFound,
    /// There are several such things.
    Ambiguous,
    /// Credentials are missing or expired, or the action is not permitted.
    NotPermitted,
    /// Read-only mode.
    ReadOnly,
    /// It came too late.
    TooLate,
    /// The policy says no.
    Refused,
    /// A limit of the account is reached.
    Quota,
    /// AWS cannot be reached.
    Unreachable,
    /// AWS throttles.
    Throttled,
    /// Nobody knows whether the change happened.
    UnknownOutcome,
}

impl Kind {
    /// The word in JSON errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Ambiguous => "ambiguous",
            Self::NotPermitted => "not-permitted",
            Self::ReadOnly => "read-only",
            Self::TooLate => "too-late",
            Self::Refused => "refused",
            Self::Quota => "quota",
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::UnknownOutcome => "unknown-outcome",
        }
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::Quota | Self::Unreachable | Self::Throttled | Self::UnknownOutcome => 1,
            Self::Usage => 2,
            Self::NotFound | Self::Ambiguous => 3,
            Self::NotPermitted | Self::ReadOnly => 4,
            Self::TooLate | Self::Refused => 5,
        }
    }
}

/// A failure as it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// What failed and why.
    pub message: String,
    /// What to do next; empty where there is nothing to say.
    pub hint: String,
}

impl Failure {
    /// A failure with its advice.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into() }
    }

    /// The one sentence for a person: what failed, why, what to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.hint.is_empty() { self.message.clone() } else { format!("{}; {}", self.message, self.hint) }
    }

    /// A call to the cloud that failed while doing `what`, such as `cannot list environments`.
    #[must_use]
    pub fn cloud(what: impl fmt::Display, error: &CloudError) -> Self {
        let (kind, hint) = match error.class {
            ErrorClass::Auth => (Kind::NotPermitted, auth_hint(&error.code)),
            ErrorClass::NotFound => (Kind::NotFound, "check the name, the Region and the profile"),
            ErrorClass::Quota => (Kind::Quota, "terminate what is not needed or ask for a higher quota"),
            ErrorClass::Throttled => (Kind::Throttled, "wait a minute and try again"),
            ErrorClass::Capacity => (Kind::Failed, "try another subnet or instance type, or wait"),
            ErrorClass::Unknown => (Kind::UnknownOutcome, "look with hatchery ls before you try again"),
            ErrorClass::Transient if error.code == "Unreachable" => {
                (Kind::Unreachable, "check the network, the Region and the endpoint URL")
            }
            ErrorClass::Transient => (Kind::Failed, "try again"),
            ErrorClass::AlreadyExists | ErrorClass::Invalid => {
                (Kind::Failed, "hatchery doctor checks the set-up")
            }
        };
        Self::new(kind, format!("{what}: {} ({})", error.message, error.code), hint)
    }
}

fn auth_hint(code: &str) -> &'static str {
    match code {
        "NoCredentials" => "log in (for example: aws sso login) or set AWS_PROFILE",
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidGrantException"
        | "UnauthorizedSSOTokenError" => "log in again (for example: aws sso login)",
        "InvalidClientTokenId" | "AuthFailure" | "SignatureDoesNotMatch" | "UnrecognizedClientException" => {
            "check the credentials and the profile"
        }
        _ => "ask for the permission; hatchery doctor lists what is missing",
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new(Kind::Usage, error.to_string(), "")
    }
}
