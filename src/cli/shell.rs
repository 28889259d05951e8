//! `hatchery ssh` and `hatchery db`

use std::io::{IsTerminal as _, stdin, stdout};
use std::process::ExitCode;

use super::context::Context;
use super::lookup::{audit_session, find_target};
use crate::cloud::Console;
use crate::failure::{Failure, Kind};
use crate::sessions::ForegroundSession;
use crate::signals::{self, Cancellation};

/// Gives the terminal to a program on an environment's instance. Returns the exit code of the plugin, because Session Manager does not tell
/// that of the program.
/// <https://github.com/aws/session-manager-plugin/issues/59>
pub(crate) async fn run(context: &Context<'_>, env: &str, console: Console) -> Result<ExitCode, Failure> {
    if context.console.is_json() {
        let message = format!("a {console} is interactive and prints no JSON");
        return Err(Failure::new(Kind::Usage, message, "run it without --json"));
    }
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let message = format!("cannot open a {console}: standard input and output are not a terminal");
        let hint = "run it in a terminal; commands can be run with: hatchery connect ENV -- kubectl exec …";
        return Err(Failure::new(Kind::Usage, message, hint));
    }
    let target = find_target(context, env).await?.target;
    context.console.notice(&format!("connecting to {}", target.environment));
    let cancellation = Cancellation::default();
    let started = ForegroundSession::start(context.cloud(), &target, console, cancellation.wait());
    let Some(mut session) = started.await? else { return Ok(cancellation.exit_code()) };
    // Both get the signals of the keys. The plugin sends them to the remote program.
    signals::leave_keyboard_to_foreground();
    let log = audit_session(context, console.action(), &target.environment, "through Session Manager");
    let ended = tokio::select! {
        ended = session.ended() => Ok(ended),
        code = signals::ended() => Err(code),
    };
    let code = match ended {
        Ok(ended) => {
            session.close().await;
            ended.code
        }
        Err(code) => {
            session.stop().await;
            return Ok(ExitCode::from(code));
        }
    };
    // A panic is already logged.
    let _ = log.await;
    Ok(ExitCode::from(code))
}
