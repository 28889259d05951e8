//! How long the phases of a bootstrap take in a fleet, from the timelines of its ready instances.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::instance::Phase;
use crate::domain::world::World;

/// The phases that have a duration: all but the last one of [`Phase::PATH`].
const COUNT: usize = Phase::PATH.len() - 1;

/// With fewer other instances, nothing is called slow.
const MIN_OTHERS: usize = 3;

/// A phase is slow only if it took longer than the usual time by at least this, because short ones vary.
const MIN_EXCESS: u64 = 10;

/// The durations of each phase in seconds, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseTimes {
    sorted: [Vec<u64>; COUNT],
}

/// The usual duration of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseTime {
    pub p50: Duration,
    pub p95: Duration,
    /// The number of instances.
    pub count: usize,
}

impl PhaseTime {
    /// Whether a phase took longer than nearly all others, by more than chance.
    #[must_use]
    pub fn is_slow(&self, took: Duration) -> bool {
        let usual = self.p50 + Duration::from_secs(MIN_EXCESS);
        self.count >= MIN_OTHERS && took > self.p95 && took >= usual
    }
}

impl PhaseTimes {
    /// Collects the durations in the timelines of the ready instances.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let mut times = Self::default();
        let ready = world.instances.iter().filter(|instance| instance.timeline.contains_key(&Phase::Ready));
        for instance in ready {
            for (phase, took) in durations(&instance.timeline) {
                if let Some(index) = index(phase) {
                    times.sorted[index].push(took.as_secs());
                }
            }
        }
        times.sorted.iter_mut().for_each(|durations| durations.sort_unstable());
        times
    }

    /// Returns the usual duration of a phase on other instances than one that took `own`; `None` if there is no other.
    #[must_use]
    pub fn of_others(&self, phase: Phase, own: Option<Duration>) -> Option<PhaseTime> {
        let sorted = &self.sorted[index(phase)?];
        let own = own.and_then(|own| sorted.binary_search(&own.as_secs()).ok());
        let count = sorted.len() - usize::from(own.is_some());
        let at = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1) - 1;
            let rank = rank + usize::from(own.is_some_and(|own| rank >= own));
            sorted.get(rank).copied().map(Duration::from_secs)
        };
        Some(PhaseTime { p50: at(50)?, p95: at(95)?, count })
    }
}

fn index(phase: Phase) -> Option<usize> {
    Phase::PATH[..COUNT].iter().position(|found| *found == phase)
}

/// Returns the phases of a timeline that have ended, with their durations. A phase that the bootstrap left out is missing.
#[must_use]
pub fn durations(timeline: &BTreeMap<Phase, u64>) -> Vec<(Phase, Duration)> {
    let starts: Vec<_> =
        Phase::PATH.into_iter().filter_map(|phase| Some((phase, *timeline.get(&phase)?))).collect();
    let pairs = starts.iter().zip(starts.iter().skip(1));
    pairs
        .map(|((phase, start), (_, end))| (*phase, Duration::from_secs(end.saturating_sub(*start))))
        .collect()
}
