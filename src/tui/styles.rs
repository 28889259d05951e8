//! What every view needs to turn values into styled text: theme, symbols and time zone.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::format;
use super::glyphs::Glyphs;
use super::text;
use super::theme::Theme;
use super::zone::Zone;
use crate::domain::environment::EnvironmentState;
use crate::domain::health::Level;
use crate::domain::text::Untrusted;
use crate::domain::{AuditEvent, DatabaseState, Outcome};

/// The fewest columns of an error that are worth a cut.
const MIN_REASON: usize = 16;

/// Theme, symbols and time zone, and what holds for all frames.
#[derive(Debug, Clone)]
pub(crate) struct Styles {
    pub(crate) theme: Theme,
    pub(crate) glyphs: Glyphs,
    pub(crate) zone: Zone,
    /// Whether every frame shows that the fleet is marked as production.
    pub(crate) production: bool,
}

impl Styles {
    /// Returns the style of a theme role.
    pub(crate) fn role(&self, role: &str) -> Style {
        self.theme.style(role)
    }

    /// Returns the style of a frame by its theme role.
    pub(crate) fn frame(&self, role: &str) -> Style {
        match (self.production, role) {
            // The one with the focus is still to be told from the others.
            (true, "border.focus") => self.role("border.production").add_modifier(Modifier::BOLD),
            (true, _) => self.role("border.production"),
            (false, role) => self.role(role),
        }
    }

    /// Returns the word that marks a production fleet.
    pub(crate) fn production(&self) -> Span<'static> {
        self.span("badge.production", "PRODUCTION")
    }

    /// Returns a text in the style of a theme role.
    pub(crate) fn span(&self, role: &str, content: impl Into<String>) -> Span<'static> {
        Span::styled(content.into(), self.theme.style(role))
    }

    /// Returns an environment state's symbol and theme role.
    pub(crate) fn state(&self, state: EnvironmentState) -> (&'static str, &'static str) {
        let glyphs = &self.glyphs;
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

    /// Returns a database state's symbol and theme role.
    pub(crate) fn database(&self, state: DatabaseState) -> (&'static str, &'static str) {
        let glyphs = &self.glyphs;
        match state {
            DatabaseState::Free => (glyphs.full, "pool.free"),
            DatabaseState::Creating => (glyphs.half, "pool.creating"),
            DatabaseState::Busy => (glyphs.paused, "pool.creating"),
            DatabaseState::Claimed => (glyphs.empty, "pool.claimed"),
            DatabaseState::Stale => (glyphs.paused, "pool.stale"),
            DatabaseState::Failed => (glyphs.cross, "pool.failed"),
            DatabaseState::Held => (glyphs.paused, "pool.failed"),
            DatabaseState::Deleting => (glyphs.fading, "pool.deleting"),
        }
    }

    /// Returns a health level's symbol and theme role.
    pub(crate) fn level(&self, level: Level) -> (&'static str, &'static str) {
        match level {
            Level::Info => (self.glyphs.dot, "level.info"),
            Level::Warning => (self.glyphs.warning, "level.warning"),
            Level::Error => (self.glyphs.cross, "level.error"),
        }
    }

    /// Returns a progress bar of `columns` columns followed by the percentage.
    pub(crate) fn bar(&self, ratio: f64, columns: usize) -> Vec<Span<'static>> {
        let (filled, rest) = self.glyphs.progress(ratio, columns);
        vec![
            self.span("bar", filled),
            self.span("bar.rest", rest),
            self.span("text.muted", format!("{:>4.0}%", (ratio * 100.0).floor())),
        ]
    }

    /// Returns an outcome's symbol and theme role.
    pub(crate) fn outcome(&self, outcome: Outcome) -> (&'static str, &'static str) {
        match outcome {
            Outcome::Done => (self.glyphs.check, "done"),
            Outcome::Skipped | Outcome::DryRun => (self.glyphs.empty, "text.muted"),
            Outcome::Failed => (self.glyphs.cross, "level.error"),
            Outcome::Unknown => ("?", "level.warning"),
        }
    }

    /// Returns one line for an event of the audit log: time, outcome, actor, action, target and reason.
    pub(crate) fn event(&self, event: &AuditEvent) -> Line<'static> {
        let mut line = self.event_without_reason(event);
        let why = why(event);
        if !why.is_empty() {
            line.push_span(self.span("text.muted", format!("  {why}")));
        }
        line
    }

    /// Returns the line of an event with as many words of the reason as fit, which are some or none: half a word says nothing.
    pub(crate) fn event_within(&self, event: &AuditEvent, columns: usize) -> Line<'static> {
        let mut line = self.event_without_reason(event);
        let (why, room) = (why(event).to_string(), columns.saturating_sub(line.width() + 2));
        let ellipsis = self.glyphs.ellipsis;
        let fitting = if text::width(&why) <= room {
            why
        } else {
            let words = text::wrap(&why, room.saturating_sub(text::width(ellipsis)).max(1)).swap_remove(0);
            // The engine's reason for what it did matters less than why it failed.
            let is_enough = event.outcome == Outcome::Failed && text::width(&words) >= MIN_REASON;
            if is_enough { format!("{words}{ellipsis}") } else { String::new() }
        };
        if !fitting.is_empty() {
            line.push_span(self.span("text.muted", format!("  {fitting}")));
        }
        line
    }

    fn event_without_reason(&self, event: &AuditEvent) -> Line<'static> {
        let (glyph, role) = self.outcome(event.outcome);
        let actor = event.who.to_string().split('@').next().unwrap_or_default().to_owned();
        let mut line = vec![
            self.span("log.time", format!("{} ", format::time_of_day(event.at, self.zone))),
            self.span(role, format!("{glyph} ")),
            self.span("text.strong", actor),
            self.span("text", format!(" {} ", event.summary())),
            self.span("text", event.target.to_string().trim_start_matches("hatchery-").to_owned()),
        ];
        if !matches!(event.outcome, Outcome::Done | Outcome::Failed) {
            line.push(self.span(role, format!(" {}", event.outcome)));
        }
        Line::from(line)
    }
}

/// Returns the error of a failure, else the reason.
fn why(event: &AuditEvent) -> &Untrusted {
    if event.outcome == Outcome::Failed && !event.detail.is_empty() { &event.detail } else { &event.reason }
}
