//! Pages that are read: an environment's details, the help, the fleet's health.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::environments::{bar, state_sign};
use super::pool::event_line;
use super::span;
use crate::domain::health::Level;
use crate::domain::{Phase, RecordId};
use crate::tui::action::{ACTIONS, Group};
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::app::{Model, Screen};
use crate::tui::text;
use crate::tui::units;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::spans;

/// Columns of the names of facts.
const NAMES: usize = 14;

/// Columns of keys in the help.
const KEYS: usize = 18;

/// Draws the open page.
pub fn draw(model: &Model, buf: &mut Buffer, area: Rect) {
    let title = match &model.screen {
        Screen::Details(_) => model.current().map_or_else(
            || vec![span(model, "text.strong", "Details")],
            |row| {
                let id = format!(" {} {}", model.options.glyphs.dot, row.id);
                vec![span(model, "text.strong", row.name.clone()), span(model, "text.muted", id)]
            },
        ),
        Screen::Health => vec![span(model, "text.strong", "Health")],
        _ => vec![span(model, "text.strong", "Help")],
    };
    let lines = lines(model, usize::from(area.width.saturating_sub(4)));
    let height = usize::from(area.height.saturating_sub(2));
    let scroll = model.scroll.min(lines.len().saturating_sub(height));
    let mut right = Vec::new();
    if lines.len() > height {
        let last = (scroll + height).min(lines.len());
        right.push(span(model, "text.muted", format!("{}-{last} of {}", scroll + 1, lines.len())));
    }
    let inner = Frame { title, right, focused: true, ..Frame::default() }.draw(model, buf, area);
    for (y, line) in (inner.y..inner.y + inner.height).zip(lines.into_iter().skip(scroll)) {
        let place = Rect { x: inner.x + 1, y, width: inner.width.saturating_sub(2), height: 1 };
        spans::put(buf, place, line, model.options.glyphs.ellipsis);
    }
}

/// The lines of the open page at this width.
#[must_use]
pub fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    match &model.screen {
        Screen::Details(record) => details(model, record, width),
        Screen::Health => health(model, width),
        Screen::Help => help(model, width),
        Screen::Main | Screen::Logs(_) => Vec::new(),
    }
}

/// A page under way.
struct Page<'m> {
    model: &'m Model,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn heading(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.lines.push(Line::from(span(self.model, "heading", title.to_owned())));
    }

    fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.styled(name, "text", &value.into());
    }

    fn styled(&mut self, name: &str, role: &str, value: &str) {
        let columns = self.width.saturating_sub(NAMES).max(8);
        for (index, piece) in text::fold(value, columns).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let name = format!("{name:NAMES$}");
            self.lines
                .push(Line::from(vec![span(self.model, "text.muted", name), span(self.model, role, piece)]));
        }
    }

    fn spans(&mut self, name: &str, spans: Vec<Span<'static>>) {
        let mut line = vec![span(self.model, "text.muted", format!("{name:NAMES$}"))];
        line.extend(spans);
        self.lines.push(Line::from(line));
    }

    fn paragraph(&mut self, sign: &Span<'static>, role: &str, text: &str) {
        for (index, piece) in text::fold(text, self.width.saturating_sub(2).max(8)).into_iter().enumerate() {
            let sign = if index == 0 { sign.clone() } else { Span::raw("  ") };
            self.lines.push(Line::from(vec![sign, span(self.model, role, piece)]));
        }
    }
}

fn details(model: &Model, record: &RecordId, width: usize) -> Vec<Line<'static>> {
    let mut page = Page { model, width, lines: Vec::new() };
    let Some(row) = model.all.iter().find(|row| row.record == *record) else {
        let loading = model.fleet_view.as_ref().is_none_or(|seen| !seen.world.records.complete);
        let word = if loading { "loading…" } else { "this environment is gone" };
        page.lines.push(Line::from(span(model, "text.muted", word)));
        return page.lines;
    };
    let glyphs = &model.options.glyphs;
    let (glyph, role) = state_sign(row.state, glyphs);
    let mut state = vec![span(model, role, format!("{glyph} {}", row.as_str()))];
    if let Some(progress) = row.progress {
        state.push(Span::raw("  "));
        state.extend(bar(model, progress.ratio, 18));
        state.push(span(model, "text.muted", format!("  {}", row.left.clone().unwrap_or_default())));
    }
    page.spans("State", state);
    for problem in &row.problems {
        page.styled("Problem", "level.error", &format!("{} {problem}", glyphs.warning));
    }
    ownership(&mut page, row);
    addresses(&mut page, row);
    machine(&mut page, row);
    timeline(&mut page, row);
    happened(&mut page, row);
    page.lines
}

fn ownership(page: &mut Page<'_>, row: &EnvironmentRow) {
    let model = page.model;
    let zone = model.options.zone;
    let record = &row.facts.record;
    page.fact("Owner", row.owner.clone());
    page.fact("Launched", units::date_time(record.created_at, zone));
    match row.expires_at {
        Some(at) => {
            let left = units::between(model.aws_now(), at);
            let left = if left.is_zero() {
                "its time is over".to_owned()
            } else {
                format!("{} left", units::left(left).text)
            };
            page.fact("Ends", format!("{} ({left})", units::date_time(at, zone)));
        }
        None => page.styled(
            "Ends",
            "level.warning",
            "its expiry cannot be read; at the latest with the max-lifetime",
        ),
    }
    if let Some(end) = &record.terminate {
        page.fact("Terminated", format!("by {} at {}", end.by, units::date_time(end.at, zone)));
    }
    if let Some(cost) = row.cost {
        let (accrued, per_hour) = (units::dollars(cost.accrued), units::dollars(cost.per_hour));
        page.fact("Cost", format!("{accrued} so far, {per_hour} an hour"));
    }
    if let Some(note) = &record.note {
        page.fact("Note", note.clone());
    }
    for (index, (service, tag)) in record.services.iter().enumerate() {
        page.fact(if index == 0 { "Services" } else { "" }, format!("{service} = {tag}"));
    }
}

fn addresses(page: &mut Page<'_>, row: &EnvironmentRow) {
    page.heading("Addresses");
    for ((_, url), name) in row.urls.iter().zip(["Application", "Dashboard", "Log viewer"]) {
        match url {
            Some(url) => page.fact(name, url.clone()),
            None => page.styled(name, "text.muted", "not yet: it comes with the instance"),
        }
    }
    if let Some(endpoint) = row.facts.database.as_ref().and_then(|database| database.endpoint.clone()) {
        page.fact("Database", endpoint);
    }
}

fn machine(page: &mut Page<'_>, row: &EnvironmentRow) {
    page.heading("Resources");
    page.fact("Environment", row.id.to_string());
    page.fact("Record", row.record.to_string());
    match &row.facts.instance {
        Some(instance) => {
            page.fact(
                "Instance",
                format!("{} ({}, {})", instance.id, instance.instance_type, instance.state),
            );
            page.fact("Zone", instance.zone.clone().unwrap_or_else(|| "unknown".to_owned()));
            page.fact("Public IP", instance.public_ip.clone().unwrap_or_else(|| "none".to_owned()));
            page.fact("Private IP", instance.private_ip.clone().unwrap_or_else(|| "none".to_owned()));
        }
        None => page.styled("Instance", "text.muted", "none yet"),
    }
    match &row.facts.database {
        Some(database) => {
            page.fact("Database", format!("{} ({})", database.id, database.status));
            if let Some(snapshot) = &database.snapshot {
                page.fact("Snapshot", snapshot.to_string());
            }
        }
        None => page.styled("Database", "text.muted", "not seen"),
    }
}

#[allow(clippy::cast_precision_loss)] // seconds of a bootstrap
fn timeline(page: &mut Page<'_>, row: &EnvironmentRow) {
    let Some(instance) = row.facts.instance.as_ref().filter(|instance| !instance.timeline.is_empty()) else {
        return;
    };
    let model = page.model;
    page.heading("Bootstrap");
    let total = instance.timeline.values().max().copied().unwrap_or(1).max(1);
    for (index, phase) in Phase::PATH.into_iter().enumerate() {
        let Some(&begun) = instance.timeline.get(&phase) else { continue };
        let next = Phase::PATH[index + 1..].iter().find_map(|phase| instance.timeline.get(phase));
        let at = units::length(begun);
        let Some(next) = next.filter(|_| phase != Phase::Ready) else {
            let role = if phase == Phase::Ready { "state.ready" } else { "state.starting" };
            let word = if phase == Phase::Ready { "done" } else { "now" };
            page.spans(
                phase.as_str(),
                vec![span(model, "text.muted", format!("{at:>8}  ")), span(model, role, word)],
            );
            continue;
        };
        let took = next.saturating_sub(begun);
        let (filled, _) = model.options.glyphs.progress(took as f64 / total as f64, 24);
        let line = vec![
            span(model, "text.muted", format!("{at:>8}  ")),
            span(model, "text", format!("{:>7} ", units::length(took))),
            span(model, "bar", filled),
        ];
        page.spans(phase.as_str(), line);
    }
    if let Some(detail) = &instance.detail {
        page.fact("Says", detail.clone());
    }
}

fn happened(page: &mut Page<'_>, row: &EnvironmentRow) {
    let (id, database) = (row.id.to_string(), row.id.database_id());
    let events: Vec<_> = page
        .model
        .activity
        .iter()
        .filter(|event| event.target == id || event.target == database.as_str())
        .take(20)
        .map(|event| event_line(page.model, event))
        .collect();
    if !events.is_empty() {
        page.heading("Activity");
        page.lines.extend(events);
    }
}

fn help(model: &Model, width: usize) -> Vec<Line<'static>> {
    let mut page = Page { model, width, lines: Vec::new() };
    let ascii = model.options.glyphs.name == "ascii";
    for group in Group::ALL {
        page.heading(group.title());
        for entry in ACTIONS.iter().filter(|entry| entry.group == group) {
            let keys: Vec<_> =
                model.options.keymap.keys(entry.action).iter().map(|key| key.shown(ascii)).collect();
            let keys = if keys.is_empty() { "unbound".to_owned() } else { keys.join(" ") };
            let off = entry.mutates && model.options.read_only;
            let mut line = vec![
                span(model, if off { "key.off" } else { "key" }, format!("  {}", pad(&keys, KEYS))),
                span(model, if off { "key.off" } else { "text" }, entry.help),
            ];
            if off {
                line.push(span(model, "badge.read-only", "  read-only"));
            }
            page.lines.push(Line::from(line));
        }
    }
    page.heading("Mouse");
    let mouse = [
        ("click", "Select; in the lower panes too"),
        ("double-click", "Show the details"),
        ("wheel", "Move, scroll"),
    ];
    for (what, does) in mouse {
        let line = vec![span(model, "key", format!("  {}", pad(what, KEYS))), span(model, "text", does)];
        page.lines.push(Line::from(line));
    }
    page.lines
}

fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text::width(text)).max(1)))
}

fn health(model: &Model, width: usize) -> Vec<Line<'static>> {
    let mut page = Page { model, width, lines: Vec::new() };
    let glyphs = &model.options.glyphs;
    page.heading("Fleet");
    if let Some(trouble) = &model.last_error {
        page.paragraph(
            &span(model, "level.error", format!("{} ", glyphs.cross)),
            "text",
            &trouble.sentence(),
        );
    }
    if let Some(error) = &model.unlogged {
        let text = format!("the audit log cannot be written: {error}");
        page.paragraph(&span(model, "level.error", format!("{} ", glyphs.cross)), "text", &text);
    }
    for verdict in &model.pool.verdicts {
        let (glyph, role) = match verdict.level {
            Level::Info => (glyphs.dot, "level.info"),
            Level::Warning => (glyphs.warning, "level.warning"),
            Level::Error => (glyphs.cross, "level.error"),
        };
        page.paragraph(&span(model, role, format!("{glyph} ")), "text", &verdict.message);
    }
    if model.last_error.is_none() && model.unlogged.is_none() && model.pool.verdicts.is_empty() {
        let (role, sign, text) = if model.fleet_view.as_ref().is_some_and(|seen| seen.world.is_complete()) {
            ("done", glyphs.check, "nothing is wrong with the fleet")
        } else {
            ("text.muted", glyphs.empty, "nothing is known yet")
        };
        page.paragraph(&span(model, role, format!("{sign} ")), "text", text);
    }
    if let Some(reason) = &model.pool.target_reason {
        page.heading("Warm pool");
        let text = format!("target {}: {reason}", model.pool.target_text);
        let text = crate::domain::text::sanitize(&text);
        page.paragraph(&span(model, "level.info", format!("{} ", glyphs.dot)), "text", &text);
    }
    page.heading("The engine would not");
    if model.refused.is_empty() {
        page.paragraph(
            &span(model, "text.muted", format!("{} ", glyphs.empty)),
            "text.muted",
            "it refused nothing",
        );
    }
    for refusal in &model.refused {
        let text = format!("{} {}: {}", refusal.action.replace('-', " "), refusal.target, refusal.reason);
        let text = crate::domain::text::sanitize(&text);
        page.paragraph(&span(model, "level.warning", format!("{} ", glyphs.paused)), "text", &text);
    }
    let ill = model.all.iter().filter(|row| !row.problems.is_empty());
    for (index, row) in ill.enumerate() {
        if index == 0 {
            page.heading("Environments");
        }
        let text = format!("{} ({}): {}", row.name, row.id, row.problems.join("; "));
        page.paragraph(&span(model, "level.error", format!("{} ", glyphs.cross)), "text", &text);
    }
    page.lines
}
