//! What is left of fleets whose base template is gone. No engine sees it, so that it costs until a person ends it.

use crate::cloud::{DynAccount, Holdings, Inventory};
use crate::domain::Fleet;
use crate::domain::items::Items;
use crate::failure::{Failure, Kind};

/// Returns what hatchery owns in the Region.
///
/// # Errors
/// Returns an error if a listing fails.
pub(in crate::cli) async fn inventory(account: &DynAccount) -> Result<Inventory, Failure> {
    let inventory = account.inventory().await;
    inventory.map_err(|error| Failure::cloud("cannot look for leftovers", &error))
}

/// Returns what fleets own that are not among these.
pub(in crate::cli) fn find(inventory: &Inventory, fleets: &Items<Fleet>) -> Vec<Holdings> {
    let is_known = |owner: &Holdings| fleets.iter().any(|fleet| fleet.name == owner.fleet);
    inventory.holdings.iter().filter(|owner| !is_known(owner)).cloned().collect()
}

/// Returns the finding for one of the [`find`] results.
pub(in crate::cli) fn finding(left: &Holdings) -> Failure {
    let Holdings { fleet, records, instances, databases } = left;
    let message = format!(
        "fleet {fleet} has no launch template, and no engine ends what it still has (records: {records}, instances: {instances}, databases: {databases})"
    );
    let hint = format!(
        "create the fleet again, with its stack or hatchery fleet init {fleet}, then use: hatchery fleet rm {fleet}"
    );
    Failure::new(Kind::Failed, message, hint)
}
