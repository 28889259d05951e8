//! `config.toml`: what belongs to a person. What belongs to a fleet is in its policy, in AWS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use serde::Deserialize;

use crate::domain::text;
use crate::failure::{Failure, Kind};

/// A person's configuration. Everything has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// The theme's name.
    pub theme: Option<String>,
    /// The fleet to use where none is named.
    pub fleet: Option<String>,
    /// The name that environments are launched under.
    pub owner: Option<String>,
    /// The Region, where the AWS configuration has none or another.
    pub region: Option<String>,
    /// The profile of the AWS configuration.
    pub profile: Option<String>,
    /// The time between two looks at rest, such as `45s`.
    #[serde(deserialize_with = "duration")]
    pub refresh: Option<Duration>,
    /// Whether to draw with ASCII characters only.
    pub ascii: bool,
    /// Keys by action, such as `launch = "n"` or `quit = ["q", "ctrl-q"]`.
    pub keys: BTreeMap<String, Keys>,
}

/// One key or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Keys {
    /// One key.
    One(String),
    /// Several keys.
    Many(Vec<String>),
}

impl Keys {
    /// The keys as they were written.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        match self {
            Self::One(key) => vec![key],
            Self::Many(keys) => keys.iter().map(String::as_str).collect(),
        }
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refresh = humantime::parse_duration(&text).map_err(serde::de::Error::custom)?;
    if refresh < Duration::from_secs(5) {
        return Err(serde::de::Error::custom("less than 5s would throttle everybody's account"));
    }
    Ok(Some(refresh))
}

/// The folder of hatchery's configuration.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("hatchery"))
}

impl Config {
    /// Reads the file that was named, or the default one if it is there.
    ///
    /// # Errors
    /// Where a named file cannot be read, or a file says something that makes no sense.
    pub fn load(named: Option<&Path>) -> Result<Self, Failure> {
        let default = || folder().map(|folder| folder.join("config.toml")).filter(|path| path.exists());
        let Some(path) = named.map(Path::to_owned).or_else(default) else { return Ok(Self::default()) };
        let shown = path.display();
        let content = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("cannot read the configuration {shown}: {error}");
            Failure::new(Kind::Usage, message, "correct --config or the file's permissions")
        })?;
        toml::from_str(&content).map_err(|error| {
            let line = error.span().map_or(1, |span| content[..span.start].matches('\n').count() + 1);
            let what = text::sanitize(error.message());
            let message = format!("the configuration {shown} makes no sense in line {line}: {what}");
            Failure::new(Kind::Usage, message, "correct the file")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<Config, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, content).unwrap();
        Config::load(Some(&path))
    }

    #[test]
    fn a_file_says_what_a_person_likes() {
        let config =
            parse("theme = \"dark\"\nrefresh = \"1m\"\n[keys]\nlaunch = \"n\"\nquit = [\"q\", \"ctrl-q\"]\n");
        let config = config.unwrap();
        assert_eq!(config.theme.as_deref(), Some("dark"));
        assert_eq!(config.refresh, Some(Duration::from_mins(1)));
        assert_eq!(config.keys["quit"].all(), ["q", "ctrl-q"]);
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        for (content, words) in [
            ("theme = \"dark\"\ncolour = 1\n", "line 2"),
            ("refresh = \"1s\"\n", "throttle"),
            ("theme = [", "line 1"),
        ] {
            let failure = parse(content).unwrap_err();
            assert!(failure.message.contains(words) && failure.message.contains("config.toml"), "{failure}");
        }
        assert!(Config::load(Some(Path::new("/no/such/file"))).is_err());
    }
}
