//! Subnets, security groups, and the zones that offer an instance type.

use aws_sdk_ec2::types::LocationType;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::filter;
use crate::cloud::{Result, SecurityGroup, absent};
use crate::domain::{Subnet, SubnetId};

/// The ranges of the whole internet.
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

impl AwsCloud {
    pub(super) async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = ids.iter().map(ToString::to_string).collect();
        let mut pager = self.ec2.describe_subnets().set_subnet_ids(Some(wanted)).into_paginator().send();
        let mut subnets = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Describe, Access::Read, "DescribeSubnets", next).await?;
            let Some(page) = page.value else { return Ok(subnets) };
            subnets.extend(page.subnets().iter().filter_map(|subnet| {
                Some(Subnet {
                    id: SubnetId::new(subnet.subnet_id()?),
                    zone: subnet.availability_zone()?.to_owned(),
                    vpc: subnet.vpc_id().unwrap_or_default().to_owned(),
                })
            }));
        }
    }

    pub(super) async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pager =
            self.ec2.describe_security_groups().set_group_ids(Some(ids.to_vec())).into_paginator().send();
        let mut groups = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page =
                call(&self.limits, Bucket::Describe, Access::Read, "DescribeSecurityGroups", next).await?;
            let Some(page) = page.value else { return Ok(groups) };
            groups.extend(page.security_groups().iter().filter_map(parse_group));
        }
    }

    pub(super) async fn zones_offering(&self, instance_type: &str, zones: &[String]) -> Result<Vec<String>> {
        let mut pager = self
            .ec2
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", [instance_type]))
            .into_paginator()
            .send();
        let mut offering = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let operation = "DescribeInstanceTypeOfferings";
            let page = call(&self.limits, Bucket::Describe, Access::Read, operation, next).await;
            let Some(page) = absent(page)?.and_then(|page| page.value) else { return Ok(offering) };
            let locations = page.instance_type_offerings().iter().filter_map(|offer| offer.location());
            offering.extend(
                locations.filter(|zone| zones.iter().any(|wanted| wanted == zone)).map(str::to_owned),
            );
        }
    }
}

fn parse_group(group: &aws_sdk_ec2::types::SecurityGroup) -> Option<SecurityGroup> {
    let ranges = group.ip_permissions().iter().flat_map(|permission| {
        let v4 = permission.ip_ranges().iter().filter_map(|range| range.cidr_ip());
        v4.chain(permission.ipv6_ranges().iter().filter_map(|range| range.cidr_ipv6()))
    });
    let mut open_to: Vec<_> = ranges.filter(|range| EVERYWHERE.contains(range)).map(str::to_owned).collect();
    open_to.sort_unstable();
    open_to.dedup();
    Some(SecurityGroup {
        id: group.group_id()?.to_owned(),
        name: crate::domain::text::sanitize(group.group_name().unwrap_or_default()),
        vpc: group.vpc_id().unwrap_or_default().to_owned(),
        open_to,
    })
}
