//! Sessions that the user opens with `aws sso login` or `aws login`.

use std::path::PathBuf;
use std::time::SystemTime;

use aws_config::login::LoginCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sso::SsoCredentialsProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha1::{Digest as _, Sha1};

use super::chain::Sso;
use super::error::{auth, connection, is_network, reason, shorten, unreachable};
use crate::cloud::Result;
use crate::domain::CloudError;

const SIGN_IN: &str = "AWS Sign-In";

/// The part of a cached SSO token that tells what became of the session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CachedToken {
    expires_at: DateTime<Utc>,
}

/// Returns the folder in which the AWS CLI keeps the tokens of SSO sessions.
pub(super) fn sso_cache() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws/sso/cache"))
}

/// Returns the folder in which the AWS CLI keeps the tokens of `aws login`.
pub(super) fn login_cache() -> Option<PathBuf> {
    match std::env::var_os("AWS_LOGIN_CACHE_DIRECTORY") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => Some(std::env::home_dir()?.join(".aws/login/cache")),
    }
}

/// Gets the credentials of a role of IAM Identity Center.
pub(super) async fn sso(config: &SdkConfig, profile: &str, sso: &Sso) -> Result<Credentials> {
    let key = sso.session.as_deref().unwrap_or(&sso.start_url);
    let session = format!("the SSO session {key:?} of the profile {profile:?}");
    let name = format!("{}.json", hex::encode(Sha1::digest(key.as_bytes())));
    let file = sso_cache().map(|folder| folder.join(name)).unwrap_or_default();
    let Ok(content) = std::fs::read_to_string(file) else {
        return Err(auth("SsoLoggedOut", format!("you are not logged in to {session}")));
    };
    let Ok(token) = serde_json::from_str::<CachedToken>(&content) else {
        let message = format!("the stored login of {session} cannot be read");
        return Err(auth("SsoLoggedOut", message));
    };
    let has_expired = SystemTime::from(token.expires_at) <= SystemTime::now();
    let mut provider = SsoCredentialsProvider::builder()
        .configure(&provider_config(config))
        .account_id(&sso.account)
        .role_name(&sso.role)
        .start_url(&sso.start_url)
        .region(Region::new(sso.region.clone()));
    provider.set_session_name(sso.session.clone());
    let found = provider.build().provide_credentials().await;
    found.map_err(|error| {
        let service = format!("IAM Identity Center (SSO) in {}", sso.region);
        if let Some(error) = connection(&service, &error) {
            return error;
        }
        let reason = reason(&error);
        if is_network(&reason) {
            return unreachable(&service, cause(&reason));
        }
        let is_forbidden = reason.contains("ForbiddenException");
        if is_forbidden || reason.contains("ResourceNotFoundException") {
            let Sso { account, role, .. } = sso;
            let said = shorten(cause(&reason));
            return auth(
                "SsoForbidden",
                format!("{session} does not give you the role {role} of the account {account}: {said}"),
            );
        }
        if has_expired {
            let message = format!("{session} has expired, and AWS did not renew it");
            return auth("SsoExpired", message);
        }
        if reason.contains("Unauthorized") {
            return auth("SsoEnded", format!("{session} was ended by AWS"));
        }
        auth("CredentialsFailed", format!("{session} gives no credentials: {}", shorten(&reason)))
    })
}

/// Gets the credentials of a session of `aws login`.
pub(super) async fn login(config: &SdkConfig, profile: &str, session: &str) -> Result<Credentials> {
    let provider = LoginCredentialsProvider::builder(session).configure(&provider_config(config)).build();
    provider.provide_credentials().await.map_err(|error| {
        connection(SIGN_IN, &error).unwrap_or_else(|| login_failed(profile, &reason(&error)))
    })
}

fn login_failed(profile: &str, reason: &str) -> CloudError {
    let session = format!("the login of the profile {profile:?}");
    if is_network(reason) {
        return unreachable(SIGN_IN, cause(reason));
    }
    // A file of the cache that is not there.
    if reason.contains("failed to read") {
        return auth("LoggedOut", format!("the profile {profile:?} is not logged in"));
    }
    if reason.contains("expired") {
        return auth("LoginExpired", format!("{session} has expired"));
    }
    if reason.contains("change in your password") {
        return auth("LoginExpired", format!("{session} has ended, because your password has changed"));
    }
    if reason.contains("failed to refresh") {
        let said = shorten(cause(reason));
        return auth("LoginExpired", format!("{session} was not renewed: {said}"));
    }
    auth("LoggedOut", format!("{session} cannot be used: {}", shorten(reason)))
}

/// Returns the configuration of the SDK's providers, whose clients are made of it.
fn provider_config(config: &SdkConfig) -> ProviderConfig {
    let mut provider = ProviderConfig::without_region().with_region(config.region().cloned());
    if let Some(http) = config.http_client() {
        provider = provider.with_http_client(http);
    }
    if let Some(timeouts) = config.timeout_config() {
        provider = provider.with_timeout_config(timeouts.clone());
    }
    provider
}

/// Returns the last of several causes, which is the one nearest to what happened.
fn cause(reason: &str) -> &str {
    reason.rsplit(": ").next().unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_file(
        "failed to read `/home/amy/.aws/login/cache/x.json`: No such file",
        "LoggedOut",
        "is not logged in"
    )]
    #[case::expired(
        "failed to refresh cached Login token: Your session has expired. Please reauthenticate.",
        "LoginExpired",
        "has expired"
    )]
    #[case::password(
        "failed to refresh cached Login token: Unable to refresh credentials because of a change in your password.",
        "LoginExpired",
        "password has changed"
    )]
    #[case::refused(
        "failed to refresh cached Login token: unhandled error: no",
        "LoginExpired",
        "was not renewed: no"
    )]
    #[case::network(
        "failed to refresh cached Login token: dispatch failure: io error: refused",
        "Unreachable",
        "AWS Sign-In"
    )]
    #[case::broken("invalid JSON in cached Login token file", "LoggedOut", "invalid JSON")]
    fn login_failure_has_its_reason(#[case] reason: &str, #[case] code: &str, #[case] part: &str) {
        let error = login_failed("my prod", reason);
        assert_eq!(error.code, code);
        assert!(error.message.contains(part), "{error}");
    }
}
