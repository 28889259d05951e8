//! Scenarios in TOML: the initial state, latencies and faults of a simulated cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::strictness::{Neighbours, Strictness};

/// The configuration of a simulated cloud. The default is an account with a network, an image and a source database, without faults and
/// latency of calls.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Scenario {
    pub region: String,
    /// The account's number.
    pub account: String,
    pub source_database: String,
    /// The name of the initial fleet.
    pub fleet: String,
    /// Settings of the fleet's policy.
    pub policy: BTreeMap<String, String>,
    pub environments: Vec<InitialEnvironment>,
    /// The initial number of free databases.
    pub free: u32,
    /// The initial number of databases that are being restored.
    pub creating: u32,
    /// How many days of earlier launches the audit log has.
    pub days_of_history: u32,
    /// Services with a repository in the registry, besides those of the environments.
    pub services: Vec<String>,
    /// Whether the account has resources that only resemble the fleet's: with its name but not its tags, and, like copies of tagged resources,
    /// with its tags but not its name.
    pub decoys: bool,
    pub latency: Latency,
    pub faults: Faults,
    pub strictness: Strictness,
    pub neighbours: Neighbours,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            region: "eu-west-1".into(),
            account: "123456789012".into(),
            source_database: "integration".into(),
            fleet: "dev".into(),
            policy: BTreeMap::new(),
            environments: Vec::new(),
            free: 0,
            creating: 0,
            days_of_history: 0,
            services: Vec::new(),
            decoys: false,
            latency: Latency::default(),
            faults: Faults::default(),
            strictness: Strictness::default(),
            neighbours: Neighbours::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InitialEnvironment {
    pub name: String,
    pub owner: String,
    /// The time since its launch.
    #[serde(with = "humantime_serde")]
    pub age: Duration,
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// Services under test.
    #[serde(default)]
    pub services: BTreeMap<String, String>,
    #[serde(default)]
    pub note: Option<String>,
    /// The reason why its bootstrap fails; it succeeds without one.
    #[serde(default)]
    pub fails: Option<String>,
}

/// Durations as ranges of seconds, `[min, max]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Latency {
    /// From request to response of a call.
    pub call: [f64; 2],
    /// From `pending` to `running`.
    pub running: [f64; 2],
    /// From launch until the bootstrap begins.
    pub boot: [f64; 2],
    /// The bootstrap's phase `images`.
    pub images: [f64; 2],
    /// The bootstrap's phase `cluster`.
    pub cluster: [f64; 2],
    /// The bootstrap's phase `services`.
    pub services: [f64; 2],
    /// From `shutting-down` to `terminated`.
    pub terminate: [f64; 2],
    /// From the request of a restore to `available`.
    pub restore: [f64; 2],
    /// From the request of a deletion until a database is gone.
    pub delete: [f64; 2],
}

impl Default for Latency {
    /// Returns the figures published for the original system: 18 s to `running`, 26 s to SSH, 25 s for Minikube, 21 s for its ingress, restores of
    /// 10 to 30 min, deletions of 3 to 6 min.
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

/// A guarantee of AWS on which the engine's protocols rely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Requests with the same client token launch one instance. Emulators violate this.
    ClientTokens,
    /// The names of launch templates are unique.
    UniqueNames,
    /// A launch from a deleted launch template fails.
    Fencing,
}

/// Faults. Probabilities are from 0 to 1, per call unless stated otherwise, and 0 by default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Faults {
    /// The maximum staleness of a read in seconds. It differs from call to call, so reads are not monotonic.
    pub lag: f64,
    /// The probability that an item of a listing lacks its tags.
    pub missing_tags: f64,
    /// Whether requests are throttled by the buckets that AWS publishes.
    pub throttling: bool,
    /// How often per day other callers use up the account's buckets for some minutes, if `throttling` is set.
    pub noisy_neighbours_per_day: f64,
    /// The probability that a write is made and its response is lost.
    pub lost_response: f64,
    /// The probability that a request is lost.
    pub lost_request: f64,
    /// The probability that a write is processed twice.
    pub duplicate: f64,
    /// The probability of a 5xx error without a change.
    pub unavailable: f64,
    /// The probability that a launch fails for lack of capacity.
    pub capacity: f64,
    /// The probability that a failed launch uses up its client token.
    pub burnt_token: f64,
    /// The probability that a launch with a used token and other parameters returns the earlier instance instead of an error.
    pub mismatch_succeeds: f64,
    /// Guarantees that the account violates, to show that the protocols need them.
    pub broken: BTreeSet<Guarantee>,
    /// The maximum number of active instances.
    pub instance_quota: Option<u32>,
    /// The maximum number of databases.
    pub database_quota: Option<u32>,
    /// The probability that a restore fails.
    pub restore_fails: f64,
    /// The probability that a restore never ends.
    pub restore_hangs: f64,
    /// The share of deployments into ready environments that fail.
    pub deployment_fails: f64,
    /// How often per day an instance fails.
    pub instance_failures_per_day: f64,
    /// How often per day an operator changes resources by hand.
    pub operator_per_day: f64,
    /// How often per day an Availability Zone lacks capacity for half an hour.
    pub zone_out_per_day: f64,
    /// The probability that a call is denied.
    pub denied: f64,
    /// The callers whose writes are denied.
    pub read_only: BTreeSet<String>,
    /// Whether the registry refuses to list repositories and image tags.
    pub registry_denied: bool,
    /// The number of items on a page of a listing.
    pub page: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            lag: 0.0,
            missing_tags: 0.0,
            throttling: false,
            noisy_neighbours_per_day: 0.0,
            lost_response: 0.0,
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
            deployment_fails: 0.0,
            instance_failures_per_day: 0.0,
            operator_per_day: 0.0,
            zone_out_per_day: 0.0,
            denied: 0.0,
            read_only: BTreeSet::new(),
            registry_denied: false,
            page: 100,
        }
    }
}

impl Scenario {
    /// Parses a scenario.
    ///
    /// # Errors
    /// Returns an error with its position if the text is not a scenario.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Returns the scenario of the demo.
    ///
    /// # Errors
    /// Cannot fail in practice: the text is embedded, and a test parses it.
    pub fn demo() -> Result<Self, toml::de::Error> {
        Self::parse(include_str!("scenarios/demo.toml"))
    }

    /// Returns the scenario with a mix of all faults.
    ///
    /// # Errors
    /// Cannot fail in practice: the text is embedded, and a test parses it.
    pub fn hostile() -> Result<Self, toml::de::Error> {
        Self::parse(include_str!("scenarios/hostile.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_scenarios_are_valid() {
        assert!(Scenario::demo().unwrap().environments.len() >= 6);
        let hostile = Scenario::hostile().unwrap().faults;
        assert!(hostile.lag > 0.0 && hostile.lost_response > 0.0 && hostile.throttling);
        assert!(Scenario::parse("nonsense = 1").is_err());
        assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    }
}
