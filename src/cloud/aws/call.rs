//! Rate limits, AWS's time and error classification for every call.

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::result::{ConnectorError, DispatchFailure};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, TimeDelta, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::credentials::CredentialsCache;
use super::{foreign, skew};
use crate::cloud::{Observed, Result};
use crate::domain::{CloudError, ErrorClass};

tokio::task_local! {
    /// The `Date` header of the current call's last response.
    static DATE: Cell<Option<DateTime<Utc>>>;
}

/// Stores the `Date` header of every response in [`DATE`].
#[derive(Debug)]
pub(super) struct ReadDate;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            // Fails outside of `call`, where the time is not needed.
            let _ = DATE.try_with(|cell| cell.set(Some(date.to_utc())));
        }
        Ok(())
    }
}

/// A class of operations that share a token bucket of AWS.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// EC2 `Describe*`: burst 100, 20 per second.
    Describe,
    /// `RunInstances`: burst 5, 2 per second.
    Run,
    /// `TerminateInstances`: burst 100, 5 per second.
    Terminate,
    /// `CreateTags` and `DeleteTags`: burst 100, 10 per second.
    Tag,
    /// Other writes of EC2: burst 50, 5 per second.
    Change,
    /// RDS, which publishes no figures.
    Database,
    /// `FilterLogEvents`: 5 per second in the smallest Regions, not adjustable.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
    Log,
    Other,
}

/// What all calls share: client-side rate limits, half of each bucket because other processes share the account; the credentials; and
/// AWS's time.
pub(super) struct Limits {
    buckets: [(Bucket, DefaultDirectRateLimiter); 8],
    credentials: Option<Arc<CredentialsCache>>,
    /// The `Date` header of the latest response, and when it was read.
    date: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

impl Limits {
    pub(super) fn new(credentials: Option<Arc<CredentialsCache>>) -> Self {
        let limiter = |burst: u32, rate: u32| {
            let one = NonZeroU32::MIN;
            let quota = Quota::per_second(NonZeroU32::new(rate).unwrap_or(one));
            RateLimiter::direct(quota.allow_burst(NonZeroU32::new(burst).unwrap_or(one)))
        };
        Self {
            buckets: [
                (Bucket::Describe, limiter(50, 10)),
                (Bucket::Run, limiter(3, 1)),
                (Bucket::Terminate, limiter(50, 3)),
                (Bucket::Tag, limiter(50, 5)),
                (Bucket::Change, limiter(25, 3)),
                (Bucket::Database, limiter(50, 10)),
                (Bucket::Log, limiter(5, 2)),
                (Bucket::Other, limiter(20, 5)),
            ],
            credentials,
            date: Mutex::default(),
        }
    }

    pub(super) fn credentials(&self) -> Option<&CredentialsCache> {
        self.credentials.as_deref()
    }

    /// Returns AWS's time, by the latest response and the time since then.
    pub(super) fn now(&self) -> Option<DateTime<Utc>> {
        let (date, read) = (*self.date.lock().unwrap_or_else(PoisonError::into_inner))?;
        date.checked_add_signed(TimeDelta::from_std(read.elapsed()).ok()?)
    }

    fn set_date(&self, date: DateTime<Utc>) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
    }

    async fn wait(&self, bucket: Bucket) {
        if let Some((_, limiter)) = self.buckets.iter().find(|(of, _)| *of == bucket) {
            limiter.until_ready().await;
        }
    }
}

/// Whether an operation writes. After a lost response, the outcome of a write is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Waits for the rate limit, makes a call, and returns its value with AWS's time or the classified error.
pub(super) fn call<'a, T, E, F>(
    limits: &'a Limits,
    bucket: Bucket,
    access: Access,
    operation: &'static str,
    future: F,
) -> impl Future<Output = Result<Observed<T>>> + Send + 'a
where
    F: Future<Output = std::result::Result<T, SdkError<E>>> + Send + 'a,
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    T: Send + 'a,
{
    // The SDK's futures have tens of kilobytes, too much for the stack.
    let future = Box::pin(future);
    async move {
        limits.wait(bucket).await;
        let credentials = match &limits.credentials {
            Some(cache) => Some((cache, cache.get(operation).await?)),
            None => None,
        };
        let start = Instant::now();
        let (result, as_of) = DATE
            .scope(Cell::new(None), async {
                let result = future.await;
                (result, DATE.with(Cell::get))
            })
            .await;
        if let Some(date) = as_of {
            limits.set_date(date);
        }
        let took = start.elapsed();
        match result {
            Ok(value) => {
                tracing::debug!(operation, ?took, "call");
                Ok(Observed { value, as_of })
            }
            Err(error) => {
                let error = skew::explain(classify(operation, access, &error), as_of);
                if let Some((cache, used)) = &credentials {
                    cache.note(used, &error).await;
                }
                tracing::debug!(operation, ?took, class = %error.class, code = error.code, error.message, "call");
                Err(error)
            }
        }
    }
}

/// Classifies an error by its code, because the SDK has no types for the errors of EC2.
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
            CloudError::new(class, operation, code, shorten(message))
        }
        SdkError::TimeoutError(_) => CloudError::new(lost, operation, "Timeout", "no response in time"),
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
