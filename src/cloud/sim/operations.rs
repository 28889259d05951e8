//! Operations of AWS: the name, the request bucket, and whether it is a write.

use super::throttle::Bucket;

#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) bucket: Bucket,
    pub(super) is_write: bool,
}

pub(super) const fn read(name: &'static str, bucket: Bucket) -> Operation {
    Operation { name, bucket, is_write: false }
}

pub(super) const fn write(name: &'static str, bucket: Bucket) -> Operation {
    Operation { name, bucket, is_write: true }
}

pub(super) const TEMPLATES: Operation = read("DescribeLaunchTemplates", Bucket::Describe);
pub(super) const INSTANCES: Operation = read("DescribeInstances", Bucket::Describe);
pub(super) const DATABASES: Operation = read("DescribeDBInstances", Bucket::Database);
pub(super) const EC2_TAGS: Operation = write("CreateTags", Bucket::Tag);
pub(super) const RDS_TAGS: Operation = write("AddTagsToResource", Bucket::Database);
pub(super) const CREATE_TEMPLATE: Operation = write("CreateLaunchTemplate", Bucket::Change);
pub(super) const TERMINATE: Operation = write("TerminateInstances", Bucket::Terminate);
pub(super) const RUN: Operation = write("RunInstances", Bucket::Run);
pub(super) const AUDIT: Operation = write("PutLogEvents", Bucket::Log);
pub(super) const CREATE_STREAM: Operation = write("CreateLogStream", Bucket::Log);
pub(super) const CREATE_GROUP: Operation = write("CreateLogGroup", Bucket::Log);
pub(super) const DELETE_GROUP: Operation = write("DeleteLogGroup", Bucket::Log);
pub(super) const GROUPS: Operation = read("DescribeLogGroups", Bucket::Log);
pub(super) const STREAMS: Operation = read("DescribeLogStreams", Bucket::Log);
pub(super) const REPOSITORIES: Operation = read("DescribeRepositories", Bucket::Registry);
pub(super) const IMAGE_TAGS: Operation = read("DescribeImages", Bucket::Registry);
pub(super) const PUBLISH: Operation = write("Publish", Bucket::Message);
pub(super) const WEBHOOK: Operation = write("PostWebhook", Bucket::Message);
pub(super) const LOGS: Operation = read("FilterLogEvents", Bucket::Log);
