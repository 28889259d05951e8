//! Takes steps. Each re-reads its target before a destructive change, and a failed step does not stop the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _};

use super::fresh_read::FreshRead;
use super::plan::{self, Planned};
use super::step::{Orphan, Priority, Resource, Step, TerminationReason};
use super::{Engine, StepReport};
use crate::cloud::{Observed, Result};
use crate::domain::environment::is_instance_of;
use crate::domain::lifecycle::{self, Restore};
use crate::domain::policy::Setting;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, DatabaseId, EnvironmentId, ErrorClass, InstanceId, InstanceState, LastPass, LaunchFailure,
    NewRecord, Number, Outcome, Policy, Purpose, Record, RecordId, StatusClass, StepFailure, TagChanges,
    World,
};

mod deployment;
mod lost_tags;
mod notice;
mod replacement;
mod restores;
mod teardown;

/// How many steps of one priority run at the same time.
const MAX_IN_FLIGHT: usize = 8;

/// The outcome of a step that did not fail.
enum Completion {
    /// The change was made; the text has details and may be empty.
    Done(String),
    /// The change was no longer needed, for this reason.
    Skipped(String),
}

type StepResult = Result<Completion>;

impl Completion {
    fn done() -> Self {
        Self::Done(String::new())
    }

    fn skip(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    /// Converts the result of [`Engine::act_while_fresh`].
    fn from_fresh(result: Option<()>) -> Self {
        match result {
            Some(()) => Self::done(),
            None => Self::skip("the last read is too old; the next pass reads again"),
        }
    }
}

impl Engine {
    /// Takes steps in order: all steps of one priority, several at the same time, before any of the next priority.
    pub(super) async fn act(
        &self,
        world: &World,
        now: DateTime<Utc>,
        steps: &[&Planned],
        deadline: Option<Duration>,
    ) -> Vec<StepReport> {
        let policy = &world.fleet.policy;
        let actor = Actor {
            engine: self,
            world,
            policy,
            now,
            deadline,
            restores_ended: AtomicBool::new(false),
            notice_failed: AtomicBool::new(false),
        };
        let mut reports = Vec::with_capacity(steps.len());
        for group in steps.chunk_by(|a, b| a.step.priority() == b.step.priority()) {
            let in_flight = if actor.is_one_by_one(&group[0].step) { 1 } else { MAX_IN_FLIGHT };
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
    /// AWS's time of the observation.
    now: DateTime<Utc>,
    /// No step starts after this time of the engine's clock.
    deadline: Option<Duration>,
    /// Whether a restore for the pool was not made in this pass: AWS would refuse the next one too, or another engine restores as well.
    restores_ended: AtomicBool,
    /// Whether a notice has failed in this pass. The next one would most likely wait as long, and fail too.
    notice_failed: AtomicBool,
}

impl Actor<'_> {
    /// Whether the result of each such step decides whether the next one is taken: of restores for the pool, and of notices after one has failed.
    fn is_one_by_one(&self, step: &Step) -> bool {
        match step {
            Step::SendNotice(_) => self.world.fleet.failed_notice.is_some(),
            _ => step.priority() == Priority::Create,
        }
    }

    async fn report(&self, planned: &Planned) -> StepReport {
        let step = &planned.step;
        let is_late = self.deadline.is_some_and(|deadline| self.engine.clock.elapsed() >= deadline);
        let result = if is_late {
            Ok(Completion::skip("no time left; the next pass takes it"))
        } else {
            self.apply(step, &planned.reason).await
        };
        let is_news = self.trace(step, &result).await;
        let error = result.as_ref().err().map(|error| error.class);
        let (outcome, detail) = match result {
            Ok(Completion::Done(detail)) => (Outcome::Done, detail),
            Ok(Completion::Skipped(why)) => (Outcome::Skipped, why),
            Err(error) => (Outcome::of_error(&error), error.to_string()),
        };
        if outcome == Outcome::Failed {
            tracing::warn!(action = step.action(), target = step.target(), %outcome, detail, "step");
        } else {
            tracing::info!(action = step.action(), target = step.target(), %outcome, detail, "step");
        }
        StepReport {
            action: step.action(),
            target: step.target(),
            reason: planned.reason.clone(),
            outcome,
            detail,
            error,
            is_news,
        }
    }

    /// Writes the trace of a refused step for all engines, or removes it once the step succeeds. Returns whether the audit log needs the result.
    async fn trace(&self, step: &Step, result: &StepResult) -> bool {
        if let Step::SendNotice(_) = step {
            return self.trace_notice(result).await;
        }
        let Some(resource) = step.resource() else { return *step != Step::RecordPass };
        let earlier =
            plan::failures(self.world).find(|(found, _)| *found == resource).map(|(_, found)| found);
        let earlier = earlier.filter(|earlier| earlier.action == step.action());
        let (changes, is_news) = match result {
            Ok(Completion::Done(_)) if earlier.is_some() && !step.deletes_resource() => {
                (TagChanges::new().remove(key::FAILED_STEP), true)
            }
            Err(error) if StepFailure::is_shared(error.class) => {
                let failure = StepFailure::after(earlier, step.action(), error, self.now);
                let is_news = failure.is_news(earlier);
                let value = match &resource {
                    Resource::Database(_) => failure.to_database_tag(),
                    _ => failure.to_tag(),
                };
                (TagChanges::new().set(key::FAILED_STEP, value), is_news)
            }
            _ => return true,
        };
        let cloud = &self.engine.cloud;
        let written = match &resource {
            Resource::Fleet => cloud.tag_fleet(&self.world.fleet.template, &changes).await,
            Resource::Record(record) => cloud.tag_record(record, &changes).await,
            Resource::Instance(instance) => cloud.tag_instance(instance, &changes).await,
            Resource::Database(database) => cloud.tag_database(database, &changes).await,
        };
        if let Err(error) = written {
            // Without the trace, each engine waits on its own.
            tracing::warn!(action = step.action(), %error, "cannot write the trace of a step");
        }
        is_news
    }

    async fn apply(&self, step: &Step, reason: &str) -> StepResult {
        let cloud = &self.engine.cloud;
        match step {
            Step::ClaimDatabase { record: Some(record), environment } => {
                self.claim_database(record, environment).await
            }
            Step::ClaimDatabase { record: None, environment } => self.claim_used_database(environment).await,
            Step::CreateClaimed { record, environment, restore } => {
                self.create_claimed(record, environment, restore).await
            }
            Step::LaunchInstance { record, environment, attempt, .. } => {
                self.launch_instance(record, environment, *attempt).await
            }
            Step::RecordInstance { record, instance, .. } => {
                let changes = TagChanges::new().set(key::INSTANCE, instance.as_str());
                skip_if_gone(cloud.tag_record(record, &changes).await)
            }
            Step::MirrorExpiry { instance, expires_at, .. } => {
                skip_if_gone(cloud.tag_instance(instance, &TagChanges::expire_at(*expires_at)).await)
            }
            Step::SwitchDatabase { record, replacement, from, instance, .. } => {
                self.switch(record, replacement, *from, instance).await
            }
            Step::MirrorDeployment { record, environment, instance } => {
                self.mirror_deployment(record, environment, instance).await
            }
            Step::DeleteReplaced { record, environment } => self.delete_replaced(record, environment).await,
            Step::EndReplacement { record, reason: end, .. } => {
                self.end_replacement(record, *end, reason).await
            }
            Step::KeepReplacement { record, .. } => self.keep_replacement(record).await,
            Step::GiveUp { record, .. } => self.give_up(record, reason).await,
            Step::MarkReaping { record, .. } => self.mark_reaping(record).await,
            Step::UnmarkReaping { record, .. } => self.unmark_reaping(record).await,
            Step::Orphan { what, marked } => self.mark_orphan(what, *marked).await,
            Step::Unusable { database, marked } => {
                let changes = if *marked {
                    TagChanges::new().set_time(key::UNUSABLE_SINCE, self.now)
                } else {
                    TagChanges::new().remove(key::UNUSABLE_SINCE)
                };
                skip_if_gone(cloud.tag_database(database, &changes).await)
            }
            Step::NoteLoading { database } => {
                let changes = TagChanges::new().set_time(key::LOADING_SEEN, self.now);
                skip_if_gone(cloud.tag_database(database, &changes).await)
            }
            Step::StartDatabase { database } => skip_if_gone(cloud.start_database(database).await),
            Step::RestoreTags { what } => self.restore_tags(what).await,
            Step::TerminateInstance { environment, instance, reason } => {
                self.terminate_instance(environment, instance, reason).await
            }
            Step::DeleteDatabase { record, environment } => self.delete_database(record, environment).await,
            Step::DeleteRecord { record, environment } => self.delete_record(record, environment).await,
            Step::Retire { environment, status } => self.retire(environment, *status, reason).await,
            Step::CountFailedRestores { numbers } => {
                self.set_policy("restore-failures", |policy| {
                    let counted = &policy.restore_failures;
                    let new = numbers.difference(&counted.numbers);
                    let all = new.fold(counted.clone(), |all, number| all.with(*number, self.now));
                    (all != *counted).then(|| all.to_tag())
                })
                .await
            }
            Step::ResetFailedRestores => self.set_policy("restore-failures", |_| Some(String::new())).await,
            Step::CreateDatabase { .. } if self.restores_ended.load(Ordering::Relaxed) => {
                Ok(Completion::skip("the restore before it was not made"))
            }
            Step::CreateDatabase { number, restore, .. } => {
                let result = self.create_database(*number, restore).await;
                let is_done = matches!(result, Ok(Completion::Done(_)));
                self.restores_ended.fetch_or(!is_done, Ordering::Relaxed);
                result
            }
            // A read that lags can let two engines lower the hint for one pass. That repeats no number in use: records and databases count
            // too, and are fenced by the record's id.
            Step::RaiseNumberHint { number } => {
                self.set_policy("last-number", |policy| {
                    (policy.last_number < *number).then(|| number.to_string())
                })
                .await
            }
            Step::MarkPoolEmpty { marked } => self.mark_pool_empty(*marked).await,
            Step::SendNotice(notice) => self.send_notice(notice).await,
            Step::RecordPass => {
                let pass = LastPass { at: self.now, by: self.engine.config.host.as_str().into() };
                let changes = TagChanges::new().set(key::LAST_PASS, pass.to_tag());
                skip_if_gone(cloud.tag_fleet(&self.world.fleet.template, &changes).await)
            }
        }
    }

    async fn read_record(&self, record: &RecordId) -> Result<FreshRead<Option<Record>>> {
        self.engine.read_fresh(self.engine.cloud.record(&self.world.fleet.name, record)).await
    }

    async fn claim_database(&self, record: &RecordId, environment: &EnvironmentId) -> StepResult {
        if let Some(database) = self.world.databases.iter().find(|found| found.number == environment.number) {
            self.wait_for_claim(record, database).await;
        }
        let read = self.read_record(record).await?;
        if !read.value.as_ref().is_some_and(Record::is_wanted) {
            return Ok(Completion::skip("its environment is ending or gone"));
        }
        let changes = TagChanges::claim(environment, record);
        skip_if_gone(self.engine.cloud.tag_database(&environment.database_id(), &changes).await)
    }

    /// Claims a database without a record for the environment of an instance, which may have used it.
    async fn claim_used_database(&self, environment: &EnvironmentId) -> StepResult {
        let cloud = &self.engine.cloud;
        if cloud.find_record(environment).await?.value.is_some() {
            return Ok(Completion::skip("it has a record after all"));
        }
        let is_named =
            self.world.instances.iter().any(|instance| instance.database == Some(environment.number));
        if !is_named && cloud.instances_of(environment).await?.value.is_empty() {
            return Ok(Completion::skip("no instance has used it"));
        }
        let changes = TagChanges::new().set(key::ENVIRONMENT, environment.to_string());
        skip_if_gone(cloud.tag_database(&environment.database_id(), &changes).await)
    }

    /// Marks or unmarks an orphan. A record whose instance only lost its tags gets them back instead.
    async fn mark_orphan(&self, what: &Orphan, marked: bool) -> StepResult {
        let cloud = &self.engine.cloud;
        let changes = Orphan::changes(marked, self.now);
        skip_if_gone(match what {
            Orphan::Instance(id) => cloud.tag_instance(id, &changes).await,
            Orphan::Database(id) => cloud.tag_database(id, &changes).await,
            Orphan::Record(id, _) => {
                let Some(found) = self.read_record(id).await?.value else {
                    return Ok(Completion::skip("it is gone"));
                };
                if marked {
                    let named = cloud.instance_of(&found).await?.value;
                    if let Some(restored) = self.restore_lost_tags(&found, named.as_ref()).await? {
                        return Ok(restored);
                    }
                }
                cloud.tag_record(id, &changes).await
            }
        })
    }

    async fn launch_instance(
        &self,
        record: &RecordId,
        environment: &EnvironmentId,
        attempt: u32,
    ) -> StepResult {
        let read = self.read_record(record).await?;
        let Some(found) = read.value.filter(Record::is_wanted) else {
            return Ok(Completion::skip("its environment is ending or gone"));
        };
        if found.attempt != attempt || found.instance.is_some() {
            return Ok(Completion::skip("another engine has continued the launch"));
        }
        let outcome = self.engine.attempt(self.policy, environment, record, attempt, read.now).await?;
        Ok(Completion::Done(outcome.to_string()))
    }

    async fn mark_reaping(&self, record: &RecordId) -> StepResult {
        let read = self.read_record(record).await?;
        let (Some(found), Some(now)) = (&read.value, read.now) else {
            return Ok(Completion::skip("its record is gone, or the response has no time"));
        };
        if found.reaping_since.is_some() || !lifecycle::is_over(found, self.policy, now) {
            return Ok(Completion::skip("it is already marked, or was extended"));
        }
        let changes = TagChanges::reaping_since(now);
        let call = self.engine.cloud.tag_record(record, &changes);
        self.engine.act_while_fresh(&read, "CreateTags", call).await.map(Completion::from_fresh)
    }

    async fn unmark_reaping(&self, record: &RecordId) -> StepResult {
        let read = self.read_record(record).await?;
        let (Some(found), Some(now)) = (&read.value, read.now) else {
            return Ok(Completion::skip("its record is gone, or the response has no time"));
        };
        if found.reaping_since.is_none() || lifecycle::is_over(found, self.policy, now) {
            return Ok(Completion::skip("it is not marked, or has expired"));
        }
        let changes = TagChanges::new().remove(key::REAPING_SINCE);
        skip_if_gone(self.engine.cloud.tag_record(record, &changes).await)
    }

    /// Changes one setting of the fleet's policy to a value that depends on the current policy.
    async fn set_policy(&self, name: &str, value: impl FnOnce(&Policy) -> Option<String>) -> StepResult {
        let fleet = self.engine.cloud.fleet(&self.world.fleet.name).await?;
        let Some(fleet) = fleet else { return Ok(Completion::skip("the fleet is gone")) };
        let (Some(value), Some(setting)) = (value(&fleet.policy), Setting::find(name)) else {
            return Ok(Completion::skip("another engine changed it first"));
        };
        let changes = if value.is_empty() {
            TagChanges::new().remove(setting.tag)
        } else {
            TagChanges::new().set(setting.tag, value)
        };
        self.engine.cloud.tag_fleet(&fleet.template, &changes).await?;
        Ok(Completion::done())
    }
}

/// Skips a change of a resource that no longer exists.
fn skip_if_gone(result: Result<()>) -> StepResult {
    match result {
        Ok(()) => Ok(Completion::done()),
        Err(error) if error.is(ErrorClass::NotFound) => Ok(Completion::skip("it is gone")),
        Err(error) => Err(error),
    }
}
