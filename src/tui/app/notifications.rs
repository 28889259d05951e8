//! What the user is told while looking at something else: their own environments that become ready, fail or are about to expire, and a pool that
//! becomes empty.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::rows::EnvironmentRow;
use crate::domain::RecordId;
use crate::domain::deployment::DeploymentState;
use crate::domain::environment::EnvironmentState;
use crate::domain::notice::{self, FIRST_WARNING, LAST_WARNING, Warning, can_expire};
use crate::tui::format;

mod send;

/// One thing to tell.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    pub(super) title: String,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeKind {
    Done,
    Warning,
    /// Something failed, or is about to.
    Alarm,
}

/// What the user knows of an environment.
#[derive(Debug, Clone, Default)]
struct Known {
    stage: Stage,
    /// The time of the last request to deploy whose end the user knows. A read that lags shows an earlier one again.
    deployed: Option<DateTime<Utc>>,
    /// The time of the last failure of a reset that the user knows.
    failed_reset: Option<DateTime<Utc>>,
    /// The warnings by expiry. Earlier expiries are kept, because a read that lags shows them again.
    expiries: BTreeMap<DateTime<Utc>, Warned>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    NotReady,
    Ready,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Warned {
    No,
    First,
    Last,
}

/// What the user knows of the fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifications {
    /// Whether the fleet was observed completely once. What was so then is known.
    pub(super) started: bool,
    /// The user's environments. Those that are gone stay, because a listing that lags shows them again as if they were new.
    environments: HashMap<RecordId, Known>,
    pool_is_empty: bool,
    /// The time of the next warning, in AWS's time.
    pub(super) warning_at: Option<DateTime<Utc>>,
}

impl Notifications {
    /// Returns the news about the pool.
    pub(super) fn pool(&mut self, free: usize, target: usize, fleet: &str) -> Option<Notice> {
        let was_empty = self.pool_is_empty;
        if free > 0 {
            self.pool_is_empty = false;
        } else if target > 0 || !self.started {
            self.pool_is_empty = true;
        }
        (self.started && self.pool_is_empty && !was_empty).then(|| Notice {
            kind: NoticeKind::Alarm,
            title: notice::pool_title(fleet),
            text: notice::POOL_TEXT.to_owned(),
        })
    }

    /// Returns the news about an environment.
    pub(super) fn environment(
        &mut self,
        row: &EnvironmentRow,
        ends: impl Fn(DateTime<Utc>) -> String,
    ) -> Vec<Notice> {
        let known = self.environments.entry(row.record.clone()).or_default();
        let news = known.follow(row, ends);
        if self.started { news } else { Vec::new() }
    }

    /// Returns the warning that is due about an environment, and notes when the next one is.
    pub(super) fn expiry(&mut self, row: &EnvironmentRow, now: DateTime<Utc>) -> Option<Duration> {
        let expires_at = row.expires_at.filter(|at| *at > now && can_expire(row.state))?;
        let known = self.environments.entry(row.record.clone()).or_default();
        let left = format::between(now, expires_at);
        let due = match Warning::due(left) {
            Some(Warning::Last) => Warned::Last,
            Some(Warning::First) => Warned::First,
            None => Warned::No,
        };
        // Of an expiry that is new within the half hour, the user has just heard: at a launch, at an extension, or on the opened dashboard.
        let warned = known.expiries.entry(expires_at).or_insert(due.min(Warned::First));
        let is_new = due > *warned;
        *warned = due.max(*warned);
        let next = match warned {
            Warned::No => Some(expires_at - FIRST_WARNING),
            Warned::First => Some(expires_at - LAST_WARNING),
            Warned::Last => None,
        };
        self.warning_at = self.warning_at.into_iter().chain(next).min();
        is_new.then_some(left)
    }
}

impl Known {
    /// Compares an environment with what is known, and knows it then.
    fn follow(&mut self, row: &EnvironmentRow, ends: impl Fn(DateTime<Utc>) -> String) -> Vec<Notice> {
        let mut news = Vec::new();
        let (name, id) = (&row.name, &row.id);
        let was = self.stage;
        match row.state {
            EnvironmentState::Starting | EnvironmentState::Stopped => self.stage = Stage::NotReady,
            EnvironmentState::Ready => self.stage = Stage::Ready,
            EnvironmentState::Failed => self.stage = Stage::Failed,
            // An environment that expires and is extended is as it was. One whose instance is missing from a listing, too.
            EnvironmentState::Launching
            | EnvironmentState::Expired
            | EnvironmentState::Reaping
            | EnvironmentState::Terminating => {}
        }
        let done = |title: String| Notice {
            kind: NoticeKind::Done,
            title,
            text: row.expires_at.map_or_else(|| id.to_string(), |at| format!("{id} until {}", ends(at))),
        };
        let failed = |title: String, why: &str| Notice {
            kind: NoticeKind::Alarm,
            title,
            text: if why.is_empty() { id.to_string() } else { format!("{id}: {why}") },
        };
        let deployment = row.deployment().filter(|(at, _, _)| self.deployed.is_none_or(|known| known < *at));
        match (self.stage, &deployment) {
            (Stage::Ready, Some((_, DeploymentState::Failed, why))) => {
                news.push(failed(format!("the deployment to {name} failed"), why));
            }
            // A bootstrap deploys what was requested before.
            (Stage::Ready, _) if was != Stage::Ready => news.push(done(format!("{name} is ready"))),
            (Stage::Ready, Some((_, DeploymentState::Done, _))) => {
                news.push(done(format!("the deployment to {name} is done")));
            }
            (Stage::Failed, _) if was != Stage::Failed => {
                let why = row.problems.first().map_or("", String::as_str);
                news.push(failed(format!("{name} failed"), why));
            }
            _ => {}
        }
        if let Some((at, state, _)) = deployment
            && self.stage == Stage::Ready
            && !state.is_pending()
        {
            self.deployed = Some(at);
        }
        if let Some(failure) = &row.failed_reset
            && self.failed_reset.is_none_or(|known| known < failure.at)
        {
            self.failed_reset = Some(failure.at);
            news.push(failed(format!("the reset of {name} failed"), &failure.reason.to_string()));
        }
        news
    }
}
