//! The steps about notices. A notice is sent by the engine that creates its claim, a name that exists once in the fleet.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Actor, Completion, StepResult, skip_if_gone};
use crate::cloud::{Observed, Result};
use crate::domain::notice::{NextClaim, PoolEmpty, claim_name, failed_name, sent_name};
use crate::domain::tags::key;
use crate::domain::{
    CloudError, Destination, ErrorClass, Fleet, Message, Notice, Record, StepFailure, TagChanges,
};
use crate::engine::fresh_read::FreshRead;
use crate::engine::step::SEND_NOTICE;

/// How long after the re-read an engine may send. Together with the time that the result takes to be recorded, it is less than the time
/// after which another engine takes over.
const SEND_TTL: Duration = Duration::from_mins(1);

/// The action in the trace of an engine without permission, which is no reason for others to wait.
const DENIED: &str = "permit-notice";

/// The right to send a notice.
enum Turn {
    Mine(String),
    Sent,
    NotMine,
}

impl Actor<'_> {
    pub(super) async fn send_notice(&self, notice: &Notice) -> StepResult {
        let Some(destination) = &self.policy.notify else {
            return Ok(Completion::skip("the policy has no notify"));
        };
        if self.notice_failed.load(Ordering::Relaxed) {
            return Ok(Completion::skip("another notice has just failed"));
        }
        let (due, read) = self.read_due(notice).await?.split();
        let now = read.now.unwrap_or(self.now);
        let Some(note) = due else {
            return Ok(Completion::skip("it was sent, or there is nothing to tell any more"));
        };
        let result = match self.claim_notice(notice, now).await? {
            Turn::Mine(claim) => self.send_claimed(notice, &claim, destination, &read).await,
            Turn::Sent => Ok(Completion::skip("another engine has sent it")),
            Turn::NotMine => return Ok(Completion::skip("another engine sends it")),
        };
        if result.is_ok() {
            self.remember(notice, note).await;
        }
        self.notice_failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    }

    /// Reads again whether the notice is due. If so, returns the change that remembers it.
    async fn read_due(&self, notice: &Notice) -> Result<FreshRead<Option<TagChanges>>> {
        if let Some((record, _)) = &notice.of {
            let (found, read) = self.read_record(record).await?.split();
            let now = read.now.unwrap_or(self.now);
            let due = found.filter(|record| notice.is_due(record, now));
            let note = |record: Record| TagChanges::new().set(key::NOTIFIED, notice.note(&record.notified));
            return Ok(read.with(due.map(note)));
        }
        let (found, read) = self.read_fleet().await?.split();
        let empty = found.and_then(|fleet| fleet.pool_empty);
        let due = empty.filter(|empty| Some(empty.since) == notice.episode && !empty.is_told);
        let told = |empty| PoolEmpty { is_told: true, ..empty }.to_tag();
        Ok(read.with(due.map(|empty| TagChanges::new().set(key::POOL_EMPTY, told(empty)))))
    }

    async fn read_fleet(&self) -> Result<FreshRead<Option<Fleet>>> {
        let fleet = async {
            Ok(Observed { value: self.engine.cloud.fleet(&self.world.fleet.name).await?, as_of: None })
        };
        self.engine.read_fresh(fleet).await
    }

    async fn claim_notice(&self, notice: &Notice, now: DateTime<Utc>) -> Result<Turn> {
        let (cloud, fleet, name) = (&self.engine.cloud, &self.world.fleet.name, notice.name());
        let mut claim = claim_name(&name, 1);
        match cloud.claim_notice(fleet, &claim).await {
            Ok(()) => return Ok(Turn::Mine(claim)),
            Err(error) if error.is(ErrorClass::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
        let claims = cloud.notice_claims(fleet, &name).await?;
        claim = match NextClaim::new(&name, &claims.value, claims.as_of.unwrap_or(now)) {
            NextClaim::Sent => return Ok(Turn::Sent),
            NextClaim::Wait => return Ok(Turn::NotMine),
            NextClaim::Claim(attempt) => claim_name(&name, attempt),
        };
        match cloud.claim_notice(fleet, &claim).await {
            Ok(()) => Ok(Turn::Mine(claim)),
            Err(error) if error.is(ErrorClass::AlreadyExists) => Ok(Turn::NotMine),
            Err(error) => Err(error),
        }
    }

    async fn send_claimed(
        &self,
        notice: &Notice,
        claim: &str,
        destination: &Destination,
        read: &FreshRead<()>,
    ) -> StepResult {
        let message = Message {
            id: notice.name(),
            event: notice.kind.as_str(),
            fleet: self.world.fleet.name.to_string(),
            title: notice.title.clone(),
            text: notice.text.clone(),
        };
        let call = self.engine.cloud.send_notice(destination, &message);
        match self.engine.act_within(SEND_TTL, read, "SendNotice", call).await {
            Ok(Some(())) => {
                self.record_result(&sent_name(claim)).await;
                Ok(Completion::done())
            }
            Ok(None) => {
                self.record_result(&failed_name(claim)).await;
                Ok(Completion::from_fresh(None))
            }
            // It may have been sent, so other engines wait before they repeat it.
            Err(error) if error.is(ErrorClass::Unknown) => Err(error),
            Err(error) => {
                self.record_result(&failed_name(claim)).await;
                Err(error)
            }
        }
    }

    /// Records the result of a claim. Without it, another engine may send the notice again.
    async fn record_result(&self, name: &str) {
        let write = || async {
            match self.engine.cloud.claim_notice(&self.world.fleet.name, name).await {
                Err(error) if error.is(ErrorClass::AlreadyExists) => Ok(()),
                written => written,
            }
        };
        if let Err(error) = self.engine.retry(write).await {
            tracing::warn!(name, %error, "cannot record the result of a notice");
        }
    }

    /// Remembers a notice in a tag, which saves other engines the read of its claims.
    async fn remember(&self, notice: &Notice, changes: TagChanges) {
        let cloud = &self.engine.cloud;
        let written = match &notice.of {
            Some((record, _)) => cloud.tag_record(record, &changes).await,
            None => cloud.tag_fleet(&self.world.fleet.template, &changes).await,
        };
        if let Err(error) = written {
            tracing::warn!(name = notice.name(), %error, "cannot remember a notice");
        }
    }

    /// Marks or unmarks the fleet's pool as empty.
    pub(super) async fn mark_pool_empty(&self, marked: bool) -> StepResult {
        let (found, read) = self.read_fleet().await?.split();
        let Some(fleet) = found.filter(|fleet| fleet.pool_empty.is_some() != marked) else {
            return Ok(Completion::skip("another engine did it first, or the fleet is gone"));
        };
        let changes = if marked {
            TagChanges::new().set(key::POOL_EMPTY, PoolEmpty { since: self.now, is_told: false }.to_tag())
        } else {
            TagChanges::new().remove(key::POOL_EMPTY)
        };
        let call = self.engine.cloud.tag_fleet(&fleet.template, &changes);
        match self.engine.act_while_fresh(&read, "CreateTags", call).await {
            Ok(done) => Ok(Completion::from_fresh(done)),
            Err(error) => skip_if_gone(Err(error)),
        }
    }

    /// Writes the trace of a failed notice on the fleet, or removes it once a notice is sent. Returns whether the audit log needs the result.
    pub(super) async fn trace_notice(&self, result: &StepResult) -> bool {
        let fleet = &self.world.fleet;
        let earlier = fleet.failed_notice.as_ref();
        let (changes, is_news) = match result {
            Ok(Completion::Done(_)) if earlier.is_some() => {
                (TagChanges::new().remove(key::FAILED_NOTICE), true)
            }
            Err(error) => {
                let Some((failure, is_news)) = notice_failure(earlier, error, self.now) else { return true };
                // It may have been sent.
                let is_news = is_news || error.is(ErrorClass::Unknown);
                (TagChanges::new().set(key::FAILED_NOTICE, failure.to_tag()), is_news)
            }
            Ok(_) => return true,
        };
        if let Err(error) = self.engine.cloud.tag_fleet(&fleet.template, &changes).await {
            tracing::warn!(action = SEND_NOTICE, %error, "cannot write the trace of a notice");
        }
        is_news
    }
}

/// Returns the trace of a failed notice, and whether it is news. Missing permissions are those of one caller: their trace is for people only, and
/// no other one makes room for it.
fn notice_failure(
    earlier: Option<&StepFailure>,
    error: &CloudError,
    now: DateTime<Utc>,
) -> Option<(StepFailure, bool)> {
    let is_denied = error.is(ErrorClass::Auth);
    if is_denied && earlier.is_some_and(|earlier| earlier.is_current(now)) {
        return None;
    }
    let action = if is_denied { DENIED } else { SEND_NOTICE };
    let earlier = earlier.filter(|earlier| earlier.action == action);
    let failure = StepFailure::after(earlier, action, error, now);
    let is_news = failure.is_news(earlier);
    Some((failure, is_news))
}
