//! A program of this computer that has the terminal.

use std::io;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::Driver;
use super::hand_over::{Return, read_line, say};
use crate::sessions::{end_process, exit_code};
use crate::tui::signals::Signals;
use crate::tui::terminal::Surface;

/// How it ended.
pub(super) enum Child {
    /// With an exit code, as shells report it, after this time.
    Exited(u8, Duration),
    NotStarted(io::Error),
    /// The dashboard gets the terminal back for another reason.
    Returned(Return),
}

impl<S: Surface> Driver<S> {
    /// Runs a program until it ends.
    pub(super) async fn run_child(&mut self, mut command: Command, signals: &mut Signals) -> Child {
        let begun = Instant::now();
        let mut child = match command.kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => return Child::NotStarted(error),
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
        match status {
            Some(Ok(status)) => Child::Exited(exit_code(status), begun.elapsed()),
            Some(Err(error)) => Child::NotStarted(error),
            None => {
                // The time until the process has to be gone begins here.
                signals.restored();
                end_process(&mut child).await;
                Child::Returned(waited)
            }
        }
    }

    /// Waits until the user presses Enter, and says so behind `words`. Returns the other reason for which the dashboard gets the terminal back, if there
    /// is one.
    pub(super) async fn wait_for_enter(&mut self, words: &str, signals: &mut Signals) -> Option<Return> {
        say(&format!("\n{words}Press Enter to return to the dashboard."));
        let returned = self
            .wait_for(
                async {
                    read_line().await;
                    Return::Closed(Ok(None))
                },
                signals,
            )
            .await;
        Some(returned).filter(|returned| !matches!(returned, Return::Closed(_)))
    }
}
