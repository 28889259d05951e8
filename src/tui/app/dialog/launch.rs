//! The form to launch an environment.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::Input;

use super::response::Response;
use super::services::{Suggestions, has_begun_word, parse_services, typed_service};
use crate::domain::format::format_exact_duration;
use crate::domain::record::{MAX_NOTE_CHARS, max_services};
use crate::domain::{Fleet, FleetName, Label};
use crate::engine::LaunchRequest;
use crate::tui::app::form::{Field, edit, parse_duration};
use crate::tui::format;

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 40;

#[derive(Debug, Clone)]
pub(crate) struct LaunchForm {
    /// Name, time to live, services and note.
    pub(crate) fields: [Field; 4],
    /// The index of the focused field.
    pub(crate) focus: usize,
    /// What is known about the fleet.
    pub(crate) outlook: Outlook,
    fleet: FleetName,
    ttl: Duration,
    max_lifetime: Duration,
    max_services: usize,
}

/// What the form says about a launch besides its fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outlook {
    /// What the services can become.
    pub(crate) services: Suggestions,
    /// The time to live, services and note of the user's last launch.
    pub(crate) last: Option<[String; 3]>,
    /// US dollars per hour.
    pub(crate) per_hour: Option<f64>,
    /// Whether a database is there, and how long the launch takes.
    pub(crate) duration: String,
}

impl LaunchForm {
    pub(crate) const NAME: usize = 0;
    pub(crate) const TTL: usize = 1;
    pub(crate) const SERVICES: usize = 2;
    pub(crate) const NOTE: usize = 3;

    /// Returns an empty form with the policy's defaults as placeholders.
    pub(crate) fn new(fleet: &Fleet, outlook: Outlook) -> Self {
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
            focus: Self::NAME,
            outlook,
            ttl: policy.ttl,
            fleet: fleet.name.clone(),
            max_lifetime: policy.max_lifetime,
            max_services: max_services(&policy.company_tags),
        };
        form.validate();
        form
    }

    /// Sets the text of a field, as if it was typed.
    pub(crate) fn set(&mut self, field: usize, text: &str) {
        let field = &mut self.fields[field];
        field.input = text.into();
        field.touched = !text.is_empty();
        self.validate();
    }

    /// Returns the cost until the environment expires and what happens next.
    pub(crate) fn notes(&self) -> Vec<String> {
        let ttl = parse_duration(self.fields[Self::TTL].text(), Some(self.max_lifetime)).ok();
        let price = self.outlook.per_hour.zip(ttl).map(|(per_hour, ttl)| {
            let ttl = ttl.unwrap_or(self.ttl);
            let total = format::dollars(per_hour * ttl.as_secs_f64() / 3_600.0);
            format!("Costs about {total} in {}.", format_exact_duration(ttl))
        });
        let notes = price.into_iter().chain([self.outlook.duration.clone()]).filter(|note| !note.is_empty());
        // Its line is there before there is something to say, so that the form does not grow while it is used.
        notes.chain(self.outlook.services.note.clone()).collect()
    }

    /// Returns the field of services, if it has the focus.
    fn services(&self) -> Option<&Input> {
        (self.focus == Self::SERVICES).then_some(&self.fields[Self::SERVICES].input)
    }

    /// Returns what the word at the cursor can become, if the services have the focus.
    pub(crate) fn suggestions(&self) -> Vec<String> {
        self.services().map(|input| self.outlook.services.find(input)).unwrap_or_default()
    }

    /// Returns the service whose tag is being typed.
    pub(super) fn typed_service(&self) -> Option<String> {
        self.services().and_then(typed_service)
    }

    /// Completes the word at the cursor by a suggestion; returns whether there was one.
    pub(super) fn complete(&mut self, index: usize) -> bool {
        let completed = self.services().and_then(|input| self.outlook.services.complete(input, index));
        let Some(completed) = completed else { return false };
        self.fields[Self::SERVICES].input = completed;
        self.fields[Self::SERVICES].touched = true;
        self.validate();
        true
    }

    /// Takes over everything but the name from the user's last launch.
    fn repeat_last(&mut self) -> Response {
        let Some([ttl, services, note]) = self.outlook.last.clone() else {
            return Response::Notify("none of your launches is listed".to_owned());
        };
        self.set(Self::TTL, &ttl);
        self.set(Self::SERVICES, &services);
        self.set(Self::NOTE, &note);
        Response::KeepOpen
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

    pub(super) fn focus_field(&mut self, index: usize) {
        self.fields[self.focus].touched = true;
        self.focus = index % self.fields.len();
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let count = self.fields.len();
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Char('l') if key.modifiers == KeyModifiers::CONTROL => return self.repeat_last(),
            KeyCode::Tab if self.services().is_some_and(has_begun_word) && self.complete(0) => {}
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
