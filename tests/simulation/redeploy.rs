//! Deploying anew while calls fail and others change the environment. A confirmed request is deployed; a failed one says why.

use std::collections::BTreeSet;
use std::time::Duration;

use hatchery::domain::tags::{Tags, key};
use hatchery::domain::{ErrorClass, Outcome, TagChanges, Termination};
use hatchery::engine::{Launched, RedeployRequest, Redeployed};
use hatchery::failure::{Failure, Kind};
use rstest::rstest;

use crate::setup::on_paused_time;
use crate::test_bed::{ALWAYS, TestBed, error};

/// A test bed with an environment that is ready.
async fn bed() -> (TestBed, Launched) {
    let bed = TestBed::with_policy([("ttl", "3h")]);
    let launched = bed.launch().await.unwrap();
    bed.clock.sleep(Duration::from_mins(10)).await;
    assert_eq!(instance(&bed)[key::PHASE], "ready");
    (bed, launched)
}

fn request<const N: usize>(services: [(&str, &str); N]) -> RedeployRequest {
    let services = services.map(|(name, tag)| (name.to_owned(), tag.to_owned())).into();
    RedeployRequest { services, defaults: BTreeSet::new() }
}

async fn redeploy(bed: &TestBed, launched: &Launched) -> Result<Redeployed, Failure> {
    bed.engine.redeploy(&launched.environment, &request([("payments", "f-2")])).await
}

/// The tags of the only instance.
fn instance(bed: &TestBed) -> Tags {
    bed.active_instances()[0].1.clone()
}

/// Runs a pass, which also refills the pool, and returns its steps that copy a request.
async fn mirrors(bed: &TestBed) -> Vec<(&'static str, Outcome, String)> {
    let mut steps = bed.run_pass().await;
    steps.retain(|(action, ..)| *action == "mirror-deployment");
    steps
}

/// Waits until the instance has answered everything.
async fn settle(bed: &TestBed) {
    bed.clock.sleep(Duration::from_mins(10)).await;
}

#[test]
fn redeploy_is_written_copied_and_deployed() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let before = bed.record(&launched.environment).unwrap();
        let done = redeploy(&bed, &launched).await.unwrap();
        let record = bed.record(&launched.environment).unwrap();
        assert_eq!(record[key::DEPLOYMENT], done.deployment.to_tag());
        assert_eq!(record["hatchery:service.payments"], "f-2");
        assert_eq!(record[key::EXPIRES_AT], before[key::EXPIRES_AT]);
        assert_eq!(instance(&bed)[key::DEPLOYMENT], done.deployment.to_tag());
        settle(&bed).await;
        let instance = instance(&bed);
        assert_eq!(instance[key::ROLLOUT], format!("{} done", done.deployment.at.format("%FT%TZ")));
        assert!(instance.contains_key("hatchery:digest.payments") && instance[key::PHASE] == "ready");
        assert_eq!(mirrors(&bed).await, []);
        let [event] = &bed.audit("redeploy")[..] else { panic!() };
        assert_eq!((event.who.raw(), event.outcome), ("amy", Outcome::Done));
        assert_eq!(event.reason.raw(), "payments → f-2");
    });
}

#[rstest]
#[case::refused(false)]
#[case::lost(true)]
fn lost_copy_is_healed_by_any_engine(#[case] response_only: bool) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        if response_only {
            bed.script.lose_response("tag instance", ALWAYS);
        } else {
            bed.script.fail("tag instance", ALWAYS, error(ErrorClass::Transient));
        }
        redeploy(&bed, &launched).await.unwrap();
        bed.script.clear();
        let steps = mirrors(&bed).await;
        let expected: &[_] =
            if response_only { &[] } else { &[("mirror-deployment", Outcome::Done, String::new())] };
        assert_eq!(steps, expected);
        settle(&bed).await;
        assert!(instance(&bed)[key::ROLLOUT].ends_with(" done"));
        assert_eq!(instance(&bed)["hatchery:service.payments"], "f-2");
    });
}

#[test]
fn services_of_two_users_at_once_are_deployed_together() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let other = bed.other_engine();
        let (auth, search) = (request([("auth", "a-1")]), request([("search", "s-1")]));
        let (first, second) = futures::join!(
            bed.engine.redeploy(&launched.environment, &auth),
            other.redeploy(&launched.environment, &search),
        );
        assert!(first.is_ok() && second.is_ok());
        bed.run_other_engine(2).await;
        settle(&bed).await;
        let instance = instance(&bed);
        for service in ["auth", "search"] {
            assert!(instance.contains_key(&format!("hatchery:digest.{service}")), "{instance:?}");
        }
        assert_eq!(instance[key::DEPLOYMENT], bed.record(&launched.environment).unwrap()[key::DEPLOYMENT]);
        assert!(instance[key::ROLLOUT].ends_with(" done"));
    });
}

#[test]
fn each_request_is_later_than_the_one_before() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let first = redeploy(&bed, &launched).await.unwrap();
        let second = redeploy(&bed, &launched).await.unwrap();
        let third =
            bed.other_engine().redeploy(&launched.environment, &RedeployRequest::default()).await.unwrap();
        assert!(first.deployment.at < second.deployment.at && second.deployment.at < third.deployment.at);
        // The clock of AWS went back, or the request before was made by a clock that is ahead.
        let ahead = "2026-03-02T23:00:00Z bob";
        bed.tag_record(&launched.record, &TagChanges::new().set(key::DEPLOYMENT, ahead)).await;
        let fourth = redeploy(&bed, &launched).await.unwrap();
        assert_eq!(fourth.deployment.at.to_rfc3339(), "2026-03-02T23:00:01+00:00");
    });
}

#[test]
fn default_takes_a_service_out() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        redeploy(&bed, &launched).await.unwrap();
        settle(&bed).await;
        let defaults = RedeployRequest { defaults: ["payments".to_owned()].into(), ..Default::default() };
        let done = bed.engine.redeploy(&launched.environment, &defaults).await.unwrap();
        assert_eq!(done.changes, "payments default");
        settle(&bed).await;
        for tags in [instance(&bed), bed.record(&launched.environment).unwrap()] {
            assert!(tags.keys().all(|key| !key.ends_with(".payments")), "{tags:?}");
        }
    });
}

#[test]
fn unwritten_request_fails() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.script.fail("tag record", ALWAYS, error(ErrorClass::Invalid));
        assert_eq!(redeploy(&bed, &launched).await.unwrap_err().kind, Kind::Failed);
        assert_eq!(bed.audit("redeploy")[0].outcome, Outcome::Failed);
        assert!(!instance(&bed).contains_key(key::DEPLOYMENT));
    });
}

#[test]
fn request_that_no_read_shows_is_not_confirmed() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        // The write is overwritten at once by an older one that was processed late.
        for _ in 0..6 {
            let old = TagChanges::new().set("hatchery:service.payments", "f-1").remove(key::DEPLOYMENT);
            bed.tag_before("record", &launched.record, old);
        }
        let failure = redeploy(&bed, &launched).await.unwrap_err();
        assert_eq!(failure.kind, Kind::UnknownOutcome, "{failure}");
        assert_eq!(bed.audit("redeploy")[0].outcome, Outcome::Unknown);
    });
}

#[test]
fn termination_meanwhile_is_told() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let termination = Termination { at: bed.clock.now(), by: "bob".into() };
        bed.tag_before("record", &launched.record, TagChanges::terminate(&termination));
        let failure = redeploy(&bed, &launched).await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate, "{failure}");
        // The instance of an ending environment gets no requests from engines either.
        assert!(!instance(&bed).contains_key(key::DEPLOYMENT));
    });
}

#[test]
fn failed_deployment_ends_nothing() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        bed.sim.change_faults(|faults| faults.deployment_fails = 1.0);
        redeploy(&bed, &launched).await.unwrap();
        bed.run_other_engine(90).await;
        assert!(instance(&bed)[key::ROLLOUT].contains(" failed services: "));
        let record = bed.record(&launched.environment).unwrap();
        assert!(!record.contains_key(key::FAILURE) && !record.contains_key(key::REAPING_SINCE));
    });
}

#[test]
fn redeploy_during_grace_does_not_keep_the_environment() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let left = launched.expires_at + chrono::TimeDelta::minutes(1) - bed.clock.now();
        bed.clock.sleep(left.to_std().unwrap()).await;
        bed.run_other_engine(1).await;
        redeploy(&bed, &launched).await.unwrap();
        bed.run_other_engine(60).await;
        assert_eq!(bed.record(&launched.environment), None);
    });
}
