//! Pages of listings are seen one by one. Snapshot, image and subnets are cached for 15 minutes, as long as the policy names the same ones.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::{ErrorClass, TagChanges};
use hatchery::engine::Event;
use rstest::rstest;

use crate::builders::initial_environment;
use crate::engine_loop::{options, run};
use crate::setup::{dev, on_paused_time};
use crate::test_bed::{TestBed, error};

const SOURCES: [&str; 3] = ["latest snapshot", "latest image", "subnets"];

fn counts(bed: &TestBed) -> [usize; 3] {
    SOURCES.map(|operation| bed.script.count(operation))
}

async fn observe(bed: &TestBed) -> [usize; 3] {
    bed.engine.observe().await.expect("a fleet");
    counts(bed)
}

#[test]
fn sources_are_read_every_15_minutes() {
    on_paused_time(async {
        let bed = TestBed::new();
        assert_eq!(observe(&bed).await, [1; 3]);
        bed.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!(observe(&bed).await, [1; 3]);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(observe(&bed).await, [2; 3]);
        // A single pass does not use the cache.
        bed.run_pass().await;
        assert_eq!(counts(&bed), [3; 3]);
    });
}

/// What a page lists is seen at once, and no call is made for a single environment.
#[test]
fn page_is_seen_while_the_next_one_hangs() {
    on_paused_time(async {
        let mut scenario =
            Scenario { environments: (0..100).map(initial_environment).collect(), ..Scenario::default() };
        scenario.faults.page = 20;
        let bed = TestBed::with_scenario(scenario);
        for listing in ["records", "instances", "databases"] {
            // The first page comes, and the second one never does.
            bed.script.before(listing, std::future::ready(()));
            bed.script.before(listing, std::future::pending());
        }
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(Duration::from_secs(1)).await;
        let seen = events.take().into_iter().rev().find_map(|(_, event)| match event {
            Event::World(world) => Some(world),
            _ => None,
        });
        let seen = seen.expect("a world");
        let items = (seen.records.items.len(), seen.instances.items.len(), seen.databases.items.len());
        assert_eq!((items, seen.is_complete()), ((19, 20, 20), false), "the fleet has a template too");
        bed.engine.observe().await.unwrap();
        for reads in ["record", "record of", "instance", "instance of", "instances of", "database"] {
            assert_eq!(bed.script.count(reads), 0, "{reads}");
        }
    });
}

#[rstest]
fn failed_source_read_is_repeated(
    #[values("latest snapshot", "latest image", "subnets")] operation: &'static str,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail(operation, 1, error(ErrorClass::Throttled));
        assert_eq!(observe(&bed).await, [1; 3]);
        assert_eq!(observe(&bed).await, [2; 3]);
        assert_eq!(observe(&bed).await, [2; 3]);
    });
}

#[rstest]
#[case("source-database", "other", 1)]
#[case("image-tag", "other", 1)]
#[case("subnets", "subnet-0b", 1)]
#[case("ttl", "3h", 0)]
fn changed_policy_reads_its_sources_again(
    #[case] setting: &'static str,
    #[case] value: &'static str,
    #[case] reads: usize,
) {
    on_paused_time(async {
        let bed = TestBed::new();
        assert_eq!(observe(&bed).await, [1; 3]);
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let changes = TagChanges::new().set(&format!("hatchery:{setting}"), value);
        cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
        let world = bed.engine.observe().await.unwrap();
        assert_eq!(counts(&bed), [1 + reads; 3], "{setting}");
        match setting {
            "source-database" => assert_eq!(world.snapshot, Ok(None)),
            "image-tag" => assert_eq!(world.image, Ok(None)),
            "subnets" => assert_eq!(world.subnets.unwrap().len(), 1),
            _ => assert_eq!(world.fleet.policy.ttl, Duration::from_hours(3)),
        }
        // Then the new sources are cached.
        assert_eq!(observe(&bed).await, [1 + reads; 3], "{setting}");
    });
}
