//! The services under test and their image tags.

use std::collections::BTreeMap;

use crate::domain::company_tags::CompanyTags;
use crate::domain::ids::InvalidName;
use crate::domain::registry::{is_image_tag, is_service};
use crate::domain::tags::{self, Tags, key};
use crate::domain::text::Untrusted;

/// The number of an instance's tags that are neither the company's nor a service's: those of [`identity_tags`](super::NewRecord::identity_tags), those
/// that its bootstrap writes, `deployment` and `orphan-since`.
const INSTANCE_TAGS: usize = 15;

/// Returns the maximum number of services under test. Each has two tags on the instance, for its image tag and its digest.
#[must_use]
pub(crate) fn max_services(company_tags: &CompanyTags) -> usize {
    (tags::MAX_TAGS - INSTANCE_TAGS).saturating_sub(company_tags.len()) / 2
}

/// Parses `SERVICE=IMAGE_TAG`.
///
/// # Errors
/// Returns an error unless the service is a Kubernetes name and the tag is valid in a container registry.
pub fn parse_service(text: &str) -> Result<(String, String), InvalidName> {
    let invalid = |rule| InvalidName { what: "service", value: text.to_owned(), rule };
    let (name, tag) = text.split_once('=').ok_or(invalid("use SERVICE=IMAGE_TAG, such as payments=f-123"))?;
    if !is_service(name) {
        return Err(invalid("a service is 1 to 40 lower-case letters, digits and hyphens"));
    }
    if !is_image_tag(tag) {
        return Err(invalid("an image tag is 1 to 128 letters, digits, dots, underscores and hyphens"));
    }
    Ok((name.to_owned(), tag.to_owned()))
}

/// Returns the services under test and their image tags.
#[must_use]
pub fn parse_services(tags: &Tags) -> BTreeMap<Untrusted, Untrusted> {
    tags.range(key::SERVICE_PREFIX.to_owned()..)
        .map_while(|(key, tag)| Some((key.strip_prefix(key::SERVICE_PREFIX)?.into(), tag.as_str().into())))
        .collect()
}
