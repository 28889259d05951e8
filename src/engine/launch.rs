//! Launches: the claim by the record's name, then the instance from the record.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::retry::MAX_TRIES;
use super::{Engine, LaunchRequest, Launched};
use crate::cloud::Result;
use crate::domain::format::format_exact_duration;
use crate::domain::policy::MIN_TTL;
use crate::domain::record::{MAX_NOTE_CHARS, max_services};
use crate::domain::{
    CompanyTags, ErrorClass, FleetName, Hydration, InstanceId, Label, Launch, NewEnvironment, Number,
    Outcome, Policy, Purpose, SubnetId, World, text,
};
use crate::failure::{Failure, Kind};

mod attempt;
mod claim;
mod context;

pub(super) use attempt::AttemptOutcome;
pub(crate) use attempt::VISIBLE_WITHIN;
pub(super) use claim::CROWD_DELAY;

pub(super) use context::{Claim, ClaimContext};

use context::LaunchContext;

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
        let context = self.observe_for(request).await?;
        let world = &context.world;
        let ttl = request.ttl.unwrap_or(world.fleet.policy.ttl);
        // Tags have a resolution of one second.
        let expires_at = context.now.trunc_subsecs(0) + ttl;
        let purpose = |zone: Option<&str>| purpose(&context, request, zone, expires_at);
        let claim_context =
            ClaimContext { world, now: context.now, what: "cannot launch", purpose: &purpose };
        let claim = match self.claim(&claim_context).await {
            Ok(claim) => claim,
            Err(failure) => {
                // It may have created a record, so it belongs into the log.
                let unknown = failure.kind == Kind::UnknownOutcome;
                let outcome = if unknown { Outcome::Unknown } else { Outcome::Failed };
                let target = self.config.fleet.to_string();
                let reason = format!("as {}", request.name);
                self.log_claim(Launch::ACTION, &target, &reason, None, outcome, failure.message.clone())
                    .await;
                return Err(failure);
            }
        };
        self.register_own_request(&claim.record);
        let instance = if claim.bound { self.launch_claimed(world, &claim).await } else { Ok(None) };
        let database = claim.environment.database_id();
        let (outcome, detail) = match &instance {
            Ok(Some(id)) => (Outcome::Done, format!("{id} with {database}")),
            Ok(None) => (Outcome::Unknown, format!("no instance yet, with {database}")),
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        let found = Found::new(world, claim.environment.number);
        let target = claim.environment.to_string();
        let reason = format!("as {}", request.name);
        self.log_claim(Launch::ACTION, &target, &reason, found, outcome, detail).await;
        Ok(Launched {
            environment: claim.environment,
            record: claim.record,
            database,
            instance: instance?,
            expires_at,
        })
    }

    /// Observes the fleet, and checks that it allows the launch.
    async fn observe_for(&self, request: &LaunchRequest) -> Result<LaunchContext, Failure> {
        self.repeat_throttled(|| self.try_observe_for(request)).await
    }

    async fn try_observe_for(&self, request: &LaunchRequest) -> Result<LaunchContext, Failure> {
        let begun = self.fresh();
        let context = self.launch_context(self.observe_uncached().await?)?;
        let fleet = &context.world.fleet;
        let policy = &fleet.policy;
        check_ttl(request.ttl.unwrap_or(policy.ttl), policy)?;
        check_services(request, &policy.company_tags)?;
        self.check_network(fleet).await?;
        self.check_age(&begun, "cannot launch")?;
        Ok(context)
    }

    fn launch_context(&self, world: World) -> Result<LaunchContext, Failure> {
        let cannot = "cannot launch";
        self.check_claims_allowed(&world, cannot)?;
        let now = world.now().unwrap_or_else(|| self.clock.now());
        let policy = &world.fleet.policy;
        let subnets = world.subnets.clone().map_err(|error| Failure::cloud(cannot, &error))?;
        let image = world.image.clone().map_err(|error| Failure::cloud(cannot, &error))?;
        let image = image.ok_or_else(|| {
            let message =
                format!("{cannot}: no available image is tagged hatchery:image={}", policy.image_tag);
            let hint =
                "build one with: hatchery images bake service, or correct the fleet's setting image-tag";
            Failure::new(Kind::NotFound, message, hint)
        })?;
        Ok(LaunchContext { world, image, subnets, now })
    }

    /// Whether the fleet allows claims on databases now. `cannot` begins the error message.
    pub(super) fn check_claims_allowed(&self, world: &World, cannot: &str) -> Result<(), Failure> {
        let policy = &world.fleet.policy;
        if let Some(problem) = world.fleet.problems.iter().find(|problem| problem.stops_launches()) {
            let hint = "correct the setting with: hatchery fleet set";
            let message = format!("{cannot}: the fleet's policy is invalid: {problem}");
            return Err(Failure::new(Kind::Refused, message, hint));
        }
        if policy.paused {
            // No engine would finish it, or end it at its time.
            let message = format!("{cannot}: the fleet is paused");
            return Err(Failure::new(
                Kind::Refused,
                message,
                "resume it with: hatchery fleet set paused=false",
            ));
        }
        if policy.min_version.as_ref().is_some_and(|min| *min > self.config.version) {
            let message =
                format!("{cannot}: the fleet requires a newer hatchery than {}", self.config.version);
            return Err(Failure::new(Kind::Refused, message, "upgrade hatchery"));
        }
        if let Some(problem) = world.records.problem.as_ref().or(world.databases.problem.as_ref()) {
            return Err(Failure::cloud(cannot, problem));
        }
        Ok(())
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
                Err(error) if error.is(ErrorClass::NotFound) && self.is_gone(claim).await => {
                    let message = format!("{} was terminated while it was launching", claim.environment);
                    return Err(Failure::new(Kind::TooLate, message, "launch it again if you still need it"));
                }
                Err(error) if error.is(ErrorClass::Auth) => {
                    // Without the permission of its user, the launch must not be finished by another engine.
                    self.abort(&claim.environment, &claim.record, &error).await;
                    return Err(Failure::cloud(format!("cannot launch {}", claim.environment), &error));
                }
                Err(error) => {
                    tracing::warn!(environment = %claim.environment, %error, "retrying the launch");
                    tries += 1;
                    self.wait_before_retry(error.class, tries).await;
                }
            }
        }
        Ok(None)
    }
}

/// Returns the purpose of the record of a launch, with a subnet in the zone of its database if there is one.
fn purpose(
    context: &LaunchContext,
    request: &LaunchRequest,
    zone: Option<&str>,
    expires_at: DateTime<Utc>,
) -> Purpose {
    let near = context.subnets.iter().find(|subnet| Some(subnet.zone.raw()) == zone);
    // There is at least one subnet: a fleet without subnets is invalid, and a missing subnet is an error.
    let subnet = near.or(context.subnets.first()).map(|subnet| subnet.id.clone());
    Purpose::Launch(Box::new(NewEnvironment {
        name: request.name.clone(),
        expires_at,
        services: request.services.clone(),
        note: request.note.clone(),
        image: context.image.id.clone(),
        root_device: context.image.root_device.as_ref().map(|device| device.raw().to_owned()),
        subnet: subnet.unwrap_or_else(|| SubnetId::new("")),
    }))
}

/// What a claim found: a database that was usable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// How long its restore took.
    pub(super) restore: Duration,
    pub(super) hydration: Hydration,
}

impl Found {
    /// Returns `None` if the database was not usable when it was claimed, or the duration of its restore is unknown.
    pub(super) fn new(world: &World, number: Number) -> Option<Self> {
        let database = world.databases.iter().find(|database| database.number == number)?;
        let restore = database.restore_time().filter(|_| database.is_ready())?;
        Some(Self { restore, hydration: database.hydration })
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
