//! Retries of calls that may safely be repeated.

use std::time::Duration;

use super::Engine;
use crate::cloud::Result;
use crate::domain::ErrorClass;
use crate::failure::{Failure, Kind};

/// How often a call is sent before its error is returned.
pub(super) const MAX_TRIES: u32 = 5;

/// The time between two tries, unless AWS throttles.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(2);

impl Engine {
    /// Repeats an idempotent call while its outcome is unknown or its error is temporary.
    ///
    /// # Errors
    /// Returns the error of the last try, or the first error that a repetition cannot cure.
    pub(crate) async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 1;
        loop {
            match call().await {
                Err(error) if tries < MAX_TRIES && error.class.is_temporary() => {
                    self.wait_before_retry(error.class, tries).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    /// Repeats what changes nothing while AWS throttles it.
    pub(super) async fn repeat_throttled<T, F>(&self, mut look: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut tries = 1;
        loop {
            match look().await {
                Err(failure) if failure.kind == Kind::Throttled && tries < MAX_TRIES => {
                    self.wait_before_retry(ErrorClass::Throttled, tries).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    /// Waits before a call is sent again after this many tries. While AWS throttles, the delay doubles from try to try and is random, so that
    /// many callers do not repeat their calls at the same time.
    pub(super) async fn wait_before_retry(&self, class: ErrorClass, tries: u32) {
        let delay = match class {
            ErrorClass::Throttled => {
                (RETRY_DELAY * (1 << tries.saturating_sub(1).min(MAX_TRIES))).mul_f64(0.5 + self.random())
            }
            _ => RETRY_DELAY,
        };
        self.clock.sleep(delay).await;
    }
}
