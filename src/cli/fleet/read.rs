//! Reads a fleet by its name.

use crate::cli::context::Session;
use crate::cloud::DynAccount;
use crate::domain::{Fleet, FleetName};
use crate::failure::{Failure, Kind};

/// Reads a fleet. One that is not found may be so new that reads do not show it yet.
pub(super) async fn read(
    session: &Session,
    account: &DynAccount,
    name: &FleetName,
) -> Result<Fleet, Failure> {
    session.look_again(|| read_once(account, name)).await
}

async fn read_once(account: &DynAccount, name: &FleetName) -> Result<Fleet, Failure> {
    let fleet = account.fleet(name).await;
    let fleet = fleet.map_err(|error| Failure::cloud(format!("cannot read fleet {name}"), &error))?;
    fleet.ok_or_else(|| {
        let message = format!("there is no fleet {:?} in {}", name.as_str(), account.region());
        let hint = "list the fleets with: hatchery fleet ls, or check the Region and the profile";
        Failure::new(Kind::NotFound, message, hint)
    })
}
