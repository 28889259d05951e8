//! What emulators of AWS do differently. Nothing of this is used unless another endpoint than AWS's is set.
//!
//! moto (5.2) answers `DescribeLaunchTemplates` with the tags of the template's creation, whatever has become of them, and
//! cuts the listing off at `MaxResults` without a token for the rest. `DescribeTags` tells both: which templates there
//! are, and their tags as they are now.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, LaunchTemplate, Tag};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::filter;
use crate::cloud::{Observed, Page, Result};

/// How many templates are asked for by their ids at once.
const CHUNK: usize = 200;

impl AwsCloud {
    /// All templates that match filters on tags, with their tags as they are now.
    pub(super) async fn emulated_templates(&self, filters: &[Filter]) -> Result<Page<LaunchTemplate>> {
        let tags = self.live_tags(filter("resource-type", ["launch-template"])).await?;
        let wanted: Vec<String> =
            tags.value.iter().filter(|(_, tags)| matches(filters, tags)).map(|(id, _)| id.clone()).collect();
        let mut page = Observed { value: Vec::new(), as_of: tags.as_of };
        for ids in wanted.chunks(CHUNK) {
            let request = self.ec2.describe_launch_templates().set_launch_template_ids(Some(ids.to_vec()));
            let request = request.max_results(200).send();
            let found =
                call(&self.limits, Bucket::Describe, Access::Read, "DescribeLaunchTemplates", request)
                    .await?;
            page.value.extend(found.value.launch_templates.unwrap_or_default());
        }
        for template in &mut page.value {
            template.tags = template.launch_template_id().and_then(|id| tags.value.get(id).cloned());
        }
        Ok(page)
    }

    /// The same template with its tags as they are now.
    pub(super) async fn with_live_tags(&self, mut template: LaunchTemplate) -> Result<LaunchTemplate> {
        if let Some(id) = template.launch_template_id() {
            let mut tags = self.live_tags(filter("resource-id", [id])).await?.value;
            template.tags = tags.remove(id);
        }
        Ok(template)
    }

    async fn live_tags(&self, filter: Filter) -> Result<Observed<BTreeMap<String, Vec<Tag>>>> {
        let mut pager = self.ec2.describe_tags().filters(filter).into_paginator().send();
        let mut tags = Observed { value: BTreeMap::<_, Vec<Tag>>::new(), as_of: None };
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Describe, Access::Read, "DescribeTags", next).await?;
            let Some(found) = page.value else { return Ok(tags) };
            tags.as_of = tags.as_of.or(page.as_of);
            for tag in found.tags.unwrap_or_default() {
                let own = Tag::builder().set_key(tag.key).set_value(tag.value).build();
                tags.value.entry(tag.resource_id.unwrap_or_default()).or_default().push(own);
            }
        }
    }
}

/// Whether tags match filters of the form `tag:<key>`.
fn matches(filters: &[Filter], tags: &[Tag]) -> bool {
    filters.iter().all(|filter| {
        let key = filter.name().and_then(|name| name.strip_prefix("tag:"));
        tags.iter().any(|tag| {
            tag.key() == key
                && tag.value().is_some_and(|value| filter.values().iter().any(|wanted| wanted == value))
        })
    })
}
