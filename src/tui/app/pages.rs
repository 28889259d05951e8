//! What the pages say: details, help, health, images, the pool and comparisons, as styled lines. The model needs their number to limit scrolling, and the
//! view draws them.

mod details;
mod diff;
mod graph;
mod health;
mod help;
mod images;
mod page;
mod pool;

use ratatui::text::{Line, Span};

use super::model::{Model, Screen};

/// Returns the lines of the open page, wrapped at `width` columns.
pub(crate) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    match &model.screen {
        Screen::Details(record) => details::lines(model, record, width),
        Screen::Health => health::lines(model, width),
        Screen::Images => images::lines(model, width),
        Screen::Help => help::lines(model, width),
        Screen::Diff(ids) => diff::lines(model, ids, width),
        Screen::Pool => pool::lines(model, width),
        Screen::Main | Screen::Logs(_) | Screen::Activity(_) | Screen::Present(_) => Vec::new(),
    }
}

/// Returns the title of the open page.
pub(crate) fn title(model: &Model) -> Vec<Span<'static>> {
    let styles = &model.styles;
    let title = |text: &str| styles.span("text.strong", text);
    match (&model.screen, model.current()) {
        (Screen::Details(_), Some(row)) => {
            let id = format!(" {} {}", styles.glyphs.dot, row.id);
            vec![title(&row.name), styles.span("text.muted", id)]
        }
        (Screen::Details(_), None) => vec![title("Details")],
        (Screen::Health, _) => vec![title("Health")],
        (Screen::Pool, _) => vec![title("Warm pool")],
        (Screen::Images, _) => vec![title("Images")],
        (Screen::Diff(ids), _) => {
            let name = |id| model.environments.find(id).map_or_else(String::new, |row| row.name.clone());
            let and = styles.span("text.muted", " and ");
            vec![title("Services of "), title(&name(&ids.0)), and, title(&name(&ids.1))]
        }
        _ => vec![title("Help")],
    }
}
