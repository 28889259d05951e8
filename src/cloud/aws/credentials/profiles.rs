//! The profiles in `~/.aws/config` and `~/.aws/credentials`.
//!
//! The SDK's parser accepts only plain names and takes quotes for a part of the name. The AWS CLI accepts any name. So the names in the
//! headers of the sections are percent-encoded before the SDK parses the files.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use aws_config::profile::{Profile, ProfileSet, load};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{auth, invalid, root};
use crate::cloud::{Result, profile_in_environment};

/// What the SDK does not accept in a name, and the percent sign.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'-')
    .remove(b'/')
    .remove(b'.')
    .remove(b'@')
    .remove(b':')
    .remove(b'+');

/// The most names that an error lists.
const MAX_NAMES: usize = 8;

/// The profile to use, and who chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud::aws) struct Selected {
    pub(super) name: String,
    pub(super) by: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// `--profile` or hatchery's configuration, which override keys in the environment.
    Option,
    /// This variable of the environment, which does not.
    Environment(&'static str),
    /// Nothing: it is the default profile.
    Default,
}

impl Selected {
    /// Chooses as the AWS CLI does.
    pub(in crate::cloud::aws) fn new(
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        if let Some(name) = option {
            return Self { name: name.to_owned(), by: Choice::Option };
        }
        match profile_in_environment(variable) {
            Some((variable, name)) => Self { name, by: Choice::Environment(variable) },
            None => Self { name: "default".to_owned(), by: Choice::Default },
        }
    }
}

/// The content of the two files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) config: String,
    pub(super) credentials: String,
}

/// Returns the paths of the two files, as far as there are any.
pub(super) fn paths() -> [Option<PathBuf>; 2] {
    [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")].map(
        |(variable, default)| match std::env::var_os(variable).map(PathBuf::from) {
            Some(path) => match path.strip_prefix("~") {
                Ok(rest) => Some(std::env::home_dir()?.join(rest)),
                Err(_) => Some(path),
            },
            None => Some(std::env::home_dir()?.join(default)),
        },
    )
}

impl Contents {
    /// Reads the files. A file that does not exist is empty, as in the AWS CLI.
    pub(super) fn read() -> Result<Self> {
        let [config, credentials] = paths();
        let read = |path: Option<PathBuf>| path.map_or(Ok(String::new()), |path| read_file(&path));
        Ok(Self { config: read(config)?, credentials: read(credentials)? })
    }
}

fn read_file(path: &Path) -> Result<String> {
    if !path.is_file() {
        return Ok(String::new());
    }
    let content = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("cannot read the AWS configuration {}: {error}", path.display())))?;
    Ok(content.trim_start_matches('\u{feff}').to_owned())
}

/// The parsed profiles, one of which is used.
#[derive(Debug)]
pub(in crate::cloud::aws) struct Profiles {
    sections: ProfileSet,
    files: EnvConfigFiles,
    pub(super) selected: Selected,
}

impl Profiles {
    /// Reads the user's files.
    ///
    /// # Errors
    /// Fails if a file cannot be read or parsed, or has no profile with the name that the user gave.
    pub(in crate::cloud::aws) async fn read(selected: Selected) -> Result<Self> {
        Self::parse(&Contents::read()?, selected).await
    }

    pub(super) async fn parse(contents: &Contents, selected: Selected) -> Result<Self> {
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, encode_config(&contents.config))
            .with_contents(EnvConfigFileKind::Credentials, encode_credentials(&contents.credentials))
            .build();
        let name = Cow::Owned(encode(&selected.name));
        let sections = match load(&Fs::real(), &Env::real(), &files, Some(name)).await {
            Ok(sections) => sections,
            Err(error) => {
                let of_config = EnvConfigFiles::builder()
                    .with_contents(EnvConfigFileKind::Config, encode_config(&contents.config))
                    .build();
                let is_config = load(&Fs::real(), &Env::real(), &of_config, None).await.is_err();
                let file = if is_config { "~/.aws/config" } else { "~/.aws/credentials" };
                // The SDK does not know the name of the file.
                let text = root(&error).replace("error parsing  on ", "").replace(":\n  ", ": ");
                return Err(invalid(format!("cannot parse {file}, {text}")));
            }
        };
        let profiles = Self { sections, files, selected };
        if profiles.selected.by != Choice::Default && profiles.find(&profiles.selected.name).is_none() {
            return Err(profiles.missing());
        }
        Ok(profiles)
    }

    /// Returns the files, the name of the profile and the parsed sections for the SDK.
    pub(in crate::cloud::aws) fn into_sdk(self) -> (EnvConfigFiles, String, ProfileSet) {
        (self.files, encode(&self.selected.name), self.sections)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Profile> {
        self.sections.get_profile(&encode(name))
    }

    pub(super) fn has_sso_session(&self, name: &str) -> bool {
        self.sections.sso_session(&encode(name)).is_some()
    }

    /// Returns a property of an `sso-session` section.
    pub(super) fn sso_session(&self, name: &str, key: &str) -> Option<String> {
        let session = self.sections.sso_session(&encode(name))?;
        session.get(key).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn missing(&self) -> crate::domain::CloudError {
        let Selected { name, by } = &self.selected;
        if let Choice::Environment(variable) = by
            && name.is_empty()
        {
            return auth(
                "EmptyProfile",
                format!("{variable} is set, but empty, and no profile has an empty name"),
            );
        }
        let mut names: Vec<_> = self.sections.profiles().map(decode).collect();
        names.sort();
        let known = match names.len() {
            0 => "there are none".to_owned(),
            count if count > MAX_NAMES => format!("there are {}, …", names[..MAX_NAMES].join(", ")),
            _ => format!("there are {}", names.join(", ")),
        };
        let by = match by {
            Choice::Environment(variable) => format!(", which {variable} names,"),
            Choice::Option | Choice::Default => String::new(),
        };
        auth(
            "NoSuchProfile",
            format!("the profile {name:?}{by} is not in ~/.aws/config or ~/.aws/credentials; {known}"),
        )
    }
}

fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

fn decode(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// Encodes the names in the headers of the config file, which are quoted as in a shell.
fn encode_config(content: &str) -> String {
    encode_headers(content, |header| {
        if header == "default" {
            return "default".to_owned();
        }
        match shlex::split(header).as_deref() {
            Some([kind, name]) if !kind.is_empty() => format!("{} {}", encode(kind), encode(name)),
            // Not a section that the AWS CLI knows.
            _ => format!("ignored {}", encode(header)),
        }
    })
}

/// Encodes the names in the headers of the credentials file, which are the names as they are.
fn encode_credentials(content: &str) -> String {
    encode_headers(content, encode)
}

fn encode_headers(content: &str, header: impl Fn(&str) -> String) -> String {
    let mut encoded = String::with_capacity(content.len());
    for line in content.lines() {
        match line.strip_prefix('[').and_then(name_of) {
            Some(name) => {
                encoded.push('[');
                encoded.push_str(&header(name));
                encoded.push(']');
            }
            None => encoded.push_str(line),
        }
        encoded.push('\n');
    }
    encoded
}

/// Returns what is in the brackets. A comment may follow, and quoted brackets are a part of the name.
fn name_of(rest: &str) -> Option<&str> {
    let is_whole =
        |name: &&str| !name.contains(']') || shlex::split(name).is_some_and(|parts| parts.len() == 2);
    let mut ends = rest.match_indices(']').map(|(end, _)| &rest[..end]);
    ends.clone().rev().find(is_whole).or_else(|| ends.next()).map(str::trim)
}

#[cfg(test)]
pub(super) async fn profiles(config: &str, credentials: &str, name: &str) -> Result<Profiles> {
    let contents = Contents { config: config.to_owned(), credentials: credentials.to_owned() };
    Profiles::parse(&contents, Selected { name: name.to_owned(), by: Choice::Option }).await
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// As the AWS CLI reads them.
    #[rstest]
    #[case::plain("[profile work]", "work")]
    #[case::tab("[profile\twork]", "work")]
    #[case::quoted("[profile \"my prod\"]", "my prod")]
    #[case::single_quotes("[profile 'my prod']", "my prod")]
    #[case::escaped("[profile my\\ prod]", "my prod")]
    #[case::comment("[profile work] # of work", "work")]
    #[case::comment_with_bracket("[profile work] ; [old]", "work")]
    #[case::bracket("[profile \"a]b\"]", "a]b")]
    #[case::number_sign("[profile a#b]", "a#b")]
    #[case::quoted_number_sign("[profile \"a # b\"]", "a # b")]
    #[case::quote("[profile \"a \\\"q\\\" b\"]", "a \"q\" b")]
    #[case::unicode("[profile prüfung]", "prüfung")]
    #[case::symbols("[profile a@b+c,d=(e)]", "a@b+c,d=(e)")]
    #[case::percent("[profile \"50% off\"]", "50% off")]
    #[case::default("[default]", "default")]
    #[tokio::test]
    async fn config_names_are_those_of_the_aws_cli(#[case] header: &str, #[case] name: &str) {
        let config = format!("{header}\nregion = eu-west-3\n");
        let found = profiles(&config, "", name).await.unwrap();
        assert_eq!(found.find(name).unwrap().get("region"), Some("eu-west-3"));
    }

    #[rstest]
    #[case::blank("my prod")]
    #[case::quotes("\"my prod\"")]
    #[case::unicode("prüfung")]
    #[case::prefix("profile x")]
    #[case::number_sign("a # b")]
    #[tokio::test]
    async fn credentials_names_are_taken_as_they_are(#[case] name: &str) {
        let credentials = format!("[{name}]\naws_access_key_id = A\n");
        let found = profiles("", &credentials, name).await.unwrap();
        assert_eq!(found.find(name).unwrap().get("aws_access_key_id"), Some("A"));
    }

    #[rstest]
    #[case::two_words("[profile my prod]\na = b\n", "my prod")]
    #[case::no_prefix("[work]\na = b\n", "work")]
    #[tokio::test]
    async fn names_that_the_aws_cli_ignores_are_missing(#[case] config: &str, #[case] name: &str) {
        let error = profiles(config, "", name).await.unwrap_err();
        assert_eq!(error.code, "NoSuchProfile");
    }

    #[tokio::test]
    async fn missing_profile_is_named_beside_the_known_ones() {
        let error =
            profiles("[profile staging]\n[profile \"my prod\"]\n", "[x]\n", "stagign").await.unwrap_err();
        assert_eq!(
            error.message,
            "the profile \"stagign\" is not in ~/.aws/config or ~/.aws/credentials; there are my prod, staging, x"
        );
    }

    #[rstest]
    #[case::config("[default]\nregion\n", "", "cannot parse ~/.aws/config, line 2: Expected an '=' sign")]
    #[case::credentials("[default]\n", "x\n", "cannot parse ~/.aws/credentials, line 1: Expected a profile")]
    #[tokio::test]
    async fn line_that_cannot_be_parsed_is_named(
        #[case] config: &str,
        #[case] credentials: &str,
        #[case] message: &str,
    ) {
        let error = profiles(config, credentials, "default").await.unwrap_err();
        assert_eq!(error.code, "InvalidProfile");
        assert!(error.message.starts_with(message), "{error}");
    }

    #[rstest]
    #[case::option(Some("x"), &[("AWS_PROFILE", "y")], "x", Choice::Option)]
    #[case::variable(None, &[("AWS_PROFILE", "y")], "y", Choice::Environment("AWS_PROFILE"))]
    #[case::older(None, &[("AWS_DEFAULT_PROFILE", "z")], "z", Choice::Environment("AWS_DEFAULT_PROFILE"))]
    #[case::both(None, &[("AWS_PROFILE", "y"), ("AWS_DEFAULT_PROFILE", "z")], "y", Choice::Environment("AWS_PROFILE"))]
    #[case::empty(None, &[("AWS_PROFILE", ""), ("AWS_DEFAULT_PROFILE", "z")], "", Choice::Environment("AWS_PROFILE"))]
    #[case::other_is_empty(None, &[("AWS_PROFILE", "y"), ("AWS_DEFAULT_PROFILE", "")], "y", Choice::Environment("AWS_PROFILE"))]
    #[case::none(None, &[], "default", Choice::Default)]
    fn profile_is_chosen_as_in_the_aws_cli(
        #[case] option: Option<&str>,
        #[case] variables: &[(&str, &str)],
        #[case] name: &str,
        #[case] by: Choice,
    ) {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(Selected::new(option, variable), Selected { name: name.to_owned(), by });
    }
}
