//! `hatchery fleet ls`

use super::leftovers;
use crate::cli::console::Console;
use crate::cli::{json, table};
use crate::cloud::{self, DynAccount};
use crate::failure::Failure;

pub(super) async fn run(account: &DynAccount, console: &Console) -> Result<(), Failure> {
    let fleets = cloud::collect(account.fleets()).await;
    if let Some(problem) = &fleets.problem {
        return Err(Failure::cloud("cannot list the fleets", problem));
    }
    let leftovers = leftovers::find(&leftovers::inventory(account).await?, &fleets.items);
    if console.is_json() {
        return console.print_json(&json::fleets(account.region(), &fleets.items, &leftovers));
    }
    for left in &leftovers {
        console.notice(&leftovers::finding(left).sentence());
    }
    let rows = fleets.iter().map(|fleet| {
        vec![
            fleet.name.to_string(),
            fleet.policy.source_database.clone(),
            fleet.policy.spare.to_string(),
            if fleet.policy.paused { "paused" } else { "" }.to_owned(),
            fleet.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        ]
    });
    let headings = ["NAME", "SOURCE DATABASE", "SPARE", "", "PROBLEMS"];
    let placeholder = "There are no fleets. Create one with: hatchery fleet init";
    console.print(&table::render(&headings, rows.collect(), placeholder))
}
