//! The table of environments with several fleets: a head for each fleet, and below it its environments or what is to say instead. The lines
//! are numbers; nothing here costs more with more rows.

use super::model::{Connection, Model};
use crate::domain::RecordId;
use crate::tui::action::Action;
use crate::tui::text;

/// The columns of a group's text that are free at its sides.
const TEXT_MARGIN: u16 = 8;

/// What a line of the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The head of a group.
    Head,
    /// The environment with this index among the visible ones of its fleet.
    Row(usize),
    /// The line with this index of a group without environments.
    Text(usize),
}

/// The lines of one fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// The index of the fleet.
    pub(crate) fleet: usize,
    /// The line with the head.
    pub(crate) start: usize,
    /// The number of environments.
    pub(crate) rows: usize,
    /// What is shown instead of environments, as theme roles and wrapped lines.
    pub(crate) text: Vec<(&'static str, String)>,
}

impl Group {
    pub(crate) fn end(&self) -> usize {
        self.start + 1 + self.rows.max(self.text.len())
    }

    /// Returns the lines that are visible if the group is selected, with the environment of this index.
    fn selected(&self, index: usize) -> (usize, usize) {
        if self.rows == 0 {
            return (self.start, self.end() - 1);
        }
        let line = self.start + 1 + index.min(self.rows - 1);
        // The line above is the head, or the first line, where a head is drawn that is scrolled out of view.
        (line - 1, line)
    }
}

/// The groups with the scroll position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// Those of the fleets that the filter does not leave out.
    pub(crate) list: Vec<Group>,
    /// The first visible line.
    pub(crate) offset: usize,
    /// The number of visible lines.
    pub(crate) height: usize,
    /// The selected fleet and environment, and the line of the latter.
    anchor: Option<(usize, Option<RecordId>, usize)>,
}

impl Groups {
    /// Lays the groups out after a change, and scrolls by as little as possible. What is selected stays at its height on the screen.
    pub(super) fn arrange(&mut self, models: &[Model], active: usize) {
        let Some(model) = models.get(active) else { return };
        self.height = model.regions.environment_rows();
        let columns = usize::from(model.regions.body.width.saturating_sub(TEXT_MARGIN)).max(1);
        let all_left_out = models.iter().all(|model| model.environments.is_other_fleet);
        self.list.clear();
        let mut start = 0;
        for (fleet, model) in models.iter().enumerate() {
            if model.environments.is_other_fleet && !all_left_out && fleet != active {
                continue;
            }
            let rows = model.environments.visible().len();
            let text = if rows == 0 { wrap(model.group_text(), columns) } else { Vec::new() };
            let group = Group { fleet, start, rows, text };
            start = group.end();
            self.list.push(group);
        }
        self.scroll(model, active, start);
    }

    fn scroll(&mut self, model: &Model, active: usize, total: usize) {
        let selection = &model.environments.selection;
        let Some(group) = self.list.iter().find(|group| group.fleet == active) else { return };
        let (first, last) = group.selected(selection.index());
        if let Some((fleet, record, line)) = &self.anchor
            && *fleet == active
            && *record == selection.selected
        {
            self.offset = (self.offset + last).saturating_sub(*line);
        }
        self.anchor = Some((active, selection.selected.clone(), last));
        let height = self.height.max(1);
        self.offset =
            self.offset.min(total.saturating_sub(height)).min(first).max((last + 1).saturating_sub(height));
    }

    /// Returns the fleet and what is shown on a line of the screen.
    pub(crate) fn at(&self, y: usize) -> Option<(usize, Line)> {
        let line = self.offset + y;
        let group = self.list.iter().rev().find(|group| group.start <= line && line < group.end())?;
        let index = (line - group.start).checked_sub(1);
        let line = match index {
            _ if y == 0 && self.has_sticky_head() => Line::Head,
            None => Line::Head,
            Some(index) if group.rows > 0 => Line::Row(index),
            Some(index) => Line::Text(index),
        };
        Some((group.fleet, line))
    }

    /// Whether the first line shows the head of a group that begins above.
    pub(crate) fn has_sticky_head(&self) -> bool {
        self.height > 1 && !self.list.iter().any(|group| group.start == self.offset)
    }

    /// Returns the number of environments before a line.
    pub(crate) fn rows_before(&self, line: usize) -> usize {
        let rows = |group: &Group| line.saturating_sub(group.start + 1).min(group.rows);
        self.list.iter().map(rows).sum()
    }

    /// Returns whether all lines fit on the screen.
    pub(crate) fn fits(&self) -> bool {
        self.list.last().map_or(0, Group::end) <= self.height
    }
}

fn wrap(text: Vec<(&'static str, String)>, columns: usize) -> Vec<(&'static str, String)> {
    let lines = |(role, text): (&'static str, String)| {
        text::wrap(&text, columns).into_iter().map(move |line| (role, line))
    };
    text.into_iter().flat_map(lines).collect()
}

impl Model {
    /// Returns what the table says below the fleet's head instead of environments.
    fn group_text(&self) -> Vec<(&'static str, String)> {
        let refresh = self.options.keymap.label(Action::Refresh, false);
        let mut lines = match (&self.connection, &self.last_error) {
            (Connection::Failed(failure), _) => {
                let hint = Some(&failure.hint).filter(|hint| !hint.is_empty());
                let lines =
                    [Some(("level.error", failure.message.clone())), hint.map(|hint| ("text", hint.clone()))];
                let mut lines: Vec<_> = lines.into_iter().flatten().collect();
                lines.push(("text.muted", format!("press {refresh} here to connect again")));
                lines
            }
            (Connection::Up, Some(failure)) if self.fleet_view.is_none() => {
                let hint = format!("press {refresh} here to refresh");
                vec![("level.error", failure.sentence()), ("text.muted", hint)]
            }
            // The head says how many of how many match.
            _ if self.environments.is_filtered() && self.fleet_view.is_some() => Vec::new(),
            _ => self.no_environments(),
        };
        lines.retain(|(_, text)| !text.is_empty());
        lines
    }
}
