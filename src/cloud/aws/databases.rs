//! RDS: the databases of the pool, and the source database with its snapshots.

use std::sync::PoisonError;

use aws_sdk_rds::types::{DbInstance, DbSnapshot, Tag};
use futures::{StreamExt as _, TryStreamExt as _};

use super::call::{Access, Bucket, call};
use super::launch_templates::{parse_pages, readable};
use super::{AwsCloud, from_sdk_time};
use crate::cloud::{ListingCost, Observed, Page, Pages, Result, SourceDatabase, absent};
use crate::domain::database::DatabaseAttributes;
use crate::domain::{
    CloudError, Database, DatabaseId, ErrorClass, FleetName, NewDatabase, Number, Parsed, Snapshot,
    SnapshotId, TagChanges, Tags,
};

/// The maximum page size of RDS.
const PAGE: i32 = 100;

impl AwsCloud {
    /// Lists all DB instances of the account, because RDS cannot filter by tags, and its filters have no wildcards.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Filter.html>
    pub(super) fn list_db_instances(&self) -> Pages<'_, DbInstance> {
        let pager = self.rds.describe_db_instances().max_records(PAGE).into_paginator().send();
        // The first error ends the stream. The pager alone would not: without credentials, it is not asked.
        let pages = futures::stream::try_unfold(pager, move |mut pager| async move {
            let next = async { pager.next().await.transpose() };
            let Observed { value, as_of } =
                call(&self.limits, Bucket::Database, Access::Read, "DescribeDBInstances", next).await?;
            Ok(value.map(|page| (Page::new(page.db_instances.unwrap_or_default(), as_of), pager)))
        });
        pages.boxed()
    }

    pub(super) fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database> {
        parse_pages(self.list_db_instances(), move |database| {
            let parsed = parse(fleet, database)?;
            self.cache_arn(database);
            Some(parsed)
        })
    }

    /// Returns all DB instances of the account and what their listing costs, or fails: an incomplete listing counts too little.
    pub(super) async fn all_db_instances(&self) -> Result<(Vec<DbInstance>, ListingCost)> {
        let mut pages = self.list_db_instances();
        let (mut all, mut requests) = (Vec::new(), 0);
        while let Some(page) = pages.try_next().await? {
            all.extend(page.value);
            requests += 1;
        }
        let cost = ListingCost { databases: all.len(), requests };
        Ok((all, cost))
    }

    pub(super) async fn describe(&self, id: &str) -> Result<Observed<Option<DbInstance>>> {
        let request = self.rds.describe_db_instances().db_instance_identifier(id);
        match call(&self.limits, Bucket::Database, Access::Read, "DescribeDBInstances", request.send()).await
        {
            Ok(Observed { value, as_of }) => {
                Ok(Observed { value: value.db_instances.unwrap_or_default().into_iter().next(), as_of })
            }
            Err(error) if error.is(ErrorClass::NotFound) => Ok(Observed { value: None, as_of: None }),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn database(
        &self,
        fleet: &FleetName,
        number: Number,
    ) -> Result<Observed<Option<Database>>> {
        let found = self.describe(fleet.database_id(number).as_str()).await?;
        let parsed = found.value.and_then(|database| {
            self.cache_arn(&database);
            parse(fleet, &database)
        });
        Ok(Observed { value: readable("DescribeDBInstances", parsed)?, as_of: found.as_of })
    }

    pub(super) async fn source_database(&self, id: &str) -> Result<Option<SourceDatabase>> {
        let found = self.describe(id).await?;
        Ok(found.value.map(|database| SourceDatabase {
            id: id.into(),
            status: database.db_instance_status().unwrap_or("unknown").into(),
            engine: database.engine().unwrap_or("unknown").into(),
            engine_version: database.engine_version().unwrap_or_default().into(),
            cluster: database.db_cluster_identifier().filter(|id| !id.is_empty()).map(Into::into),
            parameter_group: database
                .db_parameter_groups()
                .first()
                .and_then(|group| group.db_parameter_group_name())
                .map(Into::into),
        }))
    }

    pub(super) async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>> {
        let mut latest: Option<Snapshot> = None;
        for snapshot in self.list_snapshots(source, None).await? {
            // The time of a copy is later than that of its data.
            let time = snapshot.original_snapshot_create_time().or(snapshot.snapshot_create_time());
            let (Some(id), Some(created_at)) =
                (snapshot.db_snapshot_identifier(), time.and_then(from_sdk_time))
            else {
                continue;
            };
            if latest.as_ref().is_none_or(|latest| latest.created_at < created_at) {
                latest = Some(Snapshot { id: SnapshotId::new(id), created_at });
            }
        }
        Ok(latest)
    }

    /// Lists the `available` snapshots of a source database, of one type or of those that RDS lists by default.
    pub(super) async fn list_snapshots(&self, source: &str, kind: Option<&str>) -> Result<Vec<DbSnapshot>> {
        let mut pager = self
            .rds
            .describe_db_snapshots()
            .db_instance_identifier(source)
            .set_snapshot_type(kind.map(str::to_owned))
            .max_records(PAGE)
            .into_paginator()
            .send();
        let mut snapshots = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Database, Access::Read, "DescribeDBSnapshots", next).await;
            // RDS returns NotFound if the source database does not exist.
            let Some(page) = absent(page)?.and_then(|page| page.value) else { return Ok(snapshots) };
            let found = page.db_snapshots.unwrap_or_default().into_iter();
            snapshots.extend(found.filter(|snapshot| snapshot.status() == Some("available")));
        }
    }

    pub(super) async fn create_database(&self, new: &NewDatabase) -> Result<()> {
        self.restore(&new.id(), &new.tags(), new).await
    }

    /// Sets everything that a restore would otherwise copy from the source.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html>
    pub(super) async fn restore(&self, id: &DatabaseId, tags: &Tags, new: &NewDatabase) -> Result<()> {
        let groups = (!new.security_groups.is_empty()).then(|| new.security_groups.clone());
        let request = self
            .rds
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(id.as_str())
            .db_snapshot_identifier(new.snapshot.id.as_str())
            .db_instance_class(&new.class)
            .db_subnet_group_name(&new.subnet_group)
            .set_vpc_security_group_ids(groups)
            .set_db_parameter_group_name(new.parameter_group.clone())
            .enable_iam_database_authentication(new.iam_auth)
            .availability_zone(&new.zone)
            .multi_az(false)
            .publicly_accessible(false)
            .deletion_protection(false)
            .copy_tags_to_snapshot(false)
            // An upgrade would make a free database unavailable for minutes, and no database lives long enough to need one.
            .auto_minor_version_upgrade(false)
            // The default would enrol the copy in extended support, which costs per vCPU, even if the source is not enrolled.
            .set_engine_lifecycle_support(self.engine_lifecycle_support(&new.source).await?)
            // With backups, RDS starts the first one right after the restore, in the status `backing-up`.
            .backup_retention_period(0)
            .set_tags(Some(rds_tags(tags)));
        let operation = "RestoreDBInstanceFromDBSnapshot";
        call(&self.limits, Bucket::Database, Access::Write, operation, request.send()).await.map(|_| ())
    }

    /// Returns the source's setting for the time after the end of standard support; `None` if the source is gone or RDS does not name it.
    async fn engine_lifecycle_support(&self, source: &str) -> Result<Option<String>> {
        Ok(self.describe(source).await?.value.and_then(|source| source.engine_lifecycle_support))
    }

    pub(super) async fn delete_database(&self, id: &DatabaseId) -> Result<()> {
        let request = self
            .rds
            .delete_db_instance()
            .db_instance_identifier(id.as_str())
            .skip_final_snapshot(true)
            .delete_automated_backups(true);
        match call(&self.limits, Bucket::Database, Access::Write, "DeleteDBInstance", request.send()).await {
            Err(error) if error.message.contains("already being deleted") => Ok(()),
            deleted => absent(deleted).map(|_| ()),
        }
    }

    pub(super) async fn start_database(&self, id: &DatabaseId) -> Result<()> {
        let request = self.rds.start_db_instance().db_instance_identifier(id.as_str()).send();
        call(&self.limits, Bucket::Database, Access::Write, "StartDBInstance", request).await.map(|_| ())
    }

    pub(super) async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()> {
        let arn = self.arn(id).await?;
        if !changes.set.is_empty() {
            let request =
                self.rds.add_tags_to_resource().resource_name(&arn).set_tags(Some(rds_tags(&changes.set)));
            call(&self.limits, Bucket::Database, Access::Write, "AddTagsToResource", request.send()).await?;
        }
        if !changes.remove.is_empty() {
            let keys = changes.remove.iter().cloned().collect();
            let request = self.rds.remove_tags_from_resource().resource_name(&arn).set_tag_keys(Some(keys));
            call(&self.limits, Bucket::Database, Access::Write, "RemoveTagsFromResource", request.send())
                .await?;
        }
        Ok(())
    }

    async fn arn(&self, id: &DatabaseId) -> Result<String> {
        let known = self.arns.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(arn) = known {
            return Ok(arn);
        }
        let found = self.describe(id.as_str()).await?.value;
        found.and_then(|database| database.db_instance_arn).ok_or_else(|| {
            let message = format!("there is no database {id}");
            CloudError::new(ErrorClass::NotFound, "DescribeDBInstances", "DBInstanceNotFound", message)
        })
    }

    fn cache_arn(&self, database: &DbInstance) {
        if let (Some(id), Some(arn)) = (database.db_instance_identifier(), database.db_instance_arn()) {
            let mut arns = self.arns.lock().unwrap_or_else(PoisonError::into_inner);
            arns.insert(DatabaseId::new(id), arn.to_owned());
        }
    }
}

fn parse(fleet: &FleetName, database: &DbInstance) -> Parsed<Database> {
    let endpoint = database.endpoint().and_then(|endpoint| Some((endpoint.address()?, endpoint.port()?)));
    let attributes = DatabaseAttributes {
        id: DatabaseId::new(database.db_instance_identifier()?),
        status: database.db_instance_status().unwrap_or("unknown").into(),
        endpoint: endpoint.map(|(address, port)| format!("{address}:{port}").into()),
        created_at: database.instance_create_time().and_then(from_sdk_time),
        zone: database.availability_zone().map(Into::into),
        loaded: loaded(database),
    };
    Database::parse(fleet, attributes, &parse_tags(database.tag_list()))
}

/// Returns the percentage that is loaded while the volume is being loaded from a snapshot. Other operations on it do not matter.
fn loaded(database: &DbInstance) -> Option<u8> {
    let is_loading = database.storage_operation_status() == Some("Initializing");
    let percent = database.storage_operation_percent_progress().unwrap_or(0).clamp(0, 100);
    u8::try_from(percent).ok().filter(|_| is_loading)
}

pub(super) fn parse_tags(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

pub(super) fn rds_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
