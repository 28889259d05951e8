//! Presenter mode: the card of one environment.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};

use crate::domain::format::format_duration;
use crate::tui::app::model::Model;
use crate::tui::app::presenter::card::{Card, Link};
use crate::tui::app::presenter::{CYCLE_TIME, Presenter};
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::theme::ColorDepth;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::qr::{Code, Ink, Look};
use crate::tui::widgets::{big, line};

/// The width of the column of names.
const NAME: usize = 11;

/// The fewest columns of text beside a QR code, and those between them.
const MIN_TEXT: u16 = 34;
const GAP: u16 = 3;

/// The greatest width of a progress bar, and the width of the percentage behind it.
const BAR: usize = 18;
const PERCENT: usize = 5;

/// The most rows of a note and of a link.
const MAX_NOTE: usize = 3;
const MAX_LINK: usize = 3;

/// The minimum size of a card with wide margins.
const SPACIOUS: (u16, u16) = (100, 30);

pub(crate) fn draw(model: &Model, presenter: &Presenter, buf: &mut Buffer) {
    let styles = &model.styles;
    let area = model.regions.body;
    let mut frame = Frame::new(vec![styles.span("text.strong", "Presenter")], "border.focus");
    if presenter.count > 0 {
        let place = format!("{} of {}", presenter.index + 1, presenter.count);
        frame.right.push(styles.span("text.muted", place));
        if presenter.cycles() {
            let every = format!(", the next one every {}", format_duration(CYCLE_TIME));
            frame.right.push(styles.span("text.muted", every));
        }
    }
    let is_spacious = area.width >= SPACIOUS.0 && area.height >= SPACIOUS.1;
    let margin = if is_spacious { Margin::new(4, 1) } else { Margin::new(1, 0) };
    let inner = frame.draw(styles, buf, area).inner(margin);
    let Some(card) = model.card() else {
        line::put(buf, inner, styles.span("text.muted", "no environment to show"), styles.glyphs.ellipsis);
        return;
    };
    let left = match code(model, &card, inner) {
        Some(code) => {
            let (width, _) = code.size();
            let widths = [Constraint::Fill(1), Constraint::Length(GAP), Constraint::Length(width)];
            let [left, _, right] = Layout::horizontal(widths).areas(inner);
            code.draw(buf, right);
            left
        }
        None => inner,
    };
    let lines = Text::new(styles, &card, left).into_lines();
    line::put_all(buf, left, lines, styles.glyphs.ellipsis);
}

/// Returns the QR code of the link, if there is room for it beside the text.
fn code(model: &Model, card: &Card<'_>, area: Rect) -> Option<Code> {
    let Link::Url(url) = &card.link else { return None };
    let styles = &model.styles;
    let ink = match styles.theme.colors() {
        ColorDepth::TrueColor => Ink::TrueColor,
        ColorDepth::Named => Ink::Indexed,
        ColorDepth::None if model.options.light_terminal => Ink::DarkText,
        ColorDepth::None => Ink::LightText,
    };
    let code = Code::new(url, Look { ascii: styles.glyphs.ascii, ink })?;
    let (width, height) = code.size();
    (width + GAP + MIN_TEXT <= area.width && height <= area.height).then_some(code)
}

/// The text of a card, in groups between which there are empty lines if there is room for them.
struct Text<'a> {
    styles: &'a Styles,
    width: usize,
    height: usize,
    name: String,
    facts: Vec<Line<'static>>,
    services: Vec<Line<'static>>,
    note: Vec<Line<'static>>,
    link: Vec<Line<'static>>,
}

impl<'a> Text<'a> {
    fn new(styles: &'a Styles, card: &Card<'_>, area: Rect) -> Self {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let none = Vec::new;
        let name = card.row.name.clone();
        let mut text =
            Self { styles, width, height, name, facts: none(), services: none(), note: none(), link: none() };
        text.facts = text.facts(card);
        text.link = text.link(card);
        let note = card.note.iter().flat_map(|note| text.wrapped("Note", "text", note, MAX_NOTE));
        text.note = note.collect();
        // The services come first, but some of them can be counted instead.
        let fixed = 1 + text.facts.len() + text.link.len();
        if fixed + text.note.len() + card.services.len() + 1 > height {
            text.note.truncate(1);
        }
        let room = height.saturating_sub(fixed + text.note.len());
        text.services = text.services(card, room.max(2));
        text
    }

    fn facts(&self, card: &Card<'_>) -> Vec<Line<'static>> {
        let (styles, row) = (self.styles, card.row);
        let (glyph, role) = styles.state(row.state);
        let mut state = vec![styles.span(role, format!("{glyph} {}", row.status()))];
        if let Some(progress) = row.progress {
            let room = self.value_width().saturating_sub(state[0].width() + 2 + PERCENT);
            state.push(Span::raw("  "));
            state.extend(styles.bar(progress.ratio, BAR.min(room)));
        }
        let mut facts =
            vec![self.line("Owner", vec![styles.span("text.strong", &row.owner)]), self.line("State", state)];
        facts.extend(self.wrapped("Time left", "text", &card.left, 2));
        facts
    }

    /// Returns at most `room` lines, at least one.
    fn services(&self, card: &Card<'_>, room: usize) -> Vec<Line<'static>> {
        let styles = self.styles;
        let name = |index: usize| if index == 0 { "Services" } else { "" };
        let widest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text::width(text)).max();
        let names = widest(&mut card.services.iter().map(|service| &service.name)).unwrap_or(0);
        let tags = widest(&mut card.services.iter().map(|service| &service.tag)).unwrap_or(0);
        let shown = card.services.len().min(room.saturating_sub(1));
        let mut lines = Vec::new();
        for service in card.services.iter().take(shown) {
            let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text::width(text)) + 2);
            let mut spans = vec![
                styles.span("text.strong", service.name.clone() + &pad(&service.name, names)),
                styles.span("text", &service.tag),
            ];
            if let Some(digest) = &service.digest {
                let digest = pad(&service.tag, tags) + digest;
                // A part of a digest says nothing.
                if spans.iter().map(Span::width).sum::<usize>() + text::width(&digest) <= self.value_width() {
                    spans.push(styles.span("text.muted", digest));
                }
            }
            lines.push(self.line(name(lines.len()), spans));
        }
        let rest = match card.services.len() - shown {
            0 if shown == 0 => "all as in the image".to_owned(),
            0 => "otherwise as in the image".to_owned(),
            more => format!("and {more} more; otherwise as in the image"),
        };
        lines.push(self.line(name(lines.len()), vec![styles.span("text.muted", rest)]));
        lines
    }

    fn link(&self, card: &Card<'_>) -> Vec<Line<'static>> {
        match &card.link {
            Link::Url(url) => {
                let chunks = text::chunks(url, self.value_width());
                let lines = chunks.into_iter().take(MAX_LINK).enumerate();
                let name = |index| if index == 0 { "Link" } else { "" };
                lines
                    .map(|(index, part)| self.line(name(index), vec![self.styles.span("text.strong", part)]))
                    .collect()
            }
            Link::InDashboard => self.wrapped("Link", "text.muted", "the link is in the dashboard", MAX_LINK),
            Link::None => self.wrapped("Link", "text.muted", "none until the instance runs", MAX_LINK),
        }
    }

    fn value_width(&self) -> usize {
        self.width.saturating_sub(NAME).max(1)
    }

    fn line(&self, name: &str, mut spans: Vec<Span<'static>>) -> Line<'static> {
        spans.insert(0, self.styles.span("text.muted", format!("{name:NAME$}")));
        Line::from(spans)
    }

    fn wrapped(&self, name: &str, role: &str, value: &str, max: usize) -> Vec<Line<'static>> {
        let mut parts = text::wrap(value, self.value_width());
        if parts.len() > max {
            parts.truncate(max);
            if let Some(last) = parts.last_mut() {
                last.push_str(self.styles.glyphs.ellipsis);
            }
        }
        let name = |index| if index == 0 { name } else { "" };
        let lines = parts.into_iter().enumerate();
        lines.map(|(index, part)| self.line(name(index), vec![self.styles.span(role, part)])).collect()
    }

    /// Returns the lines of the card: with the name in large letters and empty lines, if there is room for them.
    fn into_lines(self) -> Vec<Line<'static>> {
        let groups: Vec<_> = [self.facts, self.services, self.note, self.link]
            .into_iter()
            .filter(|group| !group.is_empty())
            .collect();
        let rows: usize = groups.iter().map(Vec::len).sum();
        let has_gaps = 1 + rows + groups.len() <= self.height;
        let room = self.height.saturating_sub(rows + groups.len());
        let large = big::rows(&self.name, self.width, room.min(self.height / 3), self.styles.glyphs.ascii);
        let mut lines: Vec<_> = match large.filter(|_| has_gaps) {
            Some(rows) => rows.into_iter().map(|row| Line::from(self.styles.span("brand", row))).collect(),
            None => vec![Line::from(self.styles.span("brand", self.name))],
        };
        for group in groups {
            if has_gaps {
                lines.push(Line::default());
            }
            lines.extend(group);
        }
        lines
    }
}
