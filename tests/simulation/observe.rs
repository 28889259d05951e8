//! What changes a few times a day is remembered, as long as the policy asks for the same.

use std::time::Duration;

use hatchery::domain::{ErrorClass, TagChanges};

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{TestBed, error};

const SOURCES: [&str; 3] = ["latest snapshot", "latest image", "subnets"];

fn asked(bed: &TestBed) -> [usize; 3] {
    SOURCES.map(|operation| bed.script.calls(operation))
}

async fn look(bed: &TestBed) -> [usize; 3] {
    bed.engine.observe().await.expect("a fleet");
    asked(bed)
}

#[test]
fn sources_are_asked_for_every_quarter_of_an_hour() {
    on_paused_time(async {
        let bed = TestBed::new();
        assert_eq!(look(&bed).await, [1; 3]);
        bed.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!(look(&bed).await, [1; 3]);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(look(&bed).await, [2; 3]);
        // A pass by itself looks at everything anew.
        bed.pass().await;
        assert_eq!(asked(&bed), [3; 3]);
    });
}

#[test]
fn what_could_not_be_read_is_asked_for_again() {
    for operation in SOURCES {
        on_paused_time(async {
            let bed = TestBed::new();
            bed.script.refuse(operation, 1, error(ErrorClass::Throttled));
            assert_eq!(look(&bed).await, [1; 3]);
            assert_eq!(look(&bed).await, [2; 3]);
            assert_eq!(look(&bed).await, [2; 3]);
        });
    }
}

#[test]
fn another_policy_asks_for_other_sources() {
    for (setting, value, again) in [
        ("source-database", "other", 1),
        ("image-tag", "other", 1),
        ("subnets", "subnet-0b", 1),
        ("ttl", "3h", 0),
    ] {
        on_paused_time(async {
            let bed = TestBed::new();
            assert_eq!(look(&bed).await, [1; 3]);
            let cloud = bed.caller();
            let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
            let changes = TagChanges::new().set(&format!("hatchery:{setting}"), value);
            cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
            let world = bed.engine.observe().await.unwrap();
            assert_eq!(asked(&bed), [1 + again; 3], "{setting}");
            match setting {
                "source-database" => assert_eq!(world.snapshot, Ok(None)),
                "image-tag" => assert_eq!(world.image, Ok(None)),
                "subnets" => assert_eq!(world.subnets.unwrap().len(), 1),
                _ => assert_eq!(world.fleet.policy.ttl, Duration::from_hours(3)),
            }
            // From then on these are the remembered ones.
            assert_eq!(look(&bed).await, [1 + again; 3], "{setting}");
        });
    }
}
