//! Notices through the AWS API: a topic of SNS, and a webhook whose URL is in Secrets Manager, each told once by many engines at a time.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::account::{Account, init};
use crate::support::binary::{command, hatchery};
use crate::support::emulator::Emulator;
use crate::support::emulators::EmulatorKind;
use crate::support::http::{response, serve};

/// A server that is told, with the path and the body of each request.
struct Receiver {
    url: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    status: Arc<Mutex<&'static str>>,
}

impl Receiver {
    fn start() -> Self {
        let requests: Arc<Mutex<Vec<_>>> = Arc::default();
        let status = Arc::new(Mutex::new("200 OK"));
        let (seen, answer) = (Arc::clone(&requests), Arc::clone(&status));
        let address = serve(move |request, mut client| {
            seen.lock().unwrap().push((request.route().to_owned(), request.json()));
            client.write_all(&response(*answer.lock().unwrap(), &[], "ok"))
        });
        Self { url: format!("http://{address}/services/T0/B0/secret-path"), requests, status }
    }

    /// The bodies of the requests that arrive until there are so many, and a moment later.
    async fn bodies(&self, expected: usize) -> Vec<Value> {
        for _ in 0..100 {
            if self.requests.lock().unwrap().len() >= expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let requests = self.requests.lock().unwrap();
        assert!(
            requests.iter().all(|(route, _)| route == "POST /services/T0/B0/secret-path"),
            "{requests:?}"
        );
        requests.iter().map(|(_, body)| body.clone()).collect()
    }
}

/// Creates a fleet without a pool, and a ready environment.
async fn ready(emulator: &Emulator, notify: &str) {
    init(emulator, "dev", &["--spare", "0"]).await;
    // EC2 finds the new fleet a little later.
    let setting = format!("notify={notify}");
    while hatchery(emulator, &["fleet", "set", &setting]).code != 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    hatchery(emulator, &["launch", "checkout-fix", "--ttl", "8h"]).ok();
    let account = Account::new(emulator).await;
    account.run_engine_until("the instance runs", |state| state.active().len() == 1).await;
    account.set_phase(&account.inspect().await.active()[0].id, "ready").await;
}

/// Runs passes of eight engines at the same time.
fn run_engines(emulator: &Emulator) {
    let engines: Vec<_> = (0..8)
        .map(|_| command(emulator).args(["engine", "--once"]).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut engine in engines {
        engine.wait().unwrap();
    }
}

async fn secret(emulator: &Emulator, value: &str) {
    let secrets = emulator.secrets().await;
    secrets.create_secret().name("slack/hatchery").secret_string(value).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_is_told_once_by_many_engines() {
    let emulator = EmulatorKind::Moto.start_with_write_lag();
    let receiver = Receiver::start();
    let sns = emulator.sns().await;
    let topic = sns.create_topic().name("news").send().await.unwrap().topic_arn.unwrap();
    sns.subscribe().topic_arn(&topic).protocol("http").endpoint(&receiver.url).send().await.unwrap();
    ready(&emulator, &topic).await;
    for _ in 0..2 {
        run_engines(&emulator);
    }
    let told = receiver.bodies(1).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["Subject"], "hatchery: checkout-fix is ready");
    let message = told[0]["Message"].as_str().unwrap();
    assert!(message.starts_with("checkout-fix is ready\ndev-1 of amy in fleet dev, until "), "{message}");
    let test = hatchery(&emulator, &["fleet", "test-notice"]).ok();
    assert_eq!(test.out, format!("{topic} has accepted a test notice. See whether it has arrived.\n"));
    let told = receiver.bodies(2).await;
    assert_eq!(told[1]["Subject"], "hatchery: test notice of fleet dev");
}

#[rstest]
#[case::moto(EmulatorKind::Moto, false)]
#[case::ministack(EmulatorKind::Ministack, true)]
#[tokio::test(flavor = "multi_thread")]
async fn webhook_is_told_once_by_many_engines(#[case] kind: EmulatorKind, #[case] as_json: bool) {
    let emulator = kind.start_with_write_lag();
    let receiver = Receiver::start();
    let value = if as_json { json!({ "url": receiver.url }).to_string() } else { receiver.url.clone() };
    secret(&emulator, &value).await;
    ready(&emulator, "secret:slack/hatchery").await;
    for _ in 0..2 {
        run_engines(&emulator);
    }
    let told = receiver.bodies(1).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    let text = told[0]["text"].as_str().unwrap();
    assert!(text.starts_with("checkout-fix is ready\ndev-1 of amy in fleet dev, until "), "{text}");
    let activity = hatchery(&emulator, &["activity"]).ok().out;
    assert!(activity.contains("send-notice    dev-1     done     checkout-fix is ready"), "{activity}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_webhook_is_named_without_its_path() {
    let emulator = EmulatorKind::Moto.start_with_write_lag();
    let receiver = Receiver::start();
    *receiver.status.lock().unwrap() = "404 Not Found";
    secret(&emulator, &receiver.url).await;
    ready(&emulator, "secret:slack/hatchery").await;
    let failed = hatchery(&emulator, &["engine", "--once"]);
    let doctor = hatchery(&emulator, &["doctor"]);
    for text in [&failed.err, &doctor.out] {
        assert!(text.contains("127.0.0.1 refuses the notice (HTTP 404)"), "{text}");
        assert!(!text.contains("secret-path"), "{text}");
    }
    assert_eq!(receiver.bodies(1).await.len(), 1);
    let refused = hatchery(&emulator, &["fleet", "set", &format!("notify={}", receiver.url)]);
    assert!(refused.err.contains("store the URL in AWS Secrets Manager"), "{refused:#?}");
    assert!(!refused.err.contains("secret-path"), "{refused:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topic_and_secret_say_so() {
    let emulator = EmulatorKind::Moto.start_with_write_lag();
    ready(&emulator, "secret:slack/hatchery").await;
    let failed = hatchery(&emulator, &["engine", "--once"]);
    assert!(failed.err.contains("cannot send notice dev-1: GetSecretValue"), "{failed:#?}");
    let emulator = EmulatorKind::Moto.start_with_write_lag();
    ready(&emulator, "arn:aws:sns:eu-west-1:123456789012:gone").await;
    let failed = hatchery(&emulator, &["engine", "--once"]);
    assert!(failed.err.contains("cannot send notice dev-1: Publish"), "{failed:#?}");
    hatchery(&emulator, &["fleet", "test-notice"])
        .fails(3, &["cannot send a notice to arn:aws:sns:eu-west-1:123456789012:gone", "fleet set notify="]);
}
