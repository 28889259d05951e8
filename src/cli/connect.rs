//! `hatchery connect`

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tempfile::NamedTempFile;

use super::context::Context;
use super::json;
use super::kubeconfig::{DEFAULT_LIFETIME, KubeconfigFile, context_name, document, get_access};
use super::lookup::{FoundTarget, audit_session, find_target};
use crate::failure::{Failure, Kind};
use crate::sessions::{Destination, PortForwards, end_process, exit_code};
use crate::signals::{self, Cancellation};

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// Run this command, such as kubectl get pods, with a kubeconfig of its own; without it, hold the port forward of
    /// the environment's context
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl ConnectArgs {
    pub(crate) fn has_command(&self) -> bool {
        !self.command.is_empty()
    }
}

pub(crate) async fn run(
    context: &Context<'_>,
    args: ConnectArgs,
    forwards: &PortForwards,
) -> Result<ExitCode, Failure> {
    if args.has_command() && context.console.is_json() {
        let message = "the output is the command's, not JSON";
        return Err(Failure::new(Kind::Usage, message, "run it without --json"));
    }
    if args.has_command() {
        let found = find_target(context, &args.env).await?;
        return run_command(context, &found, args.command, forwards).await;
    }
    let found = find_target(context, &args.env).await?;
    tokio::select! {
        result = hold(context, &found, forwards) => result.map(|()| ExitCode::SUCCESS),
        code = signals::ended() => Ok(ExitCode::from(code)),
    }
}

/// Forwards the port of the environment's context until the forward ends.
async fn hold(context: &Context<'_>, found: &FoundTarget, forwards: &PortForwards) -> Result<(), Failure> {
    let id = &found.target.environment;
    let name = context_name(id);
    let file = KubeconfigFile::look_at()?;
    let port = file.port(&name).ok_or_else(|| {
        let message = format!("there is no context {name} in {}", file.path().display());
        Failure::new(Kind::NotFound, message, format!("create it with: hatchery kubeconfig {id}"))
    })?;
    let (cloud, target) = (context.cloud(), found.target.clone());
    forwards.start(cloud, target, Destination::Kubernetes, Some(port)).await?;
    // A panic is already logged.
    let _ = audit_session(context, "connect", id, "to Kubernetes").await;
    if context.console.is_json() {
        context.console.print_json(&json!({
            "version": json::VERSION, "fleet": context.fleet(), "id": id, "context": name, "server": format!("https://127.0.0.1:{port}"),
        }))?;
    } else {
        context.console.print(&format!("Forwarding port {port} to Kubernetes on {id} until Ctrl-C\n"))?;
    }
    Err(forwards.ended(&found.target.instance, Destination::Kubernetes).await)
}

/// Runs a command with a port forward and a kubeconfig that end with it. Returns its exit code.
async fn run_command(
    context: &Context<'_>,
    found: &FoundTarget,
    command: Vec<OsString>,
    forwards: &PortForwards,
) -> Result<ExitCode, Failure> {
    let id = &found.target.environment;
    let cancellation = Cancellation::default();
    let access = get_access(context, found, DEFAULT_LIFETIME, &cancellation).await?;
    let Some(access) = access else { return Ok(cancellation.exit_code()) };
    let starting = forwards.start(context.cloud(), found.target.clone(), Destination::Kubernetes, None);
    let port = tokio::select! {
        port = starting => port?,
        () = cancellation.wait() => return Ok(cancellation.exit_code()),
    };
    // It is deleted when it is dropped.
    let kubeconfig = write_kubeconfig(&document(&context_name(id), &access, port)?)?;
    // A panic is already logged.
    let _ = audit_session(context, "connect", id, "to Kubernetes, for a command").await;
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_default();
    // Ctrl-C is for the command, which gets it too. Ctrl-Z stops both.
    signals::leave_interrupts_to_foreground();
    let mut child = tokio::process::Command::new(&program)
        .args(words)
        .env("KUBECONFIG", kubeconfig.path())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let message = format!("cannot run {}: {error}", program.display());
            Failure::new(Kind::Failed, message, "check its name and your PATH")
        })?;
    let mut forward_ended = std::pin::pin!(forwards.ended(&found.target.instance, Destination::Kubernetes));
    let mut is_forwarding = true;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| {
                    Failure::new(Kind::Failed, format!("cannot wait for the command: {error}"), "")
                })?;
                return Ok(ExitCode::from(exit_code(status)));
            }
            code = signals::ended() => {
                end_process(&mut child).await;
                return Ok(ExitCode::from(code));
            }
            failure = &mut forward_ended, if is_forwarding => {
                is_forwarding = false;
                context.console.notice(&failure.message);
            }
        }
    }
}

/// Writes a file that only its user can read.
fn write_kubeconfig(text: &str) -> Result<NamedTempFile, Failure> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix("hatchery-kubeconfig-").tempfile()?;
        file.write_all(text.as_bytes())?;
        file.flush()?;
        std::io::Result::Ok(file)
    };
    write().map_err(|error| {
        let message = format!("cannot write a temporary file: {error}");
        Failure::new(Kind::Failed, message, "check TMPDIR")
    })
}
