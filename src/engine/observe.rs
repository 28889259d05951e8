//! Observations: lists everything that a fleet owns, concurrently and page by page.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::Engine;
use super::cache::{SourceCache, Sources};
use crate::cloud::{Page, Result, Template};
use crate::domain::{
    CloudError, Database, ErrorClass, Fleet, Instance, Listing, Number, Record, UnreadableKind, World,
};
use crate::failure::{Failure, Kind};

/// How long the sources are cached. They change a few times a day.
const SOURCES_TTL: Duration = Duration::from_mins(15);

enum Part {
    Templates(Result<Page<Template>>),
    Instances(Result<Page<Instance>>),
    Databases(Result<Page<Database>>),
    Sources(Box<Sources>),
}

impl Engine {
    /// Observes the fleet without using cached sources.
    pub(super) async fn observe_uncached(&self) -> Result<World, Failure> {
        *self.source_cache() = None;
        self.observe_with(|_| {}).await
    }

    /// Observes the fleet. `partial` is called with the incomplete world after each page.
    pub(super) async fn observe_with(&self, mut partial: impl FnMut(&World)) -> Result<World, Failure> {
        let name = &self.config.fleet;
        // The template listing contains the fleet too; until it arrives, the cached fleet says which sources to read.
        let cached = self.source_cache().as_ref().map(|cache| cache.fleet.clone());
        let fleet = match cached {
            Some(fleet) => fleet,
            None => self.read_fleet().await?,
        };

        let sources = stream::once(self.sources(&fleet)).map(|sources| Part::Sources(Box::new(sources)));
        let parts: [BoxStream<'_, Part>; 4] = [
            self.cloud.templates(name).map(Part::Templates).boxed(),
            self.cloud.instances(name).map(Part::Instances).boxed(),
            self.cloud.databases(name).map(Part::Databases).boxed(),
            sources.boxed(),
        ];
        let mut world = World::new(fleet.clone());
        let mut found = None;
        let mut parts = stream::select_all(parts);
        while let Some(part) = parts.next().await {
            match part {
                Part::Templates(page) => {
                    add(&mut world.records, page.map(|page| split_templates(page, &mut found)));
                    if let Some(fleet) = &found {
                        world.fleet.clone_from(fleet);
                    }
                }
                Part::Instances(page) => add(&mut world.instances, page),
                Part::Databases(page) => add(&mut world.databases, page),
                Part::Sources(sources) => world.set_sources(*sources),
            }
            partial(&world);
        }
        drop(parts);
        if let Some(failure) = needs_login(&world) {
            return Err(failure);
        }
        if found.is_none() && world.records.problem.is_none() {
            // Its tags were missing from the listing, or it is gone.
            world.fleet = self.read_fleet().await?;
        }
        if !same_sources(&fleet, &world.fleet) {
            *self.source_cache() = None;
            world.set_sources(self.sources(&world.fleet).await);
        } else if let Some(cache) = &mut *self.source_cache() {
            cache.fleet.clone_from(&world.fleet);
        }
        finish(&mut world.records);
        finish(&mut world.instances);
        finish(&mut world.databases);
        Ok(world)
    }

    /// Reads the fleet. A fleet that is not found may be so new that reads do not show it yet.
    async fn read_fleet(&self) -> Result<Fleet, Failure> {
        self.look_again(|| self.read_fleet_once()).await
    }

    async fn read_fleet_once(&self) -> Result<Fleet, Failure> {
        let name = &self.config.fleet;
        let fleet = self.cloud.fleet(name).await;
        let fleet = fleet.map_err(|error| Failure::cloud(format!("cannot read fleet {name}"), &error))?;
        fleet.ok_or_else(|| {
            let message =
                format!("there is no fleet {name:?} in {}", self.cloud.region(), name = name.as_str());
            Failure::new(
                Kind::NotFound,
                message,
                "list the fleets with hatchery fleet ls, check the Region and the profile, or deploy the template of hatchery stack",
            )
        })
    }

    /// Returns the numbers of resources that look like namesakes in a listing, and are the fleet's according to a second read: a listing may
    /// miss tags.
    pub(super) async fn misread(&self, world: &World) -> Result<BTreeSet<Number>> {
        let mut misread = BTreeSet::new();
        for found in world.unreadable().filter(|found| !found.is_ours()) {
            let is_readable = match found.kind {
                UnreadableKind::Database => self
                    .cloud
                    .database(&world.fleet.name, found.number)
                    .await
                    .map(|read| read.value.is_some()),
                UnreadableKind::Record => {
                    let environment = world.fleet.name.environment(found.number);
                    self.cloud.find_record(&environment).await.map(|read| read.value.is_some())
                }
            };
            match is_readable {
                Ok(true) => drop(misread.insert(found.number)),
                Err(error) if !error.is(ErrorClass::Unreadable) => return Err(error),
                Ok(false) | Err(_) => {}
            }
        }
        Ok(misread)
    }

    fn source_cache(&self) -> MutexGuard<'_, Option<SourceCache>> {
        self.source_cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sources(&self, fleet: &Fleet) -> Sources {
        let now = self.clock.elapsed();
        if let Some(cache) = &*self.source_cache()
            && now.saturating_sub(cache.at) < SOURCES_TTL
        {
            return cache.sources.clone();
        }
        let policy = &fleet.policy;
        let (snapshot, image, subnets, pipelines) = futures::join!(
            self.cloud.latest_snapshot(&policy.source_database),
            self.cloud.latest_image(&policy.image_tag),
            self.cloud.subnets(&policy.subnets),
            self.cloud.pipelines(&fleet.name),
        );
        let sources = Sources { snapshot, image, subnets, pipelines };
        // Failures are not cached, so the next observation retries. That of the pipelines can be a missing permission.
        if sources.snapshot.is_ok() && sources.image.is_ok() && sources.subnets.is_ok() {
            let cache = SourceCache { at: now, fleet: fleet.clone(), sources: sources.clone() };
            *self.source_cache() = Some(cache);
        }
        sources
    }
}

impl World {
    fn set_sources(&mut self, sources: Sources) {
        Sources {
            snapshot: self.snapshot,
            image: self.image,
            subnets: self.subnets,
            pipelines: self.pipelines,
        } = sources;
    }
}

/// Separates the fleet's own template from a page of records.
fn split_templates(page: Page<Template>, found: &mut Option<Fleet>) -> Page<Record> {
    page.map(|templates| {
        let mut records = Vec::with_capacity(templates.len());
        for template in templates {
            match template {
                Template::Fleet(fleet) => *found = Some(*fleet),
                Template::Record(record) => records.push(*record),
            }
        }
        records
    })
}

/// Returns the failure of a listing that a login ends. Other failures of a listing leave the rest of the world to be seen.
fn needs_login(world: &World) -> Option<Failure> {
    let problems = [&world.records.problem, &world.instances.problem, &world.databases.problem];
    let cannot = format!("cannot observe the fleet {}", world.fleet.name);
    let mut failures = problems.into_iter().flatten().map(|problem| Failure::cloud(&cannot, problem));
    failures.find(Failure::asks_for_login)
}

fn same_sources(a: &Fleet, b: &Fleet) -> bool {
    let (a, b) = (&a.policy, &b.policy);
    a.source_database == b.source_database && a.image_tag == b.image_tag && a.subnets == b.subnets
}

fn add<T>(listing: &mut Listing<T>, page: Result<Page<T>, CloudError>) {
    match page {
        Ok(page) => {
            // A listing is as old as its oldest page. A page without a time makes the age of the listing unknown.
            let first = listing.items.is_empty() && listing.as_of.is_none();
            listing.as_of = if first { page.as_of } else { earliest(listing.as_of, page.as_of) };
            listing.items.extend(page.value);
            listing.unreadable.extend(page.unreadable);
        }
        Err(problem) => listing.problem = Some(problem),
    }
}

fn earliest(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    Some(a?.min(b?))
}

/// Marks a listing as complete unless one of its pages failed.
fn finish<T>(listing: &mut Listing<T>) {
    listing.complete = listing.problem.is_none();
}

pub(super) fn share(world: &World) -> Arc<World> {
    Arc::new(world.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::items::Items;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn listed(pages: &[(&[u32], Option<i64>)]) -> Listing<u32> {
        let mut listing = Listing::default();
        for (items, second) in pages {
            add(&mut listing, Ok(Page::new(items.to_vec(), second.map(at))));
        }
        finish(&mut listing);
        listing
    }

    #[test]
    fn listing_is_as_old_as_its_oldest_page() {
        let whole = listed(&[(&[1], Some(7)), (&[2, 3], Some(9)), (&[], Some(8))]);
        assert_eq!(whole, Listing::complete(vec![1, 2, 3], at(7)));
        assert_eq!(listed(&[(&[1], Some(9)), (&[2], Some(7))]).as_of, Some(at(7)));
        assert_eq!(listed(&[(&[], Some(9)), (&[1], Some(7))]).as_of, Some(at(7)));
        for unknown in [[Some(7), None], [None, Some(7)]] {
            assert_eq!(listed(&unknown.map(|second| (&[1][..], second))).as_of, None);
        }
    }

    #[test]
    fn failed_page_makes_listing_incomplete() {
        let problem = CloudError::new(ErrorClass::Throttled, "DescribeInstances", "Throttling", "slow down");
        let mut listing = listed(&[(&[1], Some(7))]);
        add(&mut listing, Err(problem.clone()));
        finish(&mut listing);
        assert_eq!(
            (listing.complete, listing.items, listing.problem),
            (false, Items::from_iter([1]), Some(problem))
        );
    }
}
