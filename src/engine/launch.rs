//! Launching: the claim by the record's name, and the instance from the record.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::plan;
use super::step::{Placement, Restore};
use super::{Engine, LaunchRequest, Launched};
use crate::cloud::{LaunchInstance, Result};
use crate::domain::record::{MAX_NOTE_CHARS, MAX_SERVICES};
use crate::domain::tags::key;
use crate::domain::{
    CloudError, Database, EnvironmentId, ErrorClass, Fleet, Image, InstanceId, LaunchFailure, NewEnvironment,
    NewRecord, Number, Outcome, Policy, Pool, Purpose, Record, RecordId, StatusClass, Subnet, TagChanges,
    World, text,
};
use crate::failure::{Failure, Kind};

/// How often a claim is tried on new numbers before a launch is refused.
const MAX_CLAIMS: u32 = 64;

/// How often a call of unknown outcome is looked up or sent again, and how long is waited before each.
const MAX_TRIES: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// What one attempt to get an instance came to.
pub(super) enum AttemptOutcome {
    /// The instance.
    Instance(InstanceId),
    /// This way will not do; the next attempt goes another.
    NextAttempt(CloudError),
    /// There is no other way; the record says so.
    LaunchFailure(CloudError),
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) => write!(f, "{id}"),
            Self::NextAttempt(error) => write!(f, "the next attempt goes another way: {error}"),
            Self::LaunchFailure(error) => write!(f, "given up: {error}"),
        }
    }
}

/// A claim that stands: from here on any engine can finish the launch.
struct Claim {
    environment: EnvironmentId,
    record: RecordId,
    expires_at: DateTime<Utc>,
}

/// Everything that a launch needs to know, from one look.
struct LaunchContext<'a> {
    world: &'a World,
    image: Image,
    subnets: &'a [Subnet],
    now: DateTime<Utc>,
}

impl Engine {
    /// Launches an environment: claims a database, and asks for the instance.
    ///
    /// # Errors
    /// Where the request makes no sense, the policy refuses it, or AWS does. What was begun by then is either undone or
    /// written down as failed, and reaped.
    pub async fn launch(&self, request: &LaunchRequest) -> Result<Launched, Failure> {
        check_request(request)?;
        let world = self.observe_afresh().await?;
        let now = world.now().unwrap_or_else(|| self.clock.now());
        let context = self.launch_context(&world, now)?;
        let ttl = request.ttl.unwrap_or(world.fleet.policy.ttl);
        check_ttl(ttl, &world.fleet.policy)?;
        self.check_network(&world.fleet).await?;

        let claim = self.claim(&context, request, ttl).await?;
        self.register_own_request(&claim.record);
        let instance = self.instance_of(&world, &claim).await;
        let database = claim.environment.database_id();
        let (outcome, detail) = match &instance {
            Ok(Some(id)) => (Outcome::Done, format!("{id} with {database}")),
            Ok(None) => (Outcome::Unknown, format!("no instance yet, with {database}")),
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        let taken = world.databases.iter().find(|taken| taken.number == claim.environment.number);
        let restore = taken.filter(|taken| taken.is_ready()).and_then(Database::restore_time);
        self.log_launch(&claim.environment, &request.name, restore, outcome, detail).await;
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
            let hint = "correct the fleet with: hatchery fleet set";
            return Err(Failure::new(Kind::Refused, format!("{cannot}: {problem}"), hint));
        }
        if policy.min_version.as_ref().is_some_and(|wanted| *wanted > self.config.version) {
            let message = format!("{cannot}: the fleet wants a newer hatchery than {}", self.config.version);
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
                    "run the image pipeline or correct the fleet's image-tag",
                )
            },
        )?;
        Ok(LaunchContext { world, image, subnets, now })
    }

    /// Claims a database: the pool's best first, then a number that has none yet.
    async fn claim(
        &self,
        context: &LaunchContext<'_>,
        request: &LaunchRequest,
        ttl: Duration,
    ) -> Result<Claim, Failure> {
        // Tags keep whole seconds.
        let expires_at = context.now.trunc_subsecs(0) + ttl;
        let fleet = &context.world.fleet;
        let mut taken = BTreeSet::new();
        for database in Pool::new(context.world).claimable() {
            let environment = fleet.name.environment(database.number);
            let new = self.new_record(context, request, &environment, database.zone.as_deref(), expires_at);
            taken.insert(database.number);
            let Some(record) = self.try_claim(fleet, &new).await? else { continue };
            if self.bind(&environment, &record).await? {
                return Ok(Claim { environment, record, expires_at });
            }
        }
        self.claim_new(context, request, expires_at, taken).await
    }

    /// Claims the next number and has its database restored. The claim comes first, so that nobody can take the
    /// database away while it is on its way.
    async fn claim_new(
        &self,
        context: &LaunchContext<'_>,
        request: &LaunchRequest,
        expires_at: DateTime<Utc>,
        mut taken: BTreeSet<Number>,
    ) -> Result<Claim, Failure> {
        let fleet = &context.world.fleet;
        let ceiling = fleet.policy.max_databases as usize;
        taken.extend(context.world.databases.iter().map(|database| database.number));
        taken.extend(context.world.records.iter().map(Record::number));
        let mut number = context.world.next_number();
        for _ in 0..MAX_CLAIMS {
            if taken.len() >= ceiling {
                let message =
                    format!("cannot launch: the fleet's {ceiling} databases are all in use or promised");
                let hint = "terminate an environment, or raise it with: hatchery fleet set max-databases=N";
                return Err(Failure::new(Kind::Refused, message, hint));
            }
            let restore = plan::restore(context.world, number).map_err(|reason| {
                let message =
                    format!("cannot launch: no database is free and none can be restored: {reason}");
                Failure::new(Kind::Failed, message, "see hatchery doctor")
            })?;
            let environment = fleet.name.environment(number);
            let new = self.new_record(context, request, &environment, Some(&restore.zone), expires_at);
            if let Some(record) = self.try_claim(fleet, &new).await? {
                self.restore_for(fleet, &environment, &record, &restore, context.now).await?;
                return Ok(Claim { environment, record, expires_at });
            }
            taken.insert(number);
            number = number.next();
        }
        let message = "cannot launch: others were faster on every database";
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
        // `context` has at least one subnet: a fleet without is refused, and one that does not exist is an error.
        let subnet = near.or(context.subnets.first()).map(|subnet| subnet.id.clone());
        NewRecord {
            environment: environment.clone(),
            owner: self.config.person.clone(),
            created_at: context.now,
            claim: self.nonce(),
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

    /// Takes the claim, or `None` where somebody else has it. An answer that was lost is looked up.
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
                // The SDK sends again by itself, so even this answer may be about our own first request.
                ErrorClass::AlreadyExists | ErrorClass::Unknown => {
                    match self.cloud.find_record(&new.environment).await.map(|seen| seen.value) {
                        Ok(Some(found)) if found.claim.as_ref() == Some(&new.claim) => {
                            return Ok(Some(found.id));
                        }
                        Ok(Some(_)) => return Ok(None),
                        // Not to be seen yet, or deleted again: only for a name that is taken is that an answer.
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

    /// Binds the claimed database for good, unless it turns out to be unfit: then the claim is given back.
    async fn bind(&self, environment: &EnvironmentId, record: &RecordId) -> Result<bool, Failure> {
        let what = format!("cannot bind {}", environment.database_id());
        let seen = retry(self, || self.cloud.database(&environment.fleet, environment.number)).await;
        let fit = match &seen {
            Ok(seen) => seen.value.as_ref().is_some_and(|database| {
                let unusable = matches!(database.status_class(), StatusClass::Failed | StatusClass::Deleting);
                !unusable && database.environment.as_ref().is_none_or(|owner| owner == environment)
            }),
            Err(_) => false,
        };
        if !fit {
            // Nothing has touched the database, so letting go of the name is all there is to undo.
            if let Err(error) = retry(self, || self.cloud.delete_record(record)).await {
                self.abort(environment, record, &error).await;
            }
            return seen.map(|_| false).map_err(|error| Failure::cloud(what, &error));
        }
        let changes = TagChanges::new().set(key::ENVIRONMENT, environment.to_string());
        let database = environment.database_id();
        match retry(self, || self.cloud.tag_database(&database, &changes)).await {
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
        let new = restore.database(fleet, environment.number, Some(environment.clone()), now);
        match retry(self, || self.cloud.create_database(&new)).await {
            Ok(()) => Ok(()),
            // A spare that another engine has just asked for under this number: the claim makes it ours.
            Err(error) if error.is(ErrorClass::AlreadyExists) => {
                self.bind(environment, record).await.map(|_| ())
            }
            Err(error) => {
                self.abort(environment, record, &error).await;
                Err(Failure::cloud(format!("cannot restore {}", environment.database_id()), &error))
            }
        }
    }

    /// A launch that failed before anything was launched: its record asks for its own end, so that any engine clears
    /// up whatever may have come of it.
    async fn abort(&self, environment: &EnvironmentId, record: &RecordId, error: &CloudError) {
        let failure = LaunchFailure { at: self.clock.now(), reason: error.to_string() };
        let termination = crate::domain::Termination { at: failure.at, by: self.config.person.clone() };
        let changes = TagChanges::terminate(&termination).set(key::FAILURE, failure.to_tag());
        if let Err(error) = retry(self, || self.cloud.tag_record(record, &changes)).await {
            tracing::warn!(%environment, %error, "the failed launch could not be withdrawn; it ends with its ttl");
        }
    }

    /// Asks for the instance, attempt by attempt. `None`: not yet, and any engine goes on trying.
    async fn instance_of(&self, world: &World, claim: &Claim) -> Result<Option<InstanceId>, Failure> {
        let policy = &world.fleet.policy;
        let mut attempt = 0;
        let mut tries = 0;
        while tries < MAX_TRIES {
            match self.attempt(policy, &claim.environment, &claim.record, attempt, world.now()).await {
                Ok(AttemptOutcome::Instance(id)) => return Ok(Some(id)),
                Ok(AttemptOutcome::NextAttempt(_)) => attempt += 1,
                Ok(AttemptOutcome::LaunchFailure(error)) => {
                    return Err(Failure::cloud(format!("cannot launch {}", claim.environment), &error));
                }
                Err(error) if error.is(ErrorClass::NotFound) => {
                    let message = format!("{} was terminated while it was being launched", claim.environment);
                    return Err(Failure::new(Kind::TooLate, message, "launch again if it is still wanted"));
                }
                Err(error) => {
                    tracing::warn!(environment = %claim.environment, %error, "the launch is tried again");
                    tries += 1;
                    self.clock.sleep(RETRY_DELAY).await;
                }
            }
        }
        Ok(None)
    }

    /// One attempt of one record, the very same request whichever engine sends it.
    ///
    /// # Errors
    /// Where the outcome is not known, or trying the same again may do.
    pub(super) async fn attempt(
        &self,
        policy: &Policy,
        environment: &EnvironmentId,
        record: &RecordId,
        attempt: u32,
        now: Option<DateTime<Utc>>,
    ) -> Result<AttemptOutcome> {
        let Placement { subnet, instance_type } = plan::placement(policy, attempt).unwrap_or_default();
        let request = LaunchInstance {
            record: record.clone(),
            token: record.client_token(attempt),
            subnet,
            instance_type,
        };
        let error = match self.cloud.launch_instance(&request).await {
            Ok(instance) => {
                // Should this fail, the next pass of any engine writes it down.
                let changes = TagChanges::new().set(key::INSTANCE, instance.as_str());
                if let Err(error) = self.cloud.tag_record(record, &changes).await {
                    tracing::warn!(%environment, %error, "the instance could not be noted on the record");
                }
                return Ok(AttemptOutcome::Instance(instance));
            }
            Err(error) => error,
        };
        let burnt = error.code == "IdempotentParameterMismatch";
        let next = match error.class {
            ErrorClass::Capacity => plan::placement(policy, attempt + 1).map(|_| attempt + 1),
            // Another engine asked with another policy; whatever came of it is looked for before going on.
            ErrorClass::Invalid if burnt => Some(attempt + 1),
            ErrorClass::Quota | ErrorClass::Auth | ErrorClass::Invalid => None,
            _ => return Err(error),
        };
        if let Some(found) = self.launched_already(environment, record).await? {
            return Ok(AttemptOutcome::Instance(found));
        }
        if let Some(next) = next {
            self.cloud.tag_record(record, &TagChanges::new().set(key::ATTEMPT, next.to_string())).await?;
            return Ok(AttemptOutcome::NextAttempt(error));
        }
        let failure =
            LaunchFailure { at: now.unwrap_or_else(|| self.clock.now()), reason: error.to_string() };
        self.cloud.tag_record(record, &TagChanges::fail(&failure)).await?;
        Ok(AttemptOutcome::LaunchFailure(error))
    }

    async fn launched_already(
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

/// Sends a call again while its outcome is unknown or trying again may do. Only for calls that may be repeated.
pub(super) async fn retry<T, F>(engine: &Engine, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(error)
                if tries < MAX_TRIES
                    && matches!(
                        error.class,
                        ErrorClass::Unknown | ErrorClass::Transient | ErrorClass::Throttled
                    ) =>
            {
                tries += 1;
                engine.clock.sleep(RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}

fn check_request(request: &LaunchRequest) -> Result<(), Failure> {
    if request.services.len() > MAX_SERVICES {
        let message = format!("{} services are too many: at most {MAX_SERVICES}", request.services.len());
        return Err(Failure::new(Kind::Usage, message, "leave those out that are not under test"));
    }
    if request.note.as_ref().is_some_and(|note| !text::is_printable(note, MAX_NOTE_CHARS)) {
        let message = "the note is too long or has control characters";
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
        let most = humantime::format_duration(policy.max_lifetime);
        let message =
            format!("a ttl of {} is beyond the fleet's max-lifetime", humantime::format_duration(ttl));
        return Err(Failure::new(Kind::Refused, message, format!("ask for at most {most}")));
    }
    if ttl < Duration::from_mins(1) {
        return Err(Failure::new(
            Kind::Usage,
            "a ttl of less than a minute makes no sense",
            "ask for longer",
        ));
    }
    Ok(())
}
