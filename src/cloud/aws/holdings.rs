//! What each fleet owns, also those whose base template is gone.

use std::collections::BTreeMap;

use aws_sdk_rds::types::DbInstance;
use futures::join;

use super::AwsCloud;
use super::databases::parse_tags as parse_rds_tags;
use super::launch_templates::{filter, parse_tags};
use crate::cloud::{Holdings, Inventory, Pages, Result, collect};
use crate::domain::tags::{key, role};
use crate::domain::{FleetName, Tags};

impl AwsCloud {
    /// Counts by tags and names, as the listings of a fleet select.
    pub(super) async fn inventory(&self) -> Result<Inventory> {
        let (records, instances, databases) =
            join!(self.owners_of_records(), self.owners_of_instances(), self.all_db_instances());
        let (databases, listing) = databases?;
        let mut all: BTreeMap<FleetName, Holdings> = BTreeMap::new();
        let mut count = |owners: Vec<FleetName>, count: fn(&mut Holdings) -> &mut usize| {
            for fleet in owners {
                let holdings = all.entry(fleet.clone()).or_insert_with(|| Holdings::new(fleet));
                *count(holdings) += 1;
            }
        };
        count(records?, |holdings| &mut holdings.records);
        count(instances?, |holdings| &mut holdings.instances);
        count(owners_of_databases(&databases), |holdings| &mut holdings.databases);
        Ok(Inventory { holdings: all.into_values().collect(), listing })
    }

    async fn owners_of_records(&self) -> Result<Vec<FleetName>> {
        let roles =
            filter(&format!("tag:{}", key::ROLE), [role::ENVIRONMENT, role::RETIREMENT, role::REPLACEMENT]);
        let templates = all(self.list_templates(vec![roles])).await?;
        let owner = |template: &aws_sdk_ec2::types::LaunchTemplate| {
            let fleet = owner(&parse_tags(template.tags()))?;
            let name = template.launch_template_name()?;
            name.starts_with(&format!("{}/", fleet.template_name())).then_some(fleet)
        };
        Ok(templates.iter().filter_map(owner).collect())
    }

    async fn owners_of_instances(&self) -> Result<Vec<FleetName>> {
        let roles = filter(&format!("tag:{}", key::ROLE), [role::ENVIRONMENT]);
        let states = filter("instance-state-name", ["pending", "running", "stopping", "stopped"]);
        let instances = all(self.list_ec2_instances(vec![roles, states])).await?;
        Ok(instances.iter().filter_map(|instance| owner(&parse_tags(instance.tags()))).collect())
    }
}

fn owners_of_databases(databases: &[DbInstance]) -> Vec<FleetName> {
    let owner = |database: &DbInstance| {
        let tags = parse_rds_tags(database.tag_list());
        let fleet = owner(&tags).filter(|_| tags.get(key::ROLE).is_some_and(|found| found == role::POOL))?;
        let id = database.db_instance_identifier()?;
        id.starts_with(&format!("hatchery-{fleet}-")).then_some(fleet)
    };
    databases.iter().filter_map(owner).collect()
}

/// Reads all pages, or fails: an incomplete listing counts too little.
pub(super) async fn all<T: Clone>(pages: Pages<'_, T>) -> Result<Vec<T>> {
    let listing = collect(pages).await;
    listing.problem.map_or(Ok(listing.items.into_iter().collect()), Err)
}

/// The fleet that the tags name.
fn owner(tags: &Tags) -> Option<FleetName> {
    tags.get(key::FLEET)?.parse().ok()
}
