//! Which environment the user means, and on which resources permissions are tried.

use super::context::Context;
use crate::cloud::PermissionSamples;
use crate::domain::environment::{self, Lookup};
use crate::domain::{EnvironmentId, Record, World};
use crate::failure::{Failure, Kind};

/// Resolves an id or a label to a record. An id costs one request, a label a full observation.
pub(crate) async fn resolve(context: &Context<'_>, id_or_label: &str) -> Result<Record, Failure> {
    if let Ok(id) = id_or_label.parse::<EnvironmentId>()
        && id.fleet == *context.fleet()
    {
        let read = context.cloud().find_record(&id).await;
        let read = read.map_err(|error| Failure::cloud(format!("cannot read {id}"), &error))?;
        if let Some(record) = read.value.filter(|record| !record.retirement) {
            return Ok(record);
        }
    }
    let (world, _) = context.observe().await?;
    resolve_in(&world, id_or_label).cloned()
}

/// Resolves an id or a label to a record of an observed world.
pub(crate) fn resolve_in<'w>(world: &'w World, id_or_label: &str) -> Result<&'w Record, Failure> {
    match environment::find(world, id_or_label) {
        Lookup::Found(record) => Ok(record),
        Lookup::Missing if !world.records.complete => {
            let message = format!("environment {id_or_label:?} was not found, but the listing is incomplete");
            Err(Failure::new(Kind::Failed, message, "try again, or use its id"))
        }
        Lookup::Missing => {
            let message = format!("there is no environment {id_or_label:?} in fleet {}", world.fleet.name);
            Err(Failure::new(Kind::NotFound, message, "list them with: hatchery ls"))
        }
        Lookup::Ambiguous(mut records) => {
            records.sort_by_key(|record| record.number());
            let ids: Vec<_> = records.iter().map(|record| record.environment.to_string()).collect();
            let message = format!("{} environments are named {id_or_label:?}: {}", ids.len(), ids.join(", "));
            Err(Failure::new(Kind::Ambiguous, message, "use an id"))
        }
    }
}

/// Returns resources of the fleet that policies know by their tags.
pub(crate) fn permission_samples(world: &World) -> PermissionSamples {
    let record = world.records.iter().find(|record| !record.retirement);
    let instance = world.instances.iter().find(|instance| !instance.state.is_ending());
    PermissionSamples {
        image: world.image.clone().ok().flatten(),
        record: record.map(|record| record.id.clone()),
        instance: instance.map(|instance| instance.id.clone()),
    }
}
