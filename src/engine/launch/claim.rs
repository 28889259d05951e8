//! The claim of a database by the record's name, and the database behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::context::{Claim, ClaimContext};
use crate::cloud::{Result, Template, collect};
use crate::domain::lifecycle::Restore;
use crate::domain::tags::key;
use crate::domain::text::Untrusted;
use crate::domain::{
    CloudError, EnvironmentId, ErrorClass, Fleet, LaunchFailure, NewRecord, Number, Pool, Record, RecordId,
    StatusClass, StepFailure, TagChanges, Termination, World,
};
use crate::engine::Engine;
use crate::engine::fresh_read::{CREATE_TTL, READ_LAG};
use crate::engine::retry::MAX_TRIES;
use crate::failure::{Failure, Kind};

/// How many new numbers a launch tries to claim before it fails.
const MAX_CLAIMS: u32 = 64;

/// How many databases whose tags AWS refuses are passed within an hour.
const MAX_REFUSED: usize = 3;

/// The maximum number of times that the window for the next number is doubled after collisions.
const MAX_DOUBLINGS: u32 = 7;

/// How long a launch or a restore on a crowded fleet waits until it counts the databases again.
pub(in crate::engine) const CROWD_DELAY: Duration = READ_LAG.saturating_mul(2);

/// The age until which a launch may delete its own record. Later, other engines may have continued the launch: they
/// take over after a minute.
const RELEASE_WITHIN: TimeDelta = TimeDelta::seconds(45);

/// The result of binding a claimed database to its environment.
enum Binding {
    Bound,
    /// The claim stands, and any engine tags the database later.
    Later,
    /// The database is not usable, and the claim is released.
    Released,
}

impl Engine {
    /// Claims a database: the best one of the pool, or else a number whose database is still to be restored.
    pub(in crate::engine) async fn claim(&self, context: &ClaimContext<'_>) -> Result<Claim, Failure> {
        let fleet = &context.world.fleet;
        let mut tried = BTreeSet::new();
        let mut databases = Pool::new(context.world).claimable(context.now);
        let refused = self.refused_databases.numbers(self.clock.elapsed());
        databases.sort_by_key(|database| refused.contains(&database.number));
        for database in databases {
            let environment = fleet.name.environment(database.number);
            let new = self.new_record(context, &environment, database.zone.as_ref().map(Untrusted::raw));
            tried.insert(database.number);
            let Some(record) = self.try_claim(fleet, &new).await? else { continue };
            match self.bind(&environment, &record).await? {
                Binding::Released => {}
                binding => {
                    let bound = matches!(binding, Binding::Bound);
                    return Ok(Claim { environment, record, bound });
                }
            }
        }
        self.claim_new(context, tried).await
    }

    /// Claims the next number and restores its database. The claim comes first, so that no other launch can claim the database while it is
    /// being restored.
    async fn claim_new(
        &self,
        context: &ClaimContext<'_>,
        mut used: BTreeSet<Number>,
    ) -> Result<Claim, Failure> {
        let (world, fleet) = (context.world, &context.world.fleet);
        let (ceiling, what) = (fleet.policy.max_databases as usize, context.what);
        used.extend(world.databases.iter().map(|database| database.number));
        used.extend(world.records.iter().filter(|record| may_have_database(record)).map(Record::number));
        let cannot = |error| Failure::cloud("cannot count the fleet's databases", &error);
        let lost = world.unreadable().filter(|found| found.is_ours()).map(|found| found.number);
        used.extend(lost.chain(self.misread(world).await.map_err(cannot)?));
        let mut number = world.next_number();
        for collisions in 0..MAX_CLAIMS {
            if used.len() >= ceiling {
                return Err(no_room(what, ceiling));
            }
            let restore = Restore::of_number(world, number).map_err(|reason| {
                let message = format!("{what}: no database is free, and none can be restored: {reason}");
                Failure::new(Kind::Failed, message, "find the cause with: hatchery doctor")
            })?;
            let environment = fleet.name.environment(number);
            let zone = restore.zones.first().map(Untrusted::raw);
            let new = self.new_record(context, &environment, zone);
            if let Some(record) = self.try_claim(fleet, &new).await? {
                let is_crowded = collisions > 0 || (used.len() + 1) * 4 > ceiling * 3;
                if is_crowded && !self.has_room(world, number, &record).await? {
                    return Err(no_room(what, ceiling));
                }
                match self.restore_for(fleet, &environment, &record, &restore, context.now).await? {
                    Binding::Released => {}
                    binding => {
                        let bound = matches!(binding, Binding::Bound);
                        return Ok(Claim { environment, record, bound });
                    }
                }
            }
            used.insert(number);
            number = world.new_number(self.number_after(number, collisions));
        }
        let message = format!("{what}: other launches claimed every database first");
        Err(Failure::new(Kind::Failed, message, "try again"))
    }

    /// Returns the next number to try. After repeated collisions it skips some at random, as exponential backoff does, so that many launches at
    /// once take few tries each.
    fn number_after(&self, number: Number, collisions: u32) -> Number {
        let window = f64::from(1_u32 << collisions.min(MAX_DOUBLINGS));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 2^MAX_DOUBLINGS
        let skipped = (self.random() * window) as u32;
        Number(number.0.saturating_add(1).saturating_add(skipped))
    }

    /// Whether the ceiling leaves room for a new claim when many are made at once; if not, the claim is released. Of the claims without a
    /// database, those with lower numbers come first.
    async fn has_room(&self, world: &World, number: Number, record: &RecordId) -> Result<bool, Failure> {
        let cannot = |error| Failure::cloud("cannot check the number of databases", &error);
        // Reads lag, so the claims and databases of the same moment show only now.
        self.clock.sleep(CROWD_DELAY).await;
        let fleet = &world.fleet.name;
        let (records, databases) =
            futures::join!(collect(self.cloud.templates(fleet)), collect(self.cloud.databases(fleet)));
        let problem = records.problem.or(databases.problem);
        let claims = records.items.into_iter().filter_map(Template::record).filter(may_have_database);
        let mut used: BTreeSet<Number> =
            claims.map(|record| record.number()).filter(|n| *n <= number).collect();
        used.extend(databases.items.iter().map(|database| database.number));
        used.extend(databases.unreadable.iter().filter(|found| found.is_ours()).map(|found| found.number));
        used.insert(number);
        if problem.is_none() && used.len() <= world.fleet.policy.max_databases as usize {
            return Ok(true);
        }
        self.release_claim(&world.fleet.name.environment(number), record).await;
        problem.map_or(Ok(false), |problem| Err(cannot(problem)))
    }

    fn new_record(
        &self,
        context: &ClaimContext<'_>,
        environment: &EnvironmentId,
        zone: Option<&str>,
    ) -> NewRecord {
        NewRecord {
            environment: environment.clone(),
            owner: self.config.user.clone(),
            created_at: context.now,
            claim: self.nonce(),
            company_tags: context.world.fleet.policy.company_tags.clone(),
            purpose: (context.purpose)(zone),
        }
    }

    /// Creates the record, or returns `None` if another launch holds the claim. If the response was lost, the record is looked up.
    pub(in crate::engine) async fn try_claim(
        &self,
        fleet: &Fleet,
        new: &NewRecord,
    ) -> Result<Option<RecordId>, Failure> {
        let what = format!("cannot claim {}", new.environment.database_id());
        let mut tries = 0;
        loop {
            let error = match self.cloud.create_record(fleet, new).await {
                Ok(record) => return Ok(Some(record)),
                Err(error) => error,
            };
            tries += 1;
            match error.class {
                // The SDK retries internally, so even `AlreadyExists` may refer to this launch's own first request.
                ErrorClass::AlreadyExists | ErrorClass::Unknown => {
                    match self.cloud.find_record(&new.environment).await.map(|seen| seen.value) {
                        Ok(Some(found)) if found.claim.as_ref().is_some_and(|claim| *claim == new.claim) => {
                            return Ok(Some(found.id));
                        }
                        Ok(Some(_)) => return Ok(None),
                        // The name is taken by a template that is not the fleet's, or has lost its tags.
                        Err(found) if found.is(ErrorClass::Unreadable) => return Ok(None),
                        // The record is not visible yet, or was deleted. If the name is in use, another launch holds the claim.
                        Ok(None) if error.is(ErrorClass::AlreadyExists) && tries >= MAX_TRIES => {
                            return Ok(None);
                        }
                        Ok(None) | Err(_) if tries < MAX_TRIES => {}
                        // Whose claim it is cannot be seen.
                        Err(unseen) if error.is(ErrorClass::AlreadyExists) => {
                            return Err(Failure::cloud(what, &unseen));
                        }
                        Ok(None) | Err(_) => return Err(Failure::cloud(what, &error)),
                    }
                }
                // The base template of a new fleet may not be visible everywhere yet.
                ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::NotFound if tries < MAX_TRIES => {
                }
                _ => return Err(Failure::cloud(what, &error)),
            }
            self.wait_before_retry(error.class, tries).await;
        }
    }

    /// Tags the claimed database with its environment. If the database turns out to be unusable, or AWS refuses its tags for good, the claim is
    /// released. A refused database is the last choice of this engine's next claims: it would fail each of them first.
    async fn bind(&self, environment: &EnvironmentId, record: &RecordId) -> Result<Binding, Failure> {
        let what = format!("cannot bind {}", environment.database_id());
        let read = self.retry(|| self.cloud.database(&environment.fleet, environment.number)).await;
        let usable = match &read {
            Ok(read) => read.value.as_ref().is_some_and(|database| {
                let is_claimable =
                    matches!(database.status_class(), StatusClass::Usable | StatusClass::Pending);
                let is_own = database.environment.as_ref().is_none_or(|owner| owner == environment)
                    && database.record.as_ref().is_none_or(|owner| owner == record);
                is_claimable && is_own
            }),
            Err(_) => false,
        };
        if !usable {
            self.release_claim(environment, record).await;
            return match read {
                Err(error) if !error.is(ErrorClass::Unreadable) => Err(Failure::cloud(what, &error)),
                _ => Ok(Binding::Released),
            };
        }
        let changes = TagChanges::claim(environment, record);
        let database = environment.database_id();
        match self.retry(|| self.cloud.tag_database(&database, &changes)).await {
            Ok(()) => Ok(Binding::Bound),
            // RDS may refuse tags while it creates the database.
            Err(error) if error.is(ErrorClass::Transient) => {
                tracing::warn!(%environment, %error, "cannot tag the database yet");
                Ok(Binding::Later)
            }
            Err(error) if StepFailure::is_shared(error.class) && self.may_pass_refused() => {
                tracing::warn!(%environment, %error, "cannot tag the database; the next one is tried");
                self.refused_databases.add(environment.number, self.clock.elapsed());
                self.release_claim(environment, record).await;
                Ok(Binding::Released)
            }
            Err(error) => {
                self.abort(environment, record, &error).await;
                Err(Failure::cloud(what, &error))
            }
        }
    }

    /// Whether another database may be bound although AWS has refused this one. If it has refused many, the cause is not a single one.
    fn may_pass_refused(&self) -> bool {
        self.refused_databases.numbers(self.clock.elapsed()).len() < MAX_REFUSED
    }

    /// Undoes a claim whose database was not changed. If another engine may continue the launch already, the record is marked for termination
    /// instead.
    async fn release_claim(&self, environment: &EnvironmentId, record: &RecordId) {
        let deleted = self.retry(|| async {
            let read = self.read_fresh(self.cloud.record(&environment.fleet, record)).await?;
            let (found, read) = read.split();
            // A record that is not visible yet is new.
            let is_new = found.is_none_or(|found| {
                let age = read.now.map(|now| now - found.created_at);
                found.instance.is_none() && age.is_some_and(|age| age < RELEASE_WITHIN)
            });
            let call = self.cloud.delete_record(record);
            if !is_new {
                return Ok(false);
            }
            self.act_while_fresh(&read, "DeleteLaunchTemplate", call).await.map(|done| done.is_some())
        });
        let why = match deleted.await {
            Ok(true) => return,
            Ok(false) => CloudError::new(
                ErrorClass::Invalid,
                "DeleteLaunchTemplate",
                "TooLate",
                "its database cannot be used",
            ),
            Err(error) => error,
        };
        self.abort(environment, record, &why).await;
    }

    async fn restore_for(
        &self,
        fleet: &Fleet,
        environment: &EnvironmentId,
        record: &RecordId,
        restore: &Restore,
        now: DateTime<Utc>,
    ) -> Result<Binding, Failure> {
        let claim = (environment.clone(), record.clone());
        let restored = self.retry(|| async {
            // A request that hangs is given up, because its time of request would be wrong.
            let read = self.fresh();
            let now = self.cloud.record(&fleet.name, record).await?.as_of.unwrap_or(now);
            let call = self.restore_database(fleet, environment.number, Some(&claim), restore, now);
            self.act_within(CREATE_TTL, &read, "RestoreDBInstanceFromDBSnapshot", call).await
        });
        match restored.await {
            Ok(_) => Ok(Binding::Bound),
            // Another engine has just created a spare with this number, which the claim covers, or the name is not the fleet's.
            Err(error) if error.is(ErrorClass::AlreadyExists) => self.bind(environment, record).await,
            Err(error) => {
                self.abort(environment, record, &error).await;
                Err(Failure::cloud(format!("cannot restore {}", environment.database_id()), &error))
            }
        }
    }

    /// Restores a database in the first zone that can have it, and returns the zone.
    ///
    /// # Errors
    /// Returns the error of the first zone if none can have it.
    pub(in crate::engine) async fn restore_database(
        &self,
        fleet: &Fleet,
        number: Number,
        claim: Option<&(EnvironmentId, RecordId)>,
        restore: &Restore,
        now: DateTime<Utc>,
    ) -> Result<Untrusted> {
        let mut first = None;
        for zone in &restore.zones {
            let new = restore.to_database(fleet, number, claim.cloned(), zone.raw(), now);
            let created = self.cloud.create_database(&new).await;
            // Also one that another engine has just restored, which listings do not show yet.
            let may_exist = created
                .as_ref()
                .err()
                .is_none_or(|error| matches!(error.class, ErrorClass::Unknown | ErrorClass::AlreadyExists));
            if may_exist {
                self.recent_restores.add(number, self.clock.elapsed());
            }
            let error = match created {
                Ok(()) => return Ok(zone.clone()),
                Err(error) => error,
            };
            // A zone may lack capacity, or the class, or a subnet of the subnet group.
            let is_zonal = matches!(error.class, ErrorClass::Capacity | ErrorClass::Invalid);
            if !is_zonal {
                return Err(error);
            }
            first.get_or_insert(error);
        }
        Err(first.unwrap_or_else(no_zone))
    }

    /// Marks the record of a launch that failed before the instance was requested for termination, so that any engine removes what was
    /// created.
    pub(in crate::engine) async fn abort(
        &self,
        environment: &EnvironmentId,
        record: &RecordId,
        error: &CloudError,
    ) {
        let failure = LaunchFailure { at: self.clock.now(), reason: error.to_string().into() };
        let termination = Termination { at: failure.at, by: self.config.user.as_str().into() };
        let changes = TagChanges::terminate(&termination).set(key::FAILURE, failure.to_tag());
        if let Err(error) = self.retry(|| self.cloud.tag_record(record, &changes)).await {
            tracing::warn!(%environment, %error, "cannot mark the failed launch for termination; it ends when it expires");
        }
    }
}

/// Whether the number of a record counts towards the ceiling.
fn may_have_database(record: &Record) -> bool {
    record.is_retirement() || record.reserves_database()
}

fn no_room(what: &str, ceiling: usize) -> Failure {
    let message =
        format!("{what}: the fleet's databases are all in use or reserved (max-databases is {ceiling})");
    let hint = "terminate an environment, or raise the limit with: hatchery fleet set max-databases=N";
    Failure::new(Kind::Refused, message, hint)
}

fn no_zone() -> CloudError {
    let operation = "RestoreDBInstanceFromDBSnapshot";
    CloudError::new(ErrorClass::Invalid, operation, "NoZone", "the fleet's subnets are in no zone")
}
