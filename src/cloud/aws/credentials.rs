//! Credentials, resolved once for all calls and outside of their time-outs: a `credential_process` may wait for the user to log in.
//!
//! They are resolved again when they expire, and after AWS has refused them, because a tool may have written new keys or the user may have
//! logged in meanwhile.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

use self::error::is_refusal_of_credentials;
use self::source::{Source, Stamp, UserSource};
use crate::cloud::{AskCode, Result};
use crate::domain::CloudError;

mod chain;
mod error;
mod login;
mod process;
mod profiles;
mod roles;
mod sessions;
mod source;

pub(super) use login::login_of;
pub(super) use profiles::{Profiles, Selected};

/// Tells the user what is waited for.
pub(crate) type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// How long before their expiry credentials are replaced.
const REFRESH_BEFORE: Duration = Duration::from_mins(1);

/// The shortest time for which credentials are used. Without it, those that expire within a minute would be resolved for each call.
const MIN_LIFETIME: Duration = Duration::from_secs(10);

/// How long credentials without an expiry are used, as in the SDK's own cache.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(15);

/// The shortest time between two resolutions because of a refusal while the user's files stay the same.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);

/// How long a failure is the answer while the user's files stay the same. A resolution can run a program and ask services.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);

/// How often the user's files are looked at while there are no credentials that AWS takes.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);

/// How long a resolution may take before the user is told what it waits for, and how often.
const SILENT_FOR: Duration = Duration::from_secs(3);
const TELL_AGAIN: Duration = Duration::from_secs(15);

/// The credentials of one caller.
pub(super) struct CredentialsCache {
    source: Source,
    tell: Option<Tell>,
    state: Mutex<State>,
}

impl std::fmt::Debug for CredentialsCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialsCache").field("source", &self.source).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    /// The last failure, its time and the files that it is about.
    failure: Option<(CloudError, Instant, Stamp)>,
    /// How often they were resolved.
    resolutions: u64,
}

#[derive(Debug)]
struct Current {
    credentials: Credentials,
    until: SystemTime,
    resolved: Instant,
    stamp: Stamp,
    refused: bool,
}

impl Current {
    fn is_usable(&self, source: &Source) -> bool {
        let resolve_again = || self.resolved.elapsed() >= RESOLVE_AGAIN || source.stamp() != self.stamp;
        SystemTime::now() < self.until && !(self.refused && resolve_again())
    }
}

impl CredentialsCache {
    /// Uses a provider of the SDK.
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { source: Source::Provider(provider), tell: None, state: Mutex::default() }
    }

    /// Uses the user's profiles and environment variables. `config` says how STS and SSO are called.
    pub(super) fn of_user(
        selected: Selected,
        config: SdkConfig,
        ask: Option<AskCode>,
        tell: Option<Tell>,
    ) -> Self {
        let source = Source::User(Box::new(UserSource::new(selected, config, ask)));
        Self { source, tell, state: Mutex::default() }
    }

    /// Whether the user has to be asked for a code of an MFA device.
    pub(super) async fn needs_code(&self) -> bool {
        match &self.source {
            Source::Provider(_) => false,
            Source::User(user) => user.needs_code().await,
        }
    }

    /// Returns credentials that do not expire soon.
    pub(super) async fn get(&self, operation: &'static str) -> Result<Credentials> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(current) = state.current.as_ref().filter(|current| current.is_usable(&self.source)) {
            return Ok(current.credentials.clone());
        }
        let stamp = self.source.stamp();
        if let Some((error, at, files)) = &state.failure
            && (*at >= asked || at.elapsed() < FAILURE_LIFETIME && *files == stamp)
        {
            return Err(CloudError { operation, ..error.clone() });
        }
        // The futures of the services' clients have tens of kilobytes.
        match Box::pin(self.resolve()).await.and_then(check) {
            Ok(credentials) => {
                let now = SystemTime::now();
                let until = match credentials.expiry() {
                    Some(expiry) => {
                        let early = expiry.checked_sub(REFRESH_BEFORE).unwrap_or(expiry);
                        early.max(now + MIN_LIFETIME)
                    }
                    None => now + DEFAULT_LIFETIME,
                };
                let (resolved, refused) = (Instant::now(), false);
                let current = Current { credentials: credentials.clone(), until, resolved, stamp, refused };
                let resolutions = state.resolutions + 1;
                *state = State { current: Some(current), failure: None, resolutions };
                Ok(credentials)
            }
            Err(error) => {
                // The stamp from before: what has changed meanwhile is not in the failure.
                state.current = None;
                state.failure = Some((error.clone(), Instant::now(), stamp));
                Err(CloudError { operation, ..error })
            }
        }
    }

    /// Takes notice of an error of a call that was made with these credentials.
    pub(super) async fn note(&self, used: &Credentials, error: &CloudError) {
        if !is_refusal_of_credentials(&error.code) {
            return;
        }
        let mut state = self.state.lock().await;
        if let Some(current) = &mut state.current
            && current.credentials == *used
        {
            current.refused = true;
        }
    }

    /// Returns once there are other credentials, or the files differ from those with which they failed or were refused.
    pub(super) async fn changed(&self) {
        let known = self.state.lock().await.resolutions;
        loop {
            tokio::time::sleep(LOOK_AT_FILES).await;
            let state = self.state.lock().await;
            let failed = state.failure.as_ref().map(|(.., stamp)| stamp);
            let refused =
                state.current.as_ref().filter(|current| current.refused).map(|current| &current.stamp);
            // Another call may have resolved them meanwhile.
            if state.resolutions != known
                || failed.or(refused).is_some_and(|stamp| *stamp != self.source.stamp())
            {
                return;
            }
        }
    }

    /// Resolves credentials, and tells the user if that takes long.
    async fn resolve(&self) -> Result<Credentials> {
        let resolving = self.source.resolve();
        tokio::pin!(resolving);
        let mut wait = SILENT_FOR;
        loop {
            tokio::select! {
                biased;
                result = &mut resolving => return result,
                () = tokio::time::sleep(wait) => self.tell_wait(),
            }
            wait = TELL_AGAIN;
        }
    }

    fn tell_wait(&self) {
        let (Some(tell), Source::User(user)) = (&self.tell, &self.source) else { return };
        if let Some(what) = user.waits_for.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            tell(&format!("waiting for {what}"));
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

/// Refuses credentials that no request can have: the SDK ends the process at a header that is not valid.
fn check(credentials: Credentials) -> Result<Credentials> {
    let is_valid = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid(credentials.access_key_id()) && credentials.session_token().is_none_or(is_valid) {
        return Ok(credentials);
    }
    let message = "the access key or the session token has characters that no request can have";
    Err(error::auth("InvalidCredentials", message))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::ErrorClass;

    /// Counts how often it is asked.
    #[derive(Debug)]
    struct Counting {
        count: AtomicU32,
        answer: fn(u32) -> provider::Result,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready((self.answer)(count))
        }
    }

    fn counting(answer: fn(u32) -> provider::Result) -> (Arc<Counting>, CredentialsCache) {
        let counting = Arc::new(Counting { count: 0.into(), answer });
        let provider: Arc<dyn ProvideCredentials> = counting.clone();
        (counting, CredentialsCache::new(SharedCredentialsProvider::new(provider)))
    }

    fn keys(count: u32, expiry: Option<SystemTime>) -> Credentials {
        Credentials::new(format!("AKIA{count}"), "s", None, expiry, "test")
    }

    fn refusal(code: &str) -> CloudError {
        CloudError::new(ErrorClass::Auth, "DescribeInstances", code, "no")
    }

    #[tokio::test(start_paused = true)]
    async fn resolution_that_hangs_is_one_failure_for_all() {
        #[derive(Debug)]
        struct Hanging(AtomicU32);
        impl ProvideCredentials for Hanging {
            fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                self.0.fetch_add(1, Ordering::Relaxed);
                future::ProvideCredentials::new(std::future::pending())
            }
        }
        let hanging = Arc::new(Hanging(0.into()));
        let provider: Arc<dyn ProvideCredentials> = hanging.clone();
        let cache = CredentialsCache::new(SharedCredentialsProvider::new(provider));
        let (first, second) = futures::join!(cache.get("DescribeInstances"), cache.get("DescribeImages"));
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "CredentialsTimeout"));
        }
        assert_eq!(hanging.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn failure_is_not_repeated_at_once() {
        let (counting, cache) = counting(|_| Err(CredentialsError::not_loaded("no")));
        for _ in 0..100 {
            assert_eq!(cache.get("DescribeInstances").await.unwrap_err().code, "NoCredentials");
        }
        assert_eq!(counting.count.load(Ordering::Relaxed), 1);
        cache.state.lock().await.failure.as_mut().unwrap().1 -= FAILURE_LIFETIME;
        assert!(cache.get("DescribeInstances").await.is_err());
        assert_eq!(counting.count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn refused_credentials_are_resolved_again_later() {
        let (counting, cache) = counting(|count| Ok(keys(count, None)));
        let used = cache.get("DescribeInstances").await.unwrap();
        cache.note(&used, &refusal("ExpiredToken")).await;
        assert_eq!(cache.get("DescribeInstances").await.unwrap(), used, "not at once");
        cache.state.lock().await.current.as_mut().unwrap().resolved -= RESOLVE_AGAIN;
        assert_eq!(cache.get("DescribeInstances").await.unwrap().access_key_id(), "AKIA1");
        assert_eq!(counting.count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn denied_action_leaves_the_credentials() {
        let (_, cache) = counting(|count| Ok(keys(count, None)));
        let used = cache.get("DescribeInstances").await.unwrap();
        cache.note(&used, &refusal("UnauthorizedOperation")).await;
        cache.state.lock().await.current.as_mut().unwrap().resolved -= RESOLVE_AGAIN;
        assert_eq!(cache.get("DescribeInstances").await.unwrap(), used);
    }

    #[tokio::test]
    async fn refusal_of_earlier_credentials_is_no_matter() {
        let (_, cache) = counting(|count| Ok(keys(count, None)));
        cache.get("DescribeInstances").await.unwrap();
        cache.note(&keys(9, None), &refusal("ExpiredToken")).await;
        assert!(!cache.state.lock().await.current.as_ref().unwrap().refused);
    }

    #[tokio::test]
    async fn credentials_about_to_expire_are_not_resolved_for_each_call() {
        let (counting, cache) =
            counting(|count| Ok(keys(count, Some(SystemTime::now() + Duration::from_secs(20)))));
        for _ in 0..100 {
            cache.get("DescribeInstances").await.unwrap();
        }
        assert_eq!(counting.count.load(Ordering::Relaxed), 1);
    }
}
