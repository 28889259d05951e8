//! The model of the dashboard and how messages change it. Nothing here does I/O or reads a clock: the driver passes the
//! time in and runs the returned effects.

pub(crate) mod actions;
pub(crate) mod activity_pane;
pub(crate) mod activity_view;
pub(crate) mod addresses;
pub(crate) mod availability;
pub(crate) mod batch;
pub(crate) mod columns;
pub(crate) mod command;
pub(crate) mod connecting;
pub(crate) mod derive;
pub(crate) mod dialog;
pub(crate) mod environments;
pub(crate) mod filter;
pub(crate) mod fleet_view;
pub(crate) mod fleets;
pub(crate) mod form;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod input;
pub(crate) mod last_extensions;
pub(crate) mod launching;
pub(crate) mod log_actions;
pub(crate) mod log_view;
pub(crate) mod marks;
pub(crate) mod message;
pub(crate) mod model;
pub(crate) mod navigation;
pub(crate) mod notifications;
pub(crate) mod pages;
pub(crate) mod presenter;
pub(crate) mod read_only;
pub(crate) mod redraw;
pub(crate) mod regions;
pub(crate) mod registry;
pub(crate) mod registry_answers;
pub(crate) mod responses;
pub(crate) mod rows;
pub(crate) mod selection;
pub(crate) mod status;
pub(crate) mod undo;
pub(crate) mod update;
pub(crate) mod writes;

pub use fleets::Fleets;
pub use message::{
    ConsoleRequest, Copied, Effect, ForwardRequest, HoldRequest, HoldTarget, Moment, Msg, Multiplexer,
    Purpose, SaveError, SaveRequest, SavedLine, Tool,
};
pub use model::{Model, Screen};
pub use update::update;
