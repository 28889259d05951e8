//! Gives the terminal to a shell of this computer in which kubectl works on an environment: `hatchery connect ENV -- SHELL`.

use std::ffi::OsString;

use tokio::process::Command;

use super::Driver;
use super::child::Child;
use super::hand_over::{EARLY, Return, say};
use crate::domain::EnvironmentId;
use crate::failure::{Failure, Kind};
use crate::tui::signals::Signals;
use crate::tui::terminal::Surface;

impl<S: Surface> Driver<S> {
    pub(super) async fn run_kubectl(
        &mut self,
        fleet: usize,
        environment: &EnvironmentId,
        signals: &mut Signals,
    ) -> Return {
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return Return::Closed(Err(start_failure(environment, &error))),
        };
        let arguments = self.fleets.models().get(fleet).map(|model| model.options.arguments.clone());
        let mut command = Command::new(program);
        command.args(arguments.unwrap_or_default());
        command.args(["connect", &environment.to_string(), "--"]).arg(shell());
        say(&format!("A shell with kubectl on {environment}; exit returns to the dashboard"));
        match self.run_child(command, signals).await {
            Child::Returned(returned) => returned,
            Child::NotStarted(error) => Return::Closed(Err(start_failure(environment, &error))),
            // The exit code is that of the last command, so only the time tells whether there was a shell.
            Child::Exited(_, duration) if duration < EARLY => {
                let returned = self.wait_for_enter("", signals).await;
                returned.unwrap_or(Return::Closed(Ok(None)))
            }
            Child::Exited(..) => Return::Closed(Ok(None)),
        }
    }
}

/// Returns the user's shell.
fn shell() -> OsString {
    let (variable, other) = if cfg!(windows) { ("COMSPEC", "cmd.exe") } else { ("SHELL", "/bin/sh") };
    std::env::var_os(variable).filter(|shell| !shell.is_empty()).unwrap_or_else(|| other.into())
}

fn start_failure(environment: &EnvironmentId, error: &std::io::Error) -> Failure {
    let hint = format!("run in another terminal: hatchery connect {environment} -- kubectl get pods");
    Failure::new(Kind::Failed, format!("cannot open a shell with kubectl on {environment}: {error}"), hint)
}
