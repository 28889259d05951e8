//! The part of the port that set-up and doctor need.

use async_trait::async_trait;

use super::Caller;
use super::listings::{Parse, parse_fleet};
use super::mutations::name_taken;
use super::operations::{CREATE_TEMPLATE, DATABASES, TEMPLATES, read};
use super::setup::SUBNET_GROUP;
use super::state::{Change, Template};
use super::throttle::Bucket;
use crate::cloud::{
    Account, Answer, Cloud, DatabaseSubnetGroup, Identity, Inventory, ListingCost, Pages, Permission,
    PermissionSamples, Proofs, Quota, Result, ScheduledEngine, SourceDatabase,
};
use crate::domain::text::Untrusted;
use crate::domain::{Fleet, FleetName, Image, NewFleet, RecordId};
use chrono::{DateTime, Utc};

impl Caller {
    fn write_answer(&self) -> Answer {
        match self.cloud.advanced().write_denial(&self.name, CREATE_TEMPLATE) {
            Some(error) => Answer::Denied(error.message),
            None => Answer::Granted,
        }
    }
}

#[async_trait]
impl Account for Caller {
    async fn identity(&self) -> Result<Identity> {
        let operation = read("GetCallerIdentity", Bucket::Database);
        let identity = self.read(operation, |state, _| {
            let account = state.scenario.account.as_str();
            let arn = format!("arn:aws:sts::{account}:assumed-role/engineer/{}", self.name);
            Ok(Identity { account: account.into(), arn: arn.as_str().into() })
        });
        Ok(identity.await?.value)
    }

    fn fleets(&self) -> Pages<'_, Fleet> {
        let parse: Parse<'_, Template, Fleet> =
            Box::new(|id, template, tags, _| parse_fleet(id, template, tags).map(Ok));
        self.pages(TEMPLATES, |state| &state.templates, |template| &template.tags, parse)
    }

    async fn create_fleet(&self, new: &NewFleet, _gone: Option<&RecordId>) -> Result<RecordId> {
        let new = new.clone();
        self.write(CREATE_TEMPLATE, move |state, who| {
            if state.names.contains_key(&new.name.template_name()) {
                return Err(name_taken());
            }
            let id = state.add_fleet(&new);
            state.changed(who, &Change::Template(id.clone()));
            Ok(RecordId::new(id))
        })
        .await
    }

    async fn source_database(&self, id: &str) -> Result<Option<SourceDatabase>> {
        let found = self.read(DATABASES, |state, _| {
            Ok((id == state.scenario.source_database).then(|| SourceDatabase {
                id: id.into(),
                status: "available".into(),
                engine: "postgres".into(),
                engine_version: "17.6".into(),
                cluster: None,
                parameter_group: Some("default.postgres17".into()),
            }))
        });
        Ok(found.await?.value)
    }

    async fn database_subnet_group(&self, name: &str) -> Result<Option<DatabaseSubnetGroup>> {
        let operation = read("DescribeDBSubnetGroups", Bucket::Database);
        let found = self.read(operation, |state, _| {
            let zones = state.subnets.iter().map(|subnet| subnet.zone.clone()).collect();
            Ok((name == SUBNET_GROUP).then(|| DatabaseSubnetGroup { vpc: "vpc-0a1".into(), zones }))
        });
        Ok(found.await?.value)
    }

    async fn database_parameter_family(&self, name: &str) -> Result<Option<Untrusted>> {
        let operation = read("DescribeDBParameterGroups", Bucket::Database);
        let family = name.strip_prefix("default.").map(Untrusted::from);
        Ok(self.read(operation, |_, _| Ok(family.clone())).await?.value)
    }

    async fn zones_offering_database(&self, _: &SourceDatabase, class: &str) -> Result<Vec<Untrusted>> {
        let operation = read("DescribeOrderableDBInstanceOptions", Bucket::Database);
        let is_class = class.starts_with("db.");
        let found = self.read(operation, |state, _| {
            let zones = state.subnets.iter().filter(|_| is_class).map(|subnet| subnet.zone.clone());
            Ok(zones.collect())
        });
        Ok(found.await?.value)
    }

    /// Any, because nothing in the simulation uses them.
    async fn has_key_pair(&self, _: &str) -> Result<bool> {
        let operation = read("DescribeKeyPairs", Bucket::Describe);
        Ok(self.read(operation, |_, _| Ok(true)).await?.value)
    }

    async fn zones_offering(&self, instance_type: &str, zones: &[Untrusted]) -> Result<Vec<Untrusted>> {
        let operation = read("DescribeInstanceTypeOfferings", Bucket::Describe);
        // A valid type has a family and a size.
        let offered = instance_type
            .split_once('.')
            .is_some_and(|(family, size)| !family.is_empty() && !size.is_empty());
        Ok(self.read(operation, |_, _| Ok(if offered { zones.to_vec() } else { Vec::new() })).await?.value)
    }

    async fn dry_run_launch(&self, _: &NewFleet, _: Option<&Image>) -> Result<()> {
        let _: () = self.read(read("RunInstances", Bucket::Run), |_, _| Ok(())).await?.value;
        Ok(())
    }

    async fn permissions(&self, _: &Fleet, _: &PermissionSamples) -> Vec<Permission> {
        let answer = self.write_answer();
        ["ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateLaunchTemplate", "rds:DeleteDBInstance"]
            .map(|action| Permission { action, answer: answer.clone() })
            .into()
    }

    async fn write_permission(&self, _: &Fleet, _: &PermissionSamples) -> Answer {
        self.write_answer()
    }

    /// Without holdings, because the scenario's fleet is never lost.
    async fn inventory(&self) -> Result<Inventory> {
        let databases = self.read(DATABASES, |state, _| Ok(state.databases.iter().count())).await?.value;
        Ok(Inventory { holdings: Vec::new(), listing: ListingCost { databases, requests: 1 } })
    }

    async fn scheduled_engine(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<ScheduledEngine> {
        let events = self.audit(fleet, since, usize::MAX).await?;
        let latest = events.iter().rfind(|event| event.is_by_engine());
        Ok(latest.map_or(ScheduledEngine::Missing, |event| ScheduledEngine::Ran(event.at)))
    }

    async fn quotas(&self) -> Result<Vec<Quota>> {
        let operation = read("GetServiceQuota", Bucket::Database);
        let found = self.read(operation, |state, _| {
            #[allow(clippy::cast_precision_loss)]
            let used = state.databases.iter().count() as f64;
            let limit = f64::from(state.scenario.faults.database_quota.unwrap_or(40));
            Ok(vec![Quota { name: "DB instances".into(), limit, used: Some(used) }])
        });
        Ok(found.await?.value)
    }

    fn proofs(&self) -> &dyn Proofs {
        self
    }
}
