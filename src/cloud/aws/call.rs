//! Rate limits and AWS's time for every call.

use std::error::Error;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use chrono::{DateTime, TimeDelta, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

pub(super) use super::classification::Access;
use super::classification::classify;
use super::credentials::CredentialsCache;
use super::date::with_date;
use crate::cloud::{Observed, Result};

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

    /// Awaits requests, and remembers the time of AWS's last response to them, which it returns too.
    async fn with_date<T>(&self, requests: impl Future<Output = T>) -> (T, Option<DateTime<Utc>>) {
        let (result, date) = with_date(requests).await;
        if let Some(date) = date {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
        }
        (result, date)
    }

    async fn wait(&self, bucket: Bucket) {
        if let Some((_, limiter)) = self.buckets.iter().find(|(of, _)| *of == bucket) {
            limiter.until_ready().await;
        }
    }
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
            Some(cache) => Some((cache, limits.with_date(cache.get(operation)).await.0?)),
            None => None,
        };
        let start = Instant::now();
        let (result, as_of) = limits.with_date(future).await;
        let took = start.elapsed();
        match result {
            Ok(value) => {
                tracing::debug!(operation, ?took, "call");
                Ok(Observed { value, as_of })
            }
            Err(error) => {
                let error = classify(operation, access, &error);
                if let Some((cache, used)) = &credentials {
                    cache.note(used, &error).await;
                }
                tracing::debug!(operation, ?took, class = %error.class, code = error.code, error.message, "call");
                Err(error)
            }
        }
    }
}
