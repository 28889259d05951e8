//! Extensions of an environment's expiry.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::{Engine, Extended};
use crate::cloud::Result;
use crate::domain::environment::is_instance_of;
use crate::domain::format::format_exact_duration;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, EnvironmentId, Instance, Outcome, Policy, Record, StatusClass, TagChanges, lifecycle,
};
use crate::failure::{Failure, Kind};

/// How long after the write an extension during grace is read back.
///
/// An engine that read the record before the write may still act for [`super::fresh_read::READ_TTL`], and the read that must show the
/// result of that action lags too. 25 s are enough for reads that lag by up to 10 s.
const GRACE_READ_BACK: Duration = Duration::from_secs(25);

/// An expiry this close counts as grace, because an engine may mark the environment at any moment.
const NEAR_EXPIRY: Duration = Duration::from_mins(1);

/// How often the extension is read back until the write is visible, and the time between two reads.
const MAX_READ_BACKS: u32 = 6;
const READ_BACK_DELAY: Duration = Duration::from_secs(2);

impl Engine {
    /// Extends an environment by this much, counted from its expiry or from now, whichever is later, up to the policy's `max-lifetime`, and
    /// reads the record back. During grace this takes about 25 seconds and keeps the environment.
    ///
    /// # Errors
    /// Returns `TooLate` if the environment is ending, `Refused` if it has reached `max-lifetime`, and `UnknownOutcome` if the extension
    /// could not be confirmed.
    pub async fn extend(&self, id: &EnvironmentId, by: Duration) -> Result<Extended, Failure> {
        let what = format!("cannot extend {id}");
        let (record, now) = self.current_record(id, &what).await?;
        let policy = self.look_again(|| self.policy_of(id, &what)).await?;
        check_not_ending(&record, &policy, now, &what)?;
        if record.failure.is_some() {
            self.check_repairable(&record, &what).await?;
        }
        let (expires_at, capped) = new_expiry(&record, &policy, now, by, &what)?;

        let near = record.expires_at.is_none_or(|at| at <= now + NEAR_EXPIRY);
        let in_grace = record.reaping_since.is_some() || record.failure.is_some() || near;
        let mut changes = TagChanges::extend(&record, expires_at, &self.nonce());
        if in_grace {
            changes = changes.remove(key::REAPING_SINCE);
        }
        if record.failure.is_some() || record.orphan_since.is_some() || self.has_broken_database(id).await {
            changes = changes.repair(now, &self.config.user);
        }
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        let reason = format!("by {}", format_exact_duration(by));
        if written.is_err() {
            self.log_write("extend", &id.to_string(), &reason, &written).await;
        }
        written.map_err(|error| Failure::cloud(&what, &error))?;
        if in_grace {
            self.clock.sleep(GRACE_READ_BACK).await;
        }
        let confirmed = self.read_back(id, &record, expires_at, in_grace, &what).await;
        let (outcome, detail) = match &confirmed {
            Ok(until) => (Outcome::Done, format!("until {}", until.format("%F %T UTC"))),
            Err(failure) if failure.kind == Kind::UnknownOutcome => {
                (Outcome::Unknown, failure.message.clone())
            }
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        self.log_request("extend", &id.to_string(), &reason, outcome, detail).await;
        confirmed.map(|until| Extended { environment: id.clone(), expires_at: until, capped })
    }

    /// Returns the environment's current record and AWS's time.
    ///
    /// # Errors
    /// Returns `NotFound` if several reads find no record of the environment.
    pub(super) async fn current_record(
        &self,
        id: &EnvironmentId,
        what: &str,
    ) -> Result<(Record, DateTime<Utc>), Failure> {
        self.look_again(|| self.read_record(id, what)).await
    }

    pub(super) async fn policy_of(&self, id: &EnvironmentId, what: &str) -> Result<Policy, Failure> {
        let fleet = self.cloud.fleet(&id.fleet).await.map_err(|error| Failure::cloud(what, &error))?;
        fleet.map(|fleet| fleet.policy).ok_or_else(|| no_such_environment(id))
    }

    async fn read_record(&self, id: &EnvironmentId, what: &str) -> Result<(Record, DateTime<Utc>), Failure> {
        let found = self.retry(|| self.cloud.find_record(id)).await;
        let found = found.map_err(|error| Failure::cloud(what, &error))?;
        let now = found.as_of.ok_or_else(|| {
            let message = format!("{what}: the response from AWS has no time");
            Failure::new(Kind::Failed, message, "try again")
        })?;
        let record = found.value.filter(|record| !record.retirement);
        Ok((record.ok_or_else(|| no_such_environment(id))?, now))
    }

    /// Refuses to keep a failed environment of which nothing is left to repair.
    async fn check_repairable(&self, record: &Record, what: &str) -> Result<(), Failure> {
        let cannot = |error| Failure::cloud(what, &error);
        let id = &record.environment;
        if self.has_instance(record).await.map_err(cannot)? && self.has_database(id).await.map_err(cannot)? {
            return Ok(());
        }
        let reason = record.failure.as_ref().map_or("", |failure| failure.reason.raw());
        Err(Failure::new(Kind::TooLate, format!("{what}: it has failed: {reason}"), "launch a new one"))
    }

    /// Copies the expiry to the instances, for their dead man's switches. If this fails, the next pass of any engine repeats it.
    async fn mirror_expiry(&self, id: &EnvironmentId, instances: &[Instance], expires_at: DateTime<Utc>) {
        let changes = TagChanges::expire_at(expires_at);
        for instance in instances {
            if let Err(error) = self.cloud.tag_instance(&instance.id, &changes).await {
                tracing::warn!(%id, %error, "cannot mirror the expiry on the instance");
            }
        }
    }

    /// Confirms that the environment is kept until the new expiry, or until a later one of another user, before any engine began to reap it. Returns
    /// that expiry. Reads lag writes, so a read that does not show the write is repeated.
    async fn read_back(
        &self,
        id: &EnvironmentId,
        record: &Record,
        expires_at: DateTime<Utc>,
        in_grace: bool,
        what: &str,
    ) -> Result<DateTime<Utc>, Failure> {
        let too_late = |why: &str| {
            Failure::new(Kind::TooLate, format!("too late to extend {id}: {why}"), "launch a new one")
        };
        let unconfirmed =
            |error| Failure::cloud(format!("{what}: the new expiry was written but not confirmed"), &error);
        let mut last = "an engine is reaping it";
        for _ in 0..MAX_READ_BACKS {
            let read = self.retry(|| self.cloud.record(&id.fleet, &record.id)).await.map_err(unconfirmed)?;
            // A read that lags more than the first one may not show a new record.
            let Some(current) = read.value else {
                last = "the environment is gone";
                self.clock.sleep(READ_BACK_DELAY).await;
                continue;
            };
            last = "an engine is reaping it";
            if current.terminate.is_some() {
                return Err(too_late("its termination was requested"));
            }
            let until = current.expires_at.filter(|at| *at >= expires_at);
            if let Some(until) = until.filter(|_| current.reaping_since.is_none()) {
                let mut instances =
                    self.retry(|| self.cloud.instances_of(id)).await.map_err(unconfirmed)?.value;
                instances.retain(|instance| is_instance_of(instance, &current));
                if !instances.is_empty() && instances.iter().all(|instance| instance.state.is_ending()) {
                    return Err(too_late("its instance is shutting down"));
                }
                // During grace, an engine that read the old record may have ended parts of the environment already.
                if !in_grace || self.has_parts(&current).await.map_err(unconfirmed)? {
                    instances.retain(|instance| !instance.state.is_ending());
                    self.mirror_expiry(id, &instances, until).await;
                    return Ok(until);
                }
                last = "its instance or its database is gone";
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        Err(too_late(last))
    }

    /// Whether the environment's database needs repairs. An engine would give the environment up soon.
    async fn has_broken_database(&self, id: &EnvironmentId) -> bool {
        match self.cloud.database(&id.fleet, id.number).await {
            Ok(read) => read.value.is_some_and(|database| {
                database.status_class() == StatusClass::Failed && database.created_at.is_some()
            }),
            Err(error) => {
                tracing::warn!(%id, %error, "cannot see whether the database needs repairs");
                false
            }
        }
    }

    /// Whether the environment has its database, and its instance, unless it is not launched yet.
    async fn has_parts(&self, record: &Record) -> Result<bool, CloudError> {
        let is_launched = record.instance.is_some();
        Ok(self.has_database(&record.environment).await?
            && (!is_launched || self.has_instance(record).await?))
    }

    /// Whether the instance of a record exists and is not ending.
    async fn has_instance(&self, record: &Record) -> Result<bool, CloudError> {
        let instance = self.retry(|| self.cloud.instance_of(record)).await?.value;
        Ok(instance.is_some_and(|instance| !instance.state.is_ending()))
    }

    /// Whether the environment's database exists and is not being deleted.
    async fn has_database(&self, id: &EnvironmentId) -> Result<bool, CloudError> {
        let database = self.retry(|| self.cloud.database(&id.fleet, id.number)).await?.value;
        Ok(database.is_some_and(|database| database.status_class() != StatusClass::Deleting))
    }
}

fn no_such_environment(id: &EnvironmentId) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no environment {id}"), "list them with: hatchery ls")
}

pub(super) fn check_not_ending(
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
    what: &str,
) -> Result<(), Failure> {
    let why = if let Some(termination) = &record.terminate {
        format!("{} requested its termination", termination.by)
    } else if lifecycle::is_ending(record, policy, now) {
        "its grace is over".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::new(Kind::TooLate, format!("{what}: {why}"), "launch a new one"))
}

/// Returns the new expiry, and whether `max-lifetime` caps it.
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
        let max = format_exact_duration(policy.max_lifetime);
        let message = format!("{what}: it has reached the fleet's max-lifetime of {max}");
        return Err(Failure::new(Kind::Refused, message, "launch a new one"));
    }
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    let wanted = from.checked_add_signed(by).filter(|wanted| *wanted <= cap);
    // Tags have a resolution of one second.
    let expires_at = wanted.unwrap_or(cap).trunc_subsecs(0);
    Ok((expires_at, wanted.is_none()))
}
