//! Credentials, resolved once for all calls and outside of their time-outs: a `credential_process` may wait for the user to log in.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use aws_config::SdkConfig;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

use super::foreign;
use crate::cloud::Result;
use crate::domain::{CloudError, ErrorClass};

/// The timeout of one resolution.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long before their expiry credentials are replaced.
const REFRESH_BEFORE: Duration = Duration::from_mins(1);

/// How long credentials without an expiry are used, as in the SDK's own cache.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(15);

/// The maximum length of a reason in characters, because a process can print anything.
const MAX_REASON: usize = 300;

/// Parts of the SDK's errors that a new login resolves. The files are those of `aws sso login` and `aws login`.
const LOGGED_OUT: [&str; 4] = ["expired", "Unauthorized", "sso/cache", "login/cache"];

/// Returns the provider of a named profile and nothing else. In the SDK's default chain, `AWS_ACCESS_KEY_ID` in the environment overrides
/// the profile; in the AWS CLI, `--profile` overrides the environment.
/// <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-quickstart.html#cli-configure-quickstart-precedence>
pub(super) fn of_profile(name: &str, config: &SdkConfig) -> SharedCredentialsProvider {
    let mut provider = ProviderConfig::without_region().with_region(config.region().cloned());
    if let Some(client) = config.http_client() {
        provider = provider.with_http_client(client);
    }
    let profile = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(name);
    SharedCredentialsProvider::new(profile.build())
}

/// The credentials of one caller.
#[derive(Debug)]
pub(super) struct CredentialsCache {
    provider: SharedCredentialsProvider,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<(Credentials, SystemTime)>,
    /// The last failure and its time. It is the result for all that have waited for it.
    failure: Option<(CloudError, Instant)>,
}

impl CredentialsCache {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, timeout: TIMEOUT, state: Mutex::default() }
    }

    /// Returns credentials that do not expire soon.
    pub(super) async fn get(&self, operation: &'static str) -> Result<Credentials> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((credentials, until)) = &state.current
            && SystemTime::now() < *until
        {
            return Ok(credentials.clone());
        }
        if let Some((error, at)) = &state.failure
            && *at >= asked
        {
            return Err(CloudError { operation, ..error.clone() });
        }
        let resolved = tokio::time::timeout(self.timeout, self.provider.provide_credentials()).await;
        let resolved = resolved.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(self.timeout)));
        match resolved {
            Ok(credentials) if !can_be_sent(&credentials) => {
                let message = "the access key or the session token has characters that no request can have";
                Err(CloudError::new(ErrorClass::Auth, operation, "InvalidCredentials", message))
            }
            Ok(credentials) => {
                let expiry = credentials.expiry().and_then(|expiry| expiry.checked_sub(REFRESH_BEFORE));
                let until = expiry.unwrap_or_else(|| SystemTime::now() + DEFAULT_LIFETIME);
                *state = State { current: Some((credentials.clone(), until)), failure: None };
                Ok(credentials)
            }
            Err(error) => {
                let error = classify(operation, &error);
                state.failure = Some((error.clone(), Instant::now()));
                Err(error)
            }
        }
    }
}

impl ProvideCredentials for CredentialsCache {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials: provider::Result =
                self.get("GetCredentials").await.map_err(CredentialsError::provider_error);
            credentials
        })
    }
}

/// The SDK ends the process at a header that is not valid.
fn can_be_sent(credentials: &Credentials) -> bool {
    let is_valid = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid(credentials.access_key_id()) && credentials.session_token().is_none_or(is_valid)
}

fn classify(operation: &'static str, error: &CredentialsError) -> CloudError {
    if let Some((code, message)) = foreign::connection(error) {
        return CloudError::new(ErrorClass::Transient, operation, code, message);
    }
    let reason = reason(error);
    let (class, code, message) = match error {
        CredentialsError::CredentialsNotLoaded(_) if reason.is_empty() || reason.contains("no providers") => {
            (ErrorClass::Auth, "NoCredentials", "there are no credentials".to_owned())
        }
        CredentialsError::CredentialsNotLoaded(_) => {
            (ErrorClass::Auth, "NoCredentials", format!("there are no credentials: {reason}"))
        }
        CredentialsError::ProviderTimedOut(_) => {
            let message = "the profile's credential_process or role gave no credentials in time";
            (ErrorClass::Auth, "CredentialsTimeout", message.to_owned())
        }
        CredentialsError::InvalidConfiguration(_) => {
            (ErrorClass::Auth, "InvalidProfile", format!("the profile is not valid: {reason}"))
        }
        _ if ["dispatch failure", "error trying to connect", "dns error"]
            .iter()
            .any(|s| reason.contains(s)) =>
        {
            let message = "the service that issues the credentials cannot be reached";
            (ErrorClass::Transient, "Unreachable", message.to_owned())
        }
        _ if LOGGED_OUT.iter().any(|text| reason.contains(text)) => {
            (ErrorClass::Auth, "ExpiredToken", "the login has expired".to_owned())
        }
        _ => (ErrorClass::Auth, "CredentialsFailed", format!("cannot get credentials: {reason}")),
    };
    CloudError::new(class, operation, code, message)
}

/// Returns the causes of an error, without its own text, which says only that there was an error.
fn reason(error: &CredentialsError) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    causes.join(": ").chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(CredentialsError::not_loaded_no_source(), ErrorClass::Auth, "NoCredentials")]
    #[case(CredentialsError::not_loaded("profile `x` was not defined"), ErrorClass::Auth, "NoCredentials")]
    #[case(CredentialsError::provider_timed_out(TIMEOUT), ErrorClass::Auth, "CredentialsTimeout")]
    #[case(CredentialsError::invalid_configuration("a loop"), ErrorClass::Auth, "InvalidProfile")]
    #[case(CredentialsError::provider_error("the session has expired"), ErrorClass::Auth, "ExpiredToken")]
    #[case(CredentialsError::provider_error("AccessDenied"), ErrorClass::Auth, "CredentialsFailed")]
    #[case(
        CredentialsError::provider_error("dispatch failure: timeout"),
        ErrorClass::Transient,
        "Unreachable"
    )]
    fn errors_are_classified(#[case] error: CredentialsError, #[case] class: ErrorClass, #[case] code: &str) {
        let error = classify("RunInstances", &error);
        assert_eq!((error.class, error.code.as_str()), (class, code), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn resolution_that_hangs_is_one_failure_for_all() {
        #[derive(Debug)]
        struct Hanging(std::sync::atomic::AtomicU32);
        impl ProvideCredentials for Hanging {
            fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                future::ProvideCredentials::new(std::future::pending())
            }
        }
        let hanging = std::sync::Arc::new(Hanging(0.into()));
        let provider: std::sync::Arc<dyn ProvideCredentials> = hanging.clone();
        let cache = CredentialsCache::new(SharedCredentialsProvider::new(provider));
        let (first, second) = futures::join!(cache.get("DescribeInstances"), cache.get("DescribeImages"));
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "CredentialsTimeout"));
        }
        assert_eq!(hanging.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
