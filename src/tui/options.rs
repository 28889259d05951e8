//! How the dashboard looks and behaves, as flags and configuration set it.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::sync::watch;

use super::app::message::ConsoleRequest;
use super::glyphs::{self, Glyphs};
use super::keymap::Keymap;
use super::theme::{Theme, Themes};
use super::zone::Zone;
use crate::clock::Clock;
use crate::cloud::Login;
use crate::domain::FleetName;
use crate::failure::Failure;

/// What the header says about the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoInfo {
    /// A few words, such as `a busy day, 60 times as fast`.
    pub about: String,
}

/// Runs a simulated program on the terminal until it ends.
type RunConsole = dyn Fn(ConsoleRequest) -> BoxFuture<'static, ()> + Send + Sync;

/// What stands in for shells and database consoles where instances are simulated.
#[derive(Clone)]
pub(crate) struct SimulatedConsole(pub(crate) Arc<RunConsole>);

impl fmt::Debug for SimulatedConsole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedConsole")
    }
}

/// How the user is notified while they look elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, strum::EnumString, strum::VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(crate) enum NotifyBy {
    /// By what the terminal knows.
    #[default]
    Auto,
    Off,
    Bell,
    /// The sequence of iTerm2.
    Osc9,
    /// The sequence of rxvt-unicode.
    Osc777,
    /// The sequence of kitty.
    Osc99,
    /// The desktop's notification service.
    Desktop,
}

/// How the dashboard looks and behaves.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the command line
pub struct TuiOptions {
    /// The clock, shared with the engine.
    pub(crate) clock: Clock,
    /// The AWS Region; empty until it is known.
    pub region: String,
    pub(crate) fleet: Option<FleetName>,
    /// What the fleet is called among several; empty if that is its name.
    pub label: String,
    /// Whether the user marked the fleet as production.
    pub production: bool,
    /// Disables every action that changes something.
    pub read_only: bool,
    /// Whether this process's engine takes background steps.
    pub engine_enabled: bool,
    /// Set in the demo only.
    pub demo: Option<DemoInfo>,
    /// The arguments by which another process of hatchery finds the same fleet.
    pub(crate) arguments: Vec<OsString>,
    /// Set in the demo only.
    pub(crate) simulated_console: Option<SimulatedConsole>,
    /// All themes that the user can switch to.
    pub themes: Themes,
    /// The initial theme; see [`TuiOptions::choose_theme`].
    pub(crate) theme: Theme,
    pub(crate) keymap: Keymap,
    /// Whether the terminal is known to have a light background.
    pub light_terminal: bool,
    /// The symbols: Unicode or ASCII.
    pub glyphs: Glyphs,
    /// The owner of what this dashboard launches, and the owner who may terminate without typing a name.
    pub(crate) user: String,
    /// The interval between observations while nothing changes.
    pub(crate) refresh: Duration,
    /// Show URLs instead of opening them.
    pub(crate) no_browser: bool,
    /// The time zone in which times are shown.
    pub zone: Zone,
    /// Whether to capture the mouse at the start. While captured, the terminal's own text selection does not work.
    pub(crate) mouse: bool,
    pub(crate) notify: NotifyBy,
    /// How the user logs in, if the credentials come from a session of the AWS CLI.
    pub login: Option<Login>,
    /// What is waited for while the credentials are fetched, such as a touch of a hardware key.
    pub(crate) waits: Option<watch::Receiver<String>>,
}

impl TuiOptions {
    /// Returns the defaults for a user.
    #[must_use]
    pub fn new(clock: Clock, user: impl Into<String>) -> Self {
        let themes = Themes::default();
        let theme = themes.after("").unwrap_or_default();
        Self {
            clock,
            region: String::new(),
            fleet: None,
            label: String::new(),
            production: false,
            read_only: false,
            engine_enabled: true,
            demo: None,
            arguments: Vec::new(),
            simulated_console: None,
            themes,
            theme,
            keymap: Keymap::default(),
            light_terminal: false,
            glyphs: glyphs::UNICODE,
            user: user.into(),
            refresh: Duration::from_secs(10),
            no_browser: false,
            zone: Zone::Local,
            mouse: true,
            notify: NotifyBy::Auto,
            login: None,
            waits: None,
        }
    }

    /// Sets the theme: the requested one, else `mono` if `NO_COLOR` is set, else `ansi`.
    ///
    /// # Errors
    /// Returns a usage failure if no theme has the requested name.
    pub fn choose_theme(&mut self, name: Option<&str>, no_color: bool) -> Result<(), Failure> {
        self.theme = self.themes.choose(name, no_color)?;
        Ok(())
    }
}
