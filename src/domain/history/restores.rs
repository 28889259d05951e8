//! How long restores took, and how many launches found a free database.

use std::collections::HashSet;
use std::time::Duration;

use super::free::leaving;
use super::log::AuditLog;
use crate::domain::audit::AuditEvent;
use crate::domain::launches::Launch;
use crate::domain::world::World;

/// The upper bounds of the histogram in minutes. Longer restores are in a last bar of their own.
const BOUNDS: [u64; 8] = [5, 10, 15, 20, 25, 30, 45, 60];

/// The durations of restores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restores {
    /// Ascending.
    sorted: Vec<Duration>,
}

impl Restores {
    fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { sorted: durations }
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Returns the duration that this percentage of the restores did not exceed (nearest rank); `None` if there are none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        percentile(&self.sorted, percent)
    }

    /// Returns the number of restores by duration, from the shortest to the longest that occurs, with the bounds in minutes. The upper bound of
    /// the longest is `None`.
    #[must_use]
    pub fn histogram(&self) -> Vec<(u64, Option<u64>, usize)> {
        let lower = std::iter::once(0).chain(BOUNDS);
        let upper = BOUNDS.into_iter().map(Some).chain([None]);
        let below = |minutes: u64| self.sorted.partition_point(|took| took.as_secs() < minutes * 60);
        let bars: Vec<_> = lower
            .zip(upper)
            .map(|(from, to)| (from, to, to.map_or(self.sorted.len(), below) - below(from)))
            .collect();
        let first = bars.iter().position(|(.., count)| *count > 0);
        let last = bars.iter().rposition(|(.., count)| *count > 0);
        first.zip(last).map(|(first, last)| bars[first..=last].to_vec()).unwrap_or_default()
    }
}

/// Returns the value at a percentage of ascending ones by nearest rank.
pub(super) fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Returns the durations of the restores that the log and the listings tell, each once.
#[must_use]
pub fn restores(log: &AuditLog, world: &World) -> Restores {
    let fleet = &world.fleet.name;
    let mut durations = Vec::new();
    let mut known = HashSet::new();
    for database in &world.databases {
        if let Some(took) = database.restore_time() {
            durations.push(took);
            known.insert((database.number, took.as_secs()));
        }
    }
    for event in log.events() {
        let Some(seconds) = event.restore_seconds else { continue };
        let number = leaving(event, fleet).map(|leaving| leaving.number);
        // A database that is listed has been counted. Another one may have had its number.
        if number.is_none_or(|number| !known.contains(&(number, seconds))) {
            durations.push(Duration::from_secs(seconds));
        }
    }
    Restores::new(durations)
}

/// The launches and resets by whether they found a usable database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hits {
    pub hits: usize,
    /// Those that had to wait for a restore.
    pub misses: usize,
}

impl Hits {
    #[must_use]
    pub fn total(&self) -> usize {
        self.hits + self.misses
    }

    /// Returns the hits in percent; `None` without launches.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn percent(&self) -> Option<f64> {
        (self.total() > 0).then(|| 100.0 * self.hits as f64 / self.total() as f64)
    }
}

/// Counts the successful launches and resets of events by whether they found a usable database.
#[must_use]
pub fn hits(events: &[AuditEvent]) -> Hits {
    let mut hits = Hits::default();
    for launch in events.iter().filter_map(Launch::parse) {
        *(if launch.restore.is_some() { &mut hits.hits } else { &mut hits.misses }) += 1;
    }
    hits
}
