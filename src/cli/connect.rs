//! From flags and configuration to an engine for one fleet.

use crate::cli::Global;
use crate::clock::Clock;
use crate::cloud::{self, DynCloud};
use crate::config::Config;
use crate::domain::audit::engine_name;
use crate::domain::{FleetName, text};
use crate::engine::{self, Engine};
use crate::failure::{Failure, Kind};

/// What a command works with.
pub(crate) struct Context {
    /// The engine of the fleet.
    pub(crate) engine: Engine,
    /// Whether one JSON document is wanted.
    pub(crate) json: bool,
}

impl Context {
    /// The port.
    pub(crate) fn cloud(&self) -> &DynCloud {
        self.engine.cloud()
    }

    /// The fleet.
    pub(crate) fn fleet(&self) -> &FleetName {
        &self.engine.config().fleet
    }
}

/// Connects, finds the fleet, and makes its engine.
pub(crate) async fn context(global: &Global, config: &Config) -> Result<Context, Failure> {
    let cloud = connect(global, config).await?;
    let person = owner(config)?;
    let fleet = find_fleet(&cloud, global, config).await?;
    Ok(Context {
        engine: Engine::new(cloud, Clock::system(), engine_config(fleet, person)),
        json: global.json,
    })
}

/// How this process's engine is known.
pub(crate) fn engine_config(fleet: FleetName, person: String) -> engine::EngineConfig {
    let host = whoami::hostname().unwrap_or_else(|_| "unknown".to_owned());
    engine::EngineConfig {
        fleet,
        host: engine_name(&text::sanitize(&host)),
        user: person,
        seed: rand::random(),
        version: version(),
    }
}

/// This version of hatchery.
pub(crate) fn version() -> semver::Version {
    semver::Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(semver::Version::new(0, 0, 0))
}

/// Connects to AWS. Nothing is sent yet.
#[cfg(feature = "aws")]
pub(crate) async fn connect(global: &Global, config: &Config) -> Result<DynCloud, Failure> {
    let options = cloud::aws::ConnectOptions {
        region: global.region.clone().or_else(|| config.region.clone()),
        profile: global.profile.clone().or_else(|| config.profile.clone()),
        endpoint_url: global.endpoint_url.clone(),
    };
    check_region(options.region.as_deref())?;
    let cloud = cloud::aws::AwsCloud::connect(&options).await.map_err(|error| {
        Failure::new(Kind::Usage, format!("cannot connect: {}", error.message), "or try hatchery demo")
    })?;
    check_region(Some(cloud::Cloud::region(&cloud)))?;
    Ok(std::sync::Arc::new(cloud))
}

/// Without the adapter there is nothing to connect to.
#[cfg(not(feature = "aws"))]
#[allow(clippy::unused_async)] // the same signature as with it
pub(crate) async fn connect(_: &Global, _: &Config) -> Result<DynCloud, Failure> {
    let message = "this hatchery was built without its AWS adapter";
    Err(Failure::new(Kind::Failed, message, "run hatchery demo, or build it with the feature aws"))
}

/// A Region becomes part of a host name, so it must look like one.
#[cfg(feature = "aws")]
fn check_region(region: Option<&str>) -> Result<(), Failure> {
    let named = |region: &str| {
        (1..=32).contains(&region.len()) && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match region {
        Some(region) if !named(region) => {
            let message = format!("the Region {region:?} is not valid");
            Err(Failure::new(Kind::Usage, message, "use a name such as eu-west-1"))
        }
        _ => Ok(()),
    }
}

/// The name that environments are launched under.
pub(crate) fn owner(config: &Config) -> Result<String, Failure> {
    let named = std::env::var("HATCHERY_OWNER").ok().or_else(|| config.owner.clone());
    let owner = named.or_else(|| whoami::username().ok()).unwrap_or_else(|| "unknown".to_owned());
    if owner.is_empty() || !text::is_printable(&owner, 64) {
        let message = format!("the owner {owner:?} is not valid");
        return Err(Failure::new(
            Kind::Usage,
            message,
            "use up to 64 printable characters in HATCHERY_OWNER",
        ));
    }
    Ok(owner)
}

/// The fleet that was named, or the Region's only one.
pub(crate) async fn find_fleet(
    cloud: &DynCloud,
    global: &Global,
    config: &Config,
) -> Result<FleetName, Failure> {
    if let Some(named) = global.fleet.as_ref().or(config.fleet.as_ref()) {
        return Ok(named.parse::<FleetName>()?);
    }
    let fleets = cloud::collect(cloud.fleets()).await;
    if let Some(problem) = &fleets.problem {
        return Err(Failure::cloud("cannot list the fleets", problem));
    }
    let mut names: Vec<_> = fleets.items.into_iter().map(|fleet| fleet.name).collect();
    names.sort();
    match names.len() {
        0 => {
            let message = format!("there is no fleet in {}", cloud.region());
            let hint = "check the Region and the profile, or create one with: hatchery fleet init";
            Err(Failure::new(Kind::NotFound, message, hint))
        }
        1 => Ok(names.remove(0)),
        _ => {
            let names = names.iter().map(FleetName::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("there are several fleets in {}: {names}", cloud.region());
            Err(Failure::new(Kind::Ambiguous, message, "name one with --fleet"))
        }
    }
}
