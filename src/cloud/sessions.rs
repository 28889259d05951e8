//! Sessions of AWS Session Manager.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::domain::{CloudError, FleetName, InstanceId};

/// Starts and ends the sessions that Session Manager's plugin connects to.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html>
#[async_trait]
pub trait SessionManager: Send + Sync {
    /// Starts a session with an instance of a fleet.
    ///
    /// # Errors
    /// Returns the code [`TARGET_NOT_CONNECTED`] if the instance's agent is not connected to Session Manager, and [`INVALID_DOCUMENT`] if
    /// there is no such document as the request needs.
    async fn start_session(
        &self,
        fleet: &FleetName,
        instance: &InstanceId,
        request: SessionRequest,
    ) -> Result<ManagedSession, CloudError>;

    /// Ends a session. Succeeds if it has ended.
    async fn terminate_session(&self, id: &str) -> Result<(), CloudError>;
}

/// Error code of a session to an instance whose agent is not connected.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html>
pub const TARGET_NOT_CONNECTED: &str = "TargetNotConnected";

/// Error code of a session with a document that does not exist.
pub const INVALID_DOCUMENT: &str = "InvalidDocument";

/// The two ends of a port forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The port of this computer.
    pub local: u16,
    /// The port of the instance.
    pub remote: u16,
}

/// What a session is for. Each kind has a session document: port forwards AWS's, the others one of the fleet's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRequest {
    /// A port forward to the instance.
    Ports(Ports),
    /// A port forward from this port to the API server of the instance's cluster.
    Kubernetes(u16),
    /// A program in the user's terminal.
    Console(Console),
    /// A command that prints a kubeconfig, whose token is valid for so many seconds.
    Kubeconfig(u32),
}

/// A program of an instance that the user has in the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    Shell,
    /// The client of the environment's database.
    Database,
}

impl Console {
    /// The action in the audit log.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Shell => "open-shell",
            Self::Database => "open-database-console",
        }
    }
}

impl fmt::Display for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shell => "shell",
            Self::Database => "database console",
        })
    }
}

impl SessionRequest {
    /// Returns the name of the session document.
    /// <https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-specify-session-document.html>
    #[must_use]
    pub fn document(self, fleet: &FleetName) -> String {
        let name = match self {
            Self::Ports(_) => return "AWS-StartPortForwardingSession".to_owned(),
            Self::Kubernetes(_) => "kubernetes",
            Self::Console(Console::Shell) => "shell",
            Self::Console(Console::Database) => "database",
            Self::Kubeconfig(_) => "kubeconfig",
        };
        format!("hatchery-{fleet}-{name}")
    }

    /// Returns the parameters of the session document.
    #[must_use]
    pub fn parameters(self) -> BTreeMap<&'static str, Vec<String>> {
        let one = |number: u32| vec![number.to_string()];
        match self {
            Self::Ports(Ports { local, remote }) => {
                [("portNumber", one(remote.into())), ("localPortNumber", one(local.into()))].into()
            }
            Self::Kubernetes(local) => [("localPortNumber", one(local.into()))].into(),
            Self::Console(_) => BTreeMap::new(),
            Self::Kubeconfig(seconds) => [("seconds", one(seconds))].into(),
        }
    }

    /// Returns the name of the stack's policy that allows the session.
    #[must_use]
    pub fn policy(self, fleet: &FleetName) -> String {
        match self {
            Self::Ports(_) => format!("hatchery-{fleet}-open"),
            _ => format!("hatchery-{fleet}-connect"),
        }
    }
}

/// A session, and what the plugin needs to connect to it.
#[derive(Clone)]
pub struct ManagedSession {
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

impl ManagedSession {
    /// Returns the response of `StartSession` as JSON, which contains the token.
    #[must_use]
    pub fn response(&self) -> String {
        json!({ "SessionId": self.id, "TokenValue": self.token, "StreamUrl": self.stream_url }).to_string()
    }
}

impl fmt::Debug for ManagedSession {
    /// Omits the token and the URL, so that neither reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedSession").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_omits_the_token() {
        let session = ManagedSession {
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
