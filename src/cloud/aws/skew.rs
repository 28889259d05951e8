//! Refusals because of the clock of this computer: AWS accepts a signature for some minutes only.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::format::format_skew;
use crate::domain::{CloudError, ErrorClass};

/// From which error on the clock explains a refusal. AWS takes five minutes, and the SDK corrects what it measures from four on.
const MIN_SKEW: TimeDelta = TimeDelta::minutes(4);

/// The code of a refusal that the clock explains.
pub(super) const CLOCK_SKEW: &str = "ClockSkew";

/// Explains a refusal by the clock if it is off. `date` is the time of AWS's answer.
pub(super) fn explain(error: CloudError, date: Option<DateTime<Utc>>) -> CloudError {
    match date {
        Some(date) => explain_at(error, date, SystemTime::now().into()),
        None => error,
    }
}

fn explain_at(error: CloudError, date: DateTime<Utc>, local: DateTime<Utc>) -> CloudError {
    let skew = local - date;
    if skew.abs() < MIN_SKEW || !is_about_time(&error) {
        return error;
    }
    let message = format!("{}, so that AWS refuses its requests as {}", format_skew(skew), error.code);
    CloudError::new(ErrorClass::Auth, error.operation, CLOCK_SKEW, message)
}

/// Whether a wrong clock can be the reason of a refusal.
fn is_about_time(error: &CloudError) -> bool {
    match error.code.as_str() {
        "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "AuthFailure" => true,
        "AccessDenied" | "AccessDeniedException" => error.message.starts_with("Signature "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn explained(code: &str, message: &str, minutes: i64) -> CloudError {
        let error = CloudError::new(ErrorClass::Auth, "DescribeInstances", code, message);
        let date = DateTime::UNIX_EPOCH;
        explain_at(error, date, date + TimeDelta::minutes(minutes))
    }

    #[rstest]
    #[case("RequestExpired", "Request has expired", -120, "2h behind AWS's")]
    #[case("SignatureDoesNotMatch", "Signature expired: 20261125T010000Z", -16, "16m behind AWS's")]
    #[case("InvalidSignatureException", "Signature not yet current", 6, "6m ahead of AWS's")]
    #[case("AuthFailure", "AWS was not able to validate the provided access credentials", 2_890, "2d ahead")]
    #[case("AccessDeniedException", "Signature expired", -10, "10m behind")]
    fn clock_that_is_off_explains_refusals(
        #[case] code: &str,
        #[case] message: &str,
        #[case] minutes: i64,
        #[case] part: &str,
    ) {
        let error = explained(code, message, minutes);
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "ClockSkew"));
        assert!(error.message.contains(part), "{}", error.message);
    }

    #[rstest]
    #[case("RequestExpired", 3)]
    #[case("UnauthorizedOperation", 120)]
    #[case("ExpiredToken", 120)]
    #[case("AccessDenied", 120)]
    fn other_refusals_stay(#[case] code: &str, #[case] minutes: i64) {
        assert_eq!(explained(code, "no", minutes).code, code);
    }
}
