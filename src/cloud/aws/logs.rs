//! CloudWatch Logs: the audit log, and stored lines of environments.

use aws_sdk_cloudwatchlogs::types::{FilteredLogEvent, InputLogEvent};
use chrono::{DateTime, Utc};

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use crate::cloud::{LogLine, LogQuery, Result, ScheduledEngine, absent};
use crate::domain::{AuditEvent, CloudError, ErrorClass, FleetName, Launch, text};

/// The retention of the audit log in days.
const AUDIT_RETENTION: i32 = 365;

/// Limits of one `PutLogEvents` request, below AWS's 10,000 events and 1,048,576 bytes.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
const MAX_EVENTS: usize = 1_000;
const MAX_BYTES: usize = 900_000;

/// Selects successful launches, so that weeks of them fit on few pages.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
const LAUNCHES: &str = r#"{ $.action = "launch" && $.outcome = "done" }"#;

/// The maximum number of events that one read returns.
const MAX_LINES: usize = 10_000;

/// Selects events of a log group.
pub(super) struct Filter<'a> {
    /// The prefix of the names of log streams.
    pub(super) prefix: Option<&'a str>,
    /// CloudWatch's filter pattern.
    pub(super) pattern: Option<&'a str>,
    /// No further page is read after this many events.
    pub(super) max: usize,
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self { prefix: None, pattern: None, max: MAX_LINES }
    }
}

impl AwsCloud {
    pub(super) async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()> {
        let group = fleet.audit_group();
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            let message = serde_json::to_string(event).map_err(|error| {
                CloudError::new(ErrorClass::Invalid, "PutLogEvents", "BadEvent", error.to_string())
            })?;
            lines.push((event.at, message));
        }
        // The events of a request must be sorted by time.
        lines.sort_by_key(|(at, _)| *at);
        let stream = lines.first().map_or_else(String::new, |(at, _)| at.format("%Y-%m-%d").to_string());
        for batch in batches(&lines) {
            match self.put(&group, &stream, batch).await {
                Err(error) if error.is(ErrorClass::NotFound) => {
                    self.create_stream(fleet, &stream).await?;
                    self.put(&group, &stream, batch).await?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn put(&self, group: &str, stream: &str, lines: &[(DateTime<Utc>, String)]) -> Result<()> {
        let events = lines
            .iter()
            .map(|(at, message)| {
                InputLogEvent::builder().timestamp(at.timestamp_millis()).message(message).build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                CloudError::new(ErrorClass::Invalid, "PutLogEvents", "BadEvent", error.to_string())
            })?;
        let request = self.logs.put_log_events().log_group_name(group).log_stream_name(stream);
        let request = request.set_log_events(Some(events)).send();
        call(&self.limits, Bucket::Other, Access::Write, "PutLogEvents", request).await.map(|_| ())
    }

    /// Creates a stream of the audit log and, if needed, its log group. Other engines may do the same concurrently.
    async fn create_stream(&self, fleet: &FleetName, stream: &str) -> Result<()> {
        let group = fleet.audit_group();
        let request = self.logs.describe_log_groups().log_group_name_prefix(&group).send();
        let found = call(&self.limits, Bucket::Other, Access::Read, "DescribeLogGroups", request).await?;
        let groups = found.value.log_groups.unwrap_or_default();
        let existing = groups.into_iter().find(|found| found.log_group_name() == Some(group.as_str()));
        if existing.is_none() {
            let tags = self.fleet(fleet).await?.map(|fleet| fleet.policy.company_tags).unwrap_or_default();
            // Without tags, the request needs no permission for logs:TagResource.
            let tags = (!tags.is_empty()).then(|| tags.as_tags().clone().into_iter().collect());
            let request = self.logs.create_log_group().log_group_name(&group).set_tags(tags).send();
            let created = call(&self.limits, Bucket::Other, Access::Write, "CreateLogGroup", request).await;
            ignore_existing(created.map(|_| ()))?;
        }
        // A group without retention was created by an engine that failed before this request.
        if existing.and_then(|found| found.retention_in_days).is_none() {
            let request = self.logs.put_retention_policy().log_group_name(&group);
            let request = request.retention_in_days(AUDIT_RETENTION).send();
            call(&self.limits, Bucket::Other, Access::Write, "PutRetentionPolicy", request).await?;
        }
        let request = self.logs.create_log_stream().log_group_name(&group).log_stream_name(stream).send();
        let created = call(&self.limits, Bucket::Other, Access::Write, "CreateLogStream", request).await;
        ignore_existing(created.map(|_| ()))
    }

    pub(super) async fn audit(
        &self,
        fleet: &FleetName,
        since: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<AuditEvent>> {
        let found = self.filter_events(&fleet.audit_group(), Filter::default(), since).await?;
        let mut events: Vec<AuditEvent> = found
            .iter()
            .filter_map(|event| serde_json::from_str::<AuditEvent>(event.message()?).ok())
            .map(AuditEvent::sanitized)
            .collect();
        events.sort_by_key(|event| event.at);
        let surplus = events.len().saturating_sub(limit);
        Ok(events.split_off(surplus))
    }

    pub(super) async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        // A limited read would look like a period without launches.
        let filter = Filter { pattern: Some(LAUNCHES), max: usize::MAX, ..Filter::default() };
        let found = self.filter_events(&fleet.audit_group(), filter, since).await?;
        // moto ignores filter patterns, so `Launch::parse` selects the launches too.
        let events = found.iter().filter_map(|event| serde_json::from_str(event.message()?).ok());
        Ok(events.filter_map(|event: AuditEvent| Launch::parse(&event)).collect())
    }

    pub(super) async fn logs(&self, query: &LogQuery) -> Result<Vec<LogLine>> {
        let prefix = stream_prefix(query);
        let events = self
            .filter_events(
                &query.fleet.log_group(),
                Filter { prefix: Some(&prefix), ..Filter::default() },
                query.since,
            )
            .await?;
        let mut lines: Vec<_> = events.iter().filter_map(|event| parse_line(query, event)).collect();
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    /// Lambda logs the start and the end of each invocation, so events show that the function runs.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-format.html>
    pub(super) async fn scheduled_engine(
        &self,
        fleet: &FleetName,
        since: DateTime<Utc>,
    ) -> Result<ScheduledEngine> {
        let events = self.read_events(&fleet.function_log_group(), Filter::default(), since).await;
        let Some(events) = absent(events)? else { return Ok(ScheduledEngine::Missing) };
        let latest = events.iter().filter_map(FilteredLogEvent::timestamp).max();
        let latest = latest.and_then(DateTime::from_timestamp_millis);
        Ok(latest.map_or(ScheduledEngine::Silent, ScheduledEngine::Ran))
    }

    /// Reads the events since a time. A missing log group has none.
    pub(super) async fn filter_events(
        &self,
        group: &str,
        filter: Filter<'_>,
        since: DateTime<Utc>,
    ) -> Result<Vec<FilteredLogEvent>> {
        Ok(absent(self.read_events(group, filter, since).await)?.unwrap_or_default())
    }

    /// Reads the events since a time. An empty page is not necessarily the last.
    async fn read_events(
        &self,
        group: &str,
        filter: Filter<'_>,
        since: DateTime<Utc>,
    ) -> Result<Vec<FilteredLogEvent>> {
        let mut pager = self
            .logs
            .filter_log_events()
            .log_group_name(group)
            .set_log_stream_name_prefix(filter.prefix.map(str::to_owned))
            .set_filter_pattern(filter.pattern.map(str::to_owned))
            .start_time(since.timestamp_millis())
            .into_paginator()
            .send();
        let mut events = Vec::new();
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Log, Access::Read, "FilterLogEvents", next).await;
            let Some(page) = page?.value else { return Ok(events) };
            events.extend(page.events.unwrap_or_default());
            if events.len() >= filter.max {
                return Ok(events);
            }
        }
    }
}

/// Returns the prefix of the log streams of a query. Their names are `<record id>/<source>`.
pub(super) fn stream_prefix(query: &LogQuery) -> String {
    format!("{}/{}", query.record, query.source.as_deref().unwrap_or_default())
}

/// Returns the source in the name of a log stream, or `None` if the query does not select it.
pub(super) fn source_of(query: &LogQuery, stream: &str) -> Option<String> {
    let source = stream.strip_prefix(query.record.as_str())?.strip_prefix('/')?;
    let wanted = query.source.as_ref().is_none_or(|wanted| wanted == source);
    wanted.then(|| text::sanitize(source))
}

pub(super) fn parse_line(query: &LogQuery, event: &FilteredLogEvent) -> Option<LogLine> {
    Some(LogLine {
        id: event.event_id().unwrap_or_default().to_owned(),
        at: DateTime::from_timestamp_millis(event.timestamp()?)?,
        source: source_of(query, event.log_stream_name()?)?,
        text: text::sanitize(event.message().unwrap_or_default()),
    })
}

fn ignore_existing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is(ErrorClass::AlreadyExists) => Ok(()),
        result => result,
    }
}

/// Splits lines into batches within the limits of one request.
fn batches(lines: &[(DateTime<Utc>, String)]) -> Vec<&[(DateTime<Utc>, String)]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, (_, line)) in lines.iter().enumerate() {
        if index > start && (index - start >= MAX_EVENTS || bytes + line.len() > MAX_BYTES) {
            batches.push(&lines[start..index]);
            (start, bytes) = (index, 0);
        }
        // AWS counts 26 bytes of overhead per event.
        bytes += line.len() + 26;
    }
    if start < lines.len() {
        batches.push(&lines[start..]);
    }
    batches
}
