//! What changes a few times a day is remembered, as long as the policy asks for the same.

use std::time::Duration;

use hatchery::domain::{ErrorClass, TagChanges};

use crate::account::{dev, on_paused_time};
use crate::script::{Stage, error};

const SOURCES: [&str; 3] = ["latest snapshot", "latest image", "subnets"];

fn asked(stage: &Stage) -> [usize; 3] {
    SOURCES.map(|operation| stage.script.calls(operation))
}

async fn look(stage: &Stage) -> [usize; 3] {
    stage.engine.observe().await.expect("a fleet");
    asked(stage)
}

#[test]
fn sources_are_asked_for_every_quarter_of_an_hour() {
    on_paused_time(async {
        let stage = Stage::new();
        assert_eq!(look(&stage).await, [1; 3]);
        stage.clock.sleep(Duration::from_secs(15 * 60 - 1)).await;
        assert_eq!(look(&stage).await, [1; 3]);
        stage.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(look(&stage).await, [2; 3]);
        // A pass by itself looks at everything anew.
        stage.pass().await;
        assert_eq!(asked(&stage), [3; 3]);
    });
}

#[test]
fn what_could_not_be_read_is_asked_for_again() {
    for operation in SOURCES {
        on_paused_time(async {
            let stage = Stage::new();
            stage.script.refuse(operation, 1, error(ErrorClass::Throttled));
            assert_eq!(look(&stage).await, [1; 3]);
            assert_eq!(look(&stage).await, [2; 3]);
            assert_eq!(look(&stage).await, [2; 3]);
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
            let stage = Stage::new();
            assert_eq!(look(&stage).await, [1; 3]);
            let cloud = stage.caller();
            let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
            let changes = TagChanges::new().set(&format!("hatchery:{setting}"), value);
            cloud.tag_fleet(&fleet.template, &changes).await.unwrap();
            let world = stage.engine.observe().await.unwrap();
            assert_eq!(asked(&stage), [1 + again; 3], "{setting}");
            match setting {
                "source-database" => assert_eq!(world.snapshot, Ok(None)),
                "image-tag" => assert_eq!(world.image, Ok(None)),
                "subnets" => assert_eq!(world.subnets.unwrap().len(), 1),
                _ => assert_eq!(world.fleet.policy.ttl, Duration::from_hours(3)),
            }
            // From then on these are the remembered ones.
            assert_eq!(look(&stage).await, [1 + again; 3], "{setting}");
        });
    }
}
