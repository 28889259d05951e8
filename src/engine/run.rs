//! The run loop: observes at an adaptive interval, and takes a background step once its delay is over if a fresh observation still asks
//! for it.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::jitter::jitter;
use super::plan::{self, Plan, Planned};
use super::step::{Key, Step};
use super::{Command, Engine, Event, Handle, NextStep, Refusal, Report, RunOptions, StepReport, observe};
use crate::domain::{
    Environment, EnvironmentState, ErrorClass, Metrics, Outcome, Record, StepFailure, World, lifecycle,
};
use crate::failure::{Failure, Kind};

mod audit_log;

/// The assumed number of engines until the audit log has been read. A high number delays steps but avoids duplicates.
const ASSUMED_ENGINES: usize = 100;

/// The observation interval while this engine's user waits for an environment: a fraction of the time waited so far, within bounds. After
/// minutes, a delay of seconds is acceptable. With these values a hundred dashboards use 21 % of EC2's Describe bucket when busy.
const WAITING_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(20);
const WAITING_DIVISOR: u32 = 12;

/// How long this engine observes often without a new request of its own user. Environments of one owner name may be those of several
/// people, and one that hangs may be starting for days.
const MAX_WAITING: Duration = Duration::from_hours(1);

/// The observation interval while the dashboard is in the background.
const UNWATCHED_INTERVAL: Duration = Duration::from_mins(3);

/// The maximum factor by which throttling lengthens the interval, and the longest interval that it leads to. Several observations per hour must
/// remain for a fleet of which each second one is throttled.
const MAX_SLOWDOWN: f64 = 8.0;
const MAX_SLOWED_INTERVAL: Duration = Duration::from_mins(10);

/// The delay of the next observation after this engine has changed something.
const AFTER_CHANGE: Duration = Duration::from_secs(2);

/// The maximum delay after failures.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// How long an engine leaves an action alone that it has no permission for, unless its user refreshes or logs in anew: at first, and at most. Each
/// refusal doubles it. At most, because a step that is wanted is tried or reported each hour.
const DENIED_PAUSES: [Duration; 2] = [Duration::from_mins(15), Duration::from_mins(45)];

/// How long a completed step is not repeated although the plan still contains it, because reads lag.
const VISIBILITY_DELAY: Duration = Duration::from_secs(30);

/// How long an engine does not repeat a step that AWS refused, because its listings may not show the trace: they lag by up to two minutes.
const TRACE_DELAY: Duration = Duration::from_mins(2);

impl Engine {
    /// Runs one pass without delays. With `dry_run` the steps are planned and reported but not taken.
    ///
    /// # Errors
    /// Returns an error if the fleet cannot be read. All other errors are in the report.
    pub async fn once(&self, dry_run: bool) -> Result<Report, Failure> {
        self.pass(dry_run, None).await
    }

    /// Runs one pass that starts no step after `time`. The report lists the others as skipped; the next pass takes them.
    ///
    /// # Errors
    /// As [`Self::once`].
    pub async fn once_within(&self, time: Duration) -> Result<Report, Failure> {
        self.pass(false, Some(self.clock.elapsed() + time)).await
    }

    async fn pass(&self, dry_run: bool, deadline: Option<Duration>) -> Result<Report, Failure> {
        let mut world = self.observe_uncached().await?;
        self.load_launch_history(&mut world).await;
        let (plan, now) = self.plan(&world);
        let mut report = self.report(&world, plan.refused, now);
        if dry_run {
            let steps = plan.steps.iter().filter(|planned| planned.step != Step::RecordPass);
            report.steps = steps.map(|planned| unstarted(planned, Outcome::DryRun)).collect();
        } else if let Some(now) = now {
            let steps: Vec<_> = plan.steps.iter().collect();
            report.steps = self.act(&world, now, &steps, deadline).await;
            self.log_steps(&report.steps, &world, now).await;
        }
        report.steps.retain(is_reported);
        Ok(report)
    }

    /// Returns what a pass of this engine would not do although something calls for it, and why.
    #[must_use]
    pub fn refusals(&self, world: &World) -> Vec<Refusal> {
        self.plan(world).0.refused
    }

    /// Plans, unless this engine may only observe. `now` is AWS's clock; without it nothing is planned.
    fn plan(&self, world: &World) -> (Plan, Option<DateTime<Utc>>) {
        let refuse = |reason: String| Plan {
            steps: Vec::new(),
            refused: vec![Refusal { action: "engine", target: world.fleet.name.to_string(), reason }],
        };
        let (fleet, version) = (&world.fleet, &self.config.version);
        if let Some(reason) = lifecycle::observe_only_reason(fleet, version) {
            let mut plan = refuse(reason);
            let now = world
                .now()
                .filter(|_| fleet.policy.notify.is_some() && lifecycle::is_only_paused(fleet, version));
            if let Some(now) = now {
                let notices = plan::plan_notices(world, &fleet.policy, now);
                plan.steps = notices.steps;
                plan.refused.extend(notices.refused);
            }
            return (plan, now);
        }
        if let Some(now) = world.now() {
            return (plan::plan(world, &world.fleet.policy, now), Some(now));
        }
        let reason = match world.problems().next() {
            Some(problem) => format!("a listing failed, so nothing is planned: {problem}"),
            None => "the responses from AWS have no time, so nothing is planned".to_owned(),
        };
        (refuse(reason), None)
    }

    /// Creates the report of a pass before its steps. A paused fleet makes no plan, even if it sends notices.
    fn report(&self, world: &World, refused: Vec<Refusal>, planned_at: Option<DateTime<Utc>>) -> Report {
        let is_observed = lifecycle::observe_only_reason(&world.fleet, &self.config.version).is_some();
        Report {
            steps: Vec::new(),
            refused,
            incomplete: world.incomplete(),
            problems: world.problems().cloned().collect(),
            metrics: Metrics::new(world, planned_at.filter(|_| !is_observed)),
        }
    }

    /// Starts the run loop, which ends when the handle is dropped.
    #[must_use]
    pub fn run(&self, options: RunOptions) -> (Handle, mpsc::UnboundedReceiver<Event>) {
        let (commands, queue) = mpsc::channel(16);
        let (events, receiver) = mpsc::unbounded_channel();
        let engine = Self { events: Some(events), ..self.clone() };
        let engine_loop = EngineLoop {
            engine,
            options,
            watched: true,
            scheduled: BTreeMap::new(),
            denied: BTreeMap::new(),
            failures: 0,
            slowdown: 1.0,
            unanswered: 0,
            audit_read: None,
            audit_changed: false,
            audit_seen: HashSet::new(),
            engines: BTreeMap::new(),
            last: None,
            changed: false,
            waiting_since: None,
        };
        tokio::spawn(engine_loop.run(queue));
        (Handle { commands }, receiver)
    }
}

/// Whether a report has the step. The record of the pass is no change of the fleet.
fn is_reported(step: &StepReport) -> bool {
    step.is_news || step.outcome == Outcome::Failed
}

fn next_step(planned: &Planned) -> NextStep {
    let (action, target) = (planned.step.action(), planned.step.target());
    NextStep { action, target, reason: planned.reason.clone() }
}

fn unstarted(planned: &Planned, outcome: Outcome) -> StepReport {
    StepReport {
        action: planned.step.action(),
        target: planned.step.target(),
        reason: planned.reason.clone(),
        outcome,
        detail: String::new(),
        error: None,
        is_news: true,
    }
}

/// A planned step and the end of its delay.
struct Scheduled {
    due: Duration,
    failures: u32,
    /// Whether the last plan had it. An incomplete listing can hide it for a while, and must not make it wait anew.
    planned: bool,
}

struct EngineLoop {
    engine: Engine,
    options: RunOptions,
    watched: bool,
    scheduled: BTreeMap<Key, Scheduled>,
    /// Until when this engine leaves actions alone that it has no permission for, and how long the last pause is.
    denied: BTreeMap<&'static str, (Duration, Duration)>,
    failures: u32,
    /// The factor by which throttling lengthens the interval.
    slowdown: f64,
    /// How many observations in a row had a listing without an answer.
    unanswered: u32,
    audit_read: Option<(Duration, DateTime<Utc>)>,
    /// Whether the fleet has changed since the audit log was read.
    audit_changed: bool,
    audit_seen: HashSet<String>,
    /// The engines seen in the audit log, with the time of their last event.
    engines: BTreeMap<String, DateTime<Utc>>,
    last: Option<Arc<World>>,
    changed: bool,
    /// When the user began to wait, or made the latest request.
    waiting_since: Option<Duration>,
}

impl EngineLoop {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let (delay, is_denied) = match self.tick().await {
                Ok(world) => {
                    self.failures = 0;
                    (self.poll_interval(&world), false)
                }
                Err(failure) => {
                    // A login or new keys end the wait. Without them, a refused call may be allowed later.
                    let is_denied = failure.kind == Kind::NotPermitted;
                    let delay = if is_denied { MAX_BACKOFF } else { self.next_backoff() };
                    self.engine.emit(Event::ObserveFailed(failure));
                    (delay, is_denied)
                }
            };
            if !self.sleep_or_wake(delay, is_denied, &mut commands).await {
                return;
            }
        }
    }

    /// Waits until the next observation is due or requested. Returns `false` once the handle is dropped.
    async fn sleep_or_wake(
        &mut self,
        delay: Duration,
        is_denied: bool,
        commands: &mut mpsc::Receiver<Command>,
    ) -> bool {
        let engine = self.engine.clone();
        let slept = engine.clock.sleep(delay);
        let changed = engine.cloud.credentials_changed();
        tokio::pin!(slept, changed);
        loop {
            // A fixed order, because a simulation must give the same history for the same seed.
            tokio::select! {
                biased;
                () = &mut slept => return true,
                command = commands.recv() => match command {
                    None => return false,
                    Some(Command::Focus(watched)) => {
                        let returned = watched && !self.watched;
                        self.watched = watched;
                        if returned { return true }
                    }
                    Some(Command::Background(background)) => self.options.background = background,
                    Some(Command::Refresh) => {
                        self.denied.clear();
                        return true;
                    }
                },
                () = &mut changed, if is_denied => {
                    self.denied.clear();
                    return true;
                }
            }
        }
    }

    /// Observes once and takes the steps whose delay is over.
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
        self.audit_changed |= self.last.as_ref().is_none_or(|last| !same_resources(last, &world));
        self.last = Some(Arc::clone(&world));
        self.read_audit(world.now()).await;
        self.changed = false;
        let (plan, now) = self.engine.plan(&world);
        // Without background steps too, a user sees why nothing happens.
        let mut report = self.engine.report(&world, plan.refused, now);
        self.engine.emit(Event::Refused(report.refused.clone()));
        self.engine.emit(Event::Planned(plan.steps.iter().map(next_step).collect()));
        if self.options.background {
            if let Some(now) = now {
                report.steps = self.take_due_steps(&world, now, &plan.steps).await;
                report.steps.retain(is_reported);
            }
            self.engine.emit(Event::Passed(Box::new(report)));
        }
        Ok(world)
    }

    /// Takes the steps that are still planned and whose delay is over.
    async fn take_due_steps(
        &mut self,
        world: &World,
        now: DateTime<Utc>,
        steps: &[Planned],
    ) -> Vec<StepReport> {
        let elapsed = self.engine.clock.elapsed();
        let wanted: HashSet<Key> = steps.iter().map(|planned| planned.step.key()).collect();
        let is_complete = world.is_complete();
        self.scheduled.retain(|key, step| {
            step.planned = wanted.contains(key);
            step.planned || !is_complete
        });
        let mut due = Vec::new();
        let engines = if self.audit_read.is_some() { self.engines.len() } else { ASSUMED_ENGINES };
        let mut last_restore = Duration::ZERO;
        for planned in steps {
            let key = planned.step.key();
            let seed = self.engine.config.seed;
            let own = self.engine.is_own(&planned.step);
            let scheduled = self.scheduled.entry(key).or_insert_with_key(|key| {
                let delay = if own { Duration::ZERO } else { jitter(seed, key, engines) };
                Scheduled { due: elapsed + delay, failures: 0, planned: true }
            });
            // Restores for the pool are taken in the order of their numbers.
            if matches!(planned.step, Step::CreateDatabase { .. }) {
                scheduled.due = scheduled.due.max(last_restore);
                last_restore = scheduled.due;
            }
            if scheduled.due <= elapsed && !self.is_denied(planned.step.action(), elapsed) {
                due.push(planned);
            }
        }
        if due.is_empty() {
            return Vec::new();
        }
        self.engine.emit(Event::Working(due.len()));
        let reports = self.engine.act(world, now, &due, None).await;
        self.engine.log_steps(&reports, world, now).await;
        self.engine.emit(Event::Working(0));
        // Nothing has changed after a skipped or failed step, so there is nothing to see.
        self.changed = reports
            .iter()
            .any(|report| report.is_news && matches!(report.outcome, Outcome::Done | Outcome::Unknown));
        let elapsed = self.engine.clock.elapsed();
        for (planned, report) in due.iter().zip(&reports) {
            if report.error == Some(ErrorClass::Auth) {
                // Another engine may have the permission.
                if !self.is_denied(report.action, elapsed) {
                    let [first, most] = DENIED_PAUSES;
                    let earlier = self.denied.get(report.action);
                    let pause = earlier.map_or(first, |(_, pause)| (*pause * 2).min(most));
                    self.denied.insert(report.action, (elapsed + pause, pause));
                }
            } else if report.outcome == Outcome::Done {
                self.denied.remove(report.action);
            }
            let Some(scheduled) = self.scheduled.get_mut(&planned.step.key()) else { continue };
            // A skipped step was done by another engine, which this engine does not see yet.
            let done = matches!(report.outcome, Outcome::Done | Outcome::Skipped);
            scheduled.failures = if done { 0 } else { scheduled.failures + 1 };
            // The plan pauses a step by its trace, once that is visible.
            let has_trace = report.error.is_some_and(StepFailure::is_shared);
            let pause = if done { Duration::ZERO } else { backoff(scheduled.failures) };
            let visible_after = match (has_trace, done) {
                (true, _) => TRACE_DELAY,
                (false, true) => VISIBILITY_DELAY,
                (false, false) => Duration::ZERO,
            };
            scheduled.due = elapsed + pause.max(visible_after);
        }
        reports
    }

    /// Returns the time until the next observation.
    fn poll_interval(&mut self, world: &World) -> Duration {
        let randomness = 0.8 + 0.4 * self.engine.random();
        let interval = if self.changed {
            AFTER_CHANGE
        } else if let Some(waited) = self.time_waited(world) {
            (waited / WAITING_DIVISOR).clamp(*WAITING_INTERVAL.start(), *WAITING_INTERVAL.end())
        } else if self.watched {
            self.options.refresh
        } else {
            UNWATCHED_INTERVAL.max(self.options.refresh)
        };
        // All engines that AWS throttles, or does not answer twice, slow down at once and recover gradually.
        let is_throttled = world.problems().any(|problem| problem.is(ErrorClass::Throttled));
        let is_answered = world.now().is_some();
        self.unanswered = if is_answered { 0 } else { self.unanswered + 1 };
        self.slowdown = if is_throttled || self.unanswered > 1 {
            (self.slowdown * 2.0).min(MAX_SLOWDOWN)
        } else {
            (self.slowdown * 0.75).max(1.0)
        };
        let interval =
            interval.mul_f64(self.slowdown).min(MAX_SLOWED_INTERVAL.max(interval)).mul_f64(randomness);
        // A step that is due needs an observation that succeeds.
        let due = if is_throttled || !is_answered { None } else { self.next_due() };
        interval.min(due.unwrap_or(interval)).max(Duration::from_millis(500))
    }

    /// Returns the time until the next step that this engine may take.
    fn next_due(&self) -> Option<Duration> {
        let elapsed = self.engine.clock.elapsed();
        let allowed =
            self.scheduled.iter().filter(|(key, step)| step.planned && !self.is_denied(key.1, elapsed));
        allowed.map(|(_, step)| step.due.saturating_sub(elapsed)).min()
    }

    fn is_denied(&self, action: &str, elapsed: Duration) -> bool {
        self.denied.get(action).is_some_and(|(until, _)| elapsed < *until)
    }

    /// Returns how long the user has waited; `None` if that is too long to keep observing often.
    fn time_waited(&mut self, world: &World) -> Option<Duration> {
        let elapsed = self.engine.clock.elapsed();
        let waited = self.engine.time_waited(world);
        let requested = self.engine.latest_request().unwrap_or_default();
        self.waiting_since = waited.map(|_| self.waiting_since.unwrap_or(elapsed).max(requested));
        waited.filter(|_| self.waiting_since.is_none_or(|since| elapsed.saturating_sub(since) < MAX_WAITING))
    }

    fn next_backoff(&mut self) -> Duration {
        self.failures += 1;
        backoff(self.failures).mul_f64(0.8 + 0.4 * self.engine.random())
    }
}

/// Exponential backoff: 2, 4, 8 … seconds.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(9)).min(MAX_BACKOFF)
}

/// Whether two worlds contain the same resources, regardless of the time of observation.
fn same_resources(a: &World, b: &World) -> bool {
    a.records.items == b.records.items
        && a.instances.items == b.instances.items
        && a.databases.items == b.databases.items
}

impl Engine {
    fn is_own(&self, step: &Step) -> bool {
        let own_requests = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        step.record().is_some_and(|record| own_requests.contains_key(record))
    }

    /// Returns when this engine's user last asked for something.
    fn latest_request(&self) -> Option<Duration> {
        self.own_requests.lock().unwrap_or_else(PoisonError::into_inner).values().max().copied()
    }

    /// Returns how long this engine's user has waited for the last request, or for the latest of the user's environments that are
    /// starting or being reset.
    fn time_waited(&self, world: &World) -> Option<Duration> {
        let (now, elapsed) = (world.now().unwrap_or_default(), self.clock.elapsed());
        let requests = self.own_requests.lock().unwrap_or_else(PoisonError::into_inner);
        // A recent request may not be visible yet, because reads lag.
        let recent = requests
            .values()
            .map(|at| elapsed.saturating_sub(*at))
            .filter(|waited| *waited < VISIBILITY_DELAY);
        let is_own = |record: &Record| requests.contains_key(&record.id) || record.owner == self.config.user;
        let environments = Environment::all(world, now);
        let starting = environments.iter().filter(|environment| {
            matches!(environment.state, EnvironmentState::Launching | EnvironmentState::Starting)
                && is_own(environment.record)
        });
        let waited =
            starting.map(|environment| (now - environment.record.created_at).to_std().unwrap_or_default());
        let resets = environments.iter().filter_map(|environment| environment.reset.as_ref());
        let resets = resets.map(|reset| reset.replacement).filter(|replacement| is_own(replacement));
        let resets = resets.map(|replacement| (now - replacement.created_at).to_std().unwrap_or_default());
        recent.chain(waited).chain(resets).min()
    }
}
