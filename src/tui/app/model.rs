//! The state of the dashboard.

use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::layout::Size;
use strum::VariantNames as _;

use super::activity_pane::ActivityPane;
use super::activity_view::ActivityView;
use super::batch::Batch;
use super::connecting::tries::Tries;
use super::dialog::Dialog;
use super::dialog::targets::Targets;
use super::environments::EnvironmentsPane;
use super::fleet_view::FleetView;
use super::form::Query;
use super::history::History;
use super::last_extensions::LastExtensions;
use super::log_view::LogView;
use super::message::Moment;
use super::notifications::Notifications;
use super::presenter::Presenter;
use super::regions::{Content, MIN_SIZE, Pane, Regions};
use super::registry_answers::RegistryAnswers;
use super::rows::{EnvironmentRow, PoolPane};
use super::selection::Selection;
use super::writes::{CANNOT_CHANGE, Writes};
use crate::domain::health::{Level, Verdict};
use crate::domain::{CloudError, EnvironmentId, FleetName, RecordId, World};
use crate::engine::{NextStep, Refusal};
use crate::failure::Failure;
use crate::tui::action::Context;
use crate::tui::options::{NotifyBy, TuiOptions};
use crate::tui::styles::Styles;

/// How long a toast is shown.
const TOAST_TIME: Duration = Duration::from_secs(5);
const ERROR_TOAST_TIME: Duration = Duration::from_secs(15);

/// The most rows of activity for which the lower panes grow.
const ACTIVITY_ROWS: usize = 6;

/// The connection to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    Connecting,
    Failed(Failure),
    /// The engine runs.
    Up,
}

/// The AWS account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountNumber {
    /// Not read yet.
    Pending,
    /// AWS does not return it, for example without the permission.
    Unknown,
    /// 12 digits.
    Known(String),
}

/// What fills the terminal.
#[derive(Debug, Clone, strum::IntoStaticStr, strum::VariantNames)]
pub enum Screen {
    /// Environments, pool and activity.
    Main,
    /// The details of one environment.
    Details(RecordId),
    /// The log of one environment.
    Logs(Box<LogView>),
    /// All keys.
    Help,
    /// The fleet's problems.
    Health,
    /// The image pipelines and their runs.
    Images,
    /// The pool, its history, and what the engine does next.
    Pool,
    /// The audit log.
    Activity(Box<ActivityView>),
    /// The services of two environments.
    Diff(Box<(RecordId, RecordId)>),
    /// One environment in large letters.
    Present(Box<Presenter>),
}

/// The kind of a toast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// A task is in progress.
    Busy,
    /// A task succeeded.
    Done,
    Info,
    Error,
}

/// A message at the bottom of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    /// The task it reports on. A newer toast with the same value replaces it.
    pub(crate) task: Option<u64>,
    pub(crate) severity: Severity,
    pub(crate) text: String,
    /// When it disappears, in real time; `None`: when its task ends.
    pub(crate) until: Option<Duration>,
}

/// What the user asks of the dashboard as a whole, beyond this fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FleetRequest {
    /// Move the selection by this many rows beyond the end of this fleet's.
    Move(isize),
    Next,
    /// Show the fleet with this index.
    Show(usize),
}

/// What the layout has room for because another fleet needs it, so that going from fleet to fleet moves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) lower_rows: usize,
    pub(crate) notice: bool,
}

/// A press of the mouse button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Click {
    /// In real time.
    pub(crate) at: Duration,
    pub(crate) row: u16,
    /// Whether it was in a dialog, and in which kind.
    pub(crate) dialog: Option<Discriminant<Dialog>>,
}

/// The state of one fleet, and of the user's interaction with it: everything that the screen shows if there is only one.
#[derive(Debug, Clone)]
pub struct Model {
    /// The options, with fleet and Region filled in once they are known.
    pub options: TuiOptions,
    pub(crate) styles: Styles,
    /// The size of the terminal.
    pub size: Size,
    /// The regions of the screen for the current state; see [`Model::relayout`].
    pub(crate) regions: Regions,
    pub(crate) now: Moment,
    pub(crate) connection: Connection,
    pub(crate) tries: Tries,
    pub(crate) account: AccountNumber,
    pub(crate) writes: Writes,
    pub(crate) fleet_view: Option<FleetView>,
    /// Why the last observation failed as a whole; cleared by the next one that succeeds.
    pub(crate) last_error: Option<Failure>,
    pub(crate) environments: EnvironmentsPane,
    pub(crate) pool: PoolPane,
    pub(crate) activity: ActivityPane,
    pub(crate) history: History,
    pub(crate) registry: RegistryAnswers,
    /// The world from which the rows were derived.
    pub(crate) rows_of: Option<Arc<World>>,
    /// When the rows must be derived again, by the engine's clock.
    pub(crate) rows_expire_at: Option<Duration>,
    /// The steps that the engine refused in its last pass.
    pub(crate) refusals: Vec<Refusal>,
    /// The steps that the engine's last plan wants.
    pub(crate) next_steps: Vec<NextStep>,
    /// When this dashboard's engine ended its last pass, by the engine's clock.
    pub(crate) passed_at: Option<Duration>,
    /// Why the last write to the audit log failed; `None` if it succeeded.
    pub(crate) audit_error: Option<CloudError>,
    /// The number of steps that the engine is taking.
    pub(crate) steps_in_flight: usize,
    /// The focused pane of the main screen.
    pub(crate) pane: Pane,
    /// What fills the terminal.
    pub screen: Screen,
    /// What the help is filtered by.
    pub(crate) help_filter: Query,
    /// The index of the first visible line of a page.
    pub(crate) scroll: usize,
    pub(crate) dialog: Option<Dialog>,
    /// Oldest first.
    pub(crate) toasts: Vec<Toast>,
    /// Actions on several environments, until all their results are there.
    pub(crate) batches: Vec<Batch>,
    pub(crate) last_extensions: LastExtensions,
    /// The environment to select as soon as it is listed.
    pub(crate) select_when_listed: Option<RecordId>,
    /// The last press of the mouse button if no key has been pressed since.
    pub(crate) last_click: Option<Click>,
    /// What can be clicked in the dialog that was drawn last.
    pub(crate) targets: Targets,
    /// Whether the mouse is captured.
    pub(crate) mouse: bool,
    /// Whether the terminal has the focus; `None` if it has never said.
    pub(crate) focused: Option<bool>,
    /// Whether notifications are sent.
    pub(crate) notifies: bool,
    pub(crate) notifications: Notifications,
    /// The labels of all fleets of the dashboard; empty if there is only this one.
    pub(crate) labels: Arc<[String]>,
    pub(crate) request: Option<FleetRequest>,
    pub(crate) reserved: Reserved,
    /// The number of tasks and log streams so far.
    pub(super) tasks: u64,
}

impl Model {
    /// Returns the state before the connection.
    #[must_use]
    pub fn new(options: TuiOptions, size: Size, now: Moment) -> Self {
        let (mouse, notifies) = (options.mouse, options.notify != NotifyBy::Off);
        let styles = Styles {
            theme: options.theme.clone(),
            glyphs: options.glyphs,
            zone: options.zone,
            production: options.production,
        };
        let mut model = Self {
            options,
            styles,
            size,
            regions: Regions::default(),
            now,
            connection: Connection::Connecting,
            tries: Tries::default(),
            account: AccountNumber::Pending,
            writes: Writes::default(),
            fleet_view: None,
            last_error: None,
            environments: EnvironmentsPane::default(),
            pool: PoolPane::default(),
            activity: ActivityPane::default(),
            history: History::default(),
            registry: RegistryAnswers::default(),
            rows_of: None,
            rows_expire_at: None,
            refusals: Vec::new(),
            next_steps: Vec::new(),
            passed_at: None,
            audit_error: None,
            steps_in_flight: 0,
            pane: Pane::Environments,
            screen: Screen::Main,
            help_filter: Query::default(),
            scroll: 0,
            dialog: None,
            toasts: Vec::new(),
            batches: Vec::new(),
            last_extensions: LastExtensions::default(),
            select_when_listed: None,
            last_click: None,
            targets: Targets::default(),
            mouse,
            focused: None,
            notifies,
            notifications: Notifications::default(),
            labels: Arc::default(),
            request: None,
            reserved: Reserved::default(),
            tasks: 0,
        };
        model.name_fleet();
        model.relayout();
        model
    }

    /// Returns what the fleet is called on the screen: its label, else its name; empty until it is known.
    pub(crate) fn label(&self) -> &str {
        let name = self.options.fleet.as_ref().map_or("", FleetName::as_str);
        if self.options.label.is_empty() { name } else { &self.options.label }
    }

    /// To be called after the fleet's name has changed.
    pub(super) fn name_fleet(&mut self) {
        let name = self.options.fleet.as_ref().map_or("", FleetName::as_str);
        self.environments.set_fleet(&self.options.label, name);
    }

    /// Returns the kind of the screen, and of the dialog over it.
    #[must_use]
    pub fn kinds(&self) -> (&'static str, Option<&'static str>) {
        ((&self.screen).into(), self.dialog.as_ref().map(Into::into))
    }

    /// Returns all kinds of screens and of dialogs.
    #[must_use]
    pub fn all_kinds() -> (&'static [&'static str], &'static [&'static str]) {
        (Screen::VARIANTS, Dialog::VARIANTS)
    }

    /// Returns the environment that actions apply to: that of the open screen, else the selected one.
    #[must_use]
    pub fn current(&self) -> Option<&EnvironmentRow> {
        let record = match &self.screen {
            Screen::Details(record) => Some(record),
            Screen::Logs(view) => Some(&view.record),
            Screen::Present(presenter) => presenter.record.as_ref(),
            _ => self.environments.selection.selected.as_ref(),
        }?;
        self.environments.find(record)
    }

    /// Returns the id with the number of the database that is selected in the pool, if the pool has the focus.
    pub(crate) fn selected_database(&self) -> Option<EnvironmentId> {
        if !matches!(self.screen, Screen::Main) || self.pane != Pane::Pool {
            return None;
        }
        Some(self.options.fleet.as_ref()?.environment(self.pool.selection.selected?))
    }

    /// Whether a dialog is open.
    #[must_use]
    pub fn has_dialog(&self) -> bool {
        self.dialog.is_some()
    }

    /// Returns the context of the key bindings.
    pub(crate) fn context(&self) -> Context {
        match self.screen {
            Screen::Main => Context::Main,
            Screen::Details(_) => Context::Details,
            Screen::Logs(_) => Context::Logs,
            Screen::Activity(_) => Context::Activity,
            Screen::Present(_) => Context::Presenter,
            Screen::Help | Screen::Health | Screen::Images | Screen::Pool | Screen::Diff(_) => Context::Page,
        }
    }

    /// Returns AWS's time, or the wall clock's until AWS's is known.
    pub(crate) fn aws_now(&self) -> DateTime<Utc> {
        self.fleet_view.as_ref().and_then(|view| view.aws_now(self.now.clock)).unwrap_or(self.now.wall)
    }

    /// Returns the most severe problem with its level, unless it is only informational, else that nothing can be changed.
    pub(crate) fn notice(&self) -> Option<(Level, String)> {
        if let Some(failure) = &self.last_error {
            let text = match self.login_hint() {
                // Before the reason, which may be longer than the line.
                Some(hint) => format!("press {hint}; {}", failure.message),
                None => failure.sentence(),
            };
            return Some((Level::Error, text));
        }
        if let Some(verdict) = self.pool.status.verdicts.iter().find(|verdict| verdict.level > Level::Info) {
            return Some((verdict.level, verdict.message.clone()));
        }
        self.writes.refused.then(|| (Level::Info, CANNOT_CHANGE.to_owned()))
    }

    /// Whether every listing of databases succeeded once.
    pub(crate) fn databases_complete(&self) -> bool {
        self.fleet_view.as_ref().is_some_and(|view| view.world.databases.complete)
    }
}

/// Toasts.
impl Model {
    /// Shows a toast; it replaces the last one that belongs to no task.
    pub(crate) fn notify(&mut self, severity: Severity, text: impl AsRef<str>) {
        self.show_toast(None, severity, text.as_ref());
    }

    /// Shows a toast until the task ends; returns the task's number.
    pub(crate) fn start_task(&mut self, text: String) -> u64 {
        let task = self.next_task();
        self.toasts.push(Toast { task: Some(task), severity: Severity::Busy, text, until: None });
        task
    }

    /// Replaces the task's toast by its result.
    pub(crate) fn finish_task(&mut self, task: u64, severity: Severity, text: impl AsRef<str>) {
        self.show_toast(Some(task), severity, text.as_ref());
    }

    /// Removes the toast on a row of their region, unless its task is in progress.
    pub(crate) fn dismiss_toast(&mut self, row: usize) {
        let first = self.toasts.len().saturating_sub(usize::from(self.regions.toasts.height));
        if self.toasts.get(first + row).is_some_and(|toast| toast.until.is_some()) {
            self.toasts.remove(first + row);
        }
    }

    /// Returns a number that identifies a task or a log stream.
    pub(crate) fn next_task(&mut self) -> u64 {
        self.tasks += 1;
        self.tasks
    }

    /// Shows a toast of another fleet as if it were this one's.
    pub(super) fn receive_toast(&mut self, toast: Toast) {
        self.toasts.retain(|other| other.task != toast.task);
        self.toasts.push(toast);
    }

    fn show_toast(&mut self, task: Option<u64>, severity: Severity, text: &str) {
        let time = if severity == Severity::Error { ERROR_TOAST_TIME } else { TOAST_TIME };
        let until = Some(self.now.real + time);
        let text = crate::domain::text::sanitize(text);
        self.receive_toast(Toast { task, severity, text, until });
    }
}

/// Layout, focus and scrolling.
impl Model {
    /// Updates the regions. To be called after a change of anything that they depend on, before a row is moved or
    /// selected.
    pub(crate) fn relayout(&mut self) {
        let Reserved { lower_rows, notice } = self.needs();
        let rows = lower_rows.max(self.reserved.lower_rows);
        let has_notice = notice || self.reserved.notice;
        // What went wrong may name addresses and accounts, and is not for the audience.
        let presents = matches!(self.screen, Screen::Present(_));
        self.regions.update(Content {
            size: self.size,
            has_notice: has_notice && !presents,
            toasts: if presents { 0 } else { self.toasts.len() },
            lower: matches!(self.screen, Screen::Main).then_some((rows, self.pane)),
        });
    }

    /// Returns what this fleet needs room for.
    pub(super) fn needs(&self) -> Reserved {
        let is_problem = |verdict: &Verdict| verdict.level > Level::Info;
        Reserved {
            lower_rows: self.pool.status.rows.len().max(self.activity.shown_len().min(ACTIVITY_ROWS)),
            notice: self.last_error.is_some()
                || self.writes.refused
                || self.pool.status.verdicts.iter().any(is_problem),
        }
    }

    /// Updates the regions and scrolls so that selected rows are visible and no pane has empty rows at its end.
    pub(crate) fn keep_in_view(&mut self) {
        self.relayout();
        let regions = self.regions;
        let rows = self.environments.visible().len();
        self.environments.selection.keep_in_view(rows, regions.environment_rows());
        self.pool.selection.keep_in_view(self.pool.status.rows.len(), regions.pool_rows());
        self.activity.keep_in_view(regions.activity_rows());
        if let Screen::Activity(view) = &mut self.screen {
            view.keep_in_view(regions.activity_page_rows());
        }
        if let Screen::Logs(view) = &mut self.screen {
            let (height, width) = regions.page_size();
            view.keep_in_view(height, width);
        }
    }

    /// Whether nothing but a sentence about its size has room on the screen.
    pub(crate) fn is_too_small(&self) -> bool {
        self.size.width < MIN_SIZE.width || self.size.height < MIN_SIZE.height
    }

    pub(crate) fn resize(&mut self, size: Size) {
        self.size = size;
        self.keep_in_view();
    }

    pub(crate) fn focus_pane(&mut self, pane: Pane) {
        self.pane = pane;
        self.keep_in_view();
    }

    /// Shows a screen from its top.
    pub(crate) fn show_screen(&mut self, screen: Screen) {
        self.screen = screen;
        self.scroll = 0;
        self.relayout();
    }

    /// Applies filter and sort order again. The selections are kept, except in the pool without the focus, which shows
    /// the free databases at its top.
    pub(crate) fn filter_and_sort(&mut self) {
        self.environments.filter_and_sort(self.regions.environment_rows());
        if self.pane != Pane::Pool {
            self.pool.selection = Selection::default();
        }
        self.pool.reselect(self.regions.pool_rows());
    }
}
