//! Where credentials come from, in the order of the AWS CLI. Every resolution reads the user's files again.
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-quickstart.html#cli-configure-quickstart-precedence>

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::chain::{Base, Chain, Role, WebIdentity};
use super::error::{auth, connection, invalid, is_network, reason, shorten, unreachable};
use super::profiles::{Choice, Profiles, Selected, paths};
use super::{process, roles, sessions};
use crate::cloud::{self, AskCode, Result};

/// The timeout of what answers without the user.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What gives credentials.
#[derive(Debug)]
pub(super) enum Source {
    /// A provider of the SDK.
    Provider(SharedCredentialsProvider),
    User(Box<UserSource>),
}

/// The user's environment variables and files.
pub(super) struct UserSource {
    selected: Selected,
    /// What STS and SSO are called with.
    config: SdkConfig,
    code: Mutex<Code>,
    /// What the resolution waits for, if it may wait for the user.
    pub(super) waits_for: Mutex<Option<String>>,
}

enum Code {
    /// The user can be asked once, before anything is drawn.
    Askable(AskCode),
    Used,
    /// There is no terminal to ask in.
    NoTerminal,
}

impl std::fmt::Debug for UserSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserSource").field("selected", &self.selected).finish_non_exhaustive()
    }
}

/// The state of the files that credentials depend on.
pub(super) type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Source {
    /// Resolves credentials.
    pub(super) async fn resolve(&self) -> Result<Credentials> {
        match self {
            Self::Provider(provider) => provide("the credentials provider", provider).await,
            Self::User(user) => {
                let found = user.resolve().await;
                user.wait_for(None);
                found
            }
        }
    }

    /// Returns the state of the user's files, which changes when a tool writes new keys or the user logs in.
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Provider(_) => Vec::new(),
            Self::User(_) => {
                let folders =
                    [sessions::sso_cache(), sessions::login_cache()].into_iter().flatten().flat_map(files_in);
                paths().into_iter().flatten().chain(folders).map(|path| stamp_of(&path)).collect()
            }
        }
    }
}

fn files_in(folder: PathBuf) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn stamp_of(path: &std::path::Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl UserSource {
    pub(super) fn new(selected: Selected, config: SdkConfig, ask: Option<AskCode>) -> Self {
        let code = Mutex::new(ask.map_or(Code::NoTerminal, Code::Askable));
        Self { selected, config, code, waits_for: Mutex::default() }
    }

    fn wait_for(&self, what: Option<String>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    async fn resolve(&self) -> Result<Credentials> {
        // A profile that the user names and that does not exist is an error, even beside keys in the environment.
        let profiles = Profiles::read(self.selected.clone()).await?;
        if self.selected.by != Choice::Option
            && let Some(keys) = environment()?
        {
            return Ok(keys);
        }
        let chain = Chain::resolve(&profiles)?;
        let assumes_roles = chain.as_ref().is_some_and(|chain| !chain.roles.is_empty());
        if self.selected.by != Choice::Option
            && !assumes_roles
            && let Some(identity) = web_identity(variable)?
        {
            return within(roles::by_token(&self.config, &identity)).await;
        }
        match chain {
            Some(chain) => self.follow(&chain).await,
            None => self.of_the_computer().await,
        }
    }

    /// Whether a code of the user's device is needed.
    pub(super) async fn needs_code(&self) -> bool {
        let Ok(profiles) = Profiles::read(self.selected.clone()).await else { return false };
        let has_keys = self.selected.by != Choice::Option && environment().is_ok_and(|keys| keys.is_some());
        !has_keys && matches!(Chain::resolve(&profiles), Ok(Some(chain)) if chain.role_with_code().is_some())
    }

    async fn follow(&self, chain: &Chain) -> Result<Credentials> {
        let code = match chain.role_with_code() {
            Some(role) => Some(self.ask(role).await?),
            None => None,
        };
        let profile = &chain.profile;
        let mut found = match &chain.base {
            Base::Keys(keys) => keys.clone(),
            Base::Environment => environment()?.ok_or_else(|| {
                let message = format!("the profile {profile:?} wants AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which are not set");
                invalid(message)
            })?,
            Base::Container => provide("the container's credentials endpoint", &container()).await?,
            Base::Instance => provide("the instance metadata service", &instance()).await?,
            Base::Process(command) => {
                let what = format!("the credential_process of the profile {profile:?}; it may wait for you to touch a key or to log in");
                self.wait_for(Some(what));
                process::run(profile, command).await?
            }
            Base::Sso(sso) => {
                self.wait_for(Some(format!("IAM Identity Center (SSO) in {}", sso.region)));
                within(sessions::sso(&self.config, profile, sso)).await?
            }
            Base::Login(session) => within(sessions::login(&self.config, profile, session)).await?,
            Base::WebIdentity(identity) => within(roles::by_token(&self.config, identity)).await?,
        };
        for role in &chain.roles {
            self.wait_for(Some(format!("the AWS service STS to give the role {}", role.arn)));
            let code = code.clone().filter(|_| role.mfa_serial.is_some());
            found = within(roles::assume(&self.config, found, role, code)).await?;
        }
        Ok(found)
    }

    async fn ask(&self, role: &Role) -> Result<String> {
        let serial = role.mfa_serial.clone().unwrap_or_default();
        let code =
            std::mem::replace(&mut *self.code.lock().unwrap_or_else(PoisonError::into_inner), Code::Used);
        let needs =
            format!("the role of the profile {:?} needs a code of the MFA device {serial}", role.profile);
        let ask = match code {
            Code::Askable(ask) => ask,
            Code::Used => {
                return Err(auth("MfaExpired", format!("{needs}, and the earlier code no longer counts")));
            }
            Code::NoTerminal => {
                *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Code::NoTerminal;
                return Err(auth(
                    "MfaNoTerminal",
                    format!("{needs}, and there is no terminal to ask for it"),
                ));
            }
        };
        let answer = ask(serial)
            .await
            .map_err(|error| auth("MfaNoTerminal", format!("{needs}: cannot read it: {error}")))?;
        let answer: String = answer.chars().filter(|c| !c.is_whitespace()).collect();
        if answer.is_empty() || !answer.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(auth("MfaRefused", format!("{needs}, which has six digits")));
        }
        Ok(answer)
    }

    /// The credentials of a container or of an EC2 instance.
    async fn of_the_computer(&self) -> Result<Credentials> {
        let is_container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
            .iter()
            .any(|name| variable(name).is_some());
        if is_container {
            return provide("the container's credentials endpoint", &container()).await;
        }
        let found = tokio::time::timeout(TIMEOUT, instance().provide_credentials()).await;
        if let Ok(Ok(found)) = found {
            return Ok(found);
        }
        // Outside of EC2 there is no such service, which is no reason that helps the user.
        let place = match &self.selected {
            Selected { by: Choice::Default, .. } => String::new(),
            Selected { name, .. } => format!(": the profile {name:?} has none"),
        };
        Err(auth("NoCredentials", format!("there are no credentials{place}")))
    }
}

fn container() -> EcsCredentialsProvider {
    EcsCredentialsProvider::builder().build()
}

fn instance() -> ImdsCredentialsProvider {
    ImdsCredentialsProvider::builder().build()
}

fn variable(name: &str) -> Option<String> {
    cloud::variable(name).filter(|value| !value.is_empty())
}

pub(super) fn environment() -> Result<Option<Credentials>> {
    keys_of(variable)
}

/// Whether the environment has a web identity token, which goes before a profile that assumes no role.
pub(super) fn has_web_identity() -> bool {
    !matches!(web_identity(variable), Ok(None))
}

fn web_identity(variable: impl Fn(&str) -> Option<String>) -> Result<Option<WebIdentity>> {
    let Some(token_file) = variable("AWS_WEB_IDENTITY_TOKEN_FILE") else { return Ok(None) };
    let Some(role_arn) = variable("AWS_ROLE_ARN") else {
        return Err(auth("HalfAKeyPair", "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"));
    };
    Ok(Some(WebIdentity { role_arn, token_file, session_name: variable("AWS_ROLE_SESSION_NAME") }))
}

/// Returns the keys in the environment. As in the AWS CLI, half a pair is an error and not a reason to use another account.
fn keys_of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>> {
    let Some(id) = variable("AWS_ACCESS_KEY_ID") else { return Ok(None) };
    let Some(secret) = variable("AWS_SECRET_ACCESS_KEY") else {
        let message = "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not";
        return Err(auth("HalfAKeyPair", message));
    };
    let token = variable("AWS_SESSION_TOKEN").or_else(|| variable("AWS_SECURITY_TOKEN"));
    Ok(Some(Credentials::new(id, secret, token, None, "Environment")))
}

async fn within<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let timed_out =
        |_| auth("CredentialsTimeout", "the profile's role or session gave no credentials in time");
    tokio::time::timeout(TIMEOUT, future).await.map_err(timed_out)?
}

/// Asks a provider of the SDK.
async fn provide(service: &str, provider: &impl ProvideCredentials) -> Result<Credentials> {
    let found = tokio::time::timeout(TIMEOUT, provider.provide_credentials()).await;
    let found = found.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(TIMEOUT)));
    found.map_err(|error| {
        if let Some(error) = connection(service, &error) {
            return error;
        }
        let reason = reason(&error);
        match error {
            CredentialsError::CredentialsNotLoaded(_) if reason.is_empty() => {
                auth("NoCredentials", "there are no credentials")
            }
            CredentialsError::CredentialsNotLoaded(_) => {
                auth("NoCredentials", format!("there are no credentials: {}", shorten(&reason)))
            }
            CredentialsError::ProviderTimedOut(_) => {
                auth("CredentialsTimeout", format!("{service} gave no credentials in time"))
            }
            _ if is_network(&reason) => unreachable(service, ""),
            _ => auth("CredentialsFailed", format!("{service} gives no credentials: {}", shorten(&reason))),
        }
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::ErrorClass;

    #[rstest]
    #[case(CredentialsError::not_loaded_no_source(), ErrorClass::Auth, "NoCredentials")]
    #[case(CredentialsError::not_loaded("no"), ErrorClass::Auth, "NoCredentials")]
    #[case(CredentialsError::provider_timed_out(TIMEOUT), ErrorClass::Auth, "CredentialsTimeout")]
    #[case(CredentialsError::provider_error("AccessDenied"), ErrorClass::Auth, "CredentialsFailed")]
    #[case(CredentialsError::provider_error("dispatch failure: x"), ErrorClass::Transient, "Unreachable")]
    #[tokio::test]
    async fn errors_of_providers_are_classified(
        #[case] error: CredentialsError,
        #[case] class: ErrorClass,
        #[case] code: &str,
    ) {
        let error = Mutex::new(Some(error));
        let provider = aws_credential_types::credential_fn::provide_credentials_fn(move || {
            let error = error.lock().unwrap().take().unwrap();
            async move { Err(error) }
        });
        let error = provide("the provider", &provider).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (class, code), "{error}");
    }

    #[rstest]
    #[case::none(&[], Ok(None))]
    #[case::secret_only(&[("AWS_SECRET_ACCESS_KEY", "s")], Ok(None))]
    #[case::both(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")], Ok(Some("A")))]
    #[case::half(&[("AWS_ACCESS_KEY_ID", "A")], Err("HalfAKeyPair"))]
    fn keys_in_the_environment(
        #[case] variables: &[(&str, &str)],
        #[case] expected: std::result::Result<Option<&str>, &str>,
    ) {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        let found = keys_of(variable).map_err(|error| error.code);
        let found = found.as_ref().map(|keys| keys.as_ref().map(Credentials::access_key_id));
        assert_eq!(found.map_err(String::as_str), expected);
    }
}
