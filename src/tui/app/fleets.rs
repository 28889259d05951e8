//! Several fleets in one dashboard. Each has a model of its own, which no message for another fleet changes. One of them is active: it has the keys,
//! the panes beside the table and the pages, so an action takes place in the account of the selected row. Moving the selection beyond the
//! rows of a fleet makes its neighbour the active one.

use std::sync::Arc;
use std::time::Duration;

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Size;

use super::dialog::Dialog;
use super::groups::{Groups, Line};
use super::input;
use super::message::{Effect, Moment, Msg};
use super::model::{FleetRequest, Model, Reserved, Screen, Severity};
use super::redraw::NextChange;
use super::regions::Pane;
use super::update::update;
use crate::tui::options::TuiOptions;

/// The tasks of the fleets have numbers in ranges of this size, because their toasts are shown together.
const TASKS: u64 = 1 << 40;

/// All fleets of the dashboard, at least one.
#[derive(Debug, Clone)]
pub struct Fleets {
    models: Vec<Model>,
    active: usize,
    /// The table; not used if there is one fleet.
    pub(crate) groups: Groups,
}

impl Fleets {
    /// Returns the state before the connections. There must be at least one fleet; the first one is active.
    #[must_use]
    pub fn new(options: Vec<TuiOptions>, size: Size, now: Moment) -> Self {
        let mut models: Vec<_> = options.into_iter().map(|options| Model::new(options, size, now)).collect();
        if models.len() > 1 {
            let labels: Arc<[String]> = models.iter().map(|model| model.label().to_owned()).collect();
            for (index, model) in (0..).zip(&mut models) {
                model.labels = Arc::clone(&labels);
                model.tasks = TASKS * index;
            }
        }
        let mut fleets = Self { models, active: 0, groups: Groups::default() };
        fleets.arrange();
        fleets
    }

    /// Returns the fleet that actions apply to.
    #[must_use]
    pub fn active(&self) -> &Model {
        &self.models[self.active]
    }

    pub(crate) fn active_mut(&mut self) -> &mut Model {
        &mut self.models[self.active]
    }

    /// Returns the index of the active fleet.
    #[must_use]
    pub fn active_index(&self) -> usize {
        self.active
    }

    /// Returns all fleets, in the order of the table.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Sets the time of all fleets.
    pub fn set_now(&mut self, now: Moment) {
        for model in &mut self.models {
            model.set_now(now);
        }
        self.arrange();
    }

    /// Returns the time until the screen changes without a message.
    #[must_use]
    pub fn next_change(&self) -> NextChange {
        let first = |a: Option<Duration>, b: Option<Duration>| a.into_iter().chain(b).min();
        self.models.iter().map(Model::next_change).fold(NextChange::default(), |next, other| NextChange {
            clock: first(next.clock, other.clock),
            real: first(next.real, other.real),
        })
    }

    /// Applies what the user does and what the terminal tells. Returns the effects, each with the index of its fleet.
    pub fn input(&mut self, msg: Msg) -> Vec<(usize, Effect)> {
        let mut effects = Vec::new();
        match msg {
            Msg::Resize(..) | Msg::Focus(_) | Msg::Tick => {
                for (index, model) in self.models.iter_mut().enumerate() {
                    effects.extend(update(model, msg.clone()).into_iter().map(|effect| (index, effect)));
                }
            }
            Msg::Mouse(mouse) if self.models.len() > 1 && self.click(mouse, &mut effects) => {}
            _ => self.apply(self.active, msg, &mut effects),
        }
        self.settle();
        effects
    }

    /// Applies a message for the fleet with this index. Returns the effects, each with the index of its fleet.
    pub fn receive(&mut self, fleet: usize, msg: Msg) -> Vec<(usize, Effect)> {
        let mut effects = Vec::new();
        self.apply(fleet, msg, &mut effects);
        self.settle();
        effects
    }

    fn apply(&mut self, fleet: usize, msg: Msg, effects: &mut Vec<(usize, Effect)>) {
        let Some(model) = self.models.get_mut(fleet) else { return };
        effects.extend(update(model, msg).into_iter().map(|effect| (fleet, effect)));
    }

    /// Handles a click on the table; returns whether it was one.
    fn click(&mut self, mouse: MouseEvent, effects: &mut Vec<(usize, Effect)>) -> bool {
        let model = self.active();
        let is_table = matches!(model.screen, Screen::Main) && model.dialog.is_none();
        if !is_table || mouse.kind != MouseEventKind::Down(MouseButton::Left) {
            return false;
        }
        let Some((Pane::Environments, Some(y))) = model.regions.pane_at(mouse.column, mouse.row) else {
            return false;
        };
        let Some((fleet, line)) = self.groups.at(y) else {
            self.models[self.active].focus_pane(Pane::Environments);
            return true;
        };
        self.activate(fleet);
        let model = &mut self.models[fleet];
        model.focus_pane(Pane::Environments);
        let index = match line {
            Line::Row(index) => index,
            Line::Head | Line::Text(_) => 0,
        };
        let clicked = input::click_environment(model, index, mouse.row, matches!(line, Line::Row(_)));
        effects.extend(clicked.into_iter().map(|effect| (fleet, effect)));
        true
    }

    /// Makes a fleet the active one, and gives it what the user sees apart from the fleets.
    fn activate(&mut self, to: usize) {
        if to == self.active || to >= self.models.len() {
            return;
        }
        let from = &mut self.models[self.active];
        let toasts = std::mem::take(&mut from.toasts);
        let is_editing = std::mem::take(&mut from.environments.filter.editing);
        let (pane, last_click) = (from.pane, from.last_click.take());
        self.active = to;
        let model = &mut self.models[to];
        model.toasts = toasts;
        model.environments.filter.editing = is_editing;
        model.last_click = last_click;
        model.focus_pane(pane);
    }

    /// To be called after every message: handles the active fleet's request to the dashboard, and shows the toasts of the others.
    fn settle(&mut self) {
        if self.models.len() < 2 {
            return;
        }
        self.share();
        let request = self.models.iter_mut().map(|model| model.request.take()).nth(self.active).flatten();
        for model in &mut self.models {
            model.request = None;
        }
        let is_main = matches!(self.active().screen, Screen::Main) && self.active().dialog.is_none();
        match request {
            Some(_) if !is_main => {}
            Some(FleetRequest::Move(rest)) => self.move_on(rest),
            Some(FleetRequest::Next) => self.activate(self.neighbour(1).unwrap_or_else(|| self.first())),
            Some(FleetRequest::Show(fleet)) => self.activate(fleet),
            None => {}
        }
        self.take_toasts();
        self.arrange();
    }

    /// Gives all fleets the settings of the dashboard, which the user changes in the active one.
    fn share(&mut self) {
        let (before, rest) = self.models.split_at_mut(self.active);
        let Some((active, after)) = rest.split_first_mut() else { return };
        let mut filter_changed = false;
        for model in before.iter_mut().chain(after) {
            filter_changed |= model.take_settings(active);
        }
        let is_shown = |model: &Model| model.environments.visible().len() > 0;
        // The filter leaves the active fleet out: go to one that it does not.
        let is_left_out = |model: &Model| model.environments.is_other_fleet;
        if is_left_out(self.active())
            && let Some(found) = self.models.iter().position(|model| !is_left_out(model))
        {
            self.activate(found);
        }
        // The filter hides the rows of the active fleet: go to what it found.
        if filter_changed
            && !is_shown(self.active())
            && let Some(found) = self.models.iter().position(is_shown)
        {
            self.activate(found);
        }
    }

    /// Moves the selection beyond the end of the active fleet's rows.
    fn move_on(&mut self, mut rest: isize) {
        let step = rest.signum();
        while let Some(next) = self.neighbour(step) {
            self.activate(next);
            let model = &mut self.models[next];
            let height = model.regions.environment_rows();
            let rows = model.environments.visible().len();
            rest -= step;
            model.environments.select(if step > 0 { 0 } else { rows.saturating_sub(1) }, height);
            rest = if rows == 0 { rest } else { model.environments.move_by(rest, height) };
            if rest == 0 {
                return;
            }
        }
    }

    /// Returns the next fleet in a direction that the filter does not leave out.
    fn neighbour(&self, step: isize) -> Option<usize> {
        let mut index = self.active;
        loop {
            index = index.checked_add_signed(step)?;
            if !self.models.get(index)?.environments.is_other_fleet {
                return Some(index);
            }
        }
    }

    fn first(&self) -> usize {
        self.models.iter().position(|model| !model.environments.is_other_fleet).unwrap_or(0)
    }

    /// Shows the toasts of the other fleets among those of the active one.
    fn take_toasts(&mut self) {
        let (before, rest) = self.models.split_at_mut(self.active);
        let Some((active, after)) = rest.split_first_mut() else { return };
        for model in before.iter_mut().chain(after) {
            for mut toast in std::mem::take(&mut model.toasts) {
                if !toast.text.contains(model.label()) {
                    toast.text = format!("{}: {}", model.label(), toast.text);
                }
                active.receive_toast(toast);
            }
            // No other dialog opens by itself, and the active fleet changes only without a dialog.
            let Some(Dialog::Notice { title, lines }) = model.dialog.take() else { continue };
            if active.dialog.is_none() {
                let title = format!("{}: {title}", model.label());
                active.dialog = Some(Dialog::Notice { title, lines });
                continue;
            }
            // A dialog must not disappear while the user types into it.
            for line in lines.iter().filter(|line| !line.is_empty()) {
                let task = model.next_task();
                active.finish_task(task, Severity::Error, format!("{}: {line}", model.label()));
            }
        }
    }

    /// Lays the table out again.
    fn arrange(&mut self) {
        if self.models.len() < 2 {
            return;
        }
        let widest = self.models.iter().map(|model| model.environments.own_widest);
        let widest = widest.reduce(super::environments::Widest::max).unwrap_or_default();
        let needs = self.models.iter().map(Model::needs);
        let reserved = needs.fold(Reserved::default(), |all, needs| Reserved {
            lower_rows: all.lower_rows.max(needs.lower_rows),
            notice: all.notice || needs.notice,
        });
        for model in &mut self.models {
            model.environments.widest = widest;
            if model.reserved != reserved {
                model.reserved = reserved;
                model.keep_in_view();
            }
        }
        self.models[self.active].relayout();
        self.groups.arrange(&self.models, self.active);
    }
}

impl Model {
    /// Takes the settings of the dashboard from another fleet; returns whether the filter changed.
    fn take_settings(&mut self, from: &Self) -> bool {
        (self.mouse, self.focused, self.notifies, self.pane) =
            (from.mouse, from.focused, from.notifies, from.pane);
        if self.styles.theme.name != from.styles.theme.name {
            self.styles.theme = from.styles.theme.clone();
        }
        self.styles.zone = from.styles.zone;
        let (own, other) = (&mut self.environments, &from.environments);
        let filter_changed = own.filter.input.value() != other.filter.input.value();
        if filter_changed {
            own.filter.input = other.filter.input.clone();
        }
        let order_changed =
            (own.sort, own.descending, &own.mine) != (other.sort, other.descending, &other.mine);
        if order_changed {
            (own.sort, own.descending, own.mine) = (other.sort, other.descending, other.mine.clone());
        }
        if filter_changed || order_changed {
            self.filter_and_sort();
        }
        filter_changed
    }
}
