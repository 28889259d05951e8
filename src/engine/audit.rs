//! Writes to the audit log, one event per step or request. A failed write is reported to the front end.

use std::sync::PoisonError;

use chrono::{DateTime, Utc};

use super::launch::Found;
use super::step::RETIRE;
use super::{Engine, Event, StepReport};
use crate::cloud::Result;
use crate::domain::{AuditEvent, Outcome, World};
use crate::failure::{Failure, Kind};

impl Engine {
    /// Logs a user's request.
    pub(crate) async fn log_request(
        &self,
        action: &str,
        target: &str,
        reason: &str,
        outcome: Outcome,
        detail: String,
    ) {
        self.log_claim(action, target, reason, None, outcome, detail).await;
    }

    /// Logs a user's request that is one write, with the result of the write.
    pub(crate) async fn log_write(&self, action: &str, target: &str, reason: &str, written: &Result<()>) {
        let (outcome, detail) = match written {
            Ok(()) => (Outcome::Done, String::new()),
            Err(error) => (Outcome::of_error(error), error.to_string()),
        };
        self.log_request(action, target, reason, outcome, detail).await;
    }

    /// Logs a launch or a reset, with the restore time of its database if known. The demand forecast is based on these events.
    pub(super) async fn log_claim(
        &self,
        action: &str,
        target: &str,
        reason: &str,
        found: Option<Found>,
        outcome: Outcome,
        detail: String,
    ) {
        let event = AuditEvent {
            at: self.time(),
            who: self.config.user.as_str().into(),
            action: action.into(),
            target: target.into(),
            reason: self.with_request(reason).into(),
            outcome,
            detail: detail.into(),
            restore_seconds: found.map(|found| found.restore.as_secs()),
            loaded_percent: found.and_then(|found| found.hydration.percent()),
        };
        self.log(vec![event]).await;
    }

    /// Returns the time of an event: AWS's if it is known, because the local clock may be wrong.
    fn time(&self) -> DateTime<Utc> {
        self.cloud.time().unwrap_or_else(|| self.clock.now())
    }

    /// Adds the Lambda request to a reason, because only `CloudTrail` knows who invoked the function, by this id.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html>
    fn with_request(&self, reason: &str) -> String {
        match &self.config.request {
            Some(id) => format!("{reason}; Lambda request {id}"),
            None => reason.to_owned(),
        }
    }

    /// Logs the steps of a pass, except skipped ones, which changed nothing. The retirement of a usable database has its restore time, as a
    /// launch has, so that the log tells since when the database was free.
    pub(super) async fn log_steps(&self, reports: &[StepReport], world: &World, now: DateTime<Utc>) {
        let restore_time = |report: &StepReport| {
            let retires = report.action == RETIRE;
            let mut databases = world.databases.iter().filter(|_| retires);
            let database = databases.find(|database| database.id.as_str() == report.target)?;
            database.restore_time().filter(|_| database.is_ready())
        };
        let events: Vec<_> = reports
            .iter()
            .filter(|report| report.outcome != Outcome::Skipped && report.is_news)
            .map(|report| AuditEvent {
                at: now,
                who: self.config.host.as_str().into(),
                action: report.action.into(),
                target: report.target.as_str().into(),
                reason: report.reason.as_str().into(),
                outcome: report.outcome,
                detail: report.detail.as_str().into(),
                restore_seconds: restore_time(report).map(|took| took.as_secs()),
                loaded_percent: None,
            })
            .collect();
        self.log(events).await;
    }

    async fn log(&self, events: Vec<AuditEvent>) {
        if events.is_empty() {
            return;
        }
        let written = self.retry(|| self.cloud.append_audit(&self.config.fleet, &events)).await;
        if let Err(error) = &written {
            tracing::warn!(%error, events = events.len(), "cannot write to the audit log");
        }
        self.emit(Event::Activity(events));
        if self.events.is_some() {
            self.emit(Event::AuditWriteFailed(written.err()));
        } else {
            *self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner) = written.err();
        }
    }
}

/// Returns the outcome of a user's request and its detail for the log.
pub(super) fn outcome_of<T>(
    result: &Result<T, Failure>,
    done: impl FnOnce(&T) -> String,
) -> (Outcome, String) {
    match result {
        Ok(value) => (Outcome::Done, done(value)),
        Err(failure) if failure.kind == Kind::UnknownOutcome => (Outcome::Unknown, failure.message.clone()),
        Err(failure) => (Outcome::Failed, failure.message.clone()),
    }
}

/// Returns the detail of a request that keeps something until a time.
pub(super) fn format_until(at: &DateTime<Utc>) -> String {
    format!("until {}", at.format("%F %T UTC"))
}
