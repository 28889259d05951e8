//! The last look: what is changed for good is read again by id right before, and the look does not keep for long.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Engine;
use crate::cloud::{Observed, Result};
use crate::domain::{CloudError, ErrorClass};

/// How long a last look holds. What was confirmed to somebody is confirmed later than this after it was written, so
/// an engine that looked before the write does not act on it any more.
pub(super) const READ_TTL: Duration = Duration::from_secs(5);

/// How long a look holds that a database is restored on. Its number is not in use then, and cannot have been used and come
/// free again within this time: a database takes longer than that to come.
pub(super) const CREATE_TTL: Duration = Duration::from_mins(1);

/// Something that was just read again.
pub(super) struct FreshRead<T> {
    /// What was read.
    pub(super) value: T,
    /// AWS's clock in that answer.
    pub(super) now: Option<DateTime<Utc>>,
    begun: Duration,
    begun_wall: DateTime<Utc>,
}

impl<T> FreshRead<T> {
    /// What was read, and the look by itself.
    pub(super) fn split(self) -> (T, FreshRead<()>) {
        let look = FreshRead { value: (), now: self.now, begun: self.begun, begun_wall: self.begun_wall };
        (self.value, look)
    }
}

impl Engine {
    /// Looks. The time counts from before the call, since the answer may be as old as that.
    pub(super) async fn read_fresh<T>(
        &self,
        call: impl Future<Output = Result<Observed<T>>>,
    ) -> Result<FreshRead<T>> {
        let (begun, begun_wall) = (self.clock.elapsed(), self.clock.now());
        let seen = call.await?;
        Ok(FreshRead { value: seen.value, now: seen.as_of, begun, begun_wall })
    }

    /// Acts on a look while it holds: for [`READ_TTL`].
    ///
    /// # Errors
    /// As [`Self::act_within`].
    pub(super) async fn act_while_fresh<L, T>(
        &self,
        look: &FreshRead<L>,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        self.act_within(READ_TTL, look, operation, call).await
    }

    /// Acts on a look while it holds, or not at all where that time is over. The clock that has moved most counts: one
    /// stands still while a laptop sleeps.
    ///
    /// # Errors
    /// Those of the call; class `Unknown` where it did not answer in time.
    pub(super) async fn act_within<L, T>(
        &self,
        holds: Duration,
        look: &FreshRead<L>,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        let wall = (self.clock.now() - look.begun_wall).to_std().unwrap_or_default();
        let spent = wall.max(self.clock.elapsed().saturating_sub(look.begun));
        let Some(left) = holds.checked_sub(spent) else { return Ok(None) };
        match tokio::time::timeout(self.clock.real(left), call).await {
            Ok(result) => result.map(Some),
            Err(_) => Err(CloudError::new(
                ErrorClass::Unknown,
                operation,
                "NoAnswer",
                "no answer while the last look held",
            )),
        }
    }
}
