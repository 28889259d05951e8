//! What a dialog responds to a key.

use std::time::Duration;

use crate::domain::{Address, EnvironmentId, RecordId};
use crate::engine::{LaunchRequest, RedeployRequest};
use crate::tui::action::Action;

#[derive(Debug)]
pub(crate) enum Response {
    /// Keep the dialog open.
    KeepOpen,
    /// Keep the dialog open and show a toast.
    Notify(String),
    Close,
    /// Close the dialog and launch an environment.
    Launch(LaunchRequest),
    /// Close the dialog and extend an environment.
    Extend(RecordId, EnvironmentId, Duration),
    /// Close the dialog and deploy anew.
    Redeploy(RecordId, EnvironmentId, RedeployRequest),
    /// Close the dialog and compare two environments.
    Diff(RecordId, RecordId),
    /// Close the dialog and terminate an environment.
    Terminate(RecordId, EnvironmentId),
    /// Close the dialog and open an endpoint of an environment.
    Open(EnvironmentId, Address),
    /// Close the dialog and run an action.
    Run(Action),
}
