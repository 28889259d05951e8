//! Changes of the time that an environment has: extensions, pins and holds.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::audit::{format_until, outcome_of};
use super::{Engine, Extended, ExtensionUndo};
use crate::cloud::{Observed, Result};
use crate::domain::environment::is_instance_of;
use crate::domain::format::format_exact_duration;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, EnvironmentId, Hold, Instance, Policy, Record, StatusClass, TagChanges, lifecycle,
};
use crate::failure::{Failure, Kind};

/// How long after the write a change during grace is read back.
///
/// An engine that read the record before the write may still act for [`super::fresh_read::READ_TTL`], and the read that must show the
/// result of that action lags too. 25 s are enough for reads that lag by up to 10 s.
pub(super) const GRACE_READ_BACK: Duration = Duration::from_secs(25);

/// An expiry this close counts as grace, because an engine may mark the environment at any moment.
pub(super) const NEAR_EXPIRY: Duration = Duration::from_mins(1);

/// How often the change is read back until the write is visible, and the time between two reads.
pub(super) const MAX_READ_BACKS: u32 = 6;
pub(super) const READ_BACK_DELAY: Duration = Duration::from_secs(2);

/// What a user wants of the time of an environment.
#[derive(Debug, Clone)]
enum Wish<'a> {
    /// To keep it for longer.
    Extend(Duration),
    /// To keep it until a time of the day.
    Pin(DateTime<Utc>),
    /// To keep it as it is, even if it has failed.
    Hold { by: Duration, why: &'a str },
}

/// The tags that a wish leads to.
#[derive(Debug)]
struct Terms {
    /// The new expiry, never earlier than the present one.
    expires_at: DateTime<Utc>,
    hold: Option<Hold>,
    /// Whether the environment needs repairs, so that an engine would give it up soon.
    repairs: bool,
    /// Whether the policy's `max-lifetime` makes it shorter than wanted.
    capped: bool,
    /// What must exist when the change is confirmed.
    parts: Parts,
}

/// Which parts of an environment exist and are not ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    instance: bool,
    database: bool,
}

impl Parts {
    fn contains(self, other: Self) -> bool {
        (self.instance || !other.instance) && (self.database || !other.database)
    }
}

impl Wish<'_> {
    /// Returns its name in the audit log.
    fn action(&self) -> &'static str {
        match self {
            Self::Extend(_) => "extend",
            Self::Pin(_) => "pin",
            Self::Hold { .. } => "hold",
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Extend(by) => format!("by {}", format_exact_duration(*by)),
            Self::Pin(until) => format!("until {}", until.format("%F %T UTC")),
            Self::Hold { by, why } => format!("for {}: {why}", format_exact_duration(*by)),
        }
    }
}

impl Engine {
    /// Extends an environment by this much, counted from its expiry or from now, whichever is later, up to the policy's `max-lifetime`, and
    /// reads the record back. During grace this takes about 25 seconds and keeps the environment.
    ///
    /// # Errors
    /// Returns `TooLate` if the environment is ending, `Refused` if it has reached `max-lifetime`, and `UnknownOutcome` if the extension
    /// could not be confirmed.
    pub async fn extend(&self, id: &EnvironmentId, by: Duration) -> Result<Extended, Failure> {
        self.keep(id, &Wish::Extend(by)).await
    }

    /// Keeps an environment until a time, up to the policy's `max-lifetime`. An expiry that is later stays.
    ///
    /// # Errors
    /// As [`Self::extend`].
    pub async fn pin(&self, id: &EnvironmentId, until: DateTime<Utc>) -> Result<Extended, Failure> {
        self.keep(id, &Wish::Pin(until)).await
    }

    /// Holds an environment for inspection: until the hold ends, at most until `max-lifetime`, no engine ends it, even if it has failed. The
    /// later end of two holds counts.
    ///
    /// # Errors
    /// As [`Self::extend`]; `TooLate` also if nothing of the environment is left.
    pub async fn hold(&self, id: &EnvironmentId, by: Duration, why: &str) -> Result<Extended, Failure> {
        self.keep(id, &Wish::Hold { by, why }).await
    }

    /// Ends the hold of an environment. Its expiry stays.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such environment, and the error of AWS if the record cannot be written.
    pub async fn release(&self, id: &EnvironmentId) -> Result<(), Failure> {
        let what = format!("cannot release {id}");
        let (record, _) = self.current_record(id, &what).await?;
        let changes = TagChanges::new().remove(key::HOLD);
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        self.log_write("release", &id.to_string(), "requested", &written).await;
        written.map_err(|error| Failure::cloud(&what, &error))
    }

    async fn keep(&self, id: &EnvironmentId, wish: &Wish<'_>) -> Result<Extended, Failure> {
        let what = format!("cannot {} {id}", wish.action());
        let (record, now) = self.current_record(id, &what).await?;
        let policy = self.look_again(|| self.policy_of(id, &what)).await?;
        check_not_ending(&record, &policy, now, &what)?;
        if let Some(expires_at) = record.expires_at.filter(|_| self.has_changed(&record)) {
            return Ok(Extended { environment: id.clone(), expires_at, capped: false, undo: None });
        }
        let terms = self.terms(wish, &record, &policy, now, &what).await?;

        let near = record.expires_at.is_none_or(|at| at <= now + NEAR_EXPIRY);
        let in_grace = record.reaping_since.is_some() || record.failure.is_some() || near;
        let nonce = self.nonce();
        let mut changes = TagChanges::extend(&record, terms.expires_at, &nonce);
        if in_grace {
            changes = changes.remove(key::REAPING_SINCE);
        }
        if let Some(hold) = &terms.hold {
            changes = changes.hold(hold);
        }
        if terms.repairs {
            changes = changes.repair(now, &self.config.user);
        }
        let changes = self.with_request_id(changes, &record);
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        let (action, target, reason) = (wish.action(), id.to_string(), wish.reason());
        if written.is_err() {
            self.log_write(action, &target, &reason, &written).await;
        }
        written.map_err(|error| Failure::cloud(&what, &error))?;
        if in_grace {
            self.clock.sleep(GRACE_READ_BACK).await;
        }
        let confirmed = self.read_back(&record, &terms, in_grace, wish).await;
        let (outcome, detail) = outcome_of(&confirmed, format_until);
        self.log_request(action, &target, &reason, outcome, detail).await;
        let expires_at = confirmed?;
        let can_be_undone = !in_grace && !terms.repairs && terms.hold.is_none();
        let earlier = record.expires_at.filter(|at| can_be_undone && *at < terms.expires_at);
        let undo = earlier.map(|earlier| ExtensionUndo {
            environment: id.clone(),
            record: record.id,
            nonce,
            expires_at: terms.expires_at,
            earlier,
        });
        Ok(Extended { environment: id.clone(), expires_at, capped: terms.capped, undo })
    }

    async fn terms(
        &self,
        wish: &Wish<'_>,
        record: &Record,
        policy: &Policy,
        now: DateTime<Utc>,
        what: &str,
    ) -> Result<Terms, Failure> {
        let expiry = record.expires_at.unwrap_or(now);
        let is_launched = record.instance.is_some();
        match wish {
            Wish::Extend(by) => {
                let from = expiry.max(now);
                let (expires_at, capped) = within_lifetime(from, Some(from), *by, record, policy, now, what)?;
                Ok(Terms {
                    expires_at,
                    hold: None,
                    repairs: self.check_repairable(record, what).await?,
                    capped,
                    parts: Parts { instance: is_launched, database: true },
                })
            }
            Wish::Pin(until) => {
                let by = (*until - now).to_std().unwrap_or_default();
                let (expires_at, capped) = within_lifetime(now, None, by, record, policy, now, what)?;
                Ok(Terms {
                    expires_at: expires_at.max(expiry),
                    hold: None,
                    repairs: self.check_repairable(record, what).await?,
                    capped,
                    parts: Parts { instance: is_launched, database: true },
                })
            }
            Wish::Hold { by, why } => {
                let (until, capped) = within_lifetime(now, None, *by, record, policy, now, what)?;
                let parts = self.parts(record).await.map_err(|error| Failure::cloud(what, &error))?;
                if is_launched && !parts.instance && !parts.database {
                    let message = format!("{what}: nothing is left of it to inspect");
                    return Err(Failure::new(
                        Kind::TooLate,
                        message,
                        "read what happened with: hatchery activity",
                    ));
                }
                let until = record.hold.as_ref().map_or(until, |hold| hold.until.max(until));
                let hold = Hold { until, by: self.config.user.as_str().into(), why: (*why).into() };
                Ok(Terms { expires_at: until.max(expiry), hold: Some(hold), repairs: false, capped, parts })
            }
        }
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
        let now = time_of(&found, what)?;
        let record = found.value.filter(Record::is_environment);
        Ok((record.ok_or_else(|| no_such_environment(id))?, now))
    }

    /// Returns whether an environment needs repairs. Refuses to keep one of which nothing is left to repair, after several reads: a database that has
    /// just been created may not be visible yet.
    async fn check_repairable(&self, record: &Record, what: &str) -> Result<bool, Failure> {
        self.look_again(|| self.needs_repairs(record, what)).await.map_err(|failure| match failure.kind {
            Kind::NotFound => Failure { kind: Kind::TooLate, ..failure },
            _ => failure,
        })
    }

    /// Returns `NotFound` if the database is not found, and `TooLate` if it is ending, or if a part is gone of an environment that has a mark.
    async fn needs_repairs(&self, record: &Record, what: &str) -> Result<bool, Failure> {
        let too_late = |why: &str, hint: &str| Failure::new(Kind::TooLate, format!("{what}: {why}"), hint);
        let without_database =
            || too_late("its database is gone", "give it another one with: hatchery reset");
        let is_launched = record.instance.is_some();
        if record.failure.is_none() && record.orphan_since.is_none() {
            let read = self.cloud.database(&record.environment.fleet, record.database_number()).await;
            let found = match read {
                Ok(read) => read.value,
                Err(error) => {
                    let id = &record.environment;
                    tracing::warn!(%id, %error, "cannot see whether the database needs repairs");
                    return Ok(false);
                }
            };
            match found.map(|database| (database.status_class(), database.created_at)) {
                None if is_launched => return Err(Failure { kind: Kind::NotFound, ..without_database() }),
                Some((StatusClass::Deleting, _)) => return Err(without_database()),
                Some((StatusClass::Failed, Some(_))) => {}
                _ => return Ok(false),
            }
        }
        let parts = self.parts(record).await.map_err(|error| Failure::cloud(what, &error))?;
        match &record.failure {
            _ if parts.instance && parts.database => Ok(true),
            Some(failure) => {
                Err(too_late(&format!("it has failed: {}", failure.reason.raw()), "launch a new one"))
            }
            None if !is_launched => Ok(true),
            None if parts.instance => Err(without_database()),
            None => Err(too_late("its instance is gone", "launch a new one")),
        }
    }

    /// Copies the expiry to the instances, for their dead man's switches. If this fails, the next pass of any engine repeats it.
    pub(super) async fn mirror_expiry(
        &self,
        id: &EnvironmentId,
        instances: &[Instance],
        expires_at: DateTime<Utc>,
    ) {
        let changes = TagChanges::expire_at(expires_at);
        for instance in instances {
            if let Err(error) = self.cloud.tag_instance(&instance.id, &changes).await {
                tracing::warn!(%id, %error, "cannot mirror the expiry on the instance");
            }
        }
    }

    /// Confirms that the environment is kept until the new expiry, or until a later one of another user, before any engine began to reap it. Returns the
    /// new expiry, or until when it is held. Reads lag writes, so a read that does not show the write is repeated.
    async fn read_back(
        &self,
        record: &Record,
        terms: &Terms,
        in_grace: bool,
        wish: &Wish<'_>,
    ) -> Result<DateTime<Utc>, Failure> {
        let id = &record.environment;
        let too_late = |why: &str| {
            let message = format!("too late to {} {id}: {why}", wish.action());
            Failure::new(Kind::TooLate, message, "launch a new one")
        };
        let unconfirmed = |error| {
            let what = format!("cannot {} {id}: the change was written but not confirmed", wish.action());
            Failure::cloud(what, &error)
        };
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
            if let Some(hold) = terms.hold.as_ref().filter(|hold| !is_held_as_long(&current, hold)) {
                // A read that lags, or a shorter hold that another user wrote at the same time.
                last = "another user shortened the hold";
                let changes = TagChanges::new().hold(hold);
                self.retry(|| self.cloud.tag_record(&record.id, &changes)).await.map_err(unconfirmed)?;
                self.clock.sleep(READ_BACK_DELAY).await;
                continue;
            }
            let until = current.expires_at.filter(|at| *at >= terms.expires_at);
            if let Some(until) = until.filter(|_| current.reaping_since.is_none()) {
                let mut instances =
                    self.retry(|| self.cloud.instances_of(id)).await.map_err(unconfirmed)?.value;
                instances.retain(|instance| is_instance_of(instance, &current));
                let has_ended =
                    !instances.is_empty() && instances.iter().all(|instance| instance.state.is_ending());
                if has_ended && (terms.parts.instance || terms.hold.is_none()) {
                    return Err(too_late("its instance is shutting down"));
                }
                // During grace, an engine that read the old record may have ended parts of the environment already.
                if !in_grace || self.parts(&current).await.map_err(unconfirmed)?.contains(terms.parts) {
                    instances.retain(|instance| !instance.state.is_ending());
                    self.mirror_expiry(id, &instances, until).await;
                    // Only a user's own extension is confirmed, because that of another user can be taken back.
                    let hold = current.hold.filter(|_| terms.hold.is_some());
                    return Ok(hold.map_or(terms.expires_at, |hold| hold.until));
                }
                last = "its instance or its database is gone";
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        Err(too_late(last))
    }

    async fn parts(&self, record: &Record) -> Result<Parts, CloudError> {
        let instance = self.retry(|| self.cloud.instance_of(record)).await?.value;
        let (fleet, number) = (&record.environment.fleet, record.database_number());
        let database = self.retry(|| self.cloud.database(fleet, number)).await?.value;
        Ok(Parts {
            instance: instance.is_some_and(|instance| !instance.state.is_ending()),
            database: database.is_some_and(|database| database.status_class() != StatusClass::Deleting),
        })
    }
}

fn is_held_as_long(record: &Record, hold: &Hold) -> bool {
    record.hold.as_ref().is_some_and(|current| current.until >= hold.until)
}

/// Returns AWS's time of a read.
pub(super) fn time_of<T>(read: &Observed<T>, what: &str) -> Result<DateTime<Utc>, Failure> {
    read.as_of.ok_or_else(|| {
        Failure::new(Kind::Failed, format!("{what}: the response from AWS has no time"), "try again")
    })
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

/// Returns the time that is `by` after `from`, and whether `max-lifetime` makes it earlier.
///
/// # Errors
/// Returns `Refused` if the environment has reached `max-lifetime` now, or at the expiry `present` that is to be extended.
fn within_lifetime(
    from: DateTime<Utc>,
    present: Option<DateTime<Utc>>,
    by: Duration,
    record: &Record,
    policy: &Policy,
    now: DateTime<Utc>,
    what: &str,
) -> Result<(DateTime<Utc>, bool), Failure> {
    let cap = record.created_at + policy.max_lifetime;
    if cap <= now || present.is_some_and(|at| at >= cap) {
        let max = format_exact_duration(policy.max_lifetime);
        let message = format!("{what}: it has reached the fleet's max-lifetime of {max}");
        return Err(Failure::new(Kind::Refused, message, "launch a new one"));
    }
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    let wanted = from.checked_add_signed(by).filter(|wanted| *wanted <= cap);
    // Tags have a resolution of one second.
    Ok((wanted.unwrap_or(cap).trunc_subsecs(0), wanted.is_none()))
}
