//! The orphans' part of the plan: instances and claimed databases without a record.

use chrono::{DateTime, Utc};

use super::planner::{ORPHAN_AFTER, Planner};
use crate::domain::environment::{ByNumber, is_instance_of};
use crate::domain::{Record, StatusClass, UnreadableKind};
use crate::engine::step::{Orphan, Step, TerminationReason};

pub(super) fn plan(planner: &mut Planner<'_>) {
    planner.orphans();
}

impl Planner<'_> {
    /// Restores lost tags, marks instances and claimed databases without a record, and removes them in a later sweep.
    fn orphans(&mut self) {
        if !self.world.is_complete() {
            return;
        }
        for what in self.world.unreadable() {
            if what.is_ours() {
                self.push(Step::RestoreTags { what: what.clone() }, "it has lost the tags of the fleet");
            } else {
                let reason = "its name is the fleet's and its tags are not, so its number is not used";
                self.refuse("restore-tags", what.id.to_string(), reason);
            }
        }
        let unreadable = self.world.unreadable_numbers(UnreadableKind::Record);
        let mut instances: Vec<_> = self.world.instances.iter().collect();
        instances.sort_by_key(|instance| instance.environment.number);
        let mut records = ByNumber::new(self.world.records.iter(), Record::number);
        for instance in instances.into_iter().filter(|instance| !instance.state.is_ending()) {
            let number = instance.environment.number;
            let owned = records.next(number).iter().any(|record| is_instance_of(instance, record))
                || unreadable.contains(&number);
            let what = Orphan::Instance(instance.id.clone());
            let old = self.is_older(instance.launched_at, ORPHAN_AFTER);
            if self.orphan(what, owned, instance.orphan_since, old, "it has no record") {
                let step = Step::TerminateInstance {
                    environment: instance.environment.clone(),
                    instance: instance.id.clone(),
                    reason: TerminationReason::Orphan,
                };
                self.push(step, "it has had no record for ten minutes");
            }
        }
        let mut databases: Vec<_> = self.world.databases.iter().collect();
        databases.sort_by_key(|database| database.number);
        let mut records = ByNumber::new(self.world.records.iter(), Record::number);
        let mut instances =
            ByNumber::new(self.world.instances.iter(), |instance| instance.environment.number);
        for database in databases {
            let claimed = !records.next(database.number).is_empty()
                || unreadable.contains(&database.number)
                || (database.environment.is_some() && self.is_named(database.number));
            let may_be_used =
                !instances.next(database.number).is_empty() || self.named.contains(&database.number);
            let owned = database.environment.is_none() || claimed;
            if database.status_class() == StatusClass::Deleting {
                continue;
            }
            let environment = self.environment(database.number);
            if !claimed && may_be_used && database.environment.is_none() {
                let step = Step::ClaimDatabase { record: None, environment };
                self.push(step, "it has no record, and an instance may have used it");
                continue;
            }
            let what = Orphan::Database(database.id.clone());
            let old = database.since().is_none_or(|since| self.is_older(since, ORPHAN_AFTER));
            if self.orphan(what, owned, database.orphan_since, old, "it is claimed but has no record") {
                let step = Step::Retire { environment, status: database.status_class() };
                self.push(step, "it is claimed but has had no record for ten minutes");
            }
        }
    }

    /// Marks or unmarks an orphan. Returns whether the mark is old enough to act on.
    fn orphan(
        &mut self,
        what: Orphan,
        owned: bool,
        since: Option<DateTime<Utc>>,
        old: bool,
        reason: &str,
    ) -> bool {
        match since {
            Some(_) if owned => self.push(Step::Orphan { what, marked: false }, "its record is back"),
            Some(since) => return self.is_older(since, ORPHAN_AFTER),
            None if !owned && old => self.push(Step::Orphan { what, marked: true }, reason),
            None => {}
        }
        false
    }
}
