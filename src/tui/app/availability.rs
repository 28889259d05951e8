//! Which actions are available, for the footer and the palette.

use std::ops::Range;

use super::dialog::palette::Palette;
use super::model::{Connection, Model, Screen};
use super::regions::Pane;
use crate::domain::DatabaseState;
use crate::domain::environment::EnvironmentState;
use crate::tui::action::{ACTIONS, Action};
use crate::tui::text;

/// An action in the footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) action: Action,
    pub(crate) key: String,
    pub(crate) label: &'static str,
    pub(crate) enabled: bool,
    /// The hint with the lowest priority is dropped first.
    pub(crate) priority: u8,
}

impl Hint {
    fn width(&self) -> u16 {
        u16::try_from(text::width(&self.key) + 1 + text::width(self.label)).unwrap_or(u16::MAX)
    }
}

/// The columns between two hints of the footer.
const HINT_GAP: u16 = 2;

/// An action in the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaletteRow {
    pub(crate) id: &'static str,
    pub(crate) help: &'static str,
    pub(crate) key: String,
    pub(crate) disabled_reason: Option<&'static str>,
}

impl Model {
    /// Whether the screen can be filtered.
    fn has_filter(&self) -> bool {
        matches!(self.screen, Screen::Main | Screen::Help | Screen::Activity(_))
    }

    /// Returns why an action is disabled now; `None` if it is enabled.
    pub(crate) fn disabled_reason(&self, action: Action) -> Option<&'static str> {
        let entry = action.entry();
        if let Some(reason) = self.read_only_reason().filter(|_| entry.mutates) {
            return Some(reason);
        }
        if entry.mutates && (self.connection != Connection::Up || self.fleet_view.is_none()) {
            return Some("not connected yet");
        }
        if action == Action::Filter && !self.has_filter() {
            return Some("there is nothing to filter here");
        }
        if action == Action::LogIn && self.options.login.is_none() {
            return Some("the credentials come from no session of the AWS CLI");
        }
        if action == Action::Undo && !self.can_undo() {
            return Some("you extended nothing in the last five minutes");
        }
        if action == Action::Suspend && cfg!(not(unix)) {
            return Some("not possible on this system");
        }
        if action == Action::NextFleet && self.labels.len() < 2 {
            return Some("the dashboard shows one fleet");
        }
        let opens_page = matches!(self.screen, Screen::Main) && self.pane != Pane::Environments;
        if self.batch_action(action).is_some() || (action == Action::Details && opens_page) {
            return None;
        }
        let needs_environment = matches!(
            action,
            Action::Extend
                | Action::Pin
                | Action::Redeploy
                | Action::Diff
                | Action::Terminate
                | Action::Reset
                | Action::Open
                | Action::OpenMenu
                | Action::Logs
                | Action::Shell
                | Action::Database
                | Action::Kubectl
                | Action::Details
                | Action::CopyUrl
                | Action::CopyId
                | Action::Mark
        );
        if matches!(action, Action::Hold | Action::Release) {
            return self.cannot_hold(action == Action::Release);
        }
        match self.current() {
            None if needs_environment => Some("no environment selected"),
            Some(row) if row.state == EnvironmentState::Terminating => match action {
                Action::Terminate => Some("already terminating"),
                Action::Extend | Action::Pin | Action::Redeploy | Action::Reset => {
                    Some("too late: already terminating")
                }
                _ => None,
            },
            Some(row) if action == Action::Redeploy => row.redeploy_disabled_reason(),
            Some(row) if action == Action::Reset && row.details.reset.is_some() => {
                Some("a reset is in progress")
            }
            Some(row)
                if action == Action::Reset
                    && row.state != EnvironmentState::Ready
                    && row.state != EnvironmentState::Failed =>
            {
                Some("it is not ready")
            }
            _ => None,
        }
    }

    /// Returns why the selected database or environment cannot be held or released.
    fn cannot_hold(&self, release: bool) -> Option<&'static str> {
        if self.selected_database().is_some() {
            let selected = self.pool.selection.selected;
            let row = self.pool.status.rows.iter().find(|row| Some(row.number) == selected)?;
            return match row.state {
                DatabaseState::Held => None,
                _ if release => Some("it is not held"),
                DatabaseState::Deleting => Some("too late: it is being deleted"),
                _ => None,
            };
        }
        match self.current() {
            None => Some("no environment selected"),
            Some(row) if release && row.details.record.hold.is_none() => Some("it is not held"),
            Some(row) if row.state == EnvironmentState::Terminating => Some("too late: already terminating"),
            Some(_) => None,
        }
    }

    /// Returns the hints for the footer, in its order.
    pub(crate) fn hints(&self) -> Vec<Hint> {
        const WITHOUT_CONNECTION: [Action; 7] = [
            Action::LogIn,
            Action::Refresh,
            Action::NextFleet,
            Action::Palette,
            Action::Help,
            Action::Back,
            Action::Quit,
        ];
        let context = self.context();
        // On the main screen, "back" only clears the filter and the marks.
        let hides_back = matches!(self.screen, Screen::Main)
            && self.environments.filter.text().is_empty()
            && self.environments.marks.is_empty();
        let connected = self.connection == Connection::Up;
        ACTIONS
            .iter()
            .filter(|entry| entry.hint_priority > 0 && entry.contexts.contains(&context))
            .filter(|entry| entry.action != Action::Back || !hides_back)
            .filter(|entry| entry.action != Action::Filter || self.has_filter())
            .filter(|entry| entry.action != Action::NextFleet || self.labels.len() > 1)
            .filter(|entry| entry.action != Action::Undo || self.can_undo())
            .filter(|entry| entry.action != Action::LogIn || self.login_hint().is_some())
            .filter(|entry| connected || WITHOUT_CONNECTION.contains(&entry.action))
            .map(|entry| Hint {
                action: entry.action,
                key: self.key_label(entry.action),
                label: entry.label,
                enabled: self.disabled_reason(entry.action).is_none(),
                priority: entry.hint_priority,
            })
            .filter(|hint| !hint.key.is_empty())
            .collect()
    }

    /// Returns the hints that fit into the footer, each with its columns.
    pub(crate) fn footer_hints(&self) -> Vec<(Range<u16>, Hint)> {
        let room = self.regions.footer.width.saturating_sub(2);
        let mut hints: Vec<_> = self.hints().into_iter().map(|hint| (hint.width(), hint)).collect();
        let needed = |hints: &[(u16, Hint)]| hints.iter().map(|(width, _)| width + HINT_GAP).sum::<u16>();
        while needed(&hints) > room.saturating_add(HINT_GAP) {
            let lowest = hints.iter().map(|(_, hint)| hint.priority).min();
            hints.retain(|(_, hint)| Some(hint.priority) != lowest);
        }
        let mut next = self.regions.footer.x + 1;
        hints
            .into_iter()
            .map(|(width, hint)| {
                let start = next;
                next = start + width + HINT_GAP;
                (start..start + width, hint)
            })
            .collect()
    }

    /// Returns the rows that match the text in the palette.
    pub(crate) fn palette_rows(&self, palette: &Palette) -> Vec<PaletteRow> {
        palette
            .matches(self.context())
            .into_iter()
            .map(|entry| PaletteRow {
                id: entry.id,
                help: entry.help,
                key: self.key_label(entry.action),
                disabled_reason: self.disabled_reason(entry.action),
            })
            .collect()
    }

    /// Returns the label of the action's first key; empty if the action is unbound.
    pub(crate) fn key_label(&self, action: Action) -> String {
        self.options.keymap.label(action, self.styles.glyphs.ascii)
    }
}
