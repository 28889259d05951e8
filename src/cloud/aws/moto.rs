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

/// More than any test creates. moto ends a listing after `MaxResults`; AWS allows 200.
const MAX_TEMPLATES: i32 = 100_000;

impl AwsCloud {
    /// Lists the templates that match filters by tags or names, with their current tags.
    pub(super) async fn moto_templates(&self, filters: &[Filter]) -> Result<Page<LaunchTemplate>> {
        let tags = self.current_tags(filter("resource-type", ["launch-template"])).await?;
        let request = self.ec2.describe_launch_templates().max_results(MAX_TEMPLATES).send();
        let found =
            call(&self.limits, Bucket::Describe, Access::Read, "DescribeLaunchTemplates", request).await?;
        let mut page = Page::new(found.value.launch_templates.unwrap_or_default(), tags.as_of);
        for template in &mut page.value {
            template.tags = template.launch_template_id().and_then(|id| tags.value.get(id).cloned());
        }
        page.value.retain(|template| filters.iter().all(|filter| matches(filter, template)));
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

/// Whether a template matches a filter by tag or name. ministack knows no wildcards.
fn matches(filter: &Filter, template: &LaunchTemplate) -> bool {
    let is_wanted = |value: Option<&str>| {
        let matches = |wanted: &String, value: &str| match wanted.strip_suffix('*') {
            Some(prefix) => value.starts_with(prefix),
            None => wanted == value,
        };
        value.is_some_and(|value| filter.values().iter().any(|wanted| matches(wanted, value)))
    };
    match filter.name().and_then(|name| name.strip_prefix("tag:")) {
        Some(key) => template.tags().iter().any(|tag| tag.key() == Some(key) && is_wanted(tag.value())),
        None => is_wanted(template.launch_template_name()),
    }
}
