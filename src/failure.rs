//! Errors for users and scripts: what failed, why, and what to do next.

use std::fmt;

use crate::domain::{CloudError, ErrorClass, InvalidName};

/// Kind of a failure. Decides the exit code and the `code` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any other failure.
    Failed,
    /// The command line, the configuration or a value is not valid.
    Usage,
    /// The fleet, environment or resource does not exist.
    NotFound,
    /// A name matches several fleets or environments.
    Ambiguous,
    /// Credentials are missing or expired, or AWS denies the action.
    NotPermitted,
    /// A write in read-only mode.
    ReadOnly,
    /// The environment is already ending.
    TooLate,
    /// The fleet's policy forbids it.
    Refused,
    /// A quota of the account is reached.
    Quota,
    /// AWS could not be reached.
    Unreachable,
    /// AWS throttled the request.
    Throttled,
    /// The change may or may not have happened.
    UnknownOutcome,
}

impl Kind {
    /// Returns the `code` of JSON errors.
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

    /// Returns the process's exit code.
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

/// An error for a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed and why.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
    /// Whether the same request may succeed a little later.
    pub is_temporary: bool,
}

impl Failure {
    /// Creates a failure. `hint` may be empty.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), is_temporary: false }
    }

    /// Joins message and hint into one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.hint.is_empty() { self.message.clone() } else { format!("{}; {}", self.message, self.hint) }
    }

    /// Whether a login helps: the credentials are missing or have expired.
    #[must_use]
    pub(crate) fn asks_for_login(&self) -> bool {
        self.kind == Kind::NotPermitted && self.hint.starts_with("log in")
    }

    /// Converts an AWS error. `what` says what failed, such as `cannot list the environments`.
    #[must_use]
    pub fn cloud(what: impl fmt::Display, error: &CloudError) -> Self {
        let (kind, hint) = match error.class {
            ErrorClass::Auth => (Kind::NotPermitted, auth_hint(&error.code)),
            ErrorClass::NotFound => (Kind::NotFound, "check the name, the Region and the profile"),
            ErrorClass::Quota => (Kind::Quota, "terminate unused environments, or request a higher quota"),
            ErrorClass::Throttled => (Kind::Throttled, "wait a minute and try again"),
            ErrorClass::Capacity => (Kind::Failed, "try another subnet or instance type, or wait"),
            ErrorClass::Unknown => (Kind::UnknownOutcome, "check with hatchery ls before you try again"),
            ErrorClass::Transient if let Some(hint) = network_hint(&error.code) => (Kind::Unreachable, hint),
            ErrorClass::Transient => (Kind::Failed, "try again"),
            ErrorClass::Unreadable => (Kind::Failed, "see how to restore its tags with: hatchery doctor"),
            ErrorClass::AlreadyExists | ErrorClass::Invalid => {
                (Kind::Failed, "check the set-up with: hatchery doctor")
            }
        };
        let failure = Self::new(kind, format!("{what}: {} ({})", error.message, error.code), hint);
        Self { is_temporary: error.class.is_temporary(), ..failure }
    }
}

/// What to do where something stands between this computer and AWS.
fn network_hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "Unreachable" => "check the network, the Region and the endpoint URL",
        "CertificateUnknown" => {
            "if a proxy of your company opens TLS, set AWS_CA_BUNDLE, or ca_bundle in the profile, to a file with its certificate; else check the network"
        }
        "CertificateTime" => "check the clock of this computer, the network and the endpoint URL",
        "CertificateName" | "CertificateInvalid" => "log in to the network, or check the endpoint URL",
        "WebPage" | "Redirected" | "NetworkLogin" => "log in to the network, or check the proxy",
        "ProxyLogin" => "log in to the proxy, or put user and password into the address in HTTPS_PROXY",
        "ProxyRefused" | "ProxyFailed" => "check HTTPS_PROXY and NO_PROXY, or ask your administrator",
        "EmptyAnswer" => "check the proxy and the endpoint URL",
        _ => return None,
    })
}

fn auth_hint(code: &str) -> &'static str {
    match code {
        "NoCredentials" => "log in (for example: aws sso login, or aws login) or set AWS_PROFILE",
        "NoSuchProfile" => "correct --profile, AWS_PROFILE or the profile in hatchery's config.toml",
        "EmptyProfile" => "unset it, or set it to the name of a profile",
        "InvalidProfile" => "correct the profile in ~/.aws/config",
        "HalfAKeyPair" => "set both, or unset both to use a profile",
        "SsoLoggedOut" | "SsoExpired" | "SsoEnded" => "log in with: aws sso login, and the same --profile",
        "LoggedOut" | "LoginExpired" => "log in with: aws login, and the same --profile",
        "SsoForbidden" => {
            "check sso_account_id and sso_role_name in the profile, or ask your administrator for the role"
        }
        "ProcessFailed" | "ProcessOutput" => "correct what it says, and try it by hand in a shell",
        "ProcessMissing" => "install the program, or correct credential_process in ~/.aws/config",
        "RoleRefused" => {
            "ask your administrator for sts:AssumeRole on the role; if the role wants MFA, add mfa_serial to the profile"
        }
        "WebIdentityToken" => "check web_identity_token_file and role_arn, and that the token is a fresh one",
        "MfaRefused" => "try again with the next code that the device shows",
        "MfaExpired" => "start hatchery again to enter a new code",
        "MfaNoTerminal" => {
            "run it in a terminal, or with the credentials of: aws configure export-credentials --format env"
        }
        "CredentialsFailed" => "check the profile with: aws sts get-caller-identity",
        "CredentialsTimeout" => "log in first, or check the profile with: aws sts get-caller-identity",
        "InvalidCredentials" => "copy the credentials again",
        "ClockSkew" => "correct the clock, or synchronize it with a time server",
        // AWS refuses requests that were signed more than five minutes ago.
        "RequestExpired" | "RequestTimeTooSkewed" => "check the clock of this computer",
        "ExpiredToken" | "ExpiredTokenException" | "InvalidGrantException" | "UnauthorizedSSOTokenError" => {
            "log in again (for example: aws sso login, or aws login)"
        }
        // A wrong clock makes a wrong signature too.
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "check the credentials, the profile and the clock of this computer"
        }
        "InvalidClientTokenId" | "AuthFailure" | "UnrecognizedClientException" => {
            "check the credentials and the profile"
        }
        _ => "ask your administrator for the permission",
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new(Kind::Usage, error.to_string(), "")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
    #[rstest]
    #[case("RequestExpired", "the clock of this computer")]
    #[case("InvalidSignatureException", "the clock of this computer")]
    #[case("SignatureDoesNotMatch", "the clock of this computer")]
    #[case("ExpiredToken", "log in again")]
    #[case("CredentialsFailed", "get-caller-identity")]
    #[case("NoSuchProfile", "--profile")]
    #[case("EmptyProfile", "unset it")]
    #[case("RoleRefused", "mfa_serial")]
    #[case("MfaNoTerminal", "export-credentials")]
    #[case("MfaExpired", "start hatchery again")]
    #[case("SsoEnded", "aws sso login")]
    #[case("LoginExpired", "with: aws login")]
    #[case("CredentialsTimeout", "log in first")]
    #[case("AuthFailure", "the credentials and the profile")]
    #[case("UnauthorizedOperation", "ask your administrator")]
    fn refusal_has_a_hint(#[case] code: &str, #[case] hint: &str) {
        let failure =
            Failure::cloud("cannot launch", &CloudError::new(ErrorClass::Auth, "RunInstances", code, "no"));
        assert!(failure.hint.contains(hint), "{}", failure.hint);
        let needs_login = ["ExpiredToken", "SsoEnded", "LoginExpired", "CredentialsTimeout"].contains(&code);
        assert_eq!(failure.asks_for_login(), needs_login, "{}", failure.hint);
    }
}
