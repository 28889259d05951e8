//! The form to deploy other versions of an environment's services.

use std::collections::BTreeMap;

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::response::Response;
use super::services::{Suggestions, has_begun_word, parse_services, typed_service};
use crate::domain::text::Untrusted;
use crate::domain::{EnvironmentId, RecordId};
use crate::engine::{RedeployRequest, format_changes};
use crate::tui::app::form::{Field, edit};
use crate::tui::app::rows::EnvironmentRow;

#[derive(Debug, Clone)]
pub(crate) struct RedeployForm {
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    pub(crate) name: String,
    /// The services with their image tags. One that the user removes is no longer under test.
    pub(crate) services: Field,
    pub(crate) suggestions: Suggestions,
    /// The services when the form was opened.
    before: BTreeMap<Untrusted, Untrusted>,
    max_services: usize,
}

impl RedeployForm {
    /// Returns a form with the environment's services.
    pub(crate) fn new(row: &EnvironmentRow, max_services: usize, suggestions: Suggestions) -> Self {
        let before = row.details.record.services.clone();
        let text: Vec<_> = before.iter().map(|(name, tag)| format!("{name}={tag}")).collect();
        let mut services = Field::new("Services", "payments=f-123 kyc=pr-77");
        services.input = Input::new(text.join(" "));
        services.touched = true;
        let mut form = Self {
            record: row.record.clone(),
            id: row.id.clone(),
            name: row.name.clone(),
            services,
            suggestions,
            before,
            max_services,
        };
        form.validate();
        form
    }

    pub(super) fn validate(&mut self) {
        self.services.error = parse_services(self.services.text(), self.max_services).err();
    }

    /// Returns what the word at the cursor can become.
    pub(crate) fn suggestions(&self) -> Vec<String> {
        self.suggestions.find(&self.services.input)
    }

    /// Returns the service whose tag is being typed.
    pub(super) fn typed_service(&self) -> Option<String> {
        typed_service(&self.services.input)
    }

    /// Completes the word at the cursor by a suggestion, if there is one.
    pub(super) fn complete(&mut self, index: usize) {
        if let Some(completed) = self.suggestions.complete(&self.services.input, index) {
            self.services.input = completed;
            self.validate();
        }
    }

    /// Returns the request if the text is valid: what differs from the services when the form was opened, so that a change of another user
    /// meanwhile stays.
    fn request(&self) -> Option<RedeployRequest> {
        let after = parse_services(self.services.text(), self.max_services).ok()?;
        let defaults = self.before.keys().map(|name| name.raw().to_owned());
        let defaults = defaults.filter(|name| !after.contains_key(name)).collect();
        let is_new = |name: &str, tag: &str| {
            !self.before.iter().any(|(known, before)| known.raw() == name && before.raw() == tag)
        };
        let services = after.into_iter().filter(|(name, tag)| is_new(name, tag)).collect();
        Some(RedeployRequest { services, defaults })
    }

    /// Says what will be deployed; `None` if the text is not valid.
    pub(crate) fn preview(&self) -> Option<String> {
        let after = parse_services(self.services.text(), self.max_services).ok()?;
        let after = after.iter().map(|(name, tag)| (name.as_str().into(), tag.as_str().into())).collect();
        Some(format!("deploys {}", format_changes(&self.before, &after)))
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Enter => {
                if let Some(request) = self.request() {
                    return Response::Redeploy(self.record.clone(), self.id.clone(), request);
                }
            }
            KeyCode::Tab if has_begun_word(&self.services.input) => self.complete(0),
            _ => {
                edit(&mut self.services.input, key);
                self.validate();
            }
        }
        Response::KeepOpen
    }
}
