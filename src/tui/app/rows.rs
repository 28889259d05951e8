//! The rows of the panes, as derived from the world.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::form::Query;
use super::selection::Selection;
use crate::domain::cost::Cost;
use crate::domain::environment::EnvironmentState;
use crate::domain::health::Verdict;
use crate::domain::progress::Progress;
use crate::domain::{
    Address, AuditEvent, Database, DatabaseId, DatabaseState, EnvironmentId, Instance, Number, Phase, Record,
    RecordId, StatusClass,
};
use crate::tui::text;

/// The most events that the activity keeps.
const MAX_ACTIVITY: usize = 500;

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
    pub(crate) record: Record,
    pub(crate) instance: Option<Instance>,
    pub(crate) database: Option<Database>,
    /// The identifier of its database, listed or not.
    pub(crate) database_id: DatabaseId,
    /// The reset in progress.
    pub(crate) reset: Option<ResetRow>,
    /// The database that it had before a reset, until that is gone.
    pub(crate) old_database: Option<Database>,
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

impl EnvironmentRow {
    /// Returns the state for the table; while the environment starts, the phase.
    pub(crate) fn status(&self) -> &'static str {
        match (self.state, self.phase) {
            _ if self.is_loading => "loading",
            (EnvironmentState::Ready, _) if self.is_deploying => "deploying",
            (EnvironmentState::Starting, Some(phase)) => phase.as_str(),
            (state, _) => state.as_str(),
        }
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
        self.details.database.as_ref().map(Database::status_class)
    }

    fn is_match(&self, needle: &str) -> bool {
        [self.name.as_str(), &self.owner, self.state.as_str(), self.status(), &self.services]
            .into_iter()
            .any(|field| text::contains(field, needle))
            || self.details.record.note.iter().any(|note| text::contains(&note.to_string(), needle))
            || text::contains(&self.id.to_string(), needle)
    }
}

/// The sort order of the environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The number in the id, which is the order of the launches.
    #[default]
    Number,
    Name,
    Owner,
    State,
    Left,
    Cost,
}

impl SortBy {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Number => Self::Name,
            Self::Name => Self::Owner,
            Self::Owner => Self::State,
            Self::State => Self::Left,
            Self::Left => Self::Cost,
            Self::Cost => Self::Number,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Name => "name",
            Self::Owner => "owner",
            Self::State => "state",
            Self::Left => "left",
            Self::Cost => "cost",
        }
    }

    fn compare(self, a: &EnvironmentRow, b: &EnvironmentRow) -> Ordering {
        match self {
            // The rows are in this order already.
            Self::Number => Ordering::Equal,
            Self::Name => a.name.cmp(&b.name),
            Self::Owner => a.owner.cmp(&b.owner),
            Self::State => (a.state as u8, a.phase).cmp(&(b.state as u8, b.phase)),
            // Rows without an expiry come last.
            Self::Left => (a.expires_at.is_none(), a.expires_at).cmp(&(b.expires_at.is_none(), b.expires_at)),
            Self::Cost => {
                let accrued = |row: &EnvironmentRow| row.cost.map_or(0.0, |cost| cost.accrued);
                accrued(a).total_cmp(&accrued(b))
            }
        }
    }
}

/// The environments with their filter, sort order and selection.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvironmentsPane {
    /// All environments, by number.
    pub(crate) all: Vec<EnvironmentRow>,
    /// The environments that match the filter, as indices of `all` in sort order.
    visible: Vec<usize>,
    pub(crate) selection: Selection<RecordId>,
    pub(crate) filter: Query,
    pub(crate) sort: SortBy,
    pub(crate) descending: bool,
}

impl EnvironmentsPane {
    pub(crate) fn find(&self, record: &RecordId) -> Option<&EnvironmentRow> {
        self.all.iter().find(|row| row.record == *record)
    }

    /// Returns the environments that match the filter, in sort order.
    pub(crate) fn visible(&self) -> impl ExactSizeIterator<Item = &EnvironmentRow> {
        self.visible.iter().map(|&index| &self.all[index])
    }

    pub(crate) fn keys(&self) -> Vec<RecordId> {
        self.visible().map(|row| row.record.clone()).collect()
    }

    /// Applies the filter and the sort order again, and keeps the selection. `height` is the table's, in rows.
    pub(crate) fn filter_and_sort(&mut self, height: usize) {
        let needle = self.filter.text();
        let mut visible: Vec<usize> =
            (0..self.all.len()).filter(|&index| self.all[index].is_match(needle)).collect();
        // The sort is stable, so rows that compare as equal stay in the order of their numbers.
        visible.sort_by(|&a, &b| {
            let order = match self.sort {
                SortBy::Number => a.cmp(&b),
                sort => sort.compare(&self.all[a], &self.all[b]),
            };
            if self.descending { order.reverse() } else { order }
        });
        self.visible = visible;
        self.reselect(height);
    }

    pub(crate) fn reselect(&mut self, height: usize) {
        let keys = self.keys();
        self.selection.reselect(&keys, height);
    }

    pub(crate) fn select(&mut self, index: usize, height: usize) {
        let keys = self.keys();
        self.selection.select(index, &keys, height);
    }

    /// Selects an environment by its record; returns whether it is visible.
    pub(crate) fn select_record(&mut self, record: &RecordId, height: usize) -> bool {
        let keys = self.keys();
        let index = keys.iter().position(|key| key == record);
        if let Some(index) = index {
            self.selection.select(index, &keys, height);
        }
        index.is_some()
    }

    pub(crate) fn move_by(&mut self, by: isize, height: usize) {
        let keys = self.keys();
        self.selection.move_by(by, &keys, height);
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

/// What is derived from the world about the pool and the fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolStatus {
    /// The databases by state, with claimed ones last.
    pub(crate) rows: Vec<PoolRow>,
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
}

impl PoolPane {
    fn keys(&self) -> Vec<Number> {
        self.status.rows.iter().map(|row| row.number).collect()
    }

    pub(crate) fn reselect(&mut self, height: usize) {
        let keys = self.keys();
        self.selection.reselect(&keys, height);
    }

    pub(crate) fn select(&mut self, index: usize, height: usize) {
        let keys = self.keys();
        self.selection.select(index, &keys, height);
    }

    pub(crate) fn move_by(&mut self, by: isize, height: usize) {
        let keys = self.keys();
        self.selection.move_by(by, &keys, height);
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

/// The events of the audit log, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActivityPane {
    pub(crate) events: VecDeque<AuditEvent>,
    /// The index of the first visible event.
    pub(crate) offset: usize,
}

impl ActivityPane {
    /// Adds the events that are new. If the user has scrolled, the same events stay visible.
    pub(crate) fn extend(&mut self, events: Vec<AuditEvent>) {
        for event in events {
            if self.events.contains(&event) {
                continue;
            }
            let index = self.events.iter().position(|other| other.at <= event.at);
            self.events.insert(index.unwrap_or(self.events.len()), event);
            if self.offset > 0 && index.is_none_or(|index| index <= self.offset) {
                self.offset += 1;
            }
        }
        self.events.truncate(MAX_ACTIVITY);
    }

    pub(crate) fn scroll(&mut self, by: isize) {
        self.offset = self.offset.saturating_add_signed(by);
    }

    /// Limits the offset so that a pane of this height has no empty rows at the end.
    pub(crate) fn keep_in_view(&mut self, height: usize) {
        self.offset = self.offset.min(self.events.len().saturating_sub(height.max(1)));
    }
}
