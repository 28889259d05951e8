//! The themes of the dashboard.

use serde::Serialize;
use serde_json::{Value, json};

use super::version::VERSION;
use crate::tui::theme::{RoleStyle, Theme};

#[derive(Debug, Serialize)]
struct ThemeBody<'a> {
    name: &'a str,
    /// `built-in` or `file`.
    origin: &'static str,
    file: Option<String>,
    in_use: bool,
}

impl<'a> ThemeBody<'a> {
    fn new(theme: &'a Theme, used: &str) -> Self {
        Self {
            name: &theme.name,
            origin: if theme.file.is_some() { "file" } else { "built-in" },
            file: theme.file.as_ref().map(|file| file.to_string_lossy().into_owned()),
            in_use: theme.name == used,
        }
    }
}

/// The themes; `used` is the name of the one in use.
pub(crate) fn themes<'a>(themes: impl Iterator<Item = &'a Theme>, used: &str) -> Value {
    let themes: Vec<_> = themes.map(|theme| ThemeBody::new(theme, used)).collect();
    json!({ "version": VERSION, "themes": themes })
}

#[derive(Debug, Serialize)]
struct RoleBody {
    role: &'static str,
    fg: Option<String>,
    bg: Option<String>,
    modifiers: Vec<&'static str>,
}

/// One theme with its roles.
pub(crate) fn theme(theme: &Theme, used: &str) -> Value {
    let roles = theme.roles().map(|(role, style)| {
        let RoleStyle { fg, bg, modifiers } = RoleStyle::new(style);
        RoleBody { role, fg, bg, modifiers }
    });
    json!({ "version": VERSION, "theme": ThemeBody::new(theme, used), "roles": roles.collect::<Vec<_>>() })
}
