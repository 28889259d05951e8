//! Follows a log: the stored lines first, then Live Tail, or polling if Live Tail is not available.
//!
//! An account has 15 Live Tail sessions, each of which ends after three hours. Polling then continues.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatchLogs_LiveTail.html>

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::operation::start_live_tail::StartLiveTailOutput;
use aws_sdk_cloudwatchlogs::types::{LiveTailSessionLogEvent, StartLiveTailResponseStream};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use rand::RngExt as _;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::logs::{source_of, stream_prefix};
use crate::cloud::{LogItem, LogLine, LogQuery, Result};
use crate::domain::{CloudError, ErrorClass, text};

/// What the user sees while lines come from Live Tail, with its price in most Regions.
/// <https://aws.amazon.com/cloudwatch/pricing/>
const LIVE_TAIL: &str = "live tail, about $0.01 a minute";

/// The time between two polls, long enough for the account's limit of `FilterLogEvents`.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How far each poll overlaps the previous one, because lines arrive late and out of order. Known lines are left out.
const OVERLAP: Duration = Duration::from_mins(1);

enum TailState {
    Start,
    Tail(Box<StartLiveTailOutput>),
    Poll { is_delayed: bool },
    End,
}

struct Follower<'a> {
    cloud: &'a AwsCloud,
    query: LogQuery,
    state: TailState,
    seen: SeenLines,
    /// Whether the stored lines were read.
    has_read: bool,
    /// The time up to which lines were read.
    latest: DateTime<Utc>,
    pending: VecDeque<LogItem>,
    /// Whether Live Tail delivers only a sample of the lines.
    is_sampled: bool,
}

impl AwsCloud {
    pub(super) fn follow(&self, query: LogQuery) -> BoxStream<'_, Result<LogItem>> {
        let latest = query.since;
        let follower = Follower {
            cloud: self,
            query,
            state: TailState::Start,
            seen: SeenLines::default(),
            has_read: false,
            latest,
            pending: VecDeque::new(),
            is_sampled: false,
        };
        futures::stream::unfold(follower, |mut follower| async move {
            let item = follower.next().await?;
            Some((item, follower))
        })
        .boxed()
    }

    async fn start_live_tail(&self, query: &LogQuery) -> Result<StartLiveTailOutput> {
        // Live Tail needs the ARN of the log group.
        let group = query.fleet.log_group();
        let request = self.logs.describe_log_groups().log_group_name_prefix(&group).send();
        let found =
            call(&self.limits, Bucket::Other, Access::Read, "DescribeLogGroups", request).await?.value;
        let group = found.log_groups().iter().find(|found| found.log_group_name() == Some(&group));
        let arn = group.and_then(|group| group.log_group_arn()).ok_or_else(|| {
            CloudError::new(
                ErrorClass::NotFound,
                "StartLiveTail",
                "NoGroup",
                "the log group does not exist yet",
            )
        })?;
        let request = self
            .logs
            .start_live_tail()
            .log_group_identifiers(arn)
            .log_stream_name_prefixes(stream_prefix(query))
            .send();
        Ok(call(&self.limits, Bucket::Other, Access::Read, "StartLiveTail", request).await?.value)
    }
}

impl Follower<'_> {
    async fn next(&mut self) -> Option<Result<LogItem>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Some(Ok(item));
            }
            match &mut self.state {
                TailState::Start => self.start().await,
                TailState::Tail(_) => self.tail().await,
                TailState::Poll { is_delayed } => {
                    if std::mem::replace(is_delayed, true) {
                        let jitter = rand::rng().random_range(1.0..1.4);
                        tokio::time::sleep(POLL_INTERVAL.mul_f64(jitter)).await;
                    }
                    if let Err(error) = self.poll().await {
                        if !error.is(ErrorClass::Throttled) && !error.is(ErrorClass::Transient) {
                            self.state = TailState::End;
                            return Some(Err(error));
                        }
                        self.pending.push_back(LogItem::Mode(format!("polling; {error}")));
                    }
                }
                TailState::End => return None,
            }
        }
    }

    /// Opens the session before it reads the stored lines, so that no line between the two is missed.
    async fn start(&mut self) {
        match self.cloud.start_live_tail(&self.query).await {
            Ok(session) => {
                if let Err(error) = self.poll().await {
                    self.pending
                        .push_back(LogItem::Mode(format!("{LIVE_TAIL}; earlier lines are missing: {error}")));
                } else {
                    self.pending.push_back(LogItem::Mode(LIVE_TAIL.to_owned()));
                }
                self.state = TailState::Tail(Box::new(session));
            }
            Err(error) => self.fall_back(&error.to_string()),
        }
    }

    fn fall_back(&mut self, reason: &str) {
        tracing::info!(reason, "live tail is not available");
        self.pending.push_back(LogItem::Mode("polling".to_owned()));
        self.state = TailState::Poll { is_delayed: false };
    }

    async fn tail(&mut self) {
        let TailState::Tail(session) = &mut self.state else { return };
        match session.response_stream.recv().await {
            Ok(Some(StartLiveTailResponseStream::SessionUpdate(update))) => {
                let is_sampled = update.session_metadata.is_some_and(|metadata| metadata.sampled);
                if is_sampled != std::mem::replace(&mut self.is_sampled, is_sampled) {
                    let item =
                        if is_sampled { LogItem::Sampled } else { LogItem::Mode(LIVE_TAIL.to_owned()) };
                    self.pending.push_back(item);
                }
                let events = update.session_results.unwrap_or_default();
                let lines: Vec<_> =
                    events.iter().filter_map(|event| parse_tailed(&self.query, event)).collect();
                self.push_new(lines);
            }
            Ok(Some(_)) => {}
            Ok(None) => self.fall_back("the session has ended"),
            Err(error) => self.fall_back(&error.to_string()),
        }
    }

    /// Reads the latest stored lines first, and later all that are new, however many they are.
    async fn poll(&mut self) -> Result<()> {
        let query = LogQuery { since: self.overlap_start(), ..self.query.clone() };
        let lines =
            if self.has_read { self.cloud.all_logs(&query).await? } else { self.cloud.logs(&query).await? };
        self.has_read = true;
        self.push_new(lines);
        Ok(())
    }

    /// Returns the start of the next poll. Lines before it are not read again.
    fn overlap_start(&self) -> DateTime<Utc> {
        (self.latest - OVERLAP).max(self.query.since)
    }

    fn push_new(&mut self, lines: Vec<LogLine>) {
        let new: Vec<_> = lines.into_iter().filter(|line| self.seen.is_new(line)).collect();
        if let Some(latest) = new.iter().map(|line| line.at).max() {
            // An instance whose clock is ahead must not hide the lines until then.
            let latest = self.cloud.limits.now().map_or(latest, |now| latest.min(now));
            self.latest = self.latest.max(latest);
            self.seen.forget_before(self.overlap_start());
            self.pending.push_back(LogItem::Lines(new));
        }
    }
}

fn parse_tailed(query: &LogQuery, event: &LiveTailSessionLogEvent) -> Option<LogLine> {
    Some(LogLine {
        id: String::new(),
        at: DateTime::from_timestamp_millis(event.timestamp()?)?,
        source: source_of(query, event.log_stream_name()?)?,
        text: text::sanitize(event.message().unwrap_or_default()),
    })
}

/// The lines that were returned, by id. Lines of Live Tail have no id, so they are matched by time, source and text.
#[derive(Default)]
struct SeenLines {
    /// For equal lines: the number of polled ones minus the number of tailed ones.
    surplus: BTreeMap<LineKey, i32>,
    /// Milliseconds since the epoch, and the id.
    ids: BTreeSet<(i64, String)>,
}

/// Milliseconds since the epoch, source, text.
type LineKey = (i64, String, String);

impl SeenLines {
    fn is_new(&mut self, line: &LogLine) -> bool {
        let at = line.at.timestamp_millis();
        let is_polled = !line.id.is_empty();
        if is_polled && !self.ids.insert((at, line.id.clone())) {
            return false;
        }
        let surplus = self.surplus.entry((at, line.source.clone(), line.text.clone())).or_default();
        // A surplus of the other kind means that this line was returned already. Counting keeps equal lines of one millisecond apart.
        let is_new = if is_polled { *surplus >= 0 } else { *surplus <= 0 };
        *surplus += if is_polled { 1 } else { -1 };
        is_new
    }

    /// Forgets the lines before a time, which are not read again.
    fn forget_before(&mut self, at: DateTime<Utc>) {
        let at = at.timestamp_millis();
        self.ids = self.ids.split_off(&(at, String::new()));
        self.surplus = self.surplus.split_off(&(at, String::new(), String::new()));
    }
}
