//! What was seen of the fleet. A listing that fails midway never takes away what an earlier one had shown.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::progress::Estimates;
use crate::domain::{CloudError, ErrorClass, Listing, World};

/// The latest observation, as it is shown.
#[derive(Debug, Clone)]
pub struct FleetView {
    /// What is shown: of each listing the latest that was complete, else the latest.
    pub world: Arc<World>,
    /// What stood in the way the last time.
    pub problems: Vec<CloudError>,
    /// How long things take here.
    pub estimates: Estimates,
    /// AWS's clock at the latest answer, and the engine's at that moment.
    anchor: Option<(DateTime<Utc>, Duration)>,
}

impl FleetView {
    /// What is known after another observation.
    #[must_use]
    pub fn after(before: Option<Self>, world: Arc<World>, clock: Duration) -> Self {
        let latest =
            [world.records.as_of, world.instances.as_of, world.databases.as_of].into_iter().flatten().max();
        let problems = world.problems().cloned().collect();
        let old_anchor = before.as_ref().and_then(|seen| seen.anchor);
        // An answer that is as old as the one before says nothing new about the time.
        let anchor = match (latest, old_anchor) {
            (Some(at), Some((old, _))) if at <= old => old_anchor,
            (Some(at), _) => Some((at, clock)),
            (None, _) => old_anchor,
        };
        let world = match before {
            Some(before) if !world.is_complete() => Arc::new(merged(&before.world, &world)),
            _ => world,
        };
        Self { estimates: Estimates::learn(&world), world, problems, anchor }
    }

    /// AWS's clock now.
    #[must_use]
    pub fn aws_now(&self, clock: Duration) -> Option<DateTime<Utc>> {
        let (at, then) = self.anchor?;
        Some(at + clock.saturating_sub(then))
    }

    /// How old the oldest part of what is shown is.
    #[must_use]
    pub fn age(&self, clock: Duration) -> Option<Duration> {
        self.world.age(self.aws_now(clock)?)
    }

    /// Whether the first observation is still coming in.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        !self.world.is_complete() && self.problems.is_empty()
    }

    /// Whether AWS throttles.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.problems.iter().any(|problem| problem.is(ErrorClass::Throttled))
    }
}

fn merged(before: &World, now: &World) -> World {
    let mut world = now.clone();
    keep(&before.records, &mut world.records);
    keep(&before.instances, &mut world.instances);
    keep(&before.databases, &mut world.databases);
    world
}

fn keep<T: Clone>(before: &Listing<T>, now: &mut Listing<T>) {
    if before.complete && !now.complete {
        *now = Listing { problem: now.problem.take(), complete: false, ..before.clone() };
        // It stands as the last complete answer, with that answer's age.
        now.complete = true;
    }
}
