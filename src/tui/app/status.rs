//! What the header and empty panes say about the dashboard's state.

use std::time::Duration;

use super::model::{AccountNumber, Connection, Model, Screen};
use crate::domain::ErrorClass;
use crate::failure::{Failure, Kind};
use crate::tui::action::Action;

/// Data older than this many refresh intervals is marked as stale.
const STALE_INTERVALS: u32 = 12;

/// The parts of the header; `None` or empty until they are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) fleet: String,
    pub(crate) region: String,
    pub(crate) account: AccountNumber,
    pub(crate) demo: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) production: bool,
    pub(crate) engine: Option<EngineStatus>,
    /// The number of environments, with `+` while not all are listed.
    pub(crate) environments: Option<String>,
    /// The numbers of free and wanted databases.
    pub(crate) pool: Option<(usize, usize)>,
    /// The fleet's cost in US dollars per hour.
    pub(crate) per_hour: Option<f64>,
    pub(crate) age: DataAge,
}

impl Header {
    /// Leaves out costs, the account, and what only concerns those who operate the fleet.
    fn for_an_audience(self) -> Self {
        Self {
            account: AccountNumber::Pending,
            engine: None,
            environments: None,
            pool: None,
            per_hour: None,
            ..self
        }
    }
}

/// What the engine of this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineStatus {
    Off,
    /// The policy pauses all engines.
    Paused,
    /// The fleet's settings are not valid, so the engine takes no steps.
    ObserveOnly,
    /// The engine is taking this number of steps.
    Working(usize),
    On,
}

/// The age of the data, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataAge {
    pub(crate) text: String,
    /// Whether the user should know.
    pub(crate) stale: bool,
}

impl DataAge {
    fn fresh(text: impl Into<String>) -> Self {
        Self { text: text.into(), stale: false }
    }

    fn stale(text: impl Into<String>) -> Self {
        Self { text: text.into(), stale: true }
    }
}

/// Data that is younger is refreshed in time, about once a minute, so its age is not worth a frame.
pub(super) const FRESH: Duration = Duration::from_secs(90);

impl Model {
    /// Says where an action takes place, such as `account 123456789012, eu-west-1`, with the fleet if there are several or it is production.
    pub(crate) fn place(&self) -> String {
        let region = &self.options.region;
        let place = match &self.account {
            AccountNumber::Known(account) => format!("account {account}, {region}"),
            AccountNumber::Unknown => format!("an unknown account, {region}"),
            AccountNumber::Pending => format!("{region}; the account is not known yet"),
        };
        match (self.labels.len(), self.options.production) {
            (0 | 1, false) => place,
            (_, false) => format!("fleet {}, {place}", self.label()),
            (_, true) => format!("the production fleet {}, {place}", self.label()),
        }
    }

    pub(crate) fn header(&self) -> Header {
        let options = &self.options;
        let records_complete = self.fleet_view.as_ref().map(|view| view.world.records.complete);
        let header = Header {
            fleet: self.label().to_owned(),
            region: options.region.clone(),
            account: self.account.clone(),
            demo: options.demo.as_ref().map(|demo| demo.about.clone()),
            read_only: self.read_only_reason().is_some(),
            production: options.production,
            engine: (self.connection == Connection::Up).then(|| self.engine_status()),
            environments: records_complete.map(|complete| {
                format!("{}{}", self.environments.all().len(), if complete { "" } else { "+" })
            }),
            pool: self.databases_complete().then_some((self.pool.status.free, self.pool.status.target)),
            per_hour: self.pool.status.per_hour,
            age: self.data_age(),
        };
        if matches!(self.screen, Screen::Present(_)) { header.for_an_audience() } else { header }
    }

    fn engine_status(&self) -> EngineStatus {
        let fleet = self.fleet_view.as_ref().map(|view| &view.world.fleet);
        if !self.options.engine_enabled || self.read_only_reason().is_some() {
            EngineStatus::Off
        } else if fleet.is_some_and(|fleet| fleet.policy.paused) {
            EngineStatus::Paused
        } else if fleet.is_some_and(|fleet| !fleet.problems.is_empty()) {
            EngineStatus::ObserveOnly
        } else if self.steps_in_flight > 0 {
            EngineStatus::Working(self.steps_in_flight)
        } else {
            EngineStatus::On
        }
    }

    fn data_age(&self) -> DataAge {
        let view = match (&self.connection, &self.fleet_view) {
            (Connection::Connecting, _) => return DataAge::fresh("connecting…"),
            (Connection::Failed(_), _) => return DataAge::stale("not connected"),
            (Connection::Up, None) if self.last_error.is_some() => return DataAge::stale("no data"),
            (Connection::Up, None) => return DataAge::fresh("loading…"),
            (Connection::Up, Some(view)) => view,
        };
        let age = self.age_text().map(|age| age.text);
        if let Some(problem) = self.data_problem() {
            let age = age.map_or_else(|| "of unknown age".to_owned(), |age| format!("{age} old"));
            return DataAge::stale(format!("{problem}, data {age}"));
        }
        match age {
            _ if view.is_loading() => DataAge::fresh("loading…"),
            Some(age) if view.age(self.now.clock) > Some(self.options.refresh * STALE_INTERVALS) => {
                DataAge::stale(format!("data {age} old"))
            }
            Some(age) => {
                let age = match view.age(self.now.clock) {
                    Some(age) if age < FRESH => "now",
                    _ => &age,
                };
                DataAge::fresh(format!("{} {age}", self.styles.glyphs.refresh))
            }
            None => DataAge::fresh(""),
        }
    }

    /// Returns the key with which the user can log in, such as `I to log in (aws sso login)`, if that helps now.
    pub(crate) fn login_hint(&self) -> Option<String> {
        let failure = match &self.connection {
            Connection::Failed(failure) => Some(failure),
            _ => self.last_error.as_ref(),
        };
        let login = self.options.login.as_ref()?;
        let key = self.options.keymap.label(Action::LogIn, false);
        let helps = failure.is_some_and(Failure::asks_for_login) && !key.is_empty();
        helps.then(|| format!("{key} to log in ({})", login.command()))
    }

    /// Whether the header says why the latest observation failed or is incomplete.
    pub(super) fn has_data_problem(&self) -> bool {
        self.data_problem().is_some()
    }

    /// Returns in a word or two why the latest observation failed or is incomplete.
    fn data_problem(&self) -> Option<&'static str> {
        let view = self.fleet_view.as_ref()?;
        match &self.last_error {
            Some(failure) => Some(match failure.kind {
                Kind::Throttled => "throttled",
                Kind::NotPermitted => "access denied",
                Kind::Unreachable => "unreachable",
                _ => "failing",
            }),
            None if view.is_throttled() => Some("throttled"),
            None => view.problems.first().map(|problem| match problem.class {
                ErrorClass::Auth => "access denied",
                _ => "incomplete",
            }),
        }
    }

    /// Returns the theme role of a pane's border.
    pub(crate) fn border_role(&self, focused: bool) -> &'static str {
        match (focused, &self.options.demo, self.read_only_reason().is_some()) {
            (true, ..) => "border.focus",
            (false, Some(_), _) => "border.demo",
            (false, None, true) => "border.read-only",
            (false, None, false) => "border",
        }
    }

    /// Returns what the table of environments says while it is empty, as theme roles and texts.
    pub(crate) fn no_environments(&self) -> Vec<(&'static str, String)> {
        let muted = |text: &str| vec![("text.muted", text.to_owned())];
        let key = |action| self.options.keymap.label(action, false);
        let view = match (&self.connection, &self.fleet_view) {
            (Connection::Connecting, _) => return muted("connecting…"),
            (Connection::Failed(failure), _) => {
                let mut lines = vec![("level.error", failure.message.clone())];
                if !failure.hint.is_empty() {
                    lines.push(("text", failure.hint.clone()));
                }
                let (retry, quit) = (key(Action::Refresh), key(Action::Quit));
                let log_in = self.login_hint().map(|hint| format!("{hint}, ")).unwrap_or_default();
                lines.extend(muted(""));
                lines.extend(muted(&format!("press {log_in}{retry} to retry, {quit} to quit")));
                return lines;
            }
            (Connection::Up, None) if self.last_error.is_some() => {
                return muted(&format!("no data yet; press {} to refresh", key(Action::Refresh)));
            }
            (Connection::Up, None) => return muted("loading…"),
            (Connection::Up, Some(view)) => view,
        };
        if self.environments.is_filtered() {
            let count = self.environments.all().len();
            muted(&format!("none of {count} environments matches; press esc to clear the filter"))
        } else if view.is_loading() {
            muted("loading…")
        } else if !view.world.records.complete {
            muted("cannot list the environments")
        } else if self.read_only_reason().is_some() {
            muted("no environments")
        } else {
            muted(&format!("no environments; press {} to launch one", key(Action::Launch)))
        }
    }

    /// Returns what the pool says while it is empty.
    pub(crate) fn no_databases(&self) -> &'static str {
        match (&self.connection, &self.fleet_view) {
            (Connection::Up, Some(_)) if self.databases_complete() => match self.pool.status.claimed {
                0 => "no databases",
                _ => "none is free or becomes so",
            },
            (Connection::Up, Some(view)) if !view.is_loading() => "cannot list the databases",
            (Connection::Up, _) if self.last_error.is_none() => "loading…",
            _ => "",
        }
    }

    /// Returns what the activity says while it is empty.
    pub(crate) fn no_activity(&self) -> &'static str {
        if self.fleet_view.is_some() { "no activity yet" } else { "" }
    }
}
