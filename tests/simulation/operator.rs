//! People who change the account by hand: an operator who stops, protects and breaks things and removes tags, and an administrator who changes
//! the fleets' settings. Both put most of it right some hours later.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Intervention, SimCloud, State};
use hatchery::domain::tags::key;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::ownership::{is_instance, is_pool, is_template};
use crate::swarm::Hazard;

pub(crate) const OPERATOR: &str = "operator";
pub(crate) const ADMINISTRATOR: &str = "administrator";

/// What an operator does by hand.
const BY_HAND: [Hazard; 10] = [
    Hazard::Stops,
    Hazard::StoppedInstances,
    Hazard::Protection,
    Hazard::BriefFailures,
    Hazard::Namesakes,
    Hazard::LostDescriptions,
    Hazard::LostRecordTags,
    Hazard::LostInstanceTags,
    Hazard::LostDatabaseTags,
    Hazard::InvalidLaunches,
];

/// Statuses that an operator, or a change of a parameter or option group, can cause and repair.
const REPAIRABLE: [&str; 5] =
    ["incompatible-parameters", "incompatible-option-group", "storage-full", "modifying", "upgrading"];

/// Tags without which a resource still belongs to the fleet.
const DESCRIPTIVE: [&str; 9] = [
    key::NAME,
    key::OWNER,
    key::EXPIRES_AT,
    key::PHASE,
    key::CREATED_AT,
    key::CLAIM,
    key::NOTE,
    key::ZONE,
    key::SNAPSHOT_AT,
];

const IDENTITY: [&str; 4] = [key::FLEET, key::ROLE, key::ENVIRONMENT, key::DATABASE];

/// Settings with valid values and, last, an invalid one.
const SETTINGS: [(&str, [&str; 3]); 14] = [
    ("spare", ["0", "3", "many"]),
    ("ttl", ["2h", "6h", "0s"]),
    ("max-lifetime", ["12h", "3d", "-1h"]),
    ("grace", ["5m", "30m", "soon"]),
    ("max-databases", ["5", "12", "0"]),
    ("snapshot-drift", ["1h", "48h", "x"]),
    ("image-tag", ["dev", "none", ""]),
    ("database-class", ["db.t4g.medium", "db.t4g.small", ""]),
    ("database-subnet-group", ["private", "other", ""]),
    ("subnets", ["subnet-0a subnet-0b", "subnet-0c", "vpc-0a1"]),
    ("url.app", ["https://{ip}/", "http://{name}.example/", "ftp://{ip}"]),
    ("fallback-instance-types", ["t3.xlarge", "m7i.xlarge m7a.xlarge", "\u{7}"]),
    ("min-version", ["0.9.0", "1.0.0", "newest"]),
    ("source-database", ["integration", "integration", ""]),
];

pub(crate) struct Operator {
    pub(crate) sim: SimCloud,
    pub(crate) clock: Clock,
    pub(crate) random: ChaCha8Rng,
    pub(crate) fleets: Vec<&'static str>,
    pub(crate) hazards: BTreeMap<Hazard, f64>,
}

impl Operator {
    /// Acts by hand until it is dropped.
    pub(crate) async fn operate(mut self) {
        let hazards: Vec<_> =
            BY_HAND.into_iter().filter(|hazard| self.hazards.contains_key(hazard)).collect();
        if hazards.is_empty() {
            return std::future::pending().await;
        }
        loop {
            // Every three hours in the mean, and up to four times as often.
            let level: f64 = hazards.iter().map(|hazard| self.hazards[hazard]).fold(0.0, f64::max);
            let hours = self.random.random_range(0.1..6.0) / (1.0 + 3.0 * level);
            self.sleep_hours(hours).await;
            let hazard = hazards[self.random.random_range(0..hazards.len())];
            let fleet = self.fleets[self.random.random_range(0..self.fleets.len())];
            for (change, repair) in self.changes(hazard, fleet) {
                self.apply(OPERATOR, change, repair);
            }
        }
    }

    /// Changes settings until it is dropped.
    pub(crate) async fn administer(mut self) {
        let has = |hazard| self.hazards.contains_key(&hazard);
        let (good, bad, pauses) = (has(Hazard::GoodSettings), has(Hazard::BadSettings), has(Hazard::Pauses));
        if !good && !bad && !pauses {
            return std::future::pending().await;
        }
        loop {
            let hours = self.random.random_range(0.5..8.0);
            self.sleep_hours(hours).await;
            let fleet = self.fleets[self.random.random_range(0..self.fleets.len())];
            let (setting, values) = SETTINGS[self.random.random_range(0..SETTINGS.len())];
            let value = values[self.random.random_range(0..2)];
            let (setting, value) = match self.random.random_range(0..3) {
                0 if pauses => ("paused", "true"),
                1 if bad => (setting, values[2]),
                _ if good => (setting, value),
                _ if pauses => ("paused", "true"),
                _ => (setting, values[2]),
            };
            let Some((id, before)) = self.sim.inspect(|state| fleet_template(state, fleet, setting)) else {
                continue;
            };
            let key = format!("hatchery:{setting}");
            let change = Intervention::Tag(id.clone(), key.clone(), Some(value.to_owned()));
            let repair = Some((self.random.random_range(0.5..6.0), Intervention::Tag(id, key, before)));
            self.apply(ADMINISTRATOR, change, repair);
        }
    }

    async fn sleep_hours(&self, hours: f64) {
        self.clock.sleep(Duration::from_secs_f64(hours * 3_600.0)).await;
    }

    /// Makes a change, and schedules its repair.
    fn apply(&self, who: &'static str, change: Intervention, repair: Option<(f64, Intervention)>) {
        if self.sim.intervene(who, &change)
            && let Some((hours, repair)) = repair
        {
            let (sim, clock) = (self.sim.clone(), self.clock.clone());
            tokio::spawn(async move {
                clock.sleep(Duration::from_secs_f64(hours * 3_600.0)).await;
                let is_due = match (&change, &repair) {
                    // It has been repaired already, or is being deleted.
                    (Intervention::SetStatus(id, status), _) => {
                        sim.inspect(|state| has_status(state, id, status))
                    }
                    _ => true,
                };
                if is_due {
                    let _ = sim.intervene(who, &repair);
                }
            });
        }
    }

    /// Returns changes by hand, with their repairs and the hours until those.
    fn changes(&mut self, hazard: Hazard, fleet: &str) -> Vec<(Intervention, Option<(f64, Intervention)>)> {
        let hours = self.random.random_range(0.1..10.0);
        let forgets = self.random.random_bool(0.3);
        let repair = |change| if forgets { None } else { Some((hours, change)) };
        match hazard {
            Hazard::Stops => {
                // A scheduler that stops everything for the night, or one database by hand.
                let mut databases = self.sim.inspect(|state| databases(state, fleet));
                if self.random.random_bool(0.5) {
                    databases = self.choose(&databases).into_iter().collect();
                }
                let stop = |id: String| (Intervention::Stop(id.clone()), repair(Intervention::Start(id)));
                databases.into_iter().map(stop).collect()
            }
            Hazard::StoppedInstances => {
                let id = self.choose(&self.sim.inspect(|state| instances(state, fleet)));
                id.map(|id| (Intervention::Stop(id.clone()), repair(Intervention::Start(id))))
                    .into_iter()
                    .collect()
            }
            Hazard::Protection => {
                let mut ids = self.sim.inspect(|state| instances(state, fleet));
                ids.extend(self.sim.inspect(|state| databases(state, fleet)));
                let protect = |id: String, protected| Intervention::Protect(id, protected);
                let id = self.choose(&ids);
                id.map(|id| (protect(id.clone(), true), Some((hours, protect(id, false)))))
                    .into_iter()
                    .collect()
            }
            Hazard::BriefFailures => {
                let status = REPAIRABLE[self.random.random_range(0..REPAIRABLE.len())];
                let id = self.choose(&self.sim.inspect(|state| databases(state, fleet)));
                let set = |id: String, status| Intervention::SetStatus(id, status);
                let hours = hours / 10.0;
                id.map(|id| (set(id.clone(), status), Some((hours, set(id, "available")))))
                    .into_iter()
                    .collect()
            }
            Hazard::Namesakes => {
                let Some(next) = self.sim.inspect(|state| next_number(state, fleet)) else {
                    return Vec::new();
                };
                let number = next + self.random.random_range(0..3);
                let change = if self.random.random_bool(0.5) {
                    Intervention::CreateDatabase(format!("hatchery-{fleet}-{number}"))
                } else {
                    Intervention::CreateTemplate(format!("hatchery/{fleet}/{number}"))
                };
                vec![(change, None)]
            }
            Hazard::InvalidLaunches => {
                let hours = hours / 5.0;
                let break_launches = Intervention::BreakLaunches(Some("InvalidKeyPair.NotFound"));
                vec![(break_launches, Some((hours, Intervention::BreakLaunches(None))))]
            }
            _ => self.lost_tag(hazard, fleet, hours).into_iter().collect(),
        }
    }

    /// Removes one tag by hand. In most cases it comes back.
    fn lost_tag(
        &mut self,
        hazard: Hazard,
        fleet: &str,
        hours: f64,
    ) -> Option<(Intervention, Option<(f64, Intervention)>)> {
        let ids = self.sim.inspect(|state| match hazard {
            Hazard::LostRecordTags => records(state, fleet),
            Hazard::LostInstanceTags => instances(state, fleet),
            Hazard::LostDatabaseTags => databases(state, fleet),
            _ => [records(state, fleet), instances(state, fleet), databases(state, fleet)].concat(),
        });
        let id = self.choose(&ids)?;
        let keys: &[&str] = if hazard == Hazard::LostDescriptions { &DESCRIPTIVE } else { &IDENTITY };
        let key = keys[self.random.random_range(0..keys.len())];
        self.sim.inspect(|state| tag(state, &id, key))?;
        let remove = Intervention::Tag(id.clone(), key.to_owned(), None);
        let restore = Intervention::RestoreTag(id, key.to_owned());
        // A record without its tags is unreadable, so that what depends on it stays until they are written again.
        let comes_back = hazard == Hazard::LostRecordTags || self.random.random_bool(0.3);
        Some((remove, comes_back.then_some((hours, restore))))
    }

    fn choose(&mut self, ids: &[String]) -> Option<String> {
        if ids.is_empty() {
            return None;
        }
        Some(ids[self.random.random_range(0..ids.len())].clone())
    }

    /// Puts right what an operator can put right: starts what is stopped, removes protections, and repairs databases.
    pub(crate) fn tidy(sim: &SimCloud, fleets: &[&str]) {
        for fleet in fleets {
            for id in sim.inspect(|state| [instances(state, fleet), databases(state, fleet)].concat()) {
                let _ = sim.intervene(OPERATOR, &Intervention::Protect(id.clone(), false));
                let _ = sim.intervene(OPERATOR, &Intervention::Start(id.clone()));
                if REPAIRABLE.iter().any(|status| sim.inspect(|state| has_status(state, &id, status))) {
                    let _ = sim.intervene(OPERATOR, &Intervention::SetStatus(id, "available"));
                }
            }
        }
        let _ = sim.intervene(OPERATOR, &Intervention::BreakLaunches(None));
    }
}

fn has_status(state: &State, id: &str, status: &str) -> bool {
    state.databases().any(|(own, database)| own == id && database.status == status)
}

/// Returns the databases whose names and tags are the fleet's.
fn databases(state: &State, fleet: &str) -> Vec<String> {
    let own = state
        .databases()
        .filter(|(id, database)| is_pool(fleet, id, &database.tags) && database.status != "deleting");
    own.map(|(id, _)| id.to_owned()).collect()
}

fn instances(state: &State, fleet: &str) -> Vec<String> {
    let own = state
        .instances()
        .filter(|(_, instance)| is_instance(fleet, &instance.tags) && !instance.state.is_ending());
    own.map(|(id, _)| id.to_owned()).collect()
}

fn records(state: &State, fleet: &str) -> Vec<String> {
    let prefix = format!("hatchery/{fleet}/");
    let own = state.templates().filter(|(_, template)| {
        template.name.starts_with(&prefix) && is_template(fleet, &template.name, &template.tags)
    });
    own.map(|(id, _)| id.to_owned()).collect()
}

/// Returns a tag of a resource.
fn tag(state: &State, id: &str, key: &str) -> Option<String> {
    let template = state.templates().find(|(own, _)| *own == id).and_then(|(_, own)| own.tags.get(key));
    let instance = || state.instances().find(|(own, _)| *own == id).and_then(|(_, own)| own.tags.get(key));
    let database = || state.databases().find(|(own, _)| *own == id).and_then(|(_, own)| own.tags.get(key));
    template.or_else(instance).or_else(database).cloned()
}

/// Returns the id of a fleet's base template, and a setting's value.
pub(crate) fn fleet_template(state: &State, fleet: &str, setting: &str) -> Option<(String, Option<String>)> {
    let name = format!("hatchery/{fleet}");
    let (id, template) = state.templates().find(|(_, template)| template.name == name)?;
    Some((id.to_owned(), template.tags.get(&format!("hatchery:{setting}")).cloned()))
}

fn next_number(state: &State, fleet: &str) -> Option<u32> {
    let (_, last) = fleet_template(state, fleet, "last-number")?;
    last?.parse::<u32>().ok()?.checked_add(1)
}
