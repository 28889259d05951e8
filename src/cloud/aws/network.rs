//! Subnets, security groups, and the zones that offer an instance type.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{IpPermission, LocationType, SecurityGroup as Ec2SecurityGroup};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::filter;
use crate::cloud::{Result, SecurityGroup, absent};
use crate::domain::ip_ranges::open_ranges;
use crate::domain::text::Untrusted;
use crate::domain::{Subnet, SubnetId};

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
                    zone: subnet.availability_zone()?.into(),
                    vpc: subnet.vpc_id().unwrap_or_default().into(),
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
            for group in page.security_groups() {
                groups.extend(self.parse_group(group).await);
            }
        }
    }

    /// Converts a group, with the entries of the prefix lists that its inbound rules name.
    async fn parse_group(&self, group: &Ec2SecurityGroup) -> Option<SecurityGroup> {
        let inbound = group.ip_permissions();
        let v4 = inbound.iter().flat_map(IpPermission::ip_ranges).filter_map(|range| range.cidr_ip());
        let v6 = inbound.iter().flat_map(IpPermission::ipv6_ranges).filter_map(|range| range.cidr_ipv6());
        let mut ranges: Vec<String> = v4.chain(v6).map(str::to_owned).collect();
        let lists = inbound.iter().flat_map(IpPermission::prefix_list_ids);
        let lists: BTreeSet<_> = lists.filter_map(|list| list.prefix_list_id()).collect();
        let mut unread = Vec::new();
        for list in lists {
            match self.prefix_list(list).await {
                Ok(entries) => ranges.extend(entries),
                Err(error) => {
                    let list = Untrusted::from(list);
                    tracing::warn!(%error, %list, "cannot read the prefix list");
                    unread.push(list);
                }
            }
        }
        let open_to = open_ranges(ranges.iter().map(String::as_str));
        Some(SecurityGroup {
            id: group.group_id()?.into(),
            name: group.group_name().unwrap_or_default().into(),
            vpc: group.vpc_id().unwrap_or_default().into(),
            open_to: open_to.into_iter().map(str::to_owned).collect(),
            unread,
        })
    }

    /// Returns the ranges of a prefix list.
    async fn prefix_list(&self, id: &str) -> Result<Vec<String>> {
        let mut pager = self.ec2.get_managed_prefix_list_entries().prefix_list_id(id).into_paginator().send();
        let mut ranges = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let operation = "GetManagedPrefixListEntries";
            let page = call(&self.limits, Bucket::Describe, Access::Read, operation, next).await?;
            let Some(page) = page.value else { return Ok(ranges) };
            ranges.extend(page.entries().iter().filter_map(|entry| entry.cidr()).map(str::to_owned));
        }
    }

    pub(super) async fn zones_offering(
        &self,
        instance_type: &str,
        zones: &[Untrusted],
    ) -> Result<Vec<Untrusted>> {
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
                locations.filter(|zone| zones.iter().any(|wanted| wanted == zone)).map(Untrusted::from),
            );
        }
    }
}
