//! A form: fields that are edited one at a time, each judged as it is typed.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// What it asks for.
    pub label: &'static str,
    /// What is meant where it is left empty, or how to write it.
    pub placeholder: String,
    /// What was typed.
    pub input: Input,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Whether it was left once, so that an empty field is not scolded before anybody was there.
    pub visited: bool,
}

impl Field {
    /// An empty field.
    #[must_use]
    pub fn new(label: &'static str, placeholder: impl Into<String>) -> Self {
        Self { label, placeholder: placeholder.into(), input: Input::default(), error: None, visited: false }
    }

    /// What was typed, without what surrounds it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value().trim()
    }
}

/// Edits a line by a key. Says whether the key meant anything.
pub fn edit(input: &mut Input, key: KeyEvent) -> bool {
    // A key held with Alt or Ctrl that the editor does not know must not type its letter.
    let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    if matches!(key.code, KeyCode::Char(_)) && !plain && !key.modifiers.contains(KeyModifiers::CONTROL) {
        return false;
    }
    input.handle_event(&Event::Key(key)).is_some()
}

/// Adds pasted text where the cursor is, in one line and without what a terminal would act on.
pub fn insert(input: &mut Input, text: &str) {
    let text: String = crate::domain::text::sanitize(text.trim()).chars().take(1_000).collect();
    let cursor = input.cursor();
    let mut value: Vec<char> = input.value().chars().collect();
    let at = cursor.min(value.len());
    let added = text.chars().count();
    value.splice(at..at, text.chars());
    *input = Input::new(value.into_iter().collect()).with_cursor(at + added);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasting_goes_where_the_cursor_is_and_is_cleaned() {
        let mut input = Input::new("ab".to_owned()).with_cursor(1);
        insert(&mut input, " x\u{1b}[31my\n");
        assert_eq!((input.value(), input.cursor()), ("axyb", 3));
    }

    #[test]
    fn keys_edit() {
        let mut input = Input::default();
        assert!(edit(&mut input, KeyEvent::from(KeyCode::Char('a'))));
        assert!(!edit(&mut input, KeyEvent::new(KeyCode::Char('b'), KeyModifiers::ALT)));
        assert!(edit(&mut input, KeyEvent::from(KeyCode::Backspace)));
        assert_eq!(input.value(), "");
    }
}
