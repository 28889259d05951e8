//! What a dialog responds to a key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::{Address, EnvironmentId, RecordId};
use crate::engine::{LaunchRequest, RedeployRequest};
use crate::tui::action::Action;
use crate::tui::app::batch::BatchAction;
use crate::tui::app::message::{HoldRequest, HoldTarget};

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
    /// Close the dialog and keep an environment until a time.
    Pin(RecordId, EnvironmentId, DateTime<Utc>),
    /// Close the dialog and hold a database or the environment with this record.
    Hold(Option<RecordId>, HoldRequest),
    /// Close the dialog and deploy anew.
    Redeploy(RecordId, EnvironmentId, RedeployRequest),
    /// Close the dialog and compare two environments.
    Diff(RecordId, RecordId),
    /// Close the dialog and terminate an environment.
    Terminate(RecordId, EnvironmentId),
    /// Close the dialog and give an environment a fresh database.
    Reset(RecordId, EnvironmentId),
    /// Close the dialog and open an endpoint of an environment.
    Open(EnvironmentId, Address),
    /// Close the dialog and do each of these as one batch.
    Many(BatchAction, Vec<Self>),
    /// Close the dialog and save the log to a file; one that exists is kept unless `replace`.
    SaveLog {
        path: String,
        replace: bool,
    },
    /// Close the dialog and go to a time of the log.
    GoToTime(DateTime<Utc>),
    /// Close the dialog and show these sources of the log; `None`: all.
    ShowSources(Option<BTreeSet<Arc<str>>>),
    /// Close the dialog and run an action.
    Run(Action),
    /// Run a command with its arguments, and close the dialog unless they are wrong.
    Command(String),
}

impl Response {
    /// Returns the environment that the response changes, and its record; `None` if there is not exactly one.
    pub(crate) fn environment(&self) -> Option<(&RecordId, &EnvironmentId)> {
        match self {
            Self::Extend(record, id, _)
            | Self::Pin(record, id, _)
            | Self::Redeploy(record, id, _)
            | Self::Terminate(record, id)
            | Self::Reset(record, id) => Some((record, id)),
            Self::Hold(Some(record), HoldRequest { target: HoldTarget::Environment(id), .. }) => {
                Some((record, id))
            }
            _ => None,
        }
    }
}
