//! Which fleets a run of the binary is about: those of `--fleet` or `HATCHERY_FLEET`, else of the configuration.

use std::collections::BTreeSet;

use super::options::GlobalOptions;
use crate::config::{Config, FleetEntry};
use crate::failure::{Failure, Kind};

/// A fleet, and what it takes to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FleetChoice {
    /// What the user calls it; empty if no fleet is named.
    pub(crate) label: String,
    /// Its name in AWS; `None` for the only one in the Region.
    pub(crate) fleet: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) production: bool,
}

/// Returns the fleets that a dashboard shows: those that are named with `--fleet`, else all of `[[fleets]]`, else that of the
/// configuration's `fleet`, else the only one in the Region.
pub(crate) fn choose_all(flags: &GlobalOptions, config: &Config) -> Result<Vec<FleetChoice>, Failure> {
    let names = match (&flags.fleet, &config.fleet) {
        (None, _) if !config.fleets.is_empty() => {
            config.fleets.iter().map(|entry| entry.name.as_str()).collect()
        }
        (Some(names), _) | (None, Some(names)) => split(names)?,
        (None, None) => return Ok(vec![resolve("", flags, config)]),
    };
    let choices: Vec<_> = names.into_iter().map(|name| resolve(name, flags, config)).collect();
    if choices.len() > 1 {
        check_flags(&choices, flags, config)?;
    }
    Ok(choices)
}

/// Returns the one fleet of a command: that of `--fleet`, else of the configuration's `fleet`, else the only one of `[[fleets]]`, else
/// the only one in the Region.
pub(crate) fn choose_one(flags: &GlobalOptions, config: &Config) -> Result<FleetChoice, Failure> {
    let (names, origin) = match (&flags.fleet, &config.fleet) {
        (Some(names), _) => (split(names)?, "you named"),
        (None, Some(names)) => (split(names)?, "the configuration names"),
        (None, None) => {
            (config.fleets.iter().map(|entry| entry.name.as_str()).collect(), "the configuration has")
        }
    };
    match names[..] {
        [] => Ok(resolve("", flags, config)),
        [name] => Ok(resolve(name, flags, config)),
        _ => {
            let message =
                format!("this command takes one fleet, and {origin} {}: {}", names.len(), names.join(", "));
            Err(Failure::new(Kind::Usage, message, "choose one with --fleet"))
        }
    }
}

/// Returns the names of a list such as `dev,qa`.
fn split(names: &str) -> Result<Vec<&str>, Failure> {
    let list: Vec<_> = names.split(',').map(str::trim).collect();
    let hint = "use names such as --fleet dev,qa";
    // A single empty name has another message.
    if list.len() > 1 && list.iter().any(|name| name.is_empty()) {
        return Err(Failure::new(Kind::Usage, format!("a name is missing in the fleets {names:?}"), hint));
    }
    let mut known = BTreeSet::new();
    match list.iter().find(|name| !known.insert(**name)) {
        Some(name) => Err(Failure::new(Kind::Usage, format!("the fleet {name} is named twice"), hint)),
        None => Ok(list),
    }
}

fn find<'c>(name: &str, config: &'c Config) -> Option<&'c FleetEntry> {
    config.fleets.iter().find(|entry| entry.name == name)
}

/// Returns the fleet of `[[fleets]]` with this name, else the one that AWS knows by it. Flags win over the entry, and that over the rest of
/// the configuration.
fn resolve(name: &str, flags: &GlobalOptions, config: &Config) -> FleetChoice {
    let entry = find(name, config);
    let of_entry = |part: fn(&FleetEntry) -> &Option<String>| entry.and_then(|entry| part(entry).clone());
    let or = |flag: &Option<String>, own: Option<String>, general: &Option<String>| {
        flag.clone().or(own).or_else(|| general.clone())
    };
    let is_named = flags.fleet.is_some() || !name.is_empty();
    FleetChoice {
        label: name.to_owned(),
        fleet: is_named.then(|| entry.map_or(name, FleetEntry::fleet_name).to_owned()),
        profile: or(&flags.profile, of_entry(|entry| &entry.profile), &config.profile),
        region: or(&flags.region, of_entry(|entry| &entry.region), &config.region),
        production: entry.is_some_and(|entry| entry.production),
    }
}

/// Refuses a profile or a Region for several fleets if one of them has its own, because it would show another fleet under its name.
fn check_flags(choices: &[FleetChoice], flags: &GlobalOptions, config: &Config) -> Result<(), Failure> {
    for choice in choices {
        let Some(entry) = find(&choice.label, config) else { continue };
        let own = [("--profile", &flags.profile, &entry.profile), ("--region", &flags.region, &entry.region)];
        for (flag, given, own) in own {
            if let (Some(given), Some(own)) = (given, own)
                && given != own
            {
                let message = format!(
                    "{flag} {given} is for all fleets, but {} has {own} in the configuration",
                    entry.name
                );
                let hint = format!("leave {flag} out, or show one fleet with --fleet");
                return Err(Failure::new(Kind::Usage, message, hint));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::*;

    const FLEETS: &str = r#"
region = "eu-west-1"
[[fleets]]
name = "dev"
[[fleets]]
name = "us"
fleet = "dev"
profile = "staging"
region = "us-east-1"
[[fleets]]
name = "live"
profile = "live"
production = true
"#;

    fn flags(arguments: &[&str]) -> GlobalOptions {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            options: GlobalOptions,
        }
        Flags::parse_from([&["hatchery"], arguments].concat()).options
    }

    fn all(arguments: &[&str], config: &str) -> Result<Vec<String>, String> {
        let choices = choose_all(&flags(arguments), &toml::from_str(config).unwrap());
        choices.map(|all| all.iter().map(describe).collect()).map_err(|failure| failure.message)
    }

    fn describe(choice: &FleetChoice) -> String {
        let FleetChoice { label, fleet, profile, region, production } = choice;
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let mark = if *production { " production" } else { "" };
        format!("{label}={} {} {}{mark}", part(fleet), part(profile), part(region))
    }

    #[rstest]
    #[case::nothing(&[], "", &["=- - -"])]
    #[case::fleet_of_the_configuration(&[], "fleet = \"qa\"", &["qa=qa - -"])]
    #[case::all(&[], FLEETS, &["dev=dev - eu-west-1", "us=dev staging us-east-1", "live=live live eu-west-1 production"])]
    #[case::one(&["--fleet", "us"], FLEETS, &["us=dev staging us-east-1"])]
    #[case::flags_win_for_one(&["--fleet", "us", "--region", "x-1", "--profile", "p"], FLEETS, &["us=dev p x-1"])]
    #[case::two(&["--fleet", "live, dev"], FLEETS, &["live=live live eu-west-1 production", "dev=dev - eu-west-1"])]
    #[case::unlisted(&["--fleet", "qa,dev"], FLEETS, &["qa=qa - eu-west-1", "dev=dev - eu-west-1"])]
    #[case::flag_for_those_without(&["--fleet", "dev,live", "--region", "x-1"], FLEETS, &["dev=dev - x-1", "live=live live x-1 production"])]
    #[case::no_entries(&["--fleet", "dev,qa", "--profile", "p"], "", &["dev=dev p -", "qa=qa p -"])]
    fn choices_of_a_dashboard(#[case] arguments: &[&str], #[case] config: &str, #[case] expected: &[&str]) {
        assert_eq!(all(arguments, config).unwrap(), expected);
    }

    #[rstest]
    #[case::region_of_another(&["--region", "x-1"], "--region x-1 is for all fleets, but us has us-east-1 in the configuration")]
    #[case::profile_of_another(&["--fleet", "dev,live", "--profile", "p"], "--profile p is for all fleets, but live has live in the configuration")]
    #[case::missing(&["--fleet", "dev,"], "a name is missing in the fleets \"dev,\"")]
    #[case::twice(&["--fleet", "dev,us,dev"], "the fleet dev is named twice")]
    fn refused_choices(#[case] arguments: &[&str], #[case] message: &str) {
        assert_eq!(all(arguments, FLEETS).unwrap_err(), message);
    }

    #[rstest]
    #[case::label(&["--fleet", "us"], FLEETS, Ok("us=dev staging us-east-1"))]
    #[case::default(&[], "fleet = \"live\"\n[[fleets]]\nname = \"dev\"\n[[fleets]]\nname = \"live\"\n", Ok("live=live - -"))]
    #[case::only_entry(&[], "[[fleets]]\nname = \"dev\"\n", Ok("dev=dev - -"))]
    #[case::none(&["--region", "x-1"], "", Ok("=- - x-1"))]
    #[case::several_entries(&[], FLEETS, Err("this command takes one fleet, and the configuration has 3: dev, us, live"))]
    #[case::several_named(&["--fleet", "a,b"], "", Err("this command takes one fleet, and you named 2: a, b"))]
    fn choice_of_a_command(
        #[case] arguments: &[&str],
        #[case] config: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let choice = choose_one(&flags(arguments), &toml::from_str(config).unwrap());
        let choice = choice.map(|choice| describe(&choice)).map_err(|failure| failure.message);
        assert_eq!(choice.as_deref().map_err(String::as_str), expected);
    }
}
