//! The clock as a parameter: the system's, or a virtual one for the demo and the simulations.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// A wall clock and a monotonic clock. Clones share their start.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    System,
    Virtual { epoch: DateTime<Utc>, speed: f64 },
}

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { kind: Kind::System, started: Instant::now() }
    }

    /// Returns a clock that shows `epoch` now and runs `speed` times as fast as tokio's, which tests can pause. Speed 0 stops it.
    #[must_use]
    pub fn virtual_from(epoch: DateTime<Utc>, speed: f64) -> Self {
        Self { kind: Kind::Virtual { epoch, speed: speed.max(f64::MIN_POSITIVE) }, started: Instant::now() }
    }

    /// Returns this clock with a wrong wall time, as on a computer without time synchronisation. The system's clock is unchanged.
    #[must_use]
    pub fn off_by(&self, error: chrono::TimeDelta) -> Self {
        match self.kind {
            Kind::System => self.clone(),
            Kind::Virtual { epoch, speed } => {
                Self { kind: Kind::Virtual { epoch: epoch + error, speed }, started: self.started }
            }
        }
    }

    /// Returns the wall time. It can be wrong and can jump, so expiry is compared with AWS's time instead.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.kind {
            #[allow(clippy::disallowed_methods)] // the only use of the system's time
            Kind::System => Utc::now(),
            Kind::Virtual { epoch, .. } => epoch + self.elapsed(),
        }
    }

    /// Returns the monotonic time since the clock was created, in seconds of this clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self.kind {
            Kind::System => self.started.elapsed(),
            Kind::Virtual { speed, .. } => self.started.elapsed().mul_f64(speed),
        }
    }

    /// Waits for a duration of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.real(duration)).await;
    }

    /// Converts a duration of this clock's time to tokio's time.
    #[must_use]
    pub fn real(&self, duration: Duration) -> Duration {
        match self.kind {
            Kind::System => duration,
            // A stopped clock never reaches any time.
            Kind::Virtual { speed, .. } => {
                Duration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or(Duration::MAX)
            }
        }
    }
}
