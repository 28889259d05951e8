//! Goes to another screen, and requests what it shows.

use super::activity_view::ActivityView;
use super::message::Effect;
use super::model::{Connection, Model, Screen};
use super::regions::Pane;

/// Shows a screen; stops the log if one is open.
pub(super) fn open_screen(model: &mut Model, screen: Screen) -> Vec<Effect> {
    let was_log = matches!(model.screen, Screen::Logs(_));
    model.select_presented();
    model.show_screen(screen);
    if was_log { vec![Effect::StopLogs] } else { Vec::new() }
}

pub(super) fn is_focused(model: &Model, pane: Pane) -> bool {
    matches!(model.screen, Screen::Main) && model.pane == pane
}

pub(super) fn open_pool(model: &mut Model) -> Vec<Effect> {
    let mut effects = open_screen(model, Screen::Pool);
    effects.extend(request_week(model));
    model.derive_pool_past();
    effects
}

pub(super) fn open_activity(model: &mut Model) -> Vec<Effect> {
    let view = ActivityView::new(&model.history.log);
    let mut effects = open_screen(model, Screen::Activity(Box::new(view)));
    effects.extend(request_week(model));
    effects
}

/// Reads the last seven days of the audit log, once the fleet is connected.
fn request_week(model: &mut Model) -> Option<Effect> {
    let now = model.aws_now();
    (model.connection == Connection::Up).then(|| model.history.request_week(now)).flatten()
}

pub(super) fn clear_activity_filter(model: &mut Model) {
    if let Screen::Activity(view) = &mut model.screen {
        view.filter.input.reset();
        view.apply_filter(&model.history.log);
    }
}
