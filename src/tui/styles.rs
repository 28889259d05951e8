//! What every view needs to turn values into styled text: theme, symbols and time zone.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::format;
use super::glyphs::Glyphs;
use super::theme::Theme;
use super::zone::Zone;
use crate::domain::environment::EnvironmentState;
use crate::domain::health::Level;
use crate::domain::{AuditEvent, DatabaseState, Outcome};

/// Theme, symbols and time zone.
#[derive(Debug, Clone)]
pub(crate) struct Styles {
    pub(crate) theme: Theme,
    pub(crate) glyphs: Glyphs,
    pub(crate) zone: Zone,
}

impl Styles {
    /// Returns the style of a theme role.
    pub(crate) fn role(&self, role: &str) -> Style {
        self.theme.style(role)
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
        let why = if event.outcome == Outcome::Failed && !event.detail.is_empty() {
            &event.detail
        } else {
            &event.reason
        };
        if !why.is_empty() {
            line.push(self.span("text.muted", format!("  {why}")));
        }
        Line::from(line)
    }
}
