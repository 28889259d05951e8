//! The health check of a fleet.

use chrono::{DateTime, Utc};

use super::error::ErrorClass;
use super::pipeline::{PipelineKind, RunState};
use super::policy::Scope;
use super::pool::{DatabaseState, Pool};
use super::target::Target;
use super::world::World;

mod leftovers;
mod verdict;
mod work;

pub use leftovers::Leftovers;
pub use verdict::{Level, Verdict};

use verdict::Report;

/// Returns the findings for a world, most severe first. `now` is AWS's time.
#[must_use]
pub fn verdicts(world: &World, now: DateTime<Utc>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut report = |level, code: &str, message: String| {
        verdicts.push(Verdict { level, code: code.to_owned(), message });
    };
    check_policy(world, &mut report);
    check_listings(world, &mut report);
    check_sources(world, now, &mut report);
    check_pipelines(world, &mut report);
    check_pool(world, now, &mut report);
    work::check(world, now, &mut report);
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.level));
    verdicts
}

fn check_policy(world: &World, report: Report<'_>) {
    for problem in &world.fleet.problems {
        let stops = match problem.stops {
            Scope::Nothing => "",
            Scope::Pool => ", so the pool is not filled",
            Scope::Launches => ", so launches are refused",
            Scope::Creation => ", so launches are refused and the pool is not filled",
            Scope::Engine => ", so engines change nothing",
        };
        let level = if problem.stops == Scope::Nothing { Level::Warning } else { Level::Error };
        report(level, "policy", format!("{problem}{stops}; correct it with: hatchery fleet set"));
    }
    if world.fleet.policy.paused {
        let message = "background steps are paused; resume them with: hatchery fleet set paused=false";
        report(Level::Warning, "paused", message.to_owned());
    }
}

fn check_listings(world: &World, report: Report<'_>) {
    for problem in world.problems() {
        let (level, code, message) = match problem.class {
            ErrorClass::Throttled => (Level::Warning, "throttled", "AWS throttles requests"),
            ErrorClass::Auth => (Level::Error, "auth", "AWS refuses the credentials"),
            _ => (Level::Warning, "incomplete", "the listings are incomplete"),
        };
        report(level, code, format!("{message}: {problem}"));
    }
}

fn check_sources(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let policy = &world.fleet.policy;
    let source = &policy.source_database;
    match &world.snapshot {
        Ok(None) if world.databases.complete => report(
            Level::Error,
            "no-snapshot",
            format!(
                "database {source:?} has no snapshot to restore; create one with: aws rds create-db-snapshot --db-instance-identifier \
                 {source} --db-snapshot-identifier {source}-first"
            ),
        ),
        Ok(Some(snapshot)) if (now - snapshot.created_at).num_hours() >= 48 => report(
            Level::Warning,
            "snapshot-old",
            format!(
                "the latest snapshot is {} days old; check the backups of {source}",
                (now - snapshot.created_at).num_days()
            ),
        ),
        _ => {}
    }
    match &world.image {
        Ok(None) if world.databases.complete => report(
            Level::Error,
            "no-image",
            format!("no image has the tag hatchery:image={}; {}", policy.image_tag, image_hint(world)),
        ),
        Ok(Some(image)) if (now - image.created_at).num_hours() >= 72 => report(
            Level::Warning,
            "image-old",
            format!(
                "the latest image is {} days old; see: hatchery images",
                (now - image.created_at).num_days()
            ),
        ),
        _ => {}
    }
}

/// Returns the next step towards the first image.
fn image_hint(world: &World) -> String {
    let pipelines = world.pipelines.as_deref().unwrap_or_default();
    if pipelines.is_empty() {
        return "tag one, or deploy the pipelines of: hatchery stack".to_owned();
    }
    let runs = |kind| pipelines.iter().filter(move |pipeline| pipeline.kind == kind).flat_map(|p| &p.runs);
    let kind = if runs(PipelineKind::Base).any(|run| run.state == RunState::Available) {
        PipelineKind::Service
    } else {
        PipelineKind::Base
    };
    match runs(kind).next().filter(|run| !run.state.has_ended()) {
        Some(run) => {
            format!(
                "the {kind} image {} is {}; see its progress with: hatchery images",
                run.version, run.state
            )
        }
        None => format!("build the {kind} image with: hatchery images bake {kind}"),
    }
}

fn check_pipelines(world: &World, report: Report<'_>) {
    let pipelines = match &world.pipelines {
        Ok(pipelines) => pipelines,
        Err(error) => {
            let message = format!("the image pipelines cannot be read: {error}");
            return report(Level::Info, "image-pipelines", message);
        }
    };
    for pipeline in pipelines {
        if let Some(run) = pipeline.last_result().filter(|run| run.state == RunState::Failed) {
            let reason = run.why();
            let message =
                format!("the {} image {} failed: {reason}; see hatchery images", pipeline.kind, run.version);
            report(Level::Warning, "image-failed", message);
        }
    }
}

fn check_pool(world: &World, now: DateTime<Utc>, report: Report<'_>) {
    let policy = &world.fleet.policy;
    let pool = Pool::new(world);
    let target = Target::new(world, policy, now);
    let spare = target.wanted as usize;
    let (free, creating) = (pool.count(DatabaseState::Free), pool.count(DatabaseState::Creating));
    if world.databases.complete && free < spare {
        if free + creating == 0 {
            report(
                Level::Error,
                "pool-empty",
                "no database is free or being restored, so launches wait; fill the pool with: hatchery engine --once"
                    .to_owned(),
            );
        } else if free == 0 {
            let message = format!("no database is free; {creating} being restored");
            report(Level::Warning, "pool-low", message);
        } else {
            report(
                Level::Info,
                "pool-low",
                format!("{free} of {target} databases are free; {creating} being restored"),
            );
        }
    }
    if let Some(rate) = target.hit_rate.filter(|rate| *rate < policy.pool_hit_rate) {
        let message = format!(
            "with spare-max={}, {rate:.0} % of launches are expected to find a free database, below the pool-hit-rate of {} %; raise \
             spare-max or lower pool-hit-rate",
            policy.spare_max, policy.pool_hit_rate
        );
        report(Level::Warning, "hit-rate", message);
    }
    let failed = pool.count(DatabaseState::Failed);
    if failed > 0 {
        report(
            Level::Warning,
            "restore-failed",
            format!("{failed} restores failed; the engine replaces them"),
        );
    }
    if pool.databases.len() >= policy.max_databases as usize && free + creating < spare {
        let message = format!(
            "the fleet has {} databases, and max-databases is {}; terminate environments or raise max-databases",
            pool.databases.len(),
            policy.max_databases
        );
        report(Level::Error, "ceiling", message);
    }
}
