//! Writes with rules of their own, as strict as AWS's.

use super::faults::call_error;
use super::operations::{CREATE_TEMPLATE, Operation, RUN};
use super::scenario::Guarantee;
use super::state::{Change, Event, LaunchData, SimDatabase, State, Template, seconds};
use crate::cloud::{LaunchInstance, Result};
use crate::domain::{ErrorClass, InstanceId, NewDatabase, RecordId, Tags};

pub(super) fn name_taken() -> crate::domain::CloudError {
    let message = "Launch template name already in use";
    let code = "InvalidLaunchTemplateName.AlreadyExistsException";
    call_error(ErrorClass::AlreadyExists, CREATE_TEMPLATE, code, message)
}

/// Creates a launch template. Names are unique without lag, which makes a record a claim.
pub(super) fn create_template(state: &mut State, who: &str, template: Template) -> Result<RecordId> {
    if state.names.contains_key(&template.name) && !state.breaks(Guarantee::UniqueNames) {
        return Err(name_taken());
    }
    let name = template.name.clone();
    let id = state.add_template(template);
    state.record(who, || format!("created {id} ({name})"));
    state.changed(who, &Change::Template(id.clone()));
    Ok(RecordId::new(id))
}

/// Launches an instance, idempotent by its client token.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
pub(super) fn launch_instance(state: &mut State, who: &str, request: &LaunchInstance) -> Result<InstanceId> {
    let template = state.templates.get(request.record.as_str()).map(|template| template.launch.clone());
    let Some(launch) = template.or_else(|| state.deleted.get(request.record.as_str()).cloned().map(Some))
    else {
        let message = "The specified launch template, with template ID, does not exist";
        return Err(call_error(ErrorClass::NotFound, RUN, "InvalidLaunchTemplateId.NotFound", message));
    };
    let Some(mut launch) = launch else {
        let message = "The request must contain the parameter ImageId";
        return Err(call_error(ErrorClass::Invalid, RUN, "MissingParameter", message));
    };
    check_visible(state, request.record.as_str())?;
    if let Some(result) = earlier_launch(state, request) {
        return result;
    }
    if let Some(code) = state.broken_launches {
        state.count_fault("invalid launch");
        return Err(call_error(
            ErrorClass::Invalid,
            RUN,
            code,
            "a resource of the launch template does not exist",
        ));
    }
    if let Some(subnet) = &request.subnet {
        launch.subnet = subnet.clone();
    }
    if let Some(instance_type) = &request.instance_type {
        launch.instance_type.clone_from(instance_type);
    }
    check_capacity(state, request, &launch)?;
    let now = state.now;
    let id = state.add_instance(request.record.as_str(), &launch, now);
    state.tokens.insert(request.token.clone(), (format!("{request:?}"), id.clone()));
    state.boot(&id);
    state.record(who, || format!("launched {id} from {}", request.record));
    state.changed(who, &Change::Instance(id.clone()));
    Ok(InstanceId::new(id))
}

/// Fails if EC2 has created the template so recently that `RunInstances` does not find it yet.
pub(super) fn check_visible(state: &mut State, template: &str) -> Result<()> {
    let lag = state.strict_draw([0.0, state.scenario.strictness.write_lag]);
    let exists = state.templates.get(template).is_some();
    if exists && state.templates.at(template, state.now - seconds(lag)).is_none() {
        state.count_fault("write lag");
        let message = "The specified launch template, with template ID, does not exist";
        return Err(call_error(ErrorClass::NotFound, RUN, "InvalidLaunchTemplateId.NotFound", message));
    }
    Ok(())
}

/// Returns the result for a client token that was used before, or `None` for a new one.
fn earlier_launch(state: &mut State, request: &LaunchInstance) -> Option<Result<InstanceId>> {
    if state.breaks(Guarantee::ClientTokens) {
        return None;
    }
    let (parameters, id) = state.tokens.get(&request.token).cloned()?;
    let is_burnt = parameters.is_empty();
    let mismatch_succeeds = state.scenario.faults.mismatch_succeeds;
    let error = if parameters != format!("{request:?}") && (is_burnt || !state.chance(mismatch_succeeds)) {
        ("IdempotentParameterMismatch", "the token was used with other values")
    } else if state.instances.get(&id).is_none_or(|instance| instance.state.is_ending()) {
        ("IdempotentInstanceTerminated", "the instance of this token is terminated")
    } else {
        return Some(Ok(InstanceId::new(id)));
    };
    Some(Err(call_error(ErrorClass::Invalid, RUN, error.0, error.1)))
}

/// Fails if the zone or the quota has no room for another instance.
fn check_capacity(state: &mut State, request: &LaunchInstance, launch: &LaunchData) -> Result<()> {
    let faults = state.scenario.faults.clone();
    let zone =
        state.subnets.iter().find(|subnet| subnet.id == launch.subnet).map(|subnet| subnet.zone.clone());
    let is_out = state
        .zone_out
        .as_ref()
        .is_some_and(|(out, until)| zone.as_ref().is_some_and(|zone| zone == out) && state.now < *until);
    if is_out || state.chance(faults.capacity) {
        state.count_fault("capacity");
        if state.chance(faults.burnt_token) {
            state.tokens.insert(request.token.clone(), (String::new(), String::new()));
        }
        let message = "there is no capacity in that zone";
        return Err(call_error(ErrorClass::Capacity, RUN, "InsufficientInstanceCapacity", message));
    }
    let active = state.instances.iter().filter(|(_, instance)| !instance.state.is_ending()).count();
    if faults.instance_quota.is_some_and(|quota| active >= quota as usize) {
        state.count_fault("quota");
        let message = "you have requested more vCPU capacity than your limit";
        return Err(call_error(ErrorClass::Quota, RUN, "VcpuLimitExceeded", message));
    }
    Ok(())
}

/// Restores a database under an identifier, with these tags.
pub(super) fn create_database(
    state: &mut State,
    who: &str,
    operation: Operation,
    id: &str,
    tags: &Tags,
    new: &NewDatabase,
) -> Result<()> {
    if state.databases.get(id).is_some() {
        return Err(call_error(
            ErrorClass::AlreadyExists,
            operation,
            "DBInstanceAlreadyExists",
            "DB instance already exists",
        ));
    }
    if !state.snapshots.iter().any(|snapshot| snapshot.id == new.snapshot.id) {
        return Err(call_error(
            ErrorClass::NotFound,
            operation,
            "DBSnapshotNotFound",
            "the snapshot does not exist",
        ));
    }
    let faults = state.scenario.faults.clone();
    let count = state.databases.iter().count();
    if faults.database_quota.is_some_and(|quota| count >= quota as usize) {
        state.count_fault("quota");
        return Err(call_error(
            ErrorClass::Quota,
            operation,
            "InstanceQuotaExceeded",
            "the quota of DB instances is reached",
        ));
    }
    state.check_restore(&new.zone, operation)?;
    let database = SimDatabase {
        status: "creating".into(),
        endpoint: None,
        created_at: None,
        zone: new.zone.clone(),
        tags: tags.clone(),
        protected: false,
        episode: 0,
    };
    state.databases.set(id, state.now, database);
    let seconds = state.sample(&format!("{id} comes"), state.scenario.latency.restore);
    if state.chance(faults.restore_fails) {
        state.count_fault("restore failed");
        state.schedule_in(seconds, Event::RestoreFailed(id.to_owned()));
    } else if state.chance(faults.restore_hangs) {
        state.count_fault("restore hangs");
    } else {
        state.schedule_in(seconds, Event::Restored(id.to_owned()));
    }
    state.record(who, || format!("restoring {id} from {}", new.snapshot.id));
    state.changed(who, &Change::Database(id.to_owned()));
    Ok(())
}
