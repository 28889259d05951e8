//! The launches of the last weeks: read from the audit log when the policy sizes the pool by them, and remembered.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use crate::cloud::Result;
use crate::domain::{Launches, Spare, World};

/// How far back the launches are looked at.
const BACK: TimeDelta = TimeDelta::weeks(8);

/// How long what was read is good enough.
const HOLDS: Duration = Duration::from_mins(15);

/// How long a failure is, before it is tried again.
const FAILURE_HOLDS: Duration = Duration::from_mins(1);

/// Events may arrive late: what is read anew begins this much before the end of what is known.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// How long what is remembered stands in where the log cannot be read.
const STANDS_IN: TimeDelta = TimeDelta::days(1);

/// The launches, and until when they are good enough, by the engine's clock.
pub(super) struct HistoryCache {
    holds_until: Duration,
    launches: Result<Arc<Launches>>,
}

impl Engine {
    /// Adds the launches to a world whose policy sizes the pool by them.
    pub(super) async fn load_launch_history(&self, world: &mut World) {
        if world.fleet.policy.spare == Spare::Auto {
            world.launches = self.launches().await.map(Some);
        }
    }

    async fn launches(&self) -> Result<Arc<Launches>> {
        let (elapsed, now) = (self.clock.elapsed(), self.clock.now());
        let known = match &*self.history_cache.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(known) if elapsed < known.holds_until => return known.launches.clone(),
            known => known.as_ref().and_then(|known| known.launches.as_ref().ok().cloned()),
        };
        let read = self.read_launches(known.as_deref(), now).await;
        let holds = if read.is_ok() { HOLDS } else { FAILURE_HOLDS };
        let launches = match read {
            Err(error) => match known.filter(|known| now - known.until() < STANDS_IN) {
                Some(known) => {
                    tracing::warn!(%error, "the latest launches could not be read from the audit log");
                    Ok(known)
                }
                None => Err(error),
            },
            read => read.map(Arc::new),
        };
        let remembered = HistoryCache { holds_until: elapsed + holds, launches: launches.clone() };
        *self.history_cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
        launches
    }

    async fn read_launches(&self, known: Option<&Launches>, now: DateTime<Utc>) -> Result<Launches> {
        let fleet = &self.config.fleet;
        let oldest = now - BACK;
        match known {
            Some(known) => {
                let from = known.until() - OVERLAP;
                let later = self.cloud.launches(fleet, from).await?;
                Ok(known.continued(from, now, later, oldest))
            }
            None => Ok(Launches::new(oldest, now, self.cloud.launches(fleet, oldest).await?)),
        }
    }
}
