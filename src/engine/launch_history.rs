//! The launch history for `spare=auto`, read from the audit log and cached.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use super::cache::HistoryCache;
use crate::cloud::Result;
use crate::domain::{Launches, Spare, World};

/// The length of the history: enough for several instances of each weekday, and short enough to follow a growing team.
const HISTORY: TimeDelta = TimeDelta::weeks(8);

/// How long the cache is used before new events are fetched. Launches since then are counted from their records.
const CACHE_TTL: Duration = Duration::from_mins(15);

/// How long a failure is cached before the next try.
const FAILURE_TTL: Duration = Duration::from_mins(1);

/// How far a fetch overlaps the cached history, because events can arrive late.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// How old a cached history may be used while the log cannot be read.
const MAX_STALENESS: TimeDelta = TimeDelta::days(1);

impl Engine {
    /// Adds the launch history to a world whose policy needs it.
    pub(super) async fn load_launch_history(&self, world: &mut World) {
        if world.fleet.policy.spare == Spare::Auto {
            world.launches = self.launches().await.map(Some);
        }
    }

    async fn launches(&self) -> Result<Arc<Launches>> {
        let (elapsed, now) = (self.clock.elapsed(), self.clock.now());
        let known = match &*self.history_cache.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(known) if elapsed < known.valid_until => return known.launches.clone(),
            known => known.as_ref().and_then(|known| known.launches.as_ref().ok().cloned()),
        };
        let read = self.read_launches(known.as_deref(), now).await;
        let ttl = if read.is_ok() { CACHE_TTL } else { FAILURE_TTL };
        let launches = match read {
            Err(error) => match known.filter(|known| now - known.until() < MAX_STALENESS) {
                Some(known) => {
                    tracing::warn!(%error, "cannot read the latest launches from the audit log; using the cached ones");
                    Ok(known)
                }
                None => Err(error),
            },
            read => read.map(Arc::new),
        };
        let cache = HistoryCache { valid_until: elapsed + ttl, launches: launches.clone() };
        *self.history_cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(cache);
        launches
    }

    async fn read_launches(&self, known: Option<&Launches>, now: DateTime<Utc>) -> Result<Launches> {
        let fleet = &self.config.fleet;
        let oldest = now - HISTORY;
        match known {
            Some(known) => {
                let from = known.until() - OVERLAP;
                let later = self.cloud.launches(fleet, from).await?;
                Ok(known.extended(from, now, later, oldest))
            }
            None => Ok(Launches::new(oldest, now, self.cloud.launches(fleet, oldest).await?)),
        }
    }
}
