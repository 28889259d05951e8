//! The user's `config.toml`. Settings of a fleet are in its policy, in AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use serde::Deserialize;

use crate::cloud;
use crate::domain::format::parse_duration;
use crate::domain::{FleetName, text};
use crate::failure::{Failure, Kind};
use crate::tui::NotifyBy;

/// The content of `config.toml`. Every field is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    /// Name of the dashboard's theme.
    pub(crate) theme: Option<String>,
    /// Fleet to use without `--fleet`.
    pub(crate) fleet: Option<String>,
    /// Owner of launched environments; the login name by default.
    pub(crate) owner: Option<String>,
    /// AWS Region to use instead of the one in the AWS configuration.
    pub(crate) region: Option<String>,
    /// AWS profile to use without `--profile`.
    pub(crate) profile: Option<String>,
    /// The dashboard's poll interval at rest, such as `45s`; at least 5 s.
    #[serde(deserialize_with = "parse_refresh")]
    pub(crate) refresh: Option<Duration>,
    /// Whether to draw with ASCII characters only; by default as the terminal and the locale need it.
    pub(crate) ascii: Option<bool>,
    /// Whether the dashboard captures the mouse, which it does by default.
    pub(crate) mouse: Option<bool>,
    /// By what the dashboard tells its user something while they look elsewhere; `auto` by default.
    pub(crate) notify: Option<NotifyBy>,
    /// The fleets that the dashboard shows together, each with what it takes to reach it.
    pub(crate) fleets: Vec<FleetEntry>,
    /// What holds for an AWS profile, by its name.
    pub(crate) profiles: BTreeMap<String, ProfileConfig>,
    /// Keys by action id, such as `launch = "n"` or `quit = ["q", "ctrl-q"]`.
    pub(crate) keys: BTreeMap<String, Keys>,
}

/// One of several fleets, in any account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FleetEntry {
    /// What `--fleet` and the dashboard call it.
    pub(crate) name: String,
    /// The fleet's name in AWS, if that is another one, because fleets of different accounts can have the same name.
    #[serde(default)]
    pub(crate) fleet: Option<String>,
    #[serde(default)]
    pub(crate) profile: Option<String>,
    #[serde(default)]
    pub(crate) region: Option<String>,
    /// Whether the dashboard marks it with a word and a coloured frame.
    #[serde(default)]
    pub(crate) production: bool,
}

impl FleetEntry {
    /// Returns the fleet's name in AWS.
    pub(crate) fn fleet_name(&self) -> &str {
        self.fleet.as_deref().unwrap_or(&self.name)
    }

    /// Returns what is wrong with it.
    fn problem(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() || !text::is_printable(name, MAX_LABEL) || name.contains([',', ' ', ':']) {
            return Some(format!(
                "not a valid name of a fleet: {name:?} (1 to {MAX_LABEL} characters without spaces, commas and colons)"
            ));
        }
        let empty = [("fleet", &self.fleet), ("profile", &self.profile), ("region", &self.region)];
        if let Some((key, _)) = empty.into_iter().find(|(_, value)| value.as_deref() == Some("")) {
            return Some(format!("the {key} of fleet {name} is empty; leave it out to use the default"));
        }
        let invalid = self.fleet_name().parse::<FleetName>().err()?;
        let hint = if self.fleet.is_none() { "; give the fleet's name in AWS as fleet" } else { "" };
        Some(format!("fleet {name}: {invalid}{hint}"))
    }
}

/// Returns what is wrong with the fleets.
fn problem_of(fleets: &[FleetEntry]) -> Option<String> {
    let mut names = BTreeSet::new();
    fleets.iter().find_map(|entry| {
        let is_new = names.insert(&entry.name);
        entry.problem().or_else(|| (!is_new).then(|| format!("two fleets have the name {}", entry.name)))
    })
}

/// The longest name of a fleet in the configuration, in characters.
const MAX_LABEL: usize = 32;

/// What holds while an AWS profile is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ProfileConfig {
    /// Whether nothing can be changed, as with `--read-only`.
    pub(crate) read_only: bool,
}

/// The keys of one action: a string or a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Keys {
    /// `"n"`
    One(String),
    /// `["q", "ctrl-q"]`
    Many(Vec<String>),
}

impl Keys {
    /// Returns the keys as the user wrote them.
    pub(crate) fn all(&self) -> Vec<&str> {
        match self {
            Self::One(key) => vec![key],
            Self::Many(keys) => keys.iter().map(String::as_str).collect(),
        }
    }
}

/// Many dashboards share one account's request rate, so a very short interval would throttle everyone.
const MIN_REFRESH: Duration = Duration::from_secs(5);

/// Throttling lengthens the interval, which must not overflow.
const MAX_REFRESH: Duration = Duration::from_hours(24);

fn parse_refresh<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refresh = parse_duration(&text).map_err(serde::de::Error::custom)?;
    if refresh < MIN_REFRESH {
        return Err(serde::de::Error::custom("refresh must be at least 5s, or AWS may throttle the account"));
    }
    if refresh > MAX_REFRESH {
        return Err(serde::de::Error::custom("refresh must be at most 1d"));
    }
    Ok(Some(refresh))
}

/// Returns the folder of `config.toml` and themes, such as `~/.config/hatchery`.
pub(crate) fn folder() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("hatchery"))
}

impl Config {
    /// Takes an empty text for none, as in the files of the AWS CLI.
    fn without_empty(self) -> Self {
        let filled = |value: Option<String>| value.filter(|text| !text.is_empty());
        Self {
            fleet: filled(self.fleet),
            owner: filled(self.owner),
            region: filled(self.region),
            profile: filled(self.profile),
            ..self
        }
    }

    /// Returns the name of the AWS profile in use, as the AWS CLI chooses it after the option.
    pub(crate) fn profile_name(
        &self,
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> String {
        let named = option.map(str::to_owned).or_else(|| self.profile.clone());
        let named = named.or_else(|| Some(cloud::profile_in_environment(variable)?.1));
        named.unwrap_or_else(|| "default".to_owned())
    }

    /// Whether the user made the profile read-only.
    pub(crate) fn is_read_only(&self, profile: &str) -> bool {
        self.profiles.get(profile).is_some_and(|profile| profile.read_only)
    }

    /// Reads `file`, else the default file if it exists.
    ///
    /// # Errors
    /// Returns [`Kind::Usage`] if the file cannot be read or parsed.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let default = || folder().map(|folder| folder.join("config.toml")).filter(|path| path.exists());
        let Some(path) = file.map(Path::to_owned).or_else(default) else { return Ok(Self::default()) };
        let file = path.display();
        let content = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("cannot read the configuration {file}: {error}");
            Failure::new(Kind::Usage, message, "correct --config or the file's permissions")
        })?;
        let parsed: Result<Self, _> = toml::from_str(&content);
        let config = parsed.map_err(|error| {
            let line = error.span().map_or(1, |span| content[..span.start].matches('\n').count() + 1);
            let problem = text::sanitize(error.message());
            let message = format!("cannot parse the configuration {file}, line {line}: {problem}");
            Failure::new(Kind::Usage, message, "correct the file")
        })?;
        if let Some(problem) = problem_of(&config.fleets) {
            let message = format!("the configuration {file} is not valid: {}", text::sanitize(&problem));
            return Err(Failure::new(Kind::Usage, message, "correct the file"));
        }
        Ok(config.without_empty())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(content: &str) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, content).unwrap();
        Config::load(Some(&path))
    }

    #[test]
    fn load_reads_every_kind_of_field() {
        let config =
            parse("theme = \"dark\"\nrefresh = \"1m\"\n[keys]\nlaunch = \"n\"\nquit = [\"q\", \"ctrl-q\"]\n");
        let config = config.unwrap();
        assert_eq!(config.theme.as_deref(), Some("dark"));
        assert_eq!(config.refresh, Some(Duration::from_mins(1)));
        assert_eq!(config.keys["quit"].all(), ["q", "ctrl-q"]);
    }

    #[rstest]
    #[case::option(Some("prod"), &[("AWS_PROFILE", "dev")], true)]
    #[case::other_option(Some("dev"), &[("AWS_PROFILE", "prod")], false)]
    #[case::variable(None, &[("AWS_PROFILE", "prod")], true)]
    #[case::older_variable(None, &[("AWS_DEFAULT_PROFILE", "prod")], true)]
    #[case::newer_variable(None, &[("AWS_DEFAULT_PROFILE", "dev"), ("AWS_PROFILE", "prod")], true)]
    #[case::none(None, &[], false)]
    fn profile_can_be_read_only(
        #[case] option: Option<&str>,
        #[case] variables: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let config = parse("[profiles.prod]\nread-only = true\n[profiles.dev]\n").unwrap();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(config.is_read_only(&config.profile_name(option, variable)), expected);
    }

    #[test]
    fn empty_texts_are_none() {
        let config = parse("fleet = \"\"\nowner = \"\"\nregion = \"\"\nprofile = \"\"\n").unwrap();
        assert_eq!(config, Config::default());
    }

    #[rstest]
    #[case::unknown_field("theme = \"dark\"\ncolour = 1\n", "line 2")]
    #[case::refresh_too_short("refresh = \"1s\"\n", "throttle")]
    #[case::not_toml("theme = [", "line 1")]
    #[case::fleet_without_name("[[fleets]]\nregion = \"eu-west-1\"\n", "line 1: missing field `name`")]
    #[case::unknown_key_of_a_fleet(
        "[[fleets]]\nname = \"dev\"\naccount = 1\n",
        "line 3: unknown field `account`"
    )]
    #[case::empty_name("[[fleets]]\nname = \"\"\n", "not a valid name of a fleet: \"\"")]
    #[case::comma("[[fleets]]\nname = \"dev,qa\"\n", "without spaces, commas")]
    #[case::two_of_one_name(
        "[[fleets]]\nname = \"dev\"\n[[fleets]]\nname = \"dev\"\nregion = \"x\"\n",
        "two fleets have the name dev"
    )]
    #[case::name_that_aws_has_not("[[fleets]]\nname = \"Dev\"\n", "give the fleet's name in AWS as fleet")]
    #[case::empty_profile(
        "[[fleets]]\nname = \"dev\"\nprofile = \"\"\n",
        "the profile of fleet dev is empty"
    )]
    fn load_error_names_file_and_problem(#[case] content: &str, #[case] part: &str) {
        let failure = parse(content).unwrap_err();
        assert!(failure.message.contains(part) && failure.message.contains("config.toml"), "{failure}");
    }

    #[test]
    fn fleets_are_read() {
        let config = parse(
            "[[fleets]]\nname = \"dev\"\n[[fleets]]\nname = \"US\"\nfleet = \"dev\"\nprofile = \"prod\"\nregion = \"us-east-1\"\nproduction = true\n",
        );
        let [dev, us] = &config.unwrap().fleets[..] else { panic!() };
        assert_eq!((dev.fleet_name(), dev.production), ("dev", false));
        assert_eq!((us.fleet_name(), us.region.as_deref(), us.production), ("dev", Some("us-east-1"), true));
    }

    #[test]
    fn load_of_a_missing_file_fails() {
        assert!(Config::load(Some(Path::new("/no/such/file"))).is_err());
    }
}
