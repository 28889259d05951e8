//! One run of the binary, and the engine of the fleet that a command works on.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::console::Console;
use super::fleets::{self, FleetChoice};
use super::options::GlobalOptions;
use crate::clock::Clock;
use crate::cloud::{self, AskCode, DynAccount, DynCloud};
use crate::config::Config;
#[cfg(feature = "aws")]
use crate::domain::ErrorClass;
use crate::domain::audit::engine_name;
use crate::domain::{FleetName, World, text};
use crate::engine::{self, Engine, Notify, look_again};
use crate::failure::{Failure, Kind};
use crate::sessions::PortForwards;
use crate::tui::Zone;

/// What a command runs on in place of AWS, the system clock and the terminal.
pub struct Platform {
    pub account: DynAccount,
    /// Clock for waits and timestamps.
    pub clock: Clock,
    /// Streams of the command.
    pub console: Console,
    /// The time zone of this computer.
    pub zone: Zone,
    /// Host name in the audit log.
    pub hostname: String,
    /// Seed of the engine's random waits.
    pub seed: u64,
}

/// One run of the binary: what the user asked for and where it happens.
pub(crate) struct Session {
    pub(crate) options: GlobalOptions,
    pub(crate) config: Config,
    pub(crate) console: Arc<Console>,
    pub(crate) clock: Clock,
    /// The time zone in which times are shown.
    pub(crate) zone: Zone,
    /// To be closed before the process ends.
    pub(crate) forwards: PortForwards,
    /// What a dashboard says that it waits for.
    pub(crate) waits: watch::Sender<String>,
    /// Set if it is not AWS, or if the user was asked for a code to connect. Fleets of one profile and Region share it.
    account: Arc<OnceLock<DynAccount>>,
    hostname: String,
    lambda_request: Option<String>,
    seed: u64,
}

impl Session {
    pub(crate) fn new(options: GlobalOptions, config: Config, console: Console) -> Self {
        let hostname = whoami::hostname().unwrap_or_else(|_| "unknown".to_owned());
        Self {
            zone: options.zone(Zone::Local),
            options: options.without_empty_environment(),
            config,
            console: Arc::new(console),
            clock: Clock::system(),
            forwards: PortForwards::default(),
            waits: watch::Sender::default(),
            account: Arc::default(),
            hostname,
            lambda_request: None,
            seed: rand::random(),
        }
    }

    /// Makes this the session of a request to the Lambda function, whose host name is an address that changes.
    #[cfg(feature = "aws")]
    pub(crate) fn of_lambda_request(self, id: &str) -> Self {
        Self { hostname: "lambda".to_owned(), lambda_request: Some(id.to_owned()), ..self }
    }

    pub(crate) fn on(platform: Platform, options: GlobalOptions, config: Config) -> Self {
        let Platform { account, clock, console, zone, hostname, seed } = platform;
        let console = console.with_json(options.json);
        let zone = options.zone(zone);
        let account = Arc::new(OnceLock::from(account));
        Self { clock, zone, account, hostname, seed, ..Self::new(options, config, console) }
    }

    /// Returns a session for the fleets of a dashboard, each with its choice.
    pub(crate) fn for_dashboard(&self) -> Result<Vec<(Self, FleetChoice)>, Failure> {
        let mut sessions: Vec<(Self, FleetChoice)> = Vec::new();
        for choice in fleets::choose_all(&self.options, &self.config)? {
            let is_same =
                |other: &FleetChoice| (&other.profile, &other.region) == (&choice.profile, &choice.region);
            let shared =
                sessions.iter().find(|(_, other)| is_same(other)).map(|(first, _)| first.account.clone());
            let mut session = self.with_fleet(&choice);
            session.account = match shared {
                Some(account) => account,
                // Another account, unless it is a simulated one.
                None => Arc::new(self.account.get().cloned().map_or_else(OnceLock::new, OnceLock::from)),
            };
            sessions.push((session, choice));
        }
        Ok(sessions)
    }

    /// Returns a session for the one fleet of a command.
    pub(crate) fn for_one_fleet(&self) -> Result<Self, Failure> {
        Ok(self.with_fleet(&fleets::choose_one(&self.options, &self.config)?))
    }

    fn with_fleet(&self, choice: &FleetChoice) -> Self {
        let FleetChoice { fleet, profile, region, .. } = choice.clone();
        Self {
            options: GlobalOptions { fleet, region, profile, ..self.options.clone() },
            config: Config { fleet: None, profile: None, region: None, ..self.config.clone() },
            console: Arc::clone(&self.console),
            clock: self.clock.clone(),
            zone: self.zone,
            forwards: self.forwards.clone(),
            waits: watch::Sender::default(),
            account: Arc::clone(&self.account),
            hostname: self.hostname.clone(),
            lambda_request: self.lambda_request.clone(),
            seed: self.seed,
        }
    }

    /// Returns why nothing may be changed: the option, or the configuration of the profile.
    pub(crate) fn read_only_reason(&self) -> Option<String> {
        if self.options.read_only {
            return Some("--read-only is set".to_owned());
        }
        let profile = self.config.profile_name(self.options.profile.as_deref(), cloud::variable);
        self.config
            .is_read_only(&profile)
            .then(|| format!("the configuration makes the profile {profile:?} read-only"))
    }

    /// Connects to the account. No request is sent yet.
    pub(crate) async fn connect(&self) -> Result<DynAccount, Failure> {
        self.connect_with(User { ask_code: self.ask_code(), tell: self.notify() }).await
    }

    async fn connect_with(&self, user: User) -> Result<DynAccount, Failure> {
        match self.account.get() {
            Some(account) => Ok(account.clone()),
            None => connect_to_aws(&self.options, &self.config, user).await,
        }
    }

    /// As [`Self::connect`], for a dashboard, which has the terminal for itself.
    async fn connect_quietly(&self) -> Result<DynAccount, Failure> {
        let waits = self.waits.clone();
        let tell: Notify = Arc::new(move |what: &str| {
            waits.send_replace(what.to_owned());
        });
        self.connect_with(User { ask_code: None, tell }).await
    }

    /// Asks for the code of an MFA device if the profile needs one, before a dashboard takes the terminal.
    #[cfg(feature = "aws")]
    pub(crate) async fn ask_for_code(&self) -> Result<(), Failure> {
        if self.account.get().is_some() {
            return Ok(());
        }
        let tell = self.notify();
        // A dashboard shows why it cannot connect, and tries again.
        let user = User { ask_code: self.ask_code(), tell };
        let Ok(cloud) = aws(&self.options, &self.config, user).await else { return Ok(()) };
        let asked = cloud.ask_for_code().await;
        if asked.map_err(|error| Failure::cloud("cannot log in", &error))? {
            let _ = self.account.set(Arc::new(cloud));
        }
        Ok(())
    }

    #[cfg(not(feature = "aws"))]
    #[allow(clippy::unused_async)] // same signature as with the feature
    pub(crate) async fn ask_for_code(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Returns how the user logs in, if the credentials come from a session of the AWS CLI.
    #[cfg(feature = "aws")]
    pub(crate) async fn login(&self) -> Option<cloud::Login> {
        let profile = self.options.profile.as_deref().or(self.config.profile.as_deref());
        cloud::aws::login(profile).await
    }

    #[cfg(not(feature = "aws"))]
    #[allow(clippy::unused_async)] // same signature as with the feature
    pub(crate) async fn login(&self) -> Option<cloud::Login> {
        None
    }

    /// Returns how to ask for a code, or `None` if there is no terminal.
    fn ask_code(&self) -> Option<AskCode> {
        if !self.console.is_interactive() {
            return None;
        }
        let console = Arc::clone(&self.console);
        Some(Arc::new(move |serial: String| {
            let console = Arc::clone(&console);
            Box::pin(async move {
                console.ask(&format!("Code of the MFA device {}: ", text::sanitize(&serial))).await
            })
        }))
    }

    /// Connects, finds the fleet and creates its engine.
    pub(crate) async fn context(&self) -> Result<Context<'_>, Failure> {
        let notify = self.notify();
        let account = self.connect().await?;
        let (account, engine) = self.find_engine(account, Some(&notify)).await?;
        Ok(Context { account, console: &self.console, zone: self.zone, engine: engine.with_notify(notify) })
    }

    /// As [`Self::context`], without messages on standard error, for a dashboard. Also returns the account.
    pub(crate) async fn quiet_engine(&self) -> Result<(DynAccount, Engine), Failure> {
        self.find_engine(self.connect_quietly().await?, None).await
    }

    async fn find_engine(
        &self,
        account: DynAccount,
        notify: Option<&Notify>,
    ) -> Result<(DynAccount, Engine), Failure> {
        let owner = self.owner()?;
        let fleet = look_again(&self.clock, notify, || self.find_fleet_once(&account)).await?;
        let engine = self.engine(account.clone(), fleet, owner);
        Ok((account, engine))
    }

    /// Tells the user on standard error why a command takes longer.
    fn notify(&self) -> Notify {
        let console = Arc::clone(&self.console);
        Arc::new(move |message| console.notice(message))
    }

    pub(crate) fn engine(&self, cloud: DynCloud, fleet: FleetName, owner: String) -> Engine {
        let config = engine::EngineConfig {
            fleet,
            host: engine_name(&text::sanitize(&self.hostname)),
            user: owner,
            request: self.lambda_request.clone(),
            seed: self.seed,
            version: version(),
        };
        Engine::new(cloud, self.clock.clone(), config)
    }

    /// Returns the user's name, which becomes the owner of launched environments: `HATCHERY_OWNER`, else the
    /// configuration's `owner`, else the login name.
    pub(crate) fn owner(&self) -> Result<String, Failure> {
        let configured = std::env::var("HATCHERY_OWNER").ok().filter(|owner| !owner.is_empty());
        let configured = configured.or_else(|| self.config.owner.clone());
        let owner = configured.or_else(|| whoami::username().ok()).unwrap_or_else(|| "unknown".to_owned());
        if owner.is_empty() || !text::is_printable(&owner, 64) {
            let message = format!("not a valid owner: {owner:?}");
            let hint = "set HATCHERY_OWNER to 1 to 64 printable characters";
            return Err(Failure::new(Kind::Usage, message, hint));
        }
        Ok(owner)
    }

    /// Returns the fleet that the user named, else the only one in the Region.
    pub(crate) async fn find_fleet(&self, account: &DynAccount) -> Result<FleetName, Failure> {
        self.look_again(|| self.find_fleet_once(account)).await
    }

    /// As the function [`look_again()`], with a message to the user of this session.
    pub(crate) async fn look_again<T, F>(&self, look: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        look_again(&self.clock, Some(&self.notify()), look).await
    }

    async fn find_fleet_once(&self, account: &DynAccount) -> Result<FleetName, Failure> {
        if let Some(name) = self.options.fleet.as_ref().or(self.config.fleet.as_ref()) {
            return Ok(name.parse::<FleetName>()?);
        }
        let fleets = cloud::collect(account.fleets()).await;
        if let Some(problem) = &fleets.problem {
            return Err(Failure::cloud("cannot list the fleets", problem));
        }
        let mut names: Vec<_> = fleets.items.into_iter().map(|fleet| fleet.name).collect();
        names.sort();
        match names.len() {
            0 => {
                let message = format!("there is no fleet in {}", account.region());
                let hint = "check the Region and the profile, or create one: deploy the template of hatchery stack, or use hatchery fleet init";
                Err(Failure::new(Kind::NotFound, message, hint))
            }
            1 => Ok(names.remove(0)),
            _ => {
                let names = names.iter().map(FleetName::as_str).collect::<Vec<_>>().join(", ");
                let message = format!("there are several fleets in {}: {names}", account.region());
                Err(Failure::new(Kind::Ambiguous, message, "choose one with --fleet"))
            }
        }
    }
}

/// What a command on one fleet works with.
pub(crate) struct Context<'s> {
    pub(crate) account: DynAccount,
    pub(crate) console: &'s Console,
    pub(crate) zone: Zone,
    pub(crate) engine: Engine,
}

impl Context<'_> {
    pub(crate) fn cloud(&self) -> &DynCloud {
        self.engine.cloud()
    }

    pub(crate) fn fleet(&self) -> &FleetName {
        &self.engine.config().fleet
    }

    /// Returns the instant this long ago, but not before 1970, which is as far back as AWS's logs can go.
    pub(crate) fn ago(&self, duration: Duration) -> DateTime<Utc> {
        let duration = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let instant = self.engine.clock().now().checked_sub_signed(duration);
        instant.map_or(DateTime::UNIX_EPOCH, |instant| instant.max(DateTime::UNIX_EPOCH))
    }

    /// Observes the fleet without its launch history. Also returns the time by AWS's clock.
    pub(crate) async fn observe(&self) -> Result<(World, DateTime<Utc>), Failure> {
        self.check(self.engine.observe().await?)
    }

    /// As [`Self::observe`], but fails unless records, instances and databases are listed completely.
    pub(crate) async fn observe_completely(&self) -> Result<(World, DateTime<Utc>), Failure> {
        let world = self.engine.observe().await?;
        let World { records, instances, databases, .. } = &world;
        let problems: Vec<_> =
            [&records.problem, &instances.problem, &databases.problem].into_iter().flatten().collect();
        // A permanent error decides, because the others pass.
        let permanent = problems.iter().find(|problem| !problem.class.is_temporary());
        if let Some(problem) = permanent.or(problems.first()) {
            return Err(Failure::cloud("cannot list the environments", problem));
        }
        let now = self.time_of(&world);
        Ok((world, now))
    }

    fn time_of(&self, world: &World) -> DateTime<Utc> {
        world.now().unwrap_or_else(|| self.engine.clock().now())
    }

    /// Observes the fleet and, if the policy sizes the pool automatically, its launch history.
    pub(crate) async fn observe_pool(&self) -> Result<(World, DateTime<Utc>), Failure> {
        self.check(self.engine.observe_pool().await?)
    }

    /// Reports listings that failed. Fails if no record could be read, because an empty list would be wrong.
    fn check(&self, world: World) -> Result<(World, DateTime<Utc>), Failure> {
        let now = self.time_of(&world);
        for problem in world.problems() {
            self.console.notice(&format!("the listing is incomplete: {problem}"));
        }
        if let Some(problem) = world.records.problem.as_ref().filter(|_| world.records.items.is_empty()) {
            return Err(Failure::cloud("cannot list the environments", problem));
        }
        Ok((world, now))
    }
}

/// Says where a command acts, such as `account 123456789012, eu-west-1`.
pub(crate) async fn place(account: &DynAccount) -> String {
    match account.identity().await {
        Ok(identity) => format!("account {}, {}", identity.account, account.region()),
        // The caller may still do what the identity is only shown for.
        Err(_) => format!("an unknown account, {}", account.region()),
    }
}

/// Returns this binary's version, which the engine compares with the policy's `min-version`.
pub(crate) fn version() -> semver::Version {
    semver::Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(semver::Version::new(0, 0, 0))
}

/// How the user is reached while credentials are fetched.
#[cfg_attr(not(feature = "aws"), allow(dead_code))]
struct User {
    /// `None` if there is no terminal to ask in.
    ask_code: Option<AskCode>,
    tell: Notify,
}

#[cfg(feature = "aws")]
async fn connect_to_aws(options: &GlobalOptions, config: &Config, user: User) -> Result<DynAccount, Failure> {
    Ok(Arc::new(aws(options, config, user).await?))
}

#[cfg(feature = "aws")]
async fn aws(options: &GlobalOptions, config: &Config, user: User) -> Result<cloud::aws::AwsCloud, Failure> {
    let options = cloud::aws::ConnectOptions {
        region: options.region.clone().or_else(|| config.region.clone()),
        profile: options.profile.clone().or_else(|| config.profile.clone()),
        endpoint_url: options.endpoint_url.clone(),
        ask_code: user.ask_code,
        tell: Some(user.tell),
    };
    check_region(options.region.as_deref())?;
    let cloud = cloud::aws::AwsCloud::connect(&options).await.map_err(|error| {
        if error.is(ErrorClass::Auth) {
            return Failure::cloud("cannot connect", &error);
        }
        let message = format!("cannot connect: {}", error.message);
        let hint = match error.code.as_str() {
            "InvalidSetting" => "correct it",
            "EmptySetting" => "set it to a value, or unset it",
            _ => "to try hatchery without AWS, run: hatchery demo",
        };
        Failure::new(Kind::Usage, message, hint)
    })?;
    check_region(Some(cloud::Cloud::region(&cloud)))?;
    Ok(cloud)
}

#[cfg(not(feature = "aws"))]
#[allow(clippy::unused_async)] // same signature as with the feature
async fn connect_to_aws(_: &GlobalOptions, _: &Config, _: User) -> Result<DynAccount, Failure> {
    let message = "this hatchery was built without AWS support";
    Err(Failure::new(Kind::Failed, message, "run hatchery demo, or build with the feature aws"))
}

/// Rejects a Region that is not a plain word, because the SDK makes it part of a host name.
#[cfg(feature = "aws")]
fn check_region(region: Option<&str>) -> Result<(), Failure> {
    let is_valid = |region: &str| {
        (1..=32).contains(&region.len()) && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match region {
        Some(region) if !is_valid(region) => {
            let message = format!("not a valid Region: {region:?}");
            Err(Failure::new(Kind::Usage, message, "use a name such as eu-west-1"))
        }
        _ => Ok(()),
    }
}
