//! Applies messages to the model.

use std::sync::Arc;

use ratatui::layout::Size;

use super::activity_pane::MAX_EVENTS;
use super::fleet_view::FleetView;
use super::message::{ConsoleRequest, Effect, Moment, Msg};
use super::model::{AccountNumber, Connection, Model, Screen, Severity};
use super::regions::Pane;
use super::{addresses, connecting, input, log_actions};
use crate::domain::World;
use crate::domain::text::sanitize;
use crate::engine::{Event, Extended, Launched};
use crate::failure::{Failure, Kind};
use crate::tui::format;

/// Applies a message to the model; returns the effects for the driver to run.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let is_observation = matches!(msg, Msg::Engine(Event::World(_)));
    let mut effects = apply(model, msg);
    effects.extend(model.news(is_observation));
    effects.extend(model.write_check());
    effects.extend(model.registry_questions());
    // A toast or a notice takes a row from the panes, so any message can push the selection out of view.
    model.keep_in_view();
    effects
}

impl Model {
    /// Sets the time. Removes toasts that are over, and derives the rows again if a text with a time in it has expired.
    pub fn set_now(&mut self, now: Moment) {
        if now == self.now {
            return;
        }
        self.now = now;
        self.toasts.retain(|toast| toast.until.is_none_or(|until| now.real < until));
        self.keep_in_view();
        if self.rows_expire_at.is_some_and(|at| now.clock >= at) {
            self.derive();
        }
        self.cycle_if_due();
    }
}

fn apply(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => return input::key(model, key),
        Msg::Mouse(mouse) => return input::mouse(model, mouse),
        Msg::Focus(focused) => {
            model.focused = Some(focused);
            return vec![Effect::Focus(focused)];
        }
        Msg::Tick => return connecting::connect_again(model),
        Msg::OpenFailed(url) => return addresses::show_url(model, url),
        Msg::Copied(text, copied) => addresses::copied(model, &text, copied),
        Msg::CannotSuspend => {
            model.notify(Severity::Info, "cannot suspend: no shell started hatchery in this terminal");
        }
        Msg::ConsoleClosed(request, result) => console_closed(model, &request, result),
        Msg::LoggedIn(result) => return connecting::logged_in(model, result),
        Msg::Waiting(what) => model.notify(Severity::Info, what),
        Msg::Forwarded(task, id, purpose, result) => {
            return addresses::forwarded(model, task, &id, purpose, result);
        }
        Msg::Launched(task, result) => return launched(model, task, result),
        Msg::Extended(task, result) => return extended(model, task, result),
        Msg::ExtensionUndone(task, id, result) => {
            let result = result.map(|at| {
                let at = format::short_date_time(at, model.aws_now(), model.styles.zone);
                format!("{id} expires at {at} again")
            });
            return finish(model, task, result);
        }
        Msg::Held(task, target, result) => {
            let result = result.map(|held| format!("{target} is held until {}", until(model, &held)));
            return finish(model, task, result);
        }
        Msg::Released(task, target, result) => {
            return finish(model, task, result.map(|()| format!("{target} is released")));
        }
        Msg::Redeployed(task, result) => {
            let result = result.map(|done| format!("deploying to {}: {}", done.environment, done.changes));
            return finish(model, task, result);
        }
        Msg::Terminated(task, id, result) => {
            let result = result.map(|done| match done.delayed_by {
                None => format!("{id} is terminating"),
                Some(reason) => {
                    format!("the termination of {id} is recorded; no engine acts on it yet: {reason}")
                }
            });
            return finish(model, task, result);
        }
        Msg::WasReset(task, result) => {
            let result = result.map(|done| {
                let (id, database) = (done.environment, done.database);
                if done.switched {
                    format!("{id} gets {database}")
                } else {
                    format!("{id} gets {database} once it is restored")
                }
            });
            return finish(model, task, result);
        }
        Msg::Paste(text) => input::paste(model, &text),
        Msg::Resize(width, height) => resize(model, Size::new(width, height)),
        Msg::Connected { fleet, region } => {
            model.connection = Connection::Up;
            model.tries.succeed();
            model.options.fleet = Some(fleet);
            model.options.region = region;
            model.name_fleet();
            model.writes.due = true;
            return vec![Effect::ReadAccount];
        }
        Msg::Account(account) => {
            model.account =
                account.map_or(AccountNumber::Unknown, |account| AccountNumber::Known(sanitize(&account)));
        }
        Msg::WritesChecked(answer) => return model.writes_checked(&answer),
        Msg::ConnectFailed(failure) => connecting::failed(model, failure),
        Msg::Engine(event) => engine_event(model, event),
        Msg::ServicesListed(registry, result) => model.services_listed(&registry, result),
        Msg::ImageTagsListed(registry, service, result) => {
            model.image_tags_listed(&registry, service, result);
        }
        Msg::History(result) => {
            model.history.receive_week(result);
            history_changed(model);
        }
        Msg::Log(generation, item) => log_actions::receive(model, generation, item),
        Msg::LogEnded(generation) => log_actions::end(model, generation),
        Msg::LogSaved { task, path, lines, result } => log_actions::saved(model, task, &path, lines, &result),
    }
    Vec::new()
}

fn console_closed(model: &mut Model, request: &ConsoleRequest, result: Result<Option<String>, Failure>) {
    let ConsoleRequest { tool, environment, .. } = request;
    match result {
        Ok(None) => model.notify(Severity::Done, format!("the {tool} on {environment} is closed")),
        Ok(Some(words)) => {
            model.notify(Severity::Error, format!("the {tool} on {environment} {words}"));
        }
        Err(failure) => model.notify(Severity::Error, failure.sentence()),
    }
}

fn resize(model: &mut Model, size: Size) {
    model.resize(size);
    if matches!(model.screen, Screen::Main) && !model.regions.has_lower() {
        // A pane that is not on the screen must not have the focus.
        model.focus_pane(Pane::Environments);
    }
}

fn engine_event(model: &mut Model, event: Event) {
    match event {
        Event::World(world) => observed(model, world),
        Event::ObserveFailed(failure) => {
            // The next ones that AWS accepts may be others.
            model.writes.due |= failure.kind == Kind::NotPermitted;
            model.last_error = Some(failure);
        }
        Event::Activity(events) => {
            model.history.add(&events);
            // The pane shows the latest ones only.
            let surplus = events.len().saturating_sub(MAX_EVENTS);
            model.activity.extend(events[surplus..].to_vec());
            history_changed(model);
        }
        Event::AuditRead(result) => {
            model.history.read(result.map_err(|error| error.to_string()));
            history_changed(model);
        }
        Event::Refused(refusals) => model.refusals = refusals,
        Event::Planned(steps) => model.next_steps = steps,
        Event::AuditWriteFailed(error) => {
            // Only the first of several failures in a row is shown.
            if let Some(error) = error.as_ref().filter(|_| model.audit_error.is_none()) {
                // With a task number of its own, the toast is not replaced by the next one.
                let task = model.next_task();
                model.finish_task(task, Severity::Error, format!("cannot write the audit log: {error}"));
            }
            model.audit_error = error;
        }
        // The dashboard has its parts from the other events.
        Event::Passed(_) => model.passed_at = Some(model.now.clock),
        Event::Working(steps) => model.steps_in_flight = steps,
    }
}

/// Updates the open page that shows the audit log.
fn history_changed(model: &mut Model) {
    let Model { screen, history, .. } = model;
    match screen {
        Screen::Activity(view) => view.refresh(&history.log),
        Screen::Pool => model.derive_pool_past(),
        _ => {}
    }
}

fn observed(model: &mut Model, world: Arc<World>) {
    let clock = model.now.clock;
    model.fleet_view = Some(FleetView::new(model.fleet_view.take(), world, clock));
    model.last_error = None;
    model.derive();
    if matches!(model.screen, Screen::Pool) {
        model.derive_pool_past();
    }
    if model.databases_complete() {
        model.pool.history.record(model.pool.status.free, clock);
    }
    if let Some(record) = &model.select_when_listed {
        let height = model.regions.environment_rows();
        if model.environments.select_record(record, height) {
            model.select_when_listed = None;
        }
    }
}

fn launched(model: &mut Model, task: u64, result: Result<Launched, Failure>) -> Vec<Effect> {
    let result = result.map(|launched| {
        model.select_when_listed = Some(launched.record);
        format!("{} is launching on {}", launched.environment, launched.database)
    });
    finish(model, task, result)
}

fn extended(model: &mut Model, task: u64, result: Result<Extended, Failure>) -> Vec<Effect> {
    let result = result.map(|mut extended| {
        if let Some(extension) = extended.undo.take() {
            model.remember_extension(task, extension);
        }
        format!("{} extended to {}", extended.environment, until(model, &extended))
    });
    finish(model, task, result)
}

/// Returns the end of an extension or a hold.
fn until(model: &Model, kept: &Extended) -> String {
    let at = format::short_date_time(kept.expires_at, model.aws_now(), model.styles.zone);
    let capped = if kept.capped { ", the fleet's max-lifetime" } else { "" };
    format!("{at}{capped}")
}

/// Shows the result of a task.
fn finish(model: &mut Model, task: u64, result: Result<String, Failure>) -> Vec<Effect> {
    if model.finish_in_batch(task, &result) {
        return vec![Effect::Refresh];
    }
    match result {
        Ok(text) => model.finish_task(task, Severity::Done, text),
        Err(failure) => {
            let late = if failure.kind == Kind::TooLate { "too late: " } else { "" };
            model.finish_task(task, Severity::Error, format!("{late}{}", failure.sentence()));
        }
    }
    vec![Effect::Refresh]
}
