//! The registry: a repository for each service, to which its pipeline pushes images.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::faults::call_error;
use super::operations::{IMAGE_TAGS, Operation, REPOSITORIES};
use super::state::State;
use crate::cloud::Result;
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, ErrorClass, ImageTag, ImageTags, Registry};

/// How often an image of a service is pushed.
const PUSH_INTERVAL: TimeDelta = TimeDelta::hours(3);

/// The number of the images of a service; older ones are deleted.
const IMAGES: i64 = 40;

impl State {
    pub(super) fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>> {
        self.check_registry(REPOSITORIES)?;
        Ok(self.services().into_iter().map(|service| registry.repository(service).into()).collect())
    }

    /// Returns the tags of a service: those of branches and pull requests, one for each image.
    pub(super) fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        self.check_registry(IMAGE_TAGS)?;
        if !self.services().contains(service) {
            let repository = registry.repository(service);
            let message = format!(
                "The repository with name '{repository}' does not exist in the registry with id '{}'",
                registry.account()
            );
            return Err(call_error(
                ErrorClass::NotFound,
                IMAGE_TAGS,
                "RepositoryNotFoundException",
                &message,
            ));
        }
        let newest = self.now.timestamp() / PUSH_INTERVAL.num_seconds();
        let tags = (newest - IMAGES + 1..=newest).filter_map(|number| {
            let pushed_at = DateTime::from_timestamp(number * PUSH_INTERVAL.num_seconds(), 0)?;
            Some(ImageTag { name: tag(service, number).into(), pushed_at: delayed(service, pushed_at) })
        });
        Ok(ImageTags::newest(tags.filter(|tag| tag.pushed_at <= self.now).collect(), false))
    }

    /// Returns the services of the scenario, and those of its environments.
    fn services(&self) -> BTreeSet<&str> {
        let environments = self.scenario.environments.iter();
        let used = environments.flat_map(|environment| environment.services.keys());
        used.chain(&self.scenario.services).map(String::as_str).collect()
    }

    fn check_registry(&self, operation: Operation) -> Result<(), CloudError> {
        if !self.scenario.faults.registry_denied {
            return Ok(());
        }
        let message = format!("not authorized to perform: ecr:{}", operation.name);
        Err(call_error(ErrorClass::Auth, operation, "AccessDeniedException", &message))
    }
}

/// Returns the tag of a push. Every fourth one is of the main branch.
fn tag(service: &str, number: i64) -> String {
    let digest = hex::encode(Sha256::digest(format!("{service} {number}")));
    match number % 4 {
        0 => format!("main-{}", &digest[..7]),
        1 | 2 => format!("pr-{}", number % 1_000),
        _ => format!("f-{}", number % 200),
    }
}

/// Services are not all pushed at the same time.
fn delayed(service: &str, at: DateTime<Utc>) -> DateTime<Utc> {
    let minutes = service.bytes().map(i64::from).sum::<i64>() % PUSH_INTERVAL.num_minutes();
    at + TimeDelta::minutes(minutes)
}
