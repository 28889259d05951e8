//! The services of two environments side by side.

use std::collections::BTreeSet;

use serde::Serialize;

use super::environment::Environment;
use super::text::Untrusted;

/// A service under test in one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version<'w> {
    /// The requested image tag.
    pub tag: &'w Untrusted,
    /// The digest of the running image; `None` until the instance reports it.
    pub digest: Option<&'w Untrusted>,
}

/// How a service of two environments compares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Comparison {
    /// Both run the same image or, as long as a digest is unknown, have the same tag.
    Equal,
    Different,
    OnlyFirst,
    OnlySecond,
}

/// One service of two environments. A service that is not under test in one of them runs the chart's own version there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceDiff<'w> {
    pub service: &'w Untrusted,
    pub comparison: Comparison,
    pub first: Option<Version<'w>>,
    pub second: Option<Version<'w>>,
}

/// Compares the services under test of two environments, in the order of their names.
#[must_use]
pub fn diff<'w>(first: &Environment<'w>, second: &Environment<'w>) -> Vec<ServiceDiff<'w>> {
    let names: BTreeSet<&Untrusted> =
        first.record.services.keys().chain(second.record.services.keys()).collect();
    let compare = |service| {
        let (first, second) = (version(first, service), version(second, service));
        let comparison = match (first, second) {
            (Some(a), Some(b)) if is_equal(a, b) => Comparison::Equal,
            (Some(_), None) => Comparison::OnlyFirst,
            (None, Some(_)) => Comparison::OnlySecond,
            _ => Comparison::Different,
        };
        ServiceDiff { service, comparison, first, second }
    };
    names.into_iter().map(compare).collect()
}

fn version<'w>(environment: &Environment<'w>, service: &Untrusted) -> Option<Version<'w>> {
    let tag = environment.record.services.get(service)?;
    let digest = environment.instance.and_then(|instance| instance.digests.get(service));
    Some(Version { tag, digest })
}

/// A tag can move, so digests count where both are known.
fn is_equal(first: Version<'_>, second: Version<'_>) -> bool {
    match (first.digest, second.digest) {
        (Some(a), Some(b)) => a == b,
        _ => first.tag == second.tag,
    }
}
