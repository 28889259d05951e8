//! The confirmation before an environment is terminated, or loses its database.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::response::Response;
use crate::domain::format::format_duration;
use crate::domain::{EnvironmentId, RecordId};
use crate::tui::app::form::edit;
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::format;

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it, by a termination.
    Environment,
    /// The data, by a reset.
    Database,
}

impl Loss {
    /// Returns the action, for the title and the keys.
    pub(crate) fn verb(self) -> (&'static str, &'static str) {
        match self {
            Self::Environment => ("Terminate", "terminate"),
            Self::Database => ("Reset", "reset"),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TerminatePrompt {
    pub(crate) loss: Loss,
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    pub(crate) name: String,
    /// The text that the user must type; `None` if the environment is their own, which takes only `y`.
    pub(crate) confirmation: Option<String>,
    pub(crate) typed: Input,
}

impl TerminatePrompt {
    pub(crate) fn new(row: &EnvironmentRow, user: &str, loss: Loss) -> Self {
        Self {
            loss,
            record: row.record.clone(),
            id: row.id.clone(),
            name: row.name.clone(),
            confirmation: (row.owner != user).then(|| row.name.clone()),
            typed: Input::default(),
        }
    }

    /// Whether the typed text is the required one.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmation.as_deref().is_some_and(|required| self.typed.value().trim() == required)
    }

    /// Lists what is lost with the environment; `row` is `None` if it no longer exists.
    pub(crate) fn losses(&self, row: Option<&EnvironmentRow>, now: DateTime<Utc>) -> Vec<String> {
        let Some(row) = row else { return vec![format!("nothing: {} no longer exists", self.id)] };
        let mut losses = Vec::new();
        if self.loss == Loss::Database {
            let id = &row.details.database_id;
            losses.push(format!("all data in database {id}, which is deleted; no final snapshot"));
            if self.confirmation.is_some() {
                losses.push(format!("the work of its owner, {}", row.owner));
            }
            return losses;
        }
        if let Some(instance) = &row.details.instance {
            let minutes = format::between(instance.launched_at, now).as_secs() / 60;
            let up = format_duration(Duration::from_secs(minutes * 60));
            losses.push(format!("instance {} ({}), up {up}", instance.id, instance.instance_type));
        } else {
            losses.push("the pending launch of its instance".to_owned());
        }
        losses.push(match &row.details.database {
            Some(database) => format!("database {} and its data; no final snapshot", database.id),
            None => format!("database {}", row.details.database_id),
        });
        if !row.details.record.services.is_empty() {
            losses.push(format!("services under test: {}", row.services));
        }
        if self.confirmation.is_some() {
            losses.push(format!("the work of its owner, {}", row.owner));
        }
        losses
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let (record, id) = (self.record.clone(), self.id.clone());
        let yes = match self.loss {
            Loss::Environment => Response::Terminate(record, id),
            Loss::Database => Response::Reset(record, id),
        };
        match (key.code, &self.confirmation) {
            (KeyCode::Esc, _) | (KeyCode::Char('n' | 'N' | 'q'), None) => Response::Close,
            (KeyCode::Char('y' | 'Y'), None) => yes,
            (KeyCode::Enter, Some(_)) if self.is_confirmed() => yes,
            (KeyCode::Enter, Some(required)) => {
                Response::Notify(format!("type {required} to confirm, or press esc to cancel"))
            }
            (_, Some(_)) => {
                edit(&mut self.typed, key);
                Response::KeepOpen
            }
            _ => Response::KeepOpen,
        }
    }
}
