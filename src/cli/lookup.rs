//! Which environment the user means.

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;

use super::context::Context;
use crate::domain::environment::{self, Lookup};
use crate::domain::{Environment, EnvironmentId, Outcome, Record, World};
use crate::failure::{Failure, Kind};
use crate::sessions::SessionTarget;

/// Resolves an id or a label to a record. An id costs one request, a label a full observation. What is not found is looked for again,
/// because it may have been launched a moment ago.
pub(crate) async fn resolve(context: &Context<'_>, id_or_label: &str) -> Result<Record, Failure> {
    context.engine.look_again(|| resolve_once(context, id_or_label)).await?
}

/// As [`resolve`], with the world in which the record is, and the time by AWS's clock.
pub(crate) async fn observe_with(
    context: &Context<'_>,
    id_or_label: &str,
) -> Result<(World, DateTime<Utc>, Record), Failure> {
    context.engine.look_again(|| observe_once(context, id_or_label)).await?
}

/// An environment with an instance that sessions can be started with.
pub(crate) struct FoundTarget {
    pub(crate) target: SessionTarget,
    pub(crate) expires_at: DateTime<Utc>,
    /// The time by AWS's clock.
    pub(crate) now: DateTime<Utc>,
}

/// Resolves an id or a label to an environment with an instance.
pub(crate) async fn find_target(context: &Context<'_>, id_or_label: &str) -> Result<FoundTarget, Failure> {
    let (world, now, record) = observe_with(context, id_or_label).await?;
    let id = &record.environment;
    let environments = Environment::all(&world, now);
    let environment = environments.iter().find(|environment| environment.record.id == record.id);
    let instance = environment
        .and_then(|environment| environment.instance)
        .filter(|instance| !instance.state.is_ending())
        .ok_or_else(|| {
            let message = format!("{id} has no instance yet");
            let hint = "wait until its instance is running; see hatchery ls";
            Failure::new(Kind::Failed, message, hint)
        })?;
    let target = SessionTarget { environment: id.clone(), instance: instance.id.clone() };
    Ok(FoundTarget { target, expires_at: record.ends_at(&world.fleet.policy), now })
}

/// Writes a session to the audit log while it is open.
pub(crate) fn audit_session(
    context: &Context<'_>,
    action: &'static str,
    id: &EnvironmentId,
    reason: &str,
) -> JoinHandle<()> {
    let (engine, target, reason) = (context.engine.clone(), id.to_string(), reason.to_owned());
    tokio::spawn(async move {
        engine.log_request(action, &target, &reason, Outcome::Done, String::new()).await;
    })
}

/// Returns `Err` if there is no such environment, and `Ok(Err)` for what another read does not change. A missing fleet is such a failure,
/// because an observation looks for it several times.
async fn observe_once(
    context: &Context<'_>,
    id_or_label: &str,
) -> Result<Result<(World, DateTime<Utc>, Record), Failure>, Failure> {
    match context.observe().await {
        Ok((world, now)) => {
            let record = resolve_in(&world, id_or_label)?.clone();
            Ok(Ok((world, now, record)))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// As [`observe_once`], with one request for an id.
async fn resolve_once(context: &Context<'_>, id_or_label: &str) -> Result<Result<Record, Failure>, Failure> {
    if let Ok(id) = id_or_label.parse::<EnvironmentId>()
        && id.fleet == *context.fleet()
    {
        let read = context.cloud().find_record(&id).await;
        let read = match read {
            Ok(read) => read.value,
            Err(error) => return Ok(Err(Failure::cloud(format!("cannot read {id}"), &error))),
        };
        if let Some(record) = read.filter(Record::is_environment) {
            return Ok(Ok(record));
        }
    }
    Ok(observe_once(context, id_or_label).await?.map(|(_, _, record)| record))
}

/// Resolves an id or a label to a record of an observed world.
fn resolve_in<'w>(world: &'w World, id_or_label: &str) -> Result<&'w Record, Failure> {
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
