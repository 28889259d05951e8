//! The forms to hold an environment or a database, and to pin an environment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use crate::domain::hold::MAX_WHY_CHARS;
use crate::domain::{EnvironmentId, RecordId, text};
use crate::tui::app::form::{Field, edit, parse_duration};
use crate::tui::app::message::{HoldRequest, HoldTarget};
use crate::tui::zone::Zone;

/// The fields to keep something for longer, and for what.
#[derive(Debug, Clone)]
pub(crate) struct KeepForm {
    target: Target,
    pub(crate) fields: Vec<Field>,
    /// The index of the focused field.
    pub(crate) focus: usize,
}

#[derive(Debug, Clone)]
enum Target {
    /// A hold; the record of an environment, which another one with the same id does not have.
    Hold(Option<RecordId>, HoldTarget),
    Pin(RecordId, EnvironmentId, Moment),
}

/// When the form was opened, and in which zone a time of the day is.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now: DateTime<Utc>,
    zone: Zone,
}

impl KeepForm {
    pub(crate) fn hold(record: Option<RecordId>, target: HoldTarget) -> Self {
        let fields =
            vec![Field::new("For", "how long, such as 2d"), Field::new("Why", "what is to be inspected")];
        Self::new(Target::Hold(record, target), fields)
    }

    pub(crate) fn pin(record: RecordId, id: EnvironmentId, now: DateTime<Utc>, zone: Zone) -> Self {
        let fields = vec![Field::new("Until", "16:00, or 2026-03-10 16:00")];
        Self::new(Target::Pin(record, id, Moment { now, zone }), fields)
    }

    fn new(target: Target, fields: Vec<Field>) -> Self {
        let mut form = Self { target, fields, focus: 0 };
        form.validate();
        form
    }

    pub(crate) fn title(&self) -> String {
        match &self.target {
            Target::Hold(_, target) => format!("Hold {target} for inspection"),
            Target::Pin(_, id, _) => format!("Keep {id} until a time"),
        }
    }

    /// Returns what enter does.
    pub(crate) fn verb(&self) -> &'static str {
        match self.target {
            Target::Hold(..) => "hold",
            Target::Pin(..) => "keep",
        }
    }

    /// Marks the focused field as touched and validates the form.
    pub(super) fn touch(&mut self) {
        self.fields[self.focus].touched = true;
        self.validate();
    }

    fn validate(&mut self) {
        for index in 0..self.fields.len() {
            let text = self.fields[index].text();
            let error = match (&self.target, index) {
                (Target::Pin(_, _, moment), _) => parse_time(text, moment.now, moment.zone).err(),
                (Target::Hold(..), 0) => parse_required_duration(text).err(),
                (Target::Hold(..), _) => check_why(text).err(),
            };
            self.fields[index].error = error;
        }
    }

    /// Returns the request if every field is valid.
    fn request(&self) -> Option<Response> {
        let text = |index: usize| self.fields[index].text();
        Some(match &self.target {
            Target::Pin(record, id, moment) => {
                Response::Pin(record.clone(), id.clone(), parse_time(text(0), moment.now, moment.zone).ok()?)
            }
            Target::Hold(record, target) => {
                let by = parse_required_duration(text(0)).ok()?;
                check_why(text(1)).ok()?;
                let request = HoldRequest { target: target.clone(), by, why: text(1).to_owned() };
                Response::Hold(record.clone(), request)
            }
        })
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let count = self.fields.len();
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Tab | KeyCode::Down => self.focus = (self.focus + 1) % count,
            KeyCode::BackTab | KeyCode::Up => self.focus = (self.focus + count - 1) % count,
            KeyCode::Enter => {
                if let Some(response) = self.request() {
                    return response;
                }
                for field in &mut self.fields {
                    field.touched = true;
                }
                if let Some(invalid) = self.fields.iter().position(|field| field.error.is_some()) {
                    self.focus = invalid;
                }
            }
            _ => {
                let field = &mut self.fields[self.focus];
                if edit(&mut field.input, key) {
                    field.touched = false;
                    self.validate();
                }
            }
        }
        Response::KeepOpen
    }
}

pub(crate) fn parse_time(text: &str, now: DateTime<Utc>, zone: Zone) -> Result<DateTime<Utc>, String> {
    let at = zone.parse_time(text, now)?;
    if at > now { Ok(at) } else { Err(format!("{text} is over")) }
}

fn parse_required_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text, None)?.ok_or_else(|| "enter a duration (30m, 8h, 2d)".to_owned())
}

fn check_why(why: &str) -> Result<(), String> {
    if why.is_empty() {
        return Err("say why, for the others".to_owned());
    }
    if !text::is_printable(why, MAX_WHY_CHARS) {
        return Err(format!("must be at most {MAX_WHY_CHARS} printable characters"));
    }
    Ok(())
}
