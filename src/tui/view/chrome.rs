//! What surrounds every screen: header, notice, toasts and footer.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};

use crate::domain::health::Level;
use crate::tui::app::availability::Hint;
use crate::tui::app::model::{AccountNumber, Severity, Toast};
use crate::tui::app::status::{EngineStatus, Header};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::widgets::line;

/// Spans that are dropped as one if there is no room.
pub(super) struct Part {
    /// The part with the lowest priority is dropped first.
    priority: u8,
    spans: Vec<Span<'static>>,
}

impl Part {
    pub(super) fn new(priority: u8, spans: Vec<Span<'static>>) -> Self {
        Self { priority, spans }
    }

    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// The columns between two parts of the header, on screens of at least [`WIDE`] columns and on narrower ones.
const WIDE_GAP: usize = 3;
const NARROW_GAP: usize = 2;
const WIDE: usize = 78;

/// The width of the age of the data, fixed so that the other parts do not move with it.
const AGE_WIDTH: usize = 5;

/// The priority of the program's name.
const BRAND: u8 = 25;

/// The digits of an account where there is little room.
const SHORT_DIGITS: usize = 4;

/// Draws a line of parts, as many as fit.
pub(super) fn parts(
    styles: &Styles,
    buf: &mut Buffer,
    area: Rect,
    mut left: Vec<Part>,
    mut right: Vec<Part>,
) {
    drop_parts(&mut left, &mut right, NARROW_GAP, usize::from(area.width));
    line::put(buf, area, join(left, NARROW_GAP), styles.glyphs.ellipsis);
    line::put_right(buf, area, join(right, NARROW_GAP), styles.glyphs.ellipsis);
}

/// Drops parts by priority until all fit into `room` or only one is left.
fn drop_parts(left: &mut Vec<Part>, right: &mut Vec<Part>, gap: usize, room: usize) {
    let width = |parts: &[Part]| -> usize { parts.iter().map(|part| part.width() + gap).sum() };
    while width(left) + width(right) > room + gap && left.len() + right.len() > 1 {
        let lowest = left.iter().chain(right.iter()).map(|part| part.priority).min();
        left.retain(|part| Some(part.priority) != lowest);
        right.retain(|part| Some(part.priority) != lowest);
    }
}

fn join(parts: Vec<Part>, gap: usize) -> Line<'static> {
    let mut line: Vec<Span<'static>> = Vec::new();
    for part in parts {
        if !line.is_empty() {
            line.push(Span::raw(" ".repeat(gap)));
        }
        line.extend(part.spans);
    }
    Line::from(line)
}

pub(crate) fn header(styles: &Styles, buf: &mut Buffer, area: Rect, header: &Header) {
    let area = area.inner(Margin::new(1, 0));
    let room = usize::from(area.width);
    let gap = if room < WIDE { NARROW_GAP } else { WIDE_GAP };
    let (left, right) = fitting_parts(styles, header, gap, room);
    line::put(buf, area, join(left, gap), styles.glyphs.ellipsis);
    line::put_right(buf, area, join(right, gap), styles.glyphs.ellipsis);
}

/// Returns the parts that fit, with the whole number of the account unless a part above [`BRAND`] would be dropped for it.
fn fitting_parts(styles: &Styles, header: &Header, gap: usize, room: usize) -> (Vec<Part>, Vec<Part>) {
    let important = |parts: (&[Part], &[Part])| {
        parts.0.iter().chain(parts.1).filter(|part| part.priority > BRAND).count()
    };
    let fit = |account: &str| {
        let (mut left, mut right) = (left_parts(styles, header, account), right_parts(styles, header));
        let wanted = important((&left, &right));
        drop_parts(&mut left, &mut right, gap, room);
        (important((&left, &right)) == wanted, left, right)
    };
    let (long, short) = account_texts(styles, &header.account);
    let (is_complete, left, right) = fit(&long);
    if is_complete {
        return (left, right);
    }
    let (_, left, right) = fit(&short);
    (left, right)
}

/// Returns the account in full, and in a short form whose last digits still distinguish two accounts; empty until it is known.
pub(super) fn account_texts(styles: &Styles, account: &AccountNumber) -> (String, String) {
    match account {
        AccountNumber::Pending => (String::new(), String::new()),
        AccountNumber::Unknown => ("account unknown".to_owned(), "account ?".to_owned()),
        AccountNumber::Known(account) => {
            let skipped = account.chars().count().saturating_sub(SHORT_DIGITS);
            let last: String = account.chars().skip(skipped).collect();
            (account.clone(), format!("{}{last}", styles.glyphs.ellipsis))
        }
    }
}

fn left_parts(styles: &Styles, header: &Header, account: &str) -> Vec<Part> {
    let dot = format!(" {} ", styles.glyphs.dot);
    let mut parts = vec![Part::new(BRAND, vec![styles.span("brand", "hatchery")])];
    let place: Vec<&str> = [header.fleet.as_str(), &header.region, account]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    if !place.is_empty() {
        parts.push(Part::new(70, vec![styles.span("text.strong", place.join(&dot))]));
    }
    if let Some(about) = &header.demo {
        parts.push(Part::new(95, vec![styles.span("badge.demo", "DEMO")]));
        if !about.is_empty() {
            parts.push(Part::new(15, vec![styles.span("text.muted", about)]));
        }
    }
    if header.read_only {
        parts.push(Part::new(96, vec![styles.span("badge.read-only", "READ-ONLY")]));
    }
    if header.production {
        parts.push(Part::new(97, vec![styles.production()]));
    }
    if let Some(engine) = header.engine {
        parts.push(Part::new(30, engine_spans(styles, engine)));
    }
    parts
}

fn engine_spans(styles: &Styles, engine: EngineStatus) -> Vec<Span<'static>> {
    let glyphs = &styles.glyphs;
    let (glyph, text, role) = match engine {
        EngineStatus::Off => (glyphs.empty, "off".to_owned(), "engine.off"),
        EngineStatus::Paused => (glyphs.paused, "paused".to_owned(), "pool.low"),
        EngineStatus::ObserveOnly => (glyphs.paused, "observe only".to_owned(), "pool.low"),
        EngineStatus::Working(1) => (glyphs.half, "1 step".to_owned(), "state.starting"),
        EngineStatus::Working(steps) => (glyphs.half, format!("{steps} steps"), "state.starting"),
        EngineStatus::On => (glyphs.full, "on".to_owned(), "engine.on"),
    };
    vec![styles.span("text.muted", "engine "), styles.span(role, format!("{glyph} {text}"))]
}

fn right_parts(styles: &Styles, header: &Header) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(count) = &header.environments {
        let spans = vec![styles.span("text.muted", "envs "), styles.span("text.strong", count)];
        parts.push(Part::new(50, spans));
    }
    if let Some((free, target)) = header.pool {
        let role = match free {
            _ if free >= target => "pool.free",
            0 => "pool.empty",
            _ => "pool.low",
        };
        let spans =
            vec![styles.span("text.muted", "pool "), styles.span(role, format!("{free}/{target} free"))];
        parts.push(Part::new(60, spans));
    }
    if let Some(per_hour) = header.per_hour {
        parts.push(Part::new(20, vec![styles.span("text", format!("{}/h", format::dollars(per_hour)))]));
    }
    let age = &header.age;
    if !age.text.is_empty() {
        let (role, text) = if age.stale {
            ("age.stale", format!("{} {}", styles.glyphs.warning, age.text))
        } else {
            ("age", age.text.clone())
        };
        parts.push(Part::new(80, vec![styles.span(role, format!("{text:>AGE_WIDTH$}"))]));
    }
    parts
}

/// Draws the most severe problem on one line.
pub(crate) fn notice(styles: &Styles, buf: &mut Buffer, area: Rect, level: Level, text: &str) {
    let (_, role) = styles.level(level);
    let notice = styles.span(role, format!("{} {text}", styles.glyphs.warning));
    line::put(buf, area.inner(Margin::new(1, 0)), notice, styles.glyphs.ellipsis);
}

/// Draws the newest toasts, as many as fit.
pub(crate) fn toasts(styles: &Styles, buf: &mut Buffer, area: Rect, toasts: &[Toast]) {
    let glyphs = &styles.glyphs;
    let skipped = toasts.len().saturating_sub(usize::from(area.height));
    let lines = toasts[skipped..].iter().map(|toast| {
        let (glyph, glyph_role, text_role) = match toast.severity {
            Severity::Busy => (glyphs.half, "state.starting", "text"),
            Severity::Done => (glyphs.check, "done", "text"),
            Severity::Info => (glyphs.dot, "level.info", "text"),
            Severity::Error => (glyphs.cross, "level.error", "level.error"),
        };
        let more = if toast.severity == Severity::Busy { glyphs.ellipsis } else { "" };
        Line::from(vec![
            styles.span(glyph_role, format!("{glyph} ")),
            styles.span(text_role, format!("{}{more}", toast.text)),
        ])
    });
    line::put_all(buf, area.inner(Margin::new(1, 0)), lines, glyphs.ellipsis);
}

/// Draws the keys of the most important actions, each at its columns.
pub(crate) fn footer(styles: &Styles, buf: &mut Buffer, area: Rect, hints: Vec<(Range<u16>, Hint)>) {
    for (columns, hint) in hints {
        let (key_role, label_role) = if hint.enabled { ("key", "text") } else { ("key.off", "key.off") };
        let place = Rect { x: columns.start, width: columns.end - columns.start, ..area };
        let label = format!(" {}", hint.label);
        let line = Line::from(vec![styles.span(key_role, hint.key), styles.span(label_role, label)]);
        line::put(buf, place.intersection(area), line, styles.glyphs.ellipsis);
    }
}
