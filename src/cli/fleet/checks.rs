//! Checks of a policy's values against AWS.

use futures::join;

use crate::cli::database_checks;
use crate::cloud::{DynAccount, SecurityGroup};
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, ErrorClass, Fleet, Image, NewFleet, Policy, Subnet};
use crate::engine::exposure;
use crate::failure::{Failure, Kind};

/// Collects everything that would stop a new fleet from working.
///
/// # Errors
/// Returns the first error if AWS refuses the credentials or cannot be reached, because every check would repeat it.
pub(super) async fn find_problems(account: &DynAccount, new: &NewFleet) -> Result<Vec<Failure>, Failure> {
    let policy = &new.policy;
    let image = account.latest_image(&policy.image_tag).await;
    if let Err(error) = &image
        && matches!(error.class, ErrorClass::Auth | ErrorClass::Transient | ErrorClass::Throttled)
    {
        return Err(Failure::cloud(format!("cannot create fleet {}", new.name), error));
    }
    let (subnets, groups) =
        join!(account.subnets(&policy.subnets), account.security_groups(&new.security_groups));
    let mut problems = Vec::new();
    let subnets = ok_or_push(subnets, "subnets", &mut problems).unwrap_or_default();
    problems.extend(check_databases(account, policy, &subnets).await);
    if let Some(name) = &new.key_name {
        problems.extend(check_key_pair(account, name).await);
    }
    let groups = ok_or_push(groups, "security groups", &mut problems).unwrap_or_default();
    problems.extend(check_network(&subnets, &groups, policy));
    match ok_or_push(image, "images", &mut problems) {
        Some(None) => {
            let message = format!("no available image has the tag hatchery:image={}", policy.image_tag);
            let hint = "build one with: hatchery images bake service, or correct the image-tag";
            problems.push(Failure::new(Kind::NotFound, message, hint));
        }
        Some(image) => problems.extend(check_launch(account, new, &subnets, image.as_ref()).await),
        None => {}
    }
    Ok(problems)
}

/// Checks the AWS resources that a changed policy names.
pub(super) async fn check_references(
    account: &DynAccount,
    fleet: &Fleet,
    new: &Policy,
) -> Result<(), Failure> {
    let old = &fleet.policy;
    let subnets_changed = old.subnets != new.subnets;
    let types_changed = old.fallback_instance_types != new.fallback_instance_types;
    let databases_changed = old.source_database != new.source_database
        || old.database_class != new.database_class
        || old.database_subnet_group != new.database_subnet_group
        || old.database_security_groups != new.database_security_groups
        || old.database_parameter_group != new.database_parameter_group;
    let mut problems = Vec::new();
    if subnets_changed || types_changed || databases_changed {
        let subnets = account.subnets(&new.subnets).await;
        let subnets = ok_or_push(subnets, "subnets", &mut problems).unwrap_or_default();
        if subnets_changed || databases_changed {
            problems.extend(check_databases(account, new, &subnets).await);
        }
        if subnets_changed || types_changed {
            problems.extend(check_base_template(account, fleet, new, &subnets).await);
        }
    }
    match problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(Failure { hint: format!("{}; nothing was changed", problem.hint), ..problem }),
    }
}

/// Describes a failed write to a fleet. If its outcome is unknown, the hint names the command that shows the fleet.
pub(super) fn write_failure(cannot: impl std::fmt::Display, error: &CloudError) -> Failure {
    let failure = Failure::cloud(cannot, error);
    if failure.kind == Kind::UnknownOutcome {
        return Failure { hint: "check with hatchery fleet show before you try again".to_owned(), ..failure };
    }
    failure
}

fn ok_or_push<T>(read: Result<T, CloudError>, what: &str, problems: &mut Vec<Failure>) -> Option<T> {
    read.map_err(|error| problems.push(Failure::cloud(format!("cannot read the {what}"), &error))).ok()
}

fn check_network(subnets: &[Subnet], groups: &[SecurityGroup], policy: &Policy) -> Vec<Failure> {
    let mut problems: Vec<_> =
        exposure::exposed_groups(groups, policy).into_iter().map(exposure::refusal).collect();
    let mut vpcs: Vec<_> =
        subnets.iter().map(|subnet| &subnet.vpc).chain(groups.iter().map(|group| &group.vpc)).collect();
    vpcs.sort_unstable();
    vpcs.dedup();
    if vpcs.len() > 1 {
        let message = "the subnets and security groups belong to different VPCs";
        problems.push(Failure::new(Kind::Usage, message, "use subnets and security groups of one VPC"));
    }
    problems
}

async fn check_databases(account: &DynAccount, policy: &Policy, subnets: &[Subnet]) -> Vec<Failure> {
    let source = &policy.source_database;
    let (findings, snapshot) =
        join!(database_checks::check(account, policy, subnets), account.latest_snapshot(source));
    let can_restore = findings.engine.is_some();
    let mut problems = findings.all();
    // A missing database has no snapshot either; one problem is enough.
    if can_restore && ok_or_push(snapshot, "snapshots", &mut problems) == Some(None) {
        let message = format!("database {source:?} has no available snapshot");
        problems.push(Failure::new(Kind::NotFound, message, "create one, or turn on its backups"));
    }
    problems
}

/// Checks that the fleet's base template can launch, and that its type and the fallback types are offered.
async fn check_base_template(
    account: &DynAccount,
    fleet: &Fleet,
    policy: &Policy,
    subnets: &[Subnet],
) -> Vec<Failure> {
    let mut problems = Vec::new();
    let base = account.base_template(&fleet.template).await;
    let Some(base) = ok_or_push(base, "fleet's base template", &mut problems) else { return problems };
    problems.extend(exposure::template_refusal(fleet, &base));
    let zones: Vec<_> = subnets.iter().map(|subnet| subnet.zone.clone()).collect();
    let own = base.instance_type.iter().map(Untrusted::raw);
    for kind in own.chain(policy.fallback_instance_types.iter().map(String::as_str)) {
        problems.extend(check_offering(account, kind, &zones).await);
    }
    problems
}

async fn check_offering(account: &DynAccount, instance_type: &str, zones: &[Untrusted]) -> Vec<Failure> {
    let mut problems = Vec::new();
    let offering = account.zones_offering(instance_type, zones).await;
    if ok_or_push(offering, "instance types", &mut problems).is_some_and(|zones| zones.is_empty()) {
        let message = format!("no zone of the subnets offers instance type {instance_type}");
        problems.push(Failure::new(Kind::NotFound, message, "correct the instance type or the subnets"));
    }
    problems
}

/// A launch with a key pair that does not exist fails.
pub(in crate::cli) async fn check_key_pair(account: &DynAccount, name: &str) -> Option<Failure> {
    match account.has_key_pair(name).await {
        Ok(true) => None,
        Ok(false) => {
            let message = format!("there is no key pair {name:?} in {}", account.region());
            Some(Failure::new(Kind::NotFound, message, "create or import it, or launch without a key pair"))
        }
        Err(error) => Some(Failure::cloud("cannot read the key pairs", &error)),
    }
}

async fn check_launch(
    account: &DynAccount,
    new: &NewFleet,
    subnets: &[Subnet],
    image: Option<&Image>,
) -> Vec<Failure> {
    let mut problems = Vec::new();
    let zones: Vec<_> = subnets.iter().map(|subnet| subnet.zone.clone()).collect();
    for kind in std::iter::once(&new.instance_type).chain(&new.policy.fallback_instance_types) {
        problems.extend(check_offering(account, kind, &zones).await);
    }
    // Only a dry run shows whether the values work together and whether the caller may pass the instance profile.
    if problems.is_empty()
        && let Err(error) = account.dry_run_launch(new, image).await
    {
        problems.push(Failure::cloud("a launch would fail", &error));
    }
    problems
}
