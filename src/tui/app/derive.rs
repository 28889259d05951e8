//! Derives the rows from the world: after each observation, and again when the first text with a time in it expires.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::environments::EarlierRows;
use super::model::Model;
use super::pages::claimed;
use super::rows::{
    Details, EnvironmentRow, PoolRow, PoolStatus, ResetRow, TimeLeft, old_database_of, short_name,
};
use crate::domain::cost::{self, Cost};
use crate::domain::environment::EnvironmentState;
use crate::domain::health;
use crate::domain::progress::{Estimates, Progress};
use crate::domain::{Database, DatabaseState, Endpoint, Environment, Hold, Policy, Pool, Target, World};
use crate::tui::format::{self, TimedText};
use crate::tui::text;

/// How often the rows are derived while a progress bar moves, because bars move faster than estimates.
const ENVIRONMENT_BAR_INTERVAL: Duration = Duration::from_secs(2);
const DATABASE_BAR_INTERVAL: Duration = Duration::from_secs(10);

/// Texts expire together, at multiples of this, because each of many rows would else change the screen at a time of its own. A text may be
/// this late.
const COARSE_GRID: Duration = Duration::from_secs(30);
const FINE_GRID: Duration = Duration::from_secs(10);

/// The time left below which it is shown in seconds.
const FINE_BELOW: Duration = Duration::from_mins(10);

impl Model {
    /// Derives all rows, if the fleet was observed. Keeps the selections.
    pub(crate) fn derive(&mut self) {
        let now = self.aws_now();
        let Some(view) = &self.fleet_view else { return };
        let mut derivation = Derivation {
            world: &view.world,
            estimates: &view.estimates,
            now,
            clock: self.now.clock,
            expires_at: None,
        };
        let rows_of = self.rows_of.replace(Arc::clone(&view.world));
        let same_world = rows_of.as_ref().is_some_and(|world| Arc::ptr_eq(world, &view.world));
        let same_policy = rows_of.is_some_and(|world| world.fleet.policy == view.world.fleet.policy);
        let mut earlier = self.environments.take_rows(same_policy);
        let environments = derivation.environments(&mut earlier, same_world);
        let pool = derivation.pool();
        self.rows_expire_at = derivation.expires_at;
        self.environments.set_rows(environments, earlier);
        self.pool.status = pool;
        self.relayout();
        self.filter_and_sort();
        self.settle_presenter();
    }
}

impl Model {
    /// Derives the past of the pool for its page.
    pub(crate) fn derive_pool_past(&mut self) {
        let now = self.aws_now();
        if let Some(view) = &self.fleet_view {
            self.history.derive_pool(&view.world, now, self.styles.zone);
            self.pool.claimed = claimed(self);
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
        self.expires_at(self.clock + timed.valid_for);
        timed.text
    }

    /// Takes the text and notes when it expires, at the next multiple of `grid`.
    fn timed_on(&mut self, grid: Duration, timed: TimedText) -> String {
        let steps = (self.clock + timed.valid_for).as_millis().div_ceil(grid.as_millis().max(1));
        self.expires_at(grid * u32::try_from(steps).unwrap_or(u32::MAX));
        timed.text
    }

    fn expires_at(&mut self, at: Duration) {
        self.expires_at = Some(self.expires_at.map_or(at, |first| first.min(at)));
    }

    fn coarse_age(&mut self, since: DateTime<Utc>) -> String {
        self.timed_on(COARSE_GRID, format::coarse_age(format::between(since, self.now)))
    }

    /// Returns the rows; those of unchanged environments are taken from the earlier ones, because most of the cost is that of copies. With
    /// `same_world` none has changed.
    fn environments(&mut self, earlier: &mut EarlierRows, same_world: bool) -> Vec<EnvironmentRow> {
        let (world, estimates, now) = (self.world, self.estimates, self.now);
        Environment::all(world, now)
            .into_iter()
            .enumerate()
            .map(|(index, environment)| {
                let progress = estimates.environment(&environment, now);
                // A reset moves with the time.
                let is_same = same_world && environment.reset.is_none();
                match earlier.take(index, &environment.record.id) {
                    Some(mut row) if is_same || row.is_of(&environment) => {
                        if !same_world {
                            row.details.share(&environment);
                        }
                        self.update_row(&mut row, &environment, progress);
                        row
                    }
                    _ => self.environment_row(&environment, progress),
                }
            })
            .collect()
    }

    /// Sets what changes without a change of record, instance and databases.
    fn update_row(
        &mut self,
        row: &mut EnvironmentRow,
        environment: &Environment<'_>,
        progress: Option<Progress>,
    ) {
        let (policy, is_loading) = (&self.world.fleet.policy, self.is_loading(environment));
        row.state = environment.state;
        row.phase = environment.phase();
        row.progress = progress.filter(|_| !is_loading);
        row.left = if is_loading { None } else { self.time_left(environment, progress, policy) };
        row.is_loading = is_loading;
        row.is_deploying = environment.is_deploying();
        row.cost = self.cost(environment);
        row.problems = environment.problems();
        row.failed_reset = environment.failed_reset.cloned();
    }

    fn has_all_parts(&self) -> bool {
        self.world.instances.complete && self.world.databases.complete
    }

    fn is_loading(&self, environment: &Environment<'_>) -> bool {
        !self.has_all_parts()
            && environment.instance.is_none()
            && environment.state == EnvironmentState::Launching
    }

    fn cost(&self, environment: &Environment<'_>) -> Option<Cost> {
        let policy = &self.world.fleet.policy;
        cost::of_environment(environment, policy, self.now).filter(|_| self.has_all_parts())
    }

    fn environment_row(
        &mut self,
        environment: &Environment<'_>,
        progress: Option<Progress>,
    ) -> EnvironmentRow {
        let (world, now) = (self.world, self.now);
        let policy = &world.fleet.policy;
        let record = environment.record;
        let is_loading = self.is_loading(environment);
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
            cost: self.cost(environment),
            problems: environment.problems(),
            failed_reset: environment.failed_reset.cloned(),
            addresses: [Endpoint::App, Endpoint::Dashboard, Endpoint::Logs]
                .map(|endpoint| (endpoint.as_str(), environment.address(endpoint, policy))),
            details: Box::new(Details {
                record: Arc::clone(environment.record),
                instance: environment.instance.cloned(),
                database: environment.database.cloned(),
                database_id: environment.database_id(),
                current: environment.current,
                reset: environment.reset.as_ref().map(|reset| {
                    Box::new(ResetRow {
                        replacement: reset.replacement.clone(),
                        database: reset.database.cloned(),
                        progress: reset.database.and_then(|database| self.estimates.database(database, now)),
                    })
                }),
                old_database: old_database_of(environment).cloned(),
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
                Some(TimeLeft::For(self.timed_on(FINE_GRID, format::coarse_left(left))))
            }
            EnvironmentState::Expired => Some(TimeLeft::Expired),
            EnvironmentState::Terminating => None,
            EnvironmentState::Ready | EnvironmentState::Stopped | EnvironmentState::Failed => {
                let expires_at = environment.record.expires_at.filter(|at| *at > self.now)?;
                let left = format::between(self.now, expires_at);
                let grid = if left < FINE_BELOW { FINE_GRID } else { COARSE_GRID };
                Some(TimeLeft::For(self.timed_on(grid, format::left(left))))
            }
        }
    }

    /// Formats an estimate next to a progress bar that is redrawn at least every `interval`.
    fn estimate(&mut self, remaining: Duration, interval: Duration) -> String {
        let mut estimate = format::estimate(remaining);
        estimate.valid_for = estimate.valid_for.min(interval);
        self.timed(estimate)
    }

    /// Claimed databases are counted only: the environments have them in their table.
    fn pool(&mut self) -> PoolStatus {
        let (world, now) = (self.world, self.now);
        let (pool, holds) = (Pool::new(world), world.database_holds());
        let mut rows: Vec<_> = pool
            .databases
            .iter()
            .filter(|(state, _)| *state != DatabaseState::Claimed)
            .map(|(state, database)| self.pool_row(*state, database, holds.get(&database.number).copied()))
            .collect();
        rows.sort_by_key(|row| (pool_order(row.state), row.number));
        let snapshot = world.snapshot.as_ref().ok().and_then(|snapshot| snapshot.as_ref());
        let image = world.image.as_ref().ok().and_then(|image| image.as_ref());
        let target = Target::new(world, &world.fleet.policy, now);
        PoolStatus {
            name_width: rows.iter().map(|row| text::width(&row.name)).max().unwrap_or(0),
            rows,
            claimed: pool.count(DatabaseState::Claimed),
            free: pool.count(DatabaseState::Free),
            target: target.wanted as usize,
            target_text: target.to_string(),
            target_reason: target.automatic.then_some(target.reason),
            snapshot: snapshot.map(|snapshot| self.coarse_age(snapshot.created_at)),
            image: image.map(|image| self.coarse_age(image.created_at)),
            per_hour: cost::of_fleet(world).filter(|_| self.has_all_parts()),
            verdicts: health::verdicts(world, now),
        }
    }

    fn pool_row(&mut self, state: DatabaseState, database: &Database, hold: Option<&Hold>) -> PoolRow {
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
            DatabaseState::Held => {
                hold.map(|hold| format!("by {}: {}", hold.by, hold.why)).unwrap_or_default()
            }
            DatabaseState::Busy
            | DatabaseState::Failed
            | DatabaseState::Deleting
            | DatabaseState::Claimed => database.status.to_string(),
        };
        PoolRow { number: database.number, name: short_name(database), state, progress, info }
    }
}

/// Returns the place in the pool: first what is free or will be, then what needs attention, then the rest.
fn pool_order(state: DatabaseState) -> u8 {
    match state {
        DatabaseState::Free => 0,
        DatabaseState::Creating => 1,
        DatabaseState::Stale => 2,
        DatabaseState::Failed => 3,
        DatabaseState::Held => 4,
        DatabaseState::Busy => 5,
        DatabaseState::Claimed => 6,
        DatabaseState::Deleting => 7,
    }
}
