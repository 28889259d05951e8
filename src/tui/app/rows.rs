//! The rows of the panes, as derived from the world.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::selection::{Rows, Selection};
use crate::domain::cost::Cost;
use crate::domain::deployment::{DeploymentState, DeploymentStatus};
use crate::domain::environment::EnvironmentState;
use crate::domain::health::Verdict;
use crate::domain::progress::Progress;
use crate::domain::record::LaunchFailure;
use crate::domain::{
    Address, Database, DatabaseId, DatabaseState, Environment, EnvironmentId, Instance, Number, Phase,
    Record, RecordId, StatusClass,
};

/// The length of the pool's history.
const HISTORY_MINUTES: usize = 60;

/// One environment.
#[derive(Debug, Clone)]
pub struct EnvironmentRow {
    /// Identifies the row, because AWS never reuses the id of a launch template, while an environment's id can recur.
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    /// The label that the owner chose.
    pub name: String,
    pub(crate) owner: String,
    pub(crate) state: EnvironmentState,
    pub(crate) phase: Option<Phase>,
    pub(crate) progress: Option<Progress>,
    pub(crate) left: Option<TimeLeft>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// The services under test, on one line.
    pub(crate) services: String,
    /// Whether the state is unknown because the instances are not listed yet.
    pub(crate) is_loading: bool,
    /// Whether its instance deploys anew, or will do so.
    pub(crate) is_deploying: bool,
    pub(crate) cost: Option<Cost>,
    pub(crate) problems: Vec<String>,
    /// The last reset that failed, until its database is deleted.
    pub(crate) failed_reset: Option<LaunchFailure>,
    pub(crate) addresses: Addresses,
    pub(crate) details: Box<Details>,
}

/// The time until the environment is ready or expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeLeft {
    For(String),
    /// Launching takes longer than usual.
    Overdue,
    Expired,
}

impl TimeLeft {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::For(text) => text,
            Self::Overdue => "overdue",
            Self::Expired => "0m",
        }
    }
}

/// Where the endpoints of an environment are, with their names; `None` until its instance has an address.
pub(crate) type Addresses = [(&'static str, Option<Address>); 3];

/// The parts of an environment.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) record: Arc<Record>,
    pub(crate) instance: Option<Arc<Instance>>,
    pub(crate) database: Option<Arc<Database>>,
    /// The identifier of its database, listed or not.
    pub(crate) database_id: DatabaseId,
    /// The number of that database; `None` if it is unknown.
    pub(crate) current: Option<Number>,
    /// The reset in progress.
    pub(crate) reset: Option<Box<ResetRow>>,
    /// The database that it had before a reset, until that is gone.
    pub(crate) old_database: Option<Arc<Database>>,
}

impl Details {
    /// Takes over the equal parts of a newer observation, so that the earlier ones are freed.
    pub(crate) fn share(&mut self, environment: &Environment<'_>) {
        self.record.clone_from(environment.record);
        self.instance = environment.instance.cloned();
        self.database = environment.database.cloned();
        self.old_database = old_database_of(environment).cloned();
    }
}

/// A reset in progress.
#[derive(Debug, Clone)]
pub(crate) struct ResetRow {
    /// The record that claims the new database.
    pub(crate) replacement: Record,
    /// The new database; `None` until it is listed.
    pub(crate) database: Option<Database>,
    pub(crate) progress: Option<Progress>,
}

/// Returns the database that an environment had before a reset.
pub(crate) fn old_database_of<'w>(environment: &Environment<'w>) -> Option<&'w Arc<Database>> {
    environment.claimed.filter(|old| environment.current.is_some_and(|current| current != old.number))
}

impl EnvironmentRow {
    /// Whether the row was derived from equal parts.
    pub(crate) fn is_of(&self, environment: &Environment<'_>) -> bool {
        let Details { record, instance, database, current, reset, old_database, .. } = &*self.details;
        reset.is_none()
            && environment.reset.is_none()
            && record == environment.record
            && instance.as_ref() == environment.instance
            && database.as_ref() == environment.database
            && old_database.as_ref() == old_database_of(environment)
            && *current == environment.current
    }

    /// Returns the state for the table; while the environment starts, the phase.
    pub(crate) fn status(&self) -> &'static str {
        match (self.state, self.phase) {
            _ if self.is_loading => "loading",
            (EnvironmentState::Ready, _) if self.is_deploying => "deploying",
            (EnvironmentState::Starting, Some(phase)) => phase.as_str(),
            (state, _) => state.as_str(),
        }
    }

    /// Returns the last request to deploy anew: its time, its state, and what its instance says about it.
    pub(crate) fn deployment(&self) -> Option<(DateTime<Utc>, DeploymentState, String)> {
        let instance = self.details.instance.as_ref().filter(|_| self.phase == Some(Phase::Ready))?;
        let request = self.details.record.deployment.as_ref()?;
        let status = DeploymentStatus::new(request, instance.rollout.as_ref());
        Some((request.at, status.state, status.detail.map(ToString::to_string).unwrap_or_default()))
    }

    /// Returns why nothing can be deployed to it now.
    pub(crate) fn redeploy_disabled_reason(&self) -> Option<&'static str> {
        let instance = self.details.instance.as_ref();
        match (self.phase, instance) {
            (Some(Phase::Ready), Some(instance)) if instance.rollout.is_none() => {
                Some("its bootstrap is too old; launch a new one")
            }
            (Some(Phase::Ready), Some(_)) => None,
            _ => Some("wait until the environment is ready"),
        }
    }

    /// Whether its bootstrap ended with an error, which its log has.
    pub(crate) fn has_failed_bootstrap(&self) -> bool {
        self.state == EnvironmentState::Failed && self.phase == Some(Phase::Failed)
    }

    /// Returns the class of the database's status; `None` if no database is listed.
    pub(crate) fn database(&self) -> Option<StatusClass> {
        self.details.database.as_ref().map(|database| database.status_class())
    }
}

/// One database of the pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolRow {
    pub(crate) number: Number,
    /// The database's id without the common prefix, such as `dev-14`.
    pub(crate) name: String,
    pub(crate) state: DatabaseState,
    /// The progress of the restore.
    pub(crate) progress: Option<Progress>,
    /// What else is known, such as the remaining time, the age or the environment.
    pub(crate) info: String,
}

/// Returns the status of a database, with how much of it is loaded if that is known: `available, 73 % warm`.
pub(crate) fn status_of(database: &Database) -> String {
    with_hydration(database.status.to_string(), database)
}

/// Adds how much of a database is loaded, if that is known.
pub(crate) fn with_hydration(text: String, database: &Database) -> String {
    match database.hydration.describe() {
        Some(loaded) => format!("{text}, {loaded}"),
        None => text,
    }
}

/// Returns a database's id without the common prefix, such as `dev-14`.
pub(crate) fn short_name(database: &Database) -> String {
    database.id.as_str().trim_start_matches("hatchery-").to_owned()
}

/// What is derived from the world about the pool and the fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolStatus {
    /// The databases without an environment: free ones, those that become so, then the others.
    pub(crate) rows: Vec<PoolRow>,
    /// The width of the longest name in columns.
    pub(crate) name_width: usize,
    /// The number of databases that environments have.
    pub(crate) claimed: usize,
    pub(crate) free: usize,
    pub(crate) target: usize,
    /// The target with its mode, such as `1 (auto)`.
    pub(crate) target_text: String,
    /// Why an automatic target has its value.
    pub(crate) target_reason: Option<String>,
    /// The age of the latest snapshot.
    pub(crate) snapshot: Option<String>,
    /// The age of the latest image.
    pub(crate) image: Option<String>,
    /// The fleet's cost in US dollars per hour.
    pub(crate) per_hour: Option<f64>,
    /// The findings of the health check, most severe first.
    pub(crate) verdicts: Vec<Verdict>,
}

/// The pool with its selection and history.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolPane {
    pub(crate) status: PoolStatus,
    pub(crate) selection: Selection<Number>,
    pub(crate) history: PoolHistory,
    /// The databases that environments have or will have, while the page of the pool is open.
    pub(crate) claimed: Vec<PoolRow>,
}

impl Rows<Number> for Vec<PoolRow> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn key(&self, index: usize) -> Option<Number> {
        self.get(index).map(|row| row.number)
    }

    fn find(&self, key: &Number) -> Option<usize> {
        self.iter().position(|row| row.number == *key)
    }
}

impl PoolPane {
    pub(crate) fn reselect(&mut self, height: usize) {
        self.selection.reselect(&self.status.rows, height);
    }

    pub(crate) fn select(&mut self, index: usize, height: usize) {
        self.selection.select(index, &self.status.rows, height);
    }

    pub(crate) fn move_by(&mut self, by: isize, height: usize) {
        // The pool has no neighbours to go to.
        let _ = self.selection.move_by(by, &self.status.rows, height);
    }
}

/// The minimum number of free databases in each of the last minutes.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolHistory {
    /// Oldest first; the last one is the current minute.
    pub(crate) minutes: VecDeque<usize>,
    /// The number of the current minute, by the engine's clock.
    current: u64,
}

impl PoolHistory {
    /// Records the number of free databases at `clock`. Minutes without a record repeat the last known value.
    pub(crate) fn record(&mut self, free: usize, clock: Duration) {
        let minute = clock.as_secs() / 60;
        match self.minutes.back_mut() {
            Some(last) if self.current == minute => *last = free.min(*last),
            last => {
                let last = last.copied();
                let gap = last.map_or(0, |_| minute.saturating_sub(self.current).saturating_sub(1));
                let gap = usize::try_from(gap).unwrap_or(HISTORY_MINUTES).min(HISTORY_MINUTES);
                self.minutes.extend(std::iter::repeat_n(last.unwrap_or(free), gap));
                self.minutes.push_back(free);
            }
        }
        while self.minutes.len() > HISTORY_MINUTES {
            self.minutes.pop_front();
        }
        self.current = minute;
    }
}
