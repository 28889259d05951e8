//! Changes of the open log.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::dialog::Dialog;
use super::dialog::log_prompt::{LogPrompt, count_lines};
use super::dialog::log_sources::SourceMenu;
use super::form::{Query, edit, insert};
use super::log_view::{EXPLAINED_WIDTH, LogStatus, LogView};
use super::message::{Effect, SaveError, SaveRequest};
use super::model::{Model, Screen, Severity};
use crate::cloud::{LeftOut, LogItem};
use crate::domain::text::sanitize;
use crate::failure::Failure;
use crate::tui::action::Action;
use crate::tui::{clipboard, format};

fn view(model: &mut Model) -> Option<&mut LogView> {
    match &mut model.screen {
        Screen::Logs(view) => Some(view),
        _ => None,
    }
}

/// Applies an item of a log stream, if its log is still open.
pub(super) fn receive(model: &mut Model, generation: u64, item: Result<LogItem, Failure>) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model).filter(|view| view.generation == generation) else { return };
    match item {
        Ok(LogItem::Lines(lines)) => {
            if view.push(lines, height, width) {
                explain_pause(model);
            }
        }
        Ok(LogItem::Older { lines, left_out }) => {
            if view.push_older(lines, left_out, height, width) {
                explain_pause(model);
            }
        }
        Ok(LogItem::Mode(mode)) => {
            let mode = sanitize(&mode);
            view.status = LogStatus::Streaming(mode.clone());
            view.failure = None;
            explain(model, &mode);
        }
        Ok(LogItem::LeftOut(left_out)) => {
            view.buffer.remark(&format!("… {left_out}"));
            if left_out == LeftOut::Sampled {
                let mode = "sampled, some lines are missing";
                view.status = LogStatus::Streaming(mode.to_owned());
                explain(model, mode);
            }
        }
        Ok(LogItem::Interrupted(reason)) => {
            view.status = LogStatus::Streaming(format!("reconnecting, {}", sanitize(&reason)));
        }
        Ok(LogItem::Paused(reason)) => {
            let mode = format!("paused until a login, {}", sanitize(&reason));
            view.status = LogStatus::Streaming(mode.clone());
            explain(model, &mode);
        }
        Err(failure) => view.failure = Some(sanitize(&failure.sentence())),
    }
}

fn explain_pause(model: &mut Model) {
    let key = model.key_label(Action::Follow);
    model.notify(Severity::Info, format!("paused where the bootstrap failed; {key} follows the log"));
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

/// Moves the cursor, or scrolls the open event. `half` is half the height of the window.
pub(super) fn navigate(model: &mut Model, action: Action, half: isize) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    view.seeks_failure = false;
    if let Some(event) = &mut view.event {
        let by = match action {
            Action::Up => -1,
            Action::Down => 1,
            Action::PageUp => -half,
            Action::PageDown => half,
            Action::Top => isize::MIN,
            _ => isize::MAX,
        };
        return event.scroll(by, height, width);
    }
    match action {
        Action::Up => view.move_by(-1, height, width),
        Action::Down => view.move_by(1, height, width),
        Action::PageUp => view.page(-half, height, width),
        Action::PageDown => view.page(half, height, width),
        Action::Top => view.go_to_start(),
        _ => view.go_to_end(height, width),
    }
}

/// Scrolls by the wheel.
pub(super) fn scroll(model: &mut Model, by: isize) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    view.seeks_failure = false;
    match &mut view.event {
        Some(event) => event.scroll(by, height, width),
        None => view.scroll(by, height, width),
    }
}

/// Moves the cursor to a row of the screen; shows the whole event if it is a double-click.
pub(super) fn click(model: &mut Model, y: u16, is_double: bool) {
    let (height, width) = model.regions.page_size();
    let first = model.regions.body.y + 1;
    let Some(view) = view(model).filter(|view| view.event.is_none()) else { return };
    let Some(row) = y.checked_sub(first).map(usize::from).filter(|row| *row < height) else { return };
    view.seeks_failure = false;
    if view.click(row, height, width) && is_double {
        view.open_event(width);
    }
}

pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    let (height, width) = model.regions.page_size();
    let (zone, now) = (model.styles.zone, model.aws_now());
    let Some(view) = view(model) else { return Vec::new() };
    view.seeks_failure = false;
    if let Some(event) = view.event.take() {
        match action {
            Action::Event => return Vec::new(),
            Action::CopyLines => {
                let text = event.text();
                view.event = Some(event);
                return copy(model, text);
            }
            _ => {}
        }
    }
    match action {
        Action::Follow => view.toggle_follow(height, width),
        Action::Wrap => view.keep_place(height, width, |view| view.wrap = !view.wrap),
        Action::Fold => view.keep_place(height, width, |view| view.fold = !view.fold),
        Action::Times => view.times = view.times.next(),
        Action::Left | Action::Right => {
            let wraps = view.wrap;
            view.scroll_columns(action == Action::Right, height, width);
            if wraps {
                let key = model.key_label(Action::Wrap);
                model.notify(Severity::Info, format!("long lines are wrapped; {key} truncates them"));
            }
        }
        Action::NextSource => view.keep_place(height, width, next_source),
        Action::Search => {
            view.search = Query { editing: true, ..Query::default() };
            view.update_search();
        }
        Action::NextMatch | Action::PreviousMatch => {
            view.go_to_match(action == Action::NextMatch, height, width);
        }
        Action::LogFilter if view.filter.text().is_empty() => view.filter.editing = true,
        Action::LogFilter => set_filter(model, Query::default()),
        Action::MoreContext | Action::LessContext => {
            let by = if action == Action::MoreContext { 1 } else { -1 };
            view.keep_place(height, width, |view| view.update_filter(by));
            let context = view.buffer.context();
            if view.filter.text().is_empty() {
                let key = model.key_label(Action::LogFilter);
                let text = format!("a filter ({key}) shows {context} lines around each match");
                model.notify(Severity::Info, text);
            }
        }
        Action::Event => view.open_event(width),
        Action::Select => view.toggle_selection(height, width),
        Action::CopyLines => {
            let (text, lines) = view.selected_text();
            if lines > 0 {
                view.selected_from = None;
                return copy(model, text);
            }
        }
        Action::SaveLog => {
            let count = view.saved_count();
            if count == 0 {
                model.notify(Severity::Info, "save: there are no lines");
            } else {
                model.dialog = Some(Dialog::Log(LogPrompt::save(count, &view.file_name)));
            }
        }
        Action::GoToTime => model.dialog = Some(Dialog::Log(LogPrompt::time(zone, now))),
        Action::Source => match SourceMenu::new(&view.buffer) {
            Some(menu) => model.dialog = Some(Dialog::Sources(menu)),
            None => model.notify(Severity::Info, "sources: no line has come yet"),
        },
        _ => {}
    }
    Vec::new()
}

/// Shows the first source alone, then the next one, and all of them after the last.
fn next_source(view: &mut LogView) {
    let all: BTreeSet<_> = view.buffer.sources().iter().cloned().collect();
    let next = match view.buffer.only().and_then(BTreeSet::last) {
        None => all.first(),
        Some(current) => all.iter().find(|source| *source > current),
    };
    let only = next.map(|source| BTreeSet::from([Arc::clone(source)]));
    view.buffer.show_only(only);
}

pub(super) fn show_sources(model: &mut Model, only: Option<BTreeSet<Arc<str>>>) {
    let (height, width) = model.regions.page_size();
    if let Some(view) = view(model) {
        view.keep_place(height, width, |view| view.buffer.show_only(only));
    }
}

fn copy(model: &mut Model, text: String) -> Vec<Effect> {
    if text.len() > clipboard::MAX_BYTES {
        let key = model.key_label(Action::SaveLog);
        model.notify(Severity::Error, format!("too long to copy; {key} saves lines to a file"));
        return Vec::new();
    }
    vec![Effect::Copy(text)]
}

/// Saves the selected lines, else all that are shown, to a file.
pub(super) fn save(model: &mut Model, path: String, replace: bool) -> Vec<Effect> {
    let zone = model.styles.zone;
    let Some(view) = view(model) else { return Vec::new() };
    let lines = view.saved_lines();
    let task = model.start_task(format!("saving {} to {path}", count_lines(lines.len())));
    vec![Effect::SaveLog(Box::new(SaveRequest { task, path, replace, lines, zone }))]
}

/// Says what became of a file; asks again if it was not written.
pub(super) fn saved(
    model: &mut Model,
    task: u64,
    path: &str,
    lines: usize,
    result: &Result<String, SaveError>,
) {
    let problem = match result {
        Ok(file) => {
            if let Some(view) = view(model) {
                view.selected_from = None;
            }
            return model.finish_task(
                task,
                Severity::Done,
                format!("saved {} to {file}", count_lines(lines)),
            );
        }
        Err(SaveError::Exists) => "the file exists; enter replaces it".to_owned(),
        Err(SaveError::Failed(why)) => format!("not saved: {}", sanitize(why)),
    };
    let exists = *result == Err(SaveError::Exists);
    if model.dialog.is_none() && view(model).is_some() {
        model.toasts.retain(|toast| toast.task != Some(task));
        model.dialog = Some(Dialog::Log(LogPrompt::save_again(lines, path, problem, exists)));
    } else {
        let why = if exists { "it exists" } else { &problem };
        model.finish_task(task, Severity::Error, format!("{path}: {why}"));
    }
}

/// Goes to a time, or says that the log has no line of it.
pub(super) fn go_to_time(model: &mut Model, at: DateTime<Utc>) {
    let (height, width) = model.regions.page_size();
    let zone = model.styles.zone;
    let Some(view) = view(model) else { return };
    let first = view.buffer.at(0).map(|entry| entry.at);
    let time = |at| format::time_with_seconds(at, zone);
    if !view.go_to_time(at, height, width) {
        view.go_to_end(height, width);
        let latest = view.latest();
        model.notify(Severity::Info, format!("the last line is of {}", time(latest)));
    } else if let Some(first) = first.filter(|first| at < *first) {
        model.notify(Severity::Info, format!("the first line is of {}", time(first)));
    }
}

/// Closes the event, the selection, the filter or the search, whichever is first; returns whether there was one.
pub(super) fn close_part(model: &mut Model) -> bool {
    let Some(view) = view(model) else { return false };
    if view.event.take().is_some() || view.selected_from.take().is_some() {
        return true;
    }
    if !view.filter.text().is_empty() {
        set_filter(model, Query::default());
        return true;
    }
    let had_search = !view.search.text().is_empty();
    view.search = Query::default();
    view.update_search();
    had_search
}

fn set_filter(model: &mut Model, filter: Query) {
    let (height, width) = model.regions.page_size();
    if let Some(view) = view(model) {
        view.filter = filter;
        view.keep_place(height, width, |view| view.update_filter(0));
    }
}

/// Edits the search or the filter by a key.
pub(super) fn query_key(model: &mut Model, event: KeyEvent) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    if view.filter.editing {
        match event.code {
            KeyCode::Enter => view.filter.editing = false,
            KeyCode::Esc => set_filter(model, Query::default()),
            _ => {
                edit(&mut view.filter.input, event);
                view.keep_place(height, width, |view| view.update_filter(0));
            }
        }
        return;
    }
    match event.code {
        KeyCode::Enter => {
            view.search.editing = false;
            view.go_to_first_match(height, width);
        }
        KeyCode::Esc => {
            view.search = Query::default();
            view.update_search();
        }
        _ => {
            edit(&mut view.search.input, event);
            view.update_search();
        }
    }
}

/// Inserts pasted text into the search or the filter.
pub(super) fn paste(model: &mut Model, text: &str) {
    let (height, width) = model.regions.page_size();
    let Some(view) = view(model) else { return };
    if view.filter.editing {
        insert(&mut view.filter.input, text);
        view.keep_place(height, width, |view| view.update_filter(0));
    } else if view.search.editing {
        insert(&mut view.search.input, text);
        view.update_search();
    }
}
