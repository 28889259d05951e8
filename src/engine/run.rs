//! The run loop: looks as often as it is worth, and takes a background step only when its moment has come and a fresh
//! look still wants it.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::plan::{self, Plan, Planned};
use super::step::{Key, Priority, Step};
use super::{Command, Engine, Event, Handle, Refusal, Report, RunOptions, StepReport, observe};
use crate::domain::{Environment, EnvironmentState, ErrorClass, Outcome, Record, World};
use crate::failure::{Failure, Kind};

/// Background steps wait a random moment up to this long where one engine is alone, and the longer the more there are (see
/// [`wait`]). It is about six times what it takes until others see a change, so a step is sent about 1.2 times.
const SPREAD: Duration = Duration::from_secs(24);

/// Steps that somebody waits for are spread less: they may be sent twice.
const SPREAD_FOR_PEOPLE: Duration = Duration::from_secs(8);

/// The number of engines that is assumed before anything is known.
const MANY: usize = 100;

/// Time between two looks while this engine's own person waits for something: a twelfth of the time that they have waited so
/// far, within these bounds. What has taken minutes may be seen seconds late.
const MINE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(20);
const MINE_SHARE: u32 = 12;

/// Time between two looks while nobody watches.
const UNWATCHED: Duration = Duration::from_mins(3);

/// How much slower than usual it looks at most while AWS throttles the account.
const SLOWEST: f64 = 8.0;

/// How long after a change of our own the next look is taken.
const AFTER_CHANGE: Duration = Duration::from_secs(2);

/// The longest wait after failures.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// How long a step that was done is not sent again although it is still wanted: reads lag.
const SETTLE: Duration = Duration::from_secs(30);

/// How often the audit log is read for what others did: after a change, and while there is none. `FilterLogEvents` is among
/// the scarcest of AWS's requests, and without a change there is hardly anything to read.
const AUDIT_AFTER_CHANGE: Duration = Duration::from_mins(2);
const AUDIT_EVERY: Duration = Duration::from_mins(5);

/// How far back each reading overlaps the last one, since events may arrive late.
const AUDIT_OVERLAP: Duration = Duration::from_mins(1);

/// How far back the activity goes at the start, and how many events at most.
const AUDIT_BACK: Duration = Duration::from_hours(24);
const AUDIT_MOST: usize = 200;

impl Engine {
    /// One pass. With `dry_run` the steps are planned and reported but not taken.
    ///
    /// # Errors
    /// Where the fleet itself cannot be read. Everything else is in the report.
    pub async fn once(&self, dry_run: bool) -> Result<Report, Failure> {
        let mut world = self.observe_afresh().await?;
        self.load_launch_history(&mut world).await;
        let (plan, now) = self.plan(&world);
        let mut report = Report { steps: Vec::new(), refused: plan.refused, incomplete: world.incomplete() };
        if dry_run {
            report.steps = plan.steps.iter().map(|planned| unstarted(planned, Outcome::DryRun)).collect();
        } else if let Some(now) = now {
            let steps: Vec<_> = plan.steps.iter().collect();
            report.steps = self.act(&world, now, &steps).await;
            self.log_steps(&report.steps, now).await;
        }
        Ok(report)
    }

    /// Plans, unless this engine only looks. *Now* is AWS's, and without it nothing is planned.
    fn plan(&self, world: &World) -> (Plan, Option<DateTime<Utc>>) {
        let refuse = |reason: String| Plan {
            steps: Vec::new(),
            refused: vec![Refusal { action: "engine", target: world.fleet.name.to_string(), reason }],
        };
        if let Some(reason) = plan::observe_only_reason(world, &self.config.version) {
            return (refuse(reason), None);
        }
        if let Some(now) = world.now() {
            return (plan::plan(world, &world.fleet.policy, now), Some(now));
        }
        let why = match world.problems().next() {
            Some(problem) => format!("not everything could be listed, so nothing is judged: {problem}"),
            None => "AWS did not say what time it is, so nothing is judged".to_owned(),
        };
        (refuse(why), None)
    }

    /// Runs until the handle is dropped.
    #[must_use]
    pub fn run(&self, options: RunOptions) -> (Handle, mpsc::UnboundedReceiver<Event>) {
        let (commands, queue) = mpsc::channel(16);
        let (events, told) = mpsc::unbounded_channel();
        let engine = Self { events: Some(events), ..self.clone() };
        let engine_loop = EngineLoop {
            engine,
            options,
            watched: true,
            scheduled: BTreeMap::new(),
            failures: 0,
            slower: 1.0,
            audit_read: None,
            audit_due: false,
            audit_seen: HashSet::new(),
            engines: BTreeMap::new(),
            last: None,
            changed: false,
        };
        tokio::spawn(engine_loop.run(queue));
        (Handle { commands }, told)
    }
}

fn unstarted(planned: &Planned, outcome: Outcome) -> StepReport {
    StepReport {
        action: planned.step.action(),
        target: planned.step.target(),
        reason: planned.reason.clone(),
        outcome,
        detail: String::new(),
    }
}

/// A step that was planned and waits for its moment.
struct Scheduled {
    due: Duration,
    failures: u32,
}

struct EngineLoop {
    engine: Engine,
    options: RunOptions,
    watched: bool,
    scheduled: BTreeMap<Key, Scheduled>,
    failures: u32,
    /// By how much it looks less often than usual, because AWS throttles.
    slower: f64,
    audit_read: Option<(Duration, DateTime<Utc>)>,
    /// Whether something has changed since it was read.
    audit_due: bool,
    audit_seen: HashSet<String>,
    /// The engines that have done something lately, and when.
    engines: BTreeMap<String, DateTime<Utc>>,
    /// The last world.
    last: Option<Arc<World>>,
    changed: bool,
}

impl EngineLoop {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let pause = match self.tick().await {
                Ok(world) => {
                    self.failures = 0;
                    Some(self.poll_interval(&world))
                }
                Err(failure) => {
                    // Without credentials there is nothing to try again: a person has to act, and then pokes.
                    let pause =
                        if failure.kind == Kind::NotPermitted { None } else { Some(self.next_backoff()) };
                    self.engine.emit(Event::ObserveFailed(failure));
                    pause
                }
            };
            if !self.sleep_or_wake(pause, &mut commands).await {
                return;
            }
        }
    }

    /// Waits until the next look is due or somebody wants one; `false` once nobody holds the handle.
    async fn sleep_or_wake(
        &mut self,
        pause: Option<Duration>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> bool {
        let engine = self.engine.clone();
        let rested = async {
            match pause {
                Some(pause) => engine.clock.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(rested);
        loop {
            // In this order, not a random one: the same seed gives the same history.
            tokio::select! {
                biased;
                () = &mut rested => return true,
                command = commands.recv() => match command {
                    None => return false,
                    Some(Command::Focus(watching)) => {
                        let returned = watching && !self.watched;
                        self.watched = watching;
                        if returned { return true }
                    }
                    Some(Command::Refresh) => return true,
                },
            }
        }
    }

    /// One look, and the steps whose moment has come.
    async fn tick(&mut self) -> Result<Arc<World>, Failure> {
        let first = self.scheduled.is_empty() && self.audit_read.is_none();
        let engine = self.engine.clone();
        let mut world = engine
            .observe_with(|world| {
                if first {
                    engine.emit(Event::World(observe::share(world)));
                }
            })
            .await?;
        self.engine.load_launch_history(&mut world).await;
        let world = Arc::new(world);
        self.engine.emit(Event::World(Arc::clone(&world)));
        self.audit_due |= self.last.as_ref().is_none_or(|last| !holds_the_same(last, &world));
        self.last = Some(Arc::clone(&world));
        self.read_audit(world.now()).await;
        self.changed = false;
        if self.options.background {
            let (plan, now) = self.engine.plan(&world);
            self.engine.emit(Event::Refused(plan.refused));
            if let Some(now) = now {
                self.take_due(&world, now, &plan.steps).await;
            }
        }
        Ok(world)
    }

    /// Takes the steps that this fresh look still wants and whose moment has come.
    async fn take_due(&mut self, world: &World, now: DateTime<Utc>, steps: &[Planned]) {
        let elapsed = self.engine.clock.elapsed();
        let wanted: HashSet<Key> = steps.iter().map(|planned| planned.step.key()).collect();
        self.scheduled.retain(|key, _| wanted.contains(key));
        let mut due = Vec::new();
        let engines = if self.audit_read.is_some() { self.engines.len() } else { MANY };
        for planned in steps {
            let key = planned.step.key();
            let seed = self.engine.config.seed;
            let mine = self.engine.is_own(&planned.step);
            let waiting = self.scheduled.entry(key).or_insert_with_key(|key| {
                let wait = if mine { Duration::ZERO } else { jitter(seed, key, engines) };
                Scheduled { due: elapsed + wait, failures: 0 }
            });
            if waiting.due <= elapsed {
                due.push(planned);
            }
        }
        if due.is_empty() {
            return;
        }
        self.engine.emit(Event::Working(due.len()));
        let reports = self.engine.act(world, now, &due).await;
        self.engine.log_steps(&reports, now).await;
        self.engine.emit(Event::Working(0));
        self.changed = true;
        let elapsed = self.engine.clock.elapsed();
        for (planned, report) in due.iter().zip(&reports) {
            let Some(waiting) = self.scheduled.get_mut(&planned.step.key()) else { continue };
            // Skipped: somebody else has done it, and this engine does not see it yet.
            let done = matches!(report.outcome, Outcome::Done | Outcome::Skipped);
            waiting.failures = if done { 0 } else { waiting.failures + 1 };
            waiting.due = elapsed + if done { SETTLE } else { backoff(waiting.failures) };
        }
    }

    /// How long to wait for the next look.
    fn poll_interval(&mut self, world: &World) -> Duration {
        let jitter = 0.8 + 0.4 * self.engine.random();
        let resting = if self.changed {
            AFTER_CHANGE
        } else if let Some(waited) = self.engine.time_waited(world) {
            (waited / MINE_SHARE).clamp(*MINE.start(), *MINE.end())
        } else if self.watched {
            self.options.refresh
        } else {
            UNWATCHED.max(self.options.refresh)
        };
        // Everybody who is throttled slows down at once, and comes back bit by bit.
        let throttled = world.problems().any(|problem| problem.is(ErrorClass::Throttled));
        self.slower =
            if throttled { (self.slower * 2.0).min(SLOWEST) } else { (self.slower * 0.75).max(1.0) };
        let resting = resting.mul_f64(self.slower);
        let elapsed = self.engine.clock.elapsed();
        let due = self.scheduled.values().map(|waiting| waiting.due.saturating_sub(elapsed)).min();
        resting.mul_f64(jitter).min(due.unwrap_or(resting)).max(Duration::from_millis(500))
    }

    fn next_backoff(&mut self) -> Duration {
        self.failures += 1;
        backoff(self.failures).mul_f64(0.8 + 0.4 * self.engine.random())
    }

    /// Reads what others did. Its failure is only logged here: the activity of others is no condition for anything.
    async fn read_audit(&mut self, now: Option<DateTime<Utc>>) {
        let elapsed = self.engine.clock.elapsed();
        let Some(now) = now else { return };
        let every = if self.audit_due { AUDIT_AFTER_CHANGE } else { AUDIT_EVERY };
        let since = match self.audit_read {
            Some((read, _)) if elapsed.saturating_sub(read) < every => return,
            // What was seen is left out.
            Some((_, until)) => until - AUDIT_OVERLAP,
            None => now - AUDIT_BACK,
        };
        self.audit_due = false;
        self.audit_read = Some((elapsed, now));
        match self.engine.cloud.audit(&self.engine.config.fleet, since, AUDIT_MOST).await {
            Ok(events) => {
                let key = |event: &crate::domain::AuditEvent| {
                    format!("{} {} {} {}", event.at, event.who, event.action, event.target)
                };
                let new: Vec<_> =
                    events.iter().filter(|e| !self.audit_seen.contains(&key(e))).cloned().collect();
                self.audit_seen = events.iter().map(key).collect();
                let engines = events.iter().filter(|event| event.is_by_engine());
                self.engines.extend(engines.map(|event| (event.who.clone(), event.at)));
                self.engines.retain(|_, at| *at > now - AUDIT_BACK);
                if !new.is_empty() {
                    self.engine.emit(Event::Activity(new));
                }
            }
            Err(error) => tracing::warn!(%error, "the audit log could not be read"),
        }
    }
}

/// 2, 4, 8 … seconds.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(9)).min(LONGEST_BACKOFF)
}

/// Whether two worlds hold the same things, whenever they were seen.
fn holds_the_same(a: &World, b: &World) -> bool {
    a.records.items == b.records.items
        && a.instances.items == b.instances.items
        && a.databases.items == b.databases.items
}

/// The moment that one engine waits before one step: the same each time for the same engine and step, and different
/// from every other engine's. `engines` is how many there seem to be.
///
/// Moments are spread as in multicast feedback suppression: exponentially towards the end of the interval, so that
/// however many engines there are, the first of them is alone for a while and the others see what it did.
/// (Nonnenmacher and Biersack, "Scalable feedback for large groups", 1999.)
#[must_use]
pub fn jitter(seed: u64, key: &Key, engines: usize) -> Duration {
    let digest = Sha256::digest(format!("{seed} {key}"));
    let word = digest.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    #[allow(clippy::cast_precision_loss)]
    let (uniform, lambda) = (word as f64 / u64::MAX as f64, (engines.max(1) as f64).ln() + 1.0);
    let moment = (uniform * (lambda.exp() - 1.0) + 1.0).ln() / lambda;
    let spread = if key.0 == Priority::People { SPREAD_FOR_PEOPLE } else { SPREAD };
    spread.mul_f64(lambda * moment.clamp(0.0, 1.0))
}

impl Engine {
    fn is_own(&self, step: &Step) -> bool {
        let mine = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        step.record().is_some_and(|record| mine.contains_key(record))
    }

    /// How long this engine's own person has waited for what they asked for last, or for the latest of their environments that
    /// come up.
    fn time_waited(&self, world: &World) -> Option<Duration> {
        let (now, elapsed) = (world.now().unwrap_or_default(), self.clock.elapsed());
        let asked = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        // What was asked for just now may not be seen yet: reads lag.
        let just_now = asked.values().map(|at| elapsed.saturating_sub(*at)).filter(|waited| *waited < SETTLE);
        let mine = |record: &Record| asked.contains_key(&record.id) || record.owner == self.config.person;
        let environments = Environment::all(world, now);
        let coming_up = environments.iter().filter(|environment| {
            matches!(environment.state, EnvironmentState::Launching | EnvironmentState::Starting)
                && mine(environment.record)
        });
        let waited =
            coming_up.map(|environment| (now - environment.record.created_at).to_std().unwrap_or_default());
        just_now.chain(waited).min()
    }
}
