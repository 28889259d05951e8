//! The prompt for the time by which to extend an environment.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use crate::domain::{EnvironmentId, RecordId};
use crate::tui::app::form::{Field, edit, parse_duration};

/// The choices before the custom one: label and hours.
pub(crate) const EXTENSIONS: [(&str, u64); 3] = [("1h", 1), ("4h", 4), ("8h", 8)];

/// The choice after [`EXTENSIONS`].
const CUSTOM: usize = EXTENSIONS.len();

#[derive(Debug, Clone)]
pub(crate) struct ExtendPrompt {
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    /// An index of [`EXTENSIONS`], or its length for the custom duration.
    pub(crate) choice: usize,
    pub(crate) custom: Field,
}

/// What an extension would lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) expires_at: DateTime<Utc>,
    /// Whether the max-lifetime shortens the extension.
    pub(crate) capped: bool,
}

impl ExtendPrompt {
    pub(crate) fn new(record: RecordId, id: EnvironmentId) -> Self {
        Self { record, id, choice: 1, custom: Field::new("Other", "") }
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.choice == CUSTOM
    }

    /// Returns the chosen duration; `None` if the custom one is missing or not valid.
    pub(crate) fn duration(&self) -> Option<Duration> {
        match EXTENSIONS.get(self.choice) {
            Some((_, hours)) => Some(Duration::from_hours(*hours)),
            None => parse_duration(self.custom.text(), None).ok().flatten(),
        }
    }

    /// Computes the new expiry, as the engine would. An environment past its expiry is extended from `now`.
    pub(crate) fn preview(
        &self,
        expires_at: Option<DateTime<Utc>>,
        max: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<Extension> {
        let start = expires_at.map_or(now, |at| at.max(now));
        let requested = start.checked_add_signed(TimeDelta::from_std(self.duration()?).ok()?)?;
        Some(match max.filter(|max| *max < requested) {
            Some(max) => Extension { expires_at: max, capped: true },
            None => Extension { expires_at: requested, capped: false },
        })
    }

    pub(super) fn validate(&mut self) {
        self.custom.error = parse_duration(self.custom.text(), None).err();
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let choices = CUSTOM + 1;
        let next = (self.choice + 1) % choices;
        let previous = (self.choice + choices - 1) % choices;
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Enter => match self.duration() {
                Some(by) => return Response::Extend(self.record.clone(), self.id.clone(), by),
                None if self.custom.text().is_empty() => {
                    self.custom.error = Some("enter a duration (30m, 8h, 2d)".to_owned());
                }
                None => self.validate(),
            },
            KeyCode::Tab | KeyCode::Down => self.choice = next,
            KeyCode::BackTab | KeyCode::Up => self.choice = previous,
            _ if self.is_custom() => {
                edit(&mut self.custom.input, key);
                self.validate();
            }
            KeyCode::Right | KeyCode::Char('l' | 'j') => self.choice = next,
            KeyCode::Left | KeyCode::Char('h' | 'k') => self.choice = previous,
            KeyCode::Char(c @ '0'..='9') => {
                // A digit starts a custom duration.
                self.choice = CUSTOM;
                edit(&mut self.custom.input, KeyEvent::from(KeyCode::Char(c)));
                self.custom.error = None;
            }
            _ => {}
        }
        Response::KeepOpen
    }
}
