//! Workarounds for moto, used only if the endpoint is not AWS.
//!
//! moto 5.2 returns launch templates with the tags of their creation instead of the current ones, and ends the listing after `MaxResults`
//! without a token. `DescribeTags` returns all templates with their current tags.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, LaunchTemplate, Tag};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::launch_templates::filter;
use crate::cloud::{Observed, Page, Result};

/// The number of ids per request.
const CHUNK: usize = 200;

impl AwsCloud {
    /// Lists the templates that match filters by tags, with their current tags.
    pub(super) async fn moto_templates(&self, filters: &[Filter]) -> Result<Page<LaunchTemplate>> {
        let tags = self.current_tags(filter("resource-type", ["launch-template"])).await?;
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

    /// Returns the template with its current tags.
    pub(super) async fn with_current_tags(&self, mut template: LaunchTemplate) -> Result<LaunchTemplate> {
        if let Some(id) = template.launch_template_id() {
            let mut tags = self.current_tags(filter("resource-id", [id])).await?.value;
            template.tags = tags.remove(id);
        }
        Ok(template)
    }

    async fn current_tags(&self, filter: Filter) -> Result<Observed<BTreeMap<String, Vec<Tag>>>> {
        let mut pager = self.ec2.describe_tags().filters(filter).into_paginator().send();
        let mut tags = Observed { value: BTreeMap::<_, Vec<Tag>>::new(), as_of: None };
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Describe, Access::Read, "DescribeTags", next).await?;
            let Some(found) = page.value else { return Ok(tags) };
            tags.as_of = tags.as_of.or(page.as_of);
            for tag in found.tags.unwrap_or_default() {
                let current = Tag::builder().set_key(tag.key).set_value(tag.value).build();
                tags.value.entry(tag.resource_id.unwrap_or_default()).or_default().push(current);
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
