//! Does what dialogs respond.

use super::addresses::open;
use super::dialog::Dialog;
use super::dialog::response::Response;
use super::message::{Effect, Purpose};
use super::model::{Model, Screen, Severity};
use super::navigation::open_screen;
use super::{actions, command, log_actions};
use crate::domain::format::format_exact_duration;
use crate::domain::{EnvironmentId, RecordId};

/// Does what a dialog responded; puts the dialog back if it stays open.
pub(super) fn respond(model: &mut Model, dialog: Dialog, response: Response) -> Vec<Effect> {
    if let Some((record, id)) = response.environment()
        && !still_exists(model, record, id)
    {
        return Vec::new();
    }
    match response {
        Response::KeepOpen => {
            model.dialog = Some(dialog);
            Vec::new()
        }
        Response::Notify(text) => {
            model.dialog = Some(dialog);
            model.notify(Severity::Info, text);
            Vec::new()
        }
        Response::Close => Vec::new(),
        Response::Launch(request) => {
            let task = model.start_task(format!("launching {}", request.name));
            vec![Effect::Launch(task, request)]
        }
        Response::Extend(_, id, by) => {
            let task = model.start_task(format!("extending {id} by {}", format_exact_duration(by)));
            vec![Effect::Extend(task, id, by)]
        }
        Response::Pin(_, id, until) => {
            let task = model.start_task(format!("keeping {id} for longer"));
            vec![Effect::Pin(task, id, until)]
        }
        Response::Hold(_, request) => {
            let task = model.start_task(format!("holding {}", request.target));
            vec![Effect::Hold(task, request)]
        }
        Response::Redeploy(_, id, request) => {
            let task = model.start_task(format!("requesting a deployment to {id}"));
            vec![Effect::Redeploy(task, id, request)]
        }
        Response::Diff(first, second) => open_screen(model, Screen::Diff(Box::new((first, second)))),
        Response::Terminate(_, id) => {
            let task = model.start_task(format!("terminating {id}"));
            vec![Effect::Terminate(task, id)]
        }
        Response::Reset(_, id) => {
            let task = model.start_task(format!("resetting {id}"));
            vec![Effect::Reset(task, id)]
        }
        Response::Open(id, address) => open(model, id, address, Purpose::Open),
        Response::SaveLog { path, replace } => log_actions::save(model, path, replace),
        Response::GoToTime(at) => {
            log_actions::go_to_time(model, at);
            Vec::new()
        }
        Response::ShowSources(only) => {
            log_actions::show_sources(model, only);
            Vec::new()
        }
        Response::Run(action) => actions::run(model, action),
        Response::Many(action, requests) => model.start_batch(action, requests),
        Response::Command(text) => match command::run(model, &text) {
            Ok(effects) => effects,
            Err(error) => {
                if let Dialog::Palette(mut palette) = dialog {
                    palette.error = Some(error);
                    model.dialog = Some(Dialog::Palette(palette));
                }
                Vec::new()
            }
        },
    }
}

/// Whether the environment of a confirmed dialog still exists; if not, says so. The same id with another record is another
/// environment.
fn still_exists(model: &mut Model, record: &RecordId, id: &EnvironmentId) -> bool {
    let exists = model.environments.find(record).is_some();
    if !exists {
        model.notify(Severity::Error, format!("too late: {id} no longer exists"));
    }
    exists
}
