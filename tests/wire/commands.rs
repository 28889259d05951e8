//! What commands do beyond one request and its answer: they wait, follow, ask, and log.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::account::{Account, init};
use crate::support::binary::{Run, command, command_through, hatchery};
use crate::support::live_tail_server::LiveTailServer;
use crate::support::moto::Moto;
use crate::support::pty::Terminal;
use crate::support::running::{Running, send_signal};

/// A server with a fleet, and no pool.
async fn fleet() -> Moto {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    moto
}

fn launch_and_wait(moto: &Moto, arguments: &[&str]) -> Running {
    Running::start(command(moto).args(["launch", "--wait"]).args(arguments))
}

/// The id of an environment's instance, once it runs.
async fn instance_of(account: &Account<'_>, name: &str) -> String {
    let start = Instant::now();
    loop {
        let state = account.inspect().await;
        let found = state.active().into_iter().find(|instance| instance.tags["hatchery:name"] == name);
        if let Some(instance) = found {
            return instance.id.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{state:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_waits_until_ready() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    let mut text = launch_and_wait(&moto, &["checkout-fix"]);
    let json = launch_and_wait(&moto, &["login-throttle", "--json"]);
    text.wait_for("Launched dev-");
    let instances =
        [instance_of(&account, "checkout-fix").await, instance_of(&account, "login-throttle").await];
    for instance in &instances {
        account.set_phase(instance, "cluster").await;
    }
    // Longer than the time between two reads: a launch that did not wait for `ready` would have ended.
    tokio::time::sleep(Duration::from_secs(7)).await;
    for instance in &instances {
        account.set_phase(instance, "ready").await;
    }
    let text = text.wait_for_exit().ok();
    assert!(text.out.contains("is ready") && text.out.contains("http://"), "{text:#?}");
    assert!(text.err.contains("cluster"), "the progress is reported: {text:#?}");
    let document = json.wait_for_exit().ok().json();
    assert_eq!((&document["version"], &document["fleet"]), (&1.into(), &"dev".into()));
    assert_eq!(document["environment"]["name"], "login-throttle");
    assert_eq!(document["environment"]["state"], "ready");
    assert!(document["environment"]["urls"]["app"].is_string(), "{document:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_reports_a_failed_bootstrap() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    let running = launch_and_wait(&moto, &["checkout-fix"]);
    let instance = instance_of(&account, "checkout-fix").await;
    let detail = "minikube did not start within 10 minutes";
    let tag = aws_sdk_ec2::types::Tag::builder().key("hatchery:detail").value(detail).build();
    moto.ec2().await.create_tags().resources(&instance).tags(tag).send().await.unwrap();
    account.set_phase(&instance, "failed").await;
    let run = running.wait_for_exit();
    assert_eq!(run.code, 1, "{run:#?}");
    for part in ["dev-1", detail, "hatchery logs dev-1"] {
        assert!(run.err.contains(part), "{part:?} in {run:#?}");
    }
    assert!(!run.out.contains("ready"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_reports_a_termination_while_it_waits() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    let running = launch_and_wait(&moto, &["checkout-fix", "--json"]);
    instance_of(&account, "checkout-fix").await;
    hatchery(&moto, &["terminate", "dev-1", "--yes"]).ok();
    let run = running.wait_for_exit();
    assert_eq!((run.code, &run.json()["error"]["code"]), (1, &"failed".into()), "{run:#?}");
    assert!(run.err.contains("dev-1"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_prints_old_and_new_lines() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    account.ship_log("dev", "hatchery/dev/1", "bootstrap", &["minikube is up", "image pulled"]).await;
    account.ship_log("dev", "hatchery/dev/1", "payments", &["listening"]).await;
    let server = LiveTailServer::start_in_front_of(Some(moto.address()));
    server.refuse("AccessDeniedException");
    let follow = |arguments: &[&str]| {
        let mut command = command_through(&moto, &server.url());
        Running::start(command.args(["logs", "checkout-fix", "--follow"]).args(arguments))
    };
    let mut all = follow(&[]);
    let mut one_source = follow(&["--source", "bootstrap", "--json"]);
    all.wait_for("listening");
    one_source.wait_for("image pulled");
    account.ship_log("dev", "hatchery/dev/1", "search", &["indexed"]).await;
    put_line(
        &moto,
        &format!("{}/bootstrap", account.template_id("hatchery/dev/1").await),
        "all services answer",
    )
    .await;
    all.wait_for("all services answer");
    all.wait_for("indexed");
    one_source.wait_for("all services answer");
    all.interrupt();
    one_source.interrupt();

    let run = all.wait_for_exit();
    assert_eq!(run.code, 130, "{run:#?}");
    let says_mode =
        |run: &Run| run.err.lines().all(|line| line.starts_with("hatchery: following by polling"));
    assert!(says_mode(&run), "{run:#?}");
    for text in ["minikube is up", "image pulled", "listening", "indexed", "all services answer"] {
        assert_eq!(run.out.matches(text).count(), 1, "{text:?} in {run:#?}");
    }
    let run = one_source.wait_for_exit();
    assert!(run.code == 130 && says_mode(&run), "{run:#?}");
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<_> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["minikube is up", "image pulled", "all services answer"]);
    assert!(lines.iter().all(|line| line["version"] == 1 && line["source"] == "bootstrap"), "{lines:#?}");
}

/// Adds a line to a log stream that exists.
async fn put_line(moto: &Moto, stream: &str, line: &str) {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let event = aws_sdk_cloudwatchlogs::types::InputLogEvent::builder()
        .timestamp(now.timestamp_millis())
        .message(line)
        .build()
        .unwrap();
    let logs = moto.logs().await;
    let put = logs.put_log_events().log_group_name("/hatchery/dev/environments").log_stream_name(stream);
    put.log_events(event).send().await.unwrap();
}

/// The command in a pseudo-terminal, as a user of this name.
fn in_terminal(moto: &Moto, owner: &str, arguments: &[&str]) -> Terminal {
    let mut environment = moto.env();
    environment.push(("HATCHERY_OWNER".into(), owner.into()));
    Terminal::start(arguments, &environment, (110, 30))
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_asks_for_a_name_that_is_not_yours() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let before = account.inspect().await;

    // `yes` is enough for one's own only; the id is not the name; the empty line is the reflex.
    for wrong in ["yes", "dev-1", "checkout-fi", ""] {
        let mut terminal = in_terminal(&moto, "jo", &["terminate", "dev-1"]);
        terminal.wait_for("Type checkout-fix");
        terminal.send_keys(&format!("{wrong}\r"));
        assert_eq!(terminal.wait_for_exit(), 1, "{}", terminal.text());
        let after = account.inspect().await;
        assert_eq!((after.records, after.instances.len()), (before.records.clone(), 1), "after {wrong:?}");
        assert_eq!(after.databases, before.databases);
    }
    let mut terminal = in_terminal(&moto, "jo", &["terminate", "dev-1"]);
    terminal.wait_for("amy");
    terminal.wait_for("Type checkout-fix");
    terminal.send_keys("checkout-fix\r");
    assert_eq!(terminal.wait_for_exit(), 0, "{}", terminal.text());
    assert!(account.inspect().await.records["hatchery/dev/1"].contains_key("hatchery:terminate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_asks_for_yes_where_it_is_yours() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let before = account.inspect().await.records;
    let mut terminal = in_terminal(&moto, "amy", &["terminate", "checkout-fix"]);
    terminal.wait_for("Type yes");
    terminal.send_keys("n\r");
    assert_eq!(terminal.wait_for_exit(), 1, "{}", terminal.text());
    assert_eq!(account.inspect().await.records, before);
    let mut terminal = in_terminal(&moto, "amy", &["terminate", "checkout-fix"]);
    terminal.wait_for("Type yes");
    terminal.send_keys("yes\r");
    assert_eq!(terminal.wait_for_exit(), 0, "{}", terminal.text());
    assert!(account.inspect().await.records["hatchery/dev/1"].contains_key("hatchery:terminate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_without_a_terminal_needs_yes() {
    let moto = fleet().await;
    let account = Account::new(&moto).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let before = account.inspect().await.records;
    for owner in ["amy", "jo"] {
        // The right answer on a pipe is no confirmation: a script could have written it for the wrong environment.
        let mut process = command(&moto)
            .env("HATCHERY_OWNER", owner)
            .args(["terminate", "dev-1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The process may refuse before it reads.
        let _ = process.stdin.take().unwrap().write_all(b"checkout-fix\nyes\n");
        let run: Run = process.wait_with_output().unwrap().into();
        run.fails(2, &["dev-1", "--yes"]);
    }
    assert_eq!(account.inspect().await.records, before);
    hatchery(&moto, &["terminate", "dev-1", "--yes"]).ok();
    assert!(account.inspect().await.records["hatchery/dev/1"].contains_key("hatchery:terminate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_a_large_account_costs() {
    let moto = fleet().await;
    assert!(!hatchery(&moto, &["doctor"]).out.contains("each look at the databases"));
    let (rds, seed) = (moto.rds().await, moto.seed_of("dev"));
    for number in 0..101 {
        let restore = rds.restore_db_instance_from_db_snapshot();
        let restore = restore.db_instance_identifier(format!("other-{number}"));
        restore.db_snapshot_identifier(&seed.snapshot).send().await.unwrap();
    }
    let out = hatchery(&moto, &["doctor"]).out;
    assert!(out.contains("takes 2 requests, because RDS can only list all 102 DB instances"), "{out}");
}

/// Runs `ls` with a filter and returns what it has logged to a file of this name.
fn log_of_ls(moto: &Moto, file: &str, filter: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    let mut command = command(moto);
    command.args(["ls", "--log-file"]).arg(&path).envs(filter.map(|filter| ("HATCHERY_LOG", filter)));
    let run = Run::from(command.output().unwrap()).ok();
    assert_eq!(run.err, "", "the log is in the file only");
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn log_file_has_what_the_filter_admits() {
    let moto = fleet().await;
    let text = log_of_ls(&moto, "hatchery.log", Some("hatchery=debug"));
    let call =
        text.lines().find(|line| line.contains("DescribeInstances")).unwrap_or_else(|| panic!("{text}"));
    assert!(call.contains("DEBUG hatchery::cloud::aws::call: call operation="), "{call}");
    assert!(!text.contains('\u{1b}'), "no colours in a file: {text}");

    let json = log_of_ls(&moto, "hatchery.json", Some("hatchery=debug"));
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let call = lines.iter().find(|line| line["fields"]["operation"] == "DescribeInstances").unwrap();
    assert_eq!((&call["level"], &call["target"]), (&"DEBUG".into(), &"hatchery::cloud::aws::call".into()));
    assert!(call["timestamp"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());

    // By default there is no debug output, and `off` is nothing at all.
    assert!(!log_of_ls(&moto, "hatchery.log", None).contains("DEBUG"));
    assert_eq!(log_of_ls(&moto, "hatchery.log", Some("off")), "");
    let other = log_of_ls(&moto, "hatchery.log", Some("hatchery::cloud=error,aws_smithy_runtime=trace"));
    assert!(other.contains("aws_smithy_runtime") && !other.contains("hatchery::cloud"), "{other}");
}

#[tokio::test]
async fn log_file_has_the_engine_steps_and_is_appended_to() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.json");
    let name = path.to_str().unwrap();
    std::fs::write(&path, "{\"earlier\":true}\n").unwrap();
    hatchery(&moto, &["engine", "--once", "--log-file", name]).ok();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["earlier"], true, "{text}");
    let step =
        lines.iter().find(|line| line["fields"]["message"] == "step").unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&step["level"], &step["fields"]["action"]), (&"INFO".into(), &"create-database".into()));
}

#[tokio::test]
async fn bad_log_options_are_usage_errors() {
    let moto = fleet().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hatchery.log");
    let name = path.to_str().unwrap();
    let run = |filter: &str, file: &str| -> Run {
        let mut command = command(&moto);
        command.env("HATCHERY_LOG", filter).args(["ls", "--log-file", file]).output().unwrap().into()
    };
    run("hatchery=loud", name).fails(2, &["HATCHERY_LOG", "hatchery=loud"]);
    run("hatchery=debug,=,", name).fails(2, &["HATCHERY_LOG"]);
    let nowhere = folder.path().join("missing").join("hatchery.log");
    let nowhere = nowhere.to_str().unwrap();
    run("info", nowhere).fails(2, &[nowhere, "--log-file"]);
    // Without a log there is nothing to filter, and nothing on stderr.
    let quiet: Run = command(&moto).env("HATCHERY_LOG", "trace").arg("ls").output().unwrap().into();
    assert_eq!(quiet.ok().err, "");
}

/// Starts a headless engine, and waits until it has filled the pool.
async fn start_engine(moto: &Moto) -> Running {
    init(moto, "dev", &["--spare", "1"]).await;
    let account = Account::new(moto).await;
    let engine = Running::start(command(moto).arg("engine"));
    let start = Instant::now();
    while account.inspect().await.free() < 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "the engine creates no database");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    engine
}

/// As service managers end it.
#[tokio::test]
async fn sigterm_ends_the_headless_engine() {
    let moto = Moto::start();
    let engine = start_engine(&moto).await;
    send_signal("TERM", engine.pid());
    assert_eq!(engine.wait_for_exit().code, 0);
}

#[tokio::test]
async fn headless_engine_logs_to_stderr() {
    let moto = Moto::start();
    let engine = start_engine(&moto).await;
    // The step is logged after its call has been answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.interrupt();
    let run = engine.wait_for_exit();
    assert_eq!((run.code, run.out.as_str()), (130, ""), "{run:#?}");
    assert!(run.err.contains("INFO hatchery::engine::act: step action=\"create-database\""), "{run:#?}");
}
