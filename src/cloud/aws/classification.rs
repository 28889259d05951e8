//! The classes of AWS's errors, for all requests, those for credentials included.

use std::error::Error;

use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::{ConnectorError, DispatchFailure};

use super::date::date_of;
use super::{foreign, skew};
use crate::domain::{CloudError, ErrorClass};

/// Whether an operation writes. After a lost response, the outcome of a write is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Classifies an error by its code, because the SDK has no types for the errors of EC2. A refusal because of the clock of this computer is
/// recognised by the time of the response.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
pub(super) fn classify<E>(operation: &'static str, access: Access, error: &SdkError<E>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let lost = if access == Access::Write { ErrorClass::Unknown } else { ErrorClass::Transient };
    let chain = DisplayErrorContext(error).to_string();
    if let Some(problem) = foreign_problem(operation, lost, error) {
        return problem;
    }
    match error {
        // The call succeeded, but its response cannot be parsed.
        SdkError::ServiceError(service) if service.raw().status().is_success() => {
            CloudError::new(lost, operation, "BadResponse", "the response cannot be parsed")
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or("");
            let message = service.err().message().unwrap_or("");
            let class = match class_of(code, message, status).unwrap_or(lost) {
                ErrorClass::NotFound if access == Access::Write && is_parameter(operation, code) => {
                    ErrorClass::Invalid
                }
                class => class,
            };
            let code = if code.is_empty() { format!("HTTP {status}") } else { code.to_owned() };
            let message = if message.is_empty() { "the service gave no reason" } else { message };
            let refusal = CloudError::new(class, operation, code, shorten(message));
            skew::explain(refusal, date_of(service.raw()))
        }
        SdkError::TimeoutError(_) => CloudError::new(lost, operation, "Timeout", "no response in time"),
        SdkError::DispatchFailure(_) if let Some(reason) = credentials_problem(error) => {
            CloudError { operation, ..reason.clone() }
        }
        SdkError::DispatchFailure(_) if is_credentials_error(&chain) => CloudError::new(
            ErrorClass::Auth,
            operation,
            credentials_code(&chain),
            credentials_message(&chain),
        ),
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error().map(|error| DisplayErrorContext(error).to_string());
            let text = connector.unwrap_or(chain);
            // Without a connection, no request was sent.
            if [
                "error trying to connect",
                "client error (Connect)",
                "tcp connect",
                "dns error",
                "ConnectError",
            ]
            .iter()
            .any(|s| text.contains(s))
            {
                CloudError::new(ErrorClass::Transient, operation, "Unreachable", "AWS cannot be reached")
            } else if let Some(other) = failure.as_connector_error().filter(|_| is_unsent(failure)) {
                // Such as a character in a variable that becomes part of a header. A retry is no use.
                let message = format!("the request cannot be sent: {}", shorten(&foreign::causes(other)));
                CloudError::new(ErrorClass::Invalid, operation, "BadRequest", message)
            } else {
                let code = if failure.is_timeout() { "Timeout" } else { "NoResponse" };
                CloudError::new(lost, operation, code, "the connection was closed before the response")
            }
        }
        SdkError::ResponseError(_) => {
            CloudError::new(lost, operation, "BadResponse", "the response cannot be parsed")
        }
        _ => CloudError::new(ErrorClass::Invalid, operation, "BadRequest", shorten(&chain)),
    }
}

/// Tells what stands between this computer and AWS, if that is the problem.
fn foreign_problem<E>(operation: &'static str, lost: ErrorClass, error: &SdkError<E>) -> Option<CloudError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let SdkError::DispatchFailure(failure) = error {
        let (code, message) = foreign::connection(failure.as_connector_error()?)?;
        return Some(CloudError::new(ErrorClass::Transient, operation, code, message));
    }
    // A known error code is AWS's, whatever its answer looks like.
    if error.as_service_error().and_then(ProvideErrorMetadata::code).is_some_and(|code| !code.is_empty()) {
        return None;
    }
    let response = error.raw_response()?;
    let (code, message) = foreign::answer(response)?;
    // A proxy may replace an answer of AWS by a page of its own. A refusal or a redirection comes before AWS is asked.
    let is_refusal = (300..500).contains(&response.status().as_u16());
    let class = if is_refusal { ErrorClass::Transient } else { lost };
    Some(CloudError::new(class, operation, code, message))
}

/// Whether the SDK itself refuses a request before it opens a connection for it.
fn is_unsent(failure: &DispatchFailure) -> bool {
    let is_header =
        |error: &ConnectorError| foreign::causes(error).to_ascii_lowercase().contains("header value");
    failure.is_user() || failure.is_other() && failure.as_connector_error().is_some_and(is_header)
}

/// Returns the reason why [`super::credentials`] has none, if the SDK asked for them during the call.
fn credentials_problem<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CloudError> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

fn is_credentials_error(chain: &str) -> bool {
    [
        "CredentialsNotLoaded",
        "no providers in chain provided",
        "credentials provider",
        "CredentialsError",
        "SSO",
        "identity",
    ]
    .iter()
    .any(|text| chain.contains(text))
}

fn credentials_code(chain: &str) -> &'static str {
    if chain.contains("expired") || chain.contains("Unauthorized") { "ExpiredToken" } else { "NoCredentials" }
}

fn credentials_message(chain: &str) -> &'static str {
    match credentials_code(chain) {
        "ExpiredToken" => "the credentials have expired",
        _ => "there are no credentials",
    }
}

/// Classifies a service's error code. Returns `None` if the outcome is unknown.
fn class_of(code: &str, message: &str, status: u16) -> Option<ErrorClass> {
    let class = match code {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "TooManyRequestsException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "EC2ThrottledException" => ErrorClass::Throttled,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "NotAuthorized"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "Blocked"
        | "PendingVerification" => ErrorClass::Auth,
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "Unsupported"
        | "InsufficientFreeAddressesInSubnet"
        | "InsufficientDBInstanceCapacity"
        | "SpotMaxPriceTooLow"
        | "UnfulfillableCapacity" => ErrorClass::Capacity,
        "InstanceLimitExceeded"
        | "VcpuLimitExceeded"
        | "VolumeLimitExceeded"
        | "AddressLimitExceeded"
        | "InstanceQuotaExceeded"
        | "StorageQuotaExceeded"
        | "MaxSpotInstanceCountExceeded"
        | "ResourceLimitExceeded"
        | "LimitExceededException"
        | "ServiceQuotaExceededException" => ErrorClass::Quota,
        "DBInstanceAlreadyExists" | "DBInstanceAlreadyExistsFault" | "ResourceAlreadyExistsException" => {
            ErrorClass::AlreadyExists
        }
        // The resource's state does not allow the operation now.
        "InvalidDBInstanceState"
        | "InvalidDBInstanceStateFault"
        | "IncorrectInstanceState"
        | "TargetNotConnected"
        | "OperationAbortedException" => ErrorClass::Transient,
        _ if code.contains("AlreadyExists") => ErrorClass::AlreadyExists,
        _ if is_not_found(code) => ErrorClass::NotFound,
        _ if status == 429 || message.contains("Rate exceeded") => ErrorClass::Throttled,
        _ if status >= 500 => return None,
        // A truncated error response. The request was rejected, possibly by throttling, so a retry is safe.
        "" => ErrorClass::Transient,
        _ => ErrorClass::Invalid,
    };
    Some(class)
}

fn is_not_found(code: &str) -> bool {
    code.contains("NotFound") || code == "InvalidAMIID.Unavailable" || code == "NoSuchEntity"
}

/// Whether what was not found is a parameter of a new resource, such as its image, key pair, snapshot or subnet group. For a launch, only the
/// record is not: EC2 rejects a launch from a deleted template.
fn is_parameter(operation: &str, code: &str) -> bool {
    match operation {
        "RunInstances" => code != "InvalidLaunchTemplateId.NotFound",
        "CreateLaunchTemplate" | "RestoreDBInstanceFromDBSnapshot" => true,
        _ => false,
    }
}

/// Shortens a message, because services can send whole policies.
fn shorten(message: &str) -> String {
    const MAX_CHARS: usize = 300;
    if message.chars().count() <= MAX_CHARS {
        return message.trim_end_matches('.').to_owned();
    }
    message.chars().take(MAX_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;
    use rstest::rstest;

    use super::*;

    #[test]
    fn unparsable_response_is_a_lost_response() {
        let class = |access, status: u16| {
            let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
            let error = SdkError::service_error(ErrorMetadata::builder().build(), response);
            classify("RunInstances", access, &error).class
        };
        assert_eq!(class(Access::Write, 200), ErrorClass::Unknown);
        assert_eq!(class(Access::Read, 200), ErrorClass::Transient);
        assert_eq!(class(Access::Write, 502), ErrorClass::Unknown);
        assert_eq!(class(Access::Write, 400), ErrorClass::Transient);
    }

    #[rstest]
    #[case("RequestLimitExceeded", ErrorClass::Throttled)]
    #[case("UnauthorizedOperation", ErrorClass::Auth)]
    #[case("InvalidLaunchTemplateName.AlreadyExistsException", ErrorClass::AlreadyExists)]
    #[case("InvalidLaunchTemplateId.NotFound", ErrorClass::NotFound)]
    #[case("InvalidLaunchTemplateName.NotFoundException", ErrorClass::NotFound)]
    #[case("DBInstanceNotFound", ErrorClass::NotFound)]
    #[case("InsufficientInstanceCapacity", ErrorClass::Capacity)]
    #[case("VcpuLimitExceeded", ErrorClass::Quota)]
    #[case("InvalidDBInstanceState", ErrorClass::Transient)]
    #[case("InvalidParameterValue", ErrorClass::Invalid)]
    #[case("IdempotentParameterMismatch", ErrorClass::Invalid)]
    fn codes_are_classified(#[case] code: &str, #[case] class: ErrorClass) {
        assert_eq!(class_of(code, "", 400), Some(class));
    }

    #[rstest]
    #[case("RunInstances", "InvalidLaunchTemplateId.NotFound", ErrorClass::NotFound)]
    #[case("RunInstances", "InvalidKeyPair.NotFound", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidAMIID.NotFound", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidAMIID.Unavailable", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidGroup.NotFound", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidSubnetID.NotFound", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidSnapshot.NotFound", ErrorClass::Invalid)]
    #[case("RunInstances", "InvalidLaunchTemplateId.VersionNotFound", ErrorClass::Invalid)]
    #[case("RestoreDBInstanceFromDBSnapshot", "DBSubnetGroupNotFoundFault", ErrorClass::Invalid)]
    #[case("RestoreDBInstanceFromDBSnapshot", "DBSnapshotNotFound", ErrorClass::Invalid)]
    #[case("RestoreDBInstanceFromDBSnapshot", "DBParameterGroupNotFound", ErrorClass::Invalid)]
    #[case("CreateLaunchTemplate", "InvalidSubnetID.NotFound", ErrorClass::Invalid)]
    #[case("DeleteLaunchTemplate", "InvalidLaunchTemplateId.NotFound", ErrorClass::NotFound)]
    #[case("TerminateInstances", "InvalidInstanceID.NotFound", ErrorClass::NotFound)]
    #[case("DeleteDBInstance", "DBInstanceNotFound", ErrorClass::NotFound)]
    #[case("CreateTags", "InvalidLaunchTemplateId.NotFound", ErrorClass::NotFound)]
    fn missing_parameter_is_not_a_missing_resource(
        #[case] operation: &'static str,
        #[case] code: &str,
        #[case] class: ErrorClass,
    ) {
        let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
        let error = SdkError::service_error(ErrorMetadata::builder().code(code).build(), response);
        assert_eq!(classify(operation, Access::Write, &error).class, class);
        assert_eq!(classify(operation, Access::Read, &error).class, ErrorClass::NotFound);
    }

    #[test]
    fn status_classifies_errors_without_a_known_code() {
        assert_eq!(class_of("InternalError", "", 500), None);
        assert_eq!(class_of("", "", 429), Some(ErrorClass::Throttled));
    }
}
