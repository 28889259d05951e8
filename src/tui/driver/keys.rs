//! Tells a paste from typing, in terminals that do not mark pasted text (bracketed paste). A paste must not act as keys: `x`, `y` and
//! Enter in it would terminate an environment.
//!
//! Keys are held for as long as they come with less than [`PAUSE`] between them, and at most for [`MAX_HOLD`]. No hand is that
//! fast, and a key that is held down repeats every 30 ms. Keys held together are a paste
//!
//! - outside of text fields: if they type at least [`MIN_KEYS`] characters, of which [`MIN_DIFFERENT`] differ, so that the repeats of a few
//!   keys that a slow connection delivers together are still keys. The paste is ignored, and the user is told;
//! - in a text field: if a line break is in the middle, which then is part of the text. At the end it is Enter.
//!
//! Characters that follow a paste within [`AFTER_PASTE`] belong to it. The keys of a filter or search may follow the key that opens it.

use std::collections::BTreeSet;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(10);
const MAX_HOLD: Duration = Duration::from_millis(30);
const AFTER_PASTE: Duration = Duration::from_millis(150);
const MIN_KEYS: usize = 4;
const MIN_DIFFERENT: usize = 3;

/// Keys that have not been acted on yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    held: Vec<KeyEvent>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// When the last key of a paste came.
    pasted: Option<Instant>,
}

impl Keys {
    pub(super) fn push(&mut self, key: KeyEvent) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.held.push(key);
    }

    /// Returns when to act on the held keys.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        Some(if self.follows_paste(first) { first } else { (last + PAUSE).min(first + MAX_HOLD) })
    }

    fn follows_paste(&self, at: Instant) -> bool {
        self.pasted.is_some_and(|pasted| at.duration_since(pasted) < AFTER_PASTE)
    }

    /// Takes the held keys if their time is over, or if `now`; with whether they belong to a paste that was found earlier.
    pub(super) fn take(&mut self, now: bool) -> Option<(Vec<KeyEvent>, bool)> {
        if self.deadline()? > Instant::now() && !now {
            return None;
        }
        let first = self.first.take()?;
        let pasted = self.follows_paste(first);
        self.last = None;
        Some((std::mem::take(&mut self.held), pasted))
    }

    /// Makes what follows soon a part of this paste.
    pub(super) fn was_paste(&mut self) {
        self.pasted = Some(Instant::now());
    }
}

/// Whether keys that came together are a paste.
pub(super) fn is_paste(keys: &[KeyEvent], in_text_field: bool) -> bool {
    let typed: Vec<char> = keys.iter().filter_map(|key| typed_char(*key)).collect();
    if typed.len() < MIN_KEYS {
        return false;
    }
    if in_text_field {
        typed[..typed.len() - 1].contains(&'\n')
    } else {
        typed.iter().collect::<BTreeSet<_>>().len() >= MIN_DIFFERENT
    }
}

/// Returns the character of a key that text can contain.
pub(super) fn typed_char(key: KeyEvent) -> Option<char> {
    if key.kind == KeyEventKind::Release || !(key.modifiers - KeyModifiers::SHIFT).is_empty() {
        return None;
    }
    match key.code {
        KeyCode::Char(c) => Some(c),
        KeyCode::Enter => Some('\n'),
        KeyCode::Tab => Some('\t'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(text: &str) -> Vec<KeyEvent> {
        let code = |c| match c {
            '\r' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '↓' => KeyCode::Down,
            c => KeyCode::Char(c),
        };
        text.chars().map(|c| KeyEvent::from(code(c))).collect()
    }

    #[rstest]
    #[case::word("xylo", true)]
    #[case::two_short_lines("x\ry\r", true)]
    #[case::held_key("jjjjjjjj", false)]
    #[case::two_repeated_keys("jjjjkkkk", false)]
    #[case::arrows("↓↓↓↓↓↓x", false)]
    #[case::three_keys("Gkx", false)]
    fn paste_outside_of_a_text_field(#[case] text: &str, #[case] paste: bool) {
        assert_eq!(is_paste(&keys(text), false), paste);
    }

    #[rstest]
    #[case::two_lines("name\rnext", true)]
    #[case::enter_at_the_end("checkout-fix\t\tpayments=f-123\r", false)]
    #[case::word("checkout", false)]
    fn paste_in_a_text_field(#[case] text: &str, #[case] paste: bool) {
        assert_eq!(is_paste(&keys(text), true), paste);
    }

    #[test]
    fn keys_with_control_are_not_text() {
        let control = KeyEvent::new(KeyCode::Char('d'), KeyModifiers::CONTROL);
        assert!(!is_paste(&[control; 9], false));
    }
}
