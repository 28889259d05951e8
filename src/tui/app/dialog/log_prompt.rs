//! Prompts of the log: the file to save to, and the time to go to.

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::response::Response;
use crate::domain::format::format_count;
use crate::tui::app::form::{Field, edit};
use crate::tui::app::log_view::times;
use crate::tui::zone::Zone;

/// Returns a number of lines in words: `1 line`, `1,234 lines`.
pub(crate) fn count_lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{} lines", format_count(count)) }
}

#[derive(Debug, Clone)]
pub(crate) struct LogPrompt {
    pub(crate) field: Field,
    pub(crate) title: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// With the file that exists, which Enter replaces.
    Save { exists: Option<String> },
    /// When the prompt was opened, and the zone of what is typed.
    Time { now: DateTime<Utc>, zone: Zone },
}

impl LogPrompt {
    /// Asks for the file to save a number of lines to.
    pub(crate) fn save(count: usize, file_name: &str) -> Self {
        let mut field = Field::new("File", "the path of a file");
        field.input = Input::new(file_name.to_owned());
        let title = format!("Save {}", count_lines(count));
        Self { field, title, kind: Kind::Save { exists: None } }
    }

    /// Asks again, with why it was not saved. A file that exists is replaced if it is confirmed.
    pub(crate) fn save_again(count: usize, path: &str, problem: String, exists: bool) -> Self {
        let mut prompt = Self::save(count, path);
        (prompt.field.error, prompt.field.touched) = (Some(problem), true);
        prompt.kind = Kind::Save { exists: exists.then(|| path.to_owned()) };
        prompt
    }

    /// Asks for the time to go to.
    pub(crate) fn time(zone: Zone, now: DateTime<Utc>) -> Self {
        let field = Field::new("Time", "14:05, -10m or 2026-03-10 14:05");
        Self { field, title: "Go to a time".to_owned(), kind: Kind::Time { now, zone } }
    }

    /// Returns what Enter does.
    pub(crate) fn verb(&self) -> &'static str {
        match &self.kind {
            Kind::Save { exists: Some(path) } if *path == self.field.text() => "replace the file",
            Kind::Save { .. } => "save",
            Kind::Time { .. } => "go",
        }
    }

    /// Forgets the error of what was typed before.
    pub(super) fn touch(&mut self) {
        (self.field.error, self.field.touched) = (None, true);
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Enter => return self.enter(),
            _ => {
                if edit(&mut self.field.input, key) {
                    self.touch();
                }
            }
        }
        Response::KeepOpen
    }

    fn enter(&mut self) -> Response {
        let text = self.field.text();
        match &self.kind {
            Kind::Save { .. } if text.is_empty() => {
                self.field.error = Some("enter the path of a file".to_owned());
            }
            Kind::Save { exists } => {
                return Response::SaveLog { path: text.to_owned(), replace: exists.as_deref() == Some(text) };
            }
            Kind::Time { now, zone } => match times::parse(text, *zone, *now) {
                Ok(at) => return Response::GoToTime(at),
                Err(error) => self.field.error = Some(error),
            },
        }
        self.field.touched = true;
        Response::KeepOpen
    }
}
