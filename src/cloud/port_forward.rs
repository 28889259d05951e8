//! Port forwards of AWS Session Manager.

use std::fmt;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::domain::{CloudError, InstanceId};

/// Starts and ends the sessions that Session Manager's plugin connects to.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html>
#[async_trait]
pub trait PortForwarding: Send + Sync {
    /// Starts a session that forwards a port of this computer to a port of an instance.
    ///
    /// # Errors
    /// Returns the code [`TARGET_NOT_CONNECTED`] if the instance's agent is not connected to Session Manager.
    async fn start_session(
        &self,
        instance: &InstanceId,
        ports: Ports,
    ) -> Result<ForwardingSession, CloudError>;

    /// Ends a session. Succeeds if it has ended.
    async fn terminate_session(&self, id: &str) -> Result<(), CloudError>;
}

/// Error code of a session to an instance whose agent is not connected.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html>
pub const TARGET_NOT_CONNECTED: &str = "TargetNotConnected";

/// The two ends of a port forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The port of this computer.
    pub local: u16,
    /// The port of the instance.
    pub remote: u16,
}

/// A session, and what the plugin needs to connect to it.
#[derive(Clone)]
pub struct ForwardingSession {
    pub id: String,
    pub stream_url: String,
    /// Secret: with it, anyone can connect to the session.
    pub token: String,
    pub region: String,
    /// The profile that the user named; empty if none. The plugin resumes the session with its credentials.
    pub profile: String,
    /// The URL of the Systems Manager endpoint.
    pub endpoint: String,
    /// The parameters of the request, as the AWS CLI names them.
    pub request: Value,
}

impl ForwardingSession {
    /// Returns the response of `StartSession` as JSON, which contains the token.
    #[must_use]
    pub fn response(&self) -> String {
        json!({ "SessionId": self.id, "TokenValue": self.token, "StreamUrl": self.stream_url }).to_string()
    }
}

impl fmt::Debug for ForwardingSession {
    /// Omits the token and the URL, so that neither reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardingSession").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_omits_the_token() {
        let session = ForwardingSession {
            id: "amy-0123456789abcdef0".into(),
            stream_url: "wss://example.org/?secret".into(),
            token: "secret".into(),
            region: "eu-west-1".into(),
            profile: String::new(),
            endpoint: "https://ssm.eu-west-1.amazonaws.com".into(),
            request: json!({}),
        };
        let text = format!("{session:?}");
        assert!(text.contains("amy-0123456789abcdef0") && !text.contains("secret"), "{text}");
        assert!(session.response().contains(r#""TokenValue":"secret""#));
    }
}
