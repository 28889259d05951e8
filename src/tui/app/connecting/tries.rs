//! The tries to connect to the fleet: at the start, when the user asks for it, and again by itself after a failure that may pass.

use std::time::Duration;

/// The time until a failed try is repeated. It doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries {
    is_trying: bool,
    /// How often it failed in a row.
    failed: u32,
    /// When to try again, in real time.
    again_at: Option<Duration>,
}

impl Default for Tries {
    /// The driver begins with a try.
    fn default() -> Self {
        Self { is_trying: true, failed: 0, again_at: None }
    }
}

impl Tries {
    /// Begins a try; returns false if one is in progress.
    pub(crate) fn begin(&mut self) -> bool {
        self.again_at = None;
        !std::mem::replace(&mut self.is_trying, true)
    }

    pub(crate) fn succeed(&mut self) {
        *self = Self { is_trying: false, failed: 0, again_at: None };
    }

    /// Plans the next try if this failure `may_pass`.
    pub(crate) fn fail(&mut self, may_pass: bool, now: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failed)).min(LAST_PAUSE);
        let failed = self.failed.saturating_add(1);
        *self = Self { is_trying: false, failed, again_at: may_pass.then(|| now + pause) };
    }

    /// Returns when to try again, in real time.
    pub(crate) fn again_at(&self) -> Option<Duration> {
        self.again_at
    }
}
