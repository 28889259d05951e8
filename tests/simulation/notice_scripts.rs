//! Notices call by call: failures, takeovers, and what a paused fleet tells.

use std::time::Duration;

use hatchery::cloud::sim::Delivery;
use hatchery::domain::{ErrorClass, Outcome, TagChanges, health};

use crate::setup::{dev, on_paused_time};
use crate::test_bed::{TestBed, error};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:news";

/// An account with a ready environment of which nothing was told yet.
async fn ready_bed() -> TestBed {
    let bed = TestBed::with_policy([("notify", TOPIC), ("spare", "0")]);
    bed.launch().await.expect("a launch");
    bed.clock.sleep(Duration::from_mins(8)).await;
    bed
}

/// The outcome and the detail of the notices of one pass that were not left to other engines.
async fn told(bed: &TestBed) -> Vec<(Outcome, String)> {
    let steps = bed.run_pass().await.into_iter();
    let notices =
        steps.filter(|(action, outcome, _)| *action == "send-notice" && *outcome != Outcome::Skipped);
    notices.map(|(_, outcome, detail)| (outcome, detail)).collect()
}

/// The notices that were sent, without their record.
fn sent(bed: &TestBed) -> Vec<String> {
    bed.sim.inspect(|state| {
        let names = state.sent_notices().iter().map(|sent| sent.message.id.as_str());
        names.map(|name| name.split_once('/').unwrap().1.to_owned()).collect()
    })
}

#[test]
fn notice_is_sent_once_and_logged() {
    on_paused_time(async {
        let bed = ready_bed().await;
        assert_eq!(told(&bed).await, [(Outcome::Done, String::new())]);
        assert_eq!((told(&bed).await, sent(&bed)), (vec![], vec!["ready".to_owned()]));
        let logged = bed.audit("send-notice");
        assert_eq!((logged.len(), logged[0].summary().as_str()), (1, "sent notice"));
        let id = bed.records()[0].to_string();
        assert_eq!((logged[0].target.raw(), logged[0].reason.raw()), (id.as_str(), "checkout is ready"));
    });
}

#[test]
fn sent_notice_whose_tag_is_lost_is_not_repeated() {
    on_paused_time(async {
        let bed = ready_bed().await;
        bed.script.fail("tag record", 1, error(ErrorClass::Throttled));
        assert_eq!(told(&bed).await[0].0, Outcome::Done);
        bed.clock.sleep(Duration::from_mins(3)).await;
        // The claims tell it, and the tag is written again.
        assert_eq!(told(&bed).await, []);
        assert_eq!(bed.script.count("notice claims"), 1);
        assert_eq!(told(&bed).await, []);
        assert_eq!((bed.script.count("notice claims"), sent(&bed).len()), (1, 1));
    });
}

#[test]
fn abandoned_claim_is_taken_over() {
    on_paused_time(async {
        let bed = ready_bed().await;
        // The engine that made it is gone.
        let record = bed.caller().find_record(&bed.records()[0]).await.unwrap();
        let id = record.value.unwrap().id;
        bed.caller().claim_notice(&dev(), &format!("{id}/ready/1")).await.unwrap();
        assert_eq!((told(&bed).await, sent(&bed).len()), (vec![], 0));
        bed.clock.sleep(Duration::from_mins(2)).await;
        assert_eq!((told(&bed).await[0].0, sent(&bed).len()), (Outcome::Done, 1));
    });
}

#[test]
fn slow_engine_leaves_the_notice_to_others() {
    on_paused_time(async {
        let bed = ready_bed().await;
        bed.delay("send notice", 3_600);
        assert_eq!(told(&bed).await[0].0, Outcome::Unknown);
        bed.clock.sleep(Duration::from_mins(3)).await;
        assert_eq!(told(&bed).await[0].0, Outcome::Done);
        assert_eq!(sent(&bed), ["ready"]);
    });
}

#[test]
fn missing_topic_is_asked_more_and_more_rarely() {
    on_paused_time(async {
        let bed = ready_bed().await;
        bed.sim.set_delivery(Delivery::Gone);
        let mut tries = Vec::new();
        for minute in 0..16 {
            if let [(outcome, detail)] = &told(&bed).await[..] {
                assert_eq!(
                    (*outcome, detail.as_str()),
                    (Outcome::Failed, "Publish: Topic does not exist (NotFound)")
                );
                tries.push(minute);
            }
            bed.clock.sleep(Duration::from_mins(1)).await;
        }
        assert_eq!(tries, [0, 1, 3, 7, 15]);
        let world = bed.engine.observe().await.unwrap();
        let verdicts = health::verdicts(&world, world.now().unwrap());
        let verdict = verdicts.iter().find(|verdict| verdict.code == "notice-failed").unwrap();
        assert!(verdict.message.contains("was not sent: Publish: Topic does not exist"), "{verdict:?}");
        bed.sim.set_delivery(Delivery::Works);
        bed.clock.sleep(Duration::from_mins(16)).await;
        assert_eq!(told(&bed).await[0].0, Outcome::Done);
        assert_eq!(bed.caller().fleet(&dev()).await.unwrap().unwrap().failed_notice, None);
        assert_eq!(sent(&bed), ["ready"]);
    });
}

#[test]
fn engine_without_permission_delays_no_other() {
    on_paused_time(async {
        let bed = ready_bed().await;
        bed.script.fail("send notice", 1, error(ErrorClass::Auth));
        assert_eq!(told(&bed).await[0].0, Outcome::Failed);
        let failed = bed.caller().fleet(&dev()).await.unwrap().unwrap().failed_notice.unwrap();
        assert_eq!(failed.action, "permit-notice");
        let report = bed.other_engine().once(false).await.unwrap();
        assert!(
            report.steps.iter().any(|step| step.action == "send-notice" && step.outcome == Outcome::Done)
        );
        assert_eq!(sent(&bed), ["ready"]);
        assert_eq!(bed.caller().fleet(&dev()).await.unwrap().unwrap().failed_notice, None);
    });
}

#[test]
fn webhook_that_never_answers_is_not_flooded() {
    on_paused_time(async {
        let bed = ready_bed().await;
        bed.sim.set_delivery(Delivery::NoResponse);
        for _ in 0..120 {
            told(&bed).await;
            bed.clock.sleep(Duration::from_mins(1)).await;
        }
        assert!((2..=5).contains(&sent(&bed).len()), "{:?}", sent(&bed));
    });
}

#[test]
fn extension_after_the_plan_withdraws_the_warning() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("notify", TOPIC), ("spare", "0")]);
        let launched = bed.launch().await.expect("a launch");
        let expires = |minutes: u64| {
            let at = bed.clock.now() + Duration::from_mins(minutes);
            TagChanges::new()
                .set("hatchery:expires-at", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        };
        bed.clock.sleep(Duration::from_mins(8)).await;
        told(&bed).await;
        bed.tag_record(&launched.record, &expires(29)).await;
        bed.tag_before("record", &launched.record, expires(300));
        assert_eq!(told(&bed).await, []);
        assert_eq!(sent(&bed), ["ready"]);
    });
}

#[test]
fn paused_fleet_tells_and_changes_nothing_else() {
    on_paused_time(async {
        let bed = ready_bed().await;
        let cloud = bed.caller();
        let fleet = cloud.fleet(&dev()).await.unwrap().unwrap();
        cloud.tag_fleet(&fleet.template, &TagChanges::new().set("hatchery:paused", "true")).await.unwrap();
        let report = bed.engine.once(false).await.unwrap();
        let actions: Vec<_> = report.steps.iter().map(|step| step.action).collect();
        assert_eq!((actions, sent(&bed)), (vec!["send-notice"], vec!["ready".to_owned()]));
        assert_eq!(
            (report.refused[0].reason.as_str(), report.metrics.is_complete),
            ("the fleet is paused", false)
        );
    });
}
