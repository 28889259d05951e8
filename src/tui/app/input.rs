//! Keys, pasted text and the mouse.

use std::time::Duration;

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::dialog::{self, Dialog};
use super::form::{edit, insert};
use super::{Effect, Model, Pane, Screen, act, logs};
use crate::tui::action::Action;
use crate::tui::keymap::Key;

/// Two presses within this time are one double-click.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);

/// Rows that the wheel moves.
const WHEEL: isize = 3;

pub(super) fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    if event.kind == KeyEventKind::Release {
        return Vec::new();
    }
    // Whatever is open and however keys are bound, this leaves.
    if event.code == KeyCode::Char('c') && event.modifiers == KeyModifiers::CONTROL {
        return vec![Effect::Quit];
    }
    if let Some(mut open) = model.dialog.take() {
        let urls = match &open {
            Dialog::Open(menu) => {
                model.all.iter().find(|row| row.record == menu.record).map(|row| row.urls.clone())
            }
            _ => None,
        };
        let answer = open.key(event, model.context(), urls.as_ref().map_or(&[], |urls| urls.as_slice()));
        return dialog::answer(model, open, answer);
    }
    if model.filter.editing {
        filter_key(model, event);
        return Vec::new();
    }
    if let Screen::Logs(view) = &mut model.screen
        && view.search.editing
    {
        logs::search_key(model, event);
        return Vec::new();
    }
    match model.options.keymap.action(model.context(), Key::of(event)) {
        Some(action) => act::act(model, action),
        None => Vec::new(),
    }
}

fn filter_key(model: &mut Model, event: KeyEvent) {
    match event.code {
        KeyCode::Enter | KeyCode::Tab => model.filter.editing = false,
        KeyCode::Esc => {
            model.filter.editing = false;
            model.filter.input.reset();
        }
        // To look through what is left while typing.
        KeyCode::Down | KeyCode::Up => {
            let by = if event.code == KeyCode::Down { 1 } else { -1 };
            let (keys, height) = (model.environment_keys(), model.environment_rows());
            model.environments.step(by, &keys, height);
            return;
        }
        _ => {
            edit(&mut model.filter.input, event);
        }
    }
    model.arrange();
}

pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if let Some(dialog) = &mut model.dialog {
        if let Some(input) = dialog.input() {
            insert(input, text);
        }
        match dialog {
            Dialog::Launch(form) => {
                form.fields[form.focus].visited = true;
                form.judge();
            }
            Dialog::Extend(prompt) => {
                prompt.custom.error = dialog::read_length(prompt.custom.text(), None).err();
            }
            Dialog::Palette(palette) => palette.index = 0,
            _ => {}
        }
    } else if model.filter.editing {
        insert(&mut model.filter.input, text);
        model.arrange();
    } else if let Screen::Logs(view) = &mut model.screen
        && view.search.editing
    {
        insert(&mut view.search.input, text);
        view.mark();
    }
    Vec::new()
}

pub(super) fn mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    if model.dialog.is_some() {
        return Vec::new();
    }
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => press(model, event.column, event.row),
        MouseEventKind::ScrollDown => {
            wheel(model, event, WHEEL);
            Vec::new()
        }
        MouseEventKind::ScrollUp => {
            wheel(model, event, -WHEEL);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn press(model: &mut Model, x: u16, y: u16) -> Vec<Effect> {
    let now = model.now.real;
    let before = model.pressed.replace((now, x, y));
    let double = before.is_some_and(|(at, _, row)| row == y && now.saturating_sub(at) <= DOUBLE_CLICK);
    if !matches!(model.screen, Screen::Main) {
        return Vec::new();
    }
    let Some((pane, row)) = model.pane_at(x, y) else { return Vec::new() };
    model.pane = pane;
    match (pane, row) {
        (Pane::Environments, Some(row)) => {
            let index = model.environments.offset + row;
            if index >= model.shown.len() {
                return Vec::new();
            }
            let (keys, height) = (model.environment_keys(), model.environment_rows());
            model.environments.select(index, &keys, height);
            if double {
                model.pressed = None;
                return act::act(model, Action::Details);
            }
        }
        (Pane::Pool, Some(row)) => {
            let index = model.databases.offset + row;
            if index < model.pool.rows.len() {
                let (keys, height) = (model.pool_keys(), model.pool_rows());
                model.databases.select(index, &keys, height);
            }
        }
        _ => {}
    }
    Vec::new()
}

fn wheel(model: &mut Model, event: MouseEvent, by: isize) {
    match model.screen {
        Screen::Main => match model.pane_at(event.column, event.row).map(|(pane, _)| pane) {
            Some(Pane::Environments) => {
                let (keys, height) = (model.environment_keys(), model.environment_rows());
                model.environments.step(by, &keys, height);
            }
            Some(Pane::Pool) => {
                let (keys, height) = (model.pool_keys(), model.pool_rows());
                model.databases.step(by, &keys, height);
            }
            Some(Pane::Activity) => {
                model.activity_offset = model.activity_offset.saturating_add_signed(by);
                model.reveal();
            }
            None => {}
        },
        Screen::Logs(_) => logs::scroll(model, by),
        _ => {
            let (height, width) = model.page_size();
            let most = crate::tui::screens::page_length(model, width).saturating_sub(height);
            model.scroll = model.scroll.saturating_add_signed(by).min(most);
        }
    }
}
