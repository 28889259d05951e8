//! Follows a log: the newest stored lines first, then Live Tail, or polling if Live Tail is not available, with the older stored lines beside it.
//!
//! AWS sends an update each second, so a session that is silent is dead. A session that breaks is replaced by another one, and what was logged
//! meanwhile is read from the stored lines. After some in a row polling continues, with another try of Live Tail later. An account has 15 Live
//! Tail sessions, each of which ends after three hours. Polling then continues for good, because sessions cost money.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatchLogs_LiveTail.html>

use std::collections::VecDeque;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::operation::start_live_tail::StartLiveTailOutput;
use aws_sdk_cloudwatchlogs::types::error::StartLiveTailResponseStreamError;
use aws_sdk_cloudwatchlogs::types::{
    LiveTailSessionLogEvent, LiveTailSessionMetadata, LiveTailSessionUpdate, StartLiveTailResponseStream,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use rand::RngExt as _;
use tokio::time::Instant;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::logs::{LatestEvents, ReadLimits, source_of, stream_prefix};
use super::older_lines::{self, Next, OlderLines};
use crate::cloud::seen_lines::SeenLines;
use crate::cloud::{Cloud, LeftOut, LogItem, LogLine, LogQuery, Result};
use crate::domain::{CloudError, ErrorClass};

/// What the user sees while lines come from Live Tail, with its price in most Regions.
/// <https://aws.amazon.com/cloudwatch/pricing/>
const LIVE_TAIL: &str = "live tail, about $0.01 a minute";

/// The time without an update after which a session is dead. AWS sends one each second, an empty one if there are no lines.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html>
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// AWS keeps up to ten updates for a client that does not read them, and then drops the oldest. After a shorter time without reading, lines
/// may be lost.
const SERVER_BUFFER: Duration = Duration::from_secs(8);

/// The number of sessions that may break in a row; then polling continues. One that lasted [`STABLE_SESSION`] ends the row.
const MAX_BROKEN_SESSIONS: u32 = 3;
const STABLE_SESSION: Duration = Duration::from_mins(1);

/// The times after which Live Tail is tried again; the last one repeats. A stable session ends the row.
const LIVE_TAIL_AGAIN: [Duration; 3] =
    [Duration::from_mins(5), Duration::from_mins(10), Duration::from_mins(20)];

/// The time between two tries while AWS refuses the credentials, unless they are known to have changed.
const CREDENTIALS_AGAIN: Duration = Duration::from_mins(1);

/// How long the newest lines are read if no older ones follow. The first page is read in any case.
const NEWEST_LINES_TIME: Duration = Duration::from_secs(1);

/// The number of updates without sampling after which a sample is over, so that a rate around the limit is not announced each second.
const SAMPLE_END: u32 = 10;

/// The time between two polls, long enough for the account's limit of `FilterLogEvents`.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The maximum number of `FilterLogEvents` calls of one poll.
const POLL_PAGES: usize = 10;

/// How far each poll overlaps the previous one, because lines arrive late and out of order. Known lines are left out.
const OVERLAP: TimeDelta = TimeDelta::minutes(1);

/// How late lines may be ingested for a poll to find them: each [`DEEP_POLL`]-th poll, about every 25 s, goes back so far.
const MAX_LATENESS: TimeDelta = TimeDelta::minutes(5);
const DEEP_POLL: u32 = 4;

const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

enum TailState {
    Start,
    Tail(Box<StartLiveTailOutput>),
    /// Polls at a time.
    Poll {
        at: Instant,
    },
    /// AWS refuses the credentials.
    Paused,
    End,
}

struct Follower<'a> {
    cloud: &'a AwsCloud,
    query: LogQuery,
    state: TailState,
    seen: SeenLines,
    /// Whether the newest stored lines were read.
    has_read: bool,
    /// The memory of the older lines to read, in bytes.
    older_bytes: usize,
    older: Option<OlderLines<'a>>,
    /// The time up to which lines are left to `older`, or left out.
    floor: DateTime<Utc>,
    /// The time up to which lines were read.
    latest: DateTime<Utc>,
    /// Where the next poll continues if one could not read all lines.
    resume: Option<DateTime<Utc>>,
    /// The number of polls since the last session began.
    polls: u32,
    pending: VecDeque<LogItem>,
    /// The mode that was announced last.
    mode: String,
    session_started: Instant,
    broken_sessions: u32,
    /// How often Live Tail was given up in a row.
    given_up: usize,
    /// Whether the credentials were refused at the last read.
    is_paused: bool,
    /// When to try Live Tail again.
    live_tail_at: Option<Instant>,
    last_update: Instant,
    /// When to read the stored lines while Live Tail runs, because that has failed.
    catch_up_at: Option<Instant>,
    /// While AWS delivers a sample: the number of updates since the last sampled one.
    sampled: Option<u32>,
}

impl AwsCloud {
    pub(super) fn follow(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>> {
        let follower = Follower {
            cloud: self,
            older_bytes,
            older: None,
            floor: query.since,
            latest: query.since,
            query,
            state: TailState::Start,
            seen: SeenLines::default(),
            has_read: false,
            resume: None,
            polls: 0,
            pending: VecDeque::new(),
            mode: String::new(),
            session_started: Instant::now(),
            broken_sessions: 0,
            given_up: 0,
            is_paused: false,
            live_tail_at: None,
            last_update: Instant::now(),
            catch_up_at: None,
            sampled: None,
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

impl<'a> Follower<'a> {
    async fn next(&mut self) -> Option<Result<LogItem>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Some(Ok(item));
            }
            match &mut self.state {
                TailState::Start => self.start().await,
                TailState::Tail(_) => self.tail().await,
                TailState::Poll { at } => {
                    let at = *at;
                    let read = tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => None,
                        read = next_page(&mut self.older) => Some(read),
                    };
                    if let Some((read, bytes)) = read {
                        self.receive_older(read, bytes);
                    } else if self.live_tail_at.take_if(|at| *at <= Instant::now()).is_some() {
                        self.state = TailState::Start;
                    } else if let Some(error) = self.poll_again().await {
                        self.state = TailState::End;
                        return Some(Err(error));
                    }
                }
                TailState::Paused => {
                    let changed = Cloud::credentials_changed(self.cloud);
                    // The result says only which of the two was first.
                    let _ = tokio::time::timeout(CREDENTIALS_AGAIN, changed).await;
                    self.state = TailState::Poll { at: Instant::now() };
                }
                TailState::End => return None,
            }
        }
    }

    /// Polls, and says when to do so again. Returns an error that ends the log.
    async fn poll_again(&mut self) -> Option<CloudError> {
        match self.poll().await {
            Ok(()) => self.set_mode("polling"),
            Err(error) if is_passing(&error) => self.set_mode(&format!("polling; {error}")),
            Err(error) if is_about_credentials(&error) => {
                if !std::mem::replace(&mut self.is_paused, true) {
                    self.mode.clear();
                    self.pending.push_back(LogItem::Paused(error.to_string()));
                }
                self.state = TailState::Paused;
                return None;
            }
            Err(error) => return Some(error),
        }
        if std::mem::take(&mut self.is_paused) {
            // The session broke because of the credentials, unless polling is final.
            self.live_tail_at = self.live_tail_at.map(|_| Instant::now());
        }
        let interval = POLL_INTERVAL.mul_f64(rand::rng().random_range(1.0..1.4));
        let pause = if self.resume.is_some() { Duration::ZERO } else { interval };
        self.state = TailState::Poll { at: Instant::now() + pause };
        None
    }

    /// Opens the session before it reads the stored lines, so that no line between the two is missed.
    async fn start(&mut self) {
        match self.cloud.start_live_tail(&self.query).await {
            Ok(session) => {
                self.seen.start_session();
                self.state = TailState::Tail(Box::new(session));
                self.session_started = Instant::now();
                self.last_update = self.session_started;
                self.polls = 0;
                self.catch_up().await;
            }
            Err(error) if is_about_credentials(&error) => {
                self.live_tail_at = LIVE_TAIL_AGAIN.first().map(|pause| Instant::now() + *pause);
                self.state = TailState::Poll { at: Instant::now() };
            }
            Err(error) => {
                // Permissions do not change by themselves.
                self.fall_back(&error.to_string(), error.is(ErrorClass::Auth));
            }
        }
    }

    /// Reads the lines that no session has delivered.
    async fn catch_up(&mut self) {
        let mode = match self.poll().await {
            Ok(()) => {
                self.catch_up_at = self.resume.map(|_| Instant::now());
                LIVE_TAIL.to_owned()
            }
            Err(error) => {
                self.catch_up_at = is_passing(&error).then(|| Instant::now() + POLL_INTERVAL);
                format!("{LIVE_TAIL}; earlier lines are missing: {error}")
            }
        };
        if self.sampled.is_none() {
            self.set_mode(&mode);
        }
    }

    fn set_mode(&mut self, mode: &str) {
        if self.mode != mode {
            mode.clone_into(&mut self.mode);
            self.pending.push_back(LogItem::Mode(mode.to_owned()));
        }
    }

    /// Polls from now on, with another try of Live Tail later unless polling is final.
    fn fall_back(&mut self, reason: &str, is_final: bool) {
        tracing::info!(reason, "live tail is not available");
        self.end_sample();
        self.set_mode("polling");
        self.polls = 0;
        let pause = LIVE_TAIL_AGAIN.get(self.given_up).or(LIVE_TAIL_AGAIN.last());
        self.live_tail_at = pause.filter(|_| !is_final).map(|pause| Instant::now() + *pause);
        self.given_up += 1;
        self.broken_sessions = 0;
        self.state = TailState::Poll { at: Instant::now() };
    }

    /// Replaces a session that broke, unless sessions break again and again.
    fn reconnect(&mut self, reason: &str) {
        tracing::info!(reason, "the live tail session broke");
        if self.session_started.elapsed() >= STABLE_SESSION {
            (self.broken_sessions, self.given_up) = (0, 0);
        }
        self.broken_sessions += 1;
        // After a pause, one session that breaks is enough.
        if self.broken_sessions > MAX_BROKEN_SESSIONS || self.given_up > 0 {
            return self.fall_back(reason, false);
        }
        self.end_sample();
        self.mode.clear();
        self.pending.push_back(LogItem::Interrupted(reason.to_owned()));
        self.state = TailState::Start;
    }

    async fn tail(&mut self) {
        let TailState::Tail(session) = &mut self.state else { return };
        let is_late = self.last_update.elapsed() > SERVER_BUFFER;
        // What was received in part stays in the session when an older page comes first.
        let received = tokio::select! {
            biased;
            received = tokio::time::timeout(MAX_SILENCE, session.response_stream.recv()) => received,
            (read, bytes) = next_page(&mut self.older) => {
                self.last_update = Instant::now();
                return self.receive_older(read, bytes);
            }
        };
        self.last_update = Instant::now();
        match received {
            Ok(Ok(Some(StartLiveTailResponseStream::SessionUpdate(update)))) => self.receive(&update),
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return self.reconnect("the session was closed"),
            Ok(Err(error)) => {
                let is_over = error
                    .as_service_error()
                    .is_some_and(StartLiveTailResponseStreamError::is_session_timeout_exception);
                let reason = error.to_string();
                return if is_over { self.fall_back(&reason, true) } else { self.reconnect(&reason) };
            }
            Err(_) => return self.reconnect("no update for 5 s"),
        }
        if is_late || self.catch_up_at.is_some_and(|at| at <= Instant::now()) {
            self.catch_up().await;
        }
    }

    fn receive(&mut self, update: &LiveTailSessionUpdate) {
        let is_sampled = update.session_metadata().is_some_and(LiveTailSessionMetadata::sampled);
        match self.sampled {
            None if is_sampled => {
                self.mode.clear();
                self.pending.push_back(LogItem::LeftOut(LeftOut::Sampled));
            }
            Some(updates) if !is_sampled && updates + 1 >= SAMPLE_END => {
                self.end_sample();
                self.set_mode(LIVE_TAIL);
            }
            _ => {}
        }
        self.sampled = if is_sampled { Some(0) } else { self.sampled.map(|updates| updates + 1) };
        let lines = update.session_results().iter().filter_map(|event| parse_tailed(&self.query, event));
        let lines = lines.collect();
        self.push_new(lines);
    }

    fn end_sample(&mut self) {
        if self.sampled.take().is_some() {
            self.pending.push_back(LogItem::LeftOut(LeftOut::SampleEnded));
        }
    }

    /// Reads the newest stored lines first, and later those that are new. The number of calls is bounded; if there is more, it says so, or
    /// goes on at once where the oldest lines come first.
    async fn poll(&mut self) -> Result<()> {
        if !self.has_read {
            return self.read_newest().await;
        }
        let overlap = if self.polls.is_multiple_of(DEEP_POLL) { MAX_LATENESS } else { OVERLAP };
        let since = self.resume.unwrap_or_else(|| self.before_latest(overlap));
        let limits = ReadLimits { events: usize::MAX, pages: POLL_PAGES, pages_to_count: 0 };
        let read = self.cloud.latest_lines(&self.query, since, limits).await?;
        self.polls += 1;
        // Lines are missing only if they are newer than those that are known.
        let is_gap = read.found.first().is_some_and(|line| line.at > self.latest);
        self.receive_stored(read, is_gap);
        Ok(())
    }

    async fn read_newest(&mut self) -> Result<()> {
        let time = if self.older_bytes > 0 { Duration::ZERO } else { NEWEST_LINES_TIME };
        let (read, older) = self.cloud.newest_lines(&self.query, time).await?;
        self.has_read = true;
        self.polls += 1;
        if let Some(pages) = older {
            self.floor = read.found.first().map_or(self.query.since, |line| self.not_ahead(line.at));
            if self.older_bytes > 0 {
                self.older = Some(OlderLines::after(pages, self.older_bytes, Duration::ZERO));
            } else {
                self.pending.push_back(LogItem::LeftOut(LeftOut::MoreThan(0)));
            }
        }
        self.receive_stored(read, true);
        Ok(())
    }

    fn receive_stored(&mut self, read: LatestEvents<LogLine>, is_gap: bool) {
        self.resume = None;
        match read.left_out {
            Some(LeftOut::Newer) => self.resume = read.found.last().map(|line| self.not_ahead(line.at)),
            Some(left_out) if is_gap => self.pending.push_back(LogItem::LeftOut(left_out)),
            _ => {}
        }
        self.push_new(read.found);
    }

    fn receive_older(&mut self, (pages, events): older_lines::Read<'a>, bytes: usize) {
        self.older = None;
        let events = match events {
            Ok(events) => events,
            Err(error) if is_passing(&error) || is_about_credentials(&error) => {
                self.older = Some(OlderLines::after(pages, bytes, POLL_INTERVAL));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read older lines");
                let left_out = Some(LeftOut::Unreadable);
                return self.pending.push_back(LogItem::Older { lines: Vec::new(), left_out });
            }
        };
        if !pages.is_newest_first {
            // The lines of this page are newer, so polls have to read on from those that are known.
            self.floor = self.query.since;
            self.resume = Some(self.latest);
            self.catch_up_at = Some(Instant::now());
            return;
        }
        let (item, next) = older_lines::item(&self.query, &mut self.seen, pages, &events, bytes);
        self.pending.extend(item);
        match next {
            Next::More(older) => self.older = Some(older),
            Next::LeftOut => {}
            Next::End => self.floor = self.query.since,
        }
    }

    /// Returns a time before the latest line, but not before those that were asked for, nor so early that it has older lines.
    fn before_latest(&self, by: TimeDelta) -> DateTime<Utc> {
        let start = if self.floor > self.query.since { self.floor + MILLISECOND } else { self.query.since };
        (self.latest - by).max(start)
    }

    /// Limits the time of a line, because an instance whose clock is ahead must not hide the lines until then.
    fn not_ahead(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.cloud.limits.now().map_or(at, |now| at.min(now))
    }

    fn push_new(&mut self, lines: Vec<LogLine>) {
        let new: Vec<_> = lines.into_iter().filter(|line| self.seen.is_new(line)).collect();
        if let Some(latest) = new.iter().map(|line| line.at).max() {
            self.latest = self.latest.max(self.not_ahead(latest));
            self.seen.forget_before(self.before_latest(MAX_LATENESS));
            self.pending.push_back(LogItem::Lines(new));
        }
    }
}

/// Returns the next page of older lines; never if there are none to read.
async fn next_page<'a>(older: &mut Option<OlderLines<'a>>) -> (older_lines::Read<'a>, usize) {
    match older {
        Some(older) => older.next().await,
        None => std::future::pending().await,
    }
}

/// Whether other credentials may help, as opposed to other permissions.
fn is_about_credentials(error: &CloudError) -> bool {
    error.is(ErrorClass::Auth) && !error.code.contains("AccessDenied")
}

/// Whether another try can succeed.
fn is_passing(error: &CloudError) -> bool {
    error.is(ErrorClass::Throttled) || error.is(ErrorClass::Transient)
}

fn parse_tailed(query: &LogQuery, event: &LiveTailSessionLogEvent) -> Option<LogLine> {
    Some(LogLine {
        id: String::new(),
        at: DateTime::from_timestamp_millis(event.timestamp()?)?,
        source: source_of(query, event.log_stream_name()?)?,
        text: event.message().unwrap_or_default().into(),
    })
}
