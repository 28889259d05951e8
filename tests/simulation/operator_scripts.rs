//! Histories of the swarm as scripts: what people and AWS do to an account while an engine runs.

use std::time::Duration;

use hatchery::cloud::sim::{Intervention, Scenario, Strictness};
use hatchery::domain::tags::{key, role};
use hatchery::engine::Launched;
use rstest::rstest;

use crate::setup::{dev, on_paused_time};
use crate::test_bed::TestBed;

const OPERATOR: &str = "operator";

/// A test bed with this many free databases, which are two hours old, and the same target.
fn pool(free: u32) -> TestBed {
    TestBed::with_databases(free, [("spare", free.to_string().as_str())])
}

/// A test bed with a ready environment and a full pool.
async fn ready() -> (TestBed, Launched, String) {
    let bed = TestBed::new();
    let launched = bed.launch().await.unwrap();
    bed.run_other_engine(60).await;
    let (instance, tags) = bed.active_instances().remove(0);
    assert_eq!(tags[key::PHASE], "ready");
    (bed, launched, instance)
}

impl TestBed {
    fn by_hand(&self, change: &Intervention) {
        assert!(self.sim.intervene(OPERATOR, change), "{change:?}");
    }

    /// Returns the ids and statuses of the fleet's databases that are not claimed.
    fn unclaimed(&self) -> Vec<(String, String)> {
        self.sim.inspect(|state| {
            let own = state.databases().filter(|(id, own)| {
                id.starts_with("hatchery-dev-")
                    && own.tags.contains_key(key::FLEET)
                    && !own.tags.contains_key(key::ENVIRONMENT)
            });
            own.map(|(id, own)| (id.to_owned(), own.status.clone())).collect()
        })
    }

    fn free(&self) -> usize {
        self.unclaimed().iter().filter(|(_, status)| status == "available").count()
    }

    /// Asserts that an environment is neither given up nor ending, and that its instance and database live.
    fn assert_lives(&self, launched: &Launched) {
        let record = self.record(&launched.environment).expect("a record");
        for key in [key::FAILURE, key::TERMINATE, key::REAPING_SINCE] {
            assert!(!record.contains_key(key), "{record:?}");
        }
        assert!(!self.active_instances().is_empty(), "{record:?}");
        assert_ne!(self.database(&launched.environment).expect("a database").status, "deleting");
    }
}

#[test]
fn pool_stopped_for_the_night_survives() {
    on_paused_time(async {
        let bed = pool(5);
        bed.run_other_engine(5).await;
        let databases = bed.unclaimed();
        assert_eq!(databases.len(), 5);
        for (id, _) in &databases {
            bed.by_hand(&Intervention::Stop(id.clone()));
        }
        bed.run_other_engine(30).await;
        for (id, _) in &databases {
            // An engine may have started it already.
            let _ = bed.sim.intervene(OPERATOR, &Intervention::Start(id.clone()));
        }
        bed.run_other_engine(90).await;
        assert_eq!(bed.audit("note-failed-restore"), []);
        assert_eq!(bed.free(), 5);
    });
}

#[test]
fn free_database_in_maintenance_survives() {
    on_paused_time(async {
        let bed = pool(1);
        bed.run_other_engine(5).await;
        let (id, _) = bed.unclaimed().remove(0);
        bed.by_hand(&Intervention::SetStatus(id.clone(), "maintenance"));
        bed.run_pass().await;
        bed.by_hand(&Intervention::SetStatus(id.clone(), "available"));
        bed.run_other_engine(30).await;
        assert_eq!(bed.audit("note-failed-restore"), []);
        assert!(bed.unclaimed().contains(&(id, "available".to_owned())));
    });
}

#[test]
fn pool_passes_a_namesake_of_its_next_database() {
    on_paused_time(async {
        let bed = pool(2);
        bed.run_other_engine(5).await;
        bed.by_hand(&Intervention::CreateDatabase("hatchery-dev-8".into()));
        bed.launch().await.unwrap();
        bed.run_other_engine(60).await;
        assert_eq!(bed.free(), 2);
    });
}

#[test]
fn launch_passes_a_namesake_of_its_record() {
    on_paused_time(async {
        let bed = pool(0);
        bed.run_other_engine(5).await;
        bed.by_hand(&Intervention::CreateTemplate("hatchery/dev/6".into()));
        let launched = bed.launch().await.unwrap();
        assert_ne!(launched.environment, dev().environment(hatchery::domain::Number(6)));
        bed.run_other_engine(60).await;
        bed.assert_lives(&launched);
    });
}

#[test]
fn environment_survives_the_loss_of_its_record_role() {
    on_paused_time(async {
        let (bed, launched, _) = ready().await;
        let record = launched.record.to_string();
        bed.by_hand(&Intervention::Tag(record, key::ROLE.into(), None));
        bed.run_other_engine(60).await;
        bed.assert_lives(&launched);
    });
}

/// The record of a held database has the tags of an environment's, but for its role and its name.
#[rstest]
fn held_database_survives_the_loss_of_a_tag_of_its_record(#[values(key::FLEET, key::ROLE)] key: &str) {
    on_paused_time(async {
        let bed = pool(1);
        bed.run_other_engine(60).await;
        let number = bed.engine.observe().await.unwrap().databases.iter().next().unwrap().number;
        let id = dev().environment(number);
        bed.engine.hold_database(&id, Duration::from_hours(6), "slow restore").await.unwrap();
        let record = bed.engine.observe().await.unwrap().records.iter().next().unwrap().id.to_string();
        bed.by_hand(&Intervention::Tag(record, key.into(), None));
        bed.run_other_engine(180).await;
        assert_eq!(bed.database(&id).map(|database| database.status), Some("available".into()));
        assert_eq!(bed.record(&id).unwrap()[key::ROLE], role::RETIREMENT);
        assert_eq!(bed.audit("give-up"), []);
    });
}

#[test]
fn environment_survives_the_loss_of_its_instance_tags() {
    on_paused_time(async {
        let (bed, launched, instance) = ready().await;
        for key in [key::FLEET, key::ENVIRONMENT] {
            bed.by_hand(&Intervention::Tag(instance.clone(), key.into(), None));
        }
        bed.run_other_engine(60).await;
        bed.assert_lives(&launched);
    });
}

/// EC2's own tag, which no caller can remove, still tells which record an instance was launched from.
#[test]
fn environment_ends_with_its_instance_although_its_tags_are_lost() {
    on_paused_time(async {
        let (bed, launched, instance) = ready().await;
        bed.by_hand(&Intervention::Tag(launched.record.to_string(), key::INSTANCE.into(), None));
        bed.by_hand(&Intervention::Tag(instance, key::FLEET.into(), None));
        bed.engine.terminate(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        assert_eq!((bed.active_instances(), bed.record(&launched.environment)), (vec![], None));
    });
}

#[test]
fn shorter_extension_keeps_the_longer_one() {
    on_paused_time(async {
        let (bed, launched, _) = ready().await;
        let (other, environment) = (bed.other_engine(), launched.environment.clone());
        bed.script.before("tag record", async move {
            other.extend(&environment, Duration::from_hours(6)).await.expect("an extension");
        });
        let expires_at = launched.expires_at + Duration::from_hours(6);
        bed.engine.extend(&launched.environment, Duration::from_hours(1)).await.unwrap();
        assert!(bed.expiry(&launched.environment) >= Some(expires_at));
    });
}

#[test]
fn ready_environment_survives_a_repaired_parameter_group() {
    on_paused_time(async {
        let (bed, launched, _) = ready().await;
        let database = launched.database.to_string();
        bed.by_hand(&Intervention::SetStatus(database.clone(), "incompatible-parameters"));
        bed.run_other_engine(2).await;
        bed.by_hand(&Intervention::SetStatus(database, "available"));
        bed.run_other_engine(60).await;
        bed.assert_lives(&launched);
    });
}

#[test]
fn launch_waits_until_ec2_finds_its_record() {
    on_paused_time(async {
        let strictness = Strictness { write_lag: 8.0, ..Strictness::default() };
        let bed = TestBed::with_scenario(Scenario { free: 1, strictness, ..Scenario::default() });
        let launched = bed.launch().await.unwrap();
        bed.run_other_engine(10).await;
        bed.assert_lives(&launched);
    });
}
