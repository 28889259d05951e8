//! Changes of a fleet in its audit log.

use crate::cli::context::Session;
use crate::cloud::{DynAccount, Result};
use crate::domain::{ErrorClass, FleetName, Outcome};
use crate::failure::Failure;

/// Writes a change of a fleet to its audit log.
pub(super) async fn log_change(
    session: &Session,
    account: &DynAccount,
    fleet: &FleetName,
    (action, reason): (&str, &str),
    written: &Result<()>,
) -> Result<(), Failure> {
    let engine = session.engine(account.clone(), fleet.clone(), session.owner()?);
    let outcome = match written {
        Ok(()) => Outcome::Done,
        Err(error) if error.is(ErrorClass::Unknown) => Outcome::Unknown,
        Err(_) => Outcome::Failed,
    };
    let detail = written.as_ref().err().map(ToString::to_string).unwrap_or_default();
    engine.log_request(action, fleet.as_str(), reason, outcome, detail).await;
    if let Some(error) = engine.audit_failure() {
        session.console.notice(&format!("cannot write the audit log: {error}"));
    }
    Ok(())
}
