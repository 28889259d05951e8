//! Time, handed in: the system's, or a virtual one for the demo and the simulations.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// A source of time. Clones share it.
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
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { kind: Kind::System, started: Instant::now() }
    }

    /// A clock that shows `epoch` now and runs `speed` times as fast as tokio's, which tests may pause. At speed 0 it
    /// stands still.
    #[must_use]
    pub fn virtual_from(epoch: DateTime<Utc>, speed: f64) -> Self {
        Self { kind: Kind::Virtual { epoch, speed: speed.max(f64::MIN_POSITIVE) }, started: Instant::now() }
    }

    /// The same time seen by somebody whose clock is wrong by this much.
    #[must_use]
    pub fn off_by(&self, error: chrono::TimeDelta) -> Self {
        match self.kind {
            Kind::System => self.clone(),
            Kind::Virtual { epoch, speed } => {
                Self { kind: Kind::Virtual { epoch: epoch + error, speed }, started: self.started }
            }
        }
    }

    /// The wall clock. It may be wrong and may jump: judge no expiry by it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self.kind {
            #[allow(clippy::disallowed_methods)] // the one place where the system's time comes in
            Kind::System => Utc::now(),
            Kind::Virtual { epoch, .. } => epoch + self.elapsed(),
        }
    }

    /// Time since the clock was made, by a clock that never jumps, in this clock's own seconds.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self.kind {
            Kind::System => self.started.elapsed(),
            Kind::Virtual { speed, .. } => self.started.elapsed().mul_f64(speed),
        }
    }

    /// Waits, in this clock's own seconds.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.real(duration)).await;
    }

    /// What a length of this clock's time is in real time.
    #[must_use]
    pub fn real(&self, duration: Duration) -> Duration {
        match self.kind {
            Kind::System => duration,
            // At no speed at all nothing ever comes.
            Kind::Virtual { speed, .. } => {
                Duration::try_from_secs_f64(duration.as_secs_f64() / speed).unwrap_or(Duration::MAX)
            }
        }
    }
}
