//! Estimates of the progress and the remaining time of launches and restores, from the durations of earlier ones.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::database::{Database, StatusClass};
use super::environment::{Environment, EnvironmentState};
use super::instance::Phase;
use super::world::World;

/// The estimated progress of one launch or restore.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The elapsed part of the expected duration, from 0 to 0.97.
    pub ratio: f64,
    /// The expected remaining time; `None` once the expected duration has passed.
    pub remaining: Option<Duration>,
}

impl Progress {
    fn new(elapsed: Duration, expected: Duration) -> Self {
        let ratio = elapsed.as_secs_f64() / expected.as_secs_f64().max(1.0);
        Self {
            ratio: ratio.clamp(0.0, 0.97),
            remaining: expected.checked_sub(elapsed).filter(|left| !left.is_zero()),
        }
    }
}

/// The expected durations in a fleet: medians of its completed launches and restores, else the figures published for the original system.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// The time from launch to the start of each phase of [`Phase::PATH`].
    pub phases: [Duration; Phase::PATH.len()],
    /// The time from the request of a restore until the database is available.
    pub restore: Duration,
}

impl Default for Estimates {
    fn default() -> Self {
        Self { phases: [0, 26, 30, 90, 136, 240].map(Duration::from_secs), restore: Duration::from_mins(15) }
    }
}

impl Estimates {
    /// Returns the medians over the timelines of ready instances and over restored databases.
    #[must_use]
    pub fn learn(world: &World) -> Self {
        let mut estimates = Self::default();
        for (index, phase) in Phase::PATH.into_iter().enumerate() {
            let ready =
                world.instances.iter().filter(|instance| instance.timeline.contains_key(&Phase::Ready));
            if let Some(at) =
                median(ready.filter_map(|instance| instance.timeline.get(&phase).copied()).collect())
            {
                estimates.phases[index] = Duration::from_secs(at);
            }
        }
        let restores = world.databases.iter().filter_map(|database| Some(database.restore_time()?.as_secs()));
        if let Some(seconds) = median(restores.collect()) {
            estimates.restore = Duration::from_secs(seconds);
        }
        estimates
    }

    /// Returns the progress of an environment that is launching or starting.
    #[must_use]
    pub fn environment(&self, environment: &Environment<'_>, now: DateTime<Utc>) -> Option<Progress> {
        if !matches!(environment.state, EnvironmentState::Launching | EnvironmentState::Starting) {
            return None;
        }
        let total = self.phases[Phase::PATH.len() - 1];
        let elapsed = since(environment.record.created_at, now);
        let after_database = total.saturating_sub(self.phases[1]);
        // The bootstrap waits for the database in its second phase.
        let database = environment
            .database
            .and_then(|database| self.database(database, now))
            .map(|progress| progress.remaining.unwrap_or_default() + after_database);
        let bootstrap = environment.instance.map_or(total, |instance| {
            let phase = environment.phase().unwrap_or(Phase::Booting);
            let index = Phase::PATH.iter().position(|p| *p == phase).unwrap_or(0);
            let in_phase = since(instance.launched_at, now).saturating_sub(self.phases[index]);
            let phase_ends = self.phases.get(index + 1).copied().unwrap_or(total);
            let phase_left = phase_ends.saturating_sub(self.phases[index]).saturating_sub(in_phase);
            phase_left + total.saturating_sub(phase_ends)
        });
        let remaining = database.map_or(bootstrap, |database| database.max(bootstrap));
        Some(Progress::new(elapsed, elapsed + remaining))
    }

    /// Returns the progress of a database that is being created.
    #[must_use]
    pub fn database(&self, database: &Database, now: DateTime<Utc>) -> Option<Progress> {
        let pending = database.status_class() == StatusClass::Pending;
        let since = database.requested_at.filter(|_| pending).map(|at| since(at, now))?;
        Some(Progress::new(since, self.restore))
    }
}

fn since(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
