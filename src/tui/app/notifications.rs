//! What the user is told while looking at something else: their own environments that become ready, fail or are about to expire, and a pool that
//! becomes empty.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::message::Effect;
use super::model::{Model, Severity};
use super::rows::EnvironmentRow;
use crate::domain::RecordId;
use crate::domain::deployment::DeploymentState;
use crate::domain::environment::EnvironmentState;
use crate::tui::action::Action;
use crate::tui::format;

/// How long before its expiry an environment is announced to expire.
const FIRST_WARNING: Duration = Duration::from_mins(30);
const LAST_WARNING: Duration = Duration::from_mins(5);

/// More notifications at once, as after a suspended laptop wakes, become one.
const MAX_AT_ONCE: usize = 3;

/// One thing to tell.
#[derive(Debug)]
struct Notice {
    severity: Severity,
    title: String,
    text: String,
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
    started: bool,
    /// The user's environments. Those that are gone stay, because a listing that lags shows them again as if they were new.
    environments: HashMap<RecordId, Known>,
    pool_is_empty: bool,
    /// The time of the next warning, in AWS's time.
    warning_at: Option<DateTime<Utc>>,
}

impl Notifications {
    /// Returns the news about the pool.
    fn pool(&mut self, free: usize, target: usize, fleet: &str) -> Option<Notice> {
        let was_empty = self.pool_is_empty;
        if free > 0 {
            self.pool_is_empty = false;
        } else if target > 0 || !self.started {
            self.pool_is_empty = true;
        }
        (self.started && self.pool_is_empty && !was_empty).then(|| Notice {
            severity: Severity::Error,
            title: format!("the pool of fleet {fleet} is empty"),
            text: "a launch waits until a database is restored".to_owned(),
        })
    }

    /// Returns the news about an environment.
    fn environment(&mut self, row: &EnvironmentRow, ends: &str) -> Vec<Notice> {
        let known = self.environments.entry(row.record.clone()).or_default();
        let news = known.follow(row, ends);
        if self.started { news } else { Vec::new() }
    }

    /// Returns the warning that is due about an environment, and notes when the next one is.
    fn expiry(&mut self, row: &EnvironmentRow, now: DateTime<Utc>) -> Option<Duration> {
        let expires_at = row.expires_at.filter(|at| *at > now && can_expire(row.state))?;
        let known = self.environments.entry(row.record.clone()).or_default();
        let left = format::between(now, expires_at);
        let due = match left {
            _ if left <= LAST_WARNING => Warned::Last,
            _ if left <= FIRST_WARNING => Warned::First,
            _ => Warned::No,
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

/// Whether an environment in this state expires at its expiry: it has not done so yet, and does not end before.
fn can_expire(state: EnvironmentState) -> bool {
    !matches!(state, EnvironmentState::Expired | EnvironmentState::Reaping | EnvironmentState::Terminating)
}

impl Known {
    /// Compares an environment with what is known, and knows it then.
    fn follow(&mut self, row: &EnvironmentRow, ends: &str) -> Vec<Notice> {
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
            severity: Severity::Done,
            title,
            text: if ends.is_empty() { id.to_string() } else { format!("{id} until {ends}") },
        };
        let failed = |title: String, why: &str| Notice {
            severity: Severity::Error,
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

impl Model {
    /// Returns what the user is to be told now: after an observation all news, else the warnings that are due.
    pub(super) fn news(&mut self, is_observation: bool) -> Vec<Effect> {
        let Some(view) = &self.fleet_view else { return Vec::new() };
        // A part that is not listed yet would make every environment look as if it had no instance, or the pool empty.
        if !view.world.is_complete() && !self.notifications.started {
            return Vec::new();
        }
        let now = self.aws_now();
        let is_due = self.notifications.warning_at.is_some_and(|at| now >= at);
        if !is_observation && !is_due {
            return Vec::new();
        }
        let mut known = std::mem::take(&mut self.notifications);
        let mut notices = Vec::new();
        known.warning_at = None;
        let zone = self.styles.zone;
        let ends = |at: DateTime<Utc>| format::short_date_time(at, now, zone);
        for row in self.environments.all().iter().filter(|row| row.owner == self.options.user) {
            notices.extend(known.environment(row, &row.expires_at.map(ends).unwrap_or_default()));
            if let (Some(left), Some(at)) = (known.expiry(row, now), row.expires_at) {
                notices.push(self.expiry_notice(row, left, &ends(at)));
            }
        }
        let fleet = self.options.fleet.as_ref().map(ToString::to_string).unwrap_or_default();
        notices.extend(known.pool(self.pool.status.free, self.pool.status.target, &fleet));
        known.started = true;
        self.notifications = known;
        self.tell(notices, &fleet)
    }

    fn expiry_notice(&self, row: &EnvironmentRow, left: Duration, ends: &str) -> Notice {
        let minutes = left.as_secs().div_ceil(60);
        let plural = if minutes == 1 { "" } else { "s" };
        let hint = match self.options.keymap.label(Action::Extend, false) {
            key if key.is_empty() || self.options.read_only => String::new(),
            key => format!("; key {key} extends it"),
        };
        let severity = if left <= LAST_WARNING { Severity::Error } else { Severity::Info };
        let title = format!("{} expires in {minutes} minute{plural}", row.name);
        Notice { severity, title, text: format!("{} ends at {ends}{hint}", row.id) }
    }

    /// Shows toasts, and unless the user sees them, sends notifications.
    fn tell(&mut self, notices: Vec<Notice>, fleet: &str) -> Vec<Effect> {
        for notice in &notices {
            // With a task number of its own, the toast is not replaced by the next one.
            let task = self.next_task();
            self.finish_task(task, notice.severity, format!("{}: {}", notice.title, notice.text));
        }
        if !self.notifies || self.focused == Some(true) {
            return Vec::new();
        }
        if notices.len() > MAX_AT_ONCE {
            let title = format!("{} news of fleet {fleet}", notices.len());
            let titles: Vec<_> = notices.into_iter().map(|notice| notice.title).collect();
            return vec![Effect::Notify { title, text: titles.join(", ") }];
        }
        notices.into_iter().map(|Notice { title, text, .. }| Effect::Notify { title, text }).collect()
    }

    /// Returns the time until the next warning, in AWS's time.
    pub(super) fn next_warning(&self) -> Option<Duration> {
        Some(format::between(self.aws_now(), self.notifications.warning_at?))
    }
}
