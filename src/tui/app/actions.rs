//! Runs actions.

use std::time::Duration;

use super::addresses::open;
use super::connecting;
use super::dialog::Dialog;
use super::dialog::diff::DiffMenu;
use super::dialog::extend::ExtendPrompt;
use super::dialog::keep::KeepForm;
use super::dialog::open::{OpenMenu, no_address};
use super::dialog::palette::Palette;
use super::dialog::redeploy::RedeployForm;
use super::dialog::terminate::{Loss, TerminatePrompt};
use super::form::Query;
use super::log_actions;
use super::log_view::LogView;
use super::message::{ConsoleRequest, Effect, HoldTarget, Purpose, Tool};
use super::model::{Connection, FleetRequest, Model, Screen, Severity};
use super::navigation::{clear_activity_filter, is_focused, open_activity, open_pool, open_screen};
use super::pages;
use super::presenter::Presenter;
use super::regions::Pane;
use super::rows::EnvironmentRow;
use crate::cloud::{Console, LogQuery};
use crate::domain::record::max_services;
use crate::tui::action::Action;

/// How far back a log is read.
const LOG_WINDOW: Duration = Duration::from_hours(6);

/// Larger than any table, and far from an overflow when added to a position.
const TO_THE_END: isize = isize::MAX / 4;

/// Runs an action, or says why it is disabled.
pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(reason) = model.disabled_reason(action) {
        model.notify(Severity::Info, format!("{}: {reason}", action.entry().label));
        return Vec::new();
    }
    if let Some(batch) = model.batch_action(action) {
        model.open_batch(batch, "");
        return Vec::new();
    }
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Refresh => return refresh(model),
        Action::LogIn => return model.options.login.clone().map(Effect::LogIn).into_iter().collect(),
        Action::Theme => return next_theme(model),
        Action::Mouse => return toggle_mouse(model),
        Action::Notify => toggle_notifications(model),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Help => return open_screen(model, Screen::Help),
        Action::Health => return open_screen(model, Screen::Health),
        Action::Images => return open_screen(model, Screen::Images),
        Action::PoolPage => return open_pool(model),
        Action::ActivityPage => return open_activity(model),
        Action::Present => return toggle_presenter(model),
        Action::NextShown | Action::PreviousShown => {
            model.show_next(if action == Action::NextShown { 1 } else { -1 });
        }
        Action::Cycle => model.toggle_cycling(),
        Action::Details if is_focused(model, Pane::Pool) => return open_pool(model),
        Action::Details if is_focused(model, Pane::Activity) => return open_activity(model),
        Action::Back => return back(model),
        Action::Undo => return model.undo(),
        Action::Hold | Action::Release => return hold_or_release(model, action),
        Action::Extend
        | Action::Pin
        | Action::Redeploy
        | Action::Diff
        | Action::Terminate
        | Action::Reset
        | Action::Open
        | Action::OpenMenu
        | Action::CopyUrl
        | Action::CopyId
        | Action::Logs
        | Action::Shell
        | Action::Database
        | Action::Kubectl
        | Action::Details => return run_on_environment(model, action),
        Action::Palette => model.dialog = Some(Dialog::Palette(Palette::default())),
        Action::Launch => {
            model.dialog = model.launch_form().map(|form| Dialog::Launch(Box::new(form)));
        }
        Action::Mark => model.toggle_mark(),
        Action::MarkAll => model.toggle_all_marks(),
        Action::Mine => {
            let pane = &mut model.environments;
            pane.mine = if pane.mine.is_none() { Some(model.options.user.clone()) } else { None };
            model.filter_and_sort();
        }
        Action::Filter => edit_filter(model),
        Action::Sort => {
            model.environments.sort = model.environments.sort.next();
            model.filter_and_sort();
        }
        Action::SortReverse => {
            model.environments.descending = !model.environments.descending;
            model.filter_and_sort();
        }
        Action::NextFleet => model.request = Some(FleetRequest::Next),
        Action::NextPane | Action::PreviousPane => next_pane(model, action == Action::NextPane),
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::Top | Action::Bottom => {
            navigate(model, action);
        }
        Action::Follow
        | Action::Wrap
        | Action::Source
        | Action::NextSource
        | Action::Search
        | Action::NextMatch
        | Action::PreviousMatch
        | Action::LogFilter
        | Action::MoreContext
        | Action::LessContext
        | Action::Event
        | Action::Fold
        | Action::Select
        | Action::CopyLines
        | Action::SaveLog
        | Action::Times
        | Action::GoToTime
        | Action::Left
        | Action::Right => return log_actions::run(model, action),
    }
    Vec::new()
}

/// Lets the user type the filter of the screen.
fn edit_filter(model: &mut Model) {
    match &mut model.screen {
        Screen::Activity(view) => view.filter.editing = true,
        Screen::Help => model.help_filter.editing = true,
        _ => {
            model.focus_pane(Pane::Environments);
            model.environments.filter.editing = true;
        }
    }
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    if model.connection == Connection::Up {
        model.notify(Severity::Info, "refreshing");
    }
    connecting::refresh(model)
}

fn next_theme(model: &mut Model) -> Vec<Effect> {
    if let Some(theme) = model.options.themes.after(&model.styles.theme.name) {
        model.notify(Severity::Info, format!("theme: {}", theme.name));
        model.styles.theme = theme;
    }
    vec![Effect::Redraw]
}

fn toggle_mouse(model: &mut Model) -> Vec<Effect> {
    model.mouse = !model.mouse;
    let text = if model.mouse { "mouse: the dashboard has it" } else { "mouse: the terminal has it" };
    model.notify(Severity::Info, text);
    vec![Effect::CaptureMouse(model.mouse)]
}

fn toggle_notifications(model: &mut Model) {
    model.notifies = !model.notifies;
    model.notify(
        Severity::Info,
        if model.notifies { "notifications are on" } else { "notifications are off" },
    );
}

/// Closes the open screen; on the main screen and in the audit log, first clears the filter, else focuses the environments.
fn back(model: &mut Model) -> Vec<Effect> {
    if log_actions::close_part(model) {
        return Vec::new();
    }
    match &model.screen {
        Screen::Logs(view) if view.from_details => {
            let details = Screen::Details(view.record.clone());
            return open_screen(model, details);
        }
        Screen::Activity(view) if !view.filter.text().is_empty() => {
            clear_activity_filter(model);
            return Vec::new();
        }
        Screen::Main => {}
        Screen::Help if !model.help_filter.text().is_empty() => {
            model.help_filter = Query::default();
            model.scroll = 0;
            return Vec::new();
        }
        _ => return open_screen(model, Screen::Main),
    }
    if !model.environments.filter.text().is_empty() {
        model.environments.filter.input.reset();
        model.filter_and_sort();
    } else if !model.environments.marks.is_empty() {
        model.environments.marks.clear();
    } else if model.pane != Pane::Environments {
        model.focus_pane(Pane::Environments);
    }
    Vec::new()
}

/// Opens presenter mode with the current environment, or leaves it.
fn toggle_presenter(model: &mut Model) -> Vec<Effect> {
    let screen = match &model.screen {
        Screen::Present(_) => Screen::Main,
        _ => Screen::Present(Box::new(Presenter::new(&model.environments, model.current()))),
    };
    open_screen(model, screen)
}

fn next_pane(model: &mut Model, forwards: bool) {
    // If pool and activity share one place, the focus decides which of them is shown.
    let order: &[Pane] = if model.regions.has_lower() {
        &[Pane::Environments, Pane::Pool, Pane::Activity]
    } else {
        &[Pane::Environments]
    };
    let index = order.iter().position(|pane| *pane == model.pane).unwrap_or(0);
    let step = if forwards { 1 } else { order.len() - 1 };
    model.focus_pane(order[(index + step) % order.len()]);
}

/// Moves the selection, or scrolls.
fn navigate(model: &mut Model, action: Action) {
    let regions = model.regions;
    let height = match (&model.screen, model.pane) {
        (Screen::Main, Pane::Environments) => regions.environment_rows(),
        (Screen::Main, Pane::Pool) => regions.pool_rows(),
        (Screen::Main, Pane::Activity) => regions.activity_rows(),
        (Screen::Activity(_), _) => regions.activity_page_rows(),
        _ => regions.page_size().0,
    };
    let half = isize::try_from((height / 2).max(1)).unwrap_or(isize::MAX);
    let by = match action {
        Action::Up => -1,
        Action::Down => 1,
        Action::PageUp => -half,
        Action::PageDown => half,
        Action::Top => -TO_THE_END,
        _ => TO_THE_END,
    };
    match &model.screen {
        Screen::Main => move_in_pane(model, model.pane, by),
        Screen::Logs(_) => log_actions::navigate(model, action, half),
        Screen::Present(_) => model.show_next(by),
        _ => scroll(model, by),
    }
}

/// Moves the selection of a pane, or scrolls the activity.
pub(super) fn move_in_pane(model: &mut Model, pane: Pane, by: isize) {
    let regions = model.regions;
    match pane {
        Pane::Environments => {
            let rest = model.environments.move_by(by, regions.environment_rows());
            model.request = (rest != 0).then_some(FleetRequest::Move(rest));
        }
        Pane::Pool => model.pool.move_by(by, regions.pool_rows()),
        Pane::Activity => {
            model.activity.scroll(by);
            model.activity.keep_in_view(regions.activity_rows());
        }
    }
}

/// Scrolls the open page or log.
pub(super) fn scroll(model: &mut Model, by: isize) {
    if matches!(model.screen, Screen::Logs(_)) {
        return log_actions::scroll(model, by);
    }
    if let Screen::Activity(view) = &mut model.screen {
        view.move_by(by, &model.history.log);
        return view.keep_in_view(model.regions.activity_page_rows());
    }
    let (height, width) = model.regions.page_size();
    let max = pages::length(model, width).saturating_sub(height);
    model.scroll = model.scroll.saturating_add_signed(by).min(max);
}

fn run_on_environment(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(row) = model.current().cloned() else { return Vec::new() };
    match action {
        Action::Extend => model.dialog = Some(Dialog::Extend(ExtendPrompt::new(row.record, row.id))),
        Action::Pin => {
            let form = KeepForm::pin(row.record, row.id, model.aws_now(), model.styles.zone);
            model.dialog = Some(Dialog::Keep(form));
        }
        Action::Redeploy => {
            if let Some(view) = &model.fleet_view {
                let max = max_services(&view.world.fleet.policy.company_tags);
                let form = RedeployForm::new(&row, max, model.suggestions(view));
                model.dialog = Some(Dialog::Redeploy(Box::new(form)));
            }
        }
        Action::Diff => match DiffMenu::new(&row, model.environments.visible()) {
            Some(menu) => model.dialog = Some(Dialog::Diff(menu)),
            None => model.notify(Severity::Info, "compare: there is no other environment in the list"),
        },
        Action::Terminate => {
            let prompt = TerminatePrompt::new(&row, &model.options.user, Loss::Environment);
            model.dialog = Some(Dialog::Terminate(prompt));
        }
        Action::Reset => {
            let prompt = TerminatePrompt::new(&row, &model.options.user, Loss::Database);
            model.dialog = Some(Dialog::Terminate(prompt));
        }
        Action::OpenMenu => {
            model.dialog = Some(Dialog::Open(OpenMenu { record: row.record, id: row.id, index: 0 }));
        }
        Action::Open | Action::CopyUrl => match row.addresses[0].1.clone() {
            Some(address) => {
                let purpose = if action == Action::Open { Purpose::Open } else { Purpose::Copy };
                return open(model, row.id, address, purpose);
            }
            None => model.notify(Severity::Info, no_address(&row.id)),
        },
        Action::CopyId => return vec![Effect::Copy(row.id.to_string())],
        Action::Details => return open_screen(model, Screen::Details(row.record)),
        Action::Logs => return open_log(model, row),
        Action::Shell => return open_tool(model, &row, Tool::Console(Console::Shell)),
        Action::Database => return open_tool(model, &row, Tool::Console(Console::Database)),
        Action::Kubectl => return open_tool(model, &row, Tool::Kubectl),
        _ => {}
    }
    Vec::new()
}

/// Holds or releases the database that is selected in the pool, if that has the focus, else the environment.
fn hold_or_release(model: &mut Model, action: Action) -> Vec<Effect> {
    let (record, target) = match model.selected_database() {
        Some(id) => (None, HoldTarget::Database(id)),
        None => match model.current() {
            Some(row) => (Some(row.record.clone()), HoldTarget::Environment(row.id.clone())),
            None => return Vec::new(),
        },
    };
    if action == Action::Hold {
        model.dialog = Some(Dialog::Keep(KeepForm::hold(record, target)));
        return Vec::new();
    }
    let task = model.start_task(format!("releasing {target}"));
    vec![Effect::Release(task, target)]
}

/// Hands the terminal over to a program for an environment with an instance.
fn open_tool(model: &mut Model, row: &EnvironmentRow, tool: Tool) -> Vec<Effect> {
    let instance = row.details.instance.as_ref().filter(|instance| !instance.state.is_ending());
    let Some(instance) = instance else {
        model.notify(Severity::Info, format!("{} has no instance yet", row.id));
        return Vec::new();
    };
    let (environment, instance) = (row.id.clone(), instance.id.clone());
    vec![Effect::HandOver(ConsoleRequest { tool, environment, instance })]
}

fn open_log(model: &mut Model, row: EnvironmentRow) -> Vec<Effect> {
    let generation = model.next_task();
    let seeks_failure = row.has_failed_bootstrap();
    let created_at = row.details.record.created_at;
    let since = if seeks_failure { created_at } else { created_at.max(model.aws_now() - LOG_WINDOW) };
    let query = LogQuery { fleet: row.id.fleet.clone(), record: row.record.clone(), source: None, since };
    let from_details = matches!(model.screen, Screen::Details(_));
    let title = format!("{} {} {}", row.name, model.styles.glyphs.dot, row.id);
    let now = model.styles.zone.at(model.aws_now()).format("%Y%m%d-%H%M%S");
    let mut view = LogView::new(row.record, title, since, generation, from_details);
    view.file_name = format!("{}-{now}.log", row.id);
    view.seeks_failure = seeks_failure;
    model.show_screen(Screen::Logs(Box::new(view)));
    vec![Effect::FollowLogs(query, generation)]
}
