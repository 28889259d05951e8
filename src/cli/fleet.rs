//! `fleet`: list, show, change and create fleets.

use clap::Subcommand;

use super::connect::{connect, find_fleet, owner};
use super::init::{self, InitArgs};
use super::{Global, json, print, print_json, remark, table};
use crate::cloud::{self, DynCloud};
use crate::config::Config;
use crate::domain::policy::{SETTINGS, Setting};
use crate::domain::{CloudError, Fleet, FleetName, Policy, TagChanges};
use crate::failure::{Failure, Kind};

/// What can be done with fleets.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// List the fleets of the Region
    Ls,
    /// Show a fleet's policy
    Show,
    /// Change a fleet's policy
    Set {
        /// Settings and their values, such as spare=2; an empty value takes the default
        #[arg(required = true, value_name = "SETTING=VALUE")]
        settings: Vec<String>,
    },
    /// Create a fleet
    Init(Box<InitArgs>),
}

impl FleetCommand {
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Set { .. } => true,
            Self::Init(args) => !args.dry_run,
            Self::Ls | Self::Show => false,
        }
    }
}

pub(crate) async fn run(command: FleetCommand, global: &Global, config: &Config) -> Result<(), Failure> {
    // What is wrong with the values is said before anything is asked of AWS.
    if let FleetCommand::Init(args) = &command {
        args.check()?;
    }
    let cloud = connect(global, config).await?;
    match command {
        FleetCommand::Ls => list(&cloud, global).await,
        FleetCommand::Show => {
            let fleet = read(&cloud, &find_fleet(&cloud, global, config).await?).await?;
            show(&fleet, global)
        }
        FleetCommand::Set { settings } => {
            let name = find_fleet(&cloud, global, config).await?;
            set(&cloud, &name, &settings, global).await
        }
        FleetCommand::Init(args) => init::run(&cloud, &args, owner(config)?, global.json).await,
    }
}

pub(crate) async fn read(cloud: &DynCloud, name: &FleetName) -> Result<Fleet, Failure> {
    let fleet = cloud.fleet(name).await;
    let fleet = fleet.map_err(|error| Failure::cloud(format!("cannot read fleet {name}"), &error))?;
    fleet.ok_or_else(|| {
        let message = format!("there is no fleet {:?} in {}", name.as_str(), cloud.region());
        Failure::new(Kind::NotFound, message, "see hatchery fleet ls, or check the Region and the profile")
    })
}

async fn list(cloud: &DynCloud, global: &Global) -> Result<(), Failure> {
    let fleets = cloud::collect(cloud.fleets()).await;
    if let Some(problem) = &fleets.problem {
        return Err(Failure::cloud("cannot list the fleets", problem));
    }
    if global.json {
        let fleets: Vec<_> = fleets
            .iter()
            .map(|fleet| {
                serde_json::json!({
                    "name": fleet.name, "template": fleet.template, "spare": fleet.policy.spare,
                    "paused": fleet.policy.paused, "problems": fleet.problems,
                })
            })
            .collect();
        return print_json(&serde_json::json!({
            "version": json::VERSION, "region": cloud.region(), "fleets": fleets,
        }));
    }
    let rows = fleets.iter().map(|fleet| {
        vec![
            fleet.name.to_string(),
            fleet.policy.source_database.clone(),
            fleet.policy.spare.to_string(),
            if fleet.policy.paused { "paused" } else { "" }.to_owned(),
            fleet.problems.join("; "),
        ]
    });
    let headings = ["NAME", "SOURCE DATABASE", "SPARE", "", "PROBLEMS"];
    table::show(&headings, rows.collect(), "There are no fleets. Create one with: hatchery fleet init")
}

fn show(fleet: &Fleet, global: &Global) -> Result<(), Failure> {
    let defaults = Policy::for_fleet(&fleet.name);
    if global.json {
        let settings: serde_json::Map<_, _> = SETTINGS
            .iter()
            .map(|setting| (setting.name.to_owned(), setting.get(&fleet.policy).into()))
            .collect();
        return print_json(&serde_json::json!({
            "version": json::VERSION, "fleet": fleet.name, "template": fleet.template, "settings": settings,
            "problems": fleet.problems,
        }));
    }
    let rows = SETTINGS.iter().map(|setting| {
        let value = setting.get(&fleet.policy);
        let default = value == setting.get(&defaults);
        vec![
            setting.name.to_owned(),
            value.unwrap_or_else(|| "—".to_owned()),
            if default { "default" } else { "" }.to_owned(),
            setting.about.to_owned(),
        ]
    });
    table::show(&["SETTING", "VALUE", "", "WHAT IT DOES"], rows.collect(), "")?;
    fleet.problems.iter().for_each(|problem| remark(problem));
    Ok(())
}

async fn set(
    cloud: &DynCloud,
    name: &FleetName,
    settings: &[String],
    global: &Global,
) -> Result<(), Failure> {
    let fleet = read(cloud, name).await?;
    let (policy, changes) = change(&fleet, settings)?;
    if let Some(gap) = policy.gaps().into_iter().find(|gap| !fleet.problems.contains(gap)) {
        return Err(Failure::new(Kind::Usage, gap, "nothing was changed"));
    }
    init::check_references(cloud, &fleet.policy, &policy).await?;
    let tagged = cloud.tag_fleet(&fleet.template, &changes).await;
    tagged.map_err(|error| unwritten(format!("cannot change fleet {name}"), &error))?;
    let changed: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| setting.get(&fleet.policy) != setting.get(&policy))
        .map(|setting| (setting.name, setting.get(&fleet.policy), setting.get(&policy)))
        .collect();
    if global.json {
        let changed: Vec<_> = changed
            .iter()
            .map(|(name, from, to)| serde_json::json!({ "setting": name, "from": from, "to": to }))
            .collect();
        return print_json(
            &serde_json::json!({ "version": json::VERSION, "fleet": name, "changed": changed }),
        );
    }
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "—".to_owned());
    let lines = changed.iter().map(|(name, from, to)| format!("{name}: {} → {}\n", shown(from), shown(to)));
    let text: String = lines.collect();
    print(if text.is_empty() { "Nothing has changed.\n" } else { &text })
}

/// The policy as it is to be, and the tags that say so.
fn change(fleet: &Fleet, settings: &[String]) -> Result<(Policy, TagChanges), Failure> {
    let defaults = Policy::for_fleet(&fleet.name);
    let mut policy = fleet.policy.clone();
    let mut changes = TagChanges::new();
    for text in settings {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(Kind::Usage, format!("{text:?} is no SETTING=VALUE"), "write it as spare=2, say")
        })?;
        let setting = Setting::find(name).ok_or_else(|| {
            let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            let message = format!("there is no setting {name:?}");
            Failure::new(Kind::Usage, message, format!("there are: {}", names.join(", ")))
        })?;
        if value.trim().is_empty() {
            if let Some(default) = setting.get(&defaults) {
                setting.set(&mut policy, &default)?;
            } else if setting.get(&policy).is_some() {
                setting.set(&mut policy, "")?;
            }
            changes = changes.remove(setting.tag);
        } else {
            setting.set(&mut policy, value)?;
            changes = match setting.get(&policy) {
                Some(value) => changes.set(setting.tag, value),
                None => changes.remove(setting.tag),
            };
        }
    }
    Ok((policy, changes))
}

/// A fleet that could not be written. Whether it was, environments do not tell.
pub(crate) fn unwritten(what: impl std::fmt::Display, error: &CloudError) -> Failure {
    let failure = Failure::cloud(what, error);
    if failure.kind == Kind::UnknownOutcome {
        return Failure { hint: "look with hatchery fleet show before you try again".to_owned(), ..failure };
    }
    failure
}
