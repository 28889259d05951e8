//! Launches: the claim by the record's name, then the instance from the record.

use std::time::Duration;

use super::retry::MAX_TRIES;
use super::{Engine, LaunchRequest, Launched};
use crate::cloud::Result;
use crate::domain::format::format_exact_duration;
use crate::domain::policy::MIN_TTL;
use crate::domain::record::{MAX_NOTE_CHARS, max_services};
use crate::domain::{
    CompanyTags, Database, ErrorClass, FleetName, InstanceId, Label, Outcome, Policy, World, text,
};
use crate::failure::{Failure, Kind};

mod attempt;
mod claim;
mod context;

pub(super) use attempt::AttemptOutcome;

use context::{Claim, LaunchContext};

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
        let world = self.observe_for(request).await?;
        let context = self.launch_context(&world)?;
        let ttl = request.ttl.unwrap_or(world.fleet.policy.ttl);
        let claim = match self.claim(&context, request, ttl).await {
            Ok(claim) => claim,
            Err(failure) => {
                // It may have created a record, so it belongs into the log.
                let unknown = failure.kind == Kind::UnknownOutcome;
                let outcome = if unknown { Outcome::Unknown } else { Outcome::Failed };
                let target = self.config.fleet.to_string();
                self.log_launch(&target, &request.name, None, outcome, failure.message.clone()).await;
                return Err(failure);
            }
        };
        self.register_own_request(&claim.record);
        let instance = if claim.bound { self.launch_claimed(&world, &claim).await } else { Ok(None) };
        let database = claim.environment.database_id();
        let (outcome, detail) = match &instance {
            Ok(Some(id)) => (Outcome::Done, format!("{id} with {database}")),
            Ok(None) => (Outcome::Unknown, format!("no instance yet, with {database}")),
            Err(failure) => (Outcome::Failed, failure.message.clone()),
        };
        let claimed = world.databases.iter().find(|database| database.number == claim.environment.number);
        let restore_time = claimed.filter(|database| database.is_ready()).and_then(Database::restore_time);
        let target = claim.environment.to_string();
        self.log_launch(&target, &request.name, restore_time, outcome, detail).await;
        Ok(Launched {
            environment: claim.environment,
            record: claim.record,
            database,
            instance: instance?,
            expires_at: claim.expires_at,
        })
    }

    /// Observes the fleet, and checks that it allows the launch. Nothing has been changed yet, so a throttled call is repeated.
    async fn observe_for(&self, request: &LaunchRequest) -> Result<World, Failure> {
        let mut tries = 1;
        loop {
            match self.try_observe_for(request).await {
                Err(failure) if failure.kind == Kind::Throttled && tries < MAX_TRIES => {
                    self.wait_before_retry(ErrorClass::Throttled, tries).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_observe_for(&self, request: &LaunchRequest) -> Result<World, Failure> {
        let world = self.observe_uncached().await?;
        self.launch_context(&world)?;
        let policy = &world.fleet.policy;
        check_ttl(request.ttl.unwrap_or(policy.ttl), policy)?;
        check_services(request, &policy.company_tags)?;
        self.check_network(&world.fleet).await?;
        Ok(world)
    }

    fn launch_context<'a>(&self, world: &'a World) -> Result<LaunchContext<'a>, Failure> {
        let cannot = "cannot launch";
        let now = world.now().unwrap_or_else(|| self.clock.now());
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
