//! Checks that the pool's databases can be restored: the source, and the class, subnet group, parameter group and security groups in each
//! zone of the fleet's subnets. RDS refuses a restore only when it is requested, and then for one number or zone after the other.

use std::collections::BTreeSet;

use futures::join;

use crate::cloud::{DatabaseSubnetGroup, DynAccount, SecurityGroup, SourceDatabase};
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, Policy, Subnet};
use crate::failure::{Failure, Kind};

/// What the checks found. A zone in which no database can be restored is a problem for a new value, but a fleet works with the others.
#[derive(Debug, Default)]
pub(super) struct DatabaseFindings {
    pub(super) problems: Vec<Failure>,
    /// Zones of the fleet's subnets in which no database can be restored, although one can in others.
    pub(super) partial: Vec<Failure>,
    /// The engine with its version, if the source can be restored.
    pub(super) engine: Option<String>,
}

impl DatabaseFindings {
    pub(super) fn all(self) -> Vec<Failure> {
        self.problems.into_iter().chain(self.partial).collect()
    }

    fn push(&mut self, kind: Kind, message: String, hint: &str) {
        self.problems.push(Failure::new(kind, message, hint));
    }

    fn ok_or_push<T>(&mut self, read: Result<T, CloudError>, what: &str) -> Option<T> {
        read.map_err(|error| self.problems.push(Failure::cloud(format!("cannot read the {what}"), &error)))
            .ok()
    }

    /// Adds a problem if only some of the fleet's zones, or none, are among those in which something is possible.
    fn check_zones(
        &mut self,
        wanted: &BTreeSet<&Untrusted>,
        possible: &[Untrusted],
        lacks: &str,
        hint: &str,
    ) {
        let missing: Vec<_> =
            wanted.iter().filter(|zone| !possible.contains(zone)).map(ToString::to_string).collect();
        if missing.is_empty() {
            return;
        }
        let failure = Failure::new(
            Kind::NotFound,
            format!("{lacks} {}, where subnets of the fleet are", missing.join(" and ")),
            hint,
        );
        if missing.len() == wanted.len() {
            self.problems.push(failure);
        } else {
            self.partial.push(failure);
        }
    }
}

/// Checks the database settings of a policy for a fleet in these subnets.
pub(super) async fn check(account: &DynAccount, policy: &Policy, subnets: &[Subnet]) -> DatabaseFindings {
    let mut findings = DatabaseFindings::default();
    let (source, group, security_groups) = join!(
        check_source(account, policy),
        account.database_subnet_group(&policy.database_subnet_group),
        account.security_groups(&policy.database_security_groups),
    );
    let (source, problems) = source;
    findings.problems.extend(problems);
    let group = findings.ok_or_push(group, "DB subnet groups");
    let security_groups =
        findings.ok_or_push(security_groups, "database security groups").unwrap_or_default();
    match group {
        Some(Some(group)) => check_subnet_group(policy, subnets, &group, &security_groups, &mut findings),
        Some(None) => {
            let message = format!("there is no DB subnet group {:?}", policy.database_subnet_group);
            findings.push(Kind::NotFound, message, "correct the database-subnet-group");
        }
        None => {}
    }
    if let Some(source) = source {
        let zones = account.zones_offering_database(&source, &policy.database_class).await;
        let engine = format!("{} {}", source.engine, source.engine_version);
        if let Some(zones) = findings.ok_or_push(zones, "DB instance classes") {
            let lacks = format!("RDS does not offer {} with {engine} in", policy.database_class);
            let hint = "choose another database-class, or leave out the subnets of that zone";
            findings.check_zones(&zones_of(subnets), &zones, &lacks, hint);
        }
        check_parameter_group(account, policy, &source, &mut findings).await;
        findings.engine = Some(engine);
    }
    findings
}

/// Returns the source if snapshots of it can be restored.
async fn check_source(account: &DynAccount, policy: &Policy) -> (Option<SourceDatabase>, Vec<Failure>) {
    let name = &policy.source_database;
    let mut findings = DatabaseFindings::default();
    if name.contains(':') {
        let message = format!("{name:?} is a snapshot or an ARN, not the identifier of a DB instance");
        findings.push(
            Kind::Usage,
            message,
            "set source-database to the DB instance whose snapshots are restored",
        );
        return (None, findings.problems);
    }
    let source = findings.ok_or_push(account.source_database(name).await, "databases");
    if source == Some(None) {
        let message = format!("there is no database {name:?} in {}", account.region());
        let hint = "correct source-database, or the stack's parameter SourceDatabase";
        findings.push(Kind::NotFound, message, hint);
    }
    let source = source.flatten();
    let refusal = source.as_ref().and_then(cluster_refusal);
    let source = source.filter(|_| refusal.is_none());
    findings.problems.extend(refusal);
    (source, findings.problems)
}

/// Refuses members of clusters, whose snapshots belong to the cluster and cannot be restored to an instance.
fn cluster_refusal(source: &SourceDatabase) -> Option<Failure> {
    let what = match &source.cluster {
        _ if source.engine.raw().starts_with("aurora") => format!("an Aurora database ({})", source.engine),
        Some(cluster) => format!("a member of the DB cluster {cluster:?}"),
        None => return None,
    };
    let message = format!(
        "database {:?} cannot be the source: it is {what}, and snapshots of a cluster cannot be restored to a DB instance",
        source.id
    );
    Some(Failure::new(Kind::Refused, message, "use an RDS instance outside of a cluster as source-database"))
}

fn check_subnet_group(
    policy: &Policy,
    subnets: &[Subnet],
    group: &DatabaseSubnetGroup,
    security_groups: &[SecurityGroup],
    findings: &mut DatabaseFindings,
) {
    let name = &policy.database_subnet_group;
    if let Some(subnet) = subnets.iter().find(|subnet| subnet.vpc != group.vpc) {
        let message = format!(
            "DB subnet group {name:?} is in {}, and subnet {} of the fleet in {}",
            group.vpc, subnet.id, subnet.vpc
        );
        findings.push(Kind::Usage, message, "use a database-subnet-group in the VPC of the instances");
    }
    for foreign in security_groups.iter().filter(|found| found.vpc != group.vpc) {
        let message = format!(
            "database security group {} ({}) is in {}, and DB subnet group {name:?} in {}",
            foreign.id, foreign.name, foreign.vpc, group.vpc
        );
        findings.push(Kind::Usage, message, "use database-security-groups in the VPC of the databases");
    }
    let lacks = format!("DB subnet group {name:?} has no subnet in");
    let hint = "add one to the group, or leave out the fleet's subnets of that zone";
    findings.check_zones(&zones_of(subnets), &group.zones, &lacks, hint);
}

async fn check_parameter_group(
    account: &DynAccount,
    policy: &Policy,
    source: &SourceDatabase,
    findings: &mut DatabaseFindings,
) {
    let Some(name) = &policy.database_parameter_group else { return };
    let Some(family) =
        findings.ok_or_push(account.database_parameter_family(name).await, "DB parameter groups")
    else {
        return;
    };
    let Some(family) = family else {
        let message = format!("there is no DB parameter group {name:?}");
        findings.push(Kind::NotFound, message, "correct the database-parameter-group");
        return;
    };
    // The family of the source's own group is that of its version.
    let Some(own) = &source.parameter_group else { return };
    if let Ok(Some(wanted)) = account.database_parameter_family(own.raw()).await
        && wanted != family
    {
        let message = format!(
            "DB parameter group {name:?} is of the family {family}, and database {:?} needs {wanted}",
            source.id
        );
        findings.push(Kind::Usage, message, "use a database-parameter-group of that family");
    }
}

fn zones_of(subnets: &[Subnet]) -> BTreeSet<&Untrusted> {
    subnets.iter().map(|subnet| &subnet.zone).collect()
}
