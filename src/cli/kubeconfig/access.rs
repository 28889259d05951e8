//! What a developer needs to reach an environment's cluster.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::text;
use crate::failure::{Failure, Kind};

/// The name in the certificate of each environment's API server.
pub(super) const TLS_SERVER_NAME: &str = "hatchery.internal";

/// The certificate and the token of a cluster.
pub(crate) struct ClusterAccess {
    /// In base64.
    pub(super) certificate_authority: String,
    /// Secret: with it, anyone can act as a developer in the cluster.
    pub(super) token: String,
    pub(crate) expires_at: DateTime<Utc>,
}

impl fmt::Debug for ClusterAccess {
    /// Omits the token, so that it does not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterAccess").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl ClusterAccess {
    /// Parses the kubeconfig of an instance. `requested` is when the token should expire; Kubernetes may shorten that.
    pub(super) fn parse(config: &Value, requested: DateTime<Utc>) -> Option<Self> {
        let authority = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str()?;
        BASE64_STANDARD.decode(authority).ok().filter(|certificate| !certificate.is_empty())?;
        let token = config["users"][0]["user"]["token"].as_str()?;
        if token.contains(' ') || !text::is_printable(token, 16_384) {
            return None;
        }
        Some(Self {
            certificate_authority: authority.to_owned(),
            token: token.to_owned(),
            expires_at: expiry(token).map_or(requested, |expiry| expiry.min(requested)),
        })
    }
}

/// Returns the expiry of a JSON Web Token.
fn expiry(token: &str) -> Option<DateTime<Utc>> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims["exp"].as_i64()?, 0)
}

/// Returns the URL of the API server behind a port of this computer.
pub(crate) fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Returns a port of this computer that is free now.
pub(super) fn free_port() -> Result<u16, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| Failure::new(Kind::Failed, format!("no port of this computer is free: {error}"), ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(token: &str) -> Value {
        json!({
            "clusters": [{ "cluster": { "certificate-authority-data": "Y2VydA==" } }],
            "users": [{ "user": { "token": token } }],
        })
    }

    #[test]
    fn expiry_of_the_token_counts_if_it_is_earlier() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp": 1000}"#);
        let requested = DateTime::from_timestamp(2000, 0).unwrap();
        let token = format!("header.{claims}.signature");
        let access = ClusterAccess::parse(&config(&token), requested).unwrap();
        assert_eq!(access.expires_at.timestamp(), 1000);
        assert!(!format!("{access:?}").contains(&token));
        let access = ClusterAccess::parse(&config("opaque"), requested).unwrap();
        assert_eq!(access.expires_at, requested);
    }

    #[test]
    fn kubeconfig_without_certificate_or_token_is_not_valid() {
        let now = DateTime::UNIX_EPOCH;
        assert!(ClusterAccess::parse(&json!({}), now).is_none());
        assert!(ClusterAccess::parse(&config("two words"), now).is_none());
        assert!(ClusterAccess::parse(&config("esc\u{1b}[2J"), now).is_none());
    }
}
