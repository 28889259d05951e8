//! The reasons why credentials cannot be had. Each has a code, by which [`crate::failure`] gives its advice.

use std::error::Error;

use crate::cloud::aws::foreign;
use crate::domain::{CloudError, ErrorClass};

/// The operation of these errors, until the call is known that needs the credentials.
pub(super) const OPERATION: &str = "GetCredentials";

/// The maximum length of a text from outside in characters, because a process or a service can print anything.
const MAX_REASON: usize = 300;

/// The codes with which AWS refuses credentials.
const REFUSALS: [&str; 10] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    // EC2's code for expired credentials, and for a wrong clock.
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Credentials that cannot be had until the user does something about it.
pub(super) fn auth(code: &str, message: impl AsRef<str>) -> CloudError {
    CloudError::new(ErrorClass::Auth, OPERATION, code, message)
}

/// Whether AWS refuses the credentials with this code, not an action.
pub(super) fn is_refusal_of_credentials(code: &str) -> bool {
    REFUSALS.contains(&code)
}

/// A mistake in the user's files or environment variables.
pub(super) fn invalid(message: impl AsRef<str>) -> CloudError {
    auth("InvalidProfile", message)
}

/// A service that issues credentials and that the network does not reach. A retry may help.
pub(super) fn unreachable(service: &str, reason: &str) -> CloudError {
    let reason = if reason.is_empty() { String::new() } else { format!(": {}", shorten(reason)) };
    let message = format!("{service}, which issues the credentials, cannot be reached{reason}");
    CloudError::new(ErrorClass::Transient, OPERATION, "Unreachable", message)
}

/// Returns the error of a service that a proxy or a certificate keeps from being reached.
pub(super) fn connection(service: &str, error: &(dyn Error + 'static)) -> Option<CloudError> {
    let (code, message) = foreign::connection(error)?;
    Some(kept_away(service, CloudError::new(ErrorClass::Transient, OPERATION, code, message)))
}

/// Names the service that an error keeps from being reached.
pub(super) fn kept_away(service: &str, error: CloudError) -> CloudError {
    let reason = if error.code == "Unreachable" { String::new() } else { format!(": {}", error.message) };
    let message = format!("{service}, which issues the credentials, cannot be reached{reason}");
    CloudError { message, ..error }
}

/// Returns the causes of an error, without its own text, which says only that there was an error.
pub(super) fn reason(error: &dyn Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ")
}

/// Returns the innermost cause of an error.
pub(super) fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Whether the causes of an SDK error say that no answer came.
pub(super) fn is_network(reason: &str) -> bool {
    ["dispatch failure", "error trying to connect", "dns error", "request has timed out", "response error"]
        .iter()
        .any(|text| reason.contains(text))
}

pub(super) fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= MAX_REASON {
        return text.trim_end_matches('.').to_owned();
    }
    text.chars().take(MAX_REASON).chain(['…']).collect()
}
