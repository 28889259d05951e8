//! What the tables show, worked out from the world: once when a world comes in, and again when a text runs out.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tui_input::Input;

use super::Model;
use crate::domain::cost::{self, Cost};
use crate::domain::environment::EnvironmentState;
use crate::domain::health::{self, Verdict};
use crate::domain::progress::Progress;
use crate::domain::{
    Database, DatabaseState, Environment, EnvironmentId, Instance, Number, Phase, Policy, Pool, Record,
    RecordId, StatusClass, Target, World,
};
use crate::tui::text;
use crate::tui::units::{self, Shown};

/// How many minutes the pool's history goes back.
pub const HISTORY: usize = 60;

/// One environment, as it is shown.
#[derive(Debug, Clone)]
pub struct EnvironmentRow {
    /// The id of its record: it never comes round again, so the selection holds on to it.
    pub record: RecordId,
    /// Its id.
    pub id: EnvironmentId,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Where it stands.
    pub state: EnvironmentState,
    /// Its bootstrap's phase.
    pub phase: Option<Phase>,
    /// How far it has come.
    pub progress: Option<Progress>,
    /// What is left of its time, or until it is ready.
    pub left: Option<String>,
    /// When its time is over.
    pub expires_at: Option<DateTime<Utc>>,
    /// The services under test, in one line.
    pub services: String,
    /// Whether its instance has not been listed yet, so that its state is not known.
    pub is_loading: bool,
    /// What it costs.
    pub cost: Option<Cost>,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// Addresses of the application, the dashboard and the log viewer.
    pub urls: [(&'static str, Option<String>); 3],
    /// Everything that the details show.
    pub facts: Box<Details>,
}

/// What an environment is made of.
#[derive(Debug, Clone)]
pub struct Details {
    /// Its record.
    pub record: Record,
    /// Its instance.
    pub instance: Option<Instance>,
    /// Its database.
    pub database: Option<Database>,
}

impl EnvironmentRow {
    /// The word for where it stands: the phase while it comes up.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match (self.state, self.phase) {
            _ if self.is_loading => "loading",
            (EnvironmentState::Starting, Some(phase)) => phase.as_str(),
            (state, _) => state.as_str(),
        }
    }

    /// What its database's status means; `None` where none is seen.
    #[must_use]
    pub fn database(&self) -> Option<StatusClass> {
        self.facts.database.as_ref().map(Database::status_class)
    }

    fn is_match(&self, needle: &str) -> bool {
        [self.name.as_str(), &self.owner, self.state.as_str(), self.as_str(), &self.services]
            .into_iter()
            .chain(self.facts.record.note.as_deref())
            .any(|field| text::contains(field, needle))
            || text::contains(&self.id.to_string(), needle)
    }
}

/// One database, as it is shown.
#[derive(Debug, Clone)]
pub struct PoolRow {
    /// Its number.
    pub number: Number,
    /// Its short name, such as `dev-14`.
    pub name: String,
    /// Where it stands.
    pub state: DatabaseState,
    /// How far its restore has come.
    pub progress: Option<Progress>,
    /// What there is to say about it.
    pub about: String,
}

/// The pool, as it is shown.
#[derive(Debug, Clone, Default)]
pub struct PoolView {
    /// Its databases: free ones first, claimed ones last.
    pub rows: Vec<PoolRow>,
    /// How many are free.
    pub free: usize,
    /// How many are on their way.
    pub creating: usize,
    /// How many are to be free.
    pub target: usize,
    /// The same in words, with whether it is automatic.
    pub target_text: String,
    /// Why this many, where the number is not the policy's own.
    pub target_reason: Option<String>,
    /// How old the latest snapshot is.
    pub snapshot: Option<String>,
    /// How old the latest image is.
    pub image: Option<String>,
    /// What the fleet costs an hour.
    pub per_hour: Option<f64>,
    /// Verdicts on the fleet, worst first.
    pub verdicts: Vec<Verdict>,
    /// The fewest free databases of each minute, the present one last.
    pub history: VecDeque<usize>,
    minute: u64,
    /// When the first of the texts runs out, by the engine's clock.
    pub(super) changes_at: Option<Duration>,
}

/// What the environments are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// The number of the id: the order in which they were asked for.
    Number,
    /// The name.
    Name,
    /// The owner.
    Owner,
    /// The state.
    State,
    /// What is left.
    Left,
    /// The cost so far.
    Cost,
}

impl SortBy {
    /// The order after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Number => Self::Name,
            Self::Name => Self::Owner,
            Self::Owner => Self::State,
            Self::State => Self::Left,
            Self::Left => Self::Cost,
            Self::Cost => Self::Number,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Name => "name",
            Self::Owner => "owner",
            Self::State => "state",
            Self::Left => "left",
            Self::Cost => "cost",
        }
    }

    fn compare(self, a: &EnvironmentRow, b: &EnvironmentRow) -> Ordering {
        match self {
            Self::Number => Ordering::Equal,
            Self::Name => a.name.cmp(&b.name),
            Self::Owner => a.owner.cmp(&b.owner),
            Self::State => (a.state as u8, a.phase).cmp(&(b.state as u8, b.phase)),
            // Those without an end come last.
            Self::Left => (a.expires_at.is_none(), a.expires_at).cmp(&(b.expires_at.is_none(), b.expires_at)),
            Self::Cost => {
                let accrued = |row: &EnvironmentRow| row.cost.map_or(0.0, |cost| cost.accrued);
                accrued(a).total_cmp(&accrued(b))
            }
        }
    }
}

/// The filter of the environments.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What is looked for.
    pub input: Input,
    /// Whether it has the keys.
    pub editing: bool,
}

impl Filter {
    /// What is looked for.
    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value().trim()
    }
}

/// Notes when a text runs out, and gives it.
struct Deadlines {
    clock: Duration,
    first: Option<Duration>,
}

impl Deadlines {
    fn take(&mut self, shown: Shown) -> String {
        let at = self.clock + shown.changes_in;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        shown.text
    }
}

impl Model {
    /// Works out the rows again.
    pub fn derive(&mut self) {
        let Some(seen) = &self.fleet_view else { return };
        let now = self.aws_now();
        let world = &seen.world;
        let policy = &world.fleet.policy;
        let mut deadlines = Deadlines { clock: self.now.clock, first: None };
        let mut all = Vec::new();
        for environment in Environment::all(world, now) {
            let progress = seen.estimates.environment(&environment, now);
            all.push(row(&environment, progress, world, now, &mut deadlines));
        }
        let pool = Pool::new(world);
        let mut rows: Vec<_> = pool
            .databases
            .iter()
            .map(|(state, database)| {
                let progress =
                    seen.estimates.database(database, now).filter(|_| *state == DatabaseState::Creating);
                let owner =
                    all.iter().find(|row| row.id.number == database.number).map(|row| row.name.as_str());
                pool_row(*state, database, progress, owner, now, &mut deadlines)
            })
            .collect();
        // In the order of a database's life; whoever is on call looks at what is free first.
        rows.sort_by_key(|row| (row.state == DatabaseState::Claimed, row.state, row.number));
        let mut old = |at: Option<DateTime<Utc>>| {
            at.map(|at| deadlines.take(units::coarse_age(units::between(at, now))))
        };
        let snapshot = old(world.snapshot.as_ref().ok().and_then(|s| s.as_ref()).map(|s| s.created_at));
        let image = old(world.image.as_ref().ok().and_then(|i| i.as_ref()).map(|i| i.created_at));
        let target = Target::new(world, policy, now);
        self.pool = PoolView {
            rows,
            free: pool.count(DatabaseState::Free),
            creating: pool.count(DatabaseState::Creating),
            target: target.wanted as usize,
            target_text: target.to_string(),
            target_reason: target.automatic.then_some(target.reason),
            snapshot,
            image,
            per_hour: cost::of_fleet(world).filter(|_| world.instances.complete && world.databases.complete),
            verdicts: health::verdicts(world, now),
            history: std::mem::take(&mut self.pool.history),
            minute: self.pool.minute,
            changes_at: deadlines.first,
        };
        self.all = all;
        self.arrange();
    }

    /// Filters and sorts again; the selection follows.
    pub fn arrange(&mut self) {
        let needle = self.filter.text();
        let mut shown: Vec<usize> =
            (0..self.all.len()).filter(|&index| self.all[index].is_match(needle)).collect();
        // The rows come by number and the sort is stable, so the number settles what is equal.
        shown.sort_by(|&a, &b| {
            let order = match self.sort {
                SortBy::Number => a.cmp(&b),
                sort => sort.compare(&self.all[a], &self.all[b]),
            };
            if self.descending { order.reverse() } else { order }
        });
        self.shown = shown;
        self.follow();
    }

    /// Takes down how many databases are free.
    pub fn sample_pool(&mut self) {
        if !self.fleet_view.as_ref().is_some_and(|seen| seen.world.databases.complete) {
            return;
        }
        let free = self.pool.free;
        let minute = self.now.clock.as_secs() / 60;
        let pool = &mut self.pool;
        match pool.history.back().copied() {
            Some(last) if pool.minute == minute => {
                if let Some(present) = pool.history.back_mut() {
                    *present = last.min(free);
                }
            }
            last => {
                let gap = last.map_or(0, |_| minute.saturating_sub(pool.minute).saturating_sub(1));
                let gap = usize::try_from(gap).unwrap_or(HISTORY).min(HISTORY);
                pool.history.extend(std::iter::repeat_n(last.unwrap_or(free), gap));
                pool.history.push_back(free);
            }
        }
        while pool.history.len() > HISTORY {
            pool.history.pop_front();
        }
        pool.minute = minute;
    }
}

fn row(
    environment: &Environment<'_>,
    progress: Option<Progress>,
    world: &World,
    now: DateTime<Utc>,
    deadlines: &mut Deadlines,
) -> EnvironmentRow {
    let policy = &world.fleet.policy;
    let listed = world.instances.complete && world.databases.complete;
    let record = environment.record;
    let is_loading =
        !listed && environment.instance.is_none() && environment.state == EnvironmentState::Launching;
    let services = record.services.iter().map(|(name, tag)| format!("{name}:{tag}")).collect::<Vec<_>>();
    EnvironmentRow {
        record: record.id.clone(),
        id: record.environment.clone(),
        name: record.name.clone(),
        owner: record.owner.clone(),
        state: environment.state,
        phase: environment.phase(),
        progress: progress.filter(|_| !is_loading),
        left: if is_loading { None } else { left(environment, progress, policy, now, deadlines) },
        is_loading,
        expires_at: record.expires_at,
        services: services.join(" "),
        cost: cost::of_environment(environment, policy, now).filter(|_| listed),
        problems: environment.problems(),
        urls: [
            ("app", environment.url(&policy.url_app)),
            ("dashboard", environment.url(&policy.url_dashboard)),
            ("logs", environment.url(&policy.url_logs)),
        ],
        facts: Box::new(Details {
            record: record.clone(),
            instance: environment.instance.cloned(),
            database: environment.database.cloned(),
        }),
    }
}

fn left(
    environment: &Environment<'_>,
    progress: Option<Progress>,
    policy: &Policy,
    now: DateTime<Utc>,
    deadlines: &mut Deadlines,
) -> Option<String> {
    let left_until = |at: DateTime<Utc>| units::between(now, at);
    match environment.state {
        EnvironmentState::Launching | EnvironmentState::Starting => Some(match progress?.remaining {
            Some(remaining) => {
                let mut shown = units::estimate(remaining);
                // The bar moves faster than the estimate.
                shown.changes_in = shown.changes_in.min(Duration::from_secs(2));
                deadlines.take(shown)
            }
            None => "late".to_owned(),
        }),
        EnvironmentState::Reaping => {
            let shown = units::coarse_left(left_until(environment.kept_until(policy)?));
            Some(format!("keep {}", deadlines.take(shown)))
        }
        EnvironmentState::Expired => Some("over".to_owned()),
        EnvironmentState::Terminating => None,
        EnvironmentState::Ready | EnvironmentState::Stopped | EnvironmentState::Failed => {
            let expires = environment.record.expires_at.filter(|at| *at > now)?;
            Some(deadlines.take(units::left(left_until(expires))))
        }
    }
}

fn pool_row(
    state: DatabaseState,
    database: &Database,
    progress: Option<Progress>,
    owner: Option<&str>,
    now: DateTime<Utc>,
    deadlines: &mut Deadlines,
) -> PoolRow {
    let about = match state {
        DatabaseState::Creating => match progress.map(|progress| progress.remaining) {
            Some(Some(remaining)) => {
                let mut shown = units::estimate(remaining);
                shown.changes_in = shown.changes_in.min(Duration::from_secs(10));
                deadlines.take(shown)
            }
            Some(None) => "late".to_owned(),
            None => database.status.clone(),
        },
        DatabaseState::Free | DatabaseState::Stale => {
            let since = database.created_at.or(database.requested_at);
            let age = since.map(|at| deadlines.take(units::coarse_age(units::between(at, now))));
            match (age, state) {
                (Some(age), DatabaseState::Stale) => format!("{age} old, its snapshot is outdated"),
                (Some(age), _) => format!("ready for {age}"),
                (None, _) => "ready".to_owned(),
            }
        }
        DatabaseState::Claimed => match (owner, &database.environment) {
            (Some(owner), _) => format!("serves {owner}"),
            (None, Some(id)) => format!("bound to {id}"),
            (None, None) => "is being retired".to_owned(),
        },
        DatabaseState::Failed | DatabaseState::Deleting => database.status.clone(),
    };
    let name = database.id.as_str().trim_start_matches("hatchery-").to_owned();
    PoolRow { number: database.number, name, state, progress, about }
}
