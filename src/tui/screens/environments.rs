//! The table of environments.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::span;
use crate::domain::StatusClass;
use crate::domain::environment::EnvironmentState;
use crate::tui::app::rows::{EnvironmentRow, SortBy};
use crate::tui::app::{Connection, Model, Pane};
use crate::tui::glyphs::Glyphs;
use crate::tui::text;
use crate::tui::units;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::spans;
use crate::tui::widgets::table::{Column, Table};

/// How wide a progress bar is.
const BAR: usize = 9;

/// The sign and the role of a state.
#[must_use]
pub fn state_sign(state: EnvironmentState, glyphs: &Glyphs) -> (&'static str, &'static str) {
    match state {
        EnvironmentState::Launching => (glyphs.half, "state.launching"),
        EnvironmentState::Starting => (glyphs.half, "state.starting"),
        EnvironmentState::Ready => (glyphs.full, "state.ready"),
        EnvironmentState::Stopped => (glyphs.paused, "state.stopped"),
        EnvironmentState::Expired => (glyphs.empty, "state.expired"),
        EnvironmentState::Reaping => (glyphs.fading, "state.reaping"),
        EnvironmentState::Terminating => (glyphs.fading, "state.terminating"),
        EnvironmentState::Failed => (glyphs.cross, "state.failed"),
    }
}

/// Draws the table; the cursor stands in the filter while it is edited.
pub fn draw(model: &Model, buf: &mut Buffer, area: Rect) -> Option<Position> {
    let focused = model.pane == Pane::Environments;
    let filter = model.filter.text();
    let mut title = vec![span(model, if focused { "text.strong" } else { "text" }, "Environments")];
    if model.sort != SortBy::Number || model.descending {
        let glyphs = &model.options.glyphs;
        let way = if model.descending { glyphs.down } else { glyphs.up };
        title.push(span(model, "text.muted", format!(" by {} {way}", model.sort.as_str())));
    }
    let mut right = Vec::new();
    if model.filter.editing || !filter.is_empty() {
        right.push(span(model, "key", "/"));
        right.push(span(model, "text.strong", filter_in_sight(model, area).to_owned()));
        if model.filter.editing {
            right.push(Span::raw(" "));
        }
        let counts = format!(" {} {} of {}", model.options.glyphs.dash, model.shown.len(), model.all.len());
        right.push(span(model, "text.muted", counts));
    } else if model.shown.len() > model.environment_rows() {
        let last = (model.environments.offset + model.environment_rows()).min(model.shown.len());
        right.push(span(
            model,
            "text.muted",
            format!("{}-{last} of {}", model.environments.offset + 1, model.shown.len()),
        ));
    }
    let right_width = spans::width(&Line::from(right.clone()));
    let inner = Frame { title, right, focused, ..Frame::default() }.draw(model, buf, area);
    if model.shown.is_empty() {
        empty(model, buf, inner);
    } else {
        table(model, focused).draw(model, buf, inner);
    }
    model.filter.editing.then(|| {
        let hidden =
            text::width(model.filter.input.value()).saturating_sub(text::width(filter_in_sight(model, area)));
        let back = u16::try_from(right_width + 3).unwrap_or(u16::MAX);
        let start = (area.x + area.width).saturating_sub(back) + 1;
        let at = model.filter.input.visual_cursor().saturating_sub(hidden);
        Position::new(start.saturating_add(u16::try_from(at).unwrap_or(0)), area.y)
    })
}

/// The end of the filter where all of it has no room.
fn filter_in_sight(model: &Model, area: Rect) -> &str {
    let room = usize::from(area.width.saturating_sub(48)).max(8);
    let value = model.filter.input.value();
    text::skip(value, text::width(value).saturating_sub(room))
}

fn empty(model: &Model, buf: &mut Buffer, area: Rect) {
    let launch = model.options.keymap.shown(crate::tui::action::Action::Launch, false);
    let refresh = model.options.keymap.shown(crate::tui::action::Action::Refresh, false);
    let quit = model.options.keymap.shown(crate::tui::action::Action::Quit, false);
    let mut lines: Vec<(&str, String)> = Vec::new();
    match (&model.connection, &model.fleet_view) {
        (Connection::Connecting, _) => lines.push(("text.muted", "connecting…".to_owned())),
        (Connection::Failed(failure), _) => {
            lines.push(("level.error", failure.message.clone()));
            if !failure.hint.is_empty() {
                lines.push(("text", failure.hint.clone()));
            }
            lines.push(("text.muted", String::new()));
            lines.push(("text.muted", format!("{refresh} tries again, {quit} quits")));
        }
        (Connection::Up, None) if model.last_error.is_some() => {
            lines.push(("text.muted", format!("nothing could be read yet; {refresh} looks again")));
        }
        (Connection::Up, None) => lines.push(("text.muted", "loading…".to_owned())),
        (Connection::Up, Some(_)) if !model.filter.text().is_empty() => {
            lines.push(("text.muted", format!("none of {} matches; esc clears the filter", model.all.len())));
        }
        (Connection::Up, Some(seen)) if seen.is_loading() => {
            lines.push(("text.muted", "loading…".to_owned()))
        }
        (Connection::Up, Some(seen)) if !seen.world.records.complete => {
            lines.push(("text.muted", "the environments could not be read".to_owned()));
        }
        (Connection::Up, Some(_)) if model.options.read_only => {
            lines.push(("text.muted", "no environments".to_owned()));
        }
        (Connection::Up, Some(_)) => {
            lines.push(("text.muted", format!("no environments; {launch} launches the first")));
        }
    }
    let columns = usize::from(area.width.saturating_sub(6)).max(1);
    let folded: Vec<_> = lines
        .iter()
        .flat_map(|(role, text)| text::fold(text, columns).into_iter().map(move |line| (*role, line)))
        .collect();
    let top = (usize::from(area.height).saturating_sub(folded.len())) / 3;
    for (y, (role, line)) in (area.y + u16::try_from(top).unwrap_or(0)..area.y + area.height).zip(folded) {
        let place = Rect { x: area.x + 3, y, width: area.width.saturating_sub(3), height: 1 };
        spans::put(buf, place, Line::from(span(model, role, line)), model.options.glyphs.ellipsis);
    }
}

fn table(model: &Model, focused: bool) -> Table {
    let rows: Vec<&EnvironmentRow> = model
        .shown
        .iter()
        .skip(model.environments.offset)
        .take(model.environment_rows())
        .map(|&index| &model.all[index])
        .collect();
    // Widths come from all rows, so that scrolling moves no column.
    let widest = |of: &dyn Fn(&EnvironmentRow) -> usize, least: usize, most: usize| {
        model.all.iter().map(of).max().unwrap_or(0).clamp(least, most)
    };
    let name = widest(&|row| text::width(&row.name), 8, 28);
    let owner = widest(&|row| text::width(&row.owner), 5, 14);
    let id = widest(&|row| text::width(&row.id.to_string()) + 2, 8, 24);
    let coming = model.all.iter().any(|row| row.progress.is_some());
    let word = if coming { 2 + 11 } else { widest(&|row| 2 + row.as_str().len(), 7, 13) };
    let bar = if coming { BAR + 6 } else { 0 };
    let column =
        |title: &str, least, most, right, rank| Column { title: title.to_owned(), least, most, right, rank };
    let mut columns = vec![
        column("NAME", name.min(14), name, false, 10),
        column("OWNER", owner.min(8), owner, false, 5),
        column("STATE", word + if coming { 5 } else { 0 }, word + bar, false, 9),
        column("LEFT", 8, 8, true, 8),
        column("DATABASE", id.min(12), id, false, 4),
        column("SERVICES", 8, usize::MAX, false, 2),
        column("COST", 7, 7, true, 3),
    ];
    if model.all.iter().all(|row| row.cost.is_none()) {
        columns[6].rank = 1;
    }
    let inside = usize::from(model.regions().body.width.saturating_sub(6));
    let state = crate::tui::widgets::table::widths(&columns, inside)[2];
    let selected = model.environments.index().checked_sub(model.environments.offset);
    Table {
        rows: rows.into_iter().map(|row| cells(model, row, word, state)).collect(),
        columns,
        selected,
        focused,
        headings: true,
    }
}

fn cells(model: &Model, row: &EnvironmentRow, word: usize, state: usize) -> Vec<Line<'static>> {
    let needle = model.filter.text();
    let found = model.theme.style("match");
    let glyphs = &model.options.glyphs;
    let ending = matches!(row.state, EnvironmentState::Terminating);
    let name_role = if ending { "text.muted" } else { "text.strong" };
    let name = spans::highlighted(&row.name, needle, model.theme.style(name_role), found);
    let owner_role = if row.owner == model.options.person { "text" } else { "text.muted" };
    let owner = spans::highlighted(&row.owner, needle, model.theme.style(owner_role), found);
    let services = spans::highlighted(&row.services, needle, model.theme.style("text.muted"), found);
    let left = row.left.clone().unwrap_or_else(|| glyphs.none.to_owned());
    let left_role = match row.state {
        EnvironmentState::Expired | EnvironmentState::Reaping => "state.expired",
        EnvironmentState::Launching | EnvironmentState::Starting if left != "late" => "text.muted",
        EnvironmentState::Launching | EnvironmentState::Starting => "level.warning",
        _ if ends_soon(model, row) => "state.expired",
        _ => "text",
    };
    let cost = row.cost.map_or_else(|| glyphs.none.to_owned(), |cost| units::dollars(cost.accrued));
    vec![
        Line::from(name),
        Line::from(owner),
        Line::from(state_cell(model, row, word, state)),
        Line::from(span(model, left_role, left)),
        Line::from(database(model, row, needle)),
        Line::from(services),
        Line::from(span(model, "text.muted", cost)),
    ]
}

fn ends_soon(model: &Model, row: &EnvironmentRow) -> bool {
    row.expires_at.is_some_and(|at| (at - model.aws_now()).num_minutes() < 30)
}

fn state_cell(model: &Model, row: &EnvironmentRow, word: usize, room: usize) -> Vec<Span<'static>> {
    let glyphs = &model.options.glyphs;
    let (glyph, role) =
        if row.is_loading { (glyphs.ellipsis, "text.muted") } else { state_sign(row.state, glyphs) };
    let sign = format!("{glyph} {}", row.as_str());
    let mut cell =
        spans::highlighted(&sign, model.filter.text(), model.theme.style(role), model.theme.style("match"));
    if let Some(progress) = row.progress {
        let pad = word.saturating_sub(text::width(&sign));
        cell.push(Span::raw(" ".repeat(pad)));
        cell.extend(bar(model, progress.ratio, room.saturating_sub(word + 5).min(BAR)));
    }
    cell
}

/// A progress bar of this width with its percentage.
pub(super) fn bar(model: &Model, ratio: f64, columns: usize) -> Vec<Span<'static>> {
    let (filled, rest) = model.options.glyphs.progress(ratio, columns);
    vec![
        span(model, "bar", filled),
        span(model, "bar.rest", rest),
        span(model, "text.muted", format!("{:>4.0}%", (ratio * 100.0).floor())),
    ]
}

fn database(model: &Model, row: &EnvironmentRow, needle: &str) -> Vec<Span<'static>> {
    let glyphs = &model.options.glyphs;
    let complete = model.fleet_view.as_ref().is_some_and(|seen| seen.world.databases.complete);
    let (glyph, role) = match row.database() {
        Some(StatusClass::Usable) => (glyphs.full, "pool.free"),
        Some(StatusClass::Pending) => (glyphs.half, "pool.creating"),
        Some(StatusClass::Failed) => (glyphs.cross, "pool.failed"),
        Some(StatusClass::Deleting) => (glyphs.fading, "pool.deleting"),
        None if complete => (glyphs.none, "text.muted"),
        None => ("?", "text.muted"),
    };
    let mut cell = vec![span(model, role, format!("{glyph} "))];
    let style = model.theme.style("text.muted");
    cell.extend(spans::highlighted(&row.id.to_string(), needle, style, model.theme.style("match")));
    cell
}
