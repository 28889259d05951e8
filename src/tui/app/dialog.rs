//! Dialogs take all keys while they are open.

pub(crate) mod batch;

pub(crate) mod diff;

pub(crate) mod extend;

pub(crate) mod keep;

pub(crate) mod launch;

pub(crate) mod log_prompt;

pub(crate) mod log_sources;

pub(crate) mod open;

pub(crate) mod palette;

pub(crate) mod redeploy;

pub(crate) mod response;

pub(crate) mod services;

pub(crate) mod targets;

pub(crate) mod terminate;

use ratatui::crossterm::event::KeyEvent;
use tui_input::Input;

use self::batch::BatchPrompt;
use self::diff::DiffMenu;
use self::extend::ExtendPrompt;
use self::keep::KeepForm;
use self::launch::LaunchForm;
use self::log_prompt::LogPrompt;
use self::log_sources::SourceMenu;
use self::open::OpenMenu;
use self::palette::Palette;
use self::redeploy::RedeployForm;
use self::response::Response;
use self::services::Suggestions;
use self::terminate::TerminatePrompt;
use super::form;
use super::rows::Addresses;
use crate::tui::action::Context;

#[derive(Debug, Clone, strum::IntoStaticStr, strum::VariantNames)]
pub(crate) enum Dialog {
    Launch(Box<LaunchForm>),
    Extend(ExtendPrompt),
    Keep(KeepForm),
    Redeploy(Box<RedeployForm>),
    Diff(DiffMenu),
    Terminate(TerminatePrompt),
    Batch(BatchPrompt),
    Open(OpenMenu),
    Palette(Palette),
    Log(LogPrompt),
    Sources(SourceMenu),
    /// A text that any key closes.
    Notice {
        title: String,
        lines: Vec<String>,
    },
}

impl Dialog {
    /// Handles a key. `addresses` are those of the menu's environment, if it still exists.
    pub(crate) fn key(&mut self, key: KeyEvent, context: Context, addresses: Option<&Addresses>) -> Response {
        match self {
            Self::Launch(form) => form.key(key),
            Self::Extend(prompt) => prompt.key(key),
            Self::Keep(form) => form.key(key),
            Self::Redeploy(form) => form.key(key),
            Self::Diff(menu) => menu.key(key),
            Self::Terminate(prompt) => prompt.key(key),
            Self::Batch(prompt) => prompt.key(key),
            Self::Open(menu) => menu.key(key, addresses),
            Self::Palette(palette) => palette.key(key, context),
            Self::Log(prompt) => prompt.key(key),
            Self::Sources(menu) => menu.key(key),
            Self::Notice { .. } => Response::Close,
        }
    }

    /// Inserts pasted text into the focused field, if there is one.
    pub(crate) fn paste(&mut self, text: &str) {
        if let Some(input) = self.input() {
            form::insert(input, text);
        }
        match self {
            Self::Launch(form) => form.touch(),
            Self::Extend(prompt) => prompt.validate(),
            Self::Keep(form) => form.touch(),
            Self::Redeploy(form) => form.validate(),
            Self::Palette(palette) => palette.edited(),
            Self::Log(prompt) => prompt.touch(),
            Self::Batch(_)
            | Self::Terminate(_)
            | Self::Open(_)
            | Self::Diff(_)
            | Self::Sources(_)
            | Self::Notice { .. } => {}
        }
    }

    /// Returns what a form for services suggests.
    pub(crate) fn suggestions(&mut self) -> Option<&mut Suggestions> {
        match self {
            Self::Launch(form) => Some(&mut form.outlook.services),
            Self::Redeploy(form) => Some(&mut form.suggestions),
            _ => None,
        }
    }

    /// Returns the service whose tag is being typed.
    pub(crate) fn typed_service(&self) -> Option<String> {
        match self {
            Self::Launch(form) => form.typed_service(),
            Self::Redeploy(form) => form.typed_service(),
            _ => None,
        }
    }

    /// Whether a text field has the focus.
    pub(crate) fn takes_text(&self) -> bool {
        match self {
            Self::Launch(_) | Self::Keep(_) | Self::Redeploy(_) | Self::Palette(_) | Self::Log(_) => true,
            Self::Extend(prompt) => prompt.is_custom(),
            Self::Terminate(prompt) => prompt.confirmation.is_some(),
            Self::Batch(prompt) => prompt.takes_text(),
            Self::Open(_) | Self::Diff(_) | Self::Sources(_) | Self::Notice { .. } => false,
        }
    }

    fn input(&mut self) -> Option<&mut Input> {
        match self {
            Self::Launch(form) => Some(&mut form.fields[form.focus].input),
            Self::Extend(prompt) => prompt.is_custom().then_some(&mut prompt.custom.input),
            Self::Keep(form) => Some(&mut form.fields[form.focus].input),
            Self::Redeploy(form) => Some(&mut form.services.input),
            Self::Terminate(prompt) => prompt.confirmation.is_some().then_some(&mut prompt.typed),
            Self::Batch(prompt) => prompt.takes_text().then_some(&mut prompt.field.input),
            Self::Palette(palette) => Some(&mut palette.input),
            Self::Log(prompt) => Some(&mut prompt.field.input),
            Self::Open(_) | Self::Diff(_) | Self::Sources(_) | Self::Notice { .. } => None,
        }
    }
}
