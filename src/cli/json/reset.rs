//! The parts about resets.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::version::VERSION;
use crate::domain::environment::Reset;
use crate::domain::progress::Estimates;
use crate::domain::text::Untrusted;
use crate::domain::{DatabaseId, FleetName};
use crate::engine::ResetStarted;

/// A reset in progress; missing if there is none.
#[derive(Debug, Serialize)]
pub(crate) struct ResetBody<'w> {
    since: DateTime<Utc>,
    by: &'w Untrusted,
    /// The new database.
    database: DatabaseId,
    status: Option<&'w Untrusted>,
    progress: Option<f64>,
}

impl<'w> ResetBody<'w> {
    pub(super) fn new(reset: &Reset<'w>, estimates: &Estimates, now: DateTime<Utc>) -> Self {
        let progress = reset.database.and_then(|database| estimates.database(database, now));
        Self {
            since: reset.replacement.created_at,
            by: &reset.replacement.owner,
            database: reset.replacement.environment.database_id(),
            status: reset.database.map(|database| &database.status),
            progress: progress.map(|progress| (progress.ratio * 100.0).round() / 100.0),
        }
    }
}

/// Document of `hatchery reset`; `done` once the instance uses the new database.
pub(crate) fn reset(fleet: &FleetName, started: &ResetStarted, done: bool) -> Value {
    json!({
        "version": VERSION, "fleet": fleet, "id": started.environment, "database": started.database,
        "replaces": started.replaces, "switched": started.switched || done, "done": done,
    })
}
