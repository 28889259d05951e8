//! Reaping: in two sweeps, in a fixed order, and never of an environment that was extended or used meanwhile.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use hatchery::cloud::LogQuery;
use hatchery::domain::tags::{key, role};
use hatchery::domain::{ErrorClass, Outcome, TagChanges};

use crate::engine_loop::{options, run};
use crate::setup::on_paused_time;
use crate::steps::{
    HOUR, bed, claim_only, done, ending, extension, launch_again, marked, restore_database, skipped,
};
use crate::test_bed::{TestBed, checkout, error};

#[test]
fn reaping_follows_its_order() {
    on_paused_time(async {
        let (bed, launched) = marked().await;
        let tags = bed.record(&launched.environment).unwrap();
        assert_eq!(tags[key::REAPING_SINCE], "2026-03-02T09:01:00Z");
        bed.clock.sleep(Duration::from_mins(15)).await;
        assert_eq!(bed.run_pass().await, [done("delete-database"), done("terminate-instance")]);
        assert_eq!(bed.run_pass().await, [], "both are still ending");
        bed.clock.sleep(Duration::from_mins(8)).await;
        assert_eq!(bed.run_pass().await, [done("delete-record")]);
        assert_eq!((bed.records().len(), bed.active_instances().len()), (0, 0));
        assert!(bed.database(&launched.environment).is_none());
        let events = bed.audit("terminate-instance");
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].who.raw(), events[0].outcome), ("engine@amy", Outcome::Done));
        assert_eq!(events[0].reason, "it expired and its grace is over");
    });
}

/// Only an extension keeps an environment: neither an open dashboard, nor the log of the environment, nor a command that reads it.
#[test]
fn watching_keeps_no_environment() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "1h"), ("grace", "15m")]);
        let launched = bed.launch().await.unwrap();
        let (handle, _events) = run(&bed, options());
        let (fleet, since) = (launched.environment.fleet.clone(), bed.clock.now());
        let query = LogQuery { fleet, record: launched.record.clone(), source: None, since };
        let cloud = bed.caller();
        let mut log = cloud.follow(query.clone(), 1_000_000);
        for _ in 0..70 {
            handle.focus(true);
            handle.refresh();
            bed.engine.observe().await.unwrap();
            cloud.logs(&query).await.unwrap();
            while log.next().now_or_never().flatten().is_some() {}
            bed.clock.sleep(Duration::from_mins(1)).await;
            assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at));
        }
        bed.clock.sleep(Duration::from_mins(30)).await;
        assert_eq!((bed.records(), bed.active_instances()), (Vec::new(), Vec::new()));
    });
}

#[test]
fn extended_environment_is_not_reaped() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.clock.sleep(Duration::from_mins(21)).await;
        bed.tag_before("record", &launched.record, extension(&bed));
        assert_eq!(bed.run_pass().await, [skipped("mark-reaping", "it is already marked, or was extended")]);
        assert!(bed.audit("mark-reaping").is_empty(), "skipped steps are not logged");
    });
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.clock.sleep(Duration::from_mins(21)).await;
        bed.tag_before("record", &launched.record, TagChanges::reaping_since(bed.clock.now()));
        assert_eq!(bed.run_pass().await, [skipped("mark-reaping", "it is already marked, or was extended")]);
    });
    on_paused_time(async {
        let (bed, launched) = marked().await;
        bed.clock.sleep(Duration::from_mins(15)).await;
        bed.tag_before("record", &launched.record, extension(&bed));
        let (a, b) = ("delete-database", "terminate-instance");
        assert_eq!(bed.run_pass().await, [skipped(a, "it was extended"), skipped(b, "it was extended")]);
    });
    on_paused_time(async {
        let (bed, launched) = marked().await;
        bed.tag_record(&launched.record, &TagChanges::expire_at(bed.clock.now() + HOUR)).await;
        bed.tag_before("record", &launched.record, TagChanges::new().remove(key::REAPING_SINCE));
        let why = "it is not marked, or has expired";
        assert_eq!(bed.run_pass().await, [done("mirror-expiry"), skipped("unmark-reaping", why)]);
        bed.tag_record(&launched.record, &TagChanges::reaping_since(bed.clock.now())).await;
        assert_eq!(bed.run_pass().await, [done("unmark-reaping")]);
    });
}

#[test]
fn change_needs_a_read_of_the_last_5_seconds() {
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.delay("terminate", 6);
        bed.delay("delete database", 4);
        let late = "TerminateInstances: no response within 5 s of the last read (NoResponse)".to_owned();
        let expected = [done("delete-database"), ("terminate-instance", Outcome::Unknown, late)];
        assert_eq!(bed.run_pass().await, expected);
    });
    on_paused_time(async {
        let (bed, _) = ending().await;
        bed.run_other_engine(10).await;
        assert_eq!(bed.records(), []);
    });
    on_paused_time(async {
        let (bed, launched) = ending().await;
        assert_eq!(bed.run_pass().await.len(), 2);
        bed.clock.sleep(Duration::from_mins(8)).await;
        bed.delay("instances of", 3);
        bed.delay("database", 3);
        let why = "the last read is too old; the next pass reads again";
        assert_eq!(bed.run_pass().await, [skipped("delete-record", why)]);
        bed.delay("instances of", 2);
        bed.delay("database", 2);
        assert_eq!(bed.run_pass().await, [done("delete-record")]);
        assert!(bed.record(&launched.environment).is_none());
    });
}

#[test]
fn record_is_deleted_last() {
    on_paused_time(async {
        let (bed, launched) = ending().await;
        assert_eq!(bed.run_pass().await.len(), 2);
        bed.clock.sleep(Duration::from_mins(8)).await;
        // A delayed launch succeeds now, and is not in this engine's listing yet.
        let (cloud, record) = (bed.caller(), launched.record.clone());
        bed.script.before("record", async move {
            launch_again(&cloud, record, 7).await;
        });
        assert_eq!(bed.run_pass().await, [skipped("delete-record", "its instance still exists")]);
    });
    on_paused_time(async {
        let (bed, launched) = ending().await;
        assert_eq!(bed.run_pass().await.len(), 2);
        bed.clock.sleep(Duration::from_mins(8)).await;
        bed.tag_before("record", &launched.record, TagChanges::new().remove(key::TERMINATE));
        assert_eq!(bed.run_pass().await, [skipped("delete-record", "it was extended")]);
    });
}

#[test]
fn unused_database_returns_to_the_pool() {
    let unbound = async || {
        let bed = TestBed::new();
        claim_only(&bed, "tag database").await;
        let environment = bed.records().remove(0);
        bed.other_engine().terminate(&environment).await.unwrap();
        bed.clock.sleep(Duration::from_mins(5)).await;
        let record = bed.caller().find_record(&environment).await.unwrap().value.unwrap().id;
        (bed, environment, record)
    };
    let kept = skipped("delete-record", "its database still exists");
    on_paused_time(async {
        let (bed, environment, _) = unbound().await;
        assert_eq!(bed.run_pass().await[0], done("delete-record"));
        assert_eq!(bed.records(), []);
        assert_eq!(bed.database(&environment).unwrap().status, "available");
    });
    // An instance may have used the database nevertheless.
    on_paused_time(async {
        let (bed, environment, _) = unbound().await;
        let cloud = bed.caller();
        bed.script.before("database", async move {
            let changes = TagChanges::new().set(key::ENVIRONMENT, environment.to_string());
            cloud.tag_database(&environment.database_id(), &changes).await.unwrap();
        });
        assert_eq!(bed.run_pass().await[0], kept);
    });
    on_paused_time(async {
        let (bed, _, record) = unbound().await;
        bed.tag_before("record", &record, TagChanges::new().set(key::INSTANCE, "i-0"));
        assert_eq!(bed.run_pass().await[0], kept);
    });
    on_paused_time(async {
        let (bed, _, record) = unbound().await;
        let (cloud, clock) = (bed.caller(), bed.clock.clone());
        bed.script.before("record", async move {
            let id = launch_again(&cloud, record, 0).await;
            cloud.terminate_instance(&id).await.unwrap();
            clock.sleep(Duration::from_mins(2)).await;
        });
        assert_eq!(bed.run_pass().await[0], kept);
    });
}

#[test]
fn retirement_outlives_its_database() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let cloud = bed.caller();
        cloud.terminate_instance(&launched.instance.unwrap()).await.unwrap();
        cloud.delete_record(&launched.record).await.unwrap();
        bed.run_other_engine(13).await;
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ROLE], role::RETIREMENT);
        bed.clock.sleep(Duration::from_mins(7)).await;
        let cloud = bed.caller();
        bed.script.before("database", async move {
            restore_database(&cloud, 6, false).await;
        });
        assert_eq!(bed.run_pass().await, [skipped("delete-record", "its database still exists")]);
    });
}

#[test]
fn database_of_another_environment_is_kept() {
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let (cloud, database) = (bed.caller(), launched.database.clone());
        bed.script.before("database", async move {
            let changes = TagChanges::new().set(key::ENVIRONMENT, "dev-999");
            cloud.tag_database(&database, &changes).await.expect("tags");
        });
        let steps = bed.run_pass().await;
        assert_eq!(steps[0], skipped("delete-database", "its tag names another environment"));
    });
    on_paused_time(async {
        let (bed, launched) = ending().await;
        let (cloud, clock, database) = (bed.caller(), bed.clock.clone(), launched.database.clone());
        bed.script.before("database", async move {
            cloud.delete_database(&database).await.expect("deleted");
            clock.sleep(Duration::from_mins(8)).await;
        });
        assert_eq!(bed.run_pass().await[0], skipped("delete-database", "it is gone"));
    });
}

#[test]
fn later_of_two_instances_is_terminated() {
    let doubled = async || {
        let (bed, launched) = bed().await;
        let second = launch_again(&bed.caller(), launched.record.clone(), 7).await;
        (bed, launched, second)
    };
    on_paused_time(async {
        let (bed, launched, second) = doubled().await;
        assert_eq!(bed.run_pass().await, [done("terminate-instance")]);
        let alive: Vec<_> = bed.active_instances().into_iter().map(|(id, _)| id).collect();
        assert_eq!(alive, [launched.instance.unwrap().to_string()]);
        assert_eq!(bed.audit("terminate-instance")[0].target, second.to_string());
    });
    on_paused_time(async {
        let (bed, launched, second) = doubled().await;
        let (cloud, first) = (bed.caller(), launched.instance.unwrap());
        bed.script.before("instances of", async move { cloud.terminate_instance(&first).await.unwrap() });
        assert_eq!(
            bed.run_pass().await[0],
            skipped("terminate-instance", "it is the record's only or oldest instance now")
        );
        assert_eq!(bed.active_instances().remove(0).0, second.to_string());
    });
    on_paused_time(async {
        let (bed, launched, _) = doubled().await;
        let (cloud, record) = (bed.caller(), launched.record.clone());
        bed.script.before("record", async move { cloud.delete_record(&record).await.unwrap() });
        assert_eq!(bed.run_pass().await[0], skipped("terminate-instance", "its record is gone"));
        assert_eq!(bed.active_instances().len(), 2);
    });
}

#[test]
fn orphans_are_marked_and_ended_later() {
    let orphaned = async || {
        let (bed, launched) = bed().await;
        bed.caller().delete_record(&launched.record).await.unwrap();
        assert_eq!(bed.run_pass().await, [done("mark-orphan"), done("mark-orphan")]);
        bed.clock.sleep(Duration::from_mins(9)).await;
        assert_eq!(bed.run_pass().await, []);
        bed.clock.sleep(Duration::from_mins(1)).await;
        (bed, launched)
    };
    on_paused_time(async {
        let (bed, launched) = orphaned().await;
        assert_eq!(bed.run_pass().await, [done("retire-database"), done("terminate-instance")]);
        assert_eq!(bed.active_instances(), []);
        assert_eq!(bed.record(&launched.environment).unwrap()[key::ROLE], role::RETIREMENT);
        // The retirement holds the claim now.
        assert_eq!(bed.run_pass().await, [done("unmark-orphan"), done("delete-database")]);
        bed.run_other_engine(10).await;
        assert_eq!((bed.records().len(), bed.database(&launched.environment).is_none()), (0, true));
        let reason = "it is claimed but has had no record for ten minutes";
        assert_eq!(bed.audit("retire-database")[0].reason, reason);
        assert_eq!(bed.audit("delete-database")[0].reason, reason);
    });
    on_paused_time(async {
        let (bed, launched) = orphaned().await;
        let (cloud, instance) = (bed.caller(), launched.instance.clone().unwrap());
        bed.script.before("instance", async move {
            let changes = TagChanges::new().remove(key::ORPHAN_SINCE);
            cloud.tag_instance(&instance, &changes).await.unwrap();
        });
        let (cloud, database) = (bed.caller(), launched.database.clone());
        bed.script.before("database", async move {
            let changes = TagChanges::new().remove(key::ORPHAN_SINCE);
            cloud.tag_database(&database, &changes).await.unwrap();
        });
        let kept = [
            skipped("retire-database", "it was claimed meanwhile"),
            skipped("terminate-instance", "it is gone, or no longer marked"),
        ];
        assert_eq!(bed.run_pass().await, kept);
        assert_eq!(bed.active_instances().len(), 1);
    });
}

#[test]
fn only_unclaimed_databases_are_retired() {
    let retire = "retire-database";
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "0")]);
        assert_eq!(bed.run_pass().await, [done(retire)]);
        assert_eq!(bed.run_pass().await, [done("delete-database")]);
    });
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "0")]);
        let other = bed.other_engine();
        bed.script.before("create record", async move {
            other.launch(&checkout()).await.unwrap();
        });
        assert_eq!(bed.run_pass().await, [skipped(retire, "it was claimed meanwhile")]);
    });
    on_paused_time(async {
        let bed = TestBed::with_policy([("spare", "0")]);
        bed.script.fail("create record", 1, error(ErrorClass::Auth));
        let why = "Operation: hatchery-dev-6: injected error (Code)".to_owned();
        assert_eq!(bed.run_pass().await, [(retire, Outcome::Failed, why)]);
    });
}
