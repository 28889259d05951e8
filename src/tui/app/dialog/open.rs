//! The menu of an environment's endpoints.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::response::Response;
use crate::domain::{EnvironmentId, RecordId};
use crate::tui::app::rows::Addresses;

#[derive(Debug, Clone)]
pub(crate) struct OpenMenu {
    pub(crate) record: RecordId,
    pub(crate) id: EnvironmentId,
    /// The index of the selected endpoint.
    pub(crate) index: usize,
}

impl OpenMenu {
    pub(super) fn key(&mut self, key: KeyEvent, addresses: Option<&Addresses>) -> Response {
        let count = addresses.map_or(0, |addresses| addresses.len());
        let by_initial = |c: char| addresses?.iter().position(|(name, _)| name.starts_with(c));
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Response::Close,
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => {
                self.index = (self.index + 1).min(count.saturating_sub(1));
            }
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => self.index = self.index.saturating_sub(1),
            KeyCode::Enter => return self.open(addresses),
            KeyCode::Char(c) => {
                if let Some(index) = by_initial(c) {
                    self.index = index;
                    return self.open(addresses);
                }
            }
            _ => {}
        }
        Response::KeepOpen
    }

    fn open(&self, addresses: Option<&Addresses>) -> Response {
        match addresses.and_then(|addresses| addresses.get(self.index)) {
            Some((_, Some(address))) => Response::Open(self.id.clone(), address.clone()),
            Some((_, None)) => Response::Notify(no_address(&self.id)),
            None => Response::Notify(format!("{} no longer exists", self.id)),
        }
    }
}

/// Returns the message for an environment without URLs.
pub(crate) fn no_address(id: &EnvironmentId) -> String {
    format!("{id} has no address until its instance runs")
}
