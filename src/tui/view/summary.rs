//! The most useful facts of the selected environment, beside the table.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Margin;
use ratatui::text::{Line, Span};

use crate::domain::format::format_duration;
use crate::domain::{Instance, Phase};
use crate::tui::app::model::Model;
use crate::tui::app::rows::{EnvironmentRow, TimeLeft, status_of};
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::frame::Frame;
use crate::tui::widgets::line;

/// The width of the column of names.
const NAME: usize = 10;

const BAR: usize = 12;

/// The number of events that are shown.
const EVENTS: usize = 2;

pub(crate) fn draw(model: &Model, buf: &mut Buffer) {
    let area = model.regions.summary;
    if area.is_empty() {
        return;
    }
    let styles = &model.styles;
    let Some(row) = model.current() else {
        Frame::new(Vec::new(), model.border_role(false)).draw(styles, buf, area);
        return;
    };
    let id = format!(" {} {}", styles.glyphs.dot, row.id);
    let title = vec![styles.span("text", &row.name), styles.span("text.muted", id)];
    let inner = Frame::new(title, model.border_role(false)).draw(styles, buf, area).inner(Margin::new(1, 0));
    let mut facts = Facts { styles, width: usize::from(inner.width), lines: Vec::new() };
    facts.state(model, row);
    facts.parts(model, row);
    facts.events(model, row);
    line::put_all(buf, inner, facts.lines, styles.glyphs.ellipsis);
}

struct Facts<'a> {
    styles: &'a Styles,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Facts<'_> {
    fn state(&mut self, model: &Model, row: &EnvironmentRow) {
        let styles = self.styles;
        let (glyph, role) = styles.state(row.state);
        let mut state = vec![styles.span(role, format!("{glyph} {}", row.status()))];
        if let Some(progress) = row.progress {
            state.push(Span::raw("  "));
            state.extend(styles.bar(progress.ratio, BAR));
        }
        if let Some(left) = row.left.as_ref().map(TimeLeft::as_str) {
            state
                .push(styles.span("text.muted", format!("  {left} left").replace("overdue left", "overdue")));
        }
        self.lines.push(Line::from(state));
        for problem in &row.problems {
            self.wrapped("Problem", "level.error", &format!("{} {problem}", styles.glyphs.warning));
        }
        if let Some(instance) = &row.details.instance {
            self.phases(instance);
        }
        let owner_role = if row.owner == model.options.user { "text.strong" } else { "text" };
        self.wrapped("Owner", owner_role, &row.owner);
        if let Some(at) = row.expires_at {
            let at = format::short_date_time(at, model.aws_now(), styles.zone);
            self.wrapped("Ends", "text", &at);
        }
        if let Some(hold) = &row.details.record.hold {
            let until = format::short_date_time(hold.until, model.aws_now(), styles.zone);
            self.wrapped("Held", "text", &format!("until {until} by {}: {}", hold.by, hold.why));
        }
    }

    /// Adds how long each phase took, and the one in progress.
    fn phases(&mut self, instance: &Instance) {
        let started: Vec<(Phase, u64)> = Phase::PATH
            .into_iter()
            .filter_map(|phase| Some((phase, *instance.timeline.get(&phase)?)))
            .collect();
        let times: Vec<String> = started
            .iter()
            .enumerate()
            .map(|(index, (phase, at))| match started.get(index + 1) {
                _ if *phase == Phase::Ready => {
                    format!("{phase} after {}", format_duration(Duration::from_secs(*at)))
                }
                Some((_, next)) => {
                    let took = Duration::from_secs(next.saturating_sub(*at));
                    format!("{phase} {}", format_duration(took))
                }
                None => format!("{phase}{}", self.styles.glyphs.ellipsis),
            })
            .collect();
        if !times.is_empty() {
            self.wrapped("Phases", "text", &times.join(", "));
        }
    }

    fn parts(&mut self, model: &Model, row: &EnvironmentRow) {
        match &row.addresses[0].1 {
            Some(address) => self.wrapped("URL", "text", &address.to_string()),
            None => self.wrapped("URL", "text.muted", "none until the instance runs"),
        }
        for (index, (service, tag)) in row.details.record.services.iter().enumerate() {
            let name = if index == 0 { "Services" } else { "" };
            self.wrapped(name, "text", &format!("{service} = {tag}"));
        }
        if let Some(note) = &row.details.record.note {
            self.wrapped("Note", "text", &note.to_string());
        }
        let status = match &row.details.database {
            Some(database) => status_of(database),
            None if model.databases_complete() => "not listed".to_owned(),
            None => "not known yet".to_owned(),
        };
        self.wrapped("Database", "text", &format!("{} ({status})", row.details.database_id));
        if let Some(reset) = &row.details.reset {
            let next = reset.replacement.environment.database_id();
            self.wrapped("", "state.starting", &format!("{next} replaces it"));
        }
        if let Some(cost) = row.cost {
            let so_far = format!("{} so far", format::dollars(cost.accrued));
            let until = row
                .expires_at
                .filter(|_| cost.per_hour > 0.0)
                .map(|at| format!(", {} by its end", format::dollars(cost.until(at, model.aws_now()))));
            self.wrapped("Cost", "text", &(so_far + &until.unwrap_or_default()));
        }
    }

    fn events(&mut self, model: &Model, row: &EnvironmentRow) {
        let (id, database) = (row.id.to_string(), row.details.database_id.to_string());
        let events: Vec<_> = model
            .activity
            .events
            .iter()
            .filter(|event| event.target == id || event.target == database)
            .take(EVENTS)
            .collect();
        if !events.is_empty() {
            self.lines.push(Line::default());
        }
        for event in events {
            self.lines.push(self.styles.event_within(event, self.width));
        }
    }

    fn wrapped(&mut self, name: &str, role: &str, value: &str) {
        let columns = self.width.saturating_sub(NAME).max(1);
        for (index, part) in text::wrap(value, columns).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let name = self.styles.span("text.muted", format!("{name:NAME$}"));
            self.lines.push(Line::from(vec![name, self.styles.span(role, part)]));
        }
    }
}
