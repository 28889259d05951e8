//! The confirmation of one action on the marked environments.

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::keep::parse_time;
use super::response::Response;
use crate::domain::environment::EnvironmentState;
use crate::domain::{EnvironmentId, RecordId};
use crate::tui::app::batch::BatchAction;
use crate::tui::app::form::{Field, edit, parse_duration};
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::zone::Zone;

/// The extension if none is typed, in hours.
const DEFAULT_EXTENSION: &str = "4h";

/// One of the environments.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Whether another user owns it.
    pub(crate) is_foreign: bool,
    /// Why it is left out.
    pub(crate) skipped: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct BatchPrompt {
    pub(crate) action: BatchAction,
    pub(crate) targets: Vec<Target>,
    /// The index of the first target that is shown.
    pub(crate) offset: usize,
    /// The duration, the time, or the text that confirms.
    pub(crate) field: Field,
    now: DateTime<Utc>,
    zone: Zone,
}

impl BatchPrompt {
    /// Returns the prompt for these environments. `now` is AWS's time, and `zone` that of a typed time.
    pub(crate) fn new(
        action: BatchAction,
        rows: &[&EnvironmentRow],
        user: &str,
        now: DateTime<Utc>,
        zone: Zone,
    ) -> Self {
        let targets = rows
            .iter()
            .map(|row| Target {
                record: row.record.clone(),
                id: row.id.clone(),
                name: row.name.clone(),
                owner: row.owner.clone(),
                is_foreign: row.owner != user,
                skipped: (row.state == EnvironmentState::Terminating).then_some("already terminating"),
            })
            .collect();
        let field = match action {
            BatchAction::Extend => Field::new("By", DEFAULT_EXTENSION),
            BatchAction::Pin => Field::new("Until", "16:00, or 2026-03-10 16:00"),
            BatchAction::Terminate => Field::new("Confirm", ""),
        };
        Self { action, targets, offset: 0, field, now, zone }
    }

    /// Returns the environments that are not left out.
    pub(crate) fn included(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.skipped.is_none())
    }

    /// Returns the text to type before others lose their environments; `None` if `y` is enough.
    pub(crate) fn confirmation(&self) -> Option<String> {
        let needs = self.action == BatchAction::Terminate && self.included().any(|target| target.is_foreign);
        needs.then(|| format!("terminate {}", self.included().count()))
    }

    /// Whether the prompt has a text field.
    pub(crate) fn takes_text(&self) -> bool {
        self.action != BatchAction::Terminate || self.confirmation().is_some()
    }

    pub(crate) fn title(&self) -> String {
        let count = self.included().count();
        let environments = if count == 1 { "environment" } else { "environments" };
        match self.action {
            BatchAction::Extend => format!("Extend {count} {environments}"),
            BatchAction::Pin => format!("Keep {count} {environments} until a time"),
            BatchAction::Terminate => format!("Terminate {count} {environments}?"),
        }
    }

    /// Returns the request for each environment.
    fn requests(&self) -> Result<Vec<Response>, String> {
        let text = self.field.text();
        let of = |request: &dyn Fn(&Target) -> Response| self.included().map(request).collect::<Vec<_>>();
        let required = self.confirmation();
        match (self.action, required) {
            (BatchAction::Extend, _) => {
                let text = if text.is_empty() { DEFAULT_EXTENSION } else { text };
                let by = parse_duration(text, None)?.ok_or("enter a duration (30m, 8h, 2d)")?;
                Ok(of(&|target| Response::Extend(target.record.clone(), target.id.clone(), by)))
            }
            (BatchAction::Pin, _) => {
                let until = parse_time(text, self.now, self.zone)?;
                Ok(of(&|target| Response::Pin(target.record.clone(), target.id.clone(), until)))
            }
            (BatchAction::Terminate, Some(required)) if text != required => {
                Err(format!("type {required} to confirm, or press esc to cancel"))
            }
            (BatchAction::Terminate, _) => {
                Ok(of(&|target| Response::Terminate(target.record.clone(), target.id.clone())))
            }
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let takes_text = self.takes_text();
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Char('n' | 'N' | 'q') if !takes_text => return Response::Close,
            KeyCode::Down => self.offset = (self.offset + 1).min(self.targets.len().saturating_sub(1)),
            KeyCode::Up => self.offset = self.offset.saturating_sub(1),
            KeyCode::Char('y' | 'Y') if !takes_text => return self.answer(),
            KeyCode::Enter if takes_text => return self.answer(),
            _ if takes_text => {
                edit(&mut self.field.input, key);
                self.field.error = None;
            }
            _ => {}
        }
        Response::KeepOpen
    }

    fn answer(&mut self) -> Response {
        match self.requests() {
            Ok(requests) if requests.is_empty() => Response::Close,
            Ok(requests) => Response::Many(self.action, requests),
            Err(error) => {
                self.field.touched = true;
                self.field.error = Some(error);
                Response::KeepOpen
            }
        }
    }
}
