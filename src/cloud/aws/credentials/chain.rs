//! Where a profile's credentials come from: a base, and the roles that are assumed from there.

use std::time::Duration;

use aws_config::profile::Profile;
use aws_credential_types::Credentials;

use super::error::invalid;
use super::profiles::Profiles;
use crate::cloud::Result;

/// The credentials that a chain begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Keys(Credentials),
    /// `credential_source = Environment`, and the like.
    Environment,
    Container,
    Instance,
    /// The command of a `credential_process`.
    Process(String),
    Sso(Sso),
    /// The identity of a session of `aws login`.
    Login(String),
    WebIdentity(WebIdentity),
}

/// A role of IAM Identity Center.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sso {
    /// `None` for a profile without an `sso-session` section.
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) role: String,
}

/// A role that a token in a file allows to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebIdentity {
    pub(super) role_arn: String,
    pub(super) token_file: String,
    pub(super) session_name: Option<String>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) profile: String,
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) duration: Option<Duration>,
    /// The device of which the user is asked for a code.
    pub(super) mfa_serial: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    /// The profile of the base.
    pub(super) profile: String,
    pub(super) base: Base,
    /// In the order in which they are assumed.
    pub(super) roles: Vec<Role>,
}

impl Chain {
    /// Resolves the selected profile. Returns `None` if it says nothing about credentials.
    ///
    /// # Errors
    /// Fails if what it says is incomplete or contradicts itself.
    pub(super) fn resolve(profiles: &Profiles) -> Result<Option<Self>> {
        let mut visited: Vec<String> = Vec::new();
        let mut roles = Vec::new();
        let mut name = profiles.selected.name.clone();
        loop {
            let Some(profile) = profiles.find(&name) else {
                let Some(from) = visited.last() else { return Ok(None) };
                let message =
                    format!("the profile {name:?}, which is the source_profile of {from:?}, does not exist");
                return Err(invalid(message));
            };
            let is_repeated = visited.contains(&name);
            let role = if is_repeated { None } else { role(profile, &name)? };
            // A profile may be its own source if it has keys too.
            if is_repeated && (visited.last() != Some(&name) || keys(profile, &name)?.is_none()) {
                let path = visited.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" → ");
                return Err(invalid(format!("the source_profile of {path} leads back to {name:?}")));
            }
            // As in the AWS CLI, the keys of a source go before its role.
            let has_keys = !visited.is_empty() && keys(profile, &name)?.is_some();
            let Some((role, source)) = role.filter(|_| !has_keys) else {
                let is_source = !visited.is_empty();
                let base = base(profiles, profile, &name)?;
                roles.reverse();
                return match base {
                    Some(base) => Ok(Some(Self { profile: name, base, roles })),
                    None if is_source => {
                        Err(invalid(format!("the source_profile {name:?} says nothing about credentials")))
                    }
                    None => Ok(None),
                };
            };
            roles.push(role);
            visited.push(name.clone());
            match source {
                Source::Profile(next) => name = next,
                Source::Base(base) => {
                    roles.reverse();
                    return Ok(Some(Self { profile: name, base, roles }));
                }
            }
        }
    }

    /// Returns the role for which the user is asked for a code, if any.
    pub(super) fn role_with_code(&self) -> Option<&Role> {
        self.roles.iter().find(|role| role.mfa_serial.is_some())
    }
}

enum Source {
    Profile(String),
    Base(Base),
}

fn get(profile: &Profile, key: &str) -> Option<String> {
    profile.get(key).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn role(profile: &Profile, name: &str) -> Result<Option<(Role, Source)>> {
    let Some(arn) = get(profile, "role_arn").filter(|_| get(profile, "web_identity_token_file").is_none())
    else {
        return Ok(None);
    };
    let source = match (get(profile, "source_profile"), get(profile, "credential_source")) {
        (Some(source), None) => Source::Profile(source),
        (None, Some(source)) => Source::Base(match source.to_ascii_lowercase().as_str() {
            "environment" => Base::Environment,
            "ecscontainer" => Base::Container,
            "ec2instancemetadata" => Base::Instance,
            _ => {
                return Err(invalid(format!(
                    "the profile {name:?} has an unknown credential_source: {source}"
                )));
            }
        }),
        (Some(_), Some(_)) => {
            let message = format!("the profile {name:?} has both a source_profile and a credential_source");
            return Err(invalid(message));
        }
        (None, None) => {
            let message =
                format!("the profile {name:?} has a role_arn, but no source_profile or credential_source");
            return Err(invalid(message));
        }
    };
    let duration = match get(profile, "duration_seconds") {
        None => None,
        Some(text) => Some(Duration::from_secs(text.parse().map_err(|_| {
            invalid(format!("the profile {name:?} has a duration_seconds that is not a number: {text}"))
        })?)),
    };
    let role = Role {
        profile: name.to_owned(),
        arn,
        external_id: get(profile, "external_id"),
        session_name: get(profile, "role_session_name"),
        duration,
        mfa_serial: get(profile, "mfa_serial"),
    };
    Ok(Some((role, source)))
}

/// The order within a profile is that of the AWS CLI.
fn base(profiles: &Profiles, profile: &Profile, name: &str) -> Result<Option<Base>> {
    if let Some(token_file) = get(profile, "web_identity_token_file") {
        let Some(role_arn) = get(profile, "role_arn") else {
            let message = format!("the profile {name:?} has a web_identity_token_file, but no role_arn");
            return Err(invalid(message));
        };
        let session_name = get(profile, "role_session_name");
        return Ok(Some(Base::WebIdentity(WebIdentity { role_arn, token_file, session_name })));
    }
    if let Some(sso) = sso(profiles, profile, name)? {
        return Ok(Some(Base::Sso(sso)));
    }
    if let Some(session) = get(profile, "login_session") {
        return Ok(Some(Base::Login(session)));
    }
    if let Some(keys) = keys(profile, name)? {
        return Ok(Some(Base::Keys(keys)));
    }
    Ok(get(profile, "credential_process").map(Base::Process))
}

fn keys(profile: &Profile, name: &str) -> Result<Option<Credentials>> {
    let [id, secret] = ["aws_access_key_id", "aws_secret_access_key"].map(|key| (key, get(profile, key)));
    match (id, secret) {
        ((_, Some(id)), (_, Some(secret))) => {
            let token = get(profile, "aws_session_token").or_else(|| get(profile, "aws_security_token"));
            Ok(Some(Credentials::new(id, secret, token, None, "Profile")))
        }
        ((_, None), (_, None)) => Ok(None),
        ((present, Some(_)), (missing, _)) | ((missing, _), (present, Some(_))) => {
            Err(invalid(format!("the profile {name:?} has an {present}, but no {missing}")))
        }
    }
}

fn sso(profiles: &Profiles, profile: &Profile, name: &str) -> Result<Option<Sso>> {
    let [account, role] = ["sso_account_id", "sso_role_name"].map(|key| get(profile, key));
    let (session, mut start_url, mut region) =
        (get(profile, "sso_session"), get(profile, "sso_start_url"), get(profile, "sso_region"));
    if session.is_none() && start_url.is_none() {
        return Ok(None);
    }
    // Profiles of other services have a session only.
    if account.is_none() && role.is_none() && session.is_some() {
        return Ok(None);
    }
    if let Some(session) = &session {
        if !profiles.has_sso_session(session) {
            let message = format!(
                "the profile {name:?} uses the sso_session {session:?}, but there is no section [sso-session {session}]"
            );
            return Err(invalid(message));
        }
        start_url = profiles.sso_session(session, "sso_start_url").or(start_url);
        region = profiles.sso_session(session, "sso_region").or(region);
    }
    let missing = |key: &str| {
        let place = match &session {
            Some(session) if key == "sso_start_url" || key == "sso_region" => {
                format!("the section [sso-session {session}]")
            }
            _ => format!("the profile {name:?}"),
        };
        invalid(format!("{place} has no {key}"))
    };
    Ok(Some(Sso {
        start_url: start_url.ok_or_else(|| missing("sso_start_url"))?,
        region: region.ok_or_else(|| missing("sso_region"))?,
        account: account.ok_or_else(|| missing("sso_account_id"))?,
        role: role.ok_or_else(|| missing("sso_role_name"))?,
        session,
    }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::profiles::profiles;
    use super::*;

    const KEYS: &str = "aws_access_key_id = AKIABASE\naws_secret_access_key = s\n";

    async fn resolve(config: &str) -> Result<Option<Chain>> {
        Chain::resolve(&profiles(&config.replace("KEYS", KEYS), "", "top").await.unwrap())
    }

    #[rstest]
    #[case::half_a_key_pair(
        "[profile top]\naws_access_key_id = A\n",
        "has an aws_access_key_id, but no aws_secret_access_key"
    )]
    #[case::other_half(
        "[profile top]\naws_secret_access_key = A\n",
        "has an aws_secret_access_key, but no aws_access_key_id"
    )]
    #[case::no_such_source(
        "[profile top]\nrole_arn = r\nsource_profile = gone\n",
        "\"gone\", which is the source_profile of \"top\", does not exist"
    )]
    #[case::empty_source(
        "[profile top]\nrole_arn = r\nsource_profile = bare\n[profile bare]\nregion = x\n",
        "\"bare\" says nothing about credentials"
    )]
    #[case::no_source("[profile top]\nrole_arn = r\n", "has a role_arn, but no source_profile")]
    #[case::two_sources(
        "[profile top]\nrole_arn = r\nsource_profile = a\ncredential_source = Environment\n",
        "both"
    )]
    #[case::unknown_source(
        "[profile top]\nrole_arn = r\ncredential_source = Nowhere\n",
        "unknown credential_source: Nowhere"
    )]
    #[case::own_source(
        "[profile top]\nrole_arn = r\nsource_profile = top\n",
        "\"top\" leads back to \"top\""
    )]
    #[case::circle(
        "[profile top]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = top\n",
        "\"top\" → \"b\" leads back to \"top\""
    )]
    #[case::no_session(
        "[profile top]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Dev\n",
        "there is no section [sso-session corp]"
    )]
    #[case::no_start_url(
        "[profile top]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Dev\n[sso-session corp]\nsso_region = x\n",
        "the section [sso-session corp] has no sso_start_url"
    )]
    #[case::no_role_name(
        "[profile top]\nsso_session = corp\nsso_account_id = 1\n[sso-session corp]\nsso_region = x\nsso_start_url = u\n",
        "\"top\" has no sso_role_name"
    )]
    #[case::no_role_for_token(
        "[profile top]\nweb_identity_token_file = f\n",
        "has a web_identity_token_file, but no role_arn"
    )]
    #[case::duration(
        "[profile top]\nrole_arn = r\nsource_profile = top\nduration_seconds = 1h\n",
        "duration_seconds that is not a number: 1h"
    )]
    #[tokio::test]
    async fn mistake_in_a_profile_is_told(#[case] config: &str, #[case] part: &str) {
        let error = resolve(config).await.unwrap_err();
        assert_eq!(error.code, "InvalidProfile");
        assert!(error.message.contains(part), "{error}");
    }

    #[tokio::test]
    async fn roles_are_assumed_from_the_base_up() {
        let config = "[profile top]\nrole_arn = outer\nsource_profile = my base\nmfa_serial = device\n\
            [profile \"my base\"]\nrole_arn = inner\nsource_profile = bottom\n[profile bottom]\nKEYS";
        let chain = resolve(config).await.unwrap().unwrap();
        assert_eq!(chain.profile, "bottom");
        assert_eq!(chain.roles.iter().map(|role| role.arn.as_str()).collect::<Vec<_>>(), ["inner", "outer"]);
        assert_eq!(chain.role_with_code().unwrap().arn, "outer");
        assert!(matches!(&chain.base, Base::Keys(keys) if keys.access_key_id() == "AKIABASE"));
    }

    #[rstest]
    #[case::keys("[profile top]\nKEYS", "Keys")]
    #[case::process("[profile top]\ncredential_process = x\n", "Process")]
    #[case::keys_before_process("[profile top]\ncredential_process = x\nKEYS", "Keys")]
    #[case::sso(
        "[profile top]\nsso_session = a b\nsso_account_id = 1\nsso_role_name = D\nKEYS[sso-session 'a b']\nsso_region = x\nsso_start_url = u\n",
        "Sso"
    )]
    #[case::sso_without_session(
        "[profile top]\nsso_region = x\nsso_start_url = u\nsso_account_id = 1\nsso_role_name = D\n",
        "Sso"
    )]
    #[case::login("[profile top]\nlogin_session = arn\n", "Login")]
    #[case::web_identity("[profile top]\nrole_arn = r\nweb_identity_token_file = f\n", "WebIdentity")]
    #[case::own_keys("[profile top]\nrole_arn = r\nsource_profile = top\nKEYS", "Keys")]
    #[case::environment("[profile top]\nrole_arn = r\ncredential_source = Environment\n", "Environment")]
    #[tokio::test]
    async fn base_is_found(#[case] config: &str, #[case] kind: &str) {
        let chain = resolve(config).await.unwrap().unwrap();
        assert!(format!("{:?}", chain.base).starts_with(kind), "{chain:?}");
    }

    #[tokio::test]
    async fn profile_without_credentials_has_no_chain() {
        assert_eq!(resolve("[profile top]\nregion = eu-west-1\n").await.unwrap(), None);
    }
}
