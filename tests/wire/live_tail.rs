//! Following a log: the lines that are there, Live Tail, and polling after it or instead of it. No line twice, none lost.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hatchery::cloud::aws::AwsCloud;
use hatchery::cloud::{Cloud as _, LogItem, LogQuery, Result};
use hatchery::domain::RecordId;
use rstest::rstest;

use crate::support::account::{Account, init};
use crate::support::binary::{command_through, hatchery};
use crate::support::live_tail_server::{LiveTailServer, LogEvent, SessionEnd};
use crate::support::moto::{Moto, REGION, credentials};
use crate::support::running::Running;

const RECORD: &str = "lt-0123456789abcdef0";

const LIVE_TAIL: &str = "live tail, about $0.01 a minute";

/// Longer than a poll's interval with its jitter.
const NEXT_POLL: Duration = Duration::from_secs(15);

async fn connect(server: &LiveTailServer) -> AwsCloud {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(server.url())
        .credentials_provider(credentials())
        .load()
        .await;
    AwsCloud::with_config(&config).unwrap()
}

/// A line of the record's bootstrap so many seconds ago.
fn event(id: &'static str, seconds_ago: i64, text: &'static str) -> LogEvent {
    LogEvent { id, at: ago(seconds_ago).timestamp_millis(), stream: format!("{RECORD}/bootstrap"), text }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    DateTime::<Utc>::from(std::time::SystemTime::now()) - TimeDelta::seconds(seconds)
}

/// A log that is followed, with everything that was given so far.
struct Followed<'c> {
    items: BoxStream<'c, Result<LogItem>>,
    lines: Vec<String>,
    modes: Vec<String>,
}

impl<'c> Followed<'c> {
    fn start(cloud: &'c AwsCloud) -> Self {
        let query = LogQuery {
            fleet: "dev".parse().unwrap(),
            record: RecordId::new(RECORD),
            source: None,
            since: ago(600),
        };
        Self { items: cloud.follow(query), lines: Vec::new(), modes: Vec::new() }
    }

    async fn next(&mut self) {
        match self.items.next().await {
            Some(Ok(LogItem::Lines(lines))) => self.lines.extend(lines.into_iter().map(|line| line.text)),
            Some(Ok(LogItem::Mode(mode))) => self.modes.push(mode),
            Some(Ok(LogItem::Sampled)) => self.modes.push("sampled".to_owned()),
            other => panic!("{other:?} after {:?}", self.lines),
        }
    }

    /// Reads until there are so many lines and this mode was the last that was announced.
    async fn read_until(&mut self, lines: usize, mode: &str) {
        let wanted = async {
            while self.lines.len() < lines || self.modes.last().is_none_or(|last| last != mode) {
                self.next().await;
            }
        };
        let in_time = tokio::time::timeout(NEXT_POLL, wanted).await.is_ok();
        assert!(in_time, "waiting for {lines} lines and {mode:?}: {:?}, {:?}", self.lines, self.modes);
    }

    /// Reads what else comes in this time.
    async fn read_for(&mut self, time: Duration) {
        // The time always runs out: the log does not end.
        let _ = tokio::time::timeout(time, async {
            loop {
                self.next().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn backfill_then_tail_shows_each_line_once() {
    let server = LiveTailServer::start();
    // More lines than fit on one page; some of the same stream prefix, but of another record.
    let stored = [
        event("1", 50, "one"),
        event("2", 40, "two"),
        event("3", 30, "three"),
        event("4", 20, "four"),
        event("5", 10, "five"),
    ];
    for event in &stored {
        server.ingest(event);
    }
    server.ingest(&LogEvent { stream: "lt-0fedcba9876543210/bootstrap".into(), ..event("6", 5, "foreign") });
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(5, LIVE_TAIL).await;
    assert_eq!(followed.lines, ["one", "two", "three", "four", "five"]);

    // Lines that were ingested between the start of the session and the backfill are in both.
    let new = event("7", 0, "six");
    server.deliver(&[stored[3].clone(), stored[4].clone(), new]);
    server.deliver(&[]);
    server
        .deliver(&[LogEvent { stream: "lt-0fedcba9876543210/bootstrap".into(), ..event("8", 0, "foreign") }]);
    server.deliver(&[event("9", 0, "seven")]);
    followed.read_until(7, LIVE_TAIL).await;
    followed.read_for(Duration::from_millis(300)).await;
    assert_eq!(followed.lines, ["one", "two", "three", "four", "five", "six", "seven"]);
    assert_eq!(followed.modes, [LIVE_TAIL]);
    // The session is open before the backfill is read: a line between the two would be in neither.
    assert_eq!(server.calls(), ["DescribeLogGroups", "StartLiveTail", "FilterLogEvents", "FilterLogEvents"]);
    let request = server.start_request();
    assert_eq!(
        request["logGroupIdentifiers"],
        serde_json::json!(["arn:aws:logs:eu-west-1:123456789012:log-group:/hatchery/dev/environments"])
    );
    assert_eq!(request["logStreamNamePrefixes"], serde_json::json!([format!("{RECORD}/")]));
}

#[tokio::test]
async fn equal_lines_with_two_ids_are_two_lines() {
    let server = LiveTailServer::start();
    let first = event("1", 30, "retrying");
    let second = LogEvent { id: "2", ..first.clone() };
    server.ingest(&first);
    server.ingest(&second);
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(2, LIVE_TAIL).await;
    // Live Tail delivers them again, and again they are the same two.
    server.deliver(&[first, second, event("3", 0, "done")]);
    followed.read_until(3, LIVE_TAIL).await;
    followed.read_for(Duration::from_millis(300)).await;
    assert_eq!(followed.lines, ["retrying", "retrying", "done"]);
}

#[tokio::test]
async fn equal_lines_of_live_tail_are_two_lines() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, LIVE_TAIL).await;
    let first = event("1", 5, "retrying");
    let second = LogEvent { id: "2", ..first.clone() };
    server.deliver(&[first.clone(), second.clone()]);
    followed.read_until(2, LIVE_TAIL).await;
    // FilterLogEvents finds them by their ids, and they are still the same two.
    server.ingest(&first);
    server.ingest(&second);
    server.ingest(&event("3", 0, "done"));
    server.end(SessionEnd::Closed);
    followed.read_until(3, "polling").await;
    assert_eq!(followed.lines, ["retrying", "retrying", "done"]);
}

#[rstest]
#[case::closed(SessionEnd::Closed)]
#[case::dropped(SessionEnd::Dropped)]
#[case::timeout(SessionEnd::Exception("SessionTimeoutException"))]
#[case::streaming_error(SessionEnd::Exception("SessionStreamingException"))]
#[case::corrupt(SessionEnd::Corrupt)]
#[tokio::test]
async fn ended_session_falls_back_to_polling(#[case] end: SessionEnd) {
    let server = LiveTailServer::start();
    server.ingest(&event("1", 40, "backfilled"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, LIVE_TAIL).await;
    let tailed = event("2", 9, "tailed");
    server.ingest(&tailed);
    server.deliver(&[tailed]);
    followed.read_until(2, LIVE_TAIL).await;

    // Ingested while no session delivers it.
    server.ingest(&event("3", 4, "in between"));
    server.end(end);
    followed.read_until(3, "polling").await;
    server.ingest(&event("4", 0, "polled"));
    followed.read_until(4, "polling").await;
    assert_eq!(followed.lines, ["backfilled", "tailed", "in between", "polled"]);
    assert_eq!(followed.modes, [LIVE_TAIL, "polling"]);
    assert_eq!(server.calls().iter().filter(|call| *call == "StartLiveTail").count(), 1);
}

#[rstest]
#[case::denied("AccessDeniedException")]
#[case::invalid("InvalidOperationException")]
#[tokio::test]
async fn refused_live_tail_polls_at_once(#[case] code: &'static str) {
    let server = LiveTailServer::start();
    server.refuse(code);
    server.ingest(&event("1", 30, "one"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    let at_once = tokio::time::timeout(Duration::from_secs(3), followed.read_until(1, "polling")).await;
    assert!(at_once.is_ok(), "{:?}", followed.lines);
    assert_eq!(followed.lines, ["one"]);
    assert_eq!(server.calls(), ["DescribeLogGroups", "StartLiveTail", "FilterLogEvents"]);
}

#[tokio::test]
async fn later_poll_finds_late_lines() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.ingest(&event("1", 40, "one"));
    server.ingest(&event("2", 5, "two"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(2, "polling").await;
    // Agents ship in batches, so a line may come after a newer one of another source.
    server.ingest(&event("3", 20, "late"));
    server.ingest(&event("4", 0, "new"));
    followed.read_until(4, "polling").await;
    assert_eq!(followed.lines, ["one", "two", "late", "new"]);
    assert_eq!(followed.modes, ["polling"]);
}

/// An instance whose clock is ahead.
#[tokio::test]
async fn line_from_the_future_hides_no_others() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.ingest(&event("1", -3_600, "from the future"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, "polling").await;
    server.ingest(&event("2", 0, "now"));
    followed.read_until(2, "polling").await;
    followed.read_for(NEXT_POLL).await;
    assert_eq!(followed.lines, ["from the future", "now"]);
}

#[tokio::test]
async fn sampling_is_announced_while_it_lasts() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, LIVE_TAIL).await;
    server.deliver_sampled(&[event("1", 0, "one")], true);
    followed.read_until(1, "sampled").await;
    server.deliver_sampled(&[event("2", 0, "two")], true);
    server.deliver(&[event("3", 0, "three")]);
    followed.read_until(3, LIVE_TAIL).await;
    assert_eq!(followed.modes, [LIVE_TAIL, "sampled", LIVE_TAIL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_command_tails_and_falls_back() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    account.ship_log("dev", "hatchery/dev/1", "bootstrap", &["minikube is up"]).await;
    let stream = format!("{}/bootstrap", account.template_id("hatchery/dev/1").await);
    let server = LiveTailServer::start_in_front_of(Some(moto.address()));

    let mut follow = command_through(&moto, &server.url());
    let mut follow = Running::start(follow.args(["logs", "checkout-fix", "--follow"]));
    follow.wait_for("minikube is up");
    server.wait_for_session();
    server.deliver(&[LogEvent { stream, ..event("1", 0, "all services answer") }]);
    follow.wait_for("all services answer");
    server.end(SessionEnd::Closed);
    account.ship_log("dev", "hatchery/dev/1", "payments", &["listening on 8080"]).await;
    follow.wait_for("listening on 8080");
    follow.interrupt();
    let run = follow.wait_for_exit();
    let modes = "hatchery: following by live tail, about $0.01 a minute\nhatchery: following by polling\n";
    assert_eq!((run.code, run.err.as_str()), (130, modes), "{run:#?}");
    let texts: Vec<_> =
        run.out.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        texts,
        ["bootstrap minikube is up", "bootstrap all services answer", "payments listening on 8080"]
    );
}
