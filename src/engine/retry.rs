//! Retries of calls that may safely be repeated.

use std::time::Duration;

use super::Engine;
use crate::cloud::Result;
use crate::domain::ErrorClass;

/// How often a call is sent before its error is returned.
pub(super) const MAX_TRIES: u32 = 5;

/// The time between two tries.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(2);

impl Engine {
    /// Repeats an idempotent call while its outcome is unknown or its error is temporary.
    ///
    /// # Errors
    /// Returns the error of the last try, or the first error that a repetition cannot cure.
    pub(super) async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 1;
        loop {
            match call().await {
                Err(error) if tries < MAX_TRIES && is_temporary(error.class) => {
                    tries += 1;
                    self.clock.sleep(RETRY_DELAY).await;
                }
                result => return result,
            }
        }
    }
}

fn is_temporary(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Unknown | ErrorClass::Transient | ErrorClass::Throttled)
}
