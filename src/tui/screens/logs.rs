//! The log of one environment.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{field, span};
use crate::tui::app::Model;
use crate::tui::app::logs::{Line as LogLine, LogView};
use crate::tui::text;
use crate::tui::units;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::spans;

/// Draws the log; the cursor stands in the search while it is edited.
pub fn draw(model: &Model, view: &LogView, buf: &mut Buffer, area: Rect) -> Option<Position> {
    let inner =
        Frame { title: title(model, view), right: status(model, view), focused: true, ..Frame::default() }
            .draw(model, buf, area);
    let inner = Rect { x: inner.x + inner.width.min(1), width: inner.width.saturating_sub(2), ..inner };
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    if view.lines.is_empty() {
        let word = match &view.failure {
            Some(failure) => span(model, "level.error", failure.clone()),
            None if view.mode == "connecting" => span(model, "text.muted", "connecting…"),
            None => {
                let since = units::time_of_day(view.since, model.options.zone);
                span(model, "text.muted", format!("no lines since {since}; they appear here as they come"))
            }
        };
        let place = inner;
        spans::put(buf, place, Line::from(word), model.options.glyphs.ellipsis);
    }
    let first = view.first_in_sight(height, width);
    let mut y = inner.y;
    let below =
        view.lines.iter().skip(usize::try_from(first.saturating_sub(view.dropped)).unwrap_or(usize::MAX));
    for line in below.filter(|line| view.shows(line)) {
        for piece in pieces(model, view, line, width) {
            if y >= inner.y + inner.height {
                break;
            }
            spans::put(buf, Rect { y, height: 1, ..inner }, piece, model.options.glyphs.ellipsis);
            y += 1;
        }
    }
    if !view.search.editing || area.height < 2 {
        return None;
    }
    let bottom =
        Rect { x: area.x + 2, y: area.y + area.height - 1, width: area.width.saturating_sub(4), height: 1 };
    spans::put(buf, bottom, Line::from(span(model, "key", " / ")), "");
    let place = Rect { x: bottom.x + 3, width: bottom.width.saturating_sub(4).min(40), ..bottom };
    field(buf, place, &view.search.input, model.theme.style("field.focus"))
}

fn title(model: &Model, view: &LogView) -> Vec<Span<'static>> {
    let mut title = vec![span(model, "text.strong", "Logs "), span(model, "text", view.title.clone())];
    if let Some(source) = &view.source {
        title.push(span(model, "log.source", format!(" {} only {source}", model.options.glyphs.dot)));
    }
    title
}

fn status(model: &Model, view: &LogView) -> Vec<Span<'static>> {
    let mut status = Vec::new();
    let dot = format!(" {} ", model.options.glyphs.dot);
    let needle = view.search.text();
    if !needle.is_empty() {
        let count = match view.hits {
            0 => "no line matches".to_owned(),
            1 => "1 line matches".to_owned(),
            hits => format!("{hits} lines match"),
        };
        status.push(span(model, "key", format!("/{needle} ")));
        status.push(span(model, "text.muted", format!("{count}{dot}")));
    }
    if view.dropped > 0 {
        status.push(span(model, "text.muted", format!("{} older lines dropped{dot}", view.dropped)));
    }
    match &view.failure {
        Some(failure) if !view.lines.is_empty() => status.push(span(model, "level.error", failure.clone())),
        _ => status.push(span(model, "text.muted", view.mode.clone())),
    }
    let glyphs = &model.options.glyphs;
    status.push(if view.follow {
        span(model, "engine.on", format!("{dot}{} following", glyphs.full))
    } else {
        span(model, "level.warning", format!("{dot}{} held", glyphs.paused))
    });
    status
}

fn pieces(model: &Model, view: &LogView, line: &LogLine, width: usize) -> Vec<Line<'static>> {
    let gutter = view.gutter(width);
    let columns = width.saturating_sub(gutter).max(1);
    let mut head =
        vec![span(model, "log.time", format!("{} ", units::clock_time(line.line.at, model.options.zone)))];
    if gutter > 9 {
        let wide = view.source_width();
        let source = text::fit(&line.line.source, wide, model.options.glyphs.ellipsis);
        let pad = " ".repeat(wide.saturating_sub(text::width(&source)) + 1);
        head.push(span(model, "log.source", format!("{source}{pad}")));
    }
    let style = text_style(model, &line.line.text);
    let role = if view.current == Some(line.number) { "match.current" } else { "match" };
    let found = model.theme.style(role);
    if !view.wrap {
        head.extend(spans::highlighted(&line.line.text, view.search.text(), style, found));
        return vec![Line::from(head)];
    }
    text::wrap(&line.line.text, columns)
        .into_iter()
        .enumerate()
        .map(|(index, piece)| {
            let mut spans = if index == 0 { head.clone() } else { vec![Span::raw(" ".repeat(gutter))] };
            let piece = if index == 0 { piece } else { piece.trim_start() };
            spans.extend(spans::highlighted(piece, view.search.text(), style, found));
            Line::from(spans)
        })
        .collect()
}

/// Lines that say how grave they are stand out.
fn text_style(model: &Model, text: &str) -> Style {
    let start: String = text.chars().take(64).collect::<String>().to_lowercase();
    let says = |words: &[&str]| start.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word));
    if says(&["error", "fatal", "panic"]) {
        model.theme.style("level.error")
    } else if says(&["warn", "warning"]) {
        model.theme.style("level.warning")
    } else {
        model.theme.style("text")
    }
}
