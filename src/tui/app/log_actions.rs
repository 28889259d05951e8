//! Changes of the open log.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::form::{Query, edit};
use super::log_view::{EXPLAINED_WIDTH, LogStatus, LogView};
use super::model::{Model, Screen, Severity};
use crate::cloud::{LeftOut, LogItem};
use crate::domain::text::sanitize;
use crate::failure::Failure;
use crate::tui::action::Action;

fn view(model: &mut Model) -> Option<&mut LogView> {
    match &mut model.screen {
        Screen::Logs(view) => Some(view),
        _ => None,
    }
}

/// Applies an item of a log stream, if its log is still open.
pub(super) fn receive(model: &mut Model, generation: u64, item: Result<LogItem, Failure>) {
    let Some(view) = view(model).filter(|view| view.generation == generation) else { return };
    match item {
        Ok(LogItem::Lines(lines)) => view.push(lines),
        Ok(LogItem::Mode(mode)) => {
            let mode = sanitize(&mode);
            view.status = LogStatus::Streaming(mode.clone());
            view.failure = None;
            explain(model, &mode);
        }
        Ok(LogItem::LeftOut(left_out)) => {
            view.remark(format!("… {left_out}"));
            if left_out == LeftOut::Sampled {
                let mode = "sampled, some lines are missing";
                view.status = LogStatus::Streaming(mode.to_owned());
                explain(model, mode);
            }
        }
        Ok(LogItem::Interrupted(reason)) => {
            view.status = LogStatus::Streaming(format!("reconnecting, {}", sanitize(&reason)));
        }
        Err(failure) => view.failure = Some(sanitize(&failure.sentence())),
    }
}

/// Shows a mode with its price or reason for some seconds where the title has no room for it.
fn explain(model: &mut Model, mode: &str) {
    if model.size.width < EXPLAINED_WIDTH && mode.contains([',', ';']) {
        model.notify(Severity::Info, mode);
    }
}

pub(super) fn end(model: &mut Model, generation: u64) {
    if let Some(view) = view(model).filter(|view| view.generation == generation) {
        view.status = LogStatus::Ended;
    }
}

pub(super) fn scroll(model: &mut Model, by: isize) {
    let (height, width) = model.regions.page_size();
    if let Some(view) = view(model) {
        view.scroll(by, height, width);
    }
}

pub(super) fn run(model: &mut Model, action: Action) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    match action {
        Action::Follow => view.toggle_follow(height, width),
        Action::Wrap => view.wrap = !view.wrap,
        Action::Source => view.next_source(),
        Action::Search => {
            view.search.editing = true;
            view.search.input = Input::default();
            view.update_matches();
        }
        Action::NextMatch | Action::PreviousMatch => {
            view.go_to_match(action == Action::NextMatch, height, width);
        }
        _ => {}
    }
}

/// Edits the search by a key.
pub(super) fn search_key(model: &mut Model, event: KeyEvent) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    match event.code {
        KeyCode::Enter => {
            view.search.editing = false;
            view.go_to_match(true, height, width);
        }
        KeyCode::Esc => {
            view.search = Query::default();
            view.update_matches();
        }
        _ => {
            edit(&mut view.search.input, event);
            view.update_matches();
        }
    }
}
