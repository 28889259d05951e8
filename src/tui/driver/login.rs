//! Lets the user log in with the AWS CLI, which has the terminal meanwhile.

use std::io::ErrorKind;

use tokio::process::Command;

use super::Driver;
use super::hand_over::{Return, read_line, say};
use crate::cloud::Login;
use crate::failure::{Failure, Kind};
use crate::sessions::{end_process, exit_code};
use crate::tui::signals::Signals;
use crate::tui::terminal::Surface;

impl<S: Surface> Driver<S> {
    pub(super) async fn run_login(&mut self, login: &Login, signals: &mut Signals) -> Return {
        say(&format!("{login} (Ctrl-C cancels)"));
        let mut child = match Command::new("aws").args(login.arguments()).kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => return Return::Closed(Err(start_failure(login, &error))),
        };
        let mut status = None;
        let waited = self
            .wait_for(
                async {
                    status = Some(child.wait().await);
                    Return::Closed(Ok(None))
                },
                signals,
            )
            .await;
        let code = match status {
            Some(Ok(status)) => exit_code(status),
            Some(Err(error)) => return Return::Closed(Err(start_failure(login, &error))),
            None => {
                // The time until the process has to be gone begins here.
                signals.restored();
                end_process(&mut child).await;
                return waited;
            }
        };
        if code == 0 {
            return Return::Closed(Ok(None));
        }
        say("\nPress Enter to return to the dashboard.");
        let returned = self
            .wait_for(
                async {
                    read_line().await;
                    Return::Closed(Ok(None))
                },
                signals,
            )
            .await;
        match returned {
            Return::Closed(_) => {
                let message = format!("you are not logged in: {} failed (exit code {code})", login.command());
                Return::Closed(Err(Failure::new(Kind::Failed, message, format!("try in a shell: {login}"))))
            }
            other => other,
        }
    }
}

fn start_failure(login: &Login, error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        let hint = format!("install the AWS CLI, or run elsewhere: {login}");
        return Failure::new(Kind::Failed, "cannot log in: there is no program aws in PATH", hint);
    }
    Failure::new(Kind::Failed, format!("cannot log in: cannot run aws: {error}"), "check its installation")
}
