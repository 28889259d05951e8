//! Which key does what, where. Everybody may rebind; two actions on one key of one screen are refused with both names.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action, Context};
use crate::failure::{Failure, Kind};

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const NAMED: &[(&str, KeyCode)] = &[
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

impl Key {
    /// The key of an event. Shift is part of the character, so it counts only where there is none.
    #[must_use]
    pub fn of(event: KeyEvent) -> Self {
        let mut modifiers =
            event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers.remove(KeyModifiers::SHIFT);
        }
        Self { code: event.code, modifiers }
    }

    /// As it is shown: short, with a sign where there is one.
    #[must_use]
    pub fn shown(self, ascii: bool) -> String {
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
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
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
        let bad = || {
            Failure::new(
                Kind::Usage,
                format!("{text:?} is no key"),
                "write a character, or enter, esc, tab, space, up, f5, ctrl-d, alt-x and the like",
            )
        };
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((name, after)) = rest.split_once('-').filter(|(_, after)| !after.is_empty()) {
            modifiers |= match name {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(bad()),
            };
            rest = after;
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => KeyCode::Char(c),
            (Some('f'), Some(_)) if rest[1..].parse::<u8>().is_ok_and(|n| (1..=24).contains(&n)) => {
                KeyCode::F(rest[1..].parse().map_err(|_| bad())?)
            }
            _ => NAMED.iter().find(|(name, _)| *name == rest).map(|(_, code)| *code).ok_or_else(bad)?,
        };
        if matches!(code, KeyCode::Char(_)) && modifiers.contains(KeyModifiers::SHIFT) {
            return Err(bad());
        }
        Ok(Self { code, modifiers })
    }
}

/// Which key does what.
#[derive(Debug, Clone)]
pub struct Keymap {
    by_key: HashMap<(Context, Key), Action>,
    by_action: HashMap<Action, Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        // The defaults are under test, so that nothing is lost here.
        Self::with(&BTreeMap::new())
            .unwrap_or_else(|_| Self { by_key: HashMap::new(), by_action: HashMap::new() })
    }
}

impl Keymap {
    /// The default keys with a person's changes: action id → keys. An empty list takes the keys away.
    ///
    /// # Errors
    /// Where an id or a key does not exist, where two actions would share a key, and where no key would quit.
    pub fn with(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, Failure> {
        if let Some(unknown) = changes.keys().find(|id| !ACTIONS.iter().any(|entry| entry.id == **id)) {
            let message = format!("keys: there is no action {unknown:?}");
            return Err(Failure::new(Kind::Usage, message, "the help (?) and the manual list the actions"));
        }
        let mut map = Self { by_key: HashMap::new(), by_action: HashMap::new() };
        for entry in ACTIONS {
            let keys = match changes.get(entry.id) {
                Some(own) => own.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>()?,
                None => entry.keys.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>()?,
            };
            for context in entry.contexts {
                for key in &keys {
                    match map.by_key.insert((*context, *key), entry.action) {
                        Some(other) if other != entry.action => {
                            return Err(clash(*key, other.entry().id, entry.id));
                        }
                        _ => {}
                    }
                }
            }
            map.by_action.insert(entry.action, keys);
        }
        if map.keys(Action::Quit).is_empty() {
            return Err(Failure::new(Kind::Usage, "keys: no key quits", "leave quit at least one key"));
        }
        Ok(map)
    }

    /// What a key does here.
    #[must_use]
    pub fn action(&self, context: Context, key: Key) -> Option<Action> {
        self.by_key.get(&(context, key)).copied()
    }

    /// The keys of an action.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        self.by_action.get(&action).map_or(&[], Vec::as_slice)
    }

    /// The first key of an action as it is shown; empty where it has none.
    #[must_use]
    pub fn shown(&self, action: Action, ascii: bool) -> String {
        self.keys(action).first().map(|key| key.shown(ascii)).unwrap_or_default()
    }
}

fn clash(key: Key, one: &str, other: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("keys: {key} is bound to both {one} and {other}"),
        format!("give {one} or {other} another key in the configuration"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(id: &str, keys: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(id.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect())])
    }

    #[test]
    fn the_defaults_do_not_clash() {
        let map = Keymap::with(&BTreeMap::new()).unwrap();
        assert_eq!(map.action(Context::Main, "x".parse().unwrap()), Some(Action::Terminate));
        assert_eq!(map.action(Context::Main, "/".parse().unwrap()), Some(Action::Filter));
        assert_eq!(map.action(Context::Logs, "/".parse().unwrap()), Some(Action::Search));
        assert_eq!(map.action(Context::Logs, "x".parse().unwrap()), None);
    }

    #[test]
    fn keys_can_be_rebound() {
        let map = Keymap::with(&changes("terminate", &["D", "ctrl-x"])).unwrap();
        assert_eq!(map.action(Context::Main, "x".parse().unwrap()), None);
        assert_eq!(map.action(Context::Main, "ctrl-x".parse().unwrap()), Some(Action::Terminate));
        assert_eq!(map.shown(Action::Terminate, false), "D");
    }

    #[test]
    fn mistakes_are_told_with_names() {
        for (id, keys, told) in [
            ("terminate", vec!["l"], "l is bound to both launch and terminate"),
            ("fly", vec!["f"], "no action \"fly\""),
            ("launch", vec!["hyper-x"], "\"hyper-x\" is no key"),
            ("launch", vec![""], "is no key"),
            ("quit", vec![], "no key quits"),
        ] {
            let failure = Keymap::with(&changes(id, &keys)).unwrap_err();
            assert!(failure.message.contains(told), "{}", failure.message);
        }
    }

    #[test]
    fn keys_read_as_they_are_written() {
        for name in ["a", "G", "-", "ctrl--", "enter", "f12", "ctrl-d", "alt-x", "shift-up", "é", "space"] {
            assert_eq!(name.parse::<Key>().unwrap().to_string(), name);
        }
    }
}
