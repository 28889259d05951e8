//! What every call has in common: its place in the rate limits, the clock of its answer, and what its error means.

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::num::NonZeroU32;
use std::time::Instant;

use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::cloud::{Observed, Result};
use crate::domain::{CloudError, ErrorClass};

tokio::task_local! {
    /// AWS's clock in the last answer of the call that is running.
    static DATE: Cell<Option<DateTime<Utc>>>;
}

/// Reads the `Date` of every answer.
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
            // Outside of a call of ours nobody asks what time it is.
            let _ = DATE.try_with(|cell| cell.set(Some(date.to_utc())));
        }
        Ok(())
    }
}

/// The buckets that AWS keeps an account's requests in.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// EC2 `Describe*`: 100 at once, 20 a second.
    Describe,
    /// `RunInstances`: 5 at once, 2 a second.
    Run,
    /// `TerminateInstances`: 100 at once, 5 a second.
    Terminate,
    /// `CreateTags` and `DeleteTags`: 100 at once, 10 a second.
    Tag,
    /// Other changes of EC2: 50 at once, 5 a second.
    Change,
    /// RDS, which publishes no figures.
    Database,
    /// `FilterLogEvents`: 5 a second in the smallest Regions, and not adjustable.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
    Log,
    /// Everything else.
    Other,
}

/// One process's share of each bucket: half, since the account is shared with others.
pub(super) struct Limits {
    buckets: [(Bucket, DefaultDirectRateLimiter); 8],
}

impl Limits {
    pub(super) fn new() -> Self {
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
        }
    }

    async fn wait(&self, bucket: Bucket) {
        if let Some((_, limiter)) = self.buckets.iter().find(|(own, _)| *own == bucket) {
            limiter.until_ready().await;
        }
    }
}

/// Whether a call changes anything: then a lost answer means that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Makes one call: waits for its turn, reads AWS's clock, and says what an error means.
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
    // The SDK's futures are tens of kilobytes: they are not carried around on the stack.
    let future = Box::pin(future);
    async move {
        limits.wait(bucket).await;
        let begun = Instant::now();
        let (result, as_of) = DATE
            .scope(Cell::new(None), async {
                let result = future.await;
                (result, DATE.with(Cell::get))
            })
            .await;
        let took = begun.elapsed();
        match result {
            Ok(value) => {
                tracing::debug!(operation, ?took, "call");
                Ok(Observed { value, as_of })
            }
            Err(error) => {
                let error = classify(operation, access, &error);
                tracing::debug!(operation, ?took, class = %error.class, code = error.code, error.message, "call");
                Err(error)
            }
        }
    }
}

/// What an error of the SDK means. EC2 models none of its errors, so codes are what there is.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
pub(super) fn classify<E>(operation: &'static str, access: Access, error: &SdkError<E>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let lost = if access == Access::Write { ErrorClass::Unknown } else { ErrorClass::Transient };
    let chain = DisplayErrorContext(error).to_string();
    match error {
        // It was done, but what came of it cannot be read.
        SdkError::ServiceError(service) if service.raw().status().is_success() => {
            CloudError::new(lost, operation, "BadAnswer", "the answer made no sense")
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or("");
            let message = service.err().message().unwrap_or("");
            let class = class_of(code, message, status).unwrap_or(lost);
            let code = if code.is_empty() { format!("HTTP {status}") } else { code.to_owned() };
            let message = if message.is_empty() { "the service gave no reason" } else { message };
            CloudError::new(class, operation, code, shorten(message))
        }
        SdkError::TimeoutError(_) => CloudError::new(lost, operation, "Timeout", "no answer in time"),
        SdkError::DispatchFailure(_) if no_credentials(&chain) => CloudError::new(
            ErrorClass::Auth,
            operation,
            credentials_code(&chain),
            credentials_message(&chain),
        ),
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error().map(|error| DisplayErrorContext(error).to_string());
            let text = connector.unwrap_or(chain);
            // Where no connection was made, nothing was sent.
            if ["error trying to connect", "tcp connect", "dns error", "ConnectError"]
                .iter()
                .any(|s| text.contains(s))
            {
                CloudError::new(ErrorClass::Transient, operation, "Unreachable", "AWS cannot be reached")
            } else {
                let code = if failure.is_timeout() { "Timeout" } else { "NoAnswer" };
                CloudError::new(lost, operation, code, "the connection broke before an answer came")
            }
        }
        SdkError::ResponseError(_) => {
            CloudError::new(lost, operation, "BadAnswer", "the answer made no sense")
        }
        _ => CloudError::new(ErrorClass::Invalid, operation, "BadRequest", shorten(&chain)),
    }
}

fn no_credentials(chain: &str) -> bool {
    [
        "CredentialsNotLoaded",
        "no providers in chain provided",
        "credentials provider",
        "CredentialsError",
        "SSO",
        "identity",
    ]
    .iter()
    .any(|word| chain.contains(word))
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

/// The class of a service's error code; `None` where only the service knows what has happened.
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
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "RequestExpired"
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
        // A database that is not in a state that allows it: the next pass tries again.
        "InvalidDBInstanceState"
        | "InvalidDBInstanceStateFault"
        | "IncorrectInstanceState"
        | "OperationAbortedException" => ErrorClass::Transient,
        _ if code.contains("AlreadyExists") => ErrorClass::AlreadyExists,
        _ if is_not_found(code) => ErrorClass::NotFound,
        _ if status == 429 || message.contains("Rate exceeded") => ErrorClass::Throttled,
        _ if status >= 500 => return None,
        // Refused, so nothing has changed; but the answer broke off before it said why, and may have meant throttling.
        "" => ErrorClass::Transient,
        _ => ErrorClass::Invalid,
    };
    Some(class)
}

fn is_not_found(code: &str) -> bool {
    code.contains("NotFound") || code == "InvalidAMIID.Unavailable" || code == "NoSuchEntity"
}

/// The beginning of a message; services send whole policies.
fn shorten(message: &str) -> String {
    const MOST: usize = 300;
    if message.chars().count() <= MOST {
        return message.trim_end_matches('.').to_owned();
    }
    message.chars().take(MOST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_is_lost() {
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

    #[test]
    fn codes_have_classes() {
        for (code, class) in [
            ("RequestLimitExceeded", ErrorClass::Throttled),
            ("UnauthorizedOperation", ErrorClass::Auth),
            ("InvalidLaunchTemplateName.AlreadyExistsException", ErrorClass::AlreadyExists),
            ("InvalidLaunchTemplateId.NotFound", ErrorClass::NotFound),
            ("InvalidLaunchTemplateName.NotFoundException", ErrorClass::NotFound),
            ("DBInstanceNotFound", ErrorClass::NotFound),
            ("InsufficientInstanceCapacity", ErrorClass::Capacity),
            ("VcpuLimitExceeded", ErrorClass::Quota),
            ("InvalidDBInstanceState", ErrorClass::Transient),
            ("InvalidParameterValue", ErrorClass::Invalid),
            ("IdempotentParameterMismatch", ErrorClass::Invalid),
        ] {
            assert_eq!(class_of(code, "", 400), Some(class), "{code}");
        }
        assert_eq!(class_of("InternalError", "", 500), None);
        assert_eq!(class_of("", "", 429), Some(ErrorClass::Throttled));
    }
}
