//! Header, footer, notice and messages: what every screen has.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::span;
use crate::domain::health::Level;
use crate::tui::action::{ACTIONS, Action};
use crate::tui::app::{Connection, Model, Severity};
use crate::tui::units;
use crate::tui::widgets::spans;

/// A part of the header, with the order in which parts give way: the lowest goes first.
type Part = (u8, Vec<Span<'static>>);

/// Draws the header.
pub fn header(model: &Model, buf: &mut Buffer, area: Rect) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let room = usize::from(area.width);
    let (mut left, mut right) = (left_parts(model), right_parts(model));
    let gap = if room < 78 { 2 } else { 3 };
    let wide = |parts: &[Part]| -> usize {
        parts.iter().map(|(_, spans)| spans::width(&Line::from(spans.clone())) + gap).sum()
    };
    while wide(&left) + wide(&right) > room + gap && left.len() + right.len() > 1 {
        let lowest = left.iter().chain(&right).map(|(rank, _)| *rank).min();
        left.retain(|(rank, _)| Some(*rank) != lowest);
        right.retain(|(rank, _)| Some(*rank) != lowest);
    }
    spans::put(buf, area, joined(left, gap), model.options.glyphs.ellipsis);
    spans::put_right(buf, area, joined(right, gap), model.options.glyphs.ellipsis);
}

fn joined(parts: Vec<Part>, gap: usize) -> Line<'static> {
    let mut line: Vec<Span<'static>> = Vec::new();
    for (_, spans) in parts {
        if !line.is_empty() {
            line.push(Span::raw(" ".repeat(gap)));
        }
        line.extend(spans);
    }
    Line::from(line)
}

fn left_parts(model: &Model) -> Vec<Part> {
    let dot = format!(" {} ", model.options.glyphs.dot);
    let mut parts = vec![(40, vec![span(model, "brand", "hatchery")])];
    let mut place: Vec<String> = Vec::new();
    place.extend(model.options.fleet.as_ref().map(ToString::to_string));
    place.extend(Some(model.options.region.clone()).filter(|region| !region.is_empty()));
    if !place.is_empty() {
        parts.push((70, vec![span(model, "text.strong", place.join(&dot))]));
    }
    if let Some(demo) = &model.options.demo {
        parts.push((95, vec![span(model, "badge.demo", "DEMO")]));
        if !demo.about.is_empty() {
            parts.push((15, vec![span(model, "text.muted", demo.about.clone())]));
        }
    }
    if model.options.read_only {
        parts.push((96, vec![span(model, "badge.read-only", "READ-ONLY")]));
    }
    if model.connection == Connection::Up {
        parts.push((30, engine(model)));
    }
    parts
}

fn engine(model: &Model) -> Vec<Span<'static>> {
    let glyphs = &model.options.glyphs;
    let paused = model.fleet_view.as_ref().is_some_and(|seen| seen.world.fleet.policy.paused);
    let (glyph, word, role) = if !model.options.engine_enabled || model.options.read_only {
        (glyphs.empty, "off".to_owned(), "engine.off")
    } else if paused {
        (glyphs.paused, "paused".to_owned(), "pool.low")
    } else if model.fleet_view.as_ref().is_some_and(|seen| !seen.world.fleet.problems.is_empty()) {
        (glyphs.paused, "only looks".to_owned(), "pool.low")
    } else if model.working > 0 {
        let plural = if model.working == 1 { "" } else { "s" };
        (glyphs.half, format!("{} step{plural}", model.working), "state.starting")
    } else {
        (glyphs.full, "on".to_owned(), "engine.on")
    };
    vec![span(model, "text.muted", "engine "), span(model, role, format!("{glyph} {word}"))]
}

fn right_parts(model: &Model) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(seen) = &model.fleet_view {
        let more = if seen.world.records.complete { "" } else { "+" };
        parts.push((
            50,
            vec![
                span(model, "text.muted", "envs "),
                span(model, "text.strong", format!("{}{more}", model.all.len())),
            ],
        ));
        if seen.world.databases.complete {
            let pool = &model.pool;
            let role = match pool.free {
                free if free >= pool.target => "pool.free",
                0 => "pool.empty",
                _ => "pool.low",
            };
            parts.push((
                60,
                vec![
                    span(model, "text.muted", "pool "),
                    span(model, role, format!("{}/{} free", pool.free, pool.target)),
                ],
            ));
        }
        if let Some(per_hour) = model.pool.per_hour {
            parts.push((20, vec![span(model, "text", format!("{}/h", units::dollars(per_hour)))]));
        }
    }
    let age = model.data_age();
    if !age.text.is_empty() {
        let role = if age.stale { "age.stale" } else { "age" };
        let text =
            if age.stale { format!("{} {}", model.options.glyphs.warning, age.text) } else { age.text };
        // As wide whatever it says, so that nothing else moves.
        let text = format!("{text:>5}");
        parts.push((80, vec![span(model, role, text)]));
    }
    parts
}

/// Draws what is wrong, in one line.
pub fn notice(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let Some((level, text)) = model.notice() else { return };
    let role = match level {
        Level::Info => "level.info",
        Level::Warning => "level.warning",
        Level::Error => "level.error",
    };
    let line = Line::from(vec![span(model, role, format!("{} {text}", model.options.glyphs.warning))]);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    spans::put(buf, area, line, model.options.glyphs.ellipsis);
}

/// Draws the messages.
pub fn toasts(model: &Model, buf: &mut Buffer, area: Rect) {
    let glyphs = &model.options.glyphs;
    let skipped = model.toasts.len().saturating_sub(usize::from(area.height));
    for (y, toast) in (area.y..).zip(model.toasts.iter().skip(skipped)) {
        let (glyph, role) = match toast.severity {
            Severity::Busy => (glyphs.half, "state.starting"),
            Severity::Done => (glyphs.check, "done"),
            Severity::Info => (glyphs.dot, "level.info"),
            Severity::Error => (glyphs.cross, "level.error"),
        };
        let more = if toast.severity == Severity::Busy { glyphs.ellipsis } else { "" };
        let line = Line::from(vec![
            span(model, role, format!("{glyph} ")),
            span(
                model,
                if toast.severity == Severity::Error { role } else { "text" },
                format!("{}{more}", toast.text),
            ),
        ]);
        let place = Rect { x: area.x + 1, y, width: area.width.saturating_sub(2), height: 1 };
        spans::put(buf, place, line, glyphs.ellipsis);
    }
}

/// Draws the keys.
pub fn footer(model: &Model, buf: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let context = model.context();
    let ascii = model.options.glyphs.name == "ascii";
    let on_main = matches!(model.screen, crate::tui::app::Screen::Main);
    let mut hints: Vec<(u8, usize, Vec<Span<'static>>)> = Vec::new();
    for entry in ACTIONS.iter().filter(|entry| entry.hint > 0 && entry.contexts.contains(&context)) {
        // On the main screen there is only something to go back from where there is a filter.
        if entry.action == Action::Back && on_main && model.filter.text().is_empty() {
            continue;
        }
        let key = model.options.keymap.shown(entry.action, ascii);
        if key.is_empty() {
            continue;
        }
        let off = model.why_not(entry.action).is_some();
        let always = [Action::Refresh, Action::Palette, Action::Help, Action::Back, Action::Quit];
        if model.connection != Connection::Up && !always.contains(&entry.action) {
            continue;
        }
        let (key_role, label_role) = if off { ("key.off", "key.off") } else { ("key", "text") };
        let label = format!(" {}", entry.label);
        let wide = crate::tui::text::width(&key) + crate::tui::text::width(&label) + 2;
        hints.push((entry.hint, wide, vec![span(model, key_role, key), span(model, label_role, label)]));
    }
    let room = usize::from(area.width) + 2;
    while hints.iter().map(|(_, wide, _)| wide).sum::<usize>() > room {
        let Some(lowest) = (0..hints.len()).min_by_key(|&index| hints[index].0) else { break };
        hints.remove(lowest);
    }
    let mut line = Vec::new();
    for (_, _, spans) in hints {
        if !line.is_empty() {
            line.push(Span::raw("  "));
        }
        line.extend(spans);
    }
    spans::put(buf, area, Line::from(line), model.options.glyphs.ellipsis);
}
