//! What goes into [`update`](super::update()) and what comes out.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyEvent, MouseEvent};

pub use super::log_view::selection::SavedLine;
use crate::clock::Clock;
use crate::cloud::{Answer, Console, LogItem, LogQuery, Login};
use crate::domain::history::Reading;
use crate::domain::text::Untrusted;
use crate::domain::{AuditEvent, CloudError, EnvironmentId, FleetName, ImageTags, InstanceId, Registry};
use crate::engine::{
    Event, Extended, ExtensionUndo, LaunchRequest, Launched, RedeployRequest, Redeployed, ResetStarted,
    Terminating,
};
use crate::failure::Failure;
use crate::tui::zone::Zone;

/// One instant, read from three clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The engine's clock: its own seconds since it was created. In the demo they pass faster than real ones.
    pub clock: Duration,
    /// Real time since the dashboard started.
    pub real: Duration,
    /// The wall clock, used until AWS's time is known.
    pub wall: DateTime<Utc>,
}

impl Moment {
    /// Reads the clock, `real` after the dashboard started.
    #[must_use]
    pub fn new(clock: &Clock, real: Duration) -> Self {
        Self { clock: clock.elapsed(), real, wall: clock.now() }
    }
}

/// An input of [`update`](super::update()).
#[derive(Debug, Clone)]
pub enum Msg {
    /// The terminal has this width and height.
    Resize(u16, u16),
    /// A key was pressed.
    Key(KeyEvent),
    /// The user pasted text.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The terminal gained or lost the focus.
    Focus(bool),
    /// Nothing but the time has changed.
    Tick,
    /// The fleet was found and its engine runs.
    Connected {
        /// The fleet's name.
        fleet: FleetName,
        /// The AWS Region.
        region: String,
    },
    /// The 12 digits of the AWS account, or `None` if AWS does not return them.
    Account(Option<String>),
    /// Whether the credentials can change anything.
    WritesChecked(Answer),
    /// The fleet could not be reached.
    ConnectFailed(Failure),
    /// The engine reports something.
    Engine(Event),
    /// The result of the launch with this task number.
    Launched(u64, Result<Launched, Failure>),
    /// The result of the extension with this task number.
    Extended(u64, Result<Extended, Failure>),
    /// The result of the request, by its task number, to take an extension back: the expiry that the environment has then.
    ExtensionUndone(u64, EnvironmentId, Result<DateTime<Utc>, Failure>),
    /// The result of the hold with this task number.
    Held(u64, HoldTarget, Result<Extended, Failure>),
    /// The result of the release with this task number.
    Released(u64, HoldTarget, Result<(), Failure>),
    /// The result of the request to deploy with this task number.
    Redeployed(u64, Result<Redeployed, Failure>),
    /// The result of the termination with this task number.
    Terminated(u64, EnvironmentId, Result<Terminating, Failure>),
    /// The result of the reset with this task number.
    WasReset(u64, Result<ResetStarted, Failure>),
    /// News from the log stream of this generation.
    Log(u64, Result<LogItem, Failure>),
    /// The log stream of this generation ended.
    LogEnded(u64),
    /// The repositories of a registry.
    ServicesListed(Registry, Result<Vec<Untrusted>, CloudError>),
    /// The newest image tags of a service in a registry.
    ImageTagsListed(Registry, String, Result<ImageTags, CloudError>),
    /// The last days of the audit log, with the period that they cover.
    History(Result<(Vec<AuditEvent>, Reading), Failure>),
    /// What became of the request, by its task number, to save so many lines to a file.
    LogSaved {
        task: u64,
        /// As the user typed it.
        path: String,
        lines: usize,
        /// The absolute path.
        result: Result<String, SaveError>,
    },
    /// The URL of an environment behind a port forward, by the task number of the request.
    Forwarded(u64, EnvironmentId, Purpose, Result<String, Failure>),
    /// A program that had the terminal has ended; with what went wrong, if it ended at once or with an error.
    ConsoleClosed(ConsoleRequest, Result<Option<String>, Failure>),
    /// The program that logs the user in has ended.
    LoggedIn(Result<(), Failure>),
    /// This URL could not be opened in a browser.
    OpenFailed(String),
    /// What became of a text to copy.
    Copied(String, Copied),
    /// No shell could continue this process.
    CannotSuspend,
    /// The credentials take long; the text says what they wait for.
    Waiting(String),
}

/// Where a copied text went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// To the terminal, which does not say whether it has a clipboard.
    Sent,
    /// To the terminal, through a program that may not pass it on.
    SentThrough(Multiplexer),
    /// Into tmux's buffer, and with `clipboard` from there to the terminal.
    InTmux { clipboard: bool },
    /// Nowhere.
    TooLong,
}

/// A request to save lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveRequest {
    pub task: u64,
    /// As the user typed it.
    pub path: String,
    /// Whether to replace a file that exists.
    pub replace: bool,
    pub lines: Vec<SavedLine>,
    /// The zone of the times in the file.
    pub zone: Zone,
}

/// Why a file was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveError {
    /// It exists, and was not to be replaced.
    Exists,
    Failed(String),
}

/// A program between hatchery and the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiplexer {
    Tmux,
    /// tmux that cannot be asked, because it runs on another computer or sudo hides it. Only `TERM` tells.
    UnreachableTmux,
    Screen,
}

/// What a URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The browser.
    Open,
    /// The clipboard.
    Copy,
}

/// A request to hold something for inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRequest {
    pub target: HoldTarget,
    pub by: Duration,
    pub why: String,
}

/// What is held or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldTarget {
    Environment(EnvironmentId),
    /// The database with the number of this id.
    Database(EnvironmentId),
}

impl fmt::Display for HoldTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(id) => id.fmt(f),
            Self::Database(id) => id.database_id().fmt(f),
        }
    }
}

/// A request for a port forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardRequest {
    pub environment: EnvironmentId,
    pub instance: InstanceId,
    /// The path of the URL, beginning with a slash.
    pub path: String,
    pub purpose: Purpose,
}

/// What a user works on an environment with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A program of its instance.
    Console(Console),
    /// A shell of this computer in which kubectl works on it.
    Kubectl,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console(console) => console.fmt(f),
            Self::Kubectl => f.write_str("shell with kubectl"),
        }
    }
}

/// A program that gets the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleRequest {
    pub tool: Tool,
    pub environment: EnvironmentId,
    pub instance: InstanceId,
}

/// An output of [`update`](super::update()), for the driver to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Connect to the fleet.
    Connect,
    /// Ask AWS for the number of the account.
    ReadAccount,
    /// Ask AWS whether the credentials can change anything.
    CheckWrites,
    /// Let the engine take background steps, or not.
    SetBackground(bool),
    /// Launch an environment; the result carries the task number.
    Launch(u64, LaunchRequest),
    /// Extend an environment; the result carries the task number.
    Extend(u64, EnvironmentId, Duration),
    /// Keep an environment until a time; the result carries the task number.
    Pin(u64, EnvironmentId, DateTime<Utc>),
    /// Take an extension back; the result carries the task number.
    UndoExtension(u64, ExtensionUndo),
    /// Hold an environment or a database; the result carries the task number.
    Hold(u64, HoldRequest),
    /// End a hold; the result carries the task number.
    Release(u64, HoldTarget),
    /// Deploy anew to an environment; the result carries the task number.
    Redeploy(u64, EnvironmentId, RedeployRequest),
    /// Terminate an environment; the result carries the task number.
    Terminate(u64, EnvironmentId),
    /// Give an environment a fresh database; the result carries the task number.
    Reset(u64, EnvironmentId),
    /// Open a URL in the browser.
    OpenUrl(String),
    /// Forward a port to an environment; the result carries the task number.
    Forward(u64, ForwardRequest),
    /// Give the terminal to a program until it ends.
    HandOver(ConsoleRequest),
    /// Give the terminal to the program that logs the user in.
    LogIn(Login),
    /// Copy a text to the clipboard.
    Copy(String),
    /// Replace the followed log by this one, as a stream of the given generation.
    FollowLogs(LogQuery, u64),
    /// Stop following the log.
    StopLogs,
    /// List the repositories of a registry.
    ListServices(Registry),
    /// List the newest image tags of a service in a registry.
    ListImageTags(Registry, String),
    /// Read the audit log since a time.
    ReadHistory(DateTime<Utc>),
    /// Save lines of the log to a file.
    SaveLog(Box<SaveRequest>),
    /// Make the engine observe the fleet soon.
    Refresh,
    /// Tell the engine whether the user is watching.
    Focus(bool),
    /// Tell the user something while they look elsewhere. The parts are single lines without control characters.
    Notify { title: String, text: String },
    /// Draw the next frame in full.
    Redraw,
    /// Capture the mouse, or leave it to the terminal.
    CaptureMouse(bool),
    /// Give the terminal back to the shell until the process is continued.
    Suspend,
    /// End the dashboard.
    Quit,
}
