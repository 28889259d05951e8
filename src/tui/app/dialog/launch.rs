//! The form to launch an environment.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use super::services::parse_services;
use crate::domain::format::format_exact_duration;
use crate::domain::record::{MAX_NOTE_CHARS, max_services};
use crate::domain::{Fleet, FleetName, Label};
use crate::engine::LaunchRequest;
use crate::tui::app::form::{Field, edit, parse_duration};

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 40;

#[derive(Debug, Clone)]
pub(crate) struct LaunchForm {
    /// Name, time to live, services and note.
    pub(crate) fields: [Field; 4],
    /// The index of the focused field.
    pub(crate) focus: usize,
    fleet: FleetName,
    max_lifetime: Duration,
    max_services: usize,
}

impl LaunchForm {
    /// Returns an empty form with the policy's defaults as placeholders.
    pub(crate) fn new(fleet: &Fleet) -> Self {
        let policy = &fleet.policy;
        let ttl = format_exact_duration(policy.ttl);
        let max = format_exact_duration(policy.max_lifetime);
        let mut form = Self {
            fields: [
                Field::new("Name", "for example checkout-fix"),
                Field::new("Time to live", format!("{ttl} (at most {max})")),
                Field::new("Services", "payments=f-123 kyc=pr-77"),
                Field::new("Note", "what the environment is for"),
            ],
            focus: 0,
            fleet: fleet.name.clone(),
            max_lifetime: policy.max_lifetime,
            max_services: max_services(&policy.company_tags),
        };
        form.validate();
        form
    }

    /// Returns the request if every field is valid.
    fn request(&self) -> Option<LaunchRequest> {
        let [name, ttl, services, note] = &self.fields;
        Some(LaunchRequest {
            name: parse_name(name.text(), &self.fleet).ok()?,
            ttl: parse_duration(ttl.text(), Some(self.max_lifetime)).ok()?,
            services: parse_services(services.text(), self.max_services).ok()?,
            note: parse_note(note.text()).ok()?,
        })
    }

    fn validate(&mut self) {
        let max = self.max_lifetime;
        let [name, ttl, services, note] = &mut self.fields;
        name.error = parse_name(name.text(), &self.fleet).err();
        ttl.error = parse_duration(ttl.text(), Some(max)).err();
        services.error = parse_services(services.text(), self.max_services).err();
        note.error = parse_note(note.text()).err();
    }

    /// Marks the focused field as touched and validates the form.
    pub(super) fn touch(&mut self) {
        self.fields[self.focus].touched = true;
        self.validate();
    }

    fn focus_field(&mut self, index: usize) {
        self.fields[self.focus].touched = true;
        self.focus = index % self.fields.len();
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let count = self.fields.len();
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Tab | KeyCode::Down => self.focus_field(self.focus + 1),
            KeyCode::BackTab | KeyCode::Up => self.focus_field(self.focus + count - 1),
            KeyCode::Enter => {
                for field in &mut self.fields {
                    field.touched = true;
                }
                if let Some(request) = self.request() {
                    return Response::Launch(request);
                }
                if let Some(invalid) = self.fields.iter().position(|field| field.error.is_some()) {
                    self.focus = invalid;
                }
            }
            _ => {
                let field = &mut self.fields[self.focus];
                if edit(&mut field.input, key) {
                    field.touched |= !field.text().is_empty();
                    self.validate();
                }
            }
        }
        Response::KeepOpen
    }
}

fn parse_name(text: &str, fleet: &FleetName) -> Result<Label, String> {
    if text.is_empty() {
        return Err("required".to_owned());
    }
    let label: Label = text.parse().map_err(|_| {
        if text.chars().count() > MAX_NAME_CHARS {
            format!("must be at most {MAX_NAME_CHARS} characters")
        } else if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "use only letters, digits and . _ -".to_owned()
        } else {
            "must start with a letter or digit".to_owned()
        }
    })?;
    if label.is_like_id(fleet) {
        return Err("looks like an id of the fleet".to_owned());
    }
    Ok(label)
}

fn parse_note(text: &str) -> Result<Option<String>, String> {
    if !crate::domain::text::is_printable(text, MAX_NOTE_CHARS) {
        return Err(format!("must be at most {MAX_NOTE_CHARS} printable characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}
