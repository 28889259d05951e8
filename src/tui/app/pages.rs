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

pub(super) use pool::claimed;

/// The part of a page that is on the screen.
pub(crate) struct Visible {
    pub(crate) lines: Vec<Line<'static>>,
    /// The index of the first of them.
    pub(crate) first: usize,
    /// The number of lines of the page.
    pub(crate) total: usize,
}

/// Returns the visible lines of the open page, wrapped at `width` columns. The page can have become shorter since the user scrolled.
pub(crate) fn visible(model: &Model, width: usize, height: usize) -> Visible {
    let first = |total: usize| model.scroll.min(total.saturating_sub(height));
    if matches!(model.screen, Screen::Pool) {
        let sections = pool::Sections::new(model, width);
        let (total, first) = (sections.length(), first(sections.length()));
        return Visible { lines: sections.lines(first, height), first, total };
    }
    let lines = lines(model, width);
    let (total, first) = (lines.len(), first(lines.len()));
    Visible { lines: lines.into_iter().skip(first).take(height).collect(), first, total }
}

/// Returns the number of lines of the open page.
pub(crate) fn length(model: &Model, width: usize) -> usize {
    match &model.screen {
        Screen::Pool => pool::Sections::new(model, width).length(),
        _ => lines(model, width).len(),
    }
}

fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    match &model.screen {
        Screen::Details(record) => details::lines(model, record, width),
        Screen::Health => health::lines(model, width),
        Screen::Images => images::lines(model, width),
        Screen::Help => help::lines(model, width),
        Screen::Diff(ids) => diff::lines(model, ids, width),
        Screen::Main | Screen::Pool | Screen::Logs(_) | Screen::Activity(_) | Screen::Present(_) => {
            Vec::new()
        }
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
