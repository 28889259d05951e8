//! Set-up of every simulation: paused time, the asynchronous events of the account, and engines.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::cloud::sim::SimCloud;
use hatchery::domain::{FleetName, NewFleet, Policy};
use hatchery::engine::{EngineConfig, LaunchRequest};
use tokio::task::JoinHandle;

/// Runs a future on tokio's paused clock. Create clocks inside the future: outside, they would start at another instant.
pub(crate) fn on_paused_time<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run)
}

pub(crate) fn dev() -> FleetName {
    "dev".parse().unwrap()
}

/// Runs the account's asynchronous events, such as finished restores.
pub(crate) fn run_events(sim: &SimCloud) -> JoinHandle<()> {
    let sim = sim.clone();
    tokio::spawn(async move { sim.run_events().await })
}

/// The configuration of an engine of this user.
pub(crate) fn config(who: &str, seed: u64) -> EngineConfig {
    EngineConfig {
        fleet: dev(),
        user: who.to_owned(),
        request: None,
        host: format!("engine@{who}"),
        seed,
        version: semver::Version::new(1, 0, 0),
    }
}

/// A fleet to create beside the first one, in its network.
pub(crate) fn new_fleet(name: &str, policy: Policy) -> NewFleet {
    NewFleet {
        name: name.parse().unwrap(),
        policy,
        instance_type: "t3.large".into(),
        security_groups: vec!["sg-0a1".into()],
        instance_profile: None,
        public_address: false,
        user_data: None,
        key_name: None,
        volume_gib: None,
    }
}

/// A launch without services or a note.
pub(crate) fn request(name: impl AsRef<str>, ttl: Option<Duration>) -> LaunchRequest {
    LaunchRequest { name: name.as_ref().parse().unwrap(), services: BTreeMap::new(), ttl, note: None }
}
