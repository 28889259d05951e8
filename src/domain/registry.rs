//! The setting `registry`: where the images of the fleet's services are, and which tags they have.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::tags::MAX_VALUE_CHARS;
use super::text::Untrusted;

/// A private registry of Amazon ECR and the path of the services' repositories in it. The image of a service is `<registry>/<service>`, as
/// for the bootstrap of the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `<account>.dkr.ecr.<Region>.amazonaws.com`
    host: String,
    /// The path in front of the services' names, with a slash at its end; empty if there is none.
    prefix: String,
}

impl Registry {
    /// Returns the 12 digits of the account that owns it.
    #[must_use]
    pub fn account(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    #[must_use]
    pub fn region(&self) -> &str {
        self.host.split('.').nth(3).unwrap_or_default()
    }

    /// Returns the name of a service's repository.
    #[must_use]
    pub fn repository(&self, service: &str) -> String {
        format!("{}{service}", self.prefix)
    }

    /// Returns the services with repositories among these, in order. Other names are no services, such as those of repositories elsewhere.
    #[must_use]
    pub fn services(&self, repositories: &[Untrusted]) -> Vec<String> {
        let names = repositories.iter().filter_map(|name| name.raw().strip_prefix(self.prefix.as_str()));
        let mut services: Vec<_> = names.filter(|name| is_service(name)).map(str::to_owned).collect();
        services.sort_unstable();
        services.dedup();
        services
    }
}

impl FromStr for Registry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_VALUE_CHARS {
            return Err("use up to 256 characters");
        }
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        if !is_host(host) {
            return Err(
                "use a private registry of Amazon ECR, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/services, because only ECR can be asked for tags",
            );
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() && !path.split('/').all(is_component) {
            return Err(
                "the path of a repository consists of lower-case letters and digits, with single . _ - and / between them",
            );
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(Self { host: host.to_owned(), prefix })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(format!("{}/{}", self.host, self.prefix).trim_end_matches('/'))
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>
fn is_host(host: &str) -> bool {
    let Some((account, rest)) = host.split_once(".dkr.ecr.") else { return false };
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"));
    let is_word =
        |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && region.is_some_and(|region| !region.is_empty() && is_word(region))
}

/// Whether it can be between two slashes of a repository's name.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>
fn is_component(component: &str) -> bool {
    component
        .split(['.', '_', '-'])
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// Whether it is valid as the name of a service.
pub(crate) fn is_service(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether it is valid as a tag in a container registry.
pub(crate) fn is_image_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !tag.starts_with(['.', '-'])
}

/// A tag of an image in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTag {
    pub name: Untrusted,
    /// When the image was pushed.
    pub pushed_at: DateTime<Utc>,
}

/// The tags of a service's images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageTags {
    pub tags: Vec<ImageTag>,
    /// Whether the repository has so many images that not all were read, so that newer tags may be missing.
    pub is_partial: bool,
}

impl ImageTags {
    /// How many tags are kept.
    pub const MAX: usize = 100;

    /// Returns the newest of these tags, newest first.
    #[must_use]
    pub fn newest(mut tags: Vec<ImageTag>, is_partial: bool) -> Self {
        tags.sort_by(|a, b| b.pushed_at.cmp(&a.pushed_at).then_with(|| a.name.cmp(&b.name)));
        tags.truncate(Self::MAX);
        Self { tags, is_partial }
    }

    /// Returns those that are valid as tags, in order.
    pub fn valid(&self) -> impl Iterator<Item = &ImageTag> {
        self.tags.iter().filter(|tag| is_image_tag(tag.name.raw()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    #[rstest]
    #[case::path("123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme", "eu-west-1", "acme/orders")]
    #[case::deep("123456789012.dkr.ecr.us-east-1.amazonaws.com/a-b/c.d_e", "us-east-1", "a-b/c.d_e/orders")]
    #[case::no_path("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "orders")]
    #[case::china("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/acme", "cn-north-1", "acme/orders")]
    fn registry_names_account_region_and_repositories(
        #[case] text: &str,
        #[case] region: &str,
        #[case] repository: &str,
    ) {
        let registry: Registry = text.parse().unwrap();
        assert_eq!((registry.account(), registry.region()), ("123456789012", region));
        assert_eq!(registry.repository("orders"), repository);
        assert_eq!(registry.to_string(), text);
        let slash: Registry = format!("{text}/").parse().unwrap();
        assert_eq!(slash, registry);
    }

    #[rstest]
    #[case::docker_hub("docker.io/acme", "only ECR can be asked")]
    #[case::public("public.ecr.aws/acme", "only ECR can be asked")]
    #[case::scheme("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", "only ECR can be asked")]
    #[case::account("12345.dkr.ecr.eu-west-1.amazonaws.com", "only ECR can be asked")]
    #[case::no_region("123456789012.dkr.ecr..amazonaws.com", "only ECR can be asked")]
    #[case::other_domain("123456789012.dkr.ecr.eu-west-1.example.com", "only ECR can be asked")]
    #[case::port("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443/acme", "only ECR can be asked")]
    #[case::user("evil@123456789012.dkr.ecr.eu-west-1.amazonaws.com", "only ECR can be asked")]
    #[case::upper_case("123456789012.dkr.ecr.eu-west-1.amazonaws.com/Acme", "the path")]
    #[case::two_slashes("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a//b", "the path")]
    #[case::image("123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme:latest", "the path")]
    #[case::control("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a\u{1b}[31m", "the path")]
    fn other_registries_are_refused(#[case] text: &str, #[case] expected: &str) {
        let rule = text.parse::<Registry>().unwrap_err();
        assert!(rule.contains(expected), "{text}: {rule}");
    }

    #[test]
    fn registry_fits_into_a_tag() {
        let longest = MAX_VALUE_CHARS - HOST.len() - 1;
        assert!(format!("{HOST}/{}", "a".repeat(longest)).parse::<Registry>().is_ok());
        assert!(format!("{HOST}/{}", "a".repeat(longest + 1)).parse::<Registry>().is_err());
    }

    #[test]
    fn services_are_the_repositories_of_the_path() {
        let registry: Registry = format!("{HOST}/acme").parse().unwrap();
        let names = [
            "acme/orders",
            "acme/kyc",
            "orders",
            "acme/tools/cli",
            "acme",
            "acme/",
            "acme/Orders",
            "acme/k\u{1b}[31myc",
            "other/acme/search",
        ];
        assert_eq!(registry.services(&names.map(Into::into)), ["kyc", "orders"]);
        let registry: Registry = HOST.parse().unwrap();
        assert_eq!(registry.services(&names.map(Into::into)), ["acme", "orders"]);
    }

    #[test]
    fn newest_tags_are_kept() {
        let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap();
        let tag = |name: String, second| ImageTag { name: name.into(), pushed_at: at(second) };
        let max = i64::try_from(ImageTags::MAX).unwrap();
        let all = (0..max + 5).map(|n| tag(format!("f-{n}"), n)).collect();
        let found = ImageTags::newest(all, true);
        assert_eq!((found.tags.len(), found.is_partial), (ImageTags::MAX, true));
        assert_eq!(found.tags[0], tag(format!("f-{}", max + 4), max + 4));
        let mixed = vec![tag("f-1; reboot".to_owned(), 1), tag("f-2".to_owned(), 2), tag("-3".to_owned(), 3)];
        let mixed = ImageTags::newest(mixed, false);
        assert_eq!(mixed.valid().map(|tag| tag.name.raw()).collect::<Vec<_>>(), ["f-2"]);
    }
}
