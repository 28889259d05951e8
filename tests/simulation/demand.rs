//! A pool sized by demand against pools of fixed sizes: a year of fifty engineers, run by the real engine.
//!
//! `cargo test --no-default-features --test simulation a_year_of_demand -- --ignored --nocapture` prints the table of
//! `ARCHITECTURE.md`; `HATCHERY_SEEDS=2` is another year.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc, Weekday};
use chrono_tz::Europe::Berlin;
use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::domain::Hours;
use hatchery::domain::tags::key;
use hatchery::engine::Engine;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::setup::{config, on_paused_time, request};

const ENGINEERS: u32 = 50;

/// Required hit rate, percent.
const REQUIRED_HIT_RATE: f64 = 99.0;

/// Interval of the engine's passes, as a schedule has it.
const PASS_INTERVAL: Duration = Duration::from_mins(5);

const HEADINGS: &str =
    "| policy | launches | hit rate | hit rate, Mon-Fri 07:00-19:00 | database-hours | databases |
|---|--:|--:|--:|--:|--:|";

const OFFICE: &str = "Mon-Fri 07:00-19:00 Europe/Berlin";
const ALWAYS: &str = "Mon-Sun 00:00-24:00 Europe/Berlin";

/// Public holidays in Berlin on working days of 2026.
const HOLIDAYS: [(u32, u32); 7] = [(1, 1), (4, 3), (4, 6), (5, 1), (5, 14), (5, 25), (12, 25)];

fn date(month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, month, day).unwrap()
}

/// The share of the engineers who are at work.
fn presence(day: NaiveDate) -> f64 {
    let between = |from: (u32, u32), to: (u32, u32)| (date(from.0, from.1)..=date(to.0, to.1)).contains(&day);
    if matches!(day.weekday(), Weekday::Sat | Weekday::Sun) || HOLIDAYS.contains(&(day.month(), day.day())) {
        0.0
    } else if between((1, 1), (1, 2)) || between((12, 21), (12, 31)) {
        0.3
    } else if between((7, 13), (8, 21)) {
        0.7
    } else if between((5, 15), (5, 15)) {
        0.4
    } else {
        1.0
    }
}

/// Times of launches: mostly in the morning, few at lunch, some in the afternoon, hardly any in the evening and at weekends.
fn launches(from: NaiveDate, days: u64, seed: u64) -> Vec<DateTime<Utc>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut launches = Vec::new();
    for day in (0..days).map(|n| from + Days::new(n)) {
        let at_work = presence(day) * random.random_range(0.8..1.2);
        for _ in 0..ENGINEERS {
            if random.random_bool((0.4 * at_work).min(1.0)) {
                launches.push(local(day, working_minute(&mut random)));
            }
            if random.random_bool(0.003) {
                launches.push(local(day, random.random_range(18.0 * 60.0..23.0 * 60.0)));
            }
        }
    }
    launches.sort_unstable();
    launches
}

fn working_minute(random: &mut impl Rng) -> f64 {
    match random.random_range(0..100) {
        // Bell-shaped around 9:20.
        0..55 => 8.0 * 60.0 + (0..4).map(|_| random.random_range(0.0..40.0)).sum::<f64>(),
        55..70 => random.random_range(10.0 * 60.0..12.0 * 60.0),
        70..75 => random.random_range(12.0 * 60.0..13.0 * 60.0),
        _ => random.random_range(13.0 * 60.0..17.5 * 60.0),
    }
}

fn local(day: NaiveDate, minute: f64) -> DateTime<Utc> {
    #[allow(clippy::cast_possible_truncation)] // less than a day
    let minute = TimeDelta::seconds((minute * 60.0) as i64);
    Berlin.from_local_datetime(&(day.and_time(NaiveTime::MIN) + minute)).earliest().unwrap().to_utc()
}

/// A period, and the launches in it.
struct Span {
    begin: DateTime<Utc>,
    /// Launches before this time are for learning only.
    counts_from: DateTime<Utc>,
    end: DateTime<Utc>,
    launches: Vec<DateTime<Utc>>,
}

impl Span {
    fn new(from: NaiveDate, days: u64, learning: u64, seed: u64) -> Self {
        let begin = from.and_time(NaiveTime::MIN).and_utc();
        let launches = launches(from, days, seed);
        Self { begin, counts_from: begin + Days::new(learning), end: begin + Days::new(days), launches }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Setup {
    Fixed(u32),
    Auto(&'static str),
}

impl Setup {
    fn policy(&self) -> BTreeMap<String, String> {
        let mut policy = BTreeMap::from([("ttl", "4h"), ("max-databases", "200"), ("spare-max", "20")]);
        let spare = match self {
            Self::Fixed(spare) => spare.to_string(),
            Self::Auto(hours) => {
                policy.insert("hours", hours);
                "auto".to_owned()
            }
        };
        policy.insert("spare", &spare);
        policy.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Fixed(spare) => format!("`spare={spare}`"),
            Self::Auto(hours) if *hours == ALWAYS => "`spare=auto`, at all hours".to_owned(),
            Self::Auto(_) => "`spare=auto`, Mon-Fri 07:00-19:00".to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    setup: Setup,
    launches: u32,
    hits: u32,
    /// Hits and launches within office hours.
    office: (u32, u32),
    /// Hours of unclaimed databases, from the request of their restore until they are deleted.
    database_hours: f64,
    created: u32,
}

impl Outcome {
    fn hit_rate(&self) -> f64 {
        100.0 * f64::from(self.hits) / f64::from(self.launches)
    }

    fn office_hit_rate(&self) -> f64 {
        100.0 * f64::from(self.office.0) / f64::from(self.office.1)
    }

    fn row(&self) -> String {
        format!(
            "| {} | {} | {:.2} % | {:.2} % | {:.0} | {} |",
            self.setup.name(),
            self.launches,
            self.hit_rate(),
            self.office_hit_rate(),
            self.database_hours,
            self.created
        )
    }
}

fn run(setup: &Setup, span: &Span) -> Outcome {
    on_paused_time(run_pool(setup, span))
}

/// Creates an account with an empty fleet, and an engine for it.
fn fleet(setup: &Setup, begin: DateTime<Utc>) -> (Engine, SimCloud, Clock) {
    let clock = Clock::virtual_from(begin, 1.0);
    let sim = SimCloud::new(Scenario { policy: setup.policy(), ..Scenario::default() }, 1, clock.clone());
    sim.limit_history(0);
    (Engine::new(sim.caller("schedule"), clock.clone(), config("schedule", 1)), sim, clock)
}

async fn run_pool(setup: &Setup, span: &Span) -> Outcome {
    let (engine, sim, clock) = fleet(setup, span.begin);
    let office: Hours = OFFICE.parse().unwrap();
    let mut outcome = Outcome {
        setup: setup.clone(),
        launches: 0,
        hits: 0,
        office: (0, 0),
        database_hours: 0.0,
        created: 0,
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut coming = span.launches.iter().copied().filter(|at| *at >= span.begin).peekable();
    let (mut now, mut pass) = (span.begin, span.begin);
    while pass < span.end {
        let next = coming.peek().map_or(pass, |at| (*at).min(pass));
        let idle = sim.inspect(|state| {
            let unclaimed =
                state.databases().filter(|(_, database)| !database.tags.contains_key(key::ENVIRONMENT));
            unclaimed.map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
        });
        #[allow(clippy::cast_precision_loss)] // some databases
        let held = idle.len() as f64 * (next - now).as_seconds_f64() / 3_600.0;
        let counts = now >= span.counts_from;
        let created: u32 = idle.into_iter().map(|id| u32::from(seen.insert(id))).sum();
        if counts {
            outcome.database_hours += held;
            outcome.created += created;
        }
        clock.sleep((next - now).to_std().unwrap()).await;
        now = next;
        if now == pass {
            engine.once(false).await.unwrap();
            pass += PASS_INTERVAL;
            continue;
        }
        coming.next();
        let launched = engine.launch(&request("checkout-fix", None)).await.unwrap();
        let is_launched = |id: &str| id == launched.database.as_str();
        let hit = sim.inspect(|state| {
            state.databases().any(|(id, database)| is_launched(id) && database.status == "available")
        });
        if !counts {
            continue;
        }
        outcome.launches += 1;
        outcome.hits += u32::from(hit);
        if office.contain(now) {
            outcome.office.0 += u32::from(hit);
            outcome.office.1 += 1;
        }
    }
    outcome
}

fn run_all(setups: &[Setup], span: &Span) -> Vec<Outcome> {
    setups.par_iter().map(|setup| run(setup, span)).collect()
}

/// Runs pools of 1, 2, 3 … databases, up to the first that reaches the required hit rate.
fn run_fixed(span: &Span) -> Vec<Outcome> {
    // Fixed pools need no learning period.
    let span = &Span { begin: span.counts_from, launches: span.launches.clone(), ..*span };
    let mut outcomes: Vec<Outcome> = Vec::new();
    let cores = u32::try_from(rayon::current_num_threads()).unwrap();
    for batch in (1..).step_by(cores as usize) {
        let setups: Vec<_> = (batch..batch + cores).map(Setup::Fixed).collect();
        for outcome in run_all(&setups, span) {
            let reached = outcome.hit_rate() >= REQUIRED_HIT_RATE;
            outcomes.push(outcome);
            if reached {
                return outcomes;
            }
        }
    }
    outcomes
}

struct Comparison {
    always: Outcome,
    office: Outcome,
    fixed: Vec<Outcome>,
}

impl Comparison {
    fn new(span: &Span) -> Self {
        let mut autos = run_all(&[Setup::Auto(ALWAYS), Setup::Auto(OFFICE)], span);
        let (office, always) = (autos.pop().unwrap(), autos.pop().unwrap());
        Self { always, office, fixed: run_fixed(span) }
    }

    fn table(&self) -> String {
        let rows = self.fixed.iter().chain([&self.always, &self.office]).map(Outcome::row);
        format!("{HEADINGS}\n{}", rows.collect::<Vec<_>>().join("\n"))
    }

    /// Asserts that demand-sized pools reach the required hit rate with fewer database-hours than the smallest fixed pool that does.
    fn assert_auto_wins(&self) {
        let table = self.table();
        let smallest = self.fixed.last().unwrap();
        assert!(smallest.hit_rate() >= REQUIRED_HIT_RATE, "{table}");
        assert!(self.always.hit_rate() >= REQUIRED_HIT_RATE, "{table}");
        assert!(self.always.database_hours < smallest.database_hours, "{table}");
        // Launches outside the hours may miss.
        assert!(self.office.office_hit_rate() >= REQUIRED_HIT_RATE, "{table}");
        assert!(self.office.database_hours < self.always.database_hours, "{table}");
    }
}

/// Three weeks after three weeks of learning.
#[test]
fn auto_pool_needs_fewer_database_hours() {
    let comparison = Comparison::new(&Span::new(date(1, 19), 42, 21, 1));
    println!("{}", comparison.table());
    comparison.assert_auto_wins();
}

/// Without a learning period.
#[test]
#[ignore = "prints the table of a year"]
fn a_year_of_demand() {
    let comparison = Comparison::new(&Span::new(date(1, 1), 365, 0, crate::seeds().start));
    println!("{}", comparison.table());
    comparison.assert_auto_wins();
}

/// The launch history is read every 15 minutes if the policy needs it, and never during a launch.
#[tokio::test(start_paused = true)]
async fn the_launch_history_is_read_sparingly() {
    let begin = "2026-03-02T08:00:00Z".parse().unwrap();
    let (engine, sim, clock) = fleet(&Setup::Auto(ALWAYS), begin);
    let reads = || sim.inspect(|state| state.requests().get("FilterLogEvents").copied().unwrap_or_default());
    engine.launch(&request("checkout-fix", None)).await.unwrap();
    assert_eq!(reads(), 0);
    for _ in 0..12 {
        engine.once(false).await.unwrap();
        clock.sleep(PASS_INTERVAL).await;
    }
    assert_eq!(reads(), 4, "every 15 minutes of an hour");
    engine.launch(&request("checkout-fix", None)).await.unwrap();
    assert_eq!(reads(), 4);
    // The first launch waited for its restore. The second one found a free database, whose restore time is known.
    let launches = engine.cloud().launches(&engine.config().fleet, begin).await.unwrap();
    let minutes: Vec<_> = launches.iter().map(|one| one.restore.map(|took| took.as_secs() / 60)).collect();
    assert!(matches!(minutes[..], [None, Some(10..=30)]), "{minutes:?}");

    let (engine, sim, _) = fleet(&Setup::Fixed(1), begin);
    engine.once(false).await.unwrap();
    assert_eq!(sim.inspect(|state| state.requests().get("FilterLogEvents").copied()), None);
}
