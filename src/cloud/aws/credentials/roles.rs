//! Roles that AWS STS gives: by other credentials, with a code of the user's device, or by a token in a file.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use super::chain::{Role, WebIdentity};
use super::error::{OPERATION, auth, is_refusal_of_credentials, kept_away};
use crate::cloud::Result;
use crate::cloud::aws::classification::{Access, classify};
use crate::cloud::aws::date::ReadDate;
use crate::cloud::aws::skew::CLOCK_SKEW;
use crate::domain::{CloudError, ErrorClass};

const STS: &str = "the AWS service STS";

/// Assumes a role with other credentials, and with the code of the user's device if it needs one.
pub(super) async fn assume(
    config: &SdkConfig,
    source: Credentials,
    role: &Role,
    code: Option<String>,
) -> Result<Credentials> {
    let config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(source)).build();
    let with_code = code.is_some();
    let seconds = role.duration.map(|duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX));
    let request = client(&config)
        .assume_role()
        .role_arn(&role.arn)
        .role_session_name(session_name(role.session_name.as_deref()))
        .set_external_id(role.external_id.clone())
        .set_duration_seconds(seconds)
        .set_serial_number(role.mfa_serial.clone().filter(|_| with_code))
        .set_token_code(code);
    let answer = request.send().await;
    let refused = if with_code { "MfaRefused" } else { "RoleRefused" };
    let answer = answer.map_err(|error| failed(&error, refused, &role.arn))?;
    credentials(answer.credentials.as_ref(), &role.arn)
}

/// Assumes a role by a token in a file.
pub(super) async fn by_token(config: &SdkConfig, identity: &WebIdentity) -> Result<Credentials> {
    let WebIdentity { role_arn, token_file, .. } = identity;
    let token = tokio::fs::read_to_string(token_file).await.map_err(|error| {
        auth("WebIdentityToken", format!("cannot read the web identity token file {token_file}: {error}"))
    })?;
    let request = client(config)
        .assume_role_with_web_identity()
        .role_arn(role_arn)
        .role_session_name(session_name(identity.session_name.as_deref()))
        .web_identity_token(token.trim());
    let answer = request.send().await.map_err(|error| failed(&error, "WebIdentityToken", role_arn))?;
    credentials(answer.credentials.as_ref(), role_arn)
}

fn client(config: &SdkConfig) -> Client {
    Client::from_conf(aws_sdk_sts::config::Builder::from(config).interceptor(ReadDate).build())
}

fn session_name(configured: Option<&str>) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    configured.map_or_else(|| format!("hatchery-{seconds}"), str::to_owned)
}

fn credentials(found: Option<&aws_sdk_sts::types::Credentials>, arn: &str) -> Result<Credentials> {
    let found =
        found.ok_or_else(|| auth("RoleRefused", format!("AWS gave no credentials for the role {arn}")))?;
    let (id, secret, token) = (found.access_key_id(), found.secret_access_key(), found.session_token());
    Ok(Credentials::new(
        id,
        secret,
        Some(token.to_owned()),
        SystemTime::try_from(*found.expiration()).ok(),
        "Role",
    ))
}

/// Classifies an error as for every other call, and says that it is about the role. `refused` is the code of a refusal that is not about the
/// credentials with which the role is assumed.
fn failed<E>(error: &SdkError<E>, refused: &str, arn: &str) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let found = classify(OPERATION, Access::Read, error);
    let cannot = format!("cannot assume the role {arn}: {}", found.message);
    let refusal = format!("AWS refuses to let you assume the role {arn}: {}", found.message);
    match found.class {
        ErrorClass::Transient => kept_away(STS, found),
        ErrorClass::Throttled => CloudError { message: refusal, ..found },
        ErrorClass::Auth if found.code == CLOCK_SKEW => CloudError { message: cannot, ..found },
        ErrorClass::Auth if is_refusal_of_credentials(&found.code) => {
            CloudError { message: refusal, ..found }
        }
        _ if error.as_service_error().is_some() => auth(refused, refusal),
        _ => auth("CredentialsFailed", cannot),
    }
}
