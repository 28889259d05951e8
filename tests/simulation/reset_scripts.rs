//! Resets as scripts: a crash or a loss at each point of the protocol, and what engines make of it.

use std::time::Duration;

use hatchery::cloud::sim::{Intervention, Scenario};
use hatchery::domain::tags::{key, role};
use hatchery::domain::{
    DatabaseId, Deployment, EnvironmentId, ErrorClass, NewRecord, Number, Outcome, Purpose, Replaces,
    Rollout, TagChanges, Tags,
};
use hatchery::engine::Launched;
use hatchery::failure::Kind;

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, checkout, error};

/// A test bed with a ready environment and this many free databases.
async fn ready(spare: &str) -> (TestBed, Launched) {
    let policy = [("spare".to_owned(), spare.to_owned())].into();
    let bed = TestBed::with_scenario(Scenario { free: 1, policy, ..Scenario::default() });
    let launched = bed.engine.launch(&checkout()).await.unwrap();
    bed.run_other_engine(60).await;
    (bed, launched)
}

impl TestBed {
    /// Returns the database that the record of an environment and its instance name, if it is the same.
    fn used(&self, environment: &EnvironmentId) -> Option<String> {
        let named = self.record(environment)?.get(key::DATABASE).cloned();
        let instances = self.active_instances();
        let told = instances.iter().find(|(_, tags)| tags[key::ENVIRONMENT] == environment.to_string());
        assert_eq!(named.as_ref(), told?.1.get(key::DATABASE), "record and instance name one database");
        named
    }

    /// Returns the tags of the replacements.
    fn replacements(&self) -> Vec<Tags> {
        let all = self.records().into_iter().filter_map(|environment| self.record(&environment));
        all.filter(|tags| tags[key::ROLE] == role::REPLACEMENT).collect()
    }

    /// Returns the identifiers of the fleet's claimed databases.
    fn claimed(&self) -> Vec<String> {
        self.sim.inspect(|state| {
            let own = state.databases().filter(|(id, own)| {
                id.starts_with("hatchery-dev-") && own.tags.contains_key(key::ENVIRONMENT)
            });
            own.map(|(id, _)| id.to_owned()).collect()
        })
    }

    /// Terminates the environment, and asserts that nothing of it is left an hour later.
    async fn assert_ends(&self, launched: &Launched) {
        self.engine.terminate(&launched.environment).await.unwrap();
        self.run_other_engine(60).await;
        assert_eq!((self.records(), self.active_instances(), self.claimed()), (vec![], vec![], vec![]));
    }

    /// Asserts that an environment uses another database than at first, which is gone, and no other.
    fn assert_has_new_database(&self, launched: &Launched) {
        let used = self.used(&launched.environment).expect("a database");
        assert_ne!(used, launched.database.to_string());
        assert_eq!(self.claimed(), [used]);
        assert_eq!(self.replacements().len(), 1);
    }
}

#[test]
fn reset_switches_to_a_free_database_at_once() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        assert!(reset.switched);
        assert_eq!(reset.replaces, launched.database);
        assert_eq!(bed.used(&launched.environment), Some(reset.database.to_string()));
        // The old one stays until the instance uses the new one.
        bed.run_other_engine(1).await;
        assert_eq!(bed.claimed().len(), 2);
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
        let event = bed.audit("reset").remove(0);
        assert_eq!((event.outcome, event.who.raw()), (Outcome::Done, "amy"));
        assert_eq!(event.target.raw(), launched.environment.to_string());
        bed.assert_ends(&launched).await;
    });
}

#[test]
fn reset_without_a_free_database_restores_one() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        assert!(!reset.switched);
        bed.run_other_engine(5).await;
        assert_eq!(bed.used(&launched.environment), Some(launched.database.to_string()));
        bed.run_other_engine(60).await;
        bed.assert_has_new_database(&launched);
        bed.assert_ends(&launched).await;
    });
}

#[test]
fn second_reset_replaces_the_replacement() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        let second = bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        bed.assert_has_new_database(&launched);
        assert_eq!(bed.used(&launched.environment), Some(second.database.to_string()));
        bed.assert_ends(&launched).await;
    });
}

#[test]
fn reset_in_progress_refuses_another() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        bed.engine.reset(&launched.environment).await.unwrap();
        let failure = bed.other_engine().reset(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("a reset is in progress since"), "{failure}");
        assert_eq!(bed.replacements().len(), 1);
    });
}

#[test]
fn of_two_resets_at_once_one_stays() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        let other = bed.other_engine();
        let both =
            futures::join!(bed.engine.reset(&launched.environment), other.reset(&launched.environment));
        assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
        bed.run_other_engine(90).await;
        bed.assert_has_new_database(&launched);
        bed.assert_ends(&launched).await;
    });
}

/// The client crashes right after the record.
#[test]
fn engines_finish_a_reset_of_which_only_the_record_exists() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        bed.replacement(&launched, Number(40)).await;
        bed.run_other_engine(60).await;
        bed.assert_has_new_database(&launched);
        bed.assert_ends(&launched).await;
    });
}

/// The process dies between the two writes of the switch.
#[test]
fn engines_tell_the_instance_what_only_the_record_says() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        bed.script.fail("tag instance", ALWAYS, error(ErrorClass::Transient));
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        assert!(reset.switched);
        let (_, tags) = bed.active_instances().remove(0);
        assert_eq!(tags[key::DATABASE], launched.database.to_string());
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
    });
}

#[test]
fn termination_right_after_the_request_leaves_nothing() {
    on_paused_time(async {
        for spare in ["0", "1"] {
            let (bed, launched) = ready(spare).await;
            bed.engine.reset(&launched.environment).await.unwrap();
            bed.assert_ends(&launched).await;
        }
    });
}

#[test]
fn termination_during_the_restore_leaves_nothing() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(8).await;
        bed.assert_ends(&launched).await;
    });
}

#[test]
fn record_deleted_by_hand_ends_its_replacement() {
    on_paused_time(async {
        for minutes in [5, 60] {
            let (bed, launched) = ready("0").await;
            bed.engine.reset(&launched.environment).await.unwrap();
            bed.run_other_engine(minutes).await;
            bed.caller().delete_record(&launched.record).await.unwrap();
            bed.run_other_engine(90).await;
            assert_eq!((bed.records(), bed.active_instances(), bed.claimed()), (vec![], vec![], vec![]));
        }
    });
}

/// The environment goes on with the database of a replacement whose record is gone, and both end together.
#[test]
fn replacement_deleted_by_hand_keeps_the_database_in_use() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        bed.caller().delete_record(&reset.record).await.unwrap();
        bed.run_other_engine(60).await;
        assert_eq!(bed.used(&launched.environment), Some(reset.database.to_string()));
        assert_eq!(bed.claimed(), [reset.database.to_string()]);
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::FAILURE));
        bed.engine.terminate(&launched.environment).await.unwrap();
        bed.run_other_engine(120).await;
        assert_eq!((bed.records(), bed.active_instances(), bed.claimed()), (vec![], vec![], vec![]));
    });
}

#[test]
fn failed_restore_keeps_the_old_database() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(2).await;
        assert!(
            bed.sim.intervene("operator", &Intervention::SetStatus(reset.database.to_string(), "failed"))
        );
        bed.run_other_engine(1).await;
        let record = bed.replacements().remove(0);
        assert!(record[key::FAILURE].contains("is failed"), "{record:?}");
        bed.run_other_engine(60).await;
        assert_eq!(bed.used(&launched.environment), Some(launched.database.to_string()));
        assert_eq!(bed.claimed(), [launched.database.to_string()]);
        assert_eq!(bed.replacements(), Vec::<Tags>::new());
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        bed.assert_has_new_database(&launched);
    });
}

/// An engine ends a replacement while another one switches to it.
#[test]
fn replacement_in_use_does_not_end() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        let changes = TagChanges::new().set(key::TERMINATE, "2026-03-02T09:00:00Z engine@late");
        bed.tag_record(&reset.record, &changes).await;
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
        assert!(!bed.replacements()[0].contains_key(key::TERMINATE));
        bed.assert_ends(&launched).await;
    });
}

#[test]
fn old_database_stays_until_the_instance_uses_the_new_one() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let (instance, _) = bed.active_instances().remove(0);
        bed.engine.reset(&launched.environment).await.unwrap();
        // A stopped instance does not answer.
        assert!(bed.sim.intervene("operator", &Intervention::Stop(instance)));
        bed.run_other_engine(58).await;
        assert_eq!(bed.claimed().len(), 2);
        bed.run_other_engine(20).await;
        bed.assert_has_new_database(&launched);
    });
}

#[test]
fn environment_that_is_not_ready_is_not_reset() {
    on_paused_time(async {
        let bed = TestBed::new();
        let launched = bed.launch().await.unwrap();
        let failure = bed.engine.reset(&launched.environment).await.unwrap_err();
        assert_eq!((failure.kind, failure.message.contains("not ready")), (Kind::Refused, true));
        bed.run_other_engine(60).await;
        let (instance, _) = bed.active_instances().remove(0);
        assert!(bed.sim.intervene("operator", &Intervention::Tag(instance, key::ROLLOUT.into(), None)));
        let failure = bed.engine.reset(&launched.environment).await.unwrap_err();
        assert!(failure.message.contains("bootstrap is too old"), "{failure}");
        bed.engine.terminate(&launched.environment).await.unwrap();
        let failure = bed.engine.reset(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
        assert_eq!(bed.replacements(), Vec::<Tags>::new());
    });
}

#[test]
fn paused_fleet_refuses_resets() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let paused = TagChanges::new().set("hatchery:paused", "true");
        cloud.tag_fleet(&fleet.template, &paused).await.unwrap();
        let failure = bed.engine.reset(&launched.environment).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert_eq!(bed.replacements(), Vec::<Tags>::new());
    });
}

#[test]
fn environment_with_a_broken_database_is_reset() {
    on_paused_time(async {
        let (bed, launched) = ready("0").await;
        let broken = Intervention::SetStatus(launched.database.to_string(), "incompatible-parameters");
        assert!(bed.sim.intervene("operator", &broken));
        bed.run_other_engine(2).await;
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(60).await;
        bed.assert_has_new_database(&launched);
        assert!(!bed.record(&launched.environment).unwrap().contains_key(key::FAILURE));
    });
}

#[test]
fn extension_in_grace_finds_the_new_database() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(30).await;
        bed.tag_record(&launched.record, &TagChanges::expire_at(bed.clock.now())).await;
        bed.run_other_engine(2).await;
        bed.engine.extend(&launched.environment, Duration::from_hours(2)).await.unwrap();
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
    });
}

impl TestBed {
    /// Creates the record of a reset, as a client does that dies right after it.
    async fn replacement(&self, launched: &Launched, number: Number) -> DatabaseId {
        let cloud = self.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        let environment = dev().environment(number);
        let database = environment.database_id();
        let new = NewRecord {
            environment,
            owner: "amy".into(),
            created_at: self.clock.now(),
            claim: "c0ffee".into(),
            company_tags: fleet.policy.company_tags.clone(),
            purpose: Purpose::Replace(Replaces {
                record: launched.record.clone(),
                environment: launched.environment.clone(),
            }),
        };
        cloud.create_record(&fleet, &new).await.unwrap();
        database
    }
}

/// The advice that a refused extension gives.
#[test]
fn environment_without_its_database_gets_another_one() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        assert!(bed.sim.intervene("operator", &Intervention::Delete(launched.database.to_string())));
        bed.run_other_engine(8).await;
        let failure = bed.engine.extend(&launched.environment, Duration::from_hours(1)).await.unwrap_err();
        assert_eq!(failure.hint, "give it another one with: hatchery reset");
        bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
        bed.engine.extend(&launched.environment, Duration::from_hours(1)).await.unwrap();
        bed.assert_ends(&launched).await;
    });
}

/// A deployment that was requested before the reset is written after it. The instance had answered to it while it used the old database.
#[test]
fn late_deployment_keeps_the_old_database_in_use() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let answered = Rollout::parse(&bed.active_instances()[0].1[key::ROLLOUT]).unwrap();
        bed.engine.reset(&launched.environment).await.unwrap();
        assert_ne!(bed.used(&launched.environment).as_deref(), Some(launched.database.as_str()));
        let late = Deployment { at: answered.request, by: "amy".into() }.to_tag();
        let late = Intervention::Tag(launched.record.to_string(), key::DEPLOYMENT.into(), Some(late));
        assert!(bed.sim.intervene("operator", &late));
        bed.run_pass().await;
        assert_eq!(bed.database(&launched.environment).unwrap().status, "available");
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
    });
}

/// An operator deletes the record of the replacement, so that nothing says whose the database is.
#[test]
fn deployment_without_the_replacement_is_refused_with_a_reason() {
    on_paused_time(async {
        let (bed, launched) = ready("1").await;
        let reset = bed.engine.reset(&launched.environment).await.unwrap();
        bed.run_other_engine(30).await;
        bed.assert_has_new_database(&launched);
        let named = reset.record.to_string();
        assert!(bed.sim.intervene("operator", &Intervention::Delete(named)));
        let request = Deployment { at: bed.clock.now(), by: "amy".into() }.to_tag();
        let request = Intervention::Tag(launched.record.to_string(), key::DEPLOYMENT.into(), Some(request));
        assert!(bed.sim.intervene("operator", &request));
        let report = bed.engine.once(false).await.unwrap();
        let refused = report.refused.iter().find(|refusal| refusal.action == "mirror-deployment").unwrap();
        assert_eq!(refused.reason, "which database it uses is unknown");
    });
}
