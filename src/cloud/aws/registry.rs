//! The repositories and the image tags of ECR, in the Region and the account of the registry.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::Region;
use aws_sdk_ecr::types::{DescribeImagesFilter, TagStatus};

use super::call::{Access, Bucket, call};
use super::{AwsCloud, from_sdk_time};
use crate::cloud::Result;
use crate::domain::text::Untrusted;
use crate::domain::{ImageTag, ImageTags, Registry};

/// The most items that ECR returns on a page.
const PAGE: i32 = 1_000;

/// How many pages of a listing are read.
const MAX_PAGES: usize = 10;

impl AwsCloud {
    pub(super) async fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>> {
        let request = self.ecr_of(registry).describe_repositories().registry_id(registry.account());
        let mut pager = request.into_paginator().page_size(PAGE).send();
        let mut names = Vec::new();
        for _ in 0..MAX_PAGES {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Other, Access::Read, "DescribeRepositories", next).await?;
            let Some(page) = page.value else { break };
            let repositories = page.repositories.unwrap_or_default().into_iter();
            names.extend(
                repositories.filter_map(|repository| repository.repository_name).map(Untrusted::from),
            );
        }
        Ok(names)
    }

    /// ECR documents no order of images, so all pages are read, up to a limit.
    /// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>
    pub(super) async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        let tagged = DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let request = self.ecr_of(registry).describe_images().registry_id(registry.account());
        let request = request.repository_name(registry.repository(service)).filter(tagged);
        let mut pager = request.into_paginator().page_size(PAGE).send();
        let (mut tags, mut is_partial) = (Vec::new(), false);
        for _ in 0..MAX_PAGES {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Other, Access::Read, "DescribeImages", next).await?;
            let Some(page) = page.value else { break };
            is_partial = page.next_token().is_some_and(|token| !token.is_empty());
            for image in page.image_details.unwrap_or_default() {
                let Some(pushed_at) = image.image_pushed_at().and_then(from_sdk_time) else { continue };
                let names = image.image_tags.unwrap_or_default().into_iter();
                tags.extend(names.map(|name| ImageTag { name: name.into(), pushed_at }));
            }
        }
        Ok(ImageTags::newest(tags, is_partial))
    }

    /// Returns a client for the Region of a registry.
    fn ecr_of(&self, registry: &Registry) -> Client {
        let region = Region::new(registry.region().to_owned());
        Client::from_conf(self.ecr.config().to_builder().region(region).build())
    }
}
