//! What is left of environments that are gone, or should be.

use chrono::{DateTime, Utc};

use super::work::is_overdue;
use crate::domain::world::World;

/// The numbers of resources that should not exist. Each is zero in a healthy fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leftovers {
    /// Resources without their counterpart, as marked by a sweep.
    pub orphans: usize,
    /// Records and databases whose tags do not say that they are the fleet's.
    pub unreadable: usize,
    /// Environments and retirements that should have ended.
    pub overdue: usize,
}

impl Leftovers {
    /// Counts the leftovers; `None` while a listing is incomplete.
    #[must_use]
    pub fn new(world: &World, now: DateTime<Utc>) -> Option<Self> {
        let policy = &world.fleet.policy;
        let marks = world.records.iter().map(|record| record.orphan_since);
        let marks = marks.chain(world.instances.iter().map(|instance| instance.orphan_since));
        let marks = marks.chain(world.databases.iter().map(|database| database.orphan_since));
        let overdue = world.records.iter().filter(|record| is_overdue(record, policy, now));
        world.is_complete().then(|| Self {
            orphans: marks.flatten().count(),
            unreadable: world.unreadable().count(),
            overdue: overdue.count(),
        })
    }

    #[must_use]
    pub fn total(&self) -> usize {
        self.orphans + self.unreadable + self.overdue
    }
}
