//! The audit log when it is long, when a clock is wrong, and when others own its group.

use std::io::Write as _;
use std::net::Shutdown;

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::account::{Account, init};
use crate::support::binary::{Run, command, command_through, hatchery};
use crate::support::emulator::Emulator;
use crate::support::http::{response, serve};
use crate::support::ministack::Ministack;
use crate::support::moto::Moto;
use crate::support::proxy;
use crate::support::recorder::Recorder;

const GROUP: &str = "/hatchery/dev/audit";

fn now() -> DateTime<Utc> {
    DateTime::from(std::time::SystemTime::now())
}

fn event(at: DateTime<Utc>, action: &str, target: &str) -> Value {
    json!({ "at": at, "who": "amy", "action": action, "target": target, "reason": "a test", "outcome": "done" })
}

/// Writes one event a minute into the streams of their days: the first one `count` minutes ago.
async fn write_events(emulator: &Emulator, count: i64, action: &str) {
    let logs = emulator.logs().await;
    let _ = logs.create_log_group().log_group_name(GROUP).send().await;
    let latest = now();
    let lines: Vec<_> = (0..count)
        .map(|index| {
            let at = latest - TimeDelta::minutes(count - index);
            (at, event(at, action, &format!("dev-{}", index + 1)))
        })
        .collect();
    for day in lines.chunk_by(|(a, _), (b, _)| a.date_naive() == b.date_naive()) {
        let stream = day[0].0.format("%Y-%m-%d").to_string();
        let _ = logs.create_log_stream().log_group_name(GROUP).log_stream_name(&stream).send().await;
        let events = day.iter().map(|(at, line)| {
            let event = InputLogEvent::builder().timestamp(at.timestamp_millis()).message(line.to_string());
            event.build().unwrap()
        });
        let put = logs.put_log_events().log_group_name(GROUP).log_stream_name(stream);
        put.set_log_events(Some(events.collect())).send().await.unwrap();
    }
}

/// The targets of the events that `activity` prints.
fn activity(emulator: &Emulator, since: &str) -> Vec<String> {
    let document = hatchery(emulator, &["activity", "--since", since, "--json"]).ok().json();
    let events = document["events"].as_array().unwrap();
    events.iter().map(|event| event["target"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_shows_the_latest_of_many_events() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    write_events(&moto, 12_000, "extend").await;
    let recorder = Recorder::start(moto.address());
    let run: Run = command_through(&moto, recorder.url())
        .args(["activity", "--since", "13d", "--json"])
        .output()
        .unwrap()
        .into();
    let events = run.ok().json()["events"].as_array().unwrap().clone();
    assert_eq!((events.len(), &events[998]["target"]), (1_000, &"dev-12000".into()));
    assert_eq!((&events[0]["target"], &events[999]["action"]), (&"dev-11002".into(), &"create-fleet".into()));
    assert_eq!(reads(&recorder), 1, "the newest come first");
}

/// ministack returns the oldest events first, whatever it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn activity_shows_the_latest_where_the_oldest_come_first() {
    let ministack = Ministack::start();
    init(&ministack, "dev", &["--spare", "0"]).await;
    write_events(&ministack, 1_500, "extend").await;
    let targets = activity(&ministack, "14d");
    assert_eq!((targets.len(), targets[998].as_str()), (1_000, "dev-1500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_show_the_latest_of_many_lines() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let account = Account::new(&moto).await;
    let lines: Vec<_> = (1..=10_500).map(|index| format!("line {index}")).collect();
    let (first, second) = lines.split_at(5_250);
    for (source, lines) in [("bootstrap", first), ("payments", second)] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        account.ship_log("dev", "hatchery/dev/1", source, &lines).await;
    }
    let run = hatchery(&moto, &["logs", "checkout-fix", "--json"]).ok();
    let printed: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((printed.len(), &printed[9_999]["text"]), (10_000, &"line 10500".into()));
    let left_out = "hatchery: … 500 older lines left out; use a shorter --since, or --source\n";
    assert_eq!(run.err, left_out);
    let one = hatchery(&moto, &["logs", "checkout-fix", "--source", "payments"]).ok();
    assert_eq!((one.out.lines().count(), one.err.as_str()), (5_250, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_give_an_event_whole() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let account = Account::new(&moto).await;
    let long = format!("{}END", "x".repeat(6_000));
    let events = [long.as_str(), "java.lang.Error: boom\n\tat A.b(A.java:1)\n\u{1b}[31mred\u{202e}\r\n"];
    account.ship_log("dev", "hatchery/dev/1", "app", &events).await;

    let run = hatchery(&moto, &["logs", "checkout-fix", "--json"]).ok();
    let texts: Vec<Value> =
        run.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect();
    assert_eq!(texts, events);
    assert!(run.out.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{run:#?}");

    let text = |zone: &str, arguments: &[&str]| {
        let run: Run = command(&moto).env("TZ", zone).args(arguments).output().unwrap().into();
        run.ok().out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = text("Asia/Kolkata", &["logs", "checkout-fix"]);
    assert_eq!(&lines[0][19..], "+05:30 app          java.lang.Error: boom");
    assert_eq!(lines[1..], [format!("{:43}at A.b(A.java:1)", ""), format!("{:39}red�", "")]);
    let lines = text("Asia/Kolkata", &["logs", "checkout-fix", "--utc"]);
    assert_eq!(&lines[0][19..], "Z app          java.lang.Error: boom");
    let lines = text("Asia/Kolkata", &["activity"]);
    assert!(lines.iter().all(|line| line[19..].starts_with("+05:30 ")), "{lines:#?}");
}

/// The number of reads of log events.
fn reads(recorder: &Recorder) -> usize {
    let calls = recorder.take();
    calls.iter().filter(|call| call.request.header("x-amz-target").ends_with(".FilterLogEvents")).count()
}

fn pass(moto: &Moto, recorder: &Recorder) -> Run {
    let run: Run =
        command_through(moto, recorder.url()).args(["engine", "--once", "--json"]).output().unwrap().into();
    run.ok()
}

/// The launches of weeks are read once a day, and from a digest for the rest of it.
#[tokio::test(flavor = "multi_thread")]
async fn launch_history_costs_a_pass_few_reads() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "auto"]).await;
    // 13 days; older ones cannot be written.
    write_events(&moto, 13 * 24 * 60, "launch").await;
    let recorder = Recorder::start(moto.address());
    let pool = |recorder: &Recorder| {
        let run: Run =
            command_through(&moto, recorder.url()).args(["pool", "--json"]).output().unwrap().into();
        let document = run.ok().json();
        (document["target"].clone(), reads(recorder))
    };
    let (target, before) = pool(&recorder);
    assert!(before > 2, "the whole log is read: {before}");
    assert_eq!(pool(&recorder), (target.clone(), before), "reading writes no digest");
    pass(&moto, &recorder);
    recorder.take();
    let after = pool(&recorder);
    assert!(after.1 <= 2, "{after:?}");
    assert_eq!(after.0, target);
    let events = activity(&moto, "1h");
    assert!(events.len() > 50, "{events:?}");

    // An unreadable digest is passed over, and a missing one is written again.
    let logs = moto.logs().await;
    let broken = InputLogEvent::builder().timestamp(now().timestamp_millis()).message("{\"launches\":7}");
    let put = logs.put_log_events().log_group_name(GROUP).log_stream_name("launches");
    put.log_events(broken.build().unwrap()).send().await.unwrap();
    assert_eq!(pool(&recorder), after);
    logs.delete_log_stream().log_group_name(GROUP).log_stream_name("launches").send().await.unwrap();
    let (without, again) = pool(&recorder);
    assert_eq!((&without, again > 2), (&target, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_set_on_own_groups_only() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    let logs = moto.logs().await;
    // An account may keep a group for ever on purpose.
    logs.create_log_group().log_group_name(GROUP).send().await.unwrap();
    init(&moto, "dev", &["--spare", "0"]).await;
    init(&moto, "qa", &["--spare", "0"]).await;
    for fleet in ["dev", "qa"] {
        hatchery(&moto, &["launch", "checkout-fix", "--fleet", fleet]).ok();
    }
    assert_eq!(account.log_group(GROUP).await.retention_in_days, None);
    assert_eq!(account.log_group("/hatchery/qa/audit").await.retention_in_days, Some(365));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_policy_are_in_the_log() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["fleet", "set", "max-databases=7"]).ok();
    let document = hatchery(&moto, &["activity", "--json"]).ok().json();
    let events = document["events"].as_array().unwrap();
    let of = |action: &str| events.iter().find(|event| event["action"] == action).unwrap().clone();
    let (created, changed) = (of("create-fleet"), of("change-policy"));
    assert_eq!((&created["who"], &created["target"]), (&"amy".into(), &"dev".into()));
    assert!(changed["reason"].as_str().unwrap().contains("max-databases: "), "{changed:#}");
    assert!(changed["reason"].as_str().unwrap().contains("→ 7"), "{changed:#}");
}

/// An event that AWS rejects is not in the log although the response is a success.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_event_is_reported() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let upstream = moto.address();
    let address = serve(move |request, mut client| {
        let answer = if request.header("x-amz-target").ends_with(".PutLogEvents") {
            let body = r#"{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0}}"#;
            response("200 OK", &[("Content-Type", "application/x-amz-json-1.1")], body)
        } else {
            request.forward(&upstream)?
        };
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    });
    let url = format!("http://{address}");
    let run: Run =
        command_through(&moto, &url).args(["fleet", "set", "max-databases=7"]).output().unwrap().into();
    let run = run.ok();
    assert!(run.err.contains("cannot write the audit log"), "{run:#?}");
    assert!(run.err.contains("more than two hours ahead of AWS's time"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_that_fails_half_way_is_in_the_log() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let url = proxy::start(Some(moto.address()), |action| {
        (action == "RestoreDBInstanceFromDBSnapshot")
            .then_some(("DBSubnetGroupNotFoundFault", "DB subnet group 'dev' not found."))
    });
    let run: Run = command_through(&moto, &url).args(["launch", "checkout-fix"]).output().unwrap().into();
    assert_ne!(run.code, 0, "{run:#?}");
    let document = hatchery(&moto, &["activity", "--json"]).ok().json();
    let events = document["events"].as_array().unwrap();
    let launch =
        events.iter().find(|event| event["action"] == "launch").unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!((&launch["outcome"], &launch["reason"]), (&"failed".into(), &"as checkout-fix".into()));
    assert!(launch["detail"].as_str().unwrap().contains("cannot restore hatchery-dev-1"), "{launch:#}");
}
