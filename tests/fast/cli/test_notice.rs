//! `hatchery fleet test-notice`.

use std::process::ExitCode;

use hatchery::cloud::sim::Delivery;

use super::harness::TestAccount;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:news";
const SEND: &[&str] = &["fleet", "test-notice", "--fleet", "dev"];

fn account() -> TestAccount {
    TestAccount::new(&format!("[policy]\nnotify = {TOPIC:?}\n"))
}

#[tokio::test(start_paused = true)]
async fn destination_gets_a_test_notice() {
    let account = account();
    let run = account.run(SEND).await.ok();
    assert_eq!(run.out, format!("{TOPIC} has accepted a test notice. See whether it has arrived.\n"));
    let sent = account.sim.inspect(|state| state.sent_notices().to_vec());
    let message = &sent[0].message;
    assert_eq!((message.event, message.title.as_str()), ("test", "test notice of fleet dev"));
    assert_eq!(message.text, "amy has sent it to see whether notices arrive");
    let json = account.run(&[SEND, &["--json"]].concat()).await.ok().pretty_json();
    assert!(json.contains(&format!("\"destination\": {TOPIC:?}")), "{json}");
}

#[tokio::test(start_paused = true)]
async fn refused_test_notice_says_what_to_do() {
    let account = account();
    for (delivery, code, parts) in [
        (Delivery::Gone, 3, ["Topic does not exist", "hatchery fleet set notify="]),
        (Delivery::Denied, 4, ["not authorized to perform: SNS:Publish", "hatchery-dev-notice"]),
        (Delivery::NoResponse, 1, ["no response in time", "it may have arrived"]),
    ] {
        account.sim.set_delivery(delivery);
        let run = account.run(SEND).await;
        assert_eq!(run.code, ExitCode::from(code), "{run:#?}");
        assert!(parts.iter().all(|part| run.err.contains(part)), "{run:#?}");
    }
    let run = account.run(&[SEND, &["--read-only"]].concat()).await;
    assert_eq!(run.code, ExitCode::from(4), "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn fleet_without_destination_cannot_send() {
    let run = TestAccount::new("").run(SEND).await;
    assert_eq!(run.code, ExitCode::from(2), "{run:#?}");
    assert!(run.err.contains("its setting notify is not set"), "{run:#?}");
}
