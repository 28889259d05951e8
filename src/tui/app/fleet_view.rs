//! The latest observation of the fleet. An incomplete listing does not replace an earlier complete one, so that rows do
//! not disappear while AWS throttles.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::history::PhaseTimes;
use crate::domain::progress::Estimates;
use crate::domain::{CloudError, ErrorClass, Listing, World};

/// The latest observation of the fleet, merged with earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct FleetView {
    /// For each listing the latest complete one, or the latest if none was complete.
    pub(crate) world: Arc<World>,
    /// The errors of the latest observation.
    pub(crate) problems: Vec<CloudError>,
    pub(crate) estimates: Estimates,
    pub(crate) phases: PhaseTimes,
    /// AWS's time at the latest response, and the engine's clock when it was observed.
    anchor: Option<(DateTime<Utc>, Duration)>,
}

impl FleetView {
    /// Merges an observation made at `clock` into the previous view.
    pub(crate) fn new(previous: Option<Self>, world: Arc<World>, clock: Duration) -> Self {
        let latest =
            [world.records.as_of, world.instances.as_of, world.databases.as_of].into_iter().flatten().max();
        let problems = world.problems().cloned().collect();
        let old_anchor = previous.as_ref().and_then(|view| view.anchor);
        // Responses that are not newer than the anchor would make AWS's time go back.
        let anchor = match (latest, old_anchor) {
            (Some(at), Some((old, _))) if at <= old => old_anchor,
            (Some(at), _) => Some((at, clock)),
            (None, _) => old_anchor,
        };
        let world = match previous {
            Some(previous) if !world.is_complete() => Arc::new(merge(&previous.world, &world)),
            _ => world,
        };
        Self { estimates: Estimates::learn(&world), phases: PhaseTimes::new(&world), world, problems, anchor }
    }

    /// Returns AWS's current time, extrapolated by the engine's clock.
    pub(crate) fn aws_now(&self, clock: Duration) -> Option<DateTime<Utc>> {
        let (at, then) = self.anchor?;
        Some(at + clock.saturating_sub(then))
    }

    /// Returns the age of the oldest listing.
    pub(crate) fn age(&self, clock: Duration) -> Option<Duration> {
        self.world.age(self.aws_now(clock)?)
    }

    /// Whether the first observation is still incomplete, without an error.
    pub(crate) fn is_loading(&self) -> bool {
        !self.world.is_complete() && self.problems.is_empty()
    }

    pub(crate) fn is_throttled(&self) -> bool {
        self.problems.iter().any(|problem| problem.is(ErrorClass::Throttled))
    }
}

fn merge(previous: &World, latest: &World) -> World {
    let mut world = latest.clone();
    keep_complete(&previous.records, &mut world.records);
    keep_complete(&previous.instances, &mut world.instances);
    keep_complete(&previous.databases, &mut world.databases);
    world
}

/// Replaces an incomplete listing by the previous complete one, with its age and the new problem.
fn keep_complete<T: Clone>(previous: &Listing<T>, latest: &mut Listing<T>) {
    if previous.complete && !latest.complete {
        *latest = Listing { problem: latest.problem.take(), ..previous.clone() };
    }
}
