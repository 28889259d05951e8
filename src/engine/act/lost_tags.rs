//! The steps that restore lost tags.

use super::{Actor, Completion, StepResult, skip_if_gone};
use crate::cloud::Result;
use crate::domain::{
    DatabaseId, ErrorClass, Instance, Record, RecordId, TagChanges, Unreadable, UnreadableKind,
};

impl Actor<'_> {
    /// Restores the tags of the instance that a record names, if it exists and has lost them.
    pub(super) async fn restore_lost_tags(
        &self,
        record: &Record,
        instance: Option<&Instance>,
    ) -> Result<Option<Completion>> {
        let has_lost = |instance: &&Instance| instance.lost_tags && !instance.state.is_ending();
        let Some(instance) = instance.filter(has_lost) else { return Ok(None) };
        self.engine.cloud.tag_instance(&instance.id, &record.instance_tags()).await?;
        Ok(Some(Completion::Done(format!("{} had lost its tags, and has them again", instance.id))))
    }

    pub(super) async fn restore_tags(&self, what: &Unreadable) -> StepResult {
        let (cloud, fleet) = (&self.engine.cloud, &self.world.fleet.name);
        let changes = TagChanges { set: what.lost.clone(), ..TagChanges::new() };
        let (record, database) = (RecordId::new(what.id.raw()), DatabaseId::new(what.id.raw()));
        let is_unreadable = match what.kind {
            UnreadableKind::Record => cloud.record(fleet, &record).await.err(),
            UnreadableKind::Database => cloud.database(fleet, what.number).await.err(),
        };
        match is_unreadable {
            Some(error) if error.is(ErrorClass::Unreadable) => {}
            Some(error) => return Err(error),
            None => return Ok(Completion::skip("it has its tags, or is gone")),
        }
        skip_if_gone(match what.kind {
            UnreadableKind::Record => cloud.tag_record(&record, &changes).await,
            UnreadableKind::Database => cloud.tag_database(&database, &changes).await,
        })
    }
}
