//! Commands of the palette with arguments, such as `extend 2h`.

use super::dialog::Dialog;
use super::dialog::keep::parse_time;
use super::dialog::launch::LaunchForm;
use super::environments::SortBy;
use super::form::parse_duration;
use super::message::Effect;
use super::model::{FleetRequest, Model};
use super::regions::Pane;
use crate::domain::format::format_exact_duration;
use crate::tui::action::{ACTIONS, Action};

/// Runs a command with its arguments.
///
/// # Errors
/// Returns the message to show in the palette.
pub(super) fn run(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let text = text.trim();
    let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let entry = ACTIONS.iter().find(|entry| entry.id == name).ok_or_else(|| format!("no command {name}"))?;
    if let Some(reason) = model.disabled_reason(entry.action) {
        return Err(reason.to_owned());
    }
    let arguments = arguments.trim();
    match entry.action {
        Action::Extend => extend(model, arguments),
        Action::Pin => pin(model, arguments),
        Action::Launch => launch(model, arguments),
        Action::Filter => Ok(filter(model, arguments)),
        Action::Sort => sort(model, arguments),
        Action::Theme => theme(model, arguments),
        Action::NextFleet => fleet(model, arguments),
        _ => Err(format!("{name} takes no argument")),
    }
}

fn extend(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let by = parse_duration(text, None)?.ok_or("enter a duration (30m, 8h, 2d)")?;
    if let Some(batch) = model.batch_action(Action::Extend) {
        model.open_batch(batch, text);
        return Ok(Vec::new());
    }
    let id = model.current().ok_or("no environment selected")?.id.clone();
    let task = model.start_task(format!("extending {id} by {}", format_exact_duration(by)));
    Ok(vec![Effect::Extend(task, id, by)])
}

fn pin(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let until = parse_time(text, model.aws_now(), model.styles.zone)?;
    if let Some(batch) = model.batch_action(Action::Pin) {
        model.open_batch(batch, text);
        return Ok(Vec::new());
    }
    let id = model.current().ok_or("no environment selected")?.id.clone();
    let task = model.start_task(format!("keeping {id} for longer"));
    Ok(vec![Effect::Pin(task, id, until)])
}

/// Opens the form with a name, services, `ttl=8h` and, last, `note=` with the rest of the text.
fn launch(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let Some(mut form) = model.launch_form() else { return Err("not connected yet".to_owned()) };
    let (words, note) = text.split_once("note=").unwrap_or((text, ""));
    let mut services = Vec::new();
    for word in words.split_whitespace() {
        if let Some(ttl) = word.strip_prefix("ttl=") {
            form.set(LaunchForm::TTL, ttl);
        } else if word.contains('=') {
            services.push(word);
        } else {
            form.set(LaunchForm::NAME, word);
        }
    }
    form.set(LaunchForm::SERVICES, &services.join(" "));
    form.set(LaunchForm::NOTE, note.trim());
    model.dialog = Some(Dialog::Launch(Box::new(form)));
    Ok(Vec::new())
}

fn filter(model: &mut Model, text: &str) -> Vec<Effect> {
    model.focus_pane(Pane::Environments);
    model.environments.filter.input = text.into();
    model.environments.filter.editing = false;
    model.filter_and_sort();
    Vec::new()
}

fn sort(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let found = SortBy::ALL.into_iter().find(|sort| sort.as_str() == name);
    let Some(sort) = found else {
        return Err(format!("no column {name}; use one of {}", SortBy::ALL.map(SortBy::as_str).join(", ")));
    };
    model.environments.descending = match words.next() {
        None => false,
        Some("desc" | "reverse") => true,
        Some(other) => return Err(format!("not an order: {other}; use desc or nothing")),
    };
    model.environments.sort = sort;
    model.filter_and_sort();
    Ok(Vec::new())
}

fn fleet(model: &mut Model, label: &str) -> Result<Vec<Effect>, String> {
    let found = model.labels.iter().position(|other| other == label);
    let index = found.ok_or_else(|| format!("no fleet {label}; use one of {}", model.labels.join(", ")))?;
    model.request = Some(FleetRequest::Show(index));
    Ok(Vec::new())
}

fn theme(model: &mut Model, name: &str) -> Result<Vec<Effect>, String> {
    model.styles.theme = model.options.themes.find(name).map_err(|failure| failure.sentence())?;
    Ok(vec![Effect::Redraw])
}
