//! Observing: everything that a fleet owns, listed at once, page by page.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::Engine;
use crate::cloud::{Page, Result};
use crate::domain::{CloudError, Database, Fleet, Image, Instance, Listing, Record, Snapshot, Subnet, World};
use crate::failure::{Failure, Kind};

/// How long the latest snapshot, the latest image and the subnets are remembered: they change a few times a day.
const SOURCES_HOLD: Duration = Duration::from_mins(5);

/// What changes seldom.
#[derive(Clone)]
pub(super) struct Sources {
    snapshot: Result<Option<Snapshot>>,
    image: Result<Option<Image>>,
    subnets: Result<Vec<Subnet>>,
}

/// What changes seldom, since when it is known, and for which fleet's policy.
pub(super) struct Remembered {
    at: Duration,
    of: Fleet,
    sources: Sources,
}

enum Part {
    Records(Result<Page<Record>>),
    Instances(Result<Page<Instance>>),
    Databases(Result<Page<Database>>),
    Sources(Box<Sources>),
}

impl Engine {
    /// Looks at everything anew, also at what changes seldom.
    pub(super) async fn observe_afresh(&self) -> Result<World, Failure> {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.observe_with(|_| {}).await
    }

    /// Looks at everything, and shows the world as it comes in: `partial` is called after each page but the last.
    pub(super) async fn observe_with(&self, mut partial: impl FnMut(&World)) -> Result<World, Failure> {
        let name = &self.config.fleet;
        let fleet = self.cloud.fleet(name).await;
        let fleet = fleet.map_err(|error| Failure::cloud(format!("cannot read fleet {name}"), &error))?;
        let fleet = fleet.ok_or_else(|| {
            let message =
                format!("there is no fleet {name:?} in {}", self.cloud.region(), name = name.as_str());
            Failure::new(
                Kind::NotFound,
                message,
                "see hatchery fleet ls, or check the Region and the profile",
            )
        })?;

        let sources = stream::once(self.sources(&fleet)).map(|sources| Part::Sources(Box::new(sources)));
        let parts: [BoxStream<'_, Part>; 4] = [
            self.cloud.records(name).map(Part::Records).boxed(),
            self.cloud.instances(name).map(Part::Instances).boxed(),
            self.cloud.databases(name).map(Part::Databases).boxed(),
            sources.boxed(),
        ];
        let mut world = World::unseen(fleet.clone());
        let mut parts = stream::select_all(parts);
        while let Some(part) = parts.next().await {
            match part {
                Part::Records(page) => add(&mut world.records, page),
                Part::Instances(page) => add(&mut world.instances, page),
                Part::Databases(page) => add(&mut world.databases, page),
                Part::Sources(sources) => {
                    Sources { snapshot: world.snapshot, image: world.image, subnets: world.subnets } =
                        *sources;
                }
            }
            partial(&world);
        }
        drop(parts);
        finish(&mut world.records);
        finish(&mut world.instances);
        finish(&mut world.databases);
        Ok(world)
    }

    async fn sources(&self, fleet: &Fleet) -> Sources {
        let now = self.clock.elapsed();
        {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(remembered) = &*remembered
                && now.saturating_sub(remembered.at) < SOURCES_HOLD
                && same_sources(&remembered.of, fleet)
            {
                return remembered.sources.clone();
            }
        }
        let policy = &fleet.policy;
        let (snapshot, image, subnets) = futures::join!(
            self.cloud.latest_snapshot(&policy.source_database),
            self.cloud.latest_image(&policy.image_tag),
            self.cloud.subnets(&policy.subnets),
        );
        let sources = Sources { snapshot, image, subnets };
        // A failure is not remembered: the next look asks again.
        if sources.snapshot.is_ok() && sources.image.is_ok() && sources.subnets.is_ok() {
            let remembered = Remembered { at: now, of: fleet.clone(), sources: sources.clone() };
            *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
        }
        sources
    }
}

fn same_sources(a: &Fleet, b: &Fleet) -> bool {
    let (a, b) = (&a.policy, &b.policy);
    a.source_database == b.source_database && a.image_tag == b.image_tag && a.subnets == b.subnets
}

fn add<T>(listing: &mut Listing<T>, page: Result<Page<T>, CloudError>) {
    match page {
        Ok(page) => {
            // The first page is the oldest; one that does not say when it was answered makes the whole unknown.
            let first = listing.items.is_empty() && listing.as_of.is_none();
            listing.as_of = if first { page.as_of } else { earliest(listing.as_of, page.as_of) };
            listing.items.extend(page.value);
        }
        Err(problem) => listing.problem = Some(problem),
    }
}

fn earliest(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    Some(a?.min(b?))
}

/// Every page has been read, unless one of them was an error.
fn finish<T>(listing: &mut Listing<T>) {
    listing.complete = listing.problem.is_none();
}

/// Shares a world.
pub(super) fn share(world: &World) -> Arc<World> {
    Arc::new(world.clone())
}
