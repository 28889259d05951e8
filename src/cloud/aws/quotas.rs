//! The quotas that limit a fleet, and what the account uses of them.

use aws_sdk_ec2::types::{Instance, Reservation};
use futures::join;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::filter;
use crate::cloud::{Quota, Result, collect};

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-template-restrictions.html>
const LAUNCH_TEMPLATES: f64 = 5_000.0;

/// The families of the quota of standard On-Demand instances begin with these letters, except for families with a quota of their own.
/// <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
const STANDARD: &str = "acdhimrtz";
const OTHERS: [&str; 5] = ["dl", "hpc", "inf", "mac", "trn"];

impl AwsCloud {
    /// Returns the quotas of On-Demand vCPUs, DB instances and launch templates.
    pub(super) async fn quotas(&self) -> Result<Vec<Quota>> {
        let (vcpus, databases, used_vcpus, used_databases, templates) = join!(
            self.quota("ec2", "L-1216C47A"),
            self.quota("rds", "L-7B6409FD"),
            self.used_vcpus(),
            self.used_databases(),
            async {
                let templates = collect(self.list_templates(Vec::new())).await;
                templates.complete.then_some(templates.items.len())
            },
        );
        let mut quotas = Vec::new();
        for (quota, used) in [(vcpus?, used_vcpus.ok().flatten()), (databases?, used_databases.ok())] {
            quotas.extend(quota.map(|(name, limit)| Quota {
                name: name.into(),
                limit,
                used: used.map(to_f64),
            }));
        }
        let (name, used) = ("Launch templates per Region".to_owned(), templates.map(to_f64));
        quotas.push(Quota { name: name.into(), limit: LAUNCH_TEMPLATES, used });
        Ok(quotas)
    }

    /// Returns the name and the value of a quota.
    async fn quota(&self, service: &str, code: &str) -> Result<Option<(String, f64)>> {
        let request = self.quotas.get_service_quota().service_code(service).quota_code(code).send();
        let response = call(&self.limits, Bucket::Other, Access::Read, "GetServiceQuota", request).await?;
        let quota = response.value.quota;
        Ok(quota
            .map(|quota| (quota.quota_name().unwrap_or(code).to_owned(), quota.value().unwrap_or_default())))
    }

    /// Returns the vCPUs of the account's standard On-Demand instances, or `None` if one does not say its own.
    async fn used_vcpus(&self) -> Result<Option<usize>> {
        let states = filter("instance-state-name", ["pending", "running"]);
        let mut pager = self.ec2.describe_instances().filters(states).into_paginator().send();
        let mut used = Some(0);
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Describe, Access::Read, "DescribeInstances", next).await?;
            let Some(page) = page.value else { return Ok(used) };
            let instances = page.reservations().iter().flat_map(Reservation::instances);
            let more: Option<usize> = instances.filter(|instance| is_standard(instance)).map(vcpus).sum();
            used = used.zip(more).map(|(used, more)| used + more);
        }
    }

    /// Returns the number of DB instances in the account.
    async fn used_databases(&self) -> Result<usize> {
        let mut pager = self.rds.describe_db_instances().max_records(100).into_paginator().send();
        let mut used = 0;
        loop {
            let next = async { pager.next().await.transpose() };
            let page =
                call(&self.limits, Bucket::Database, Access::Read, "DescribeDBInstances", next).await?;
            let Some(page) = page.value else { return Ok(used) };
            used += page.db_instances().len();
        }
    }
}

/// Whether an instance counts for the quota of standard On-Demand instances.
fn is_standard(instance: &Instance) -> bool {
    let family = instance.instance_type().map_or("", |kind| kind.as_str());
    // Spot and scheduled instances have a lifecycle; On-Demand ones have none.
    instance.instance_lifecycle().is_none()
        && family.starts_with(|letter: char| STANDARD.contains(letter))
        && !OTHERS.iter().any(|other| family.starts_with(other))
}

fn vcpus(instance: &Instance) -> Option<usize> {
    let options = instance.cpu_options()?;
    usize::try_from(options.core_count()?.checked_mul(options.threads_per_core()?)?).ok()
}

#[allow(clippy::cast_precision_loss)] // counts are far below 2^52
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{CpuOptions, InstanceLifecycleType};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("t3.2xlarge", true)]
    #[case("m6i.large", true)]
    #[case("im4gn.large", true)]
    #[case("g5.xlarge", false)]
    #[case("inf2.xlarge", false)]
    #[case("trn1.2xlarge", false)]
    #[case("mac2.metal", false)]
    #[case("hpc7a.12xlarge", false)]
    fn standard_families(#[case] kind: &str, #[case] is_counted: bool) {
        let instance = Instance::builder().instance_type(kind.into());
        assert_eq!(is_standard(&instance.clone().build()), is_counted);
        assert!(!is_standard(&instance.instance_lifecycle(InstanceLifecycleType::Spot).build()));
    }

    #[test]
    fn vcpus_are_cores_by_threads() {
        let options = CpuOptions::builder().core_count(4).threads_per_core(2).build();
        assert_eq!(vcpus(&Instance::builder().cpu_options(options).build()), Some(8));
        assert_eq!(vcpus(&Instance::builder().build()), None);
    }
}
