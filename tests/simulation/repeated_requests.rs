//! Requests that Lambda repeats under the same id, although the first one has changed the fleet.

use std::time::Duration;

use hatchery::domain::tags::key;
use hatchery::engine::{Engine, EngineConfig, RedeployRequest};

use crate::setup::{config, on_paused_time};
use crate::test_bed::{TestBed, checkout};

const HOUR: Duration = Duration::from_hours(1);

/// Creates the engine of an invocation of the Lambda function.
fn invocation(bed: &TestBed, request: &str) -> Engine {
    let request = Some(request.to_owned());
    Engine::new(bed.caller(), bed.clock.clone(), EngineConfig { request, ..config("lambda", 9) })
}

fn deploy(tag: &str) -> RedeployRequest {
    RedeployRequest {
        services: [("payments".to_owned(), tag.to_owned())].into(),
        ..RedeployRequest::default()
    }
}

#[test]
fn repeated_extension_extends_once() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "3d")]);
        let launched = bed.launch().await.unwrap();
        let extend = async |request: &str| {
            invocation(&bed, request).extend(&launched.environment, HOUR).await.unwrap().expires_at
        };
        assert_eq!(extend("first").await, launched.expires_at + HOUR);
        assert_eq!(extend("first").await, launched.expires_at + HOUR);
        assert_eq!(extend("second").await, launched.expires_at + 2 * HOUR);
        assert_eq!(extend("first").await, launched.expires_at + 2 * HOUR, "later requests count");
        assert_eq!(bed.expiry(&launched.environment), Some(launched.expires_at + 2 * HOUR));
        assert_eq!(bed.record(&launched.environment).unwrap()[key::REQUESTS], "first second");
        assert_eq!(bed.audit("extend").len(), 2);
    });
}

#[test]
fn repeated_deployment_does_not_undo_a_later_one() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h")]);
        let id = bed.launch().await.unwrap().environment;
        bed.clock.sleep(Duration::from_mins(10)).await;
        let first = invocation(&bed, "first").redeploy(&id, &deploy("f-2")).await.unwrap();
        assert_eq!(
            invocation(&bed, "first").redeploy(&id, &deploy("f-2")).await.unwrap().deployment,
            first.deployment
        );
        let later = bed.other_engine().redeploy(&id, &deploy("f-3")).await.unwrap();
        let repeated = invocation(&bed, "first").redeploy(&id, &deploy("f-2")).await.unwrap();
        assert_eq!((repeated.deployment, repeated.services), (later.deployment, later.services));
        assert_eq!(bed.record(&id).unwrap()["hatchery:service.payments"], "f-3");
        assert_eq!(bed.audit("redeploy").len(), 2);
    });
}

#[test]
fn record_forgets_the_oldest_requests() {
    on_paused_time(async {
        let bed = TestBed::with_policy([("ttl", "3h"), ("max-lifetime", "3d")]);
        let id = bed.launch().await.unwrap().environment;
        for number in 1..=8 {
            // As long as the ids of Lambda.
            invocation(&bed, &format!("{number:036}")).extend(&id, HOUR).await.unwrap();
        }
        let tag = bed.record(&id).unwrap()[key::REQUESTS].clone();
        let expected: Vec<_> = (3..=8).map(|number| format!("{number:036}")).collect();
        assert_eq!(tag, expected.join(" "));
        assert!(tag.len() <= 256);
    });
}

#[test]
fn repeated_launch_is_one_environment() {
    on_paused_time(async {
        let bed = TestBed::new();
        let first = invocation(&bed, "first").launch(&checkout()).await.unwrap();
        let repeated = invocation(&bed, "first").repeated_launch().await.unwrap().unwrap();
        assert_eq!((repeated.environment, repeated.record), (first.environment, first.record));
        assert_eq!(invocation(&bed, "second").repeated_launch().await.unwrap(), None);
    });
}
