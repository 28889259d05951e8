//! Holds of databases. A held database leaves the pool: its record is a retirement that ends with the hold, so no launch can claim it, and it is
//! deleted afterwards, because people may have changed it.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::audit::{format_until, outcome_of};
use super::extend::{GRACE_READ_BACK, MAX_READ_BACKS, READ_BACK_DELAY, time_of};
use super::{Engine, Extended};
use crate::cloud::Result;
use crate::domain::format::format_exact_duration;
use crate::domain::tags::key;
use crate::domain::{
    EnvironmentId, Fleet, Hold, NewRecord, Purpose, Record, StatusClass, TagChanges, Termination,
};
use crate::failure::{Failure, Kind};

/// How often a claim that others win is tried.
const MAX_CLAIMS: u32 = 3;

impl Engine {
    /// Holds the database with the number of `id` for inspection, for this long, at most for the policy's `max-lifetime`. It is no longer in the
    /// pool, and is deleted once the hold has ended. One that is about to be deleted is held too, if no engine has sent the deletion.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such database, `Usage` if an environment has it, and `TooLate` if it is being deleted.
    pub async fn hold_database(
        &self,
        id: &EnvironmentId,
        by: Duration,
        why: &str,
    ) -> Result<Extended, Failure> {
        let (database, what) = (id.database_id(), format!("cannot hold {}", id.database_id()));
        let now = self.look_again(|| self.existing_database(id, &what)).await?;
        let fleet = self.cloud.fleet(&id.fleet).await.map_err(|error| Failure::cloud(&what, &error))?;
        let fleet = fleet.ok_or_else(|| {
            let message = format!("{what}: there is no fleet {}", id.fleet);
            Failure::new(Kind::NotFound, message, "list them with: hatchery fleet ls")
        })?;
        let capped = by > fleet.policy.max_lifetime;
        let by = by.min(fleet.policy.max_lifetime);
        let until = (now + TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX)).trunc_subsecs(0);
        let hold = Hold { until, by: self.config.user.as_str().into(), why: why.into() };
        let held = self.claim_for_hold(id, &fleet, &hold, now, &what).await;
        let (outcome, detail) = outcome_of(&held, format_until);
        self.log_request("hold", database.as_str(), why, outcome, detail).await;
        Ok(Extended { environment: id.clone(), expires_at: held?, capped, undo: None })
    }

    /// Ends the hold of a database. Any engine then deletes it.
    ///
    /// # Errors
    /// Returns `NotFound` if no user holds it, and the error of AWS if the record cannot be written.
    pub async fn release_database(&self, id: &EnvironmentId) -> Result<(), Failure> {
        let what = format!("cannot release {}", id.database_id());
        let (record, now) = self.look_again(|| self.hold_of(id, &what)).await?;
        let termination = Termination { at: now, by: self.config.user.as_str().into() };
        let changes = TagChanges::terminate(&termination);
        let written = self.retry(|| self.cloud.tag_record(&record.id, &changes)).await;
        self.log_write("release", id.database_id().as_str(), "requested", &written).await;
        written.map_err(|error| Failure::cloud(&what, &error))
    }

    /// Returns AWS's time if the database exists and is not being deleted.
    async fn existing_database(&self, id: &EnvironmentId, what: &str) -> Result<DateTime<Utc>, Failure> {
        let read = self.retry(|| self.cloud.database(&id.fleet, id.number)).await;
        let read = read.map_err(|error| Failure::cloud(what, &error))?;
        let database = read.value.as_ref().ok_or_else(|| {
            let message = format!("there is no database {}", id.database_id());
            Failure::new(Kind::NotFound, message, "list them with: hatchery pool")
        })?;
        if database.status_class() == StatusClass::Deleting {
            let message = format!("{what}: it is being deleted");
            return Err(Failure::new(Kind::TooLate, message, "see what is left with: hatchery pool"));
        }
        time_of(&read, what)
    }

    /// Claims the database by a new record, or changes the retirement that claims it already.
    async fn claim_for_hold(
        &self,
        id: &EnvironmentId,
        fleet: &Fleet,
        hold: &Hold,
        now: DateTime<Utc>,
        what: &str,
    ) -> Result<DateTime<Utc>, Failure> {
        for _ in 0..MAX_CLAIMS {
            let found = self.retry(|| self.cloud.find_record(id)).await;
            match found.map_err(|error| Failure::cloud(what, &error))?.value {
                Some(record) if record.is_retirement() => {
                    let cap = (record.created_at + fleet.policy.max_lifetime).trunc_subsecs(0);
                    if cap <= now {
                        let max = format_exact_duration(fleet.policy.max_lifetime);
                        let message = format!("{what}: it has reached the fleet's max-lifetime of {max}");
                        return Err(Failure::new(Kind::Refused, message, ""));
                    }
                    let hold = Hold { until: hold.until.min(cap), ..hold.clone() };
                    return self.hold_retirement(&record, hold, what).await;
                }
                Some(record) => {
                    let message = format!("{what}: it belongs to {id} ({})", record.name);
                    return Err(Failure::new(
                        Kind::Usage,
                        message,
                        format!("hold that: hatchery hold {id} …"),
                    ));
                }
                None => {}
            }
            let new = NewRecord {
                environment: id.clone(),
                owner: self.config.user.clone(),
                created_at: now,
                claim: self.nonce(),
                company_tags: fleet.policy.company_tags.clone(),
                purpose: Purpose::Hold(hold.clone()),
            };
            if self.try_claim(fleet, &new).await?.is_some() {
                // An engine that retires a database claims it first, and a launch too, so nothing has begun to delete or to use it.
                return Ok(hold.until);
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        let message = format!("{what}: another user or engine claimed it");
        Err(Failure::new(Kind::TooLate, message, "see by whom with: hatchery pool"))
    }

    /// Keeps a database whose deletion was only decided, or lengthens a hold.
    async fn hold_retirement(
        &self,
        record: &Record,
        mut hold: Hold,
        what: &str,
    ) -> Result<DateTime<Utc>, Failure> {
        let until = record.hold.as_ref().map_or(hold.until, |current| current.until.max(hold.until));
        hold.until = until;
        let changes = TagChanges::extend(record, until, &self.nonce())
            .hold(&hold)
            .remove(key::TERMINATE)
            .remove(key::REAPING_SINCE);
        let id = &record.environment;
        let failed = |error| Failure::cloud(what, &error);
        self.retry(|| self.cloud.tag_record(&record.id, &changes)).await.map_err(failed)?;
        // As for an extension during grace: an engine that read the record before may still delete the database.
        self.clock.sleep(GRACE_READ_BACK).await;
        for _ in 0..MAX_READ_BACKS {
            self.existing_database(id, what).await?;
            let read = self.retry(|| self.cloud.record(&id.fleet, &record.id)).await.map_err(failed)?;
            let current =
                read.value.filter(|current| current.terminate.is_none() && current.reaping_since.is_none());
            if let Some(at) = current.and_then(|current| current.hold).map(|hold| hold.until)
                && at >= until
            {
                return Ok(at);
            }
            self.clock.sleep(READ_BACK_DELAY).await;
        }
        let message = format!("{what}: another user released it, or an engine is deleting it");
        Err(Failure::new(Kind::TooLate, message, "see its state with: hatchery pool"))
    }

    /// Returns the record of a held database, and AWS's time.
    async fn hold_of(&self, id: &EnvironmentId, what: &str) -> Result<(Record, DateTime<Utc>), Failure> {
        let found = self.retry(|| self.cloud.find_record(id)).await;
        let found = found.map_err(|error| Failure::cloud(what, &error))?;
        let now = time_of(&found, what);
        let record = found.value.filter(|record| record.is_retirement() && record.hold.is_some());
        let record = record.ok_or_else(|| {
            let message = format!("no user holds {}", id.database_id());
            Failure::new(Kind::NotFound, message, "see the databases with: hatchery pool")
        })?;
        Ok((record, now?))
    }
}
