//! Key bindings: the defaults of [`ACTIONS`] with the user's changes. A key with two actions in one context is an error.
//!
//! Keys are parsed here because the bindings distinguish `G` from `g` and accept any character, such as `é`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, Context};
use crate::failure::{Failure, Kind};

/// A key with its modifiers. Shift is part of a character: `G`, not `shift-g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const NAMED_KEYS: &[(&str, KeyCode)] = &[
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let mut modifiers =
            event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        // Terminals disagree on whether they report Shift with these keys.
        if matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers.remove(KeyModifiers::SHIFT);
        }
        Self { code: event.code, modifiers }
    }
}

impl From<Key> for KeyEvent {
    fn from(key: Key) -> Self {
        Self::new(key.code, key.modifiers)
    }
}

impl Key {
    /// Returns the key for the screen: as in the configuration, or with an arrow for some keys if not `ascii`.
    pub(crate) fn label(self, ascii: bool) -> String {
        let name = self.to_string();
        if ascii {
            return name;
        }
        match self.code {
            KeyCode::Enter => name.replace("enter", "⏎"),
            KeyCode::Up => name.replace("up", "↑"),
            KeyCode::Down => name.replace("down", "↓"),
            _ => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        if let Some((name, _)) = NAMED_KEYS.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Key {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let invalid = || {
            Failure::new(
                Kind::Usage,
                format!("not a valid key: {text:?}"),
                "use a character, or a name such as enter, esc, space, up, f5, ctrl-d or alt-x",
            )
        };
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((name, after)) = rest.split_once('-').filter(|(_, after)| !after.is_empty()) {
            modifiers |= match name {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(invalid()),
            };
            rest = after;
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => KeyCode::Char(c),
            (Some('f'), Some(_)) if rest[1..].parse::<u8>().is_ok_and(|n| (1..=24).contains(&n)) => {
                KeyCode::F(rest[1..].parse().map_err(|_| invalid())?)
            }
            _ => NAMED_KEYS
                .iter()
                .find(|(name, _)| *name == rest)
                .map(|(_, code)| *code)
                .ok_or_else(invalid)?,
        };
        if matches!(code, KeyCode::Char(_)) && modifiers.contains(KeyModifiers::SHIFT) {
            return Err(invalid());
        }
        Ok(Self { code, modifiers })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Keymap {
    by_key: HashMap<(Context, Key), Action>,
    by_action: HashMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        // Never falls back, because a unit test checks that the defaults are valid.
        Self::new(&BTreeMap::new())
            .unwrap_or_else(|_| Self { by_key: HashMap::new(), by_action: HashMap::new() })
    }
}

impl Keymap {
    /// Returns the default bindings, with those of the given action ids replaced. An empty list unbinds an action.
    ///
    /// # Errors
    /// Returns a usage failure if an id is unknown, a key is not valid, two actions share a key in one context, or no
    /// key is left to quit.
    pub(crate) fn new(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, Failure> {
        if let Some(unknown) = changes.keys().find(|id| !ACTIONS.iter().any(|entry| entry.id == **id)) {
            let message = format!("keys: unknown action {unknown:?}");
            return Err(Failure::new(Kind::Usage, message, "the command palette (:) lists all actions"));
        }
        let mut map = Self { by_key: HashMap::new(), by_action: HashMap::new() };
        for entry in ACTIONS {
            let keys = match changes.get(entry.id) {
                Some(keys) => keys.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>()?,
                None => entry.keys.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>()?,
            };
            for context in entry.contexts {
                for key in &keys {
                    match map.by_key.insert((*context, *key), entry.action) {
                        Some(other) if other != entry.action => {
                            return Err(conflict(*key, other.entry().id, entry.id));
                        }
                        _ => {}
                    }
                }
            }
            map.by_action.insert(entry.action, keys);
        }
        if map.keys(Action::Quit).is_empty() {
            return Err(Failure::new(Kind::Usage, "keys: quit has no key", "bind at least one key to quit"));
        }
        Ok(map)
    }

    pub(crate) fn action(&self, context: Context, key: Key) -> Option<Action> {
        self.by_key.get(&(context, key)).copied()
    }

    pub(crate) fn keys(&self, action: Action) -> &[Key] {
        self.by_action.get(&action).map_or(&[], Vec::as_slice)
    }

    /// Returns the label of the action's first key; empty if the action is unbound.
    pub(crate) fn label(&self, action: Action, ascii: bool) -> String {
        self.keys(action).first().map(|key| key.label(ascii)).unwrap_or_default()
    }
}

fn conflict(key: Key, one: &str, other: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("keys: {key} is bound to both {one} and {other}"),
        format!("bind {one} or {other} to another key"),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn changes(id: &str, keys: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(id.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect())])
    }

    #[rstest]
    #[case(Context::Main, "x", Some(Action::Terminate))]
    #[case(Context::Main, "/", Some(Action::Filter))]
    #[case(Context::Logs, "/", Some(Action::Search))]
    #[case(Context::Logs, "x", None)]
    #[case::arrow_up(Context::Main, "up", Some(Action::Up))]
    #[case::vim_up(Context::Main, "k", Some(Action::Up))]
    #[case::arrow_down(Context::Main, "down", Some(Action::Down))]
    #[case::vim_down(Context::Main, "j", Some(Action::Down))]
    fn default_binding(#[case] context: Context, #[case] key: &str, #[case] action: Option<Action>) {
        let map = Keymap::new(&BTreeMap::new()).unwrap();
        assert_eq!(map.action(context, key.parse().unwrap()), action);
    }

    #[test]
    fn rebinding_replaces_the_default_keys() {
        let map = Keymap::new(&changes("terminate", &["X", "ctrl-x"])).unwrap();
        assert_eq!(map.action(Context::Main, "x".parse().unwrap()), None);
        assert_eq!(map.action(Context::Main, "ctrl-x".parse().unwrap()), Some(Action::Terminate));
        assert_eq!(map.label(Action::Terminate, false), "X");
    }

    #[rstest]
    #[case("terminate", &["l"], "l is bound to both launch and terminate")]
    #[case("fly", &["f"], "unknown action \"fly\"")]
    #[case("launch", &["hyper-x"], "not a valid key: \"hyper-x\"")]
    #[case("launch", &[""], "not a valid key")]
    #[case("quit", &[], "quit has no key")]
    fn invalid_binding_is_named(#[case] id: &str, #[case] keys: &[&str], #[case] message: &str) {
        let failure = Keymap::new(&changes(id, keys)).unwrap_err();
        assert!(failure.message.contains(message), "{}", failure.message);
    }

    #[rstest]
    fn key_round_trips(
        #[values("a", "G", "-", "ctrl--", "enter", "f12", "ctrl-d", "alt-x", "shift-up", "é", "space")]
        name: &str,
    ) {
        assert_eq!(name.parse::<Key>().unwrap().to_string(), name);
    }
}
