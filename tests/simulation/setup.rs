//! What every simulation begins with: paused time, an account that lives, and engines for it.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::cloud::sim::SimCloud;
use hatchery::domain::FleetName;
use hatchery::engine::{EngineConfig, LaunchRequest};
use tokio::task::JoinHandle;

/// Runs something on tokio's paused clock. Clocks are made inside of it, or they would not begin at its own instant.
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

/// Has happen in the account what happens by itself.
pub(crate) fn live(sim: &SimCloud) -> JoinHandle<()> {
    let sim = sim.clone();
    tokio::spawn(async move { sim.run_events().await })
}

/// Somebody's engine.
pub(crate) fn config(who: &str, seed: u64) -> EngineConfig {
    EngineConfig {
        fleet: dev(),
        user: who.to_owned(),
        host: format!("engine@{who}"),
        seed,
        version: semver::Version::new(1, 0, 0),
    }
}

/// A launch without anything special.
pub(crate) fn request(name: impl AsRef<str>, ttl: Option<Duration>) -> LaunchRequest {
    LaunchRequest { name: name.as_ref().parse().unwrap(), services: BTreeMap::new(), ttl, note: None }
}
