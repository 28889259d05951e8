//! Handles keys, pasted text and the mouse.

use std::mem::discriminant;
use std::time::Duration;

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use ratatui::layout::Position;

use super::actions;
use super::dialog::Dialog;
use super::form::{QueryKey, insert};
use super::log_actions;
use super::message::Effect;
use super::model::{Click, Model, Screen, Severity};
use super::regions::Pane;
use super::responses;
use crate::tui::action::Action;
use crate::tui::keymap::Key;

/// The longest time between the two presses of a double-click.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);

/// The rows by which the wheel scrolls.
const WHEEL_ROWS: isize = 3;

pub(super) fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    if event.kind == KeyEventKind::Release {
        return Vec::new();
    }
    model.last_click = None;
    press(model, event)
}

fn press(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    // Quits in every dialog and field and under every key binding.
    if event.code == KeyCode::Char('c') && event.modifiers == KeyModifiers::CONTROL {
        return vec![Effect::Quit];
    }
    // What a key would do cannot be seen.
    if model.is_too_small() {
        let action = model.options.keymap.action(model.context(), Key::from(event));
        return if action == Some(Action::Quit) { vec![Effect::Quit] } else { Vec::new() };
    }
    // Suspends in dialogs and fields too, unless the key types a character.
    let types = matches!(event.code, KeyCode::Char(_)) && (event.modifiers - KeyModifiers::SHIFT).is_empty();
    if !types && model.options.keymap.action(model.context(), Key::from(event)) == Some(Action::Suspend) {
        return actions::run(model, Action::Suspend);
    }
    if let Some(mut dialog) = model.dialog.take() {
        let row = match &dialog {
            Dialog::Open(menu) => model.environments.find(&menu.record),
            _ => None,
        };
        let response = dialog.key(event, model.context(), row.map(|row| &row.addresses));
        return responses::respond(model, dialog, response);
    }
    if model.environments.filter.editing {
        filter_key(model, event);
        return Vec::new();
    }
    if matches!(&model.screen, Screen::Activity(view) if view.filter.editing) {
        activity_filter_key(model, event);
        return Vec::new();
    }
    if let Screen::Logs(view) = &mut model.screen
        && (view.search.editing || view.filter.editing)
    {
        log_actions::query_key(model, event);
        return Vec::new();
    }
    if matches!(model.screen, Screen::Help) && model.help_filter.editing {
        help_filter_key(model, event);
        return Vec::new();
    }
    match model.options.keymap.action(model.context(), Key::from(event)) {
        Some(action) => actions::run(model, action),
        None => Vec::new(),
    }
}

fn filter_key(model: &mut Model, event: KeyEvent) {
    match model.environments.filter.key(event) {
        QueryKey::Move(by) => actions::move_in_pane(model, Pane::Environments, by),
        QueryKey::Edited | QueryKey::Ended => model.filter_and_sort(),
        QueryKey::Ignored => {}
    }
}

fn activity_filter_key(model: &mut Model, event: KeyEvent) {
    let Screen::Activity(view) = &mut model.screen else { return };
    match view.filter.key(event) {
        QueryKey::Move(by) => actions::scroll(model, by),
        QueryKey::Edited | QueryKey::Ended => view.apply_filter(&model.history.log),
        QueryKey::Ignored => {}
    }
}

fn help_filter_key(model: &mut Model, event: KeyEvent) {
    match model.help_filter.key(event) {
        QueryKey::Move(by) => actions::scroll(model, by),
        QueryKey::Edited => model.scroll = 0,
        QueryKey::Ended | QueryKey::Ignored => {}
    }
}

pub(super) fn paste(model: &mut Model, text: &str) {
    if !model.takes_text() {
        return model.notify(Severity::Info, "pasted text is ignored: it is not for a text field");
    }
    if let Some(dialog) = &mut model.dialog {
        dialog.paste(text);
    } else if model.environments.filter.editing {
        insert(&mut model.environments.filter.input, text);
        model.filter_and_sort();
    } else if let Screen::Activity(view) = &mut model.screen
        && view.filter.editing
    {
        insert(&mut view.filter.input, text);
        view.apply_filter(&model.history.log);
    } else if matches!(model.screen, Screen::Logs(_)) {
        log_actions::paste(model, text);
    } else {
        insert(&mut model.help_filter.input, text);
    }
}

impl Model {
    /// Whether a text field has the focus.
    pub(crate) fn takes_text(&self) -> bool {
        match (&self.dialog, &self.screen) {
            (Some(dialog), _) => dialog.takes_text(),
            (None, Screen::Logs(view)) => view.search.editing || view.filter.editing,
            (None, Screen::Activity(view)) => view.filter.editing,
            (None, Screen::Help) => self.help_filter.editing,
            (None, _) => self.environments.filter.editing,
        }
    }

    /// Whether the key opens the filter, the search or the palette, where text is expected to follow at once.
    pub(crate) fn opens_query(&self, key: KeyEvent) -> bool {
        let action = self.options.keymap.action(self.context(), Key::from(key));
        self.dialog.is_none()
            && !self.takes_text()
            && matches!(action, Some(Action::Filter | Action::Search | Action::LogFilter | Action::Palette))
    }
}

pub(super) fn mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    if model.is_too_small() {
        return Vec::new();
    }
    if model.dialog.is_some() {
        return dialog_mouse(model, event);
    }
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => return click(model, event.column, event.row),
        MouseEventKind::ScrollDown => wheel(model, event, WHEEL_ROWS),
        MouseEventKind::ScrollUp => wheel(model, event, -WHEEL_ROWS),
        _ => {}
    }
    Vec::new()
}

/// Handles the mouse while a dialog is open: a click is the key that does the same, and the wheel moves in the list under it.
fn dialog_mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    let at = Position::new(event.column, event.row);
    let Some(dialog) = &mut model.dialog else { return Vec::new() };
    let is_on_list = dialog.has_list() && model.targets.contains(dialog, at);
    let pressed = match event.kind {
        MouseEventKind::ScrollDown if is_on_list => Some(KeyEvent::from(KeyCode::Down)),
        MouseEventKind::ScrollUp if is_on_list => Some(KeyEvent::from(KeyCode::Up)),
        MouseEventKind::Down(MouseButton::Left) => {
            let (now, kind) = (model.now.real, Some(discriminant(dialog)));
            let click = Click { at: now, row: event.row, dialog: kind };
            let previous = model.last_click.replace(click);
            let is_new = previous.is_some_and(|click| click.dialog != kind);
            let is_double = previous.is_some_and(|click| now.saturating_sub(click.at) <= DOUBLE_CLICK);
            // The second press of the double-click that has opened a dialog must not confirm it.
            if is_new && is_double && dialog.is_destructive() {
                return Vec::new();
            }
            let again = !is_new && previous.is_some_and(|click| click.row == event.row);
            model.targets.at(dialog, at).and_then(|target| dialog.click(target, again))
        }
        _ => None,
    };
    pressed.map_or_else(Vec::new, |key| press(model, key))
}

fn click(model: &mut Model, x: u16, y: u16) -> Vec<Effect> {
    let is_double = is_double_click(model, y);
    let at = Position::new(x, y);
    if model.regions.footer.contains(at) {
        let hints = model.footer_hints();
        let hit = hints.into_iter().find(|(columns, _)| columns.contains(&x));
        return hit.map_or_else(Vec::new, |(_, hint)| actions::run(model, hint.action));
    }
    if model.regions.toasts.contains(at) {
        model.dismiss_toast(usize::from(y - model.regions.toasts.y));
        return Vec::new();
    }
    if model.regions.notice.contains(at) {
        return actions::run(model, Action::Health);
    }
    if matches!(model.screen, Screen::Activity(_)) {
        click_event(model, x, y);
        return Vec::new();
    }
    if matches!(model.screen, Screen::Logs(_)) {
        log_actions::click(model, y, is_double);
    }
    if !matches!(model.screen, Screen::Main) {
        return Vec::new();
    }
    if model.regions.summary.contains(at) {
        return actions::run(model, Action::Details);
    }
    if let Some(column) = model.regions.title_at(x, y) {
        sort_by_title(model, column);
        return Vec::new();
    }
    let Some((pane, row)) = model.regions.pane_at(x, y) else { return Vec::new() };
    model.focus_pane(pane);
    let Some(row) = row else { return Vec::new() };
    match pane {
        Pane::Environments => {
            return select_environment(model, model.environments.selection.offset + row, is_double);
        }
        Pane::Pool => {
            let index = model.pool.selection.offset + row;
            if index < model.pool.status.rows.len() {
                model.pool.select(index, model.regions.pool_rows());
            }
        }
        Pane::Activity => {}
    }
    Vec::new()
}

/// Notes a click; returns whether it is the second one in the same row.
fn is_double_click(model: &mut Model, y: u16) -> bool {
    let now = model.now.real;
    let previous = model.last_click.replace(Click { at: now, row: y, dialog: None });
    previous.is_some_and(|click| {
        click.row == y && click.dialog.is_none() && now.saturating_sub(click.at) <= DOUBLE_CLICK
    })
}

/// Handles a click in a table with several fleets: selects an environment of this one by its index. A double-click on its row, rather than
/// on the fleet's head, shows the details.
pub(super) fn click_environment(model: &mut Model, index: usize, y: u16, is_row: bool) -> Vec<Effect> {
    let is_double = is_double_click(model, y) && is_row;
    select_environment(model, index, is_double)
}

fn select_environment(model: &mut Model, index: usize, is_double: bool) -> Vec<Effect> {
    if index >= model.environments.visible().len() {
        return Vec::new();
    }
    model.environments.select(index, model.regions.environment_rows());
    if is_double {
        model.last_click = None;
        return actions::run(model, Action::Details);
    }
    Vec::new()
}

/// Selects the event under the mouse on the page of the audit log.
fn click_event(model: &mut Model, x: u16, y: u16) {
    let Some((Pane::Environments, Some(row))) = model.regions.pane_at(x, y) else { return };
    let height = model.regions.activity_page_rows();
    let Screen::Activity(view) = &mut model.screen else { return };
    let index = view.offset + row;
    if row < height && index < view.len() {
        view.select(index, &model.history.log);
    }
}

/// Sorts by the column with the title at `x`, or reverses the order if it is sorted by that already.
fn sort_by_title(model: &mut Model, x: u16) {
    let width = model.regions.body.width.saturating_sub(2);
    let Some(sort) = model.environments.order_at(x, width) else { return };
    let pane = &mut model.environments;
    pane.descending = pane.sort == sort && !pane.descending;
    pane.sort = sort;
    model.filter_and_sort();
}

fn wheel(model: &mut Model, event: MouseEvent, by: isize) {
    if !matches!(model.screen, Screen::Main) {
        return actions::scroll(model, by);
    }
    if let Some((pane, _)) = model.regions.pane_at(event.column, event.row) {
        actions::move_in_pane(model, pane, by);
    }
}
