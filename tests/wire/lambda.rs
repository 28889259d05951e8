//! The binary as a Lambda function: the schedule's pass, the actions, and what a failure looks like to the invoker.

use serde_json::{Value, json};

use crate::support::account::{Account, init};
use crate::support::binary::hatchery;
use crate::support::lambda_runtime::{LambdaFunction, Outcome};
use crate::support::moto::Moto;

/// The event of an `EventBridge` rule with a schedule.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html>
fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-10-08T16:53:06Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:123456789012:rule/hatchery"],
        "detail": {},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_event_runs_one_pass() {
    // Each pass is followed by a look at the account.
    let moto = Moto::start_with(&json!({ "creating": 0, "modifying": 0, "deleting": 0 }));
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "1"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);

    let report = function.invoke(&scheduled_event()).response();
    assert_eq!((&report["version"], &report["fleet"]), (&json!(1), &json!("dev")));
    assert_eq!(report["steps"][0]["action"], "create-database");
    assert_eq!(report["steps"][0]["outcome"], "done");
    assert_eq!(account.inspect().await.free(), 1);

    // One pass per event, not an engine that goes on: the spare is gone until the next event.
    let id = account.inspect().await.databases.into_keys().next().unwrap();
    let rds = moto.rds().await;
    rds.delete_db_instance().db_instance_identifier(id).skip_final_snapshot(true).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(account.inspect().await.free(), 0);
    let report = function.invoke(&json!({ "engine": {} })).response();
    assert_eq!(report["steps"][0]["action"], "create-database");
    assert_eq!(account.inspect().await.free(), 1);
    assert!(function.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_answer_with_the_command_documents() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);

    let launched = function
        .invoke(&json!({
            "launch": {
                "name": "checkout-fix",
                "owner": "jo",
                "services": { "payments": "f-123" },
                "ttl": "8h",
                "note": "for QA",
            },
        }))
        .response();
    assert_eq!(launched["environment"]["id"], "dev-1");
    assert_eq!(launched["environment"]["database"], "hatchery-dev-1");
    let tags = account.inspect().await.active()[0].tags.clone();
    assert_eq!(tags["hatchery:name"], "checkout-fix");
    assert_eq!(tags["hatchery:owner"], "jo");
    assert_eq!(tags["hatchery:service.payments"], "f-123");
    assert_eq!(account.inspect().await.records["hatchery/dev/1"]["hatchery:note"], "for QA");
    let by_command = hatchery(&moto, &["launch", "other", "--json"]).ok().json();
    assert_eq!(shape(&launched), shape(&by_command));

    let listed = function.invoke(&json!({ "ls": {} })).response();
    let by_command = hatchery(&moto, &["ls", "--json"]).ok().json();
    assert_eq!(shape(&listed), shape(&by_command));
    assert_eq!(listed["environments"][0]["name"], "checkout-fix");
    assert_eq!(listed["environments"][0]["owner"], "jo");

    let before = time(&listed["environments"][0]["expires_at"]);
    let extended =
        function.invoke(&json!({ "extend": { "environment": "checkout-fix", "by": "4h" } })).response();
    assert_eq!(extended["id"], "dev-1");
    assert_eq!(time(&extended["expires_at"]) - before, chrono::TimeDelta::hours(4));
    let by_command = hatchery(&moto, &["extend", "dev-1", "--by", "1h", "--json"]).ok().json();
    assert_eq!(shape(&extended), shape(&by_command));

    let instance = account.inspect().await.active()[0].id.clone();
    account.set_phase(&instance, "ready").await;
    account.set_rollout(&instance, "2026-01-01T00:00:00Z", "done").await;
    let redeployed = function
        .invoke(&json!({
            "redeploy": {
                "environment": "checkout-fix", "owner": "jo", "services": { "payments": "f-124", "kyc": "pr-7" },
            },
        }))
        .response();
    assert_eq!(
        (&redeployed["id"], &redeployed["changes"]),
        (&json!("dev-1"), &json!("kyc → pr-7, payments f-123 → f-124"))
    );
    let tags = account.inspect().await.active()[0].tags.clone();
    assert_eq!(tags["hatchery:service.payments"], "f-124");
    assert!(tags["hatchery:deployment"].ends_with(" jo"), "{tags:?}");
    let by_command = hatchery(&moto, &["redeploy", "dev-1", "--default", "kyc", "--json"]).ok().json();
    let fields = |document: &Value| document.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&redeployed), fields(&by_command));

    let terminated =
        function.invoke(&json!({ "terminate": { "environment": "dev-1", "owner": "jo" } })).response();
    assert_eq!((&terminated["id"], &terminated["terminating"]), (&json!("dev-1"), &json!(true)));
    let activity = hatchery(&moto, &["activity", "--json"]).ok().json();
    let events = activity["events"].as_array().unwrap();
    // The command extended and launched too.
    for (action, who) in [("launch", "jo"), ("extend", "lambda"), ("redeploy", "jo"), ("terminate", "jo")] {
        let is_logged = events.iter().any(|event| event["action"] == action && event["who"] == who);
        assert!(is_logged, "{action} by {who}: {activity:#}");
    }
    // Lambda does not say who invoked it; CloudTrail does, by the id of the request.
    let reasons = events.iter().map(|event| event["reason"].as_str().unwrap());
    let request = "; Lambda request 00000000-0000-4000-8000-000000000005";
    assert!(reasons.into_iter().any(|reason| reason.ends_with(request)), "{activity:#}");
    assert!(account.inspect().await.records["hatchery/dev/1"].contains_key("hatchery:terminate"));
    let by_command = hatchery(&moto, &["terminate", "other", "--yes", "--json"]).ok().json();
    assert_eq!(shape(&terminated), shape(&by_command));
}

/// Lambda repeats a request up to twice, although the first one may have launched.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_launches_once() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);
    let event = json!({ "launch": { "name": "checkout-fix" } });
    let first = function.invoke(&event).response();
    for _ in 0..2 {
        let again = function.repeat(&event).response();
        assert_eq!(again["environment"]["id"], first["environment"]["id"]);
    }
    let state = account.inspect().await;
    assert_eq!((state.records.len(), state.active().len(), state.databases.len()), (1, 1, 1));
    // Another request is another launch, and so is one whose launch has ended.
    function.invoke(&event).response();
    hatchery(&moto, &["terminate", "dev-2", "--yes"]).ok();
    let third = function.repeat(&event).response();
    assert_eq!((account.inspect().await.records.len(), &third["environment"]["id"]), (3, &json!("dev-3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_fail_the_invocation() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);

    // An unknown request must not run the engine.
    function.invoke(&json!({ "lunch": {} })).assert_failure("usage", &["lunch", "launch, extend, redeploy"]);
    function.invoke(&json!("launch")).assert_failure("usage", &["event"]);
    function.invoke(&json!({ "launch": {} })).assert_failure("usage", &["name"]);
    function.invoke(&json!({ "launch": { "name": "x", "ttl": "3x" } })).assert_failure("usage", &["3x"]);
    function
        .invoke(&json!({ "launch": { "name": "x", "ttl": "30d" } }))
        .assert_failure("refused", &["max-lifetime"]);
    function
        .invoke(&json!({ "redeploy": { "environment": "dev-7", "services": { "payments": "a/b" } } }))
        .assert_failure("usage", &["an image tag is"]);
    function
        .invoke(&json!({ "redeploy": { "environment": "dev-7" } }))
        .assert_failure("not-found", &["dev-7"]);
    function
        .invoke(&json!({ "extend": { "environment": "dev-7", "by": "1h" } }))
        .assert_failure("not-found", &["dev-7"]);
    // A payload that is no JSON cannot be an event: the runtime itself reports it, and the function keeps running.
    let outcome = function.invoke_with("launch");
    assert!(matches!(outcome, Outcome::Error(_)), "{outcome:#?}");
    function.invoke(&json!({ "ls": {} })).response();
    assert!(account.inspect().await.is_at_rest(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_fleet_fails_the_invocation() {
    let moto = Moto::start();
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "unknown")]);
    function.invoke(&json!({ "launch": { "name": "x" } })).assert_failure("not-found", &["fleet", "unknown"]);
    function.invoke(&json!({ "ls": {} })).assert_failure("not-found", &["fleet"]);
    // A success would hide from Lambda's metrics that the pool is not maintained.
    function.invoke(&scheduled_event()).assert_failure("not-found", &["unknown"]);
    assert!(function.is_running());
    let mut function = LambdaFunction::start(&moto, &[]);
    function.invoke(&json!({ "ls": {} })).assert_failure("not-found", &["fleet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pass_stops_before_the_deadline() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "1"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);
    function.set_timeout(std::time::Duration::from_secs(20));
    let report = function.invoke(&scheduled_event()).response();
    assert_eq!(
        (&report["steps"][0]["outcome"], account.inspect().await.databases.len()),
        (&json!("skipped"), 0),
        "{report:#}"
    );
    function.set_timeout(std::time::Duration::from_mins(4));
    let report = function.invoke(&json!({})).response();
    assert_eq!(
        (&report["steps"][0]["outcome"], account.inspect().await.databases.len()),
        (&json!("done"), 1),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_lines() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);
    function.invoke(&scheduled_event()).response();
    function.invoke(&json!({ "lunch": {} })).assert_failure("usage", &["lunch"]);
    let log = function.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let step = lines.iter().find(|line| line["fields"]["message"] == "step").unwrap();
    assert_eq!((&step["level"], &step["fields"]["action"]), (&json!("INFO"), &json!("create-database")));
    // What belongs to one invocation can be found by its request id.
    assert_eq!(step["span"]["requestId"], "00000000-0000-4000-8000-000000000001");
    let failed = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(failed["fields"]["kind"], "usage");
    assert_eq!(failed["span"]["requestId"], "00000000-0000-4000-8000-000000000002");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_pass_fails_the_invocation_and_is_measured() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "1"]).await;
    account.tag_record("hatchery/dev", "hatchery:database-subnet-group", "gone").await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);
    function.invoke(&scheduled_event()).assert_failure("failed", &["cannot create database", "next pass"]);
    let log = function.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let metrics = lines.iter().find(|line| line.get("_aws").is_some()).unwrap();
    assert_eq!(
        (&metrics["Fleet"], &metrics["CompletePasses"], &metrics["StepsFailed"], &metrics["EmptyPool"]),
        (&json!("dev"), &json!(1), &json!(1), &json!(1)),
        "{metrics:#}"
    );
    // Until the next try there is nothing to fail.
    function.invoke(&scheduled_event()).response();
}

/// Prints the peak memory, which the function's setting in the stack is based on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints a figure"]
async fn peak_memory_of_a_large_fleet() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0", "--max-databases", "1000"]).await;
    let mut function = LambdaFunction::start(&moto, &[("HATCHERY_FLEET", "dev")]);
    // Passes end before the test stops waiting.
    function.set_timeout(std::time::Duration::from_secs(90));
    let mut total = 0;
    println!("at start: {} kB", function.peak_memory());
    for environments in [0, 50, 150, 100] {
        if environments > 0 {
            account.create_environments_from("dev", total + 1, environments).await;
        }
        total += environments;
        // A loaded moto does not answer each request in time.
        let listed = (0..5).find_map(|_| match function.invoke(&json!({ "ls": {} })) {
            Outcome::Response(listed) => Some(listed),
            _ => None,
        });
        assert_eq!(listed.unwrap()["environments"].as_array().unwrap().len(), total as usize);
        println!("{total} environments, listed: {} kB", function.peak_memory());
        for _ in 0..3 {
            drop(function.invoke(&scheduled_event()));
        }
        println!("{total} environments, after three passes: {} kB", function.peak_memory());
    }
}

/// The names in a document, without its values: those of objects with their members, those of arrays of their first.
fn shape(document: &Value) -> Value {
    match document {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(items) => items.first().map_or(json!([]), |first| json!([shape(first)])),
        _ => Value::Null,
    }
}

fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().unwrap().parse().unwrap()
}
