//! A claim that takes effect long after it was sent, when its record is gone and another one has the number.

use std::time::Duration;

use hatchery::cloud::sim::Intervention;
use hatchery::domain::tags::key;
use hatchery::engine::Launched;

use crate::setup::{dev, on_paused_time};
use crate::test_bed::TestBed;

/// A test bed with an environment whose database names the record of an earlier one.
async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with_policy([("grace", "5m")]);
    let launched = bed.launch().await.unwrap();
    bed.run_other_engine(15).await;
    let late = Intervention::Tag(
        launched.database.to_string(),
        key::RECORD.into(),
        Some("lt-0000000000000dead".to_owned()),
    );
    assert!(bed.sim.intervene("operator", &late));
    (bed, launched)
}

#[test]
fn late_claim_is_corrected() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.run_other_engine(3).await;
        let database = bed.database(&launched.environment).unwrap();
        assert_eq!(database.tags[key::RECORD], launched.record.to_string());
    });
}

#[test]
fn environment_ends_in_spite_of_a_late_claim() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.engine.terminate(&launched.environment).await.unwrap();
        bed.run_other_engine(30).await;
        assert!(bed.record(&launched.environment).is_none());
        assert!(bed.database(&launched.environment).is_none());
        assert_eq!(bed.active_instances(), []);
    });
}

/// The engine has listed the record before it was deleted, and reads the database after its next claim.
#[test]
fn database_of_a_later_environment_is_kept() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.engine.terminate(&launched.environment).await.unwrap();
        let read = bed.caller().record(&dev(), &launched.record).await.unwrap().value;
        let delete = Intervention::Delete(launched.record.to_string());
        let (sim, script) = (bed.sim.clone(), bed.script.clone());
        bed.script.before("database", async move {
            assert!(sim.intervene("operator", &delete));
            script.lag(1, read);
        });
        let (script, clock) = (bed.script.clone(), bed.clock.clone());
        tokio::spawn(async move {
            // Reads lag by up to ten seconds.
            clock.sleep(Duration::from_secs(9)).await;
            script.lag(0, None);
        });
        bed.run_pass().await;
        assert_eq!(bed.database(&launched.environment).unwrap().status, "available");
    });
}
