//! The model of the dashboard and how messages change it. No I/O, no clock: time is handed in, effects are data.

pub mod act;
pub mod dialog;
pub mod fleet_view;
pub mod form;
pub mod input;
pub mod layout;
pub mod logs;
pub mod rows;
pub mod selection;
pub mod time;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyEvent, MouseEvent};
use ratatui::layout::Size;

use super::TuiOptions;
use super::action::Context;
use super::theme::Theme;
use crate::clock::Clock;
use crate::cloud::{LogItem, LogQuery};
use crate::domain::{AuditEvent, CloudError, EnvironmentId, FleetName, Number, RecordId};
use crate::engine::{Event, Extended, LaunchRequest, Launched, Refusal};
use crate::failure::Failure;

use dialog::Dialog;
use fleet_view::FleetView;
use logs::LogView;
use rows::{EnvironmentRow, Filter, PoolView, SortBy};
use selection::Selection;

/// The most events that the activity list keeps.
const MAX_ACTIVITY: usize = 500;

/// The three readings of time that an update may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The engine's clock: time since it was made, in its own seconds.
    pub clock: Duration,
    /// Time since the start, in real seconds.
    pub real: Duration,
    /// The wall clock, for what AWS has not told the time of yet.
    pub wall: DateTime<Utc>,
}

impl Moment {
    /// Now, by a clock, this long after the start.
    #[must_use]
    pub fn new(clock: &Clock, real: Duration) -> Self {
        Self { clock: clock.elapsed(), real, wall: clock.now() }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Msg {
    /// The armed deadline struck.
    Tick,
    /// The terminal has this size.
    Resize(u16, u16),
    /// A key.
    Key(KeyEvent),
    /// Pasted text.
    Paste(String),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal got or lost the focus.
    Focus(bool),
    /// The fleet is known and its engine runs.
    Connected {
        /// The fleet.
        fleet: FleetName,
        /// The Region.
        region: String,
    },
    /// The fleet could not be reached.
    NotConnected(Failure),
    /// The engine says something.
    Engine(Event),
    /// A launch ended.
    Launched(u64, Result<Launched, Failure>),
    /// An extension ended.
    Extended(u64, Result<Extended, Failure>),
    /// A termination was written down, or not.
    Terminated(u64, EnvironmentId, Result<(), Failure>),
    /// A log has something new.
    Log(u64, Result<LogItem, Failure>),
    /// A log has ended.
    LogEnded(u64),
    /// An address could not be opened in a browser.
    NotOpened(String),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Reach the fleet again.
    Connect,
    /// Launch an environment; the number comes back with the answer.
    Launch(u64, LaunchRequest),
    /// Extend an environment.
    Extend(u64, EnvironmentId, Duration),
    /// Terminate an environment.
    Terminate(u64, EnvironmentId),
    /// Open an address in the browser.
    OpenUrl(String),
    /// Copy a text to the clipboard.
    Copy(String),
    /// Follow a log, instead of the one that is being followed.
    FollowLogs(LogQuery, u64),
    /// Stop following.
    StopLogs,
    /// Look again soon.
    Look,
    /// Somebody watches, or nobody does.
    Focus(bool),
    /// Draw everything again.
    Redraw,
    /// The end.
    Quit,
}

/// How the dashboard stands with its fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// On the way.
    Connecting,
    /// It did not work.
    Failed(Failure),
    /// The engine runs.
    Up,
}

/// The parts of the main screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The environments.
    Environments,
    /// The warm pool.
    Pool,
    /// The activity.
    Activity,
}

/// What fills the terminal.
#[derive(Debug, Clone)]
pub enum Screen {
    /// The tables.
    Main,
    /// One environment.
    Details(RecordId),
    /// One environment's log.
    Logs(Box<LogView>),
    /// Every key.
    Help,
    /// What is wrong.
    Health,
}

/// How a message at the bottom is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Under way.
    Busy,
    /// It worked.
    Done,
    /// Something to know.
    Info,
    /// It did not work.
    Error,
}

/// A message at the bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// What it belongs to; 0 for nothing.
    pub token: u64,
    /// How it is meant.
    pub severity: Severity,
    /// The text.
    pub text: String,
    /// When it goes, in real time; `None`: when what it belongs to has ended.
    pub until: Option<Duration>,
}

/// Everything that the screen shows.
#[derive(Debug, Clone)]
pub struct Model {
    /// How it looks and behaves.
    pub options: TuiOptions,
    /// The theme.
    pub theme: Theme,
    /// The size of the terminal.
    pub size: Size,
    /// Now.
    pub now: Moment,
    /// How the dashboard stands with its fleet.
    pub connection: Connection,
    /// What was seen of the fleet.
    pub fleet_view: Option<FleetView>,
    /// The last look that failed as a whole; cleared by one that did not.
    pub last_error: Option<Failure>,
    /// All environments.
    pub all: Vec<EnvironmentRow>,
    /// Those that are shown, in order: indices of `all`.
    pub shown: Vec<usize>,
    /// The pool.
    pub pool: PoolView,
    /// What happened, newest first.
    pub activity: VecDeque<AuditEvent>,
    /// What the engine would not do.
    pub refused: Vec<Refusal>,
    /// Why the audit log could not be written the last time, if it could not.
    pub unlogged: Option<CloudError>,
    /// Steps under way.
    pub working: usize,
    /// The part that has the keys.
    pub pane: Pane,
    /// The selected environment.
    pub environments: Selection<RecordId>,
    /// The selected database.
    pub databases: Selection<Number>,
    /// How far the activity is scrolled.
    pub activity_offset: usize,
    /// What fills the terminal.
    pub screen: Screen,
    /// How far a page is scrolled.
    pub scroll: usize,
    /// What lies on top.
    pub dialog: Option<Dialog>,
    /// The filter.
    pub filter: Filter,
    /// The order.
    pub sort: SortBy,
    /// Whether the order is turned round.
    pub descending: bool,
    /// Messages at the bottom, oldest first.
    pub toasts: Vec<Toast>,
    /// Select this environment as soon as it is there.
    pub select_when_listed: Option<RecordId>,
    /// When and where the mouse was last pressed, in real time.
    pub pressed: Option<(Duration, u16, u16)>,
    tokens: u64,
}

impl Model {
    /// The model before anything is known.
    #[must_use]
    pub fn new(options: TuiOptions, size: Size, now: Moment) -> Self {
        Self {
            theme: options.theme.clone(),
            options,
            size,
            now,
            connection: Connection::Connecting,
            fleet_view: None,
            last_error: None,
            all: Vec::new(),
            shown: Vec::new(),
            pool: PoolView::default(),
            activity: VecDeque::new(),
            refused: Vec::new(),
            unlogged: None,
            working: 0,
            pane: Pane::Environments,
            environments: Selection::default(),
            databases: Selection::default(),
            activity_offset: 0,
            screen: Screen::Main,
            scroll: 0,
            dialog: None,
            filter: Filter::default(),
            sort: SortBy::Number,
            descending: false,
            toasts: Vec::new(),
            select_when_listed: None,
            pressed: None,
            tokens: 0,
        }
    }

    /// Hands in the time. What has run out goes; the rows are worked out again when one of their texts has run out,
    /// not at every key and every line of a log.
    pub fn at(&mut self, now: Moment) {
        if now == self.now {
            return;
        }
        self.now = now;
        self.toasts.retain(|toast| toast.until.is_none_or(|until| now.real < until));
        self.reveal();
        if self.pool.changes_at.is_some_and(|at| now.clock >= at) {
            self.derive();
        }
    }

    /// Where keys mean something now.
    #[must_use]
    pub fn context(&self) -> Context {
        match self.screen {
            Screen::Main => Context::Main,
            Screen::Details(_) => Context::Details,
            Screen::Logs(_) => Context::Logs,
            Screen::Help | Screen::Health => Context::Page,
        }
    }

    /// AWS's clock, as well as it is known.
    #[must_use]
    pub fn aws_now(&self) -> DateTime<Utc> {
        self.fleet_view.as_ref().and_then(|seen| seen.aws_now(self.now.clock)).unwrap_or(self.now.wall)
    }

    /// The environment that actions mean: that of the open screen, else the selected one.
    #[must_use]
    pub fn current(&self) -> Option<&EnvironmentRow> {
        let record = match &self.screen {
            Screen::Details(record) => Some(record),
            Screen::Logs(view) => Some(&view.record),
            _ => self.environments.selected.as_ref(),
        }?;
        self.all.iter().find(|row| row.record == *record)
    }

    /// Shows a message for a while.
    pub fn tell(&mut self, severity: Severity, text: impl AsRef<str>) {
        self.settle(0, severity, text);
    }

    /// Replaces what was said about something under way by how it ended.
    fn settle(&mut self, token: u64, severity: Severity, text: impl AsRef<str>) {
        self.toasts.retain(|toast| toast.token != token || (token == 0 && toast.severity == Severity::Busy));
        let seconds = if severity == Severity::Error { 15 } else { 5 };
        let until = Some(self.now.real + Duration::from_secs(seconds));
        self.toasts.push(Toast {
            token,
            severity,
            text: crate::domain::text::sanitize(text.as_ref()),
            until,
        });
    }

    /// Says that something is under way; the number names it.
    fn begin(&mut self, text: String) -> u64 {
        self.tokens += 1;
        self.toasts.push(Toast { token: self.tokens, severity: Severity::Busy, text, until: None });
        self.tokens
    }

    /// A number that was not given out before.
    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }
}

/// Changes the model by one message and says what is to be done.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let effects = apply(model, msg);
    // A message at the bottom takes its line from the table; what is selected stays in sight.
    model.reveal();
    effects
}

fn apply(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Tick => Vec::new(),
        Msg::Resize(width, height) => {
            model.size = Size::new(width, height);
            let regions = model.regions();
            if regions.pool.is_empty() && regions.activity.is_empty() && matches!(model.screen, Screen::Main)
            {
                // What is not on the screen must not have the keys.
                model.pane = Pane::Environments;
            }
            model.reveal();
            Vec::new()
        }
        Msg::Key(key) => input::key(model, key),
        Msg::Paste(text) => input::paste(model, &text),
        Msg::Mouse(mouse) => input::mouse(model, mouse),
        Msg::Focus(watching) => vec![Effect::Focus(watching)],
        Msg::Connected { fleet, region } => {
            model.connection = Connection::Up;
            model.options.fleet = Some(fleet);
            model.options.region = region;
            Vec::new()
        }
        Msg::NotConnected(failure) => {
            model.connection = Connection::Failed(failure);
            Vec::new()
        }
        Msg::Engine(event) => {
            engine(model, event);
            Vec::new()
        }
        Msg::Launched(..) | Msg::Extended(..) | Msg::Terminated(..) => answered(model, msg),
        Msg::Log(generation, item) => {
            logs::receive(model, generation, item);
            Vec::new()
        }
        Msg::LogEnded(generation) => {
            logs::ended(model, generation);
            Vec::new()
        }
        Msg::NotOpened(url) => act::show_url(model, url),
    }
}

fn engine(model: &mut Model, event: Event) {
    match event {
        Event::World(world) => see(model, world),
        Event::ObserveFailed(failure) => model.last_error = Some(failure),
        Event::Activity(events) => {
            for event in events {
                if !model.activity.contains(&event) {
                    let at = model.activity.iter().position(|other| other.at <= event.at);
                    model.activity.insert(at.unwrap_or(model.activity.len()), event);
                    // Somebody who has scrolled keeps seeing the same lines.
                    if model.activity_offset > 0 && at.is_none_or(|at| at <= model.activity_offset) {
                        model.activity_offset += 1;
                    }
                }
            }
            model.activity.truncate(MAX_ACTIVITY);
            model.reveal();
        }
        Event::Refused(refused) => model.refused = refused,
        Event::AuditWriteFailed(error) => {
            if let Some(error) = error.as_ref().filter(|_| model.unlogged.is_none()) {
                let token = model.token();
                model.settle(token, Severity::Error, format!("the audit log cannot be written: {error}"));
            }
            model.unlogged = error;
        }
        Event::Working(steps) => model.working = steps,
    }
}

fn see(model: &mut Model, world: Arc<crate::domain::World>) {
    let seen = FleetView::after(model.fleet_view.take(), world, model.now.clock);
    model.fleet_view = Some(seen);
    model.last_error = None;
    model.derive();
    model.sample_pool();
    if let Some(record) = model.select_when_listed.take() {
        if model.shown.iter().any(|&index| model.all[index].record == record) {
            model.select_environment(&record);
        } else {
            model.select_when_listed = Some(record);
        }
    }
}

fn answered(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Launched(token, Ok(launched)) => {
            let text = format!("{} launches on {}", launched.environment, launched.database);
            model.settle(token, Severity::Done, text);
            model.select_when_listed = Some(launched.record);
        }
        Msg::Extended(token, Ok(extended)) => {
            let until = super::units::when(extended.expires_at, model.aws_now(), model.options.zone);
            let capped = if extended.capped { ", the most that the policy allows" } else { "" };
            model.settle(
                token,
                Severity::Done,
                format!("{} lives until {until}{capped}", extended.environment),
            );
        }
        Msg::Terminated(token, id, Ok(())) => {
            model.settle(token, Severity::Done, format!("{id} is being terminated; any engine finishes it"));
        }
        Msg::Launched(token, Err(failure))
        | Msg::Extended(token, Err(failure))
        | Msg::Terminated(token, _, Err(failure)) => {
            let late = if failure.kind == crate::failure::Kind::TooLate { "too late: " } else { "" };
            model.settle(token, Severity::Error, format!("{late}{}", failure.sentence()));
        }
        _ => {}
    }
    vec![Effect::Look]
}
