//! CloudWatch Logs: reading log groups, and the stored lines of environments. The audit log is in [`super::audit_log`].

use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::operation::filter_log_events::builders::FilterLogEventsFluentBuilder;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use chrono::{DateTime, Utc};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use crate::cloud::{LeftOut, LogLine, LogQuery, MAX_LOG_LINES, Result, ScheduledEngine, StoredLines, absent};
use crate::domain::FleetName;
use crate::domain::text::Untrusted;

/// The limits for the stored lines of a log. A page has up to 10,000 events or 1 MB, and can be empty even if it is not the last.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
pub(super) const STORED_LINES: ReadLimits =
    ReadLimits { events: MAX_LOG_LINES, pages: 50, pages_to_count: 5 };

/// The start of 2024 in milliseconds. `FilterLogEvents` returns the newest events first only if it starts at or after it, and hatchery
/// is younger.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const EARLIEST_START: i64 = 1_704_067_200_000;

/// Selects events of a log group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter<'a> {
    /// The name of the log stream.
    pub(super) stream: Option<&'a str>,
    /// The prefix of the names of log streams.
    pub(super) prefix: Option<&'a str>,
    /// CloudWatch's filter pattern.
    pub(super) pattern: Option<&'a str>,
}

/// Limits of one read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// The number of events to return, the newest ones.
    pub(super) events: usize,
    /// The number of calls.
    pub(super) pages: usize,
    /// The number of calls, of these, that only count older events.
    pub(super) pages_to_count: usize,
}

/// The result of one read.
#[derive(Debug)]
pub(super) struct LatestEvents<T> {
    /// Oldest first.
    pub(super) found: Vec<T>,
    /// What was not read, or left out because there was too much.
    pub(super) left_out: Option<LeftOut>,
}

impl AwsCloud {
    /// Reads the latest lines of a query, oldest first, within [`STORED_LINES`].
    pub(super) async fn logs(&self, query: &LogQuery) -> Result<StoredLines> {
        let read = self.latest_lines(query, query.since, STORED_LINES).await?;
        Ok(StoredLines { lines: read.found, left_out: read.left_out })
    }

    /// Reads the latest lines of a query since a time.
    pub(super) async fn latest_lines(
        &self,
        query: &LogQuery,
        since: DateTime<Utc>,
        limits: ReadLimits,
    ) -> Result<LatestEvents<LogLine>> {
        let parse = |event: &FilteredLogEvent| parse_line(query, event);
        let read = self.line_pages(query, since).read_on(Vec::new(), limits, parse).await;
        Ok(absent(read)?.unwrap_or(LatestEvents { found: Vec::new(), left_out: None }))
    }

    /// Reads the newest lines of a query: the first page with lines, and those that follow within `time`. Where older lines remain, their
    /// pages are returned too, unless the oldest lines come first: then this reads on as [`Self::latest_lines`] does.
    pub(super) async fn newest_lines(
        &self,
        query: &LogQuery,
        time: Duration,
    ) -> Result<(LatestEvents<LogLine>, Option<EventPages<'_>>)> {
        let mut pages = self.line_pages(query, query.since);
        let parse = |event: &FilteredLogEvent| parse_line(query, event);
        let started = Instant::now();
        let mut found = Vec::new();
        loop {
            let Some(events) = absent(pages.next().await)? else {
                return Ok((LatestEvents { found: Vec::new(), left_out: None }, None));
            };
            found.extend(parse_all(&events, parse));
            let is_enough = found.len() >= STORED_LINES.events
                || pages.calls >= STORED_LINES.pages
                || !found.is_empty() && started.elapsed() >= time;
            if pages.is_complete || is_enough || !pages.is_newest_first {
                break;
            }
        }
        if pages.is_newest_first && !pages.is_complete {
            return Ok((LatestEvents { found: in_order(found, true), left_out: None }, Some(pages)));
        }
        Ok((pages.read_on(found, STORED_LINES, parse).await?, None))
    }

    fn line_pages(&self, query: &LogQuery, since: DateTime<Utc>) -> EventPages<'_> {
        let prefix = stream_prefix(query);
        let filter = Filter { prefix: Some(&prefix), ..Filter::default() };
        EventPages::new(self, &query.fleet.log_group(), filter, since)
    }

    /// Lambda logs the start and the end of each invocation, so events show that the function runs.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-format.html>
    pub(super) async fn scheduled_engine(
        &self,
        fleet: &FleetName,
        since: DateTime<Utc>,
    ) -> Result<ScheduledEngine> {
        let time = |event: &FilteredLogEvent| DateTime::from_timestamp_millis(event.timestamp()?);
        let latest = self.read_latest(&fleet.function_log_group(), Filter::default(), since, 1, time).await;
        let Some(latest) = absent(latest)? else { return Ok(ScheduledEngine::Missing) };
        Ok(latest.last().map_or(ScheduledEngine::Silent, |at| ScheduledEngine::Ran(*at)))
    }

    /// Reads the latest events since a time that `parse` accepts, at most `max`, oldest first, in as many calls as it takes.
    ///
    /// # Errors
    /// Returns class `NotFound` if the log group does not exist.
    pub(super) async fn read_latest<T: Send>(
        &self,
        group: &str,
        filter: Filter<'_>,
        since: DateTime<Utc>,
        max: usize,
        parse: impl Fn(&FilteredLogEvent) -> Option<T> + Send,
    ) -> Result<Vec<T>> {
        let limits = ReadLimits { events: max, pages: usize::MAX, pages_to_count: 0 };
        let mut pages = EventPages::new(self, group, filter, since);
        Ok(pages.read_on(Vec::new(), limits, parse).await?.found)
    }

    /// Reads all events since a time.
    ///
    /// # Errors
    /// Returns class `NotFound` if the log group does not exist.
    pub(super) async fn read_all(
        &self,
        group: &str,
        filter: Filter<'_>,
        since: DateTime<Utc>,
    ) -> Result<Vec<FilteredLogEvent>> {
        let request = request(self, group, filter, since.timestamp_millis());
        let mut pager = request.into_paginator().send();
        let mut events = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Log, Access::Read, "FilterLogEvents", next).await;
            let Some(page) = page?.value else { return Ok(events) };
            events.extend(page.events.unwrap_or_default());
        }
    }
}

fn request(cloud: &AwsCloud, group: &str, filter: Filter<'_>, since: i64) -> FilterLogEventsFluentBuilder {
    cloud
        .logs
        .filter_log_events()
        .log_group_name(group)
        .set_log_stream_names(filter.stream.map(|stream| vec![stream.to_owned()]))
        .set_log_stream_name_prefix(filter.prefix.map(str::to_owned))
        .set_filter_pattern(filter.pattern.map(str::to_owned))
        .start_time(since)
}

/// The pages of the events since a time.
///
/// AWS is asked for the newest events first. An endpoint that does not know the parameter returns the oldest first, as all did before June
/// 2026.
pub(super) struct EventPages<'a> {
    cloud: &'a AwsCloud,
    request: FilterLogEventsFluentBuilder,
    token: Option<String>,
    /// The time of the last event.
    previous: i64,
    /// The number of pages that were read.
    pub(super) calls: usize,
    /// Whether the last page was read.
    pub(super) is_complete: bool,
    /// Whether no event was newer than the one before it.
    pub(super) is_newest_first: bool,
}

impl<'a> EventPages<'a> {
    fn new(cloud: &'a AwsCloud, group: &str, filter: Filter<'_>, since: DateTime<Utc>) -> Self {
        let since = since.timestamp_millis().max(EARLIEST_START);
        let request = request(cloud, group, filter, since).start_from_head(false);
        Self {
            cloud,
            request,
            token: None,
            previous: i64::MAX,
            calls: 0,
            is_complete: false,
            is_newest_first: true,
        }
    }

    /// Reads the next page, which can be empty even if it is not the last. After an error, reads the same page again.
    ///
    /// # Errors
    /// Returns class `NotFound` if the log group does not exist.
    pub(super) async fn next(&mut self) -> Result<Vec<FilteredLogEvent>> {
        let request = self.request.clone().set_next_token(self.token.clone()).send();
        let page =
            call(&self.cloud.limits, Bucket::Log, Access::Read, "FilterLogEvents", request).await?.value;
        self.calls += 1;
        for event in page.events() {
            let at = event.timestamp().unwrap_or_default();
            self.is_newest_first &= at <= self.previous;
            self.previous = at;
        }
        let next = page.next_token.filter(|token| !token.is_empty());
        // A token that repeats would lead to the same page for ever.
        self.is_complete = next.is_none() || next == self.token;
        self.token = next;
        Ok(page.events.unwrap_or_default())
    }

    /// Reads the latest events that `parse` accepts, in addition to those found already.
    ///
    /// Where the newest come first, the read ends once there are enough; else it goes on to the end, or to the limit of its calls.
    ///
    /// # Errors
    /// Returns class `NotFound` if the log group does not exist.
    async fn read_on<T: Send>(
        &mut self,
        mut found: Vec<(i64, T)>,
        limits: ReadLimits,
        parse: impl Fn(&FilteredLogEvent) -> Option<T> + Send,
    ) -> Result<LatestEvents<T>> {
        let mut counted = 0;
        while !self.is_complete {
            let is_enough = self.is_newest_first && found.len() >= limits.events;
            if self.calls >= limits.pages || is_enough && counted >= limits.pages_to_count {
                break;
            }
            counted += usize::from(is_enough);
            let events = self.next().await?;
            found.extend(parse_all(&events, &parse));
        }
        let surplus = found.len().saturating_sub(limits.events);
        let left_out = match (self.is_complete, self.is_newest_first) {
            (true, _) => (surplus > 0).then_some(LeftOut::Older(surplus)),
            (false, true) => Some(LeftOut::MoreThan(surplus)),
            (false, false) => Some(LeftOut::Newer),
        };
        let found = in_order(found, self.is_newest_first).into_iter().skip(surplus).collect();
        Ok(LatestEvents { found, left_out })
    }
}

/// Parses the events that `parse` accepts, with their times.
fn parse_all<T>(
    events: &[FilteredLogEvent],
    parse: impl Fn(&FilteredLogEvent) -> Option<T>,
) -> impl Iterator<Item = (i64, T)> {
    events.iter().filter_map(move |event| Some((event.timestamp().unwrap_or_default(), parse(event)?)))
}

/// Sorts events by time. Those of one time keep the order of the log.
fn in_order<T>(mut found: Vec<(i64, T)>, is_newest_first: bool) -> Vec<T> {
    if is_newest_first {
        found.reverse();
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, parsed)| parsed).collect()
}

/// Returns the prefix of the log streams of a query. Their names are `<record id>/<source>`.
pub(super) fn stream_prefix(query: &LogQuery) -> String {
    format!("{}/{}", query.record, query.source.as_deref().unwrap_or_default())
}

/// Returns the source in the name of a log stream, or `None` if the query does not select it.
pub(super) fn source_of(query: &LogQuery, stream: &str) -> Option<Untrusted> {
    let source = stream.strip_prefix(query.record.as_str())?.strip_prefix('/')?;
    let wanted = query.source.as_ref().is_none_or(|wanted| wanted == source);
    wanted.then(|| source.into())
}

fn parse_line(query: &LogQuery, event: &FilteredLogEvent) -> Option<LogLine> {
    Some(LogLine {
        id: event.event_id().unwrap_or_default().to_owned(),
        at: DateTime::from_timestamp_millis(event.timestamp()?)?,
        source: source_of(query, event.log_stream_name()?)?,
        text: event.message().unwrap_or_default().into(),
    })
}

/// Parses the lines of a page on which the newest come first; oldest first.
pub(super) fn parse_older(query: &LogQuery, events: &[FilteredLogEvent]) -> Vec<LogLine> {
    in_order(parse_all(events, |event| parse_line(query, event)).collect(), true)
}
