//! Text fields of forms, and the parsing of durations in them.

use std::time::Duration;

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use crate::domain::format::format_exact_duration;

/// The longest paste into one field, in characters.
const MAX_PASTE_CHARS: usize = 1_000;

/// One field of a form.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) label: &'static str,
    /// The default or an example; shown while the field is empty.
    pub(crate) placeholder: String,
    pub(crate) input: Input,
    pub(crate) error: Option<String>,
    /// Whether the field was touched; its error is hidden until then.
    pub(crate) touched: bool,
}

impl Field {
    pub(crate) fn new(label: &'static str, placeholder: impl Into<String>) -> Self {
        Self { label, placeholder: placeholder.into(), input: Input::default(), error: None, touched: false }
    }

    /// Returns the text without surrounding white space.
    pub(crate) fn text(&self) -> &str {
        self.input.value().trim()
    }

    /// Returns the error, if the field was touched.
    pub(crate) fn visible_error(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.touched)
    }
}

/// A filter or a search, which takes all keys while it is edited.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) input: Input,
    pub(crate) editing: bool,
}

impl Query {
    /// Returns the text without surrounding white space.
    pub(crate) fn text(&self) -> &str {
        self.input.value().trim()
    }
}

/// What a key does to the query of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryKey {
    /// The query is edited no longer; it may be empty now.
    Ended,
    Edited,
    Ignored,
    /// The list moves by this many rows, while the query is edited.
    Move(isize),
}

impl Query {
    /// Handles a key while the query of a list is edited.
    pub(crate) fn key(&mut self, key: KeyEvent) -> QueryKey {
        match key.code {
            KeyCode::Enter | KeyCode::Tab => self.editing = false,
            KeyCode::Esc => *self = Self::default(),
            KeyCode::Down => return QueryKey::Move(1),
            KeyCode::Up => return QueryKey::Move(-1),
            _ if edit(&mut self.input, key) => return QueryKey::Edited,
            _ => return QueryKey::Ignored,
        }
        QueryKey::Ended
    }
}

/// Edits a text field by a key; returns whether the key had a meaning.
pub(crate) fn edit(input: &mut Input, key: KeyEvent) -> bool {
    // Otherwise Alt with a letter that is no editing command would type the letter.
    let unmodified = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    let is_char = matches!(key.code, KeyCode::Char(_));
    if is_char && !unmodified && !key.modifiers.contains(KeyModifiers::CONTROL) {
        return false;
    }
    input.handle_event(&Event::Key(key)).is_some()
}

/// Inserts pasted text at the cursor, on one line and without control characters.
pub(crate) fn insert(input: &mut Input, text: &str) {
    let text: String = crate::domain::text::sanitize(text.trim()).chars().take(MAX_PASTE_CHARS).collect();
    let cursor = input.cursor();
    let mut value: Vec<char> = input.value().chars().collect();
    let at = cursor.min(value.len());
    let added = text.chars().count();
    value.splice(at..at, text.chars());
    *input = Input::new(value.into_iter().collect()).with_cursor(at + added);
}

/// Parses a duration of at least a minute and at most `max`; `None` if the text is empty.
///
/// # Errors
/// Returns the message to show at the field.
pub(crate) fn parse_duration(text: &str, max: Option<Duration>) -> Result<Option<Duration>, String> {
    // The engine caps an extension at the max-lifetime; this bound only prevents an overflow of dates.
    const MAX_DAYS: u64 = 366;
    if text.is_empty() {
        return Ok(None);
    }
    let duration = crate::domain::format::parse_duration(text).map_err(|error| error.to_string())?;
    match max {
        _ if duration < Duration::from_mins(1) => Err("must be at least 1m".to_owned()),
        Some(max) if duration > max => {
            Err(format!("must be at most {}, the fleet's max-lifetime", format_exact_duration(max)))
        }
        None if duration > Duration::from_hours(MAX_DAYS * 24) => Err(format!("must be at most {MAX_DAYS}d")),
        _ => Ok(Some(duration)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_sanitizes_and_moves_the_cursor() {
        let mut input = Input::new("ab".to_owned()).with_cursor(1);
        insert(&mut input, " x\u{1b}[31my\n");
        assert_eq!((input.value(), input.cursor()), ("axyb", 3));
    }

    #[test]
    fn edit_ignores_letters_with_alt() {
        let mut input = Input::default();
        assert!(edit(&mut input, KeyEvent::from(KeyCode::Char('a'))));
        assert!(!edit(&mut input, KeyEvent::new(KeyCode::Char('b'), KeyModifiers::ALT)));
        assert!(edit(&mut input, KeyEvent::from(KeyCode::Backspace)));
        assert_eq!(input.value(), "");
    }
}
