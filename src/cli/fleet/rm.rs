//! `hatchery fleet rm`: ends what a fleet owns, and then the fleet.

use std::time::Duration;

use super::log::log_change;
use crate::cli::context::{Session, place};
use crate::cli::json;
use crate::cloud::DynAccount;
use crate::domain::tags::key;
use crate::domain::{ErrorClass, Fleet, TagChanges, World};
use crate::engine::Engine;
use crate::failure::Failure;

/// Between two passes. Instances and databases take minutes to end.
const PAUSE: Duration = Duration::from_secs(10);

/// What a fleet still owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remaining {
    records: usize,
    instances: usize,
    databases: usize,
}

impl Remaining {
    fn new(world: &World) -> Self {
        Self {
            records: world.records.items.len(),
            // EC2 lists terminated instances for about an hour.
            instances: world.instances.iter().filter(|instance| !instance.state.is_ending()).count(),
            databases: world.databases.items.len(),
        }
    }

    fn is_empty(self) -> bool {
        self == Self { records: 0, instances: 0, databases: 0 }
    }
}

pub(super) async fn run(
    session: &Session,
    account: &DynAccount,
    fleet: &Fleet,
    yes: bool,
) -> Result<(), Failure> {
    let name = &fleet.name;
    let engine = session.engine(account.clone(), name.clone(), session.owner()?);
    if !yes {
        confirm(session, account, &engine, fleet).await?;
    }
    drain(session, account, fleet).await?;
    let mut last = None;
    loop {
        let world = engine.observe_pool().await?;
        let remaining = Remaining::new(&world);
        if world.is_complete() && remaining.is_empty() {
            break;
        }
        if last.replace(remaining) != Some(remaining) {
            let Remaining { records, instances, databases } = remaining;
            session.console.notice(&format!(
                "still there: records {records}, instances {instances}, databases {databases}"
            ));
        }
        for record in world.records.iter().filter(|record| record.terminate.is_none()) {
            if record.is_environment() {
                engine.terminate(&record.environment).await?;
            } else if record.holds_database() {
                engine.release_database(&record.environment).await?;
            }
        }
        engine.once(false).await?;
        session.clock.sleep(PAUSE).await;
    }
    delete(account, fleet).await?;
    if session.console.is_json() {
        return session.console.print_json(&json::removed_fleet(name));
    }
    session.console.print(&format!("Removed fleet {name}. Its logs are kept.\n"))
}

/// Asks the user to type the fleet's name.
async fn confirm(
    session: &Session,
    account: &DynAccount,
    engine: &Engine,
    fleet: &Fleet,
) -> Result<(), Failure> {
    let name = &fleet.name;
    session.console.check_interactive(&format!("to remove fleet {name}"))?;
    let Remaining { instances, databases, .. } = Remaining::new(&engine.observe_pool().await?);
    let question = format!(
        "This removes fleet {name} in {}: it refuses launches, terminates all environments (instances: {instances}) and deletes all databases ({databases}).",
        place(account).await,
    );
    session.console.confirm(&question, name.as_str(), &format!("fleet {name} was not removed")).await
}

/// Stops launches and restores by every engine, so that an interrupted removal continues; `fleet set` takes it back.
async fn drain(session: &Session, account: &DynAccount, fleet: &Fleet) -> Result<(), Failure> {
    let changes = TagChanges::new().set(key::DRAINING, "true").set(key::SPARE, "0").remove(key::PAUSED);
    let written = account.tag_fleet(&fleet.template, &changes).await;
    let change = ("change-policy", "fleet rm: draining=true, spare=0, not paused");
    log_change(session, account, &fleet.name, change, &written).await?;
    written.map_err(|error| Failure::cloud(format!("cannot drain fleet {}", fleet.name), &error))
}

async fn delete(account: &DynAccount, fleet: &Fleet) -> Result<(), Failure> {
    account.delete_record(&fleet.template).await.map_err(|error| {
        let failure = Failure::cloud(format!("fleet {} is empty, but cannot be deleted", fleet.name), &error);
        match error.class {
            // The stack's policies do not allow it, because the template is the stack's.
            ErrorClass::Auth => Failure {
                hint: "delete its stack, or ask your administrator to delete it".to_owned(),
                ..failure
            },
            _ => failure,
        }
    })
}
