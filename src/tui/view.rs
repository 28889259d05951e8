//! Draws the model. The model stays unchanged; each part of the screen gets the styles and its own data.

pub(crate) mod activity;
pub(crate) mod activity_page;
mod ascii;
pub(crate) mod batch;
pub(crate) mod chrome;
pub(crate) mod dialogs;
pub(crate) mod environments;
mod fleets;
pub(crate) mod logs;
mod menus;
pub(crate) mod page;
pub(crate) mod pool;
pub(crate) mod presenter;
pub(crate) mod summary;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use ratatui::text::Line;

use super::action::Action;
use super::app::dialog::Dialog;
use super::app::dialog::targets::Targets;
use super::app::fleets::Fleets;
use super::app::model::{Model, Screen};
use super::app::pages;
use super::app::regions::{MIN_SIZE, Pane};
use super::text;
use super::widgets::line;

/// Draws the dashboard, and remembers what can be clicked in the dialog. Returns the position of the cursor, if a text field has the focus.
pub fn draw_fleets(fleets: &mut Fleets, buf: &mut Buffer) -> Option<Position> {
    if fleets.models().len() == 1 {
        return draw_clickable(fleets.active_mut(), buf);
    }
    let mut targets = Targets::of(fleets.active().dialog.as_ref());
    let cursor = draw_with(fleets.active(), buf, &mut targets, |buf| fleets::draw(fleets, buf));
    fleets.active_mut().targets = targets;
    cursor
}

/// Draws the dashboard of one fleet, without the places of clicks.
pub fn draw(model: &Model, buf: &mut Buffer) -> Option<Position> {
    draw_with(model, buf, &mut Targets::default(), |buf| environments(model, buf))
}

/// Draws the dashboard of one fleet, as [`draw_fleets`] does.
pub fn draw_clickable(model: &mut Model, buf: &mut Buffer) -> Option<Position> {
    let mut targets = Targets::of(model.dialog.as_ref());
    let cursor = draw_with(model, buf, &mut targets, |buf| environments(model, buf));
    model.targets = targets;
    cursor
}

fn draw_with(
    model: &Model,
    buf: &mut Buffer,
    out: &mut Targets,
    environments: impl FnOnce(&mut Buffer) -> Option<Position>,
) -> Option<Position> {
    let styles = &model.styles;
    let regions = &model.regions;
    let screen = Rect::from((Position::ORIGIN, model.size)).intersection(buf.area);
    buf.set_style(screen, styles.role("background"));
    if model.is_too_small() {
        too_small(model, buf, screen);
        return None;
    }
    chrome::header(styles, buf, regions.header, &model.header());
    if let Some((level, text)) = model.notice().filter(|_| !regions.notice.is_empty()) {
        chrome::notice(styles, buf, regions.notice, level, &text);
    }
    let mut cursor = match &model.screen {
        Screen::Main => {
            pool(model, buf);
            activity(model, buf);
            summary::draw(model, buf);
            environments(buf)
        }
        Screen::Logs(view) => logs::draw(styles, buf, regions.body, view, model.aws_now()),
        Screen::Activity(view) => activity_page::draw(model, view, buf),
        Screen::Present(presenter) => {
            presenter::draw(model, presenter, buf);
            None
        }
        Screen::Details(_)
        | Screen::Help
        | Screen::Health
        | Screen::Images
        | Screen::Pool
        | Screen::Diff(_) => {
            let (height, width) = regions.page_size();
            let visible = pages::visible(model, width, height);
            page::draw(styles, buf, regions.body, pages::title(model), visible);
            None
        }
    };
    chrome::toasts(styles, buf, regions.toasts, &model.toasts);
    chrome::footer(styles, buf, regions.footer, model.footer_hints());
    if let Some(open) = &model.dialog {
        cursor = dialog(model, open, buf, out);
    }
    if styles.glyphs.ascii {
        ascii::replace(buf);
    }
    cursor.filter(|at| buf.area.contains(*at))
}

fn too_small(model: &Model, buf: &mut Buffer, screen: Rect) {
    let Size { width, height } = model.size;
    let quit = model.key_label(Action::Quit);
    let text = format!(
        "This terminal has {width}x{height} cells, and hatchery needs {}x{}. Enlarge it, or press {quit} to quit.",
        MIN_SIZE.width, MIN_SIZE.height
    );
    let lines = text::wrap(&text, usize::from(width)).into_iter().map(Line::from);
    line::put_all(buf, screen, lines, model.styles.glyphs.ellipsis);
}

fn environments(model: &Model, buf: &mut Buffer) -> Option<Position> {
    environments::EnvironmentsTable::of(model).draw(&model.styles, buf, model.regions.body)
}

fn pool(model: &Model, buf: &mut Buffer) {
    let focused = model.pane == Pane::Pool;
    let table = pool::PoolTable {
        pane: &model.pool,
        rows: model.regions.pool_rows(),
        focused,
        border: model.border_role(focused),
        observed: model.fleet_view.is_some(),
        placeholder: model.no_databases(),
    };
    table.draw(&model.styles, buf, model.regions.pool);
}

fn activity(model: &Model, buf: &mut Buffer) {
    let focused = model.pane == Pane::Activity;
    let list = activity::ActivityList {
        pane: &model.activity,
        focused,
        border: model.border_role(focused),
        placeholder: model.no_activity(),
    };
    list.draw(&model.styles, buf, model.regions.activity);
}

fn dialog(model: &Model, dialog: &Dialog, buf: &mut Buffer, out: &mut Targets) -> Option<Position> {
    let styles = &model.styles;
    match dialog {
        Dialog::Launch(form) => dialogs::launch(styles, buf, out, form, &fleets::in_fleet(model)),
        Dialog::Extend(prompt) => {
            let row = model.environments.find(&prompt.record);
            let max_lifetime = model.fleet_view.as_ref().map(|view| view.world.fleet.policy.max_lifetime);
            dialogs::extend(styles, buf, out, prompt, row, max_lifetime, model.aws_now())
        }
        Dialog::Keep(form) => dialogs::keep(styles, buf, out, form),
        Dialog::Redeploy(form) => dialogs::redeploy(styles, buf, out, form),
        Dialog::Diff(menu) => {
            menus::diff(styles, buf, out, menu);
            None
        }
        Dialog::Terminate(prompt) => {
            let losses = prompt.losses(model.environments.find(&prompt.record), model.aws_now());
            dialogs::terminate(styles, buf, out, prompt, &model.place(), &losses)
        }
        Dialog::Batch(prompt) => {
            batch::draw(styles, buf, out, prompt, &model.place(), model.labels.len() > 1)
        }
        Dialog::Open(menu) => {
            dialogs::open(styles, buf, out, menu, model.environments.find(&menu.record));
            None
        }
        Dialog::Palette(palette) => dialogs::palette(styles, buf, out, palette, model.palette_rows(palette)),
        Dialog::Log(prompt) => dialogs::log_prompt(styles, buf, out, prompt),
        Dialog::Sources(menu) => {
            menus::log_sources(styles, buf, out, menu);
            None
        }
        Dialog::Notice { title, lines } => {
            dialogs::notice(styles, buf, out, title, lines);
            None
        }
    }
}
