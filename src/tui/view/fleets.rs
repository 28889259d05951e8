//! The table of environments with several fleets.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Span;

use super::chrome::{self, Part};
use super::environments::{Counts, EnvironmentsTable};
use crate::domain::FleetName;
use crate::tui::app::batch::counted;
use crate::tui::app::fleets::Fleets;
use crate::tui::app::groups::Group;
use crate::tui::app::model::Model;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;

/// The columns left of the text of a group: where the rows have their names.
const INDENT: u16 = 3;

/// The minimum width of a head with the whole number of the account.
const WIDE: u16 = 100;

/// Draws the table with the groups of all fleets; returns the position of the cursor while the filter is edited.
pub(super) fn draw(fleets: &Fleets, buf: &mut Buffer) -> Option<Position> {
    let active = fleets.active();
    let (styles, area) = (&active.styles, active.regions.body);
    let table = EnvironmentsTable::of(active);
    let counts = counts(fleets);
    let mut frame = Frame::new(table.title(styles), table.border);
    frame.right = table.status(styles, area.width, &counts);
    let status_width: usize = frame.right.iter().map(Span::width).sum();
    let inner = frame.draw(styles, buf, area);
    table.draw_titles(styles, buf, inner);
    let rows = Rect { y: inner.y + inner.height.min(1), height: inner.height.saturating_sub(1), ..inner };
    for group in &fleets.groups.list {
        if let Some(model) = fleets.models().get(group.fleet) {
            let is_active = group.fleet == fleets.active_index();
            GroupView { fleets, group, model, is_active }.draw(buf, rows);
        }
    }
    active.environments.filter.editing.then(|| table.filter_cursor(area, status_width))
}

/// Returns the numbers of environments for the frame.
fn counts(fleets: &Fleets) -> Counts {
    let groups = &fleets.groups;
    let panes = || fleets.models().iter().map(|model| &model.environments);
    let visible = panes().map(|pane| pane.visible().len()).sum();
    let hidden = groups.offset + usize::from(groups.has_sticky_head());
    Counts {
        visible,
        all: panes().map(|pane| pane.all().len()).sum(),
        range: (!groups.fits())
            .then(|| (groups.rows_before(hidden) + 1, groups.rows_before(groups.offset + groups.height))),
    }
}

struct GroupView<'a> {
    fleets: &'a Fleets,
    group: &'a Group,
    model: &'a Model,
    is_active: bool,
}

impl GroupView<'_> {
    /// Draws those lines of the group that are visible.
    fn draw(&self, buf: &mut Buffer, area: Rect) {
        let (groups, group) = (&self.fleets.groups, self.group);
        let (top, end) = (groups.offset, groups.offset + usize::from(area.height));
        if group.end() <= top || group.start >= end {
            return;
        }
        // A head that is scrolled out of view takes the first line.
        let is_sticky = group.start < top && groups.has_sticky_head();
        let head = if is_sticky { top } else { group.start };
        let first = (group.start + 1).max(top + usize::from(is_sticky));
        let place = |line: usize| Rect {
            y: area.y.saturating_add(u16::try_from(line - top).unwrap_or(u16::MAX)),
            height: 1,
            ..area
        };
        if head >= top {
            self.draw_head(buf, place(head).intersection(area));
        }
        if first >= end || first >= group.end() {
            return;
        }
        let height = u16::try_from(group.end().min(end) - first).unwrap_or(u16::MAX);
        let body = Rect { height, ..place(first) }.intersection(area);
        let index = first - group.start - 1;
        if group.rows > 0 {
            self.table().draw_rows(&self.model.styles, buf, body, index, self.is_active);
        } else {
            let styles = &self.model.styles;
            for (row, (role, text)) in body.rows().zip(group.text.iter().skip(index)) {
                let row = Rect { x: row.x + INDENT, width: row.width.saturating_sub(INDENT), ..row };
                line::put(buf, row, styles.span(role, text.as_str()), styles.glyphs.ellipsis);
            }
        }
    }

    fn table(&self) -> EnvironmentsTable<'_> {
        EnvironmentsTable::of(self.model)
    }

    /// Draws which fleet it is, where, how many environments it has, and what is wrong with it.
    fn draw_head(&self, buf: &mut Buffer, area: Rect) {
        let (model, styles) = (self.model, &self.model.styles);
        let header = model.header();
        let is_selected = self.is_active && self.group.rows == 0;
        let role = if self.is_active { "text.strong" } else { "text" };
        let mut left = vec![Part::new(100, vec![styles.span(role, self.name())])];
        if header.production {
            left.push(Part::new(90, vec![styles.production()]));
        }
        left.extend(self.place(&header.region, area.width));
        let mut right = Vec::new();
        if !model.environments.marks.is_empty() {
            let marked = format!("{} marked", model.environments.marks.len());
            right.push(Part::new(60, vec![styles.span("key", marked)]));
        }
        if let Some(count) = self.count() {
            right.push(Part::new(50, vec![styles.span("text.muted", count)]));
        }
        if header.age.stale {
            let text = format!("{} {}", styles.glyphs.warning, header.age.text);
            right.push(Part::new(80, vec![styles.span("age.stale", text)]));
        }
        let inner = Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area };
        chrome::parts(styles, buf, inner, left, right);
        if is_selected {
            let focused = self.table().focused;
            buf.set_style(area, styles.role(if focused { "selection" } else { "selection.unfocused" }));
        }
    }

    /// Returns the label, with the fleet's name if that is another one.
    fn name(&self) -> String {
        let (label, name) = (self.model.label(), self.model.options.fleet.as_ref());
        match name.map(FleetName::as_str) {
            Some(name) if name != label => format!("{label} ({name})"),
            _ => label.to_owned(),
        }
    }

    fn place(&self, region: &str, width: u16) -> Option<Part> {
        let styles = &self.model.styles;
        let (long, short) = chrome::account_texts(styles, &self.model.account);
        let account = if width < WIDE { short } else { long };
        let parts: Vec<&str> = [region, &account].into_iter().filter(|part| !part.is_empty()).collect();
        let text = parts.join(&format!(" {} ", styles.glyphs.dot));
        (!text.is_empty()).then(|| Part::new(70, vec![styles.span("text.muted", text)]))
    }

    /// Returns how many environments the fleet has, or how many of them match; `None` until it is known.
    fn count(&self) -> Option<String> {
        let pane = &self.model.environments;
        let listed = &self.model.fleet_view.as_ref()?.world.records;
        let all = pane.all().len();
        Some(if pane.is_filtered() {
            format!("{} of {all}", pane.visible().len())
        } else if listed.complete {
            counted(all)
        } else {
            format!("{all}+ environments")
        })
    }
}

/// Says in which fleet a dialog acts, if there are several.
pub(super) fn in_fleet(model: &Model) -> String {
    if model.labels.len() < 2 { String::new() } else { format!(" in {}", model.label()) }
}
