//! The choice of the sources of a log that are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use crate::tui::app::log_view::buffer::LogBuffer;

#[derive(Debug, Clone)]
pub(crate) struct SourceMenu {
    /// The sources by name, with their colour and whether they are chosen.
    pub(crate) sources: Vec<(Arc<str>, usize, bool)>,
    /// The index of the selected one.
    pub(crate) index: usize,
}

impl SourceMenu {
    /// Returns the choice among the sources of a log; `None` if it has none yet.
    pub(crate) fn new(buffer: &LogBuffer) -> Option<Self> {
        // Two sources can have one name once what cannot be shown is left out.
        let colours: BTreeMap<_, _> = buffer
            .sources()
            .iter()
            .enumerate()
            .rev()
            .map(|(colour, name)| (Arc::clone(name), colour))
            .collect();
        let is_chosen = |name: &Arc<str>| buffer.only().is_none_or(|only| only.contains(name));
        let sources: Vec<_> =
            colours.into_iter().map(|(name, colour)| (Arc::clone(&name), colour, is_chosen(&name))).collect();
        (!sources.is_empty()).then_some(Self { sources, index: 0 })
    }

    /// Returns the chosen sources, or `None` if these are all.
    fn chosen(&self) -> Option<BTreeSet<Arc<str>>> {
        let chosen = self.sources.iter().filter(|(_, _, chosen)| *chosen);
        let chosen: BTreeSet<_> = chosen.map(|(name, ..)| Arc::clone(name)).collect();
        (chosen.len() < self.sources.len()).then_some(chosen)
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let last = self.sources.len() - 1;
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Response::Close,
            KeyCode::Enter if self.sources.iter().all(|(_, _, chosen)| !chosen) => {
                return Response::Notify("choose at least one source with space".to_owned());
            }
            KeyCode::Enter => return Response::ShowSources(self.chosen()),
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => self.index = (self.index + 1).min(last),
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => self.index = self.index.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.index = 0,
            KeyCode::End | KeyCode::Char('G') => self.index = last,
            KeyCode::Char(' ') => {
                let (_, _, chosen) = &mut self.sources[self.index];
                *chosen = !*chosen;
            }
            KeyCode::Char('a') => {
                let all = self.sources.iter().any(|(_, _, chosen)| !chosen);
                self.sources.iter_mut().for_each(|(_, _, chosen)| *chosen = all);
            }
            KeyCode::Char('o') => {
                let index = self.index;
                self.sources.iter_mut().enumerate().for_each(|(at, (_, _, chosen))| *chosen = at == index);
                return Response::ShowSources(self.chosen());
            }
            _ => {}
        }
        Response::KeepOpen
    }
}
