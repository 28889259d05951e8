//! Restores: of databases for the pool, and of those for launches that found the pool empty.

use chrono::{DateTime, Utc};

use super::{
    Actor, Completion, EnvironmentId, ErrorClass, Number, Observed, Record, RecordId, Restore, Result,
    StepResult, plan,
};
use crate::domain::Database;
use crate::engine::fresh_read::{CREATE_TTL, FreshRead};
use crate::engine::launch::CROWD_DELAY;

/// How many unused numbers before a new one may belong to databases that other engines have just restored and that the listing does not show yet.
const MAX_UNLISTED: usize = 4;

impl Actor<'_> {
    pub(super) async fn create_claimed(
        &self,
        record: &RecordId,
        environment: &EnvironmentId,
        restore: &Restore,
    ) -> StepResult {
        let read = self.read_record(record).await?;
        if !read.value.as_ref().is_some_and(Record::is_wanted) {
            return Ok(Completion::skip("its environment is ending or gone"));
        }
        let claim = (environment.clone(), record.clone());
        self.restore(&read, environment.number, Some(&claim), restore, read.now).await
    }

    async fn restore<T>(
        &self,
        read: &FreshRead<T>,
        number: Number,
        claim: Option<&(EnvironmentId, RecordId)>,
        restore: &Restore,
        now: Option<DateTime<Utc>>,
    ) -> StepResult {
        // The observation may be older than it seems, because a call can hang for hours.
        let now = now.unwrap_or(self.now);
        let call = self.engine.restore_database(&self.world.fleet, number, claim, restore, now);
        let result = self.engine.act_within(CREATE_TTL, read, "RestoreDBInstanceFromDBSnapshot", call).await;
        match result {
            Ok(Some(zone)) => Ok(Completion::Done(format!("from {} in {zone}", restore.snapshot.id))),
            Ok(None) => Ok(Completion::from_fresh(None)),
            Err(error) if error.is(ErrorClass::AlreadyExists) => {
                Ok(Completion::skip("another engine created it first"))
            }
            Err(error) => Err(error),
        }
    }

    /// Restores a database for the pool. Each engine takes the numbers in order and stops at the first one that it does not get, so engines that
    /// restore at the same time meet at the lowest number, and the one with the highest number sees the others near `max-databases`.
    pub(super) async fn create_database(&self, number: Number, restore: &Restore) -> StepResult {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        // Re-read `last-number`: after a suspend the listing is stale, and the number may have been used and released meanwhile.
        let current_fleet = async { Ok(Observed { value: cloud.fleet(fleet).await?, as_of: None }) };
        let (found, read) = self.engine.read_fresh(current_fleet).await?.split();
        let Some(policy) = found.map(|found| found.policy).filter(|policy| policy.last_number < number)
        else {
            return Ok(Completion::skip("its number was used meanwhile, or the fleet is gone"));
        };
        let mut used = plan::used_numbers(self.world);
        used.extend(self.engine.recent_restores.numbers(self.engine.clock.elapsed()));
        let room = (policy.max_databases as usize).saturating_sub(used.len());
        if room == 0 {
            return Ok(Completion::skip("max-databases is reached by restores that are not listed yet"));
        }
        if let Some(misread) = self.engine.misread(self.world).await?.first() {
            let missed = format!("the listing has missed the tags of number {misread}");
            return Ok(Completion::skip(format!("{missed}; the next pass looks again")));
        }
        let previous = Number(number.0.saturating_sub(1));
        let lower = (1..number.0).rev().map(Number);
        let mut unlisted: Vec<_> = lower.filter(|lower| !used.contains(lower)).take(MAX_UNLISTED).collect();
        if unlisted.len() >= room {
            // They may need the whole room, and a read may not show them yet.
            self.engine.clock.sleep(CROWD_DELAY).await;
        } else {
            unlisted.retain(|lower| *lower == previous);
        }
        let restored = self.restored(&unlisted).await?;
        if restored.len() >= room {
            return Ok(Completion::skip("max-databases is reached by restores that are not listed yet"));
        }
        // Two engines that see the same lack restore one database, not two.
        if restored.iter().any(|found| found.number == previous && found.environment.is_none()) {
            return Ok(Completion::skip("another engine has just created one"));
        }
        let seen = cloud.database(fleet, number).await?;
        if seen.value.is_some() {
            return Ok(Completion::skip("another engine created it first"));
        }
        self.restore(&read, number, None, restore, seen.as_of).await
    }

    /// Reads databases by their numbers. One that does not exist or is not the fleet's is left out.
    async fn restored(&self, numbers: &[Number]) -> Result<Vec<Database>> {
        let fleet = &self.world.fleet.name;
        let reads = numbers.iter().map(|number| self.engine.cloud.database(fleet, *number));
        let found = futures::future::join_all(reads).await.into_iter().map(|read| match read {
            Err(error) if error.is(ErrorClass::Unreadable) => Ok(None),
            read => read.map(|read| read.value),
        });
        found.filter_map(Result::transpose).collect()
    }
}
