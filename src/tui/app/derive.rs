//! Derives the rows from the world: after each observation, and again when the first text with a time in it expires.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::model::Model;
use super::rows::{Details, EnvironmentRow, PoolRow, PoolStatus, ResetRow, TimeLeft};
use crate::domain::cost;
use crate::domain::environment::EnvironmentState;
use crate::domain::health;
use crate::domain::progress::{Estimates, Progress};
use crate::domain::replacement::DatabaseUsers;
use crate::domain::{Database, DatabaseState, Endpoint, Environment, Hold, Policy, Pool, Target, World};
use crate::tui::format::{self, TimedText};

/// How often the rows are derived while a progress bar moves, because bars move faster than estimates.
const ENVIRONMENT_BAR_INTERVAL: Duration = Duration::from_secs(2);
const DATABASE_BAR_INTERVAL: Duration = Duration::from_secs(10);

impl Model {
    /// Derives all rows, if the fleet was observed. Keeps the selections.
    pub(crate) fn derive(&mut self) {
        let Some(view) = &self.fleet_view else { return };
        let mut derivation = Derivation {
            world: &view.world,
            estimates: &view.estimates,
            now: self.aws_now(),
            clock: self.now.clock,
            expires_at: None,
        };
        let environments = derivation.environments();
        let pool = derivation.pool(&environments);
        self.rows_expire_at = derivation.expires_at;
        self.environments.all = environments;
        self.pool.status = pool;
        self.relayout();
        self.filter_and_sort();
    }
}

impl Model {
    /// Derives the past of the pool for its page.
    pub(crate) fn derive_pool_past(&mut self) {
        let now = self.aws_now();
        if let Some(view) = &self.fleet_view {
            self.history.derive_pool(&view.world, now, self.styles.zone);
        }
    }
}

struct Derivation<'a> {
    world: &'a World,
    estimates: &'a Estimates,
    /// AWS's time.
    now: DateTime<Utc>,
    /// The engine's clock.
    clock: Duration,
    /// When the first text expires, by the engine's clock.
    expires_at: Option<Duration>,
}

impl Derivation<'_> {
    /// Takes the text and notes when it expires.
    fn timed(&mut self, timed: TimedText) -> String {
        let at = self.clock + timed.valid_for;
        self.expires_at = Some(self.expires_at.map_or(at, |first| first.min(at)));
        timed.text
    }

    fn coarse_age(&mut self, since: DateTime<Utc>) -> String {
        self.timed(format::coarse_age(format::between(since, self.now)))
    }

    fn environments(&mut self) -> Vec<EnvironmentRow> {
        let (world, estimates, now) = (self.world, self.estimates, self.now);
        Environment::all(world, now)
            .into_iter()
            .map(|environment| {
                let progress = estimates.environment(&environment, now);
                self.environment_row(&environment, progress)
            })
            .collect()
    }

    fn environment_row(
        &mut self,
        environment: &Environment<'_>,
        progress: Option<Progress>,
    ) -> EnvironmentRow {
        let (world, now) = (self.world, self.now);
        let policy = &world.fleet.policy;
        let listed = world.instances.complete && world.databases.complete;
        let record = environment.record;
        let is_loading =
            !listed && environment.instance.is_none() && environment.state == EnvironmentState::Launching;
        let services = record.services.iter().map(|(name, tag)| format!("{name}:{tag}")).collect::<Vec<_>>();
        EnvironmentRow {
            record: record.id.clone(),
            id: record.environment.clone(),
            name: record.name.to_string(),
            owner: record.owner.to_string(),
            state: environment.state,
            phase: environment.phase(),
            progress: progress.filter(|_| !is_loading),
            left: if is_loading { None } else { self.time_left(environment, progress, policy) },
            is_loading,
            expires_at: record.expires_at,
            services: services.join(" "),
            is_deploying: environment.is_deploying(),
            cost: cost::of_environment(environment, policy, now).filter(|_| listed),
            problems: environment.problems(),
            addresses: [Endpoint::App, Endpoint::Dashboard, Endpoint::Logs]
                .map(|endpoint| (endpoint.as_str(), environment.address(endpoint, policy))),
            details: Box::new(Details {
                record: record.clone(),
                instance: environment.instance.cloned(),
                database: environment.database.cloned(),
                database_id: environment.database_id(),
                reset: environment.reset.as_ref().map(|reset| ResetRow {
                    replacement: reset.replacement.clone(),
                    database: reset.database.cloned(),
                    progress: reset.database.and_then(|database| self.estimates.database(database, now)),
                }),
                old_database: environment
                    .claimed
                    .filter(|old| environment.current.is_some_and(|current| current != old.number))
                    .cloned(),
            }),
        }
    }

    fn time_left(
        &mut self,
        environment: &Environment<'_>,
        progress: Option<Progress>,
        policy: &Policy,
    ) -> Option<TimeLeft> {
        match environment.state {
            EnvironmentState::Launching | EnvironmentState::Starting => {
                let Some(remaining) = progress?.remaining else { return Some(TimeLeft::Overdue) };
                Some(TimeLeft::For(self.estimate(remaining, ENVIRONMENT_BAR_INTERVAL)))
            }
            EnvironmentState::Reaping => {
                let left = format::between(self.now, environment.kept_until(policy)?);
                Some(TimeLeft::For(self.timed(format::coarse_left(left))))
            }
            EnvironmentState::Expired => Some(TimeLeft::Expired),
            EnvironmentState::Terminating => None,
            EnvironmentState::Ready | EnvironmentState::Stopped | EnvironmentState::Failed => {
                let expires_at = environment.record.expires_at.filter(|at| *at > self.now)?;
                Some(TimeLeft::For(self.timed(format::left(format::between(self.now, expires_at)))))
            }
        }
    }

    /// Formats an estimate next to a progress bar that is redrawn at least every `interval`.
    fn estimate(&mut self, remaining: Duration, interval: Duration) -> String {
        let mut estimate = format::estimate(remaining);
        estimate.valid_for = estimate.valid_for.min(interval);
        self.timed(estimate)
    }

    fn pool(&mut self, environments: &[EnvironmentRow]) -> PoolStatus {
        let (world, now) = (self.world, self.now);
        let (pool, holds) = (Pool::new(world), world.database_holds());
        let users = DatabaseUsers::new(world);
        let names: BTreeMap<_, _> =
            environments.iter().rev().map(|row| (&row.id, row.name.as_str())).collect();
        let mut rows: Vec<_> = pool
            .databases
            .iter()
            .map(|(state, database)| {
                let name = users.of(database).and_then(|id| names.get(id)).copied();
                self.pool_row(*state, database, name, holds.get(&database.number).copied())
            })
            .collect();
        rows.sort_by_key(|row| (row.state == DatabaseState::Claimed, row.state, row.number));
        let snapshot = world.snapshot.as_ref().ok().and_then(|snapshot| snapshot.as_ref());
        let image = world.image.as_ref().ok().and_then(|image| image.as_ref());
        let target = Target::new(world, &world.fleet.policy, now);
        PoolStatus {
            rows,
            free: pool.count(DatabaseState::Free),
            target: target.wanted as usize,
            target_text: target.to_string(),
            target_reason: target.automatic.then_some(target.reason),
            snapshot: snapshot.map(|snapshot| self.coarse_age(snapshot.created_at)),
            image: image.map(|image| self.coarse_age(image.created_at)),
            per_hour: cost::of_fleet(world).filter(|_| world.instances.complete && world.databases.complete),
            verdicts: health::verdicts(world, now),
        }
    }

    fn pool_row(
        &mut self,
        state: DatabaseState,
        database: &Database,
        environment: Option<&str>,
        hold: Option<&Hold>,
    ) -> PoolRow {
        let progress =
            self.estimates.database(database, self.now).filter(|_| state == DatabaseState::Creating);
        let info = match state {
            DatabaseState::Creating => match progress.map(|progress| progress.remaining) {
                Some(Some(remaining)) => self.estimate(remaining, DATABASE_BAR_INTERVAL),
                Some(None) => TimeLeft::Overdue.as_str().to_owned(),
                None => database.hydration.describe().unwrap_or_else(|| database.status.to_string()),
            },
            DatabaseState::Free | DatabaseState::Stale => {
                let age = database.created_at.or(database.requested_at).map(|since| self.coarse_age(since));
                let info = match (age, state) {
                    (Some(age), DatabaseState::Stale) => format!("{age} old, outdated snapshot"),
                    (Some(age), _) => format!("ready for {age}"),
                    (None, _) => "ready".to_owned(),
                };
                database.hydration.describe().into_iter().chain([info]).collect::<Vec<_>>().join(", ")
            }
            DatabaseState::Claimed => match (environment, &database.environment) {
                (Some(name), _) => format!("used by {name}"),
                (None, Some(id)) => format!("claimed by {id}"),
                (None, None) => "being retired".to_owned(),
            },
            DatabaseState::Held => {
                hold.map(|hold| format!("by {}: {}", hold.by, hold.why)).unwrap_or_default()
            }
            DatabaseState::Busy | DatabaseState::Failed | DatabaseState::Deleting => {
                database.status.to_string()
            }
        };
        let name = database.id.as_str().trim_start_matches("hatchery-").to_owned();
        PoolRow { number: database.number, name, state, progress, info }
    }
}
