//! How far something has come and how long it will still take, learnt from what the fleet has seen.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::database::{Database, StatusClass};
use super::environment::{Environment, EnvironmentState};
use super::instance::Phase;
use super::world::World;

/// An estimate of one thing that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// How much of the expected time has passed, 0 to 1; it stays below 1 until the thing is done.
    pub ratio: f64,
    /// What is expected to remain; `None` once it takes longer than expected.
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

/// How long things take in this fleet: medians of what it has seen, else published figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimates {
    /// Time from launch to the beginning of each phase of [`Phase::PATH`].
    pub phases: [Duration; Phase::PATH.len()],
    /// Time from the request of a restore to its availability.
    pub restore: Duration,
}

impl Default for Estimates {
    fn default() -> Self {
        Self { phases: [0, 26, 30, 90, 136, 240].map(Duration::from_secs), restore: Duration::from_mins(15) }
    }
}

impl Estimates {
    /// Learns from the timelines of instances that are ready and from databases that were restored.
    #[must_use]
    pub fn learn(world: &World) -> Self {
        let mut learnt = Self::default();
        for (index, phase) in Phase::PATH.into_iter().enumerate() {
            let seen =
                world.instances.iter().filter(|instance| instance.timeline.contains_key(&Phase::Ready));
            if let Some(at) =
                median(seen.filter_map(|instance| instance.timeline.get(&phase).copied()).collect())
            {
                learnt.phases[index] = Duration::from_secs(at);
            }
        }
        let restores = world.databases.iter().filter_map(|database| Some(database.restore_time()?.as_secs()));
        if let Some(seconds) = median(restores.collect()) {
            learnt.restore = Duration::from_secs(seconds);
        }
        learnt
    }

    /// How far an environment has come, while it comes up.
    #[must_use]
    pub fn environment(&self, environment: &Environment<'_>, now: DateTime<Utc>) -> Option<Progress> {
        if !matches!(environment.state, EnvironmentState::Launching | EnvironmentState::Starting) {
            return None;
        }
        let total = self.phases[Phase::PATH.len() - 1];
        let begun = environment.record.created_at;
        let elapsed = since(begun, now);
        let after_database = total.saturating_sub(self.phases[1]);
        // The bootstrap cannot pass its second phase before the database answers.
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

    /// How far a database has come, while it is being created.
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
