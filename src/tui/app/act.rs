//! What the actions do.

use std::time::Duration;

use super::dialog::{Dialog, ExtendPrompt, LaunchForm, OpenMenu, Palette, TerminatePrompt};
use super::logs::LogView;
use super::{Connection, Effect, Model, Pane, Screen, Severity};
use crate::cloud::LogQuery;
use crate::domain::RecordId;
use crate::domain::environment::EnvironmentState;
use crate::tui::action::Action;

/// How far back a log is read.
const LOG_WINDOW: Duration = Duration::from_hours(6);

impl Model {
    /// Why an action cannot be taken now, in a few words; `None`: it can.
    #[must_use]
    pub fn why_not(&self, action: Action) -> Option<&'static str> {
        let entry = action.entry();
        if entry.mutates && self.options.read_only {
            return Some("read-only");
        }
        if entry.mutates && (self.connection != Connection::Up || self.fleet_view.is_none()) {
            return Some("not connected yet");
        }
        let needs_environment = matches!(
            action,
            Action::Extend
                | Action::Terminate
                | Action::Open
                | Action::OpenMenu
                | Action::Logs
                | Action::Details
                | Action::CopyUrl
                | Action::CopyId
        );
        match self.current() {
            None if needs_environment => Some("no environment selected"),
            Some(row) if action == Action::Terminate && row.state == EnvironmentState::Terminating => {
                Some("it is being terminated already")
            }
            Some(row) if action == Action::Extend && row.state == EnvironmentState::Terminating => {
                Some("too late: it is being terminated")
            }
            _ => None,
        }
    }

    /// Opens an address, or shows it where there is no browser.
    pub(super) fn open(&mut self, url: String) -> Vec<Effect> {
        if self.options.no_browser {
            return show_url(self, url);
        }
        self.tell(Severity::Info, format!("opening {url}"));
        vec![Effect::OpenUrl(url)]
    }

    /// Whether an environment is gone; says so.
    pub(super) fn is_gone(&mut self, record: &RecordId) -> bool {
        let gone = !self.all.iter().any(|row| row.record == *record);
        if gone {
            self.tell(Severity::Error, "too late: the environment is gone");
        }
        gone
    }

    fn leave(&mut self) -> Vec<Effect> {
        self.scroll = 0;
        match std::mem::replace(&mut self.screen, Screen::Main) {
            Screen::Logs(view) => {
                if view.from_details {
                    self.screen = Screen::Details(view.record);
                }
                vec![Effect::StopLogs]
            }
            _ => Vec::new(),
        }
    }
}

/// Shows an address and copies it.
pub(super) fn show_url(model: &mut Model, url: String) -> Vec<Effect> {
    model.toasts.retain(|toast| toast.severity != Severity::Info);
    let lines = vec![
        url.clone(),
        String::new(),
        "No browser can be opened here. The address was sent to the terminal's clipboard.".to_owned(),
    ];
    model.dialog = Some(Dialog::Notice { title: "Open".to_owned(), lines });
    vec![Effect::Copy(url)]
}

/// Takes an action.
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(why) = model.why_not(action) {
        model.tell(Severity::Info, format!("{}: {why}", action.entry().label));
        return Vec::new();
    }
    match action {
        Action::Quit => vec![Effect::Quit],
        Action::Refresh => refresh(model),
        Action::Theme => {
            if let Some(theme) = model.options.themes.after(&model.theme.name) {
                model.tell(Severity::Info, format!("theme {}", theme.name));
                model.theme = theme;
            }
            vec![Effect::Redraw]
        }
        Action::Palette => {
            model.dialog = Some(Dialog::Palette(Palette::default()));
            Vec::new()
        }
        Action::Help => go(model, Screen::Help),
        Action::Health => go(model, Screen::Health),
        Action::Back => back(model),
        Action::Launch
        | Action::Extend
        | Action::Terminate
        | Action::Open
        | Action::OpenMenu
        | Action::CopyUrl
        | Action::CopyId
        | Action::Logs
        | Action::Details => on_environment(model, action),
        Action::Filter => {
            let _ = go(model, Screen::Main);
            model.pane = Pane::Environments;
            model.filter.editing = true;
            Vec::new()
        }
        Action::Sort => {
            model.sort = model.sort.next();
            model.arrange();
            Vec::new()
        }
        Action::SortReverse => {
            model.descending = !model.descending;
            model.arrange();
            Vec::new()
        }
        Action::NextPane | Action::PreviousPane => {
            next_pane(model, action == Action::NextPane);
            Vec::new()
        }
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::Top | Action::Bottom => {
            travel(model, action);
            Vec::new()
        }
        Action::Follow
        | Action::Wrap
        | Action::Source
        | Action::Search
        | Action::NextMatch
        | Action::PreviousMatch => {
            super::logs::act(model, action);
            Vec::new()
        }
    }
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    match model.connection {
        Connection::Failed(_) => {
            model.connection = Connection::Connecting;
            vec![Effect::Connect]
        }
        Connection::Connecting => Vec::new(),
        Connection::Up => {
            model.tell(Severity::Info, "looking again");
            vec![Effect::Look]
        }
    }
}

fn go(model: &mut Model, screen: Screen) -> Vec<Effect> {
    let effects = match model.screen {
        Screen::Logs(_) => vec![Effect::StopLogs],
        _ => Vec::new(),
    };
    model.screen = screen;
    model.scroll = 0;
    effects
}

fn back(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.screen, Screen::Main) {
        return model.leave();
    }
    if !model.filter.text().is_empty() {
        model.filter.input.reset();
        model.arrange();
    } else if model.pane != Pane::Environments {
        model.pane = Pane::Environments;
        model.reveal();
    }
    Vec::new()
}

fn next_pane(model: &mut Model, forwards: bool) {
    let regions = model.regions();
    // The panes that can have the keys; at a narrow width the pool and the activity share one place.
    let lower = !regions.pool.is_empty() || !regions.activity.is_empty();
    let order: &[Pane] =
        if lower { &[Pane::Environments, Pane::Pool, Pane::Activity] } else { &[Pane::Environments] };
    let at = order.iter().position(|pane| *pane == model.pane).unwrap_or(0);
    let step = if forwards { 1 } else { order.len() - 1 };
    model.pane = order[(at + step) % order.len()];
    model.reveal();
}

fn travel(model: &mut Model, action: Action) {
    let step = |height: usize| -> isize {
        let half = isize::try_from((height / 2).max(1)).unwrap_or(isize::MAX);
        match action {
            Action::Up => -1,
            Action::Down => 1,
            Action::PageUp => -half,
            Action::PageDown => half,
            // Far beyond every table, and far from an overflow.
            Action::Top => isize::MIN / 4,
            _ => isize::MAX / 4,
        }
    };
    match &model.screen {
        Screen::Logs(_) => {
            let by = step(model.page_size().0);
            super::logs::scroll(model, by);
        }
        Screen::Details(_) | Screen::Help | Screen::Health => {
            // The view knows how long the page is and cuts it off; here it is bounded by what a page can have.
            let (height, width) = model.page_size();
            let most = crate::tui::screens::page_length(model, width).saturating_sub(height);
            model.scroll = model.scroll.saturating_add_signed(step(height)).min(most);
        }
        Screen::Main => match model.pane {
            Pane::Environments => {
                let (keys, height) = (model.environment_keys(), model.environment_rows());
                model.environments.step(step(height), &keys, height);
            }
            Pane::Pool => {
                let (keys, height) = (model.pool_keys(), model.pool_rows());
                model.databases.step(step(height), &keys, height);
            }
            Pane::Activity => {
                let height = model.activity_rows();
                model.activity_offset = model.activity_offset.saturating_add_signed(step(height));
                model.reveal();
            }
        },
    }
}

fn on_environment(model: &mut Model, action: Action) -> Vec<Effect> {
    if action == Action::Launch {
        if let Some(seen) = &model.fleet_view {
            model.dialog = Some(Dialog::Launch(Box::new(LaunchForm::new(&seen.world.fleet.policy))));
        }
        return Vec::new();
    }
    let Some(row) = model.current().cloned() else { return Vec::new() };
    match action {
        Action::Extend => model.dialog = Some(Dialog::Extend(ExtendPrompt::new(row.record, row.id))),
        Action::Terminate => {
            let mine = row.owner == model.options.person;
            model.dialog = Some(Dialog::Terminate(TerminatePrompt {
                ask: (!mine).then(|| row.name.clone()),
                record: row.record,
                id: row.id,
                name: row.name,
                typed: tui_input::Input::default(),
            }));
        }
        Action::OpenMenu => model.dialog = Some(Dialog::Open(OpenMenu { record: row.record, index: 0 })),
        Action::Open => match row.urls[0].1.clone() {
            Some(url) => return model.open(url),
            None => model.tell(Severity::Info, "it has no address yet; it gets one with its instance"),
        },
        Action::CopyUrl => match row.urls[0].1.clone() {
            Some(url) => return copy(model, url),
            None => model.tell(Severity::Info, "it has no address yet; it gets one with its instance"),
        },
        Action::CopyId => return copy(model, row.id.to_string()),
        Action::Details => return go(model, Screen::Details(row.record)),
        Action::Logs => {
            let generation = model.token();
            let now = model.aws_now();
            let since = row.facts.record.created_at.max(now - LOG_WINDOW);
            let query =
                LogQuery { fleet: row.id.fleet.clone(), record: row.record.clone(), source: None, since };
            let from_details = matches!(model.screen, Screen::Details(_));
            let title = format!("{} {} {}", row.name, model.options.glyphs.dot, row.id);
            model.screen =
                Screen::Logs(Box::new(LogView::new(row.record, title, since, generation, from_details)));
            return vec![Effect::FollowLogs(query, generation)];
        }
        _ => {}
    }
    Vec::new()
}

fn copy(model: &mut Model, text: String) -> Vec<Effect> {
    model.tell(Severity::Done, format!("sent to the clipboard: {text}"));
    vec![Effect::Copy(text)]
}
