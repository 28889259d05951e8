//! The life of environments over a bad wire: microburst between the binary and moto throttles, breaks, delays, resets and
//! loses answers on every operation. What is asserted is what moto says when it is asked directly.
//!
//! Where moto differs from AWS and the tests follow AWS: a `ClientToken` means something (see
//! [`proxy::honouring_tokens`]), but for the one test that is about what happens where it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use crate::support::account::{Account, State, init, init_arguments};
use crate::support::binary::{Run, command_through, hatchery};
use crate::support::microburst::{Call, Fault, Microburst, Schedule};
use crate::support::moto::Moto;
use crate::support::proxy;

use Fault::{Broken, Denied, Halved, Late, Lost, Nothing, Reset, Slow, Throttled, TimedOut, Unavailable};

/// AWS says no, or takes its time. The first call of each operation fails for good, since the SDK asks three times; what
/// comes later is rarer, so that the story has an end.
const REFUSALS: [Fault; 12] =
    [Throttled, Broken, TimedOut, Slow, Nothing, Nothing, Nothing, Throttled, Nothing, Slow, Nothing, Broken];

/// What is asked for is done or not, and nobody hears of it. Again the first call of each operation fails for good.
const SILENCE: [Fault; 12] =
    [Reset, Lost, Halved, Nothing, Nothing, Nothing, Lost, Nothing, Reset, Nothing, Halved, Nothing];

/// How many requests of a call go through before its faults begin again.
const CALM: usize = 20;

/// Every kind, one request in three.
const ALL: [Fault; 24] = [
    Throttled,
    Nothing,
    Nothing,
    Lost,
    Nothing,
    Nothing,
    Broken,
    Nothing,
    Nothing,
    Reset,
    Nothing,
    Nothing,
    Slow,
    Nothing,
    Nothing,
    Halved,
    Nothing,
    Nothing,
    TimedOut,
    Nothing,
    Nothing,
    Unavailable,
    Nothing,
    Nothing,
];

/// Every call of the story: a life from `fleet init` to rest.
const STORY: [Call; 28] = [
    every("ec2", "DescribeTags"),
    every("ec2", "DescribeLaunchTemplates"),
    every("ec2", "DescribeLaunchTemplateVersions"),
    every("ec2", "DescribeInstances"),
    every("ec2", "DescribeImages"),
    every("ec2", "DescribeSubnets"),
    every("ec2", "DescribeSecurityGroups"),
    every("ec2", "DescribeInstanceTypeOfferings"),
    // The rehearsal and the real one.
    some("ec2", "RunInstances", "DryRun"),
    some("ec2", "RunInstances", "!DryRun"),
    // The fleet and the records.
    some("ec2", "CreateLaunchTemplate", "LaunchTemplateName == 'hatchery/dev'"),
    some("ec2", "CreateLaunchTemplate", "LaunchTemplateName != 'hatchery/dev'"),
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
    every("logs", "DescribeLogGroups"),
    every("logs", "CreateLogStream"),
    every("logs", "CreateLogGroup"),
    every("logs", "PutRetentionPolicy"),
    every("logs", "FilterLogEvents"),
];

const fn every(service: &'static str, operation: &'static str) -> Call {
    Call { service, operation, only: None }
}

const fn some(service: &'static str, operation: &'static str, only: &'static str) -> Call {
    Call { service, operation, only: Some(only) }
}

fn schedule(faults: &[Fault]) -> Schedule {
    STORY.iter().map(|call| (*call, faults.iter().copied().chain([Nothing; CALM]).collect())).collect()
}

/// A person, a wire and an account.
struct Wire<'m> {
    moto: &'m Moto,
    account: Account<'m>,
    microburst: Microburst,
}

impl<'m> Wire<'m> {
    async fn to(moto: &'m Moto) -> Self {
        let upstream = proxy::honouring_tokens(moto.address());
        Self { moto, account: Account::of(moto).await, microburst: Microburst::start(&upstream) }
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        run(self.moto, &self.microburst, arguments).await
    }

    /// Tries a command as a person would: again, while it says clearly why it did not work. Also how often it did not.
    async fn insist(&self, arguments: &[&str]) -> (Run, u32) {
        for failed in 0..12 {
            let run = self.run(arguments).await;
            if run.code == 0 {
                return (run, failed);
            }
            tells(&run);
        }
        panic!("{arguments:?} never works");
    }

    /// Runs single passes of the engine until this holds, and looks at the account before each.
    async fn engine_until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut last = None;
        for _ in 0..40 {
            let state = self.account.look().await;
            shares_nothing(&state);
            if holds(&state) {
                return;
            }
            let run = self.run(&["engine", "--once", "--json"]).await;
            if run.code != 0 {
                tells(&run);
            }
            last = Some(run);
        }
        panic!("never came true: {what}; {:#?}; the last pass: {last:#?}", self.account.look().await);
    }

    /// Each call of the schedule has met all that was in store for it, and nothing was called that is not in it.
    #[track_caller]
    fn has_met(&self, schedule: &Schedule) {
        let missed: Vec<_> = self
            .microburst
            .met(schedule)
            .into_iter()
            .filter(|((_, fault), times)| *fault != Nothing && *times == 0)
            .collect();
        assert!(missed.is_empty(), "{missed:#?}");
        assert_eq!(self.microburst.unscheduled(), Vec::<String>::new());
    }
}

/// Runs the binary to its end. Others run meanwhile: most of the time goes into waiting before asking again.
async fn run(moto: &Moto, microburst: &Microburst, arguments: &[&str]) -> Run {
    let mut command = command_through(moto, &microburst.url());
    if arguments[0] != "fleet" {
        command.args(["--fleet", "dev"]);
    }
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

/// A command that fails says so in clear sentences, and by an exit code that is not about its user.
#[track_caller]
fn tells(run: &Run) {
    assert_eq!(run.code, 1, "{run:#?}");
    let said: Vec<_> = run.err.lines().collect();
    assert!(!said.is_empty() && said.iter().all(|line| line.starts_with("hatchery: ")), "{run:#?}");
    // What failed, why, and what to do.
    let last = said.last().unwrap();
    assert!(last.contains("cannot ") && last.contains("; "), "{run:#?}");
    assert!(!run.err.contains("panicked") && !run.err.contains("SdkError"), "{run:#?}");
    if !run.out.is_empty() {
        let error = &run.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{run:#?}");
    }
}

/// At no time does a record have two instances, or a database two users. Instances that have ended count as well: moto
/// lists them for good.
#[track_caller]
fn shares_nothing(state: &State) {
    let of =
        |key: &str| -> Vec<&String> { state.machines.iter().map(|machine| &machine.tags[key]).collect() };
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

/// A launch that was confirmed exists: its record stands, and its database is its own or on its way.
#[track_caller]
fn exists(state: &State, id: &str, name: &str) {
    let record = &state.records[&format!("hatchery/{}", id.replace('-', "/"))];
    assert_eq!((record["hatchery:environment"].as_str(), record["hatchery:name"].as_str()), (id, name));
    assert!(
        !record.contains_key("hatchery:terminate") && !record.contains_key("hatchery:failure"),
        "{record:#?}"
    );
}

async fn live_through(faults: &[Fault]) {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let wire = Wire::to(&moto).await;
    let schedule = schedule(faults);
    wire.microburst.set(&schedule);

    let init = init_arguments(&seed, "dev", &["--spare", "1", "--grace", "1m"]);
    wire.insist(&init.iter().map(String::as_str).collect::<Vec<_>>()).await;
    wire.insist(&["fleet", "set", "max-lifetime="]).await;
    wire.engine_until("the pool is full", |state| state.free() == 1).await;

    let launched =
        wire.insist(&["launch", "checkout-fix", "--service", "payments=f-123", "--json"]).await.0.json();
    let id = launched["environment"]["id"].as_str().unwrap().to_owned();
    exists(&wire.account.look().await, &id, "checkout-fix");
    let own = |state: &State| {
        let of = |machine: &&crate::support::account::Machine| machine.tags["hatchery:environment"] == id;
        state.alive().into_iter().find(of).map(|machine| machine.id.clone())
    };
    wire.engine_until("it has its instance and its database", |state| {
        let database = state.databases.get(&format!("hatchery-{id}"));
        own(state).is_some() && database.is_some_and(|tags| tags.get("hatchery:environment") == Some(&id))
    })
    .await;
    let instance = own(&wire.account.look().await).unwrap();
    wire.account.say_phase(&instance, "ready").await;
    let listed = wire.insist(&["ls", "--json"]).await.0.json();
    let environments = listed["environments"].as_array().unwrap();
    let listed = environments.iter().find(|environment| environment["id"] == *id).unwrap();
    assert_eq!((&listed["name"], &listed["services"]["payments"]), (&"checkout-fix".into(), &"f-123".into()));

    // An extension that failed may have been written or not; the one that did not fail was.
    let record = format!("hatchery/{}", id.replace('-', "/"));
    let expiry = |state: &State| -> chrono::DateTime<chrono::Utc> {
        state.records[&record]["hatchery:expires-at"].parse().unwrap()
    };
    let before = expiry(&wire.account.look().await);
    let (extended, failed) = wire.insist(&["extend", &id, "--by", "1h", "--json"]).await;
    let after = expiry(&wire.account.look().await);
    assert_eq!(extended.json()["expires_at"].as_str().unwrap().parse(), Ok(after));
    let hours = (after - before).num_hours();
    assert!((1..=1 + i64::from(failed)).contains(&hours), "{hours} h after {failed} failures");

    wire.account.ship_log("dev", &record, "bootstrap", &["minikube is up"]).await;
    let logs = wire.insist(&["logs", &id, "--since", "1h"]).await.0;
    assert!(logs.out.contains("minikube is up"), "{logs:#?}");

    // Whatever else came of launches that failed is listed, and ended like the one that did not.
    let listed = wire.insist(&["ls", "--json"]).await.0.json();
    for environment in listed["environments"].as_array().unwrap() {
        wire.insist(&["terminate", environment["id"].as_str().unwrap(), "--yes"]).await;
    }
    wire.engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    wire.has_met(&schedule);
    // Nothing is half-made: what could not be done at first was done later.
    let group = wire.account.log_group("/hatchery/dev/audit").await;
    assert_eq!(group.retention_in_days(), Some(365));
}

#[tokio::test]
async fn lives_over_a_bad_wire_leave_nothing_behind() {
    tokio::join!(live_through(&REFUSALS), live_through(&SILENCE));
}

#[tokio::test]
async fn launches_at_once_over_a_bad_wire_share_nothing_and_lose_nothing() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "2"]).await;
    let wire = Wire::to(&moto).await;
    wire.account.engine_until("the pool is full", |state| state.free() == 2).await;
    let schedule = schedule(&ALL);
    wire.microburst.set(&schedule);

    let children: Vec<_> = (0..5)
        .map(|n| {
            let name = format!("race-{n}");
            let mut command = command_through(&moto, &wire.microburst.url());
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
            tells(&run);
        }
    }
    assert!(launched.len() >= 2, "{launched:?}");
    let state = wire.account.look().await;
    shares_nothing(&state);
    for (id, name) in &launched {
        exists(&state, id, name);
    }
    let has_instance = |state: &State, id: &str| {
        state.alive().iter().any(|machine| machine.tags["hatchery:environment"] == id)
    };
    wire.engine_until("all that were launched run", |state| {
        launched.keys().all(|id| has_instance(state, id))
    })
    .await;

    let listed = wire.insist(&["ls", "--json"]).await.0.json();
    for environment in listed["environments"].as_array().unwrap() {
        wire.insist(&["terminate", environment["id"].as_str().unwrap(), "--yes"]).await;
    }
    wire.engine_until("only the spares are left", |state| state.is_at_rest(2)).await;
    let met = wire.microburst.met(&schedule);
    let kinds: BTreeSet<_> =
        met.iter().filter(|(_, times)| **times > 0).map(|((_, fault), _)| *fault).collect();
    assert_eq!(kinds, BTreeSet::from(ALL));
    assert_eq!(wire.microburst.unscheduled(), Vec::<String>::new());
}

/// The client's own time-outs: ten seconds an attempt, and five for what is taken away after a last look.
#[tokio::test]
async fn what_is_done_after_everybody_has_given_up_waiting_is_done_once() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "1"]).await;
    let wire = Wire::to(&moto).await;
    wire.account.engine_until("the pool is full", |state| state.free() == 1).await;
    let late = |operation, after| {
        let service = if operation == "DeleteDBInstance" { "rds" } else { "ec2" };
        let mut turns = vec![Nothing; 40];
        turns[0] = Late(Duration::from_millis(after));
        (every(service, operation), turns)
    };
    let schedule: Schedule = vec![
        late("CreateLaunchTemplate", 10_500),
        late("RunInstances", 10_500),
        late("TerminateInstances", 5_500),
        late("DeleteDBInstance", 5_500),
        late("DeleteLaunchTemplate", 5_500),
    ];
    wire.microburst.set(&schedule);

    let launched = wire.run(&["launch", "patient", "--json"]).await.ok().json();
    let id = launched["environment"]["id"].as_str().unwrap();
    exists(&wire.account.look().await, id, "patient");
    wire.engine_until("the pool is full again", |state| state.free() == 1).await;
    wire.run(&["terminate", id, "--yes"]).await.ok();
    wire.engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
    for ((call, fault), times) in wire.microburst.met(&schedule) {
        assert!(times > 0 || fault == Nothing, "{call:?}");
    }
}

/// moto without its guard: whoever asks again gets another instance, as AWS gives none where the token holds.
#[tokio::test]
async fn of_two_instances_for_one_record_one_stays() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let account = Account::of(&moto).await;
    let microburst = Microburst::start(&moto.url());
    let schedule = vec![(every("ec2", "RunInstances"), vec![Lost, Nothing, Nothing, Nothing])];
    microburst.set(&schedule);
    run(&moto, &microburst, &["launch", "twin"]).await.ok();
    assert_eq!(microburst.met(&schedule)[&(every("ec2", "RunInstances"), Lost)], 1);
    let born = account.look().await.machines;
    assert_eq!(born.len(), 2, "{born:#?}");

    account.engine_until("one of them is left", |state| state.alive().len() == 1).await;
    let noted = &account.look().await.records["hatchery/dev/1"]["hatchery:instance"];
    assert_eq!(account.look().await.alive()[0].id, *noted);
    hatchery(&moto, &["terminate", "twin", "--yes"]).ok();
    account.engine_until("nothing is left", |state| state.is_at_rest(0)).await;
}

#[tokio::test]
async fn what_cannot_be_logged_is_said() {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0"]).await;
    let microburst = Microburst::start(&moto.url());
    microburst.set(&vec![(every("logs", "PutLogEvents"), vec![Denied])]);
    for arguments in [&["launch", "quiet"][..], &["engine", "--once"], &["terminate", "quiet", "--yes"]] {
        let run = run(&moto, &microburst, arguments).await.ok();
        assert!(
            run.err.contains("cannot write the audit log: PutLogEvents: You are not authorized"),
            "{run:#?}"
        );
    }
}
