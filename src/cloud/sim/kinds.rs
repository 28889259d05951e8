//! The kinds of calls: AWS's name for each, its bucket, and whether it changes anything.

use super::fate::{Bucket, Kind};

pub(super) const fn read(operation: &'static str, bucket: Bucket) -> Kind {
    Kind { operation, bucket, changes: false }
}

pub(super) const fn change(operation: &'static str, bucket: Bucket) -> Kind {
    Kind { operation, bucket, changes: true }
}

pub(super) const TEMPLATES: Kind = read("DescribeLaunchTemplates", Bucket::Describe);
pub(super) const INSTANCES: Kind = read("DescribeInstances", Bucket::Describe);
pub(super) const DATABASES: Kind = read("DescribeDBInstances", Bucket::Database);
pub(super) const EC2_TAGS: Kind = change("CreateTags", Bucket::Tag);
pub(super) const RDS_TAGS: Kind = change("AddTagsToResource", Bucket::Database);
pub(super) const CREATE_TEMPLATE: Kind = change("CreateLaunchTemplate", Bucket::Change);
pub(super) const RUN: Kind = change("RunInstances", Bucket::Run);
pub(super) const AUDIT: Kind = change("PutLogEvents", Bucket::Log);
pub(super) const LOGS: Kind = read("FilterLogEvents", Bucket::Log);
