//! The options that every command takes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser as _};
use strum::VariantNames as _;

use crate::config::{self, Config};
use crate::domain::{format, text};
use crate::failure::{Failure, Kind};
use crate::logging::FILTER_VARIABLE;
use crate::tui::theme::{Theme, Themes};
use crate::tui::{NotifyBy, Zone, locale};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
#[allow(clippy::struct_excessive_bools)] // each is a flag of its own
pub(crate) struct GlobalOptions {
    /// Name of the fleet; optional if the Region has only one.
    #[arg(long, global = true, env = "HATCHERY_FLEET", value_name = "NAME")]
    pub(crate) fleet: Option<String>,
    /// AWS Region
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// AWS profile
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Endpoint URL to use for every AWS service
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Print JSON instead of text, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Refuse to change anything
    #[arg(long, global = true)]
    pub(crate) read_only: bool,
    /// Do not run the engine behind the dashboard
    #[arg(long, global = true)]
    pub(crate) no_engine: bool,
    /// Theme of the dashboard
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) theme: Option<String>,
    /// Leave the mouse to the terminal, to select text with it
    #[arg(long, global = true)]
    pub(crate) no_mouse: bool,
    /// How the dashboard tells you something while you look elsewhere
    #[arg(long, global = true, value_name = "HOW", value_parser = notify_by())]
    pub(crate) notify: Option<NotifyBy>,
    /// Show times in UTC instead of this computer's time zone
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Read this configuration file instead of the default one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write a log to this file; JSON if its name ends in .json
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, clap::Parser)]
#[command(name = "hatchery")]
struct OptionsOnly {
    #[command(flatten)]
    options: GlobalOptions,
}

impl GlobalOptions {
    /// Returns the zone in which times are shown: UTC if the user asks for it, else that of the computer.
    pub(crate) fn zone(&self, own: Zone) -> Zone {
        if self.utc { chrono_tz::UTC.into() } else { own }
    }

    /// Returns all themes, and the one to use: that of the flag, else of the configuration, else the default. `auto` is chosen by the
    /// terminal's background, unless a theme has that name.
    ///
    /// # Errors
    /// Returns a usage failure if a file is not a valid theme, or if there is no theme of the chosen name.
    pub(crate) fn themes(&self, config: &Config) -> Result<(Themes, Theme), Failure> {
        let themes = Themes::load(config::folder().map(|folder| folder.join("themes")).as_deref())?;
        let variable = |name: &str| std::env::var(name).ok();
        let no_color = has_no_color();
        let name = self.theme.as_deref().or(config.theme.as_deref());
        let name = match name {
            Some("auto") if themes.find("auto").is_err() => {
                (!no_color).then(|| locale::automatic_theme(variable))
            }
            name => name,
        };
        let theme = themes.choose(name, no_color)?;
        Ok((themes, theme))
    }

    /// An empty `HATCHERY_FLEET` is none, whereas an empty `--fleet` is a mistake.
    pub(crate) fn without_empty_environment(mut self) -> Self {
        if std::env::var_os("HATCHERY_FLEET").is_some_and(|name| name.is_empty()) {
            self.fleet = self.fleet.filter(|name| !name.is_empty());
        }
        self
    }

    /// Returns the arguments by which another process of hatchery finds the fleet that this one calls `label`, or the same one if that is empty.
    pub(crate) fn arguments(&self, label: &str) -> Vec<OsString> {
        let fleet = Some(label).filter(|label| !label.is_empty()).or(self.fleet.as_deref());
        let named = [
            ("--fleet", fleet.map(OsStr::new)),
            ("--region", self.region.as_deref().map(OsStr::new)),
            ("--profile", self.profile.as_deref().map(OsStr::new)),
            ("--endpoint-url", self.endpoint_url.as_deref().map(OsStr::new)),
            ("--config", self.config.as_deref().map(Path::as_os_str)),
        ];
        let given = named.into_iter().filter_map(|(name, value)| Some([name.into(), value?.to_owned()]));
        given.flatten().collect()
    }

    /// Options of a process that is started without arguments: `HATCHERY_FLEET` and defaults.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if one of hatchery's variables is not UTF-8.
    #[cfg_attr(not(feature = "aws"), allow(dead_code))]
    pub(crate) fn from_env() -> Result<Self, Failure> {
        check_environment()?;
        match OptionsOnly::try_parse_from(["hatchery", "--json"]) {
            Ok(parsed) => Ok(parsed.options),
            Err(error) => Err(Failure::new(Kind::Usage, error.to_string(), "correct HATCHERY_FLEET")),
        }
    }
}

/// The variables of the environment that hatchery reads, and what each can be set to.
const VARIABLES: [(&str, &str); 3] = [
    ("HATCHERY_FLEET", "the name of a fleet"),
    ("HATCHERY_OWNER", "1 to 64 printable characters"),
    (FILTER_VARIABLE, "a level or a target with its level, such as hatchery=debug"),
];

/// Refuses variables that are not text.
///
/// # Errors
/// Returns [`Kind::Usage`] if one of hatchery's variables is not UTF-8.
pub(crate) fn check_environment() -> Result<(), Failure> {
    for (name, example) in VARIABLES {
        if let Some(value) = std::env::var_os(name).filter(|value| value.to_str().is_none()) {
            let message = format!("{name} is not UTF-8: {:?}", text::sanitize(&value.to_string_lossy()));
            return Err(Failure::new(Kind::Usage, message, format!("set it to {example}, or unset it")));
        }
    }
    Ok(())
}

fn notify_by() -> impl TypedValueParser<Value = NotifyBy> {
    PossibleValuesParser::new(NotifyBy::VARIANTS).try_map(|text| text.parse())
}

/// Whether the user wants no colours. <https://no-color.org>
pub(crate) fn has_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Parses the duration of an option. The error does not repeat the text, because clap's message contains it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    format::parse_duration(text).map_err(|_| format!("not a valid duration ({})", format::EXAMPLES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_lead_to_the_same_fleet() {
        let given = ["hatchery", "--fleet", "dev,qa", "--profile", "x y", "--json", "--config", "/a"];
        let options = OptionsOnly::try_parse_from(given).unwrap().options;
        let expected = ["--fleet", "qa", "--profile", "x y", "--config", "/a"];
        assert_eq!(options.arguments("qa"), expected);
        let one = GlobalOptions { fleet: Some("dev".to_owned()), config: None, ..options };
        assert_eq!(one.arguments(""), ["--fleet", "dev", "--profile", "x y"]);
        let again =
            OptionsOnly::try_parse_from([OsString::from("hatchery")].into_iter().chain(one.arguments("")));
        assert_eq!(again.unwrap().options.profile.as_deref(), Some("x y"));
    }
}
