//! The audit log in CloudWatch Logs, and the digest of its launches.

use aws_sdk_cloudwatchlogs::types::{FilteredLogEvent, InputLogEvent, RejectedLogEventsInfo};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use super::digest::Digest;
use super::logs::Filter;
use crate::cloud::{Result, absent};
use crate::domain::{AuditEvent, CloudError, ErrorClass, FleetName, Launch, audit};

/// The retention of the audit log in days.
const AUDIT_RETENTION: i32 = 365;

/// Limits of one `PutLogEvents` request, below AWS's 10,000 events and 1,048,576 bytes.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
const MAX_EVENTS: usize = 1_000;
const MAX_BYTES: usize = 900_000;

/// Selects successful launches, so that weeks of them fit on few pages.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
const LAUNCHES: &str = r#"{ ($.action = "launch" || $.action = "reset") && $.outcome = "done" }"#;

/// The log stream of the digests. The events themselves are in one stream a day.
const DIGESTS: &str = "launches";

/// The age at which a digest is replaced.
const DIGEST_AGE: TimeDelta = TimeDelta::days(1);

/// How far back digests are looked for. After this long without one, reading the log itself costs little more.
const DIGEST_PERIOD: TimeDelta = TimeDelta::days(10);

/// A digest ends this long before it is written, because events can arrive late.
const DIGEST_DELAY: TimeDelta = TimeDelta::hours(1);

/// The maximum length of one event in CloudWatch Logs is 1 MB; some 80,000 launches.
const MAX_DIGEST: usize = MAX_BYTES;

/// The maximum difference between an event's own time and its timestamp in CloudWatch Logs, which rejects events that are more than two
/// hours ahead. Beyond it, the event is from a computer whose clock is wrong.
const MAX_SKEW: TimeDelta = TimeDelta::hours(1);

impl AwsCloud {
    pub(super) async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()> {
        let now = self.limits.now();
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            lines.push((timestamp(event.at, now), to_json(event)?));
        }
        // The events of a request must be sorted by time.
        lines.sort_by_key(|(at, _)| *at);
        let stream = lines.first().map_or_else(String::new, |(at, _)| at.format("%Y-%m-%d").to_string());
        for batch in batches(&lines) {
            self.put_in_stream(fleet, &stream, batch).await?;
        }
        if let Some(digest) = self.due_digests.take(fleet)
            && let Err(error) = self.put_digest(fleet, &digest, now).await
        {
            // The next reader reads the log itself.
            tracing::warn!(%error, "cannot write the digest of the launches");
        }
        Ok(())
    }

    async fn put_digest(&self, fleet: &FleetName, digest: &Digest, now: Option<DateTime<Utc>>) -> Result<()> {
        let line = to_json(digest)?;
        if line.len() > MAX_DIGEST {
            tracing::warn!(launches = digest.launches.len(), "too many launches for a digest");
            return Ok(());
        }
        let at = now.unwrap_or(digest.launches_until + DIGEST_DELAY);
        self.put_in_stream(fleet, DIGESTS, &[(at, line)]).await
    }

    async fn put_in_stream(
        &self,
        fleet: &FleetName,
        stream: &str,
        lines: &[(DateTime<Utc>, String)],
    ) -> Result<()> {
        let group = fleet.audit_group();
        match self.put(&group, stream, lines).await {
            Err(error) if error.is(ErrorClass::NotFound) => {
                self.create_stream(fleet, stream).await?;
                self.put(&group, stream, lines).await
            }
            result => result,
        }
    }

    async fn put(&self, group: &str, stream: &str, lines: &[(DateTime<Utc>, String)]) -> Result<()> {
        let events = lines
            .iter()
            .map(|(at, message)| {
                InputLogEvent::builder().timestamp(at.timestamp_millis()).message(message).build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| bad_event(&error.to_string()))?;
        let request = self.logs.put_log_events().log_group_name(group).log_stream_name(stream);
        let request = request.set_log_events(Some(events)).send();
        let put = call(&self.limits, Bucket::Other, Access::Write, "PutLogEvents", request).await?;
        put.value.rejected_log_events_info().map_or(Ok(()), |rejected| Err(rejection(rejected)))
    }

    /// Creates a stream of the audit log and, if needed, its log group. Other engines may do the same concurrently.
    async fn create_stream(&self, fleet: &FleetName, stream: &str) -> Result<()> {
        let group = fleet.audit_group();
        match self.create_log_stream(&group, stream).await {
            Err(error) if error.is(ErrorClass::NotFound) => {
                self.create_group(fleet, &group, AUDIT_RETENTION).await?;
                self.create_log_stream(&group, stream).await
            }
            result => result,
        }
    }

    async fn create_log_stream(&self, group: &str, stream: &str) -> Result<()> {
        let request = self.logs.create_log_stream().log_group_name(group).log_stream_name(stream).send();
        let created = call(&self.limits, Bucket::Other, Access::Write, "CreateLogStream", request).await;
        match created {
            Err(error) if !error.is(ErrorClass::AlreadyExists) => Err(error),
            _ => Ok(()),
        }
    }

    /// Creates the log group. Its retention is set only by the process that created it, because an account may keep a group for ever.
    pub(super) async fn create_group(&self, fleet: &FleetName, group: &str, days: i32) -> Result<()> {
        let tags = self.fleet(fleet).await?.map(|fleet| fleet.policy.company_tags).unwrap_or_default();
        // Without tags, the request needs no permission for logs:TagResource.
        let tags = (!tags.is_empty()).then(|| tags.as_tags().clone().into_iter().collect());
        let request = self.logs.create_log_group().log_group_name(group).set_tags(tags).send();
        match call(&self.limits, Bucket::Other, Access::Write, "CreateLogGroup", request).await {
            Err(error) if error.is(ErrorClass::AlreadyExists) => return Ok(()),
            created => created?,
        };
        let request = self.logs.put_retention_policy().log_group_name(group);
        let request = request.retention_in_days(days).send();
        let set = call(&self.limits, Bucket::Other, Access::Write, "PutRetentionPolicy", request).await;
        if let Err(error) = set {
            // A log that is kept for ever is better than none.
            tracing::warn!(%error, group, "cannot set the retention of a log group");
        }
        Ok(())
    }

    pub(super) async fn audit(
        &self,
        fleet: &FleetName,
        since: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<AuditEvent>> {
        let group = fleet.audit_group();
        let events = self.read_latest(&group, Filter::default(), since, limit, parse_event).await;
        let mut events = audit::distinct(absent(events)?.unwrap_or_default());
        events.sort_by_key(|event| event.at);
        Ok(events)
    }

    pub(super) async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        // A caller without AWS's time has made no call yet, so it has no world either.
        let Some(now) = self.limits.now().filter(|now| *now - since >= DIGEST_PERIOD) else {
            return self.launch_events(fleet, since).await;
        };
        let digest = self.latest_digest(fleet, since, now).await?;
        let (mut launches, until) = digest.unwrap_or_else(|| (Vec::new(), since));
        launches.retain(|launch| launch.at >= since);
        let later = self.launch_events(fleet, until).await?;
        launches.extend(later.into_iter().filter(|launch| launch.at >= until));
        if now - until > DIGEST_AGE + DIGEST_DELAY {
            self.due_digests.set(fleet, Digest::new(since, now - DIGEST_DELAY, &launches));
        }
        Ok(launches)
    }

    async fn launch_events(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        let filter = Filter { pattern: Some(LAUNCHES), ..Filter::default() };
        // A limited read would look like a period without launches.
        let found = absent(self.read_all(&fleet.audit_group(), filter, since).await)?.unwrap_or_default();
        // Emulators ignore filter patterns, so `Launch::parse` selects the launches too.
        let events = audit::distinct(found.iter().filter_map(parse_event));
        Ok(events.iter().filter_map(Launch::parse).collect())
    }

    /// Returns the launches of the latest digest that covers the time since `since`, and its end. Digests of other versions, and any that
    /// cannot be read, are passed over.
    async fn latest_digest(
        &self,
        fleet: &FleetName,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<(Vec<Launch>, DateTime<Utc>)>> {
        let filter = Filter { stream: Some(DIGESTS), ..Filter::default() };
        let parse = |event: &FilteredLogEvent| {
            let digest: Digest = serde_json::from_str(event.message()?).ok()?;
            let covers = digest.launches_since <= since && digest.launches_until <= now;
            Some((digest.launches().filter(|_| covers)?, digest.launches_until))
        };
        let found = self.read_latest(&fleet.audit_group(), filter, now - DIGEST_PERIOD, 1, parse).await;
        // AWS answers NotFound if there is no such stream.
        Ok(absent(found)?.unwrap_or_default().pop())
    }
}

/// Returns an event's time for CloudWatch Logs: its own, unless that cannot be right.
fn timestamp(at: DateTime<Utc>, now: Option<DateTime<Utc>>) -> DateTime<Utc> {
    now.filter(|now| (*now - at).abs() > MAX_SKEW).unwrap_or(at)
}

fn parse_event(event: &FilteredLogEvent) -> Option<AuditEvent> {
    let parsed: AuditEvent = serde_json::from_str(event.message()?).ok()?;
    let at = timestamp(parsed.at, event.timestamp().and_then(DateTime::from_timestamp_millis));
    Some(AuditEvent { at, ..parsed })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| bad_event(&error.to_string()))
}

fn bad_event(message: &str) -> CloudError {
    CloudError::new(ErrorClass::Invalid, "PutLogEvents", "BadEvent", message)
}

/// Returns the error for events that CloudWatch Logs has rejected in an otherwise successful response.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_RejectedLogEventsInfo.html>
fn rejection(info: &RejectedLogEventsInfo) -> CloudError {
    let reason = if info.too_new_log_event_start_index().is_some() {
        "events are more than two hours ahead of AWS's time"
    } else if info.too_old_log_event_end_index().is_some() {
        "events are more than 14 days old"
    } else {
        "events are older than the retention of the log group"
    };
    CloudError::new(ErrorClass::Invalid, "PutLogEvents", "RejectedLogEvents", reason)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn wrong_clock_does_not_set_the_time_of_an_event() {
        let hours = |hours| at(1_000_000) + TimeDelta::hours(hours);
        let now = Some(hours(0));
        assert_eq!(timestamp(hours(5), now), hours(0));
        assert_eq!(timestamp(hours(-5), now), hours(0));
        assert_eq!(timestamp(hours(1), now), hours(1));
        assert_eq!(timestamp(hours(5), None), hours(5));
    }
}
