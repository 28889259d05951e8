//! Programs that get the terminal.

use crate::cloud::Login;
use crate::tui::app::message::ConsoleRequest;

/// What gets the terminal.
pub(super) enum Program {
    /// A program of an environment.
    Console(ConsoleRequest),
    /// The AWS CLI.
    Login(Login),
}
