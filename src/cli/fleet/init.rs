//! `hatchery fleet init`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::checks;
use super::log::log_change;
use super::read::read;
use crate::cli::context::Session;
use crate::cli::json;
use crate::cloud::DynAccount;
use crate::domain::policy::{SETTINGS, Setting};
use crate::domain::{CloudError, ErrorClass, FleetName, NewFleet, Policy, text, user_data};
use crate::failure::{Failure, Kind};

/// Settings that make no sense for a new fleet, and `notify`, whose flag says how the dashboard notifies.
const SETTINGS_WITHOUT_FLAG: [&str; 6] =
    ["paused", "draining", "last-number", "restore-failures", "min-version", "notify"];

const REQUIRED_SETTINGS: [&str; 3] = ["source-database", "database-subnet-group", "subnets"];

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Name of the fleet: lower-case letters, digits and hyphens
    name: String,
    #[command(flatten)]
    settings: SettingFlags,
    /// EC2 instance type
    #[arg(long, default_value = "t3.2xlarge", value_name = "TYPE")]
    instance_type: String,
    /// Security group of the instances; repeat for more than one
    #[arg(long = "security-group", required = true, value_name = "SG")]
    security_groups: Vec<String>,
    /// Name or ARN of the instance profile
    #[arg(long, value_name = "NAME")]
    instance_profile: Option<String>,
    /// Bootstrap script to pass as user data
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Key pair for SSH
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// Size of the root volume in GiB
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=16_384), value_name = "GIB")]
    volume_gib: u32,
    /// Do not assign public IP addresses to the instances
    #[arg(long)]
    private: bool,
    /// Check the values without creating the fleet
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// One flag per setting of the policy, generated from [`SETTINGS`].
#[derive(Debug, Default)]
struct SettingFlags(BTreeMap<&'static str, String>);

fn settings_with_flag() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !SETTINGS_WITHOUT_FLAG.contains(&setting.name))
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        settings_with_flag().fold(command, |command, setting| {
            command.arg(
                Arg::new(setting.name)
                    .long(setting.name.replace('.', "-"))
                    .help(setting.about)
                    .value_name("VALUE")
                    .required(REQUIRED_SETTINGS.contains(&setting.name))
                    .help_heading("Policy"),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings_with_flag()
            .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl InitArgs {
    fn to_new_fleet(&self) -> Result<NewFleet, Failure> {
        let name: FleetName = self.name.parse()?;
        let mut policy = Policy::new(&name);
        for (name, value) in &self.settings.0 {
            if let Some(setting) = Setting::find(name) {
                setting.set(&mut policy, value)?;
            }
        }
        if let Some(gap) = policy.problems().into_iter().next() {
            return Err(Failure::new(Kind::Usage, gap.message, "correct the flags"));
        }
        check_names("--instance-type", [&self.instance_type])?;
        check_names("--security-group", &self.security_groups)?;
        check_names("--instance-profile", &self.instance_profile)?;
        check_names("--key-name", &self.key_name)?;
        Ok(NewFleet {
            name,
            policy,
            instance_type: self.instance_type.clone(),
            security_groups: self.security_groups.clone(),
            instance_profile: self.instance_profile.clone(),
            public_address: !self.private,
            user_data: self.user_data.as_ref().map(|path| read_user_data(path)).transpose()?,
            key_name: self.key_name.clone(),
            volume_gib: Some(self.volume_gib),
        })
    }
}

fn check_names<'n>(flag: &str, names: impl IntoIterator<Item = &'n String>) -> Result<(), Failure> {
    let is_valid =
        |name: &str| !name.is_empty() && text::is_printable(name, 256) && !name.contains(char::is_whitespace);
    match names.into_iter().find(|name| !is_valid(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("not a valid value for {flag}: {name:?}");
            Err(Failure::new(Kind::Usage, message, "use up to 256 printable characters without spaces"))
        }
    }
}

pub(super) async fn run(args: &InitArgs, session: &Session) -> Result<(), Failure> {
    // Values that are wrong in themselves are reported before any request.
    let new = args.to_new_fleet()?;
    let account = session.connect().await?;
    // A name that the audit log cannot have is reported before anything is created.
    session.owner()?;
    let name = &new.name;
    let problems = checks::find_problems(&account, &new).await?;
    if let Some(first) = problems.first() {
        let sentences: Vec<_> =
            problems.iter().map(|problem| format!("{} [{}]", problem.message, problem.hint)).collect();
        let message = format!("cannot create fleet {name}: {}", sentences.join("; "));
        return Err(Failure::new(first.kind, message, "nothing was written"));
    }
    if !args.dry_run {
        let (created, shown) = create(session, &account, &new).await;
        if !created.as_ref().is_err_and(|error| error.is(ErrorClass::AlreadyExists)) {
            log_change(session, &account, name, ("create-fleet", "fleet init"), &created).await?;
        }
        created.map_err(|error| match error.class {
            ErrorClass::AlreadyExists => {
                let message = format!("fleet {name} already exists");
                Failure::new(Kind::Refused, message, "change it with: hatchery fleet set")
            }
            _ => checks::write_failure(format!("cannot create fleet {name}"), &error),
        })?;
        shown.map_err(|failure| {
            let message = format!("fleet {name} was created, but this is not confirmed: {}", failure.message);
            Failure::new(failure.kind, message, "see whether it is there with: hatchery fleet ls")
        })?;
    }
    if session.console.is_json() {
        return session.console.print_json(&json::created_fleet(name, !args.dry_run));
    }
    session.console.print(&if args.dry_run {
        format!("All checks passed; fleet {name} can be created.\n")
    } else {
        format!("Created fleet {name}. Fill its pool with: hatchery engine --once --fleet {name}\n")
    })
}

/// Creates the fleet, and reads it back. Returns the outcomes of both.
///
/// EC2 does not document for how long it remembers a client token. A fleet like one that was removed a moment ago can be answered with the
/// launch template that was deleted, which no read shows. It is then requested anew.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
async fn create(
    session: &Session,
    account: &DynAccount,
    new: &NewFleet,
) -> (Result<(), CloudError>, Result<(), Failure>) {
    let (mut gone, mut shown) = (None, Ok(()));
    loop {
        let id = match account.create_fleet(new, gone.as_ref()).await {
            Ok(id) => id,
            // It exists after all: reads lag by more than they were given.
            Err(error) if error.is(ErrorClass::AlreadyExists) && gone.is_some() => return (Ok(()), shown),
            Err(error) => return (Err(error), Ok(())),
        };
        shown = read(session, account, &new.name).await.map(|_| ());
        if !shown.as_ref().is_err_and(|failure| failure.kind == Kind::NotFound) {
            return (Ok(()), shown);
        }
        gone = Some(id);
    }
}

/// Reads a file, and refuses what cloud-init would ignore or could not run.
fn read_user_data(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = path.display();
    let data = std::fs::read(path).map_err(|error| {
        Failure::new(Kind::Usage, format!("cannot read the user data {file}: {error}"), "correct --user-data")
    })?;
    if data.len() > user_data::MAX_BYTES {
        let (size, max) = (data.len(), user_data::MAX_BYTES);
        let message = format!("the user data {file} is too long: {size} bytes, and EC2 accepts {max}");
        return Err(Failure::new(Kind::Usage, message, "download the rest from the script"));
    }
    match user_data::check(&data) {
        Ok(()) => Ok(data),
        Err((problem, hint)) => {
            let message = format!("cloud-init would ignore the user data {file}: {problem}");
            Err(Failure::new(Kind::Usage, message, hint))
        }
    }
}
