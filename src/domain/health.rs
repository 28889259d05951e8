//! Verdicts on the fleet's health, for the person on call.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::ErrorClass;
use super::pool::{DatabaseState, Pool};
use super::target::Target;
use super::world::World;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Will hurt if nobody acts.
    Warning,
    /// Hurts now.
    Error,
}

impl Level {
    /// The word for screens and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How bad it is.
    pub level: Level,
    /// A stable word for scripts, such as `pool-empty`.
    pub code: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Judges a world, worst first. `now` is AWS's.
#[must_use]
pub fn verdicts(world: &World, now: DateTime<Utc>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |level, code: &str, message: String| {
        verdicts.push(Verdict { level, code: code.to_owned(), message });
    };
    of_policy(world, &mut say);
    of_listings(world, &mut say);
    of_sources(world, now, &mut say);
    of_pool(world, now, &mut say);
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.level));
    verdicts
}

type Say<'a> = &'a mut dyn FnMut(Level, &str, String);

fn of_policy(world: &World, say: Say<'_>) {
    for problem in &world.fleet.problems {
        say(Level::Error, "policy", format!("{problem}; correct it with: hatchery fleet set"));
    }
    if world.fleet.policy.paused {
        let message = "the policy pauses every background step; resume with: hatchery fleet set paused=false";
        say(Level::Warning, "paused", message.to_owned());
    }
}

fn of_listings(world: &World, say: Say<'_>) {
    for problem in world.problems() {
        match problem.class {
            ErrorClass::Throttled => say(Level::Warning, "throttled", format!("AWS throttles: {problem}")),
            ErrorClass::Auth => say(Level::Error, "auth", format!("AWS refuses: {problem}")),
            _ => say(Level::Warning, "incomplete", format!("not everything could be read: {problem}")),
        }
    }
}

fn of_sources(world: &World, now: DateTime<Utc>, say: Say<'_>) {
    let policy = &world.fleet.policy;
    match &world.snapshot {
        Ok(None) if world.databases.complete => say(
            Level::Error,
            "no-snapshot",
            format!("database {:?} has no snapshot to restore; take one", policy.source_database),
        ),
        Ok(Some(snapshot)) if (now - snapshot.created_at).num_hours() >= 48 => say(
            Level::Warning,
            "snapshot-old",
            format!(
                "the latest snapshot is {} days old; look at the backups of {}",
                (now - snapshot.created_at).num_days(),
                policy.source_database
            ),
        ),
        _ => {}
    }
    match &world.image {
        Ok(None) if world.databases.complete => say(
            Level::Error,
            "no-image",
            format!("no image is tagged hatchery:image={}; run the image pipeline", policy.image_tag),
        ),
        Ok(Some(image)) if (now - image.created_at).num_hours() >= 72 => say(
            Level::Warning,
            "image-old",
            format!(
                "the latest image is {} days old; look at the image pipeline",
                (now - image.created_at).num_days()
            ),
        ),
        _ => {}
    }
}

fn of_pool(world: &World, now: DateTime<Utc>, say: Say<'_>) {
    let policy = &world.fleet.policy;
    let pool = Pool::new(world);
    let target = Target::new(world, policy, now);
    let spare = target.wanted as usize;
    let (free, creating) = (pool.count(DatabaseState::Free), pool.count(DatabaseState::Creating));
    if world.databases.complete && free < spare {
        if free + creating == 0 {
            say(
                Level::Error,
                "pool-empty",
                "no database is free or on its way; the next launch waits".to_owned(),
            );
        } else if free == 0 {
            let message = format!("no database is free; {creating} on the way");
            say(Level::Warning, "pool-low", message);
        } else {
            say(
                Level::Info,
                "pool-low",
                format!("{free} of {target} databases are free; {creating} on the way"),
            );
        }
    }
    if let Some(rate) = target.hit_rate.filter(|rate| *rate < policy.pool_hit_rate) {
        let message = format!(
            "with spare-max={} only {rate:.0} % of the launches are to find a free database and the policy wants {} %; raise \
             spare-max, or lower pool-hit-rate",
            policy.spare_max, policy.pool_hit_rate
        );
        say(Level::Warning, "hit-rate", message);
    }
    let failed = pool.count(DatabaseState::Failed);
    if failed > 0 {
        say(Level::Warning, "restore-failed", format!("{failed} restores failed; the engine replaces them"));
    }
    if pool.databases.len() >= policy.max_databases as usize && free + creating < spare {
        let message = format!(
            "the fleet has {} databases and its ceiling is {}; terminate environments or raise max-databases",
            pool.databases.len(),
            policy.max_databases
        );
        say(Level::Error, "ceiling", message);
    }
}
