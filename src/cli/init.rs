//! `fleet init`: every value is checked against AWS before anything is written, and all problems are told at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use futures::join;

use super::fleet::unwritten;
use super::{json, print, print_json};
use crate::cloud::{DynCloud, SecurityGroup};
use crate::domain::policy::{SETTINGS, Setting};
use crate::domain::{CloudError, ErrorClass, FleetName, Image, NewFleet, Policy, Subnet, text};
use crate::engine::exposure;
use crate::failure::{Failure, Kind};

/// The most that EC2 takes as user data, before Base64.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>
const MOST_USER_DATA: usize = 16 * 1024;

/// Settings that are not for the beginning.
const NOT_AT_FIRST: [&str; 4] = ["paused", "last-number", "restore-failures", "min-version"];

/// A new fleet.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The fleet's name: lower-case letters, digits and hyphens
    name: String,
    #[command(flatten)]
    settings: SettingFlags,
    /// The EC2 instance type
    #[arg(long, default_value = "t3.2xlarge", value_name = "TYPE")]
    instance_type: String,
    /// A security group of the instances; may be repeated
    #[arg(long = "security-group", required = true, value_name = "SG")]
    security_groups: Vec<String>,
    /// The name or ARN of the instances' profile
    #[arg(long, value_name = "NAME")]
    instance_profile: Option<String>,
    /// The bootstrap script
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// The key pair for SSH
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// The size of the root volume, GiB
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=16_384), value_name = "GIB")]
    volume_gib: u32,
    /// Give no public address to the instances
    #[arg(long)]
    private: bool,
    /// Only check
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// One flag a setting of the policy, from the policy's own table.
#[derive(Debug, Default)]
struct SettingFlags(BTreeMap<&'static str, String>);

/// The flag of a setting: dots are for tags, hyphens are for flags.
fn flag(setting: &Setting) -> String {
    setting.name.replace('.', "-")
}

fn offered() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !NOT_AT_FIRST.contains(&setting.name))
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        offered().fold(command, |command, setting| {
            let required = ["source-database", "database-subnet-group", "subnets"].contains(&setting.name);
            command.arg(
                Arg::new(setting.name)
                    .long(flag(setting))
                    .help(setting.about)
                    .value_name("VALUE")
                    .required(required)
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
        let given = offered()
            .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl InitArgs {
    /// Says what is wrong with the values themselves.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.fleet().map(|_| ())
    }

    fn fleet(&self) -> Result<NewFleet, Failure> {
        let name: FleetName = self.name.parse()?;
        let mut policy = Policy::for_fleet(&name);
        for (name, value) in &self.settings.0 {
            if let Some(setting) = Setting::find(name) {
                setting.set(&mut policy, value)?;
            }
        }
        if let Some(gap) = policy.gaps().into_iter().next() {
            return Err(Failure::new(Kind::Usage, gap, "correct the flags"));
        }
        let words = [Some(&self.instance_type), self.instance_profile.as_ref(), self.key_name.as_ref()];
        for word in words.into_iter().flatten().chain(&self.security_groups) {
            if word.is_empty() || !text::is_printable(word, 256) || word.contains(char::is_whitespace) {
                let message = format!("{word:?} is not a name that AWS takes");
                return Err(Failure::new(Kind::Usage, message, "correct the flags"));
            }
        }
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

fn read_user_data(path: &std::path::Path) -> Result<String, Failure> {
    let shown = path.display();
    let script = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            Kind::Usage,
            format!("cannot read the user data {shown}: {error}"),
            "correct --user-data",
        )
    })?;
    if script.len() > MOST_USER_DATA {
        let message =
            format!("the user data {shown} has {} bytes and EC2 takes {MOST_USER_DATA}", script.len());
        return Err(Failure::new(Kind::Usage, message, "let it fetch the rest"));
    }
    Ok(script)
}

pub(crate) async fn run(
    cloud: &DynCloud,
    args: &InitArgs,
    owner: String,
    as_json: bool,
) -> Result<(), Failure> {
    let new = args.fleet()?;
    let problems = problems(cloud, &new).await?;
    if let Some(first) = problems.first() {
        let mut messages: Vec<_> = problems.iter().map(super::super::failure::Failure::sentence).collect();
        let last = messages.pop().unwrap_or_default();
        let earlier: String = messages.iter().map(|message| format!("{message}; also: ")).collect();
        let hint = "nothing was written";
        return Err(Failure::new(
            first.kind,
            format!("cannot create fleet {}: {earlier}{last}", new.name),
            hint,
        ));
    }
    if !args.dry_run {
        let created = cloud.create_fleet(&new).await;
        created.map_err(|error| match error.class {
            ErrorClass::AlreadyExists => {
                let message = format!("fleet {} exists already", new.name);
                Failure::new(Kind::Refused, message, "change it with: hatchery fleet set")
            }
            _ => unwritten(format!("cannot create fleet {}", new.name), &error),
        })?;
        tracing::info!(fleet = %new.name, owner, "created");
    }
    if as_json {
        let created = !args.dry_run;
        return print_json(
            &serde_json::json!({ "version": json::VERSION, "fleet": new.name, "created": created }),
        );
    }
    let name = &new.name;
    print(&if args.dry_run {
        format!("Fleet {name} could be created.\n")
    } else {
        format!("Created fleet {name}. Fill its pool with: hatchery engine --once --fleet {name}\n")
    })
}

/// Everything that is wrong with a new fleet, by what AWS says of each part.
async fn problems(cloud: &DynCloud, new: &NewFleet) -> Result<Vec<Failure>, Failure> {
    let policy = &new.policy;
    // Without credentials or a connection every check fails for the same reason: it is told once.
    let image = cloud.latest_image(&policy.image_tag).await;
    if let Err(error) = &image
        && matches!(error.class, ErrorClass::Auth | ErrorClass::Transient | ErrorClass::Throttled)
    {
        return Err(Failure::cloud(format!("cannot create fleet {}", new.name), error));
    }
    let (subnets, groups, source) = join!(
        cloud.subnets(&policy.subnets),
        cloud.security_groups(&new.security_groups),
        database_problems(cloud, policy),
    );
    let mut problems = source;
    let subnets = keep(subnets, "subnets", &mut problems).unwrap_or_default();
    let groups = keep(groups, "security groups", &mut problems).unwrap_or_default();
    problems.extend(network_problems(&subnets, &groups, policy));
    match keep(image, "images", &mut problems) {
        Some(None) => {
            let message = format!("no available image is tagged hatchery:image={}", policy.image_tag);
            problems.push(Failure::new(
                Kind::NotFound,
                message,
                "run the image pipeline, or name another --image-tag",
            ));
        }
        Some(image) => problems.extend(type_problems(cloud, new, &subnets, image.as_ref()).await),
        None => {}
    }
    Ok(problems)
}

/// What was read, or the problem with it.
fn keep<T>(read: Result<T, CloudError>, what: &str, problems: &mut Vec<Failure>) -> Option<T> {
    read.map_err(|error| problems.push(Failure::cloud(format!("the {what} could not be read"), &error))).ok()
}

fn network_problems(subnets: &[Subnet], groups: &[SecurityGroup], policy: &Policy) -> Vec<Failure> {
    let mut problems: Vec<_> =
        exposure::exposed_groups(groups, policy).into_iter().map(exposure::refusal).collect();
    let mut vpcs: Vec<_> =
        subnets.iter().map(|subnet| &subnet.vpc).chain(groups.iter().map(|g| &g.vpc)).collect();
    vpcs.sort_unstable();
    vpcs.dedup();
    if vpcs.len() > 1 {
        let message = "the subnets and security groups are of several VPCs";
        problems.push(Failure::new(Kind::Usage, message, "name those of one VPC"));
    }
    problems
}

async fn database_problems(cloud: &DynCloud, policy: &Policy) -> Vec<Failure> {
    let source = &policy.source_database;
    let (found, snapshot, group, groups) = join!(
        cloud.source_database(source),
        cloud.latest_snapshot(source),
        cloud.database_subnet_group(&policy.database_subnet_group),
        cloud.security_groups(&policy.database_security_groups),
    );
    let mut problems = Vec::new();
    if let Some(None) = keep(found, "databases", &mut problems) {
        let message = format!("there is no database {source:?}");
        problems.push(Failure::new(Kind::NotFound, message, "correct --source-database"));
    }
    // Of a database that is not there, nobody wants to hear that it has no snapshot.
    if problems.is_empty() && keep(snapshot, "snapshots", &mut problems) == Some(None) {
        let message = format!("database {source:?} has no available snapshot");
        problems.push(Failure::new(Kind::NotFound, message, "take one, or turn its backups on"));
    }
    if keep(group, "DB subnet groups", &mut problems) == Some(None) {
        let message = format!("there is no DB subnet group {:?}", policy.database_subnet_group);
        problems.push(Failure::new(Kind::NotFound, message, "correct --database-subnet-group"));
    }
    keep(groups, "database's security groups", &mut problems);
    problems
}

async fn type_problems(
    cloud: &DynCloud,
    new: &NewFleet,
    subnets: &[Subnet],
    image: Option<&Image>,
) -> Vec<Failure> {
    let mut problems = Vec::new();
    let zones: Vec<_> = subnets.iter().map(|subnet| subnet.zone.clone()).collect();
    let offering = cloud.zones_offering(&new.instance_type, &zones).await;
    if keep(offering, "instance types", &mut problems).is_some_and(|offering| offering.is_empty()) {
        let message = format!("no zone of the subnets offers the instance type {}", new.instance_type);
        problems.push(Failure::new(Kind::NotFound, message, "correct --instance-type or --subnets"));
    }
    // Only a rehearsal tells whether the parts fit together and the profile may be passed on.
    if problems.is_empty()
        && let Err(error) = cloud.dry_run_launch(new, image).await
    {
        problems.push(Failure::cloud("a launch would be refused", &error));
    }
    problems
}

/// Checks what a changed policy refers to.
pub(crate) async fn check_references(cloud: &DynCloud, old: &Policy, new: &Policy) -> Result<(), Failure> {
    let mut problems = Vec::new();
    if old.subnets != new.subnets {
        keep(cloud.subnets(&new.subnets).await, "subnets", &mut problems);
    }
    let changed = old.source_database != new.source_database
        || old.database_subnet_group != new.database_subnet_group
        || old.database_security_groups != new.database_security_groups;
    if changed {
        problems.extend(database_problems(cloud, new).await);
    }
    match problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(Failure { hint: format!("{}; nothing was changed", problem.hint), ..problem }),
    }
}
