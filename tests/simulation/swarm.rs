//! The swarm: each seed has its own mix of faults, few of them at high rates or many at low ones, its own fleets, engines and people, and its
//! own length.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::cloud::sim::{Neighbours, Scenario, Strictness};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use strum::IntoEnumIterator as _;

/// Something that goes wrong, or that makes an account larger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter, strum::EnumString, strum::Display,
)]
pub(crate) enum Hazard {
    // The faults of the classic mix.
    Throttling,
    LostResponses,
    LostRequests,
    Duplicates,
    Unavailability,
    MissingTags,
    LaunchCapacity,
    InstanceQuota,
    DatabaseQuota,
    FailedRestores,
    HangingRestores,
    DyingInstances,
    Deletions,
    ZoneOutages,
    Denials,
    Crashes,
    // RDS as it is.
    Busy,
    Maintenance,
    Initialization,
    StorageFull,
    Terminal,
    TerminalRestores,
    RefusedWhileBusy,
    RestoreCapacity,
    DatabaseZoneOutages,
    SubnetGroupZones,
    UnsoldClass,
    // EC2 and CloudWatch Logs as they are.
    WriteLag,
    ListingLag,
    TwoTagCalls,
    MissingTagsById,
    InvalidLaunches,
    LogDelay,
    RejectedEvents,
    Outages,
    // People.
    Stops,
    StoppedInstances,
    Protection,
    BriefFailures,
    Namesakes,
    LostDescriptions,
    LostRecordTags,
    LostInstanceTags,
    LostDatabaseTags,
    GoodSettings,
    BadSettings,
    Pauses,
    ForeignActs,
    TwoOnOne,
    // The size of the account.
    Neighbours,
    ManyEngines,
    Fleets,
    AutoSpare,
    Hours,
    Weeks,
    // Later ones, which are drawn apart, so that the histories of the others stay as they are.
    Holds,
    Notices,
    Undone,
}

impl Hazard {
    fn is_drawn_apart(self) -> bool {
        self >= Self::Holds
    }
}

/// The hazards that the engine does not survive yet, each with the fault that it shows. `HATCHERY_HAZARDS=all` turns them on, and
/// `HATCHERY_HAZARDS=Stops,Busy` turns on these and no others.
pub(crate) const NOT_YET: &[(Hazard, &str)] = &[];

/// Violations that the engine causes even without the hazards above, by a part of their text, each with its cause. They are not reported.
pub(crate) const NOT_YET_CHECKS: &[(&str, &str)] = &[];

/// Whether a violation is reported.
pub(crate) fn is_reported(violation: &str) -> bool {
    std::env::var_os("HATCHERY_ALL_CHECKS").is_some()
        || !NOT_YET_CHECKS.iter().any(|(part, _)| violation.contains(part))
}

/// A fleet of one seed.
#[derive(Debug, Clone)]
pub(crate) struct SwarmFleet {
    pub(crate) name: &'static str,
    pub(crate) engines: u64,
    pub(crate) users: u64,
    pub(crate) policy: BTreeMap<String, String>,
    /// The fixed target, or `None` for `spare=auto`.
    pub(crate) spare: Option<usize>,
}

/// The configuration of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Swarm {
    /// The hazards with their levels, from 0 to 1.
    pub(crate) hazards: BTreeMap<Hazard, f64>,
    pub(crate) fleets: Vec<SwarmFleet>,
    pub(crate) days: f64,
    /// The mean time between two actions of a user.
    pub(crate) pace: Duration,
    pub(crate) scenario: Scenario,
}

const FLEETS: [&str; 3] = ["dev", "ops", "qa"];

/// Engine-days of one seed, so that no seed takes much longer than others.
const MAX_ENGINE_DAYS: f64 = 24.0;

impl Swarm {
    /// Returns the configuration of a seed. Each number is drawn whether it is used or not, so that a hazard that is turned on or off does not
    /// change the others.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5_4a26);
        let hazards = draw_hazards(&mut random);
        let level = |hazard: Hazard| hazards.get(&hazard).copied();
        let weeks = level(Hazard::Weeks).is_some() && random.random_bool(0.3);
        let days = if weeks { random.random_range(14.0..21.0) } else { random.random_range(0.8..2.0) };
        let pace = if weeks { 40_000.0 } else { random.random_range(2_000.0..9_000.0) };
        let fleets = level(Hazard::Fleets).map_or(1_u8, |level| if level < 0.3 { 2 } else { 3 });
        let most = level(Hazard::ManyEngines).map_or(5.0, |level| 6.0 + level * 24.0);
        let most = most.min(MAX_ENGINE_DAYS / days / f64::from(fleets)).max(1.0);
        let fleets = FLEETS[..usize::from(fleets)]
            .iter()
            .map(|name| SwarmFleet::draw(name, most, &hazards, &mut random))
            .collect::<Vec<_>>();
        let mut scenario = scenario(&hazards);
        scenario.policy.clone_from(&fleets[0].policy);
        let most_databases: usize = fleets.iter().map(SwarmFleet::max_databases).sum();
        let neighbours = scenario.neighbours.databases as usize + 4;
        // The ceilings hold below the quota, unless the quota is a hazard.
        let quota = match level(Hazard::DatabaseQuota) {
            Some(level) => most_databases * if level < 0.2 { 3 } else { 2 } / 4,
            None => most_databases + 10,
        };
        scenario.faults.database_quota = u32::try_from(quota + neighbours).ok();
        Self { hazards, fleets, days, pace: Duration::from_secs_f64(pace), scenario }
    }

    pub(crate) fn has(&self, hazard: Hazard) -> bool {
        self.hazards.contains_key(&hazard)
    }
}

/// Returns the names of `HATCHERY_HAZARDS`.
fn chosen() -> Option<String> {
    std::env::var("HATCHERY_HAZARDS").ok()
}

fn draw_hazards(random: &mut ChaCha8Rng) -> BTreeMap<Hazard, f64> {
    let (share, strength) = [(0.12, 1.0), (0.3, 0.6), (0.6, 0.3)][random.random_range(0..3)];
    let chosen = chosen();
    let mut apart = ChaCha8Rng::seed_from_u64(random.clone().random());
    Hazard::iter()
        .filter_map(|hazard| {
            let random = if hazard.is_drawn_apart() { &mut apart } else { &mut *random };
            let (is_drawn, level) = (random.random_bool(share), random.random::<f64>());
            let is_on = match chosen.as_deref() {
                None => is_drawn && !NOT_YET.iter().any(|(other, _)| *other == hazard),
                Some("all") => is_drawn,
                Some(names) => names.split(',').any(|name| name.parse() == Ok(hazard)),
            };
            // A higher level is drawn less often, unless the hazards were chosen.
            let is_chosen = chosen.as_deref().is_some_and(|chosen| chosen != "all");
            let level = if is_chosen { 0.5 + level / 2.0 } else { level * level * strength };
            is_on.then_some((hazard, level))
        })
        .collect()
}

impl SwarmFleet {
    fn draw(name: &'static str, most: f64, hazards: &BTreeMap<Hazard, f64>, random: &mut ChaCha8Rng) -> Self {
        let spare = random.random_range(0..4_usize);
        let max_databases = spare + random.random_range(4..12_usize);
        let engines = random.random_range(1.0..=most);
        let users = random.random_range(1..6);
        let is_auto = hazards.contains_key(&Hazard::AutoSpare);
        let mut policy: BTreeMap<String, String> = [
            ("spare", if is_auto { "auto".to_owned() } else { spare.to_string() }),
            ("max-databases", max_databases.to_string()),
            ("grace", ["5m", "10m", "1h"][random.random_range(0..3)].to_owned()),
            ("ttl", ["1h", "4h", "8h"][random.random_range(0..3)].to_owned()),
            ("max-lifetime", ["12h", "2d", "7d"][random.random_range(0..3)].to_owned()),
            ("image-tag", "dev".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if hazards.contains_key(&Hazard::Hours) {
            policy.insert("hours".into(), "Mon-Fri 07:00-19:00 Europe/Berlin".into());
        }
        if hazards.contains_key(&Hazard::Notices) {
            policy.insert("notify".into(), "arn:aws:sns:eu-west-1:123456789012:news".into());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 30
        let engines = engines as u64;
        Self { name, engines, users, policy, spare: (!is_auto).then_some(spare) }
    }

    pub(crate) fn max_databases(&self) -> usize {
        self.policy["max-databases"].parse().expect("a number")
    }
}

/// Returns the scenario with these hazards.
fn scenario(hazards: &BTreeMap<Hazard, f64>) -> Scenario {
    let rate = |hazard, max: f64| hazards.get(&hazard).map_or(0.0, |level| max * (0.1 + 0.9 * level));
    let has = |hazard| hazards.contains_key(&hazard);
    let mut scenario = Scenario { decoys: true, ..Scenario::default() };
    scenario.latency.call = [0.03, 0.4];
    let faults = &mut scenario.faults;
    faults.lag = 8.0;
    faults.page = 20;
    faults.throttling = has(Hazard::Throttling);
    faults.noisy_neighbours_per_day = rate(Hazard::Throttling, 6.0);
    faults.lost_response = rate(Hazard::LostResponses, 0.05);
    faults.lost_request = rate(Hazard::LostRequests, 0.05);
    faults.duplicate = rate(Hazard::Duplicates, 0.1);
    faults.unavailable = rate(Hazard::Unavailability, 0.05);
    faults.missing_tags = rate(Hazard::MissingTags, 0.02);
    faults.capacity = rate(Hazard::LaunchCapacity, 0.3);
    faults.burnt_token = if has(Hazard::LaunchCapacity) { 0.3 } else { 0.0 };
    faults.mismatch_succeeds = if has(Hazard::LaunchCapacity) { 0.5 } else { 0.0 };
    faults.instance_quota = has(Hazard::InstanceQuota).then_some(8);
    faults.restore_fails = rate(Hazard::FailedRestores, 0.1);
    faults.restore_hangs = rate(Hazard::HangingRestores, 0.05);
    faults.deployment_fails = 0.1;
    faults.instance_failures_per_day = rate(Hazard::DyingInstances, 1.0);
    faults.operator_per_day = rate(Hazard::Deletions, 4.0);
    faults.zone_out_per_day = rate(Hazard::ZoneOutages, 4.0);
    faults.denied = rate(Hazard::Denials, 0.005);
    let zone = |letter: char| vec![format!("eu-west-1{letter}")];
    let all_but_c = vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()];
    scenario.strictness = Strictness {
        listing_lag: rate(Hazard::ListingLag, 120.0),
        write_lag: rate(Hazard::WriteLag, 8.0),
        two_tag_calls: has(Hazard::TwoTagCalls),
        missing_tags_by_id: rate(Hazard::MissingTagsById, 0.01),
        busy_per_day: rate(Hazard::Busy, 6.0),
        maintenance_per_day: rate(Hazard::Maintenance, 2.0),
        initialization: has(Hazard::Initialization),
        loading_minutes: if has(Hazard::Initialization) { 40.0 } else { 0.0 },
        storage_full_per_day: rate(Hazard::StorageFull, 0.5),
        terminal_per_day: rate(Hazard::Terminal, 0.5),
        terminal_restores: has(Hazard::TerminalRestores),
        refused_while_busy: rate(Hazard::RefusedWhileBusy, 1.0),
        restore_capacity: rate(Hazard::RestoreCapacity, 0.3),
        database_zone_out_per_day: rate(Hazard::DatabaseZoneOutages, 2.0),
        database_zones: if has(Hazard::SubnetGroupZones) { all_but_c } else { Vec::new() },
        unsold_zones: if has(Hazard::UnsoldClass) { zone('b') } else { Vec::new() },
        log_delay: rate(Hazard::LogDelay, 60.0),
        log_rejected: rate(Hazard::RejectedEvents, 0.1),
        outages_per_day: rate(Hazard::Outages, 1.0),
    };
    let others = if has(Hazard::Neighbours) { 60 } else { 2 };
    scenario.neighbours =
        Neighbours { source: true, databases: others, templates: others, instances: others };
    scenario
}
