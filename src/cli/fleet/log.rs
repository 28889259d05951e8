//! Changes of a fleet in its audit log.

use crate::cli::context::Session;
use crate::cloud::{DynAccount, Result};
use crate::domain::FleetName;
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
    engine.log_write(action, fleet.as_str(), reason, written).await;
    if let Some(error) = engine.audit_failure() {
        session.console.notice(&format!("cannot write the audit log: {error}"));
    }
    Ok(())
}
