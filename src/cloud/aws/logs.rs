//! CloudWatch Logs: reading log groups, and the stored lines of environments. The audit log is in [`super::audit_log`].

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
        let prefix = stream_prefix(query);
        let filter = Filter { prefix: Some(&prefix), ..Filter::default() };
        let parse = |event: &FilteredLogEvent| parse_line(query, event);
        let read = self.read_pages(&query.fleet.log_group(), filter, since, limits, parse).await;
        Ok(absent(read)?.unwrap_or(LatestEvents { found: Vec::new(), left_out: None }))
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
        Ok(self.read_pages(group, filter, since, limits, parse).await?.found)
    }

    /// Reads the latest events since a time that `parse` accepts.
    ///
    /// AWS is asked for the newest events first, so the read ends once there are enough. An endpoint that does not know the parameter
    /// returns the oldest first, as all did before June 2026; then the read goes on to the end, or to the limit of its calls.
    ///
    /// # Errors
    /// Returns class `NotFound` if the log group does not exist.
    async fn read_pages<T: Send>(
        &self,
        group: &str,
        filter: Filter<'_>,
        since: DateTime<Utc>,
        limits: ReadLimits,
        parse: impl Fn(&FilteredLogEvent) -> Option<T> + Send,
    ) -> Result<LatestEvents<T>> {
        let since = since.timestamp_millis().max(EARLIEST_START);
        let mut pager = self.filter(group, filter, since).start_from_head(false).into_paginator().send();
        let mut found = Vec::new();
        let mut is_newest_first = true;
        let mut previous = i64::MAX;
        let (mut pages, mut counted) = (0, 0);
        let is_complete = loop {
            let is_enough = is_newest_first && found.len() >= limits.events;
            if pages >= limits.pages || is_enough && counted >= limits.pages_to_count {
                break false;
            }
            counted += usize::from(is_enough);
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Log, Access::Read, "FilterLogEvents", next).await;
            // An empty page is not necessarily the last.
            let Some(page) = page?.value else { break true };
            pages += 1;
            for event in page.events() {
                let at = event.timestamp().unwrap_or_default();
                is_newest_first &= at <= previous;
                previous = at;
                found.extend(parse(event).map(|parsed| (at, parsed)));
            }
            if page.next_token().is_none_or(str::is_empty) {
                break true;
            }
        };
        if is_newest_first {
            found.reverse();
        }
        found.sort_by_key(|(at, _)| *at);
        let surplus = found.len().saturating_sub(limits.events);
        let left_out = match (is_complete, is_newest_first) {
            (true, _) => (surplus > 0).then_some(LeftOut::Older(surplus)),
            (false, true) => Some(LeftOut::MoreThan(surplus)),
            (false, false) => Some(LeftOut::Newer),
        };
        Ok(LatestEvents {
            found: found.into_iter().skip(surplus).map(|(_, parsed)| parsed).collect(),
            left_out,
        })
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
        let mut pager = self.filter(group, filter, since.timestamp_millis()).into_paginator().send();
        let mut events = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Log, Access::Read, "FilterLogEvents", next).await;
            let Some(page) = page?.value else { return Ok(events) };
            events.extend(page.events.unwrap_or_default());
        }
    }

    fn filter(&self, group: &str, filter: Filter<'_>, since: i64) -> FilterLogEventsFluentBuilder {
        self.logs
            .filter_log_events()
            .log_group_name(group)
            .set_log_stream_names(filter.stream.map(|stream| vec![stream.to_owned()]))
            .set_log_stream_name_prefix(filter.prefix.map(str::to_owned))
            .set_filter_pattern(filter.pattern.map(str::to_owned))
            .start_time(since)
    }
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

pub(super) fn parse_line(query: &LogQuery, event: &FilteredLogEvent) -> Option<LogLine> {
    Some(LogLine {
        id: event.event_id().unwrap_or_default().to_owned(),
        at: DateTime::from_timestamp_millis(event.timestamp()?)?,
        source: source_of(query, event.log_stream_name()?)?,
        text: event.message().unwrap_or_default().into(),
    })
}
