//! Notifies the user: by toasts, and outside the dashboard while they look at something else.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Notice, NoticeKind};
use crate::domain::notice::{LAST_WARNING, expiry_title};
use crate::tui::action::Action;
use crate::tui::app::message::Effect;
use crate::tui::app::model::{Model, Severity};
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::format;

/// More notifications at once, as after a suspended laptop wakes, become one.
const MAX_AT_ONCE: usize = 3;

impl Model {
    /// Returns the effects that notify the user: after an observation of all news, else of the warnings that are due.
    pub(in crate::tui::app) fn news(&mut self, is_observation: bool) -> Vec<Effect> {
        let Some(view) = &self.fleet_view else { return Vec::new() };
        // A part that is not listed yet would make every environment look as if it had no instance, or the pool empty.
        if !view.world.is_complete() && !self.notifications.started {
            return Vec::new();
        }
        let now = self.aws_now();
        let is_due = self.notifications.warning_at.is_some_and(|at| now >= at);
        if !is_observation && !is_due {
            return Vec::new();
        }
        let mut known = std::mem::take(&mut self.notifications);
        let mut notices = Vec::new();
        known.warning_at = None;
        let zone = self.styles.zone;
        let ends = |at: DateTime<Utc>| format::short_date_time(at, now, zone);
        for row in self.environments.all().iter().filter(|row| row.owner == self.options.user) {
            notices.extend(known.environment(row, ends));
            if let (Some(left), Some(at)) = (known.expiry(row, now), row.expires_at) {
                notices.push(self.expiry_notice(row, left, &ends(at)));
            }
        }
        let fleet = self.label().to_owned();
        notices.extend(known.pool(self.pool.status.free, self.pool.status.target, &fleet));
        known.started = true;
        self.notifications = known;
        self.tell(notices, &fleet)
    }

    fn expiry_notice(&self, row: &EnvironmentRow, left: Duration, ends: &str) -> Notice {
        let hint = match self.options.keymap.label(Action::Extend, false) {
            key if key.is_empty() || self.read_only_reason().is_some() => String::new(),
            key => format!("; key {key} extends it"),
        };
        let kind = if left <= LAST_WARNING { NoticeKind::Alarm } else { NoticeKind::Warning };
        let title = expiry_title(&row.name, left);
        Notice { kind, title, text: format!("{} ends at {ends}{hint}", row.id) }
    }

    /// Shows toasts, and unless the user sees them, sends notifications.
    fn tell(&mut self, notices: Vec<Notice>, fleet: &str) -> Vec<Effect> {
        for notice in &notices {
            // With a task number of its own, the toast is not replaced by the next one.
            let task = self.next_task();
            let severity = match notice.kind {
                NoticeKind::Done => Severity::Done,
                NoticeKind::Warning => Severity::Info,
                NoticeKind::Alarm => Severity::Error,
            };
            self.finish_task(task, severity, format!("{}: {}", notice.title, notice.text));
        }
        if !self.notifies || self.focused == Some(true) {
            return Vec::new();
        }
        if notices.len() > MAX_AT_ONCE {
            let title = format!("{} news of fleet {fleet}", notices.len());
            let titles: Vec<_> = notices.into_iter().map(|notice| notice.title).collect();
            return vec![Effect::Notify { title, text: titles.join(", ") }];
        }
        notices.into_iter().map(|Notice { title, text, .. }| Effect::Notify { title, text }).collect()
    }

    /// Returns the time until the next warning, in AWS's time.
    pub(in crate::tui::app) fn next_warning(&self) -> Option<Duration> {
        Some(format::between(self.aws_now(), self.notifications.warning_at?))
    }
}
