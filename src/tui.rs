//! The dashboard: model, update, view. [`app::update`] does no I/O and knows no clock; effects are data that the driver
//! runs; views read the model only.

pub mod action;
pub mod app;
pub mod driver;
pub mod glyphs;
pub mod keymap;
pub mod screens;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod units;
pub mod widgets;

use std::time::Duration;

use chrono::{FixedOffset, Local, Offset as _, TimeZone as _};

use crate::clock::Clock;
use crate::domain::FleetName;
use crate::engine::Engine;

pub use driver::run;

/// What the demo says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoInfo {
    /// A few words for the header, such as `a busy day, 60 times as fast`.
    pub about: String,
}

/// How the dashboard is to look and behave.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // one a switch, as they are given
pub struct TuiOptions {
    /// The clock that the engine uses too.
    pub clock: Clock,
    /// The Region, as far as it is known before the connection.
    pub region: String,
    /// The fleet, as far as it is known before the connection.
    pub fleet: Option<FleetName>,
    /// Turns off everything that changes anything.
    pub read_only: bool,
    /// Whether the engine takes background steps.
    pub engine_enabled: bool,
    /// Set in the demo.
    pub demo: Option<DemoInfo>,
    /// All themes.
    pub themes: theme::Themes,
    /// The theme to begin with; see [`TuiOptions::choose_theme`].
    pub theme: theme::Theme,
    /// Which key does what.
    pub keymap: keymap::Keymap,
    /// The signs.
    pub glyphs: glyphs::Glyphs,
    /// Who is sitting here: the owner of what is launched, and whose environments end without typing their name.
    pub person: String,
    /// The shortest time between two looks while nothing happens.
    pub refresh: Duration,
    /// Show addresses instead of opening them.
    pub no_browser: bool,
    /// The viewer's time zone.
    pub zone: FixedOffset,
    /// Whether the mouse is caught; without, the terminal's own selection works.
    pub mouse: bool,
}

impl TuiOptions {
    /// The defaults.
    #[must_use]
    pub fn new(clock: Clock, person: impl Into<String>) -> Self {
        let themes = theme::Themes::default();
        let theme = themes.after("").unwrap_or_default();
        let zone = Local.offset_from_utc_datetime(&clock.now().naive_utc()).fix();
        Self {
            clock,
            region: String::new(),
            fleet: None,
            read_only: false,
            engine_enabled: true,
            demo: None,
            themes,
            theme,
            keymap: keymap::Keymap::default(),
            glyphs: glyphs::UNICODE,
            person: person.into(),
            refresh: Duration::from_secs(10),
            no_browser: false,
            zone,
            mouse: true,
        }
    }

    /// Chooses the theme: the one that was asked for, else `mono` where `NO_COLOR` is set, else `ansi`.
    ///
    /// # Errors
    /// Where there is no theme of that name.
    pub fn choose_theme(
        &mut self,
        asked: Option<&str>,
        no_color: bool,
    ) -> Result<(), crate::failure::Failure> {
        self.theme = self.themes.find(asked.unwrap_or(if no_color { "mono" } else { "ansi" }))?;
        Ok(())
    }
}

/// What connecting gives.
#[derive(Clone)]
pub struct Connected {
    /// The engine of the fleet.
    pub engine: Engine,
    /// The Region.
    pub region: String,
    /// The fleet.
    pub fleet: FleetName,
}
