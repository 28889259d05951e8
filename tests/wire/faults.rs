//! Lifecycles over a faulty network: microburst, between the binary and an emulator, throttles, fails, delays, resets and loses
//! responses of every operation. The tests assert what the emulator itself returns.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::account::{Account, State, init, init_arguments};
use crate::support::binary::{Run, command_through, hatchery};
use crate::support::emulator::Emulator;
use crate::support::emulators::EmulatorKind;
use crate::support::microburst::{Call, Fault, Microburst, Schedule};
use crate::support::moto::Moto;

use Fault::{
    AccessDenied, Delayed, GatewayTimeout, InternalError, PassThrough, Reset, ResponseLost,
    ResponseTruncated, Slow, Throttled, Unavailable,
};

/// Errors and slow responses. The first call of each operation exhausts the SDK's three attempts; later faults are rarer, so
/// that the lifecycle completes.
const ERRORS: [Fault; 12] = [
    Throttled,
    InternalError,
    GatewayTimeout,
    Slow,
    PassThrough,
    PassThrough,
    PassThrough,
    Throttled,
    PassThrough,
    Slow,
    PassThrough,
    InternalError,
];

/// Lost requests and lost responses. The first call of each operation exhausts the SDK's attempts here too.
const LOST_RESPONSES: [Fault; 12] = [
    Reset,
    ResponseLost,
    ResponseTruncated,
    PassThrough,
    PassThrough,
    PassThrough,
    ResponseLost,
    PassThrough,
    Reset,
    PassThrough,
    ResponseTruncated,
    PassThrough,
];

/// Requests of a call that pass through before its faults repeat.
const PAUSE: usize = 20;

/// Every kind of fault, on one request in three.
const ALL_FAULTS: [Fault; 24] = [
    Throttled,
    PassThrough,
    PassThrough,
    ResponseLost,
    PassThrough,
    PassThrough,
    InternalError,
    PassThrough,
    PassThrough,
    Reset,
    PassThrough,
    PassThrough,
    Slow,
    PassThrough,
    PassThrough,
    ResponseTruncated,
    PassThrough,
    PassThrough,
    GatewayTimeout,
    PassThrough,
    PassThrough,
    Unavailable,
    PassThrough,
    PassThrough,
];

/// Every AWS call of a lifecycle from `fleet init` to an idle fleet.
const CALLS: [Call; 26] = [
    every("ec2", "DescribeTags"),
    every("ec2", "DescribeLaunchTemplates"),
    every("ec2", "DescribeLaunchTemplateVersions"),
    every("ec2", "DescribeInstances"),
    every("ec2", "DescribeImages"),
    every("ec2", "DescribeSubnets"),
    every("ec2", "DescribeSecurityGroups"),
    every("ec2", "DescribeInstanceTypeOfferings"),
    // The dry run of `fleet init`, and launches.
    filtered("ec2", "RunInstances", "DryRun"),
    filtered("ec2", "RunInstances", "!DryRun"),
    // The fleet, and records.
    filtered("ec2", "CreateLaunchTemplate", "LaunchTemplateName == 'hatchery/dev'"),
    filtered("ec2", "CreateLaunchTemplate", "LaunchTemplateName != 'hatchery/dev'"),
    every("ec2", "DeleteLaunchTemplate"),
    every("ec2", "CreateTags"),
    every("ec2", "DeleteTags"),
    every("ec2", "TerminateInstances"),
    every("rds", "DescribeDBInstances"),
    every("rds", "DescribeDBSnapshots"),
    every("rds", "DescribeDBSubnetGroups"),
    every("rds", "RestoreDBInstanceFromDBSnapshot"),
    every("rds", "AddTagsToResource"),
    every("rds", "DeleteDBInstance"),
    every("logs", "PutLogEvents"),
    every("logs", "CreateLogStream"),
    every("logs", "CreateLogGroup"),
    every("logs", "FilterLogEvents"),
];

const fn every(service: &'static str, operation: &'static str) -> Call {
    Call { service, operation, filter: None }
}

const fn filtered(service: &'static str, operation: &'static str, filter: &'static str) -> Call {
    Call { service, operation, filter: Some(filter) }
}

fn schedule(faults: &[Fault]) -> Schedule {
    CALLS.iter().map(|call| (*call, faults.iter().copied().chain([PassThrough; PAUSE]).collect())).collect()
}

/// An account behind a faulty network.
struct FaultyNetwork<'e> {
    emulator: &'e Emulator,
    account: Account<'e>,
    microburst: Microburst,
}

impl<'e> FaultyNetwork<'e> {
    async fn new(emulator: &'e Emulator) -> Self {
        let microburst = Microburst::start(&emulator.url());
        Self { emulator, account: Account::new(emulator).await, microburst }
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        run(self.emulator, &self.microburst, arguments).await
    }

    /// Runs a command until it succeeds, at most 12 times; returns the number of failures too.
    async fn retry(&self, arguments: &[&str]) -> (Run, u32) {
        for failed in 0..12 {
            let run = self.run(arguments).await;
            if run.code == 0 {
                return (run, failed);
            }
            assert_clear_failure(&run);
        }
        panic!("{arguments:?} failed 12 times");
    }

    /// Runs single passes of the engine until the condition is true; checks the account before each.
    async fn run_engine_until(&self, condition: &str, is_true: impl Fn(&State) -> bool) {
        let mut last = None;
        for _ in 0..40 {
            let state = self.account.inspect().await;
            assert_nothing_shared(&state);
            if is_true(&state) {
                return;
            }
            let run = self.run(&["engine", "--once", "--json"]).await;
            if run.code != 0 {
                assert_clear_failure(&run);
            }
            last = Some(run);
        }
        panic!("never true: {condition}; {:#?}; the last pass: {last:#?}", self.account.inspect().await);
    }

    /// Asserts that each call met the faults of its schedule, that each kind of fault was met, and that the schedule covers
    /// every call.
    ///
    /// A request that was applied although its response was lost need not be repeated: on a slow machine the command ends
    /// before the SDK's next attempt, and the next command finds the work done. So a call may miss the faults after that.
    #[track_caller]
    fn assert_all_faults_met(&self, schedule: &Schedule) {
        let met = self.microburst.fault_counts(schedule);
        let is_met = |call: Call, fault: Fault| fault == PassThrough || met[&(call, fault)] > 0;
        for (call, faults) in schedule {
            let applied = |fault: &Fault| matches!(fault, ResponseLost | ResponseTruncated);
            let required = faults.iter().position(applied).map_or(faults.len(), |first| first + 1);
            for fault in &faults[..required] {
                assert!(is_met(*call, *fault), "{call:?} did not meet {fault:?}: {met:#?}");
            }
            for fault in faults {
                assert!(schedule.iter().any(|(call, _)| is_met(*call, *fault)), "no call met {fault:?}");
            }
        }
        // `fleet set` asks for the database classes, and the retention is set once: too seldom to meet every fault.
        let mut unscheduled = self.microburst.unscheduled();
        unscheduled.retain(|call| {
            !["DescribeOrderableDBInstanceOptions", "PutRetentionPolicy"].contains(&call.as_str())
        });
        assert_eq!(unscheduled, Vec::<String>::new());
    }
}

/// Runs the binary on a blocking thread, because it spends most of its time in the backoff between retries.
async fn run(emulator: &Emulator, microburst: &Microburst, arguments: &[&str]) -> Run {
    let mut command = command_through(emulator, &microburst.url());
    if arguments[0] != "fleet" {
        command.args(["--fleet", "dev"]);
    }
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

/// Asserts that a failed command prints full sentences and exits with 1, not with a code for user errors.
#[track_caller]
fn assert_clear_failure(run: &Run) {
    assert_eq!(run.code, 1, "{run:#?}");
    let lines: Vec<_> = run.err.lines().collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("hatchery: ")), "{run:#?}");
    // What failed and why, then what to do next.
    let last = lines.last().unwrap();
    assert!(last.contains("cannot ") && last.contains("; "), "{run:#?}");
    assert!(!run.err.contains("panicked") && !run.err.contains("SdkError"), "{run:#?}");
    if !run.out.is_empty() {
        let document = run.json();
        let error = &document["error"];
        let is_error = error["code"].is_string() && error["message"].is_string();
        // A pass that failed in part has its report.
        assert!(is_error || document["steps"].is_array(), "{run:#?}");
    }
}

/// Asserts that no record has two instances and no database two environments. Terminated instances count too: moto lists
/// them forever.
#[track_caller]
fn assert_nothing_shared(state: &State) {
    let of =
        |key: &str| -> Vec<&String> { state.instances.iter().map(|instance| &instance.tags[key]).collect() };
    for key in ["aws:ec2launchtemplate:id", "hatchery:database"] {
        let all = of(key);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{key}: {state:#?}");
    }
    let claimed: Vec<_> =
        state.databases.values().filter_map(|tags| tags.get("hatchery:environment")).collect();
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), claimed.len(), "{state:#?}");
    for (database, tags) in &state.databases {
        if let Some(environment) = tags.get("hatchery:environment") {
            assert_eq!(*database, format!("hatchery-{environment}"), "{state:#?}");
        }
    }
}

/// Asserts that the record of a confirmed launch exists and is not ending.
#[track_caller]
fn assert_launched(state: &State, id: &str, name: &str) {
    let record = &state.records[&format!("hatchery/{}", id.replace('-', "/"))];
    assert_eq!((record["hatchery:environment"].as_str(), record["hatchery:name"].as_str()), (id, name));
    assert!(
        !record.contains_key("hatchery:terminate") && !record.contains_key("hatchery:failure"),
        "{record:#?}"
    );
}

#[rstest]
#[case::errors_of_moto(EmulatorKind::Moto, &ERRORS)]
#[case::lost_responses_of_moto(EmulatorKind::Moto, &LOST_RESPONSES)]
#[case::errors_of_ministack(EmulatorKind::Ministack, &ERRORS)]
#[case::lost_responses_of_ministack(EmulatorKind::Ministack, &LOST_RESPONSES)]
#[tokio::test]
async fn lifecycle_survives_a_faulty_network(#[case] kind: EmulatorKind, #[case] faults: &[Fault]) {
    let emulator = kind.start_with_write_lag();
    let seed = emulator.seed("dev").await;
    let network = FaultyNetwork::new(&emulator).await;
    let schedule = schedule(faults);
    network.microburst.set(&schedule);

    let init = init_arguments(&seed, "dev", &["--spare", "1", "--grace", "1m"]);
    network.retry(&init.iter().map(String::as_str).collect::<Vec<_>>()).await;
    network.retry(&["fleet", "set", "max-lifetime="]).await;
    network.run_engine_until("the pool is full", |state| state.free() == 1).await;

    let launched =
        network.retry(&["launch", "checkout-fix", "--service", "payments=f-123", "--json"]).await.0.json();
    let id = launched["environment"]["id"].as_str().unwrap().to_owned();
    assert_launched(&network.account.inspect().await, &id, "checkout-fix");
    let instance_id = |state: &State| {
        let belongs =
            |instance: &&crate::support::account::Ec2Instance| instance.tags["hatchery:environment"] == id;
        state.active().into_iter().find(belongs).map(|instance| instance.id.clone())
    };
    network
        .run_engine_until("the environment has its instance and its database", |state| {
            let database = state.databases.get(&format!("hatchery-{id}"));
            instance_id(state).is_some()
                && database.is_some_and(|tags| tags.get("hatchery:environment") == Some(&id))
        })
        .await;
    let instance = instance_id(&network.account.inspect().await).unwrap();
    network.account.set_phase(&instance, "ready").await;
    let listed = network.retry(&["ls", "--json"]).await.0.json();
    let environments = listed["environments"].as_array().unwrap();
    let listed = environments.iter().find(|environment| environment["id"] == *id).unwrap();
    assert_eq!((&listed["name"], &listed["services"]["payments"]), (&"checkout-fix".into(), &"f-123".into()));

    // A failed extension may have been written nevertheless; the one that succeeded was.
    let record = format!("hatchery/{}", id.replace('-', "/"));
    let expiry = |state: &State| -> chrono::DateTime<chrono::Utc> {
        state.records[&record]["hatchery:expires-at"].parse().unwrap()
    };
    let before = expiry(&network.account.inspect().await);
    let (extended, failed) = network.retry(&["extend", &id, "--by", "1h", "--json"]).await;
    let after = expiry(&network.account.inspect().await);
    assert_eq!(extended.json()["expires_at"].as_str().unwrap().parse(), Ok(after));
    let hours = (after - before).num_hours();
    assert!((1..=1 + i64::from(failed)).contains(&hours), "{hours} h after {failed} failures");

    network.account.ship_log("dev", &record, "bootstrap", &["minikube is up"]).await;
    let logs = network.retry(&["logs", &id, "--since", "1h"]).await.0;
    assert!(logs.out.contains("minikube is up"), "{logs:#?}");

    // Failed launches may have left environments, which are listed and terminated too.
    let listed = network.retry(&["ls", "--json"]).await.0.json();
    for environment in listed["environments"].as_array().unwrap() {
        network.retry(&["terminate", environment["id"].as_str().unwrap(), "--yes"]).await;
    }
    network.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    network.assert_all_faults_met(&schedule);
    // Only the process that creates the group sets its retention, and that request may have failed.
    let group = network.account.log_group("/hatchery/dev/audit").await;
    assert!(group.retention_in_days().is_none_or(|days| days == 365), "{group:?}");
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn concurrent_launches_survive_a_faulty_network(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    init(&emulator, "dev", &["--spare", "2"]).await;
    let network = FaultyNetwork::new(&emulator).await;
    network.account.run_engine_until("the pool is full", |state| state.free() == 2).await;
    let schedule = schedule(&ALL_FAULTS);
    network.microburst.set(&schedule);

    let children: Vec<_> = (0..5)
        .map(|n| {
            let name = format!("race-{n}");
            let mut command = command_through(&emulator, &network.microburst.url());
            command.args(["launch", &name, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            (name, command.spawn().unwrap())
        })
        .collect();
    let mut launched = BTreeMap::new();
    for (name, child) in children {
        let run = Run::from(child.wait_with_output().unwrap());
        if run.code == 0 {
            launched.insert(run.json()["environment"]["id"].as_str().unwrap().to_owned(), name);
        } else {
            assert_clear_failure(&run);
        }
    }
    assert!(launched.len() >= 2, "{launched:?}");
    let state = network.account.inspect().await;
    assert_nothing_shared(&state);
    for (id, name) in &launched {
        assert_launched(&state, id, name);
    }
    let has_instance = |state: &State, id: &str| {
        state.active().iter().any(|instance| instance.tags["hatchery:environment"] == id)
    };
    network
        .run_engine_until("every confirmed launch has an instance", |state| {
            launched.keys().all(|id| has_instance(state, id))
        })
        .await;

    let listed = network.retry(&["ls", "--json"]).await.0.json();
    for environment in listed["environments"].as_array().unwrap() {
        network.retry(&["terminate", environment["id"].as_str().unwrap(), "--yes"]).await;
    }
    network.run_engine_until("only the spares are left", |state| state.is_at_rest(2)).await;
    let met = network.microburst.fault_counts(&schedule);
    let kinds: BTreeSet<_> =
        met.iter().filter(|(_, times)| **times > 0).map(|((_, fault), _)| *fault).collect();
    assert_eq!(kinds, BTreeSet::from(ALL_FAULTS));
    assert_eq!(network.microburst.unscheduled(), Vec::<String>::new());
}

/// The client's time-outs are ten seconds an attempt, and five for deletions, which need a fresh read.
#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn request_applied_after_its_timeout_runs_once(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    init(&emulator, "dev", &["--spare", "1"]).await;
    let network = FaultyNetwork::new(&emulator).await;
    network.account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    let late = |operation, after| {
        let service = if operation == "DeleteDBInstance" { "rds" } else { "ec2" };
        let mut turns = vec![PassThrough; 40];
        turns[0] = Delayed(Duration::from_millis(after));
        (every(service, operation), turns)
    };
    let schedule: Schedule = vec![
        late("CreateLaunchTemplate", 10_500),
        late("RunInstances", 10_500),
        late("TerminateInstances", 5_500),
        late("DeleteDBInstance", 5_500),
        late("DeleteLaunchTemplate", 5_500),
    ];
    network.microburst.set(&schedule);

    let launched = network.run(&["launch", "patient", "--json"]).await.ok().json();
    let id = launched["environment"]["id"].as_str().unwrap();
    assert_launched(&network.account.inspect().await, id, "patient");
    network.run_engine_until("the pool is full again", |state| state.free() == 1).await;
    network.run(&["terminate", id, "--yes"]).await.ok();
    network.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    for ((call, fault), times) in network.microburst.fault_counts(&schedule) {
        assert!(times > 0 || fault == PassThrough, "{call:?}");
    }
}

/// EC2 launches once per `ClientToken`; a retried `RunInstances` may launch a second instance where it is ignored.
#[tokio::test]
async fn surplus_instance_of_a_record_is_terminated() {
    let moto = Moto::start_with(&json!({ "honours_tokens": false }));
    init(&moto, "dev", &["--spare", "0"]).await;
    let account = Account::new(&moto).await;
    let microburst = Microburst::start(&moto.url());
    let schedule =
        vec![(every("ec2", "RunInstances"), vec![ResponseLost, PassThrough, PassThrough, PassThrough])];
    microburst.set(&schedule);
    run(&moto, &microburst, &["launch", "twin"]).await.ok();
    assert_eq!(microburst.fault_counts(&schedule)[&(every("ec2", "RunInstances"), ResponseLost)], 1);
    let launched = account.inspect().await.instances;
    assert_eq!(launched.len(), 2, "{launched:#?}");

    account.run_engine_until("one of them is left", |state| state.active().len() == 1).await;
    let recorded = &account.inspect().await.records["hatchery/dev/1"]["hatchery:instance"];
    assert_eq!(account.inspect().await.active()[0].id, *recorded);
    hatchery(&moto, &["terminate", "twin", "--yes"]).ok();
    account.run_engine_until("nothing is left", |state| state.is_at_rest(0)).await;
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn failed_audit_write_is_reported(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    init(&emulator, "dev", &["--spare", "0"]).await;
    let microburst = Microburst::start(&emulator.url());
    microburst.set(&vec![(every("logs", "PutLogEvents"), vec![AccessDenied])]);
    for arguments in [&["launch", "quiet"][..], &["engine", "--once"], &["terminate", "quiet", "--yes"]] {
        let run = run(&emulator, &microburst, arguments).await.ok();
        assert!(
            run.err.contains("cannot write the audit log: PutLogEvents: You are not authorized"),
            "{run:#?}"
        );
    }
}
