//! The JSON of deployments and comparisons.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::version::VERSION;
use crate::domain::deployment::{DeploymentState, DeploymentStatus};
use crate::domain::diff::ServiceDiff;
use crate::domain::text::Untrusted;
use crate::domain::{Environment, FleetName};
use crate::engine::Redeployed;

#[derive(Debug, Serialize)]
pub(super) struct DeploymentBody<'w> {
    requested_at: DateTime<Utc>,
    by: &'w Untrusted,
    state: DeploymentState,
    detail: Option<&'w Untrusted>,
}

impl<'w> DeploymentBody<'w> {
    pub(super) fn new(deployment: &DeploymentStatus<'w>) -> Self {
        Self {
            requested_at: deployment.request.at,
            by: &deployment.request.by,
            state: deployment.state,
            detail: deployment.detail,
        }
    }
}

/// Document of `hatchery redeploy`.
pub(crate) fn redeployed(fleet: &FleetName, redeployed: &Redeployed) -> Value {
    let Redeployed { environment, deployment, services, changes, .. } = redeployed;
    json!({
        "version": VERSION, "fleet": fleet, "id": environment, "requested_at": deployment.at,
        "services": services, "changes": changes,
    })
}

/// Document of `hatchery diff`.
pub(crate) fn diff(
    fleet: &FleetName,
    first: &Environment<'_>,
    second: &Environment<'_>,
    services: &[ServiceDiff<'_>],
) -> Value {
    json!({
        "version": VERSION, "fleet": fleet, "first": first.id(), "second": second.id(), "services": services,
    })
}
