//! Writing the audit log: one event a step, and whoever reads the screen is told where that fails.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Engine, Event, StepReport};
use crate::domain::{AuditEvent, EnvironmentId, Label, Launch, Outcome};

impl Engine {
    /// Logs what a person did.
    pub(super) async fn log_person(
        &self,
        action: &str,
        environment: &EnvironmentId,
        reason: &str,
        outcome: Outcome,
        detail: String,
    ) {
        let event = AuditEvent {
            at: self.clock.now(),
            who: self.config.person.clone(),
            action: action.to_owned(),
            target: environment.to_string(),
            reason: reason.to_owned(),
            outcome,
            detail,
            restore_seconds: None,
        };
        self.log(vec![event]).await;
    }

    /// Logs a launch, with what its database's restore took where that is known: from this the demand is learnt.
    pub(super) async fn log_launch(
        &self,
        launched: &EnvironmentId,
        name: &Label,
        restore: Option<Duration>,
        outcome: Outcome,
        detail: String,
    ) {
        let event = AuditEvent {
            at: self.clock.now(),
            who: self.config.person.clone(),
            action: Launch::ACTION.to_owned(),
            target: launched.to_string(),
            reason: format!("as {name}"),
            outcome,
            detail,
            restore_seconds: restore.map(|restore| restore.as_secs()),
        };
        self.log(vec![event]).await;
    }

    /// Logs the steps of a pass. Those that were not taken after all have changed nothing and are left out.
    pub(super) async fn log_steps(&self, reports: &[StepReport], now: DateTime<Utc>) {
        let events: Vec<_> = reports
            .iter()
            .filter(|report| report.outcome != Outcome::Skipped)
            .map(|report| AuditEvent {
                at: now,
                who: self.config.host.clone(),
                action: report.action.to_owned(),
                target: report.target.clone(),
                reason: report.reason.clone(),
                outcome: report.outcome,
                detail: report.detail.clone(),
                restore_seconds: None,
            })
            .collect();
        self.log(events).await;
    }

    async fn log(&self, events: Vec<AuditEvent>) {
        if events.is_empty() {
            return;
        }
        let written =
            super::launch::retry(self, || self.cloud.append_audit(&self.config.fleet, &events)).await;
        if let Err(error) = &written {
            tracing::warn!(%error, events = events.len(), "the audit log could not be written");
        }
        self.emit(Event::Activity(events));
        if self.events.is_some() {
            self.emit(Event::AuditWriteFailed(written.err()));
        } else {
            *self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner) = written.err();
        }
    }
}
