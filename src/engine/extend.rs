//! Extending and terminating: what a person asks of an environment that stands.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::launch::retry;
use super::{Engine, Extended, plan};
use crate::cloud::{Observed, Result};
use crate::domain::environment::is_instance_of;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, EnvironmentId, Instance, Outcome, Policy, Record, StatusClass, TagChanges, Termination,
};
use crate::failure::{Failure, Kind};

/// In the grace period, how long after the write it is read back: an engine whose last look lagged may act for as long as
/// that look holds ([`super::fresh_read::READ_TTL`]), and the read that must show what it did lags too. This is enough for
/// reads that lag by ten seconds.
const GRACE_READ_BACK: Duration = Duration::from_secs(25);

/// An expiry nearer than this may be marked by an engine at any moment, so it counts as the grace period.
const NEAR: Duration = Duration::from_mins(1);

/// How often a read-back that does not show the write yet is repeated.
const READ_BACKS: u32 = 6;
const READ_BACK_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Extends an environment by this much from its expiry (or from now, whichever is later), never beyond the policy's
    /// `max-lifetime`, and reads back. In its grace period that takes some twenty-five seconds and keeps the environment.
    ///
    /// # Errors
    /// `TooLate` where it is ending, `Refused` where it has reached its longest life, `UnknownOutcome` where the
    /// change could not be confirmed.
    pub async fn extend(&self, id: &EnvironmentId, by: Duration) -> Result<Extended, Failure> {
        let what = format!("cannot extend {id}");
        let (record, now) = self.standing(id, &what).await?;
        let fleet = self.cloud.fleet(&id.fleet).await.map_err(|error| Failure::cloud(&what, &error))?;
        let policy = fleet.map(|fleet| fleet.policy).ok_or_else(|| no_such(id))?;
        check_alive(&record, &policy, now, &what)?;
        let (expires_at, capped) = new_expiry(&record, &policy, now, by, &what)?;

        let near = record.expires_at.is_none_or(|at| at <= now + NEAR);
        let in_grace = record.reaping_since.is_some() || near;
        let mut changes = TagChanges::expire_at(expires_at);
        if in_grace {
            changes = changes.remove(key::REAPING_SINCE);
        }
        let written = retry(self, || self.cloud.tag_record(&record.id, &changes)).await;
        written.map_err(|error| Failure::cloud(&what, &error))?;
        if in_grace {
            self.clock.sleep(GRACE_READ_BACK).await;
        }
        let confirmed = self.read_back(id, &record, expires_at, in_grace, &what).await;
        let (outcome, detail) = match &confirmed {
            Ok(()) => (Outcome::Done, format!("until {}", expires_at.format("%F %T"))),
            Err(failure) if failure.kind == Kind::UnknownOutcome => {
                (Outcome::Unknown, failure.message.clone())
            }
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        let reason = format!("by {}", humantime::format_duration(by));
        self.log_person("extend", id, &reason, outcome, detail).await;
        confirmed.map(|()| Extended { environment: id.clone(), expires_at, capped })
    }

    /// Writes down that an environment is to end; any engine finishes it. Asking again is no error.
    ///
    /// # Errors
    /// Where there is no such environment, or its record cannot be written.
    pub async fn terminate(&self, id: &EnvironmentId) -> Result<(), Failure> {
        let what = format!("cannot terminate {id}");
        let (record, now) = self.standing(id, &what).await?;
        self.register_own_request(&record.id);
        if record.terminate.is_some() {
            return Ok(());
        }
        let termination = Termination { at: now, by: self.config.person.clone() };
        let changes = TagChanges::terminate(&termination);
        let written = retry(self, || self.cloud.tag_record(&record.id, &changes)).await;
        let outcome = if written.is_ok() { Outcome::Done } else { Outcome::Failed };
        let detail = written.as_ref().err().map(ToString::to_string).unwrap_or_default();
        self.log_person("terminate", id, &format!("{} of {}", record.name, record.owner), outcome, detail)
            .await;
        written.map_err(|error| Failure::cloud(&what, &error))
    }

    /// The record that stands for an environment now.
    async fn standing(&self, id: &EnvironmentId, what: &str) -> Result<(Record, DateTime<Utc>), Failure> {
        let seen =
            retry(self, || self.cloud.find_record(id)).await.map_err(|error| Failure::cloud(what, &error))?;
        let now = seen.as_of.ok_or_else(|| {
            let message = format!("{what}: AWS did not say what time it is");
            Failure::new(Kind::Failed, message, "try again")
        })?;
        let record = seen.value.filter(|record| !record.retirement).ok_or_else(|| no_such(id))?;
        Ok((record, now))
    }

    /// Mirrors the expiry on the instances. Should this fail, the next pass of any engine does it.
    async fn mirror(&self, id: &EnvironmentId, instances: &[Instance], expires_at: DateTime<Utc>) {
        for instance in instances {
            let changes = TagChanges::expire_at(expires_at);
            if let Err(error) = self.cloud.tag_instance(&instance.id, &changes).await {
                tracing::warn!(%id, %error, "the expiry could not be mirrored on the instance");
            }
        }
    }

    /// Reads back what was written. Reads lag writes, so one that does not show it yet is repeated.
    async fn read_back(
        &self,
        id: &EnvironmentId,
        record: &Record,
        expires_at: DateTime<Utc>,
        in_grace: bool,
        what: &str,
    ) -> Result<(), Failure> {
        let too_late = |why: &str| {
            Failure::new(Kind::TooLate, format!("too late to extend {id}: {why}"), "launch a new one")
        };
        let lost =
            |error| Failure::cloud(format!("{what}: it was written and could not be read back"), &error);
        for _ in 0..READ_BACKS {
            let Observed { value, .. } =
                retry(self, || self.cloud.record(&id.fleet, &record.id)).await.map_err(lost)?;
            let Some(seen) = value else { return Err(too_late("it is gone")) };
            if seen.terminate.is_some() {
                return Err(too_late("somebody asked to terminate it"));
            }
            if seen.expires_at == Some(expires_at) && seen.reaping_since.is_none() {
                let mut own = retry(self, || self.cloud.instances_of(id)).await.map_err(lost)?.value;
                own.retain(|instance| is_instance_of(instance, &seen));
                if !own.is_empty() && own.iter().all(|instance| instance.state.is_ending()) {
                    return Err(too_late("its instance is shutting down"));
                }
                // An engine that saw the record as it was before may have begun with either of the two.
                if !in_grace || self.has_database(id).await.map_err(lost)? {
                    own.retain(|instance| !instance.state.is_ending());
                    self.mirror(id, &own, expires_at).await;
                    return Ok(());
                }
            }
            self.clock.sleep(READ_BACK_PAUSE).await;
        }
        Err(too_late("it was being reaped, or somebody else changed its expiry"))
    }

    /// Whether the database of an environment is to be seen, and not on its way out.
    async fn has_database(&self, id: &EnvironmentId) -> Result<bool, CloudError> {
        let seen = retry(self, || self.cloud.database(&id.fleet, id.number)).await?.value;
        Ok(seen.is_some_and(|database| database.status_class() != StatusClass::Deleting))
    }
}

fn no_such(id: &EnvironmentId) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no environment {id}"), "list them with: hatchery ls")
}

fn check_alive(record: &Record, policy: &Policy, now: DateTime<Utc>, what: &str) -> Result<(), Failure> {
    let why = if let Some(termination) = &record.terminate {
        format!("{} asked to terminate it", termination.by)
    } else if let Some(failure) = &record.failure {
        format!("it has failed: {}", failure.reason)
    } else if plan::is_ending(record, policy, now) {
        "its grace is over".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::new(Kind::TooLate, format!("{what}: {why}"), "launch a new one"))
}

fn new_expiry(
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
    by: Duration,
    what: &str,
) -> Result<(DateTime<Utc>, bool), Failure> {
    let from = record.expires_at.unwrap_or(now).max(now);
    let cap = record.created_at + policy.max_lifetime;
    if from >= cap || cap <= now {
        let most = humantime::format_duration(policy.max_lifetime);
        let message = format!("{what}: it has reached the fleet's max-lifetime of {most}");
        return Err(Failure::new(Kind::Refused, message, "launch a new one"));
    }
    let by = chrono::TimeDelta::from_std(by).unwrap_or(chrono::TimeDelta::MAX);
    let wanted = from.checked_add_signed(by).filter(|wanted| *wanted <= cap);
    // Tags keep whole seconds.
    let expires_at = chrono::SubsecRound::trunc_subsecs(wanted.unwrap_or(cap), 0);
    Ok((expires_at, wanted.is_none()))
}
