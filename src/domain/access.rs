//! How users reach the environments, and where their endpoints are.

use std::fmt;

use super::ids::InstanceId;

/// How users reach the environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Access {
    /// By the address of the instance, which only the VPN may reach.
    Vpn,
    /// By a port forward of AWS Session Manager. The instance needs no inbound rule.
    Ssm,
}

/// What users open in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Endpoint {
    /// The application.
    App,
    /// The Kubernetes dashboard.
    Dashboard,
    /// The log viewer.
    Logs,
}

impl Endpoint {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where an endpoint of an environment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Url(String),
    /// Behind a port forward to the instance.
    Forwarded {
        instance: InstanceId,
        /// The URL's path and query, beginning with a slash.
        path: String,
    },
}

impl Address {
    /// Returns the URL if it needs no port forward.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) => Some(url),
            Self::Forwarded { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Forwarded { path, .. } => write!(f, "{path} through Session Manager"),
        }
    }
}

/// Returns the path and the query of a URL, beginning with a slash.
pub(super) fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find(['/', '?', '#']).map(|start| &rest[start..]) {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(query) => format!("/{query}"),
        None => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://{ip}/", "/")]
    #[case("http://{ip}/dashboard/", "/dashboard/")]
    #[case("https://{name}.example.org", "/")]
    #[case("https://{name}.example.org:8443/a/b?c=d#e", "/a/b?c=d#e")]
    #[case("http://{ip}?c=/d", "/?c=/d")]
    fn path_is_what_follows_the_authority(#[case] url: &str, #[case] path: &str) {
        assert_eq!(path_of(url), path);
    }
}
