//! Requests to replace the free databases.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::Engine;
use crate::domain::tags::{TagChanges, format_time, key};
use crate::domain::{DatabaseState, Pool};
use crate::failure::{Failure, Kind};

/// A recorded request to replace the free databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recycled {
    /// The number of databases that engines replace.
    pub databases: usize,
    /// Databases that were requested before this time are stale.
    pub at: DateTime<Utc>,
}

impl Engine {
    /// Marks the free databases and those being restored as stale; engines replace them.
    ///
    /// # Errors
    /// Returns an error if the fleet cannot be read or changed.
    pub async fn recycle_pool(&self) -> Result<Recycled, Failure> {
        let what = "cannot recycle the pool";
        let world = self.observe_uncached().await?;
        let now = world.now().ok_or_else(|| {
            Failure::new(Kind::Failed, format!("{what}: a listing failed or has no time"), "try again")
        })?;
        let at = now.trunc_subsecs(0);
        let pool = Pool::new(&world);
        let states =
            [DatabaseState::Free, DatabaseState::Stale, DatabaseState::Creating, DatabaseState::Busy];
        let databases = states.into_iter().map(|state| pool.count(state)).sum();
        let changes = TagChanges::new().set(key::RECYCLED_AT, format_time(at));
        let written = self.retry(|| self.cloud.tag_fleet(&world.fleet.template, &changes)).await;
        self.log_write("recycle-pool", world.fleet.name.as_str(), "requested", &written).await;
        written.map_err(|error| Failure::cloud(what, &error))?;
        Ok(Recycled { databases, at })
    }
}
