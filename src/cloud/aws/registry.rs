//! The repositories and the image tags of ECR, in the Region and the account of the registry.

use aws_sdk_ecr::config::{Builder, Region};
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
        let (mut names, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self.ecr.describe_repositories().registry_id(registry.account()).max_results(PAGE);
            let request = request.set_next_token(token).customize().config_override(region_of(registry));
            let operation = "DescribeRepositories";
            let page =
                call(&self.limits, Bucket::Other, Access::Read, operation, request.send()).await?.value;
            let repositories = page.repositories.unwrap_or_default().into_iter();
            names.extend(
                repositories.filter_map(|repository| repository.repository_name).map(Untrusted::from),
            );
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(names)
    }

    /// ECR documents no order of images, so all pages are read, up to a limit.
    /// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>
    pub(super) async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        let tagged = DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let (mut tags, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self.ecr.describe_images().registry_id(registry.account()).max_results(PAGE);
            let request = request.repository_name(registry.repository(service)).filter(tagged.clone());
            let request = request.set_next_token(token).customize().config_override(region_of(registry));
            let operation = "DescribeImages";
            let page =
                call(&self.limits, Bucket::Other, Access::Read, operation, request.send()).await?.value;
            for image in page.image_details.unwrap_or_default() {
                let Some(pushed_at) = image.image_pushed_at().and_then(from_sdk_time) else { continue };
                let names = image.image_tags.unwrap_or_default().into_iter();
                tags.extend(names.map(|name| ImageTag { name: name.into(), pushed_at }));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(ImageTags::newest(tags, token.is_some()))
    }
}

fn region_of(registry: &Registry) -> Builder {
    Builder::new().region(Region::new(registry.region().to_owned()))
}
