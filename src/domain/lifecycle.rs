//! Rules of an environment's lifecycle that plan, launch, act, extend and doctor share.

use chrono::{DateTime, TimeDelta, Utc};

use super::database::{NewDatabase, Snapshot};
use super::fleet::Fleet;
use super::ids::{EnvironmentId, Number, RecordId, SubnetId};
use super::policy::{Policy, Scope};
use super::record::Record;
use super::text::Untrusted;
use super::world::World;

/// Where a launch attempt places the instance. `None` means the value in the record's launch template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placement {
    /// Overrides the record's subnet.
    pub subnet: Option<SubnetId>,
    /// Overrides the record's instance type.
    pub instance_type: Option<String>,
}

/// Returns the placement of a launch attempt: the record's own subnet and type first, then the policy's other subnets, then its
/// fallback types. `None` means that all are used up.
///
/// Attempts with the same number share a client token, so the result depends on the policy and the number alone.
#[must_use]
pub fn placement(policy: &Policy, attempt: u32) -> Option<Placement> {
    let types = std::iter::once(None).chain(policy.fallback_instance_types.iter().cloned().map(Some));
    let subnets = || std::iter::once(None).chain(policy.subnets.iter().cloned().map(Some));
    let mut placements = types.flat_map(|instance_type| {
        subnets().map(move |subnet| Placement { subnet, instance_type: instance_type.clone() })
    });
    placements.nth(attempt as usize)
}

/// Whether a record's environment is past its expiry, or failed and not held. A replacement has no expiry: it ends on request.
#[must_use]
pub(crate) fn is_over(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    let has_failed = record.failure.is_some() && record.held(now).is_none();
    record.replaces().is_none() && (has_failed || record.ends_at(policy) <= now)
}

/// Whether a record's environment must be torn down: a user asked for it, or its time and its grace are over.
#[must_use]
pub fn is_ending(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.terminate.is_some() || (is_over(record, policy, now) && is_grace_over(record, policy, now))
}

/// Returns the time at which engines may tear an environment down: at once on request, else after its grace.
#[must_use]
pub fn ends_at(record: &Record, policy: &Policy) -> DateTime<Utc> {
    if let Some(termination) = &record.terminate {
        return termination.at;
    }
    let expiry = record.ends_at(policy);
    let released = record.hold.as_ref().map(|hold| hold.until);
    let failed = record.failure.as_ref().map(|failure| released.map_or(failure.at, |at| at.max(failure.at)));
    let over = failed.map_or(expiry, |at| at.min(expiry));
    over + policy.grace
}

/// The longest time between two sweeps while engines run: that of the stack's schedule at its slowest.
pub const SWEEP_INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Returns the times between which an environment is expected to be torn down while engines run. The first sweep after its expiry marks it, and
/// the first one after the grace ends it.
#[must_use]
pub fn expected_end(record: &Record, policy: &Policy) -> (DateTime<Utc>, DateTime<Utc>) {
    let earliest = ends_at(record, policy);
    match (&record.terminate, record.reaping_since) {
        (Some(_), _) => (earliest, earliest + SWEEP_INTERVAL),
        (None, Some(since)) => (since + policy.grace, since + policy.grace + SWEEP_INTERVAL),
        (None, None) => (earliest, earliest + SWEEP_INTERVAL * 2),
    }
}

fn is_grace_over(record: &Record, policy: &Policy, now: DateTime<Utc>) -> bool {
    record.reaping_since.is_some_and(|since| since + policy.grace <= now)
}

/// Returns the reason why an engine of this version must not change anything in the fleet, if there is one.
#[must_use]
pub fn observe_only_reason(fleet: &Fleet, version: &semver::Version) -> Option<String> {
    let policy = &fleet.policy;
    if let Some(problem) = fleet.problems.iter().find(|problem| problem.stops == Scope::Engine) {
        return Some(format!("the fleet's policy is invalid: {problem}"));
    }
    if policy.paused {
        return Some("the fleet is paused".to_owned());
    }
    match &policy.min_version {
        Some(min) if min > version => {
            Some(format!("the fleet requires hatchery {min} or later, and this is {version}"))
        }
        _ => None,
    }
}

/// Whether an engine only observes because the fleet is paused. It still sends notices then.
#[must_use]
pub(crate) fn is_only_paused(fleet: &Fleet, version: &semver::Version) -> bool {
    let running = Fleet { policy: Policy { paused: false, ..fleet.policy.clone() }, ..fleet.clone() };
    fleet.policy.paused && observe_only_reason(&running, version).is_none()
}

/// The source of a restore, and where to restore it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The snapshot to restore.
    pub snapshot: Snapshot,
    /// The Availability Zones to try, in order; at least one.
    pub zones: Vec<Untrusted>,
}

impl Restore {
    /// Returns the restore of the database with this number. Numbers rotate through the zones of the fleet's subnets.
    ///
    /// # Errors
    /// Returns the reason why nothing can be restored now.
    pub(crate) fn of_number(world: &World, number: Number) -> Result<Self, String> {
        let source = &world.fleet.policy.source_database;
        let snapshot = match &world.snapshot {
            Ok(Some(snapshot)) => snapshot.clone(),
            Ok(None) => return Err(format!("database {source:?} has no snapshot to restore")),
            Err(error) => return Err(format!("the latest snapshot of {source:?} is unknown: {error}")),
        };
        let subnets =
            world.subnets.as_ref().map_err(|error| format!("the fleet's subnets are unknown: {error}"))?;
        let mut zones: Vec<_> = subnets.iter().map(|subnet| subnet.zone.clone()).collect();
        zones.sort_unstable();
        zones.dedup();
        if zones.is_empty() {
            return Err("none of the subnets in the fleet's policy exists".to_owned());
        }
        let first = number.0 as usize % zones.len();
        zones.rotate_left(first);
        Ok(Self { snapshot, zones })
    }

    /// Returns the database to create in one of the zones, with the settings of the fleet's policy.
    #[must_use]
    pub(crate) fn to_database(
        &self,
        fleet: &Fleet,
        number: Number,
        claim: Option<(EnvironmentId, RecordId)>,
        zone: &str,
        now: DateTime<Utc>,
    ) -> NewDatabase {
        let policy = &fleet.policy;
        NewDatabase {
            fleet: fleet.name.clone(),
            number,
            claim,
            requested_at: now,
            source: policy.source_database.clone(),
            snapshot: self.snapshot.clone(),
            zone: zone.to_owned(),
            class: policy.database_class.clone(),
            subnet_group: policy.database_subnet_group.clone(),
            security_groups: policy.database_security_groups.clone(),
            parameter_group: policy.database_parameter_group.clone(),
            iam_auth: policy.database_iam_auth,
            settings: policy.database_settings(),
            company_tags: policy.company_tags.clone(),
        }
    }
}
