//! A stub of Session Manager in front of moto, which has none, and the stubs of its plugin and of a browser.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html>

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Request, response, serve};
use super::moto;

/// The secret of every session.
pub(crate) const TOKEN: &str = "AAEAAdvYpKZ5nTs0secret";

/// How the stub answers `StartSession`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    Connected,
    /// As if the instance had not booted yet.
    NotConnected,
    /// As if a policy did not allow the session.
    Denied,
    /// As if the fleet's stack were of an older version, without session documents.
    WithoutDocuments,
}

/// The operations and their parameters, in order.
pub(crate) type Sessions = Arc<Mutex<Vec<(String, Value)>>>;

/// Starts the stub in front of `upstream` (`host:port`).
pub(crate) fn start(upstream: String, agent: Agent) -> (SocketAddr, Sessions) {
    let sessions = Sessions::default();
    let calls = Arc::clone(&sessions);
    let address = serve(move |request, mut client| {
        let whole = match request.header("x-amz-target").strip_prefix("AmazonSSM.") {
            Some(operation) => answer(operation, request, agent, &calls),
            None => request.forward(&upstream)?,
        };
        client.write_all(&whole)
    });
    (address, sessions)
}

fn answer(operation: &str, request: &Request, agent: Agent, calls: &Sessions) -> Vec<u8> {
    let body = request.json();
    let mut calls = calls.lock().unwrap();
    calls.push((operation.to_owned(), body.clone()));
    let refuse = |code: &str, message: &str| {
        ("400 Bad Request", json!({ "__type": code, "message": message, "Message": message }))
    };
    let (status, body) = match (operation, agent) {
        ("StartSession", Agent::NotConnected) => {
            refuse("TargetNotConnected", &format!("{} is not connected.", body["Target"].as_str().unwrap()))
        }
        ("StartSession", Agent::WithoutDocuments) => refuse("InvalidDocument", "Document does not exist."),
        ("StartSession", Agent::Denied) => refuse("AccessDeniedException", "not authorized to StartSession"),
        ("StartSession", Agent::Connected) => {
            let id = format!("amy-{:017x}", calls.len());
            let url = format!("wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/{id}?role=publish");
            ("200 OK", json!({ "SessionId": id, "TokenValue": TOKEN, "StreamUrl": url }))
        }
        ("TerminateSession", _) => ("200 OK", json!({ "SessionId": body["SessionId"] })),
        _ => panic!("an operation without an answer: {operation}"),
    };
    response(status, &[("Content-Type", "application/x-amz-json-1.1")], &body.to_string())
}

/// A folder with the stub of the plugin and with an `xdg-open` that records what it opens.
pub(crate) struct Programs {
    folder: TempDir,
}

impl Programs {
    pub(crate) fn install() -> Self {
        let programs = Self::without_plugin();
        let python = moto::ENVIRONMENT.program("python");
        let plugin = format!("#!{}\n{}", python.display(), include_str!("session_manager_plugin.py"));
        write_program(&programs.path().join("session-manager-plugin"), &plugin);
        programs
    }

    pub(crate) fn without_plugin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opened = folder.path().join("opened");
        let browser = format!("#!/bin/sh\necho \"$1\" >> '{}'\n", opened.display());
        write_program(&folder.path().join("xdg-open"), &browser);
        Self { folder }
    }

    /// The folder, which is a whole `PATH`.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the plugins recorded, in order.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let calls = std::fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        calls.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The process id of the plugin that was started first.
    pub(crate) fn first_pid(&self) -> u32 {
        self.calls()[0]["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// What the browser opened.
    pub(crate) fn opened(&self) -> String {
        std::fs::read_to_string(self.path().join("opened")).unwrap_or_default()
    }
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
