//! Following a log: the lines that are there, Live Tail, and polling after it or instead of it. No line twice, and none lost without saying so.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hatchery::cloud::aws::AwsCloud;
use hatchery::cloud::{Cloud as _, LeftOut, LogItem, LogQuery, Result};
use hatchery::domain::RecordId;
use rstest::rstest;

use crate::support::account::{Account, init};
use crate::support::binary::{command_through, hatchery};
use crate::support::live_tail_server::{LiveTailServer, LogEvent, SessionEnd};
use crate::support::moto::{Moto, REGION, credentials};
use crate::support::running::Running;

mod again;
mod stored;

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
fn event(id: &str, seconds_ago: i64, text: &str) -> LogEvent {
    LogEvent {
        id: id.to_owned(),
        at: ago(seconds_ago).timestamp_millis(),
        stream: format!("{RECORD}/bootstrap"),
        text: text.to_owned(),
    }
}

/// Ingests so many lines, one a millisecond from so many seconds ago on. Returns their texts.
fn ingest_burst(server: &LiveTailServer, count: usize, seconds_ago: i64) -> Vec<String> {
    let first = event("", seconds_ago, "");
    let texts: Vec<_> = (0..count).map(|index| format!("{seconds_ago}: line {index}")).collect();
    for (at, text) in (first.at..).zip(&texts) {
        server.ingest(&LogEvent { id: text.clone(), at, text: text.clone(), ..first.clone() });
    }
    texts
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
        Self::start_with(cloud, usize::MAX)
    }

    /// Follows the log, with so many bytes of older lines.
    fn start_with(cloud: &'c AwsCloud, older_bytes: usize) -> Self {
        let query = LogQuery {
            fleet: "dev".parse().unwrap(),
            record: RecordId::new(RECORD),
            source: None,
            since: ago(600),
        };
        Self { items: cloud.follow(query, older_bytes), lines: Vec::new(), modes: Vec::new() }
    }

    async fn next(&mut self) {
        match self.items.next().await {
            Some(Ok(LogItem::Lines(lines))) => {
                self.lines.extend(lines.into_iter().map(|line| line.text.raw().to_owned()));
            }
            Some(Ok(LogItem::Older { lines, left_out })) => {
                let lines = lines.into_iter().map(|line| line.text.raw().to_owned());
                self.lines.splice(0..0, lines);
                self.modes.extend(left_out.map(|left_out| left_out.to_string()));
            }
            Some(Ok(LogItem::Paused(reason))) => self.modes.push(format!("paused: {reason}")),
            Some(Ok(LogItem::Mode(mode))) => self.modes.push(mode),
            Some(Ok(LogItem::LeftOut(LeftOut::Sampled))) => self.modes.push("sampled".to_owned()),
            Some(Ok(LogItem::LeftOut(left_out))) => self.modes.push(left_out.to_string()),
            Some(Ok(LogItem::Interrupted(reason))) => self.modes.push(format!("interrupted: {reason}")),
            other => panic!("{other:?} after {:?}", self.lines),
        }
    }

    /// Breaks so many sessions in a row, each as soon as it is announced.
    async fn break_sessions(&mut self, server: &LiveTailServer, count: usize) {
        for _ in 0..count {
            self.read_until(0, LIVE_TAIL).await;
            self.modes.clear();
            server.end(SessionEnd::Closed);
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
    let second = LogEvent { id: "2".to_owned(), ..first.clone() };
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
    let second = LogEvent { id: "2".to_owned(), ..first.clone() };
    server.deliver(&[first.clone(), second.clone()]);
    followed.read_until(2, LIVE_TAIL).await;
    // FilterLogEvents finds them by their ids, and they are still the same two.
    server.ingest(&first);
    server.ingest(&second);
    server.ingest(&event("3", 0, "done"));
    server.end(SessionEnd::Closed);
    followed.read_until(3, LIVE_TAIL).await;
    followed.read_for(Duration::from_millis(300)).await;
    assert_eq!(followed.lines, ["retrying", "retrying", "done"]);
}

#[rstest]
#[case::closed(SessionEnd::Closed)]
#[case::dropped(SessionEnd::Dropped)]
#[case::streaming_error(SessionEnd::Exception("SessionStreamingException"))]
#[case::corrupt(SessionEnd::Corrupt)]
#[tokio::test]
async fn broken_session_is_replaced(#[case] end: SessionEnd) {
    let server = LiveTailServer::start();
    server.ingest(&event("1", 40, "backfilled"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, LIVE_TAIL).await;
    let tailed = event("2", 9, "tailed");
    server.ingest(&tailed);
    server.deliver(std::slice::from_ref(&tailed));
    followed.read_until(2, LIVE_TAIL).await;

    // Ingested while no session delivers it.
    server.ingest(&event("3", 4, "in between"));
    server.end(end);
    followed.read_until(3, LIVE_TAIL).await;
    // The next session delivers a line of the previous one again.
    server.deliver(&[tailed, event("4", 0, "of the next session")]);
    followed.read_until(4, LIVE_TAIL).await;
    assert_eq!(followed.lines, ["backfilled", "tailed", "in between", "of the next session"]);
    assert_eq!(followed.modes.len(), 3, "{:?}", followed.modes);
    assert!(followed.modes[1].starts_with("interrupted: "), "{:?}", followed.modes);
    assert_eq!(sessions(&server), 2);
}

fn sessions(server: &LiveTailServer) -> usize {
    server.calls().iter().filter(|call| *call == "StartLiveTail").count()
}

/// The connection has lost its other end: it is open, and nothing comes.
#[tokio::test]
async fn silent_session_is_replaced() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, LIVE_TAIL).await;
    // A log without lines is not silent.
    followed.read_for(Duration::from_secs(7)).await;
    assert_eq!(followed.modes, [LIVE_TAIL]);
    server.silence();
    followed.read_for(Duration::from_secs(2)).await;
    server.ingest(&event("1", 0, "while it was silent"));
    followed.read_until(1, LIVE_TAIL).await;
    server.wait_for_session();
    server.deliver(&[event("2", 0, "of the next session")]);
    followed.read_until(2, LIVE_TAIL).await;
    assert_eq!(followed.lines, ["while it was silent", "of the next session"]);
    assert_eq!(followed.modes, [LIVE_TAIL, "interrupted: no update for 5 s", LIVE_TAIL]);
}

#[tokio::test]
async fn sessions_that_break_again_and_again_end_in_polling() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.break_sessions(&server, 4).await;
    server.ingest(&event("1", 0, "polled"));
    followed.read_until(1, "polling").await;
    assert_eq!(sessions(&server), 4);
}

/// A session of Live Tail costs money, and ends after three hours.
#[tokio::test]
async fn session_that_is_over_is_followed_by_polling() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, LIVE_TAIL).await;
    server.ingest(&event("1", 4, "in between"));
    server.end(SessionEnd::Exception("SessionTimeoutException"));
    followed.read_until(1, "polling").await;
    server.ingest(&event("2", 0, "polled"));
    followed.read_until(2, "polling").await;
    assert_eq!(followed.lines, ["in between", "polled"]);
    assert_eq!(followed.modes, [LIVE_TAIL, "polling"]);
    assert_eq!(sessions(&server), 1);
}

/// AWS drops updates that are not read, such as those of a log whose reader has stopped.
#[tokio::test]
async fn lines_that_were_not_read_in_time_are_fetched() {
    let server = LiveTailServer::start();
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(0, LIVE_TAIL).await;
    server.ingest(&event("1", 0, "dropped by AWS"));
    tokio::time::sleep(Duration::from_secs(9)).await;
    followed.read_until(1, LIVE_TAIL).await;
    assert_eq!((followed.lines, sessions(&server)), (vec!["dropped by AWS".to_owned()], 1));
}

#[tokio::test]
async fn stored_lines_are_read_once_it_is_possible() {
    let server = LiveTailServer::start();
    server.ingest(&event("1", 30, "stored"));
    // The SDK tries a call three times.
    server.throttle_reads(3);
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, LIVE_TAIL).await;
    assert_eq!((followed.lines.len(), followed.modes.len()), (1, 2), "{:?}", followed.modes);
    assert!(followed.modes[0].contains("earlier lines are missing"), "{:?}", followed.modes);
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

/// Agents that had no network ship late. Some polls go back five minutes.
#[tokio::test]
async fn line_that_is_four_minutes_late_is_found() {
    let server = LiveTailServer::start();
    server.refuse("LimitExceededException");
    server.ingest(&event("1", 5, "one"));
    let cloud = connect(&server).await;
    let mut followed = Followed::start(&cloud);
    followed.read_until(1, "polling").await;
    server.ingest(&event("2", 240, "late"));
    server.ingest(&event("3", 2, "new"));
    followed.read_for(Duration::from_secs(35)).await;
    assert_eq!(followed.lines, ["one", "new", "late"]);
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
    // A rate around the limit is not announced each second.
    server.deliver(&[event("2", 0, "two")]);
    server.deliver_sampled(&[event("3", 0, "three")], true);
    for _ in 0..10 {
        server.deliver(&[]);
    }
    followed.read_until(3, LIVE_TAIL).await;
    let ended = "from here on, AWS delivers all lines again";
    assert_eq!(followed.modes, [LIVE_TAIL, "sampled", ended, LIVE_TAIL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_command_tails_reconnects_and_polls() {
    let moto = Moto::start();
    let account = Account::new(&moto).await;
    init(&moto, "dev", &["--spare", "0"]).await;
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    account.ship_log("dev", "hatchery/dev/1", "bootstrap", &["minikube is up"]).await;
    let stream = format!("{}/bootstrap", account.template_id("hatchery/dev/1").await);
    let server = LiveTailServer::start_in_front_of(Some(moto.address()));

    let mut follow = command_through(&moto, &server.url());
    let mut follow =
        Running::start(follow.env("TZ", "America/New_York").args(["logs", "checkout-fix", "--follow"]));
    follow.wait_for("minikube is up");
    server.wait_for_session();
    server.deliver(&[LogEvent { stream, ..event("1", 0, "all services answer") }]);
    follow.wait_for("all services answer");
    account.ship_log("dev", "hatchery/dev/1", "payments", &["listening on 8080"]).await;
    server.end(SessionEnd::Closed);
    follow.wait_for("listening on 8080");
    server.wait_for_session();
    server.end(SessionEnd::Exception("SessionTimeoutException"));
    account.ship_log("dev", "hatchery/dev/1", "ledger", &["Error: boom\n\tat A.java:1"]).await;
    follow.wait_for("A.java:1");
    follow.interrupt();
    let run = follow.wait_for_exit();
    let modes = [
        "hatchery: following by live tail, about $0.01 a minute",
        "hatchery: the log was interrupted (the session was closed); connecting again",
        "hatchery: following by live tail, about $0.01 a minute",
        "hatchery: following by polling",
    ];
    assert_eq!((run.code, run.err.lines().collect::<Vec<_>>()), (130, modes.to_vec()), "{run:#?}");
    assert!(
        run.out.lines().all(|line| ["-", " "].contains(&&line[19..20])),
        "New York is behind UTC: {run:#?}"
    );
    let texts: Vec<_> = run.out.lines().map(|line| &line[26..]).collect();
    let expected = [
        "bootstrap    minikube is up",
        "bootstrap    all services answer",
        "payments     listening on 8080",
        "ledger       Error: boom",
        "                 at A.java:1",
    ];
    assert_eq!(texts, expected);
}
