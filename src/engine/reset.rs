//! Resets: a fresh database for an environment that exists.

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use super::audit::outcome_of;
use super::extend::check_not_ending;
use super::launch::{Claim, ClaimContext, Found};
use super::retry::{MAX_TRIES, RETRY_DELAY};
use super::switch::{Switch, Switched};
use crate::cloud::{Template, collect};
use crate::domain::replacement::order;
use crate::domain::{
    DatabaseId, Environment, EnvironmentId, Launch, Outcome, Policy, Purpose, Record, RecordId, Replaces,
    RolloutState, TagChanges, Termination, World, lifecycle,
};
use crate::failure::{Failure, Kind};

/// How long a deployment keeps a reset waiting. An instance that has not answered by then does not work on it.
const DEPLOYMENT_LIMIT: TimeDelta = TimeDelta::hours(1);

/// A reset whose database is claimed. Engines finish it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetStarted {
    pub environment: EnvironmentId,
    /// The record that claims the new database.
    pub record: RecordId,
    /// The new database.
    pub database: DatabaseId,
    /// The database that is deleted once the instance uses the new one.
    pub replaces: DatabaseId,
    /// The time of the request by AWS's clock.
    pub at: DateTime<Utc>,
    /// Whether the environment uses the new database already; if not, it is being restored.
    pub switched: bool,
}

impl Engine {
    /// Claims a fresh database for an environment, as a launch does, and switches to it if it is usable. Engines delete the old one.
    ///
    /// # Errors
    /// Returns `NotFound` if there is no such environment, `TooLate` if it is ending, `Refused` if it cannot be reset now or the policy forbids
    /// claims, and AWS's error if a call fails.
    pub async fn reset(&self, id: &EnvironmentId) -> Result<ResetStarted, Failure> {
        let what = format!("cannot reset {id}");
        let (record, _) = self.current_record(id, &what).await?;
        let world = self.observe_for_reset(&what).await?;
        let now = world.now().unwrap_or_else(|| self.clock.now());
        let environments = Environment::all(&world, now);
        let Some(user) = environments.iter().find(|found| found.record.id == record.id) else {
            let message = format!("{what}: the listing does not show it yet");
            return Err(Failure::new(Kind::Failed, message, "try again"));
        };
        let policy = &world.fleet.policy;
        check_resettable(user, policy, now, &what)?;
        let reason = format!("{} of {}", record.name, record.owner);
        let claimed = self.claim_for_reset(&world, &record, now, &what).await;
        let (outcome, detail) = outcome_of(&claimed, |claim| {
            format!("{} replaces {}", claim.environment.database_id(), user.database_id())
        });
        let number = claimed.as_ref().map(|claim| claim.environment.number);
        let found = number.ok().and_then(|number| Found::new(&world, number));
        self.log_claim(Launch::RESET, &id.to_string(), &reason, found, outcome, detail).await;
        let claim = claimed?;
        self.register_own_request(&record.id);
        self.register_own_request(&claim.record);
        let is_ready = claim.bound && is_usable(&world, &claim);
        let switched = is_ready && self.switch_now(user, policy, &claim).await;
        Ok(ResetStarted {
            environment: id.clone(),
            record: claim.record,
            database: claim.environment.database_id(),
            replaces: user.database_id(),
            at: now,
            switched,
        })
    }

    /// Observes the fleet, and checks that it allows claims.
    async fn observe_for_reset(&self, what: &str) -> Result<World, Failure> {
        self.repeat_throttled(|| async {
            let begun = self.fresh();
            let world = self.observe_uncached().await?;
            self.check_claims_allowed(&world, what)?;
            self.check_age(&begun, what)?;
            Ok(world)
        })
        .await
    }

    /// Claims a database by a replacement. If another reset of the environment has done so first, releases the claim.
    async fn claim_for_reset(
        &self,
        world: &World,
        record: &Record,
        now: DateTime<Utc>,
        what: &str,
    ) -> Result<Claim, Failure> {
        let replaces = Replaces { record: record.id.clone(), environment: record.environment.clone() };
        let purpose = |_: Option<&str>| Purpose::Replace(replaces.clone());
        let claim = self.claim(&ClaimContext { world, now, what, purpose: &purpose }).await?;
        // If the read misses the other one, engines find both later.
        let records = collect(self.cloud.templates(&world.fleet.name)).await.items;
        let records: Vec<Record> = records.into_iter().filter_map(Template::record).collect();
        let own = records.iter().find(|found| found.id == claim.record);
        let is_new = |found: &&Record| world.records.iter().all(|known| known.id != found.id);
        let is_rival = |found: &&Record| found.is_wanted() && found.is_replacement_for(&record.id);
        let mut rivals = records.iter().filter(is_new).filter(is_rival);
        let Some(first) = rivals.find(|found| own.is_some_and(|own| order(found) < order(own))) else {
            return Ok(claim);
        };
        let termination = Termination { at: now, by: self.config.user.as_str().into() };
        let changes = TagChanges::terminate(&termination);
        if let Err(error) = self.retry(|| self.cloud.tag_record(&claim.record, &changes)).await {
            tracing::warn!(%error, "cannot give up the second reset of an environment; engines do");
        }
        Err(in_progress(what, first))
    }

    /// Switches to a usable database at once, so that it does not wait for an engine. Reads may lag the claim.
    async fn switch_now(&self, user: &Environment<'_>, policy: &Policy, claim: &Claim) -> bool {
        let (Some(from), Some(instance)) = (user.current, user.instance) else { return false };
        let (record, replacement) = (user.record.id.clone(), claim.record.clone());
        let switch = Switch { record, replacement, from, instance: instance.id.clone() };
        for _ in 0..MAX_TRIES {
            let result = self.switch_database(policy, &claim.environment.fleet, &switch).await;
            let (outcome, detail) = match &result {
                Ok(Switched::Done(database)) => (Outcome::Done, format!("to {database}")),
                // Nothing was changed.
                Ok(Switched::Skipped(_)) => (Outcome::Skipped, String::new()),
                Err(error) => (Outcome::of_error(error), error.to_string()),
            };
            if outcome != Outcome::Skipped {
                let (target, reason) = (user.id().to_string(), "requested a fresh database");
                self.log_request("switch-database", &target, reason, outcome, detail).await;
            }
            if outcome == Outcome::Done {
                return true;
            }
            self.clock.sleep(RETRY_DELAY).await;
        }
        false
    }
}

/// Whether the claimed database was usable when it was claimed.
fn is_usable(world: &World, claim: &Claim) -> bool {
    let mut databases = world.databases.iter();
    databases.any(|database| database.number == claim.environment.number && database.is_ready())
}

fn in_progress(what: &str, reset: &Record) -> Failure {
    let since = reset.created_at.format("%F %T UTC");
    let message = format!("{what}: a reset is in progress since {since}, requested by {}", reset.owner);
    Failure::new(Kind::Refused, message, "wait until it is done; see: hatchery ls")
}

fn check_resettable(
    user: &Environment<'_>,
    policy: &Policy,
    now: DateTime<Utc>,
    what: &str,
) -> Result<(), Failure> {
    let record = user.record;
    check_not_ending(record, policy, now, what)?;
    let refuse =
        |why: &str, hint: &str| Err(Failure::new(Kind::Refused, format!("{what}: {why}"), hint.to_owned()));
    if record.reaping_since.is_some() || lifecycle::is_over(record, policy, now) {
        let why = if record.failure.is_some() { "it has failed" } else { "it has expired" };
        return refuse(why, "keep it first with: hatchery extend");
    }
    let Some(instance) = user.instance.filter(|instance| instance.is_ready()) else {
        return refuse("it is not ready", "wait until it is; see: hatchery ls");
    };
    let Some(rollout) = &instance.rollout else {
        let why = "its bootstrap is too old to take another database";
        return refuse(why, "launch a new one");
    };
    if let Some(reset) = &user.reset {
        return Err(in_progress(what, reset.replacement));
    }
    if user.current.is_none() {
        let why = "which database it uses is unknown, because its tags were changed by hand";
        return refuse(why, "launch a new one");
    }
    let is_open = |at: DateTime<Utc>| rollout.request < at || rollout.state == RolloutState::Running;
    match &record.deployment {
        Some(last) if is_open(last.at) && now < last.at + DEPLOYMENT_LIMIT => {
            let since = last.at.format("%F %T UTC");
            let why = format!("a deployment is in progress since {since}, requested by {}", last.by);
            refuse(&why, "wait until it is done; see: hatchery ls")
        }
        _ => Ok(()),
    }
}
