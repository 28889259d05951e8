//! What RDS offers, and what restores refer to.

use aws_sdk_rds::types::OrderableDbInstanceOption;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use crate::cloud::{DatabaseSubnetGroup, Result, SourceDatabase, absent};
use crate::domain::text::Untrusted;

impl AwsCloud {
    pub(super) async fn database_subnet_group(&self, name: &str) -> Result<Option<DatabaseSubnetGroup>> {
        let request = self.rds.describe_db_subnet_groups().db_subnet_group_name(name);
        let found =
            call(&self.limits, Bucket::Database, Access::Read, "DescribeDBSubnetGroups", request.send())
                .await;
        let groups = absent(found)?.and_then(|found| found.value.db_subnet_groups).unwrap_or_default();
        Ok(groups.first().map(|group| {
            let zones = group.subnets().iter().filter_map(|subnet| subnet.subnet_availability_zone()?.name());
            let mut zones: Vec<_> = zones.map(Untrusted::from).collect();
            zones.sort_unstable();
            zones.dedup();
            DatabaseSubnetGroup { vpc: group.vpc_id().unwrap_or_default().into(), zones }
        }))
    }

    pub(super) async fn database_parameter_family(&self, name: &str) -> Result<Option<Untrusted>> {
        let request = self.rds.describe_db_parameter_groups().db_parameter_group_name(name);
        let operation = "DescribeDBParameterGroups";
        let found = call(&self.limits, Bucket::Database, Access::Read, operation, request.send()).await;
        let groups = absent(found)?.and_then(|found| found.value.db_parameter_groups).unwrap_or_default();
        Ok(groups.first().map(|group| group.db_parameter_group_family().unwrap_or_default().into()))
    }

    pub(super) async fn zones_offering_database(
        &self,
        source: &SourceDatabase,
        class: &str,
    ) -> Result<Vec<Untrusted>> {
        let mut pager = self
            .rds
            .describe_orderable_db_instance_options()
            .engine(source.engine.raw())
            .engine_version(source.engine_version.raw())
            .db_instance_class(class)
            .vpc(true)
            .into_paginator()
            .send();
        let mut zones = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let operation = "DescribeOrderableDBInstanceOptions";
            let page = call(&self.limits, Bucket::Database, Access::Read, operation, next).await?;
            let Some(page) = page.value else { break };
            let options = page.orderable_db_instance_options().iter();
            let found = options
                .flat_map(OrderableDbInstanceOption::availability_zones)
                .filter_map(|zone| zone.name());
            zones.extend(found.map(Untrusted::from));
        }
        zones.sort_unstable();
        zones.dedup();
        Ok(zones)
    }

    pub(super) async fn has_key_pair(&self, name: &str) -> Result<bool> {
        let request = self.ec2.describe_key_pairs().key_names(name);
        let found =
            call(&self.limits, Bucket::Describe, Access::Read, "DescribeKeyPairs", request.send()).await;
        Ok(absent(found)?.is_some_and(|found| !found.value.key_pairs().is_empty()))
    }
}
