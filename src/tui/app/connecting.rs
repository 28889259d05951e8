//! Connecting to the fleet: when the user asks for it, after a login, and again by itself after a failure that may pass.

use super::message::Effect;
use super::model::{Connection, Model, Severity};
use crate::failure::{Failure, Kind};

pub(crate) mod tries;

/// Connects because the user asks for it.
fn connect(model: &mut Model) -> Vec<Effect> {
    model.connection = Connection::Connecting;
    if model.tries.begin() { vec![Effect::Connect] } else { Vec::new() }
}

/// Tries a failed connection again once it is time. The screen keeps the failure meanwhile.
pub(super) fn connect_again(model: &mut Model) -> Vec<Effect> {
    let is_due = model.tries.again_at().is_some_and(|at| at <= model.now.real);
    if is_due && model.tries.begin() { vec![Effect::Connect] } else { Vec::new() }
}

/// Tries again later what may pass although the user does nothing here. A login in another terminal is one of the reasons; other ways to get
/// credentials are not tried, because they may ask for a touch or a code.
pub(super) fn failed(model: &mut Model, failure: Failure) {
    let is_away = failure.is_temporary || matches!(failure.kind, Kind::Unreachable | Kind::Throttled);
    let is_logged_out = failure.asks_for_login() && model.options.login.is_some();
    model.tries.fail(is_away || is_logged_out, model.now.real);
    model.connection = Connection::Failed(failure);
}

/// Connects with the new credentials.
pub(super) fn logged_in(model: &mut Model, result: Result<(), Failure>) -> Vec<Effect> {
    if let Err(failure) = result {
        model.notify(Severity::Error, failure.sentence());
        return Vec::new();
    }
    model.notify(Severity::Done, "you are logged in");
    refresh(model)
}

/// Connects, or observes the fleet at once if there is a connection.
pub(super) fn refresh(model: &mut Model) -> Vec<Effect> {
    match model.connection {
        Connection::Failed(_) => connect(model),
        Connection::Connecting => Vec::new(),
        Connection::Up => {
            model.check_writes_again();
            vec![Effect::Refresh]
        }
    }
}
