//! Scenarios: what a simulated cloud holds at the beginning, how long things take, and what goes wrong. TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A simulated cloud's beginning and its rules. Everything has a default: an account with a network, an image and a source
/// database, in which nothing goes wrong and every call is answered at once.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Scenario {
    /// The Region.
    pub region: String,
    /// The source database.
    pub source_database: String,
    /// The name of the fleet that is there from the beginning.
    pub fleet: String,
    /// Settings of that fleet's policy, by their names.
    pub policy: BTreeMap<String, String>,
    /// Environments that are there from the beginning.
    pub environments: Vec<InitialEnvironment>,
    /// Free databases that are there from the beginning.
    pub free: u32,
    /// Databases that are on their way at the beginning.
    pub creating: u32,
    /// Whether the account also holds what only looks like the fleet's: things with its name and not its tags, and things with
    /// its tags and not its name, as copies of tagged things have.
    pub decoys: bool,
    /// Seconds that things take.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            region: "eu-west-1".into(),
            source_database: "integration".into(),
            fleet: "dev".into(),
            policy: BTreeMap::new(),
            environments: Vec::new(),
            free: 0,
            creating: 0,
            decoys: false,
            latency: Latency::default(),
            faults: Faults::default(),
        }
    }
}

/// An environment that is there from the beginning.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InitialEnvironment {
    /// Its label.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// How long ago it was launched.
    #[serde(with = "humantime_text")]
    pub age: Duration,
    /// How long it was launched for.
    #[serde(with = "humantime_text")]
    pub ttl: Duration,
    /// Services under test.
    #[serde(default)]
    pub services: BTreeMap<String, String>,
    /// The owner's remark.
    #[serde(default)]
    pub note: Option<String>,
    /// Why its bootstrap fails, if it does.
    #[serde(default)]
    pub fails: Option<String>,
}

/// Ranges of seconds, `[least, most]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Latency {
    /// One call, there and back.
    pub call: [f64; 2],
    /// From `pending` to `running`.
    pub running: [f64; 2],
    /// From launch until the bootstrap begins.
    pub boot: [f64; 2],
    /// Fetching the images of the services under test.
    pub images: [f64; 2],
    /// Minikube and its ingress.
    pub cluster: [f64; 2],
    /// The services.
    pub services: [f64; 2],
    /// From `shutting-down` to `terminated`.
    pub terminate: [f64; 2],
    /// Restoring a database.
    pub restore: [f64; 2],
    /// Deleting a database.
    pub delete: [f64; 2],
}

impl Default for Latency {
    /// Published figures: 18 s to running, 26 s to SSH, Minikube 25 s, its ingress 21 s, restores of 10 to 30 min, deletions of
    /// 3 to 6 min.
    fn default() -> Self {
        Self {
            call: [0.0, 0.0],
            running: [14.0, 22.0],
            boot: [23.0, 30.0],
            images: [20.0, 90.0],
            cluster: [40.0, 52.0],
            services: [40.0, 100.0],
            terminate: [30.0, 60.0],
            restore: [600.0, 1_800.0],
            delete: [180.0, 360.0],
        }
    }
}

/// Something that AWS promises and that the protocols stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// A client token gives one instance, however often it is sent. Emulators break it.
    ClientTokens,
    /// No two launch templates have one name.
    UniqueNames,
    /// Nothing is launched from a launch template that is deleted.
    Fencing,
}

/// What goes wrong. Chances are from 0 to 1 and per call unless said otherwise; all are 0 by default.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Faults {
    /// The most seconds that a read lags behind; each call draws its own, so reads can go backwards.
    pub lag: f64,
    /// The chance that a listed item comes without its tags.
    pub missing_tags: f64,
    /// Whether the account's request buckets are those that AWS publishes.
    pub throttling: bool,
    /// How often a day others use up the account's buckets for some minutes. Only felt with `throttling`.
    pub noisy_neighbours_per_day: f64,
    /// The chance that a change takes effect and its answer is lost.
    pub lost_answer: f64,
    /// The chance that a call never arrives and is never answered.
    pub lost_request: f64,
    /// The chance that a change arrives twice.
    pub duplicate: f64,
    /// The chance of a 5xx that changes nothing.
    pub unavailable: f64,
    /// The chance that a launch finds no capacity.
    pub capacity: f64,
    /// The chance that a launch that failed has used its client token up all the same.
    pub burnt_token: f64,
    /// The chance that a launch with a used token and other values gives the earlier instance instead of a mismatch.
    pub mismatch_succeeds: f64,
    /// What AWS promises and this account does not keep: it shows what the promise is worth.
    pub broken: BTreeSet<Guarantee>,
    /// The most live instances of the account.
    pub instance_quota: Option<u32>,
    /// The most databases of the account.
    pub database_quota: Option<u32>,
    /// The chance that a restore fails, per restore.
    pub restore_fails: f64,
    /// The chance that a restore hangs for ever, per restore.
    pub restore_hangs: f64,
    /// The chance that an instance dies by itself, per day.
    pub dies_per_day: f64,
    /// How often a day somebody changes things by hand.
    pub operator_per_day: f64,
    /// How often a day a zone has no capacity for half an hour.
    pub zone_out_per_day: f64,
    /// The chance that a call is refused for want of permission.
    pub denied: f64,
    /// Items on a page of a listing.
    pub page: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            lag: 0.0,
            missing_tags: 0.0,
            throttling: false,
            noisy_neighbours_per_day: 0.0,
            lost_answer: 0.0,
            lost_request: 0.0,
            duplicate: 0.0,
            unavailable: 0.0,
            capacity: 0.0,
            burnt_token: 0.0,
            mismatch_succeeds: 0.0,
            broken: BTreeSet::new(),
            instance_quota: None,
            database_quota: None,
            restore_fails: 0.0,
            restore_hangs: 0.0,
            dies_per_day: 0.0,
            operator_per_day: 0.0,
            zone_out_per_day: 0.0,
            denied: 0.0,
            page: 100,
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Where the text is no scenario; the message says where.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The demo's: a lively fleet of several people.
    ///
    /// # Errors
    /// Never: the text is part of the program, and a test reads it.
    pub fn demo() -> Result<Self, toml::de::Error> {
        Self::parse(include_str!("scenarios/demo.toml"))
    }

    /// The default mix of everything that goes wrong.
    ///
    /// # Errors
    /// Never: the text is part of the program, and a test reads it.
    pub fn hostile() -> Result<Self, toml::de::Error> {
        Self::parse(include_str!("scenarios/hostile.toml"))
    }
}

/// Lengths of time as people write them.
mod humantime_text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_scenarios_can_be_read() {
        assert!(Scenario::demo().unwrap().environments.len() >= 6);
        let hostile = Scenario::hostile().unwrap().faults;
        assert!(hostile.lag > 0.0 && hostile.lost_answer > 0.0 && hostile.throttling);
        assert!(Scenario::parse("nonsense = 1").is_err());
        assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    }
}
