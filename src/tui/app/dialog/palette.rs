//! The command palette.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::response::Response;
use crate::tui::action::{ACTIONS, Action, Context, Entry};
use crate::tui::app::form::edit;

/// The commands that take arguments.
const EXAMPLES: [&str; 7] = [
    "extend 2h",
    "pin 16:00",
    "launch checkout-fix payments=f-123 ttl=8h note=what it is for",
    "filter owner:amy state:ready",
    "sort cost desc",
    "theme dark",
    "fleet qa",
];

#[derive(Debug, Clone, Default)]
pub(crate) struct Palette {
    pub(crate) input: Input,
    /// The index of the selected match.
    pub(crate) index: usize,
    /// What is wrong with the command.
    pub(crate) error: Option<String>,
}

impl Palette {
    /// Returns the named action and its arguments, once there are any.
    fn command(&self) -> Option<(&'static Entry, &str)> {
        let (name, arguments) = self.input.value().trim().split_once(char::is_whitespace)?;
        Some((ACTIONS.iter().find(|entry| entry.id == name)?, arguments))
    }

    /// Returns an example of the typed command if it takes arguments.
    pub(crate) fn example(&self) -> Option<&'static str> {
        let name = self.input.value().split_whitespace().next()?;
        EXAMPLES.iter().find(|example| example.split(' ').next() == Some(name)).copied()
    }

    /// To be called after a change of the text.
    pub(super) fn edited(&mut self) {
        self.index = 0;
        self.error = None;
    }

    /// Returns the actions of the context that match the typed text by id or help, best first.
    pub(crate) fn matches(&self, context: Context) -> Vec<&'static Entry> {
        if let Some((entry, _)) = self.command() {
            return vec![entry];
        }
        let typed = self.input.value().trim().to_lowercase();
        let mut matches: Vec<_> = ACTIONS
            .iter()
            .filter(|entry| entry.action != Action::Palette && entry.contexts.contains(&context))
            .filter_map(|entry| {
                let by_id = gaps(entry.id, &typed).map(|gaps| gaps * 2);
                // Odd scores: at equal distance, ids come before helps.
                let by_help = entry.help.to_lowercase().find(&typed).map(|at| at * 2 + 7);
                Some((by_id.into_iter().chain(by_help).min()?, entry))
            })
            .collect();
        matches.sort_by_key(|(score, _)| *score);
        matches.into_iter().map(|(_, entry)| entry).collect()
    }

    pub(super) fn key(&mut self, key: KeyEvent, context: Context) -> Response {
        let matches = self.matches(context);
        let last = matches.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Response::Close,
            KeyCode::Enter if self.command().is_some() => {
                return Response::Command(self.input.value().to_owned());
            }
            KeyCode::Enter => {
                return matches
                    .get(self.index)
                    .map_or(Response::KeepOpen, |entry| Response::Run(entry.action));
            }
            KeyCode::Down | KeyCode::Tab => self.index = (self.index + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => self.index = self.index.saturating_sub(1),
            _ => {
                if edit(&mut self.input, key) {
                    self.edited();
                }
            }
        }
        Response::KeepOpen
    }
}

/// Returns the number of skipped bytes when the letters of `typed` are found in `text` in order; `None` if one is missing.
fn gaps(text: &str, typed: &str) -> Option<usize> {
    let mut rest = text;
    let mut gaps = 0;
    for c in typed.chars().filter(|c| !c.is_whitespace()) {
        let at = rest.find(c)?;
        gaps += at;
        rest = &rest[at + c.len_utf8()..];
    }
    Some(gaps)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("terminate", "term", Some(0))]
    #[case("open-menu", "om", Some(4))]
    #[case("open-menu", "mo", None)]
    fn gaps_requires_the_order_of_the_letters(
        #[case] text: &str,
        #[case] typed: &str,
        #[case] skipped: Option<usize>,
    ) {
        assert_eq!(gaps(text, typed), skipped);
    }
}
