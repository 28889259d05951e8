//! Roles that AWS STS gives: by other credentials, with a code of the user's device, or by a token in a file.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use super::chain::{Role, WebIdentity};
use super::error::{auth, is_network, kept_away, reason, root, shorten, unreachable};
use crate::cloud::Result;
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
    let request = Client::new(&config)
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
    let request = Client::new(config)
        .assume_role_with_web_identity()
        .role_arn(role_arn)
        .role_session_name(session_name(identity.session_name.as_deref()))
        .web_identity_token(token.trim());
    let answer = request.send().await.map_err(|error| failed(&error, "WebIdentityToken", role_arn))?;
    credentials(answer.credentials.as_ref(), role_arn)
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

fn failed<E>(error: &SdkError<E>, refused: &str, arn: &str) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(service) = error else {
        if let Some(error) = kept_away(STS, error) {
            return error;
        }
        let causes = reason(error);
        let text = format!("{error}: {causes}");
        if is_network(&text) || matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_)) {
            return unreachable(STS, &root(error));
        }
        return auth("CredentialsFailed", format!("cannot assume the role {arn}: {}", shorten(&causes)));
    };
    let (code, status) = (service.err().code().unwrap_or_default(), service.raw().status().as_u16());
    let said = service.err().message().unwrap_or("the service gave no reason");
    let message = format!("AWS refuses to let you assume the role {arn}: {}", shorten(said));
    match code {
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "RequestExpired" => auth(code, message),
        "Throttling" | "ThrottlingException" | "RequestThrottled" => {
            CloudError { class: ErrorClass::Throttled, ..auth(code, message) }
        }
        _ if status >= 500 => unreachable(STS, said),
        _ => auth(refused, message),
    }
}
