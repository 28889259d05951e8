//! Lets the user log in with the AWS CLI, which has the terminal meanwhile.

use std::io::ErrorKind;

use tokio::process::Command;

use super::Driver;
use super::child::Child;
use super::hand_over::{Return, say};
use crate::cloud::Login;
use crate::failure::{Failure, Kind};
use crate::tui::signals::Signals;
use crate::tui::terminal::Surface;

impl<S: Surface> Driver<S> {
    pub(super) async fn run_login(&mut self, login: &Login, signals: &mut Signals) -> Return {
        say(&format!("{login} (Ctrl-C cancels)"));
        let mut command = Command::new("aws");
        command.args(login.arguments());
        let code = match self.run_child(command, signals).await {
            Child::Exited(0, _) => return Return::Closed(Ok(None)),
            Child::Exited(code, _) => code,
            Child::NotStarted(error) => return Return::Closed(Err(start_failure(login, &error))),
            Child::Returned(returned) => return returned,
        };
        if let Some(returned) = self.wait_for_enter("", signals).await {
            return returned;
        }
        let message = format!("you are not logged in: {} failed (exit code {code})", login.command());
        Return::Closed(Err(Failure::new(Kind::Failed, message, format!("try in a shell: {login}"))))
    }
}

fn start_failure(login: &Login, error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        let hint = format!("install the AWS CLI, or run elsewhere: {login}");
        return Failure::new(Kind::Failed, "cannot log in: there is no program aws in PATH", hint);
    }
    Failure::new(Kind::Failed, format!("cannot log in: cannot run aws: {error}"), "check its installation")
}
