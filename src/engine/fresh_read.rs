//! Re-reads before irreversible changes. A read authorises a change for a few seconds only.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Engine;
use crate::cloud::{Observed, Result};
use crate::domain::{CloudError, ErrorClass};
use crate::failure::{Failure, Kind};

/// How late a read may show a write. The delays of the engine are made for it, and `doctor --prove` measures it.
pub(crate) const READ_LAG: Duration = Duration::from_secs(10);

/// How long a re-read authorises a destructive change.
///
/// An extension is confirmed only after this time has passed since its write, so an engine that read before the write can no longer act on
/// that read.
pub(super) const READ_TTL: Duration = Duration::from_secs(5);

/// How long a re-read of the fleet authorises a restore under a new number, and an observation a claim.
///
/// A number that was free at the read cannot have been used and released again within this time, because a restore takes longer than that.
pub(super) const CREATE_TTL: Duration = Duration::from_mins(1);

/// A value that was read from AWS a moment ago.
pub(super) struct FreshRead<T> {
    pub(super) value: T,
    /// AWS's clock in the response.
    pub(super) now: Option<DateTime<Utc>>,
    started: Duration,
    started_wall: DateTime<Utc>,
}

impl<T> FreshRead<T> {
    /// Separates the value from the age of the read.
    pub(super) fn split(self) -> (T, FreshRead<()>) {
        let read =
            FreshRead { value: (), now: self.now, started: self.started, started_wall: self.started_wall };
        (self.value, read)
    }

    /// Replaces the value by one that was read at the same time or earlier.
    pub(super) fn with<U>(self, value: U) -> FreshRead<U> {
        FreshRead { value, now: self.now, started: self.started, started_wall: self.started_wall }
    }
}

impl Engine {
    /// Returns a read without a value, from now on.
    pub(super) fn fresh(&self) -> FreshRead<()> {
        FreshRead { value: (), now: None, started: self.clock.elapsed(), started_wall: self.clock.now() }
    }

    /// Reads a value. Its age counts from before the call, because the response may be as old as that.
    pub(super) async fn read_fresh<T>(
        &self,
        call: impl Future<Output = Result<Observed<T>>>,
    ) -> Result<FreshRead<T>> {
        let (started, started_wall) = (self.clock.elapsed(), self.clock.now());
        let observed = call.await?;
        Ok(FreshRead { value: observed.value, now: observed.as_of, started, started_wall })
    }

    /// Runs `call` if the read is younger than [`READ_TTL`], else returns `None`.
    ///
    /// # Errors
    /// As [`Self::act_within`].
    pub(super) async fn act_while_fresh<R, T>(
        &self,
        read: &FreshRead<R>,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        self.act_within(READ_TTL, read, operation, call).await
    }

    /// Returns the age of a read: the larger of monotonic and wall time, because the monotonic clock stops while a laptop is suspended.
    fn age<R>(&self, read: &FreshRead<R>) -> Duration {
        let wall = (self.clock.now() - read.started_wall).to_std().unwrap_or_default();
        wall.max(self.clock.elapsed().saturating_sub(read.started))
    }

    /// Checks that an observation which began at `read` may authorise a claim. Meanwhile the policy can have changed.
    ///
    /// # Errors
    /// Returns `Throttled` if it took longer than [`CREATE_TTL`].
    pub(super) fn check_age(&self, read: &FreshRead<()>, cannot: &str) -> Result<(), Failure> {
        if self.age(read) <= CREATE_TTL {
            return Ok(());
        }
        let message = format!("{cannot}: AWS took longer than a minute to show the fleet");
        Err(Failure::new(Kind::Throttled, message, "try again"))
    }

    /// Runs `call` if the read is younger than `ttl`, else returns `None`.
    ///
    /// # Errors
    /// Returns the errors of the call, and class `Unknown` if it does not respond before the read expires.
    pub(super) async fn act_within<R, T>(
        &self,
        ttl: Duration,
        read: &FreshRead<R>,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        let Some(left) = ttl.checked_sub(self.age(read)) else { return Ok(None) };
        match tokio::time::timeout(self.clock.real(left), call).await {
            Ok(result) => result.map(Some),
            Err(_) => Err(CloudError::new(
                ErrorClass::Unknown,
                operation,
                "NoResponse",
                format!("no response within {} s of the last read", ttl.as_secs()),
            )),
        }
    }
}
