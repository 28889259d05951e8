//! The dashboard, in the Elm architecture: [`app::update()`] changes the model and returns effects as data, the driver runs
//! the effects, and the view draws the model. Only the driver does I/O or reads a clock.

mod account;
pub(crate) mod action;
pub mod app;
pub(crate) mod clipboard;
pub mod driver;
mod events;
pub(crate) mod format;
mod fuzzy;
pub mod glyphs;
pub(crate) mod keymap;
pub(crate) mod locale;
mod notifier;
pub(crate) mod options;
mod signals;
pub(crate) mod styles;
pub mod terminal;
pub(crate) mod text;
pub(crate) mod theme;
pub mod view;
pub(crate) mod widgets;
pub(crate) mod zone;

pub(crate) use app::message::{ConsoleRequest, Tool};
pub use driver::{Connected, FleetConnection, run_fleets};
pub use options::{DemoInfo, TuiOptions};
pub(crate) use options::{NotifyBy, SimulatedConsole};
pub use zone::Zone;
