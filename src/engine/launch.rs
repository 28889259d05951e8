//! Launches: the claim by the record's name, then the instance from the record.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::retry::{MAX_TRIES, RETRY_DELAY};
use super::{Engine, LaunchRequest, Launched};
use crate::cloud::{LaunchInstance, Result};
use crate::domain::format::format_exact_duration;
use crate::domain::lifecycle::{self, Placement, Restore};
use crate::domain::policy::MIN_TTL;
use crate::domain::record::{MAX_NOTE_CHARS, max_services};
use crate::domain::tags::key;
use crate::domain::{
    CloudError, CompanyTags, Database, EnvironmentId, ErrorClass, Fleet, FleetName, Image, InstanceId, Label,
    LaunchFailure, NewEnvironment, NewRecord, Number, Outcome, Policy, Pool, Purpose, Record, RecordId,
    StatusClass, Subnet, TagChanges, World, text,
};
use crate::failure::{Failure, Kind};

/// How many new numbers a launch tries to claim before it fails.
const MAX_CLAIMS: u32 = 64;

/// The outcome of one attempt to launch the instance.
pub(super) enum AttemptOutcome {
    /// EC2 created the instance.
    Launched(InstanceId),
    /// This placement failed; retry with the next one.
    NextPlacement(CloudError),
    /// No placement can succeed; the failure is written on the record.
    Failed(CloudError),
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launched(id) => write!(f, "{id}"),
            Self::NextPlacement(error) => write!(f, "the next attempt uses another placement: {error}"),
            Self::Failed(error) => write!(f, "failed for good: {error}"),
        }
    }
}

/// A confirmed claim. From here on, any engine can finish the launch.
struct Claim {
    environment: EnvironmentId,
    record: RecordId,
    expires_at: DateTime<Utc>,
}

/// Everything that a launch needs to know, from one observation.
struct LaunchContext<'a> {
    world: &'a World,
    image: Image,
    subnets: &'a [Subnet],
    now: DateTime<Utc>,
}

impl Engine {
    /// Launches an environment: claims a database and requests the instance.
    ///
    /// # Errors
    /// Returns `Usage` if the request is invalid, `Refused` if the policy forbids it, and AWS's error if a call fails. A launch that has
    /// begun by then is either undone or marked as failed, and then reaped.
    pub async fn launch(&self, request: &LaunchRequest) -> Result<Launched, Failure> {
        check_name(&request.name, &self.config.fleet)?;
        check_note(request)?;
        // No fleet allows more, so no call is needed to refuse them.
        check_services(request, &CompanyTags::default())?;
        let world = self.observe_uncached().await?;
        let now = world.now().unwrap_or_else(|| self.clock.now());
        let context = self.launch_context(&world, now)?;
        let ttl = request.ttl.unwrap_or(world.fleet.policy.ttl);
        check_ttl(ttl, &world.fleet.policy)?;
        check_services(request, &world.fleet.policy.company_tags)?;
        self.check_network(&world.fleet).await?;

        let claim = match self.claim(&context, request, ttl).await {
            Ok(claim) => claim,
            Err(failure) => {
                let (fleet, reason) = (self.config.fleet.to_string(), format!("as {}", request.name));
                let detail = failure.message.clone();
                self.log_request(crate::domain::Launch::ACTION, &fleet, &reason, Outcome::Failed, detail)
                    .await;
                return Err(failure);
            }
        };
        self.register_own_request(&claim.record);
        let instance = self.launch_claimed(&world, &claim).await;
        let database = claim.environment.database_id();
        let (outcome, detail) = match &instance {
            Ok(Some(id)) => (Outcome::Done, format!("{id} with {database}")),
            Ok(None) => (Outcome::Unknown, format!("no instance yet, with {database}")),
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        let claimed = world.databases.iter().find(|database| database.number == claim.environment.number);
        let restore_time = claimed.filter(|database| database.is_ready()).and_then(Database::restore_time);
        self.log_launch(&claim.environment, &request.name, restore_time, outcome, detail).await;
        Ok(Launched {
            environment: claim.environment,
            record: claim.record,
            database,
            instance: instance?,
            expires_at: claim.expires_at,
        })
    }

    fn launch_context<'a>(&self, world: &'a World, now: DateTime<Utc>) -> Result<LaunchContext<'a>, Failure> {
        let cannot = "cannot launch";
        let policy = &world.fleet.policy;
        if let Some(problem) = world.fleet.problems.first() {
            let hint = "correct the setting with: hatchery fleet set";
            let message = format!("{cannot}: the fleet's policy is invalid: {problem}");
            return Err(Failure::new(Kind::Refused, message, hint));
        }
        if policy.min_version.as_ref().is_some_and(|min| *min > self.config.version) {
            let message =
                format!("{cannot}: the fleet requires a newer hatchery than {}", self.config.version);
            return Err(Failure::new(Kind::Refused, message, "upgrade hatchery"));
        }
        if let Some(problem) = world.records.problem.as_ref().or(world.databases.problem.as_ref()) {
            return Err(Failure::cloud(cannot, problem));
        }
        let subnets = world.subnets.as_ref().map_err(|error| Failure::cloud(cannot, error))?;
        let image = world.image.as_ref().map_err(|error| Failure::cloud(cannot, error))?.clone().ok_or_else(
            || {
                let message =
                    format!("{cannot}: no available image is tagged hatchery:image={}", policy.image_tag);
                Failure::new(
                    Kind::NotFound,
                    message,
                    "build one with: hatchery images bake service, or correct the fleet's setting image-tag",
                )
            },
        )?;
        Ok(LaunchContext { world, image, subnets, now })
    }

    /// Claims a database: the best one of the pool, or else a number whose database is still to be restored.
    async fn claim(
        &self,
        context: &LaunchContext<'_>,
        request: &LaunchRequest,
        ttl: Duration,
    ) -> Result<Claim, Failure> {
        // Tags have a resolution of one second.
        let expires_at = context.now.trunc_subsecs(0) + ttl;
        let fleet = &context.world.fleet;
        let mut tried = BTreeSet::new();
        for database in Pool::new(context.world).claimable() {
            let environment = fleet.name.environment(database.number);
            let new = self.new_record(context, request, &environment, database.zone.as_deref(), expires_at);
            tried.insert(database.number);
            let Some(record) = self.try_claim(fleet, &new).await? else { continue };
            if self.bind(&environment, &record).await? {
                return Ok(Claim { environment, record, expires_at });
            }
        }
        self.claim_new(context, request, expires_at, tried).await
    }

    /// Claims the next number and restores its database. The claim comes first, so that no other launch can claim the database while it is
    /// being restored.
    async fn claim_new(
        &self,
        context: &LaunchContext<'_>,
        request: &LaunchRequest,
        expires_at: DateTime<Utc>,
        mut used: BTreeSet<Number>,
    ) -> Result<Claim, Failure> {
        let fleet = &context.world.fleet;
        let ceiling = fleet.policy.max_databases as usize;
        used.extend(context.world.databases.iter().map(|database| database.number));
        used.extend(context.world.records.iter().map(Record::number));
        let mut number = context.world.next_number();
        for _ in 0..MAX_CLAIMS {
            if used.len() >= ceiling {
                let message = format!(
                    "cannot launch: the fleet's databases are all in use or reserved (max-databases is {ceiling})"
                );
                let hint =
                    "terminate an environment, or raise the limit with: hatchery fleet set max-databases=N";
                return Err(Failure::new(Kind::Refused, message, hint));
            }
            let restore = Restore::of_number(context.world, number).map_err(|reason| {
                let message =
                    format!("cannot launch: no database is free, and none can be restored: {reason}");
                Failure::new(Kind::Failed, message, "find the cause with: hatchery doctor")
            })?;
            let environment = fleet.name.environment(number);
            let new = self.new_record(context, request, &environment, Some(&restore.zone), expires_at);
            if let Some(record) = self.try_claim(fleet, &new).await? {
                self.restore_for(fleet, &environment, &record, &restore, context.now).await?;
                return Ok(Claim { environment, record, expires_at });
            }
            used.insert(number);
            number = number.next();
        }
        let message = "cannot launch: other launches claimed every database first";
        Err(Failure::new(Kind::Failed, message, "try again"))
    }

    fn new_record(
        &self,
        context: &LaunchContext<'_>,
        request: &LaunchRequest,
        environment: &EnvironmentId,
        zone: Option<&str>,
        expires_at: DateTime<Utc>,
    ) -> NewRecord {
        let near = context.subnets.iter().find(|subnet| Some(subnet.zone.as_str()) == zone);
        // There is at least one subnet: a fleet without subnets is invalid, and a missing subnet is an error.
        let subnet = near.or(context.subnets.first()).map(|subnet| subnet.id.clone());
        NewRecord {
            environment: environment.clone(),
            owner: self.config.user.clone(),
            created_at: context.now,
            claim: self.nonce(),
            company_tags: context.world.fleet.policy.company_tags.clone(),
            purpose: Purpose::Launch(Box::new(NewEnvironment {
                name: request.name.clone(),
                expires_at,
                services: request.services.clone(),
                note: request.note.clone(),
                image: context.image.id.clone(),
                subnet: subnet.unwrap_or_else(|| crate::domain::SubnetId::new("")),
            })),
        }
    }

    /// Creates the record, or returns `None` if another launch holds the claim. If the response was lost, the record is looked up.
    async fn try_claim(&self, fleet: &Fleet, new: &NewRecord) -> Result<Option<RecordId>, Failure> {
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
                        Ok(Some(found)) if found.claim.as_ref() == Some(&new.claim) => {
                            return Ok(Some(found.id));
                        }
                        Ok(Some(_)) => return Ok(None),
                        // The record is not visible yet, or was deleted. If the name is in use, another launch holds the claim.
                        Ok(None) if error.is(ErrorClass::AlreadyExists) && tries >= MAX_TRIES => {
                            return Ok(None);
                        }
                        Ok(None) | Err(_) if tries < MAX_TRIES => {}
                        Ok(None) | Err(_) => return Err(Failure::cloud(what, &error)),
                    }
                }
                ErrorClass::Throttled | ErrorClass::Transient if tries < MAX_TRIES => {}
                _ => return Err(Failure::cloud(what, &error)),
            }
            self.clock.sleep(RETRY_DELAY).await;
        }
    }

    /// Tags the claimed database with its environment. If the database turns out to be unusable, the claim is released.
    async fn bind(&self, environment: &EnvironmentId, record: &RecordId) -> Result<bool, Failure> {
        let what = format!("cannot bind {}", environment.database_id());
        let read = self.retry(|| self.cloud.database(&environment.fleet, environment.number)).await;
        let usable = match &read {
            Ok(read) => read.value.as_ref().is_some_and(|database| {
                let ending = matches!(database.status_class(), StatusClass::Failed | StatusClass::Deleting);
                !ending && database.environment.as_ref().is_none_or(|owner| owner == environment)
            }),
            Err(_) => false,
        };
        if !usable {
            // The database was not changed, so deleting the record undoes the claim.
            if let Err(error) = self.retry(|| self.cloud.delete_record(record)).await {
                self.abort(environment, record, &error).await;
            }
            return read.map(|_| false).map_err(|error| Failure::cloud(what, &error));
        }
        let changes = TagChanges::new().set(key::ENVIRONMENT, environment.to_string());
        let database = environment.database_id();
        match self.retry(|| self.cloud.tag_database(&database, &changes)).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.abort(environment, record, &error).await;
                Err(Failure::cloud(what, &error))
            }
        }
    }

    async fn restore_for(
        &self,
        fleet: &Fleet,
        environment: &EnvironmentId,
        record: &RecordId,
        restore: &Restore,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let new = restore.to_database(fleet, environment.number, Some(environment.clone()), now);
        match self.retry(|| self.cloud.create_database(&new)).await {
            Ok(()) => Ok(()),
            // Another engine has just created a spare with this number. The claim covers it.
            Err(error) if error.is(ErrorClass::AlreadyExists) => {
                self.bind(environment, record).await.map(|_| ())
            }
            Err(error) => {
                self.abort(environment, record, &error).await;
                Err(Failure::cloud(format!("cannot restore {}", environment.database_id()), &error))
            }
        }
    }

    /// Marks the record of a launch that failed before the instance was requested for termination, so that any engine removes what was
    /// created.
    async fn abort(&self, environment: &EnvironmentId, record: &RecordId, error: &CloudError) {
        let failure = LaunchFailure { at: self.clock.now(), reason: error.to_string() };
        let termination = crate::domain::Termination { at: failure.at, by: self.config.user.clone() };
        let changes = TagChanges::terminate(&termination).set(key::FAILURE, failure.to_tag());
        if let Err(error) = self.retry(|| self.cloud.tag_record(record, &changes)).await {
            tracing::warn!(%environment, %error, "cannot mark the failed launch for termination; it ends when it expires");
        }
    }

    /// Requests the instance, with one placement after another. Returns `None` if EC2 has not created it yet; any engine then continues.
    async fn launch_claimed(&self, world: &World, claim: &Claim) -> Result<Option<InstanceId>, Failure> {
        let policy = &world.fleet.policy;
        let mut attempt = 0;
        let mut tries = 0;
        while tries < MAX_TRIES {
            match self.attempt(policy, &claim.environment, &claim.record, attempt, world.now()).await {
                Ok(AttemptOutcome::Launched(id)) => return Ok(Some(id)),
                Ok(AttemptOutcome::NextPlacement(_)) => attempt += 1,
                Ok(AttemptOutcome::Failed(error)) => {
                    return Err(Failure::cloud(format!("cannot launch {}", claim.environment), &error));
                }
                Err(error) if error.is(ErrorClass::NotFound) => {
                    let message = format!("{} was terminated while it was launching", claim.environment);
                    return Err(Failure::new(Kind::TooLate, message, "launch it again if you still need it"));
                }
                Err(error) => {
                    tracing::warn!(environment = %claim.environment, %error, "retrying the launch");
                    tries += 1;
                    self.clock.sleep(RETRY_DELAY).await;
                }
            }
        }
        Ok(None)
    }

    /// Sends one launch attempt of a record. Every engine sends the identical request for the same attempt.
    ///
    /// # Errors
    /// Returns an error if the outcome is unknown or the same attempt may succeed later.
    pub(super) async fn attempt(
        &self,
        policy: &Policy,
        environment: &EnvironmentId,
        record: &RecordId,
        attempt: u32,
        now: Option<DateTime<Utc>>,
    ) -> Result<AttemptOutcome> {
        let Placement { subnet, instance_type } = lifecycle::placement(policy, attempt).unwrap_or_default();
        let request = LaunchInstance {
            record: record.clone(),
            token: record.client_token(attempt),
            subnet,
            instance_type,
        };
        let error = match self.cloud.launch_instance(&request).await {
            Ok(instance) => {
                // If this fails, the next pass of any engine repeats it.
                let changes = TagChanges::new().set(key::INSTANCE, instance.as_str());
                if let Err(error) = self.cloud.tag_record(record, &changes).await {
                    tracing::warn!(%environment, %error, "cannot write the instance on the record");
                }
                return Ok(AttemptOutcome::Launched(instance));
            }
            Err(error) => error,
        };
        let token_used = error.code == "IdempotentParameterMismatch";
        let next = match error.class {
            ErrorClass::Capacity => lifecycle::placement(policy, attempt + 1).map(|_| attempt + 1),
            // Another engine used this token under another policy. Its instance is looked up below.
            ErrorClass::Invalid if token_used => Some(attempt + 1),
            ErrorClass::Quota | ErrorClass::Auth | ErrorClass::Invalid => None,
            _ => return Err(error),
        };
        if let Some(found) = self.find_launched(environment, record).await? {
            return Ok(AttemptOutcome::Launched(found));
        }
        if let Some(next) = next {
            self.cloud.tag_record(record, &TagChanges::new().set(key::ATTEMPT, next.to_string())).await?;
            return Ok(AttemptOutcome::NextPlacement(error));
        }
        let failure =
            LaunchFailure { at: now.unwrap_or_else(|| self.clock.now()), reason: error.to_string() };
        self.cloud.tag_record(record, &TagChanges::fail(&failure)).await?;
        Ok(AttemptOutcome::Failed(error))
    }

    async fn find_launched(
        &self,
        environment: &EnvironmentId,
        record: &RecordId,
    ) -> Result<Option<InstanceId>> {
        let instances = self.cloud.instances_of(environment).await?.value;
        let of_record = |id: &Option<RecordId>| id.as_ref() == Some(record);
        let mut alive: Vec<_> =
            instances.into_iter().filter(|i| of_record(&i.record) && !i.state.is_ending()).collect();
        alive.sort_unstable_by(|a, b| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
        Ok(alive.into_iter().next().map(|instance| instance.id))
    }
}

/// Refuses a name that looks like an id, because a command on it would be meant for another environment.
fn check_name(name: &Label, fleet: &FleetName) -> Result<(), Failure> {
    if name.is_like_id(fleet) {
        let message = format!("not a valid environment name: {name} looks like an id of the fleet {fleet}");
        return Err(Failure::new(Kind::Usage, message, "choose another name, such as checkout-fix"));
    }
    Ok(())
}

fn check_services(request: &LaunchRequest, company_tags: &CompanyTags) -> Result<(), Failure> {
    let (count, max) = (request.services.len(), max_services(company_tags));
    if count > max {
        let message = format!("{count} services under test are too many; the maximum is {max}");
        return Err(Failure::new(Kind::Usage, message, "name only the services under test"));
    }
    Ok(())
}

fn check_note(request: &LaunchRequest) -> Result<(), Failure> {
    if request.note.as_ref().is_some_and(|note| !text::is_printable(note, MAX_NOTE_CHARS)) {
        let message = "the note is too long or contains control characters";
        return Err(Failure::new(
            Kind::Usage,
            message,
            format!("use up to {MAX_NOTE_CHARS} printable characters"),
        ));
    }
    Ok(())
}

fn check_ttl(ttl: Duration, policy: &Policy) -> Result<(), Failure> {
    if ttl > policy.max_lifetime {
        let max = format_exact_duration(policy.max_lifetime);
        let message = format!("a ttl of {} exceeds the fleet's max-lifetime", format_exact_duration(ttl));
        return Err(Failure::new(Kind::Refused, message, format!("use at most {max}")));
    }
    if ttl < MIN_TTL {
        return Err(Failure::new(Kind::Usage, "the ttl is shorter than a minute", "use at least 1m"));
    }
    Ok(())
}
