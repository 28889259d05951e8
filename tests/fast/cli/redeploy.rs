//! `redeploy` and `diff`.

use std::process::ExitCode;
use std::time::Duration;

use hatchery::domain::Outcome;
use rstest::rstest;

use super::documents::FLEET;
use super::harness::TestAccount;

/// Waits until the last deployment to `checkout-fix` has ended.
async fn deployed(account: &TestAccount) {
    account.run(&["redeploy", "checkout-fix", "--wait"]).await.ok();
}

#[tokio::test(start_paused = true)]
async fn redeploy_documents() {
    let account = TestAccount::new(FLEET);
    let arguments = ["redeploy", "checkout-fix", "--service", "payments=f-124", "--service", "kyc=pr-7"];
    let text = account.run(&arguments).await.ok();
    assert_eq!(text.out, "Deploying to dev-6: kyc → pr-7, payments f-123 → f-124.\n");
    let document = account.run(&["redeploy", "dev-6", "--default", "kyc", "--json"]).await;
    insta::assert_snapshot!("redeploy", document.ok().pretty_json());
    account.clock.sleep(Duration::from_secs(20)).await;
    insta::assert_snapshot!("ls_deploying_text", account.run(&["ls"]).await.ok().out);
    deployed(&account).await;
    insta::assert_snapshot!("ls_deployed", account.run(&["ls", "--json"]).await.ok().pretty_json());
    let events = account.sim.inspect(|state| {
        let own = state.audit().iter().filter(|event| event.action == "redeploy");
        own.map(|event| (event.target.raw().to_owned(), event.reason.raw().to_owned(), event.outcome))
            .collect::<Vec<_>>()
    });
    let event = |reason: &str| ("dev-6".to_owned(), reason.to_owned(), Outcome::Done);
    assert_eq!(
        events,
        [event("kyc → pr-7, payments f-123 → f-124"), event("kyc default"), event("the same versions")]
    );
}

#[tokio::test(start_paused = true)]
async fn wait_ends_with_the_deployment() {
    let account = TestAccount::new(FLEET);
    let run = account.run(&["redeploy", "checkout-fix", "--service", "payments=f-124", "--wait"]).await.ok();
    insta::assert_snapshot!("redeploy_wait_text", format!("{}{}", run.out, run.err));
    account.sim.change_faults(|faults| faults.deployment_fails = 1.0);
    let run = account.run(&["redeploy", "checkout-fix", "--service", "payments=f-125", "--wait"]).await;
    assert_eq!(run.code, ExitCode::from(1), "{run:#?}");
    let reason = "the deployment to dev-6 failed: services: deployment/payments is not healthy";
    assert!(run.err.contains(reason), "{run:#?}");
    // The environment stays ready.
    let listed = account.run(&["ls", "--json"]).await.ok().out;
    let document: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let environments = document["environments"].as_array().unwrap();
    let environment = environments.iter().find(|environment| environment["id"] == "dev-6").unwrap();
    assert_eq!(
        (&environment["state"], &environment["deployment"]["state"]),
        (&"ready".into(), &"failed".into())
    );
    let problem = "the deployment that amy requested failed: services: deployment/payments is not healthy";
    assert_eq!(environment["problems"], serde_json::json!([problem]));
}

#[tokio::test(start_paused = true)]
async fn wait_survives_an_unavailable_service() {
    let account = TestAccount::new(FLEET);
    let arguments = ["redeploy", "checkout-fix", "--wait", "--json"];
    let (run, ()) = futures::join!(account.run(&arguments), async {
        account.clock.sleep(Duration::from_secs(12)).await;
        account.sim.change_faults(|faults| faults.unavailable = 1.0);
        account.clock.sleep(Duration::from_secs(90)).await;
        account.sim.clear_faults();
    });
    assert_eq!(run.ok().err.matches("still waiting").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn wait_ends_with_the_environment() {
    let account = TestAccount::new(FLEET);
    let (run, _) = futures::join!(account.run(&["redeploy", "checkout-fix", "--wait"]), async {
        account.clock.sleep(Duration::from_secs(12)).await;
        account.run(&["terminate", "checkout-fix", "--yes"]).await.ok()
    });
    assert_eq!(run.code, ExitCode::from(1), "{run:#?}");
    assert!(run.err.contains("dev-6 is terminating and does not deploy any more"), "{run:#?}");
}

#[rstest]
#[case::no_tag(&["checkout-fix", "--service", "payments"], 2, "use SERVICE=IMAGE_TAG")]
#[case::twice(&["checkout-fix", "--service", "a=1", "--service", "a=2"], 2, "service a is given twice")]
#[case::both(&["checkout-fix", "--service", "payments=1", "--default", "payments"], 2, "is given a tag and its default")]
#[case::unknown_default(&["checkout-fix", "--default", "kyc"], 2, "it does not test the service kyc; it tests payments")]
#[case::missing(&["nobody"], 3, "there is no environment")]
#[case::failed(&["ledger-spike"], 5, "cannot redeploy dev-7: its bootstrap failed; launch a new one")]
#[case::read_only(&["checkout-fix", "--read-only"], 4, "--read-only is set")]
#[tokio::test(start_paused = true)]
async fn redeploy_is_refused(#[case] arguments: &[&str], #[case] code: u8, #[case] message: &str) {
    let account = TestAccount::new(FLEET);
    let run = account.run(&[&["redeploy"], arguments].concat()).await;
    assert_eq!(run.code, ExitCode::from(code), "{run:#?}");
    assert!(run.err.contains(message), "{run:#?}");
    assert!(account.sim.inspect(|state| state.audit().iter().all(|event| event.action != "redeploy")));
}

#[tokio::test(start_paused = true)]
async fn too_many_services_are_refused() {
    let account = TestAccount::new(FLEET);
    let services: Vec<_> = (0..17).map(|number| format!("s{number}=1")).collect();
    let options = services.iter().flat_map(|service| ["--service", service]);
    let arguments: Vec<_> = ["redeploy", "checkout-fix"].into_iter().chain(options).collect();
    let run = account.run(&arguments).await;
    assert_eq!(run.code, ExitCode::from(2), "{run:#?}");
    assert!(run.err.contains("18 services under test are too many; the maximum is 17"), "{run:#?}");
    account.run(&[&arguments[..], &["--default", "payments"]].concat()).await.ok();
}

#[tokio::test(start_paused = true)]
async fn environment_that_starts_or_ends_is_refused() {
    let account = TestAccount::new(FLEET);
    account.run(&["launch", "fx-rates"]).await.ok();
    let run = account.run(&["redeploy", "fx-rates"]).await;
    assert_eq!(run.code, ExitCode::from(5), "{run:#?}");
    assert!(run.err.contains("it is not ready; wait until it is ready"), "{run:#?}");
    account.run(&["terminate", "checkout-fix", "--yes"]).await.ok();
    let run = account.run(&["redeploy", "checkout-fix"]).await;
    assert_eq!(run.code, ExitCode::from(5), "{run:#?}");
    assert!(run.err.contains("amy requested its termination"), "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn diff_documents() {
    let account = TestAccount::new(FLEET);
    account.run(&["launch", "fx-rates", "--service", "payments=f-124", "--service", "fx=pr-9"]).await.ok();
    let run = account.run(&["diff", "checkout-fix", "fx-rates"]).await.ok();
    insta::assert_snapshot!("diff_text", run.out);
    let run = account.run(&["diff", "checkout-fix", "fx-rates", "--json", "--read-only"]).await.ok();
    insta::assert_snapshot!("diff", run.pretty_json());
    let run = account.run(&["diff", "expired", "ledger-spike"]).await.ok();
    assert_eq!(run.out, "Neither environment has services under test; both run the chart's own versions.\n");
    let run = account.run(&["diff", "checkout-fix", "nobody"]).await;
    assert_eq!(run.code, ExitCode::from(3), "{run:#?}");
}
