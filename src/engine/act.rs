//! Taking steps. Each looks again right before it changes anything; one that fails never stops the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _};

use super::fresh_read::{CREATE_TTL, FreshRead};
use super::plan::{self, Planned};
use super::step::{Orphan, Priority, Restore, Step, TerminationReason};
use super::{Engine, StepReport};
use crate::cloud::{Observed, Result};
use crate::domain::environment::is_instance_of;
use crate::domain::policy::Setting;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, DatabaseId, EnvironmentId, ErrorClass, InstanceId, InstanceState, LaunchFailure, NewRecord,
    Number, Outcome, Policy, Purpose, Record, RecordId, StatusClass, TagChanges, World,
};

mod teardown;

/// How many steps of one rank are on the wire at once.
const IN_FLIGHT: usize = 8;

/// What became of a step: `Ok` with what else there is to say, or why it was not taken after all.
type Acted = Result<Done>;

enum Done {
    Yes(String),
    Skipped(String),
}

impl Done {
    fn plainly() -> Self {
        Self::Yes(String::new())
    }

    fn skip(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    /// What [`Engine::act_while_fresh`] gave.
    fn from_fresh(held: Option<()>) -> Self {
        match held {
            Some(()) => Self::plainly(),
            None => Self::skip("the last look had grown too old; it is looked at again"),
        }
    }
}

impl Engine {
    /// Takes steps in order: all of one rank, several at once, before any of the next.
    pub(super) async fn act(&self, world: &World, now: DateTime<Utc>, steps: &[&Planned]) -> Vec<StepReport> {
        let actor =
            Actor { engine: self, world, policy: &world.fleet.policy, now, created: Mutex::default() };
        let mut reports = Vec::with_capacity(steps.len());
        for group in steps.chunk_by(|a, b| a.step.priority() == b.step.priority()) {
            // The pool's creates take numbers in turn, and each tells whether the next is still wanted.
            let in_flight = if group[0].step.priority() == Priority::Create { 1 } else { IN_FLIGHT };
            let taken: Vec<_> = group.iter().map(|planned| actor.report(planned).boxed()).collect();
            reports.extend(futures::stream::iter(taken).buffered(in_flight).collect::<Vec<_>>().await);
        }
        reports
    }
}

struct Actor<'a> {
    engine: &'a Engine,
    world: &'a World,
    policy: &'a Policy,
    now: DateTime<Utc>,
    /// The last database that it has created for the pool.
    created: Mutex<Option<Number>>,
}

impl Actor<'_> {
    async fn report(&self, planned: &Planned) -> StepReport {
        let step = &planned.step;
        let (outcome, detail) = match self.apply(step, &planned.reason).await {
            Ok(Done::Yes(detail)) => (Outcome::Done, detail),
            Ok(Done::Skipped(why)) => (Outcome::Skipped, why),
            Err(error) if error.is(ErrorClass::Unknown) => (Outcome::Unknown, error.to_string()),
            Err(error) => (Outcome::Failed, error.to_string()),
        };
        tracing::info!(action = step.action(), target = step.target(), %outcome, detail, "step");
        StepReport {
            action: step.action(),
            target: step.target(),
            reason: planned.reason.clone(),
            outcome,
            detail,
        }
    }

    async fn apply(&self, step: &Step, reason: &str) -> Acted {
        let cloud = &self.engine.cloud;
        match step {
            Step::ClaimDatabase { record, environment } => self.claim_database(record, environment).await,
            Step::CreateClaimed { record, environment, restore } => {
                self.create_claimed(record, environment, restore).await
            }
            Step::LaunchInstance { record, environment, attempt, .. } => {
                self.launch_instance(record, environment, *attempt).await
            }
            Step::RecordInstance { record, instance, .. } => {
                let changes = TagChanges::new().set(key::INSTANCE, instance.as_str());
                gone_is_fine(cloud.tag_record(record, &changes).await)
            }
            Step::MirrorExpiry { instance, expires_at, .. } => {
                gone_is_fine(cloud.tag_instance(instance, &TagChanges::expire_at(*expires_at)).await)
            }
            Step::GiveUp { record, .. } => self.give_up(record, reason).await,
            Step::MarkReaping { record, .. } => self.mark_reaping(record).await,
            Step::UnmarkReaping { record, .. } => self.unmark_reaping(record).await,
            Step::Orphan { what, marked } => {
                let changes = Orphan::changes(*marked, self.now);
                gone_is_fine(match what {
                    Orphan::Instance(id) => cloud.tag_instance(id, &changes).await,
                    Orphan::Database(id) => cloud.tag_database(id, &changes).await,
                    Orphan::Record(id, _) => cloud.tag_record(id, &changes).await,
                })
            }
            Step::TerminateInstance { environment, instance, reason } => {
                self.terminate_instance(environment, instance, reason).await
            }
            Step::DeleteDatabase { record, environment } => self.delete_database(record, environment).await,
            Step::DeleteRecord { record, environment } => self.delete_record(record, environment).await,
            Step::Retire { environment } => self.retire(environment, reason).await,
            Step::CountFailedRestore { number } => {
                self.set_policy("restore-failures", |policy| {
                    let counted = &policy.restore_failures;
                    (!counted.numbers.contains(number)).then(|| counted.and(*number, self.now).to_tag())
                })
                .await
            }
            Step::ResetFailedRestores => self.set_policy("restore-failures", |_| Some(String::new())).await,
            Step::CreateDatabase { number, restore, .. } => self.create_database(*number, restore).await,
            Step::RaiseNumberHint { number } => {
                self.set_policy("last-number", |policy| {
                    (policy.last_number < *number).then(|| number.to_string())
                })
                .await
            }
        }
    }

    async fn read_record(&self, record: &RecordId) -> Result<FreshRead<Option<Record>>> {
        self.engine.read_fresh(self.engine.cloud.record(&self.world.fleet.name, record)).await
    }

    async fn claim_database(&self, record: &RecordId, environment: &EnvironmentId) -> Acted {
        let look = self.read_record(record).await?;
        if !look.value.as_ref().is_some_and(Record::is_wanted) {
            return Ok(Done::skip("its record is not wanted any more"));
        }
        let changes = TagChanges::new().set(key::ENVIRONMENT, environment.to_string());
        gone_is_fine(self.engine.cloud.tag_database(&environment.database_id(), &changes).await)
    }

    async fn create_claimed(
        &self,
        record: &RecordId,
        environment: &EnvironmentId,
        restore: &Restore,
    ) -> Acted {
        let look = self.read_record(record).await?;
        if !look.value.as_ref().is_some_and(Record::is_wanted) {
            return Ok(Done::skip("its record is not wanted any more"));
        }
        self.restore(&look, environment.number, Some(environment.clone()), restore).await
    }

    async fn restore<L>(
        &self,
        look: &FreshRead<L>,
        number: Number,
        environment: Option<EnvironmentId>,
        restore: &Restore,
    ) -> Acted {
        let new = restore.database(&self.world.fleet, number, environment, self.now);
        let call = self.engine.cloud.create_database(&new);
        let held = self.engine.act_within(CREATE_TTL, look, "RestoreDBInstanceFromDBSnapshot", call).await;
        match held {
            Ok(Some(())) => Ok(Done::Yes(format!("from {}", restore.snapshot.id))),
            Ok(None) => Ok(Done::from_fresh(None)),
            Err(error) if error.is(ErrorClass::AlreadyExists) => Ok(Done::skip("somebody else was first")),
            Err(error) => Err(error),
        }
    }

    async fn create_database(&self, number: Number, restore: &Restore) -> Acted {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        // Whoever slept since the listing would bring a number back that has been used and is gone.
        let fleet_now = async { Ok(Observed { value: cloud.fleet(fleet).await?, as_of: None }) };
        let (found, look) = self.engine.read_fresh(fleet_now).await?.split();
        if found.is_none_or(|found| found.policy.last_number >= number) {
            return Ok(Done::skip("its number was given out meanwhile, or the fleet is gone"));
        }
        // A number that was given out and is not to be seen is most likely a database that another engine has just
        // asked for.
        let before = Number(number.0.saturating_sub(1));
        let known = self.world.databases.iter().any(|database| database.number == before);
        if !known && *self.created() != Some(before) {
            let seen = cloud.database(fleet, before).await?;
            if seen.value.is_some_and(|database| database.environment.is_none()) {
                return Ok(Done::skip("another engine has just created one"));
            }
        }
        let done = self.restore(&look, number, None, restore).await?;
        if matches!(done, Done::Yes(_)) {
            *self.created() = Some(number);
        }
        Ok(done)
    }

    fn created(&self) -> MutexGuard<'_, Option<Number>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn launch_instance(&self, record: &RecordId, environment: &EnvironmentId, attempt: u32) -> Acted {
        let look = self.read_record(record).await?;
        let Some(found) = look.value.filter(Record::is_wanted) else {
            return Ok(Done::skip("its record is not wanted any more"));
        };
        if found.attempt != attempt || found.instance.is_some() {
            return Ok(Done::skip("another engine has gone on with it"));
        }
        let attempted = self.engine.attempt(self.policy, environment, record, attempt, look.now).await?;
        Ok(Done::Yes(attempted.to_string()))
    }

    async fn give_up(&self, record: &RecordId, reason: &str) -> Acted {
        let fleet = &self.world.fleet.name;
        let look = self.read_record(record).await?;
        let Some(found) = look.value.filter(Record::is_wanted) else {
            return Ok(Done::skip("its record is not wanted any more"));
        };
        let instances = self.engine.cloud.instances_of(&found.environment).await?.value;
        let alive =
            instances.iter().any(|instance| is_instance_of(instance, &found) && !instance.state.is_ending());
        let database = self.engine.cloud.database(fleet, found.number()).await?.value;
        let usable = database.is_some_and(|database| database.status_class() != StatusClass::Failed);
        if alive && usable {
            return Ok(Done::skip("everything of it is there after all"));
        }
        let failure = LaunchFailure { at: look.now.unwrap_or(self.now), reason: reason.to_owned() };
        gone_is_fine(self.engine.cloud.tag_record(record, &TagChanges::fail(&failure)).await)
    }

    async fn mark_reaping(&self, record: &RecordId) -> Acted {
        let look = self.read_record(record).await?;
        let (Some(found), Some(now)) = (&look.value, look.now) else {
            return Ok(Done::skip("its record is gone, or AWS did not say what time it is"));
        };
        if found.reaping_since.is_some() || !plan::is_over(found, self.policy, now) {
            return Ok(Done::skip("it was marked already, or extended"));
        }
        let changes = TagChanges::reaping_since(now);
        let call = self.engine.cloud.tag_record(record, &changes);
        self.engine.act_while_fresh(&look, "CreateTags", call).await.map(Done::from_fresh)
    }

    async fn unmark_reaping(&self, record: &RecordId) -> Acted {
        let look = self.read_record(record).await?;
        let (Some(found), Some(now)) = (&look.value, look.now) else {
            return Ok(Done::skip("its record is gone, or AWS did not say what time it is"));
        };
        if found.reaping_since.is_none() || plan::is_over(found, self.policy, now) {
            return Ok(Done::skip("it is not marked, or its time is over"));
        }
        let changes = TagChanges::new().remove(key::REAPING_SINCE);
        gone_is_fine(self.engine.cloud.tag_record(record, &changes).await)
    }

    /// Changes one setting of the fleet, judged by the fleet as it is now.
    async fn set_policy(&self, name: &str, value: impl FnOnce(&Policy) -> Option<String>) -> Acted {
        let fleet = self.engine.cloud.fleet(&self.world.fleet.name).await?;
        let Some(fleet) = fleet else { return Ok(Done::skip("the fleet is gone")) };
        let (Some(value), Some(setting)) = (value(&fleet.policy), Setting::find(name)) else {
            return Ok(Done::skip("another engine was first"));
        };
        let changes = if value.is_empty() {
            TagChanges::new().remove(setting.tag)
        } else {
            TagChanges::new().set(setting.tag, value)
        };
        self.engine.cloud.tag_fleet(&fleet.template, &changes).await?;
        Ok(Done::plainly())
    }
}

/// What a change of something means that is not there any more.
fn gone_is_fine(result: Result<()>) -> Acted {
    match result {
        Ok(()) => Ok(Done::plainly()),
        Err(error) if error.is(ErrorClass::NotFound) => Ok(Done::skip("it is gone")),
        Err(error) => Err(error),
    }
}
