//! The choice of the environment to compare with.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use crate::domain::RecordId;
use crate::tui::app::rows::EnvironmentRow;

#[derive(Debug, Clone)]
pub(crate) struct DiffMenu {
    pub(crate) record: RecordId,
    pub(crate) name: String,
    /// The other environments: record, id, name and services.
    pub(crate) others: Vec<(RecordId, String, String, String)>,
    /// The index of the selected one.
    pub(crate) index: usize,
}

impl DiffMenu {
    /// Returns the choice among the visible environments; `None` if there is no other one.
    pub(crate) fn new<'r>(
        row: &EnvironmentRow,
        all: impl Iterator<Item = &'r EnvironmentRow>,
    ) -> Option<Self> {
        let others: Vec<_> = all
            .filter(|other| other.record != row.record)
            .map(|other| {
                (other.record.clone(), other.id.to_string(), other.name.clone(), other.services.clone())
            })
            .collect();
        let is_empty = others.is_empty();
        (!is_empty).then(|| Self { record: row.record.clone(), name: row.name.clone(), others, index: 0 })
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Response {
        let last = self.others.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Response::Close,
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => self.index = (self.index + 1).min(last),
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => self.index = self.index.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.index = 0,
            KeyCode::End | KeyCode::Char('G') => self.index = last,
            KeyCode::Enter => {
                if let Some((other, ..)) = self.others.get(self.index) {
                    return Response::Diff(self.record.clone(), other.clone());
                }
            }
            _ => {}
        }
        Response::KeepOpen
    }
}
