//! Logs of instances. Lines of services are generated when they are read, from the record, the source and the time, so that reading a log
//! does not change the history.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::faults::call_error;
use super::operations::AUDIT;
use super::state::{State, StoredLine, seconds};
use crate::cloud::{LeftOut, LogItem, LogLine, LogQuery, Result, StoredLines};
use crate::domain::tags::{self, key};
use crate::domain::{AuditEvent, ErrorClass, Phase};

/// The maximum number of stored lines per log stream.
const MAX_LINES: usize = 2_000;

/// The number of lines of a page.
const PAGE: usize = 1_000;

/// The length of a time slot, in which a service logs at most one line.
const SLOT_SECONDS: i64 = 7;

/// How far back lines of services are generated.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);

/// The number of audit events that are kept.
const MAX_AUDIT_EVENTS: usize = 10_000;

/// How far ahead of, and behind, CloudWatch Logs' clock an event may be.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(2);
const MAX_BEHIND: TimeDelta = TimeDelta::days(14);

impl State {
    /// Appends events to a fleet's audit log.
    ///
    /// # Errors
    /// Returns class `Invalid` if `CloudWatch` Logs rejects events.
    pub(super) fn append_audit(&mut self, fleet: &str, events: &[AuditEvent]) -> Result<()> {
        let is_rejected =
            |event: &AuditEvent| event.at > self.now + MAX_AHEAD || event.at < self.now - MAX_BEHIND;
        if events.iter().any(is_rejected) || self.strict_chance(self.scenario.strictness.log_rejected) {
            self.count_fault("events rejected");
            let message = "CloudWatch Logs rejected the events";
            return Err(call_error(ErrorClass::Invalid, AUDIT, "RejectedLogEvents", message));
        }
        for event in events {
            let delay = self.strict_draw([0.0, self.scenario.strictness.log_delay]);
            self.audit_groups.push((fleet.to_owned(), self.now + seconds(delay)));
            self.audit.push(event.clone());
        }
        let surplus = self.audit.len().saturating_sub(MAX_AUDIT_EVENTS);
        self.audit.drain(..surplus);
        self.audit_groups.drain(..surplus);
        Ok(())
    }

    /// Iterates over the events of a fleet's audit log that are visible.
    pub(super) fn visible_audit(&self, fleet: &str) -> impl Iterator<Item = &AuditEvent> {
        let groups = self.audit.iter().zip(&self.audit_groups);
        let visible = groups.filter(move |(_, (group, from))| group == fleet && *from <= self.now);
        visible.map(|(event, _)| event)
    }

    pub(super) fn write_log(&mut self, record: &str, source: &str, text: &str) {
        let at = self.now;
        let stream = self.logs.entry(format!("{record}/{source}")).or_default();
        if stream.len() >= MAX_LINES {
            stream.pop_front();
        }
        let number = stream.back().map_or(0, |last| last.number + 1);
        stream.push_back(StoredLine { number, at, text: text.to_owned() });
    }

    /// Writes the bootstrap's log lines of a phase.
    pub(super) fn log_phase(&mut self, instance_id: &str, phase: Phase) {
        let Some(instance) = self.instances.get(instance_id).cloned() else { return };
        let Some(record) = instance.tags.get(key::AWS_TEMPLATE_ID).cloned() else { return };
        let tag = |key: &str| instance.tags.get(key).cloned().unwrap_or_default();
        let lines = match phase {
            Phase::Booting => vec![
                format!(
                    "bootstrap of {} on {instance_id} ({})",
                    tag(key::ENVIRONMENT),
                    instance.instance_type
                ),
                "docker is running".to_owned(),
            ],
            Phase::Database => vec![format!("waiting for {}", tag(key::DATABASE))],
            Phase::Images => {
                let services = crate::domain::record::parse_services(&instance.tags);
                let pulls = services.iter().map(|(name, tag)| format!("pulling {name}:{tag}"));
                std::iter::once("the database answers".to_owned()).chain(pulls).collect()
            }
            Phase::Cluster => vec!["starting minikube".to_owned(), "enabling the ingress".to_owned()],
            Phase::Services => {
                vec!["applying 34 manifests".to_owned(), "waiting for 31 deployments".to_owned()]
            }
            Phase::Ready => vec!["31 of 31 deployments are available".to_owned(), "ready".to_owned()],
            Phase::Failed => vec![format!("failed: {}", instance.fails.clone().unwrap_or_default())],
        };
        for line in lines {
            self.write_log(&record, "bootstrap", &line);
        }
    }

    /// The lines of a query that are there now.
    pub(super) fn lines(&self, query: &LogQuery) -> Vec<LogLine> {
        let wanted = |source: &str| query.source.as_ref().is_none_or(|wanted| wanted == source);
        let prefix = format!("{}/", query.record);
        let mut lines = Vec::new();
        for (stream, shipped) in self.logs.range(prefix.clone()..) {
            let Some(source) = stream.strip_prefix(&prefix) else { break };
            if wanted(source) {
                lines.extend(shipped.iter().filter(|line| line.at >= query.since).map(|line| LogLine {
                    id: format!("{stream}#{:06}", line.number),
                    at: line.at,
                    source: source.into(),
                    text: line.text.clone().into(),
                }));
            }
        }
        let of_record =
            |tags: &tags::Tags| tags.get(key::AWS_TEMPLATE_ID).is_some_and(|id| id == query.record.as_str());
        for (_, instance) in self.instances.iter().filter(|(_, instance)| of_record(&instance.tags)) {
            let Some(ready) = tags::parse_time(&instance.tags, key::READY_AT) else { continue };
            let services = crate::domain::record::parse_services(&instance.tags);
            let names = services
                .into_keys()
                .map(|service| service.raw().to_owned())
                .chain(["gateway".to_owned(), "orders".to_owned()]);
            for source in names.filter(|source| wanted(source)) {
                lines.extend(service_lines(query, &source, ready, self.now));
            }
        }
        lines.sort_by(|a, b| (a.at, &a.source, &a.id).cmp(&(b.at, &b.source, &b.id)));
        lines.dedup();
        lines
    }
}

/// Returns the items of the stored lines, which are sorted by time: the newest page, and up to about `older_bytes` of older pages.
pub(super) fn newest_first(mut lines: Vec<LogLine>, older_bytes: usize) -> Vec<LogItem> {
    if older_bytes == 0 {
        let stored = StoredLines::newest_of(lines);
        let left_out = stored.left_out.map(LogItem::LeftOut);
        return left_out.into_iter().chain([LogItem::Lines(stored.lines)]).collect();
    }
    let mut items = vec![LogItem::Lines(lines.split_off(lines.len().saturating_sub(PAGE)))];
    let mut read = 0;
    while !lines.is_empty() {
        let page = lines.split_off(lines.len().saturating_sub(PAGE));
        read += page.iter().map(LogLine::memory).sum::<usize>();
        let left_out = (read >= older_bytes && !lines.is_empty()).then_some(LeftOut::Older(lines.len()));
        items.push(LogItem::Older { lines: page, left_out });
        if left_out.is_some() {
            break;
        }
    }
    items
}

/// Generates a service's lines since the environment was ready, at most one per time slot.
fn service_lines(query: &LogQuery, source: &str, ready: DateTime<Utc>, now: DateTime<Utc>) -> Vec<LogLine> {
    let from = query.since.max(ready).max(now - MAX_AGE).timestamp() / SLOT_SECONDS;
    let to = now.timestamp() / SLOT_SECONDS;
    (from..to)
        .filter_map(|slot| {
            let seed = Sha256::digest(format!("{} {source} {slot}", query.record));
            let mut random = ChaCha8Rng::from_seed(seed.into());
            if random.random_bool(0.3) {
                return None;
            }
            let at =
                DateTime::from_timestamp_millis(slot * SLOT_SECONDS * 1_000 + random.random_range(0..6_999))?;
            Some(LogLine {
                id: format!("{source}#{slot}"),
                at,
                source: source.into(),
                text: service_text(&mut random).into(),
            })
        })
        .collect()
}

fn service_text(random: &mut ChaCha8Rng) -> String {
    const PATHS: [&str; 6] =
        ["/orders", "/cart/items", "/payments/intents", "/search?q=lamp", "/health", "/login"];
    let path = PATHS[random.random_range(0..PATHS.len())];
    let took = random.random_range(2..180);
    match random.random_range(0..20) {
        0 => format!("WARN  slow query: {}ms select * from orders where state = 'open'", took * 7),
        1 => format!("ERROR upstream {path} returned 503, retrying"),
        2..=4 => "INFO  consumed 1 event from topic orders".to_owned(),
        _ => format!("INFO  GET {path} 200 {took}ms"),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::super::{Scenario, SimCloud};
    use crate::clock::Clock;
    use crate::cloud::{LeftOut, LogItem, LogQuery, MAX_LOG_LINES};
    use crate::domain::RecordId;

    fn cloud() -> (SimCloud, LogQuery) {
        let epoch = "2026-03-10T12:00:00Z".parse().unwrap();
        let cloud = SimCloud::new(Scenario::default(), 1, Clock::virtual_from(epoch, 1.0));
        let (fleet, record) = ("dev".parse().unwrap(), RecordId::new("lt-1"));
        (cloud, LogQuery { fleet, record, source: None, since: epoch })
    }

    #[tokio::test(start_paused = true)]
    async fn follower_misses_and_repeats_no_line() {
        let (cloud, query) = cloud();
        let caller = cloud.caller("amy");
        let mut items = caller.follow(query, 0);
        assert!(matches!(items.next().await, Some(Ok(LogItem::Mode(_)))));
        // More lines than the simulated cloud keeps, two of one time before and after the follower reads.
        for batch in 0..3 {
            for line in 0..1_500 {
                cloud.advanced().write_log("lt-1", "app", &format!("{batch}: {line}"));
            }
            let Some(Ok(LogItem::Lines(lines))) = items.next().await else { panic!("no lines") };
            let texts: Vec<_> = lines.iter().map(|line| line.text.to_string()).collect();
            let expected: Vec<_> = (0..1_500).map(|line| format!("{batch}: {line}")).collect();
            assert_eq!(texts, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn newest_of_many_lines_are_returned() {
        let (cloud, query) = cloud();
        for source in 0..7 {
            for line in 0..1_800 {
                cloud.advanced().write_log("lt-1", &source.to_string(), &line.to_string());
            }
        }
        let caller = cloud.caller("amy");
        let stored = caller.logs(&query).await.unwrap();
        let left_out = Some(LeftOut::Older(2_600));
        assert_eq!((stored.lines.len(), stored.left_out), (MAX_LOG_LINES, left_out));
        let items: Vec<_> = caller.follow(query, 0).skip(1).take(2).map(Result::unwrap).collect().await;
        assert_eq!(items, [LogItem::LeftOut(LeftOut::Older(2_600)), LogItem::Lines(stored.lines)]);
    }

    #[tokio::test(start_paused = true)]
    async fn older_lines_follow_the_newest() {
        let (cloud, query) = cloud();
        for line in 0..3_500 {
            cloud.advanced().write_log("lt-1", &(line % 2).to_string(), &line.to_string());
        }
        let caller = cloud.caller("amy");
        let follow = async |bytes, items| {
            let items = caller.follow(query.clone(), bytes).skip(1).take(items);
            items.map(Result::unwrap).collect::<Vec<_>>().await
        };
        let all = caller.logs(&query).await.unwrap().lines;
        let older =
            |from: usize, to: usize, left_out| LogItem::Older { lines: all[from..to].to_vec(), left_out };
        let newest = LogItem::Lines(all[2_500..].to_vec());
        let items = [newest.clone(), older(1_500, 2_500, None), older(500, 1_500, None), older(0, 500, None)];
        assert_eq!(follow(usize::MAX, 4).await, items);
        assert_eq!(follow(1, 2).await, [newest, older(1_500, 2_500, Some(LeftOut::Older(1_500)))]);
    }
}
