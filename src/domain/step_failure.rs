//! The trace of a step that AWS refuses, in a tag of the resource that it changes. All engines see it, so they wait for the next try together.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::{CloudError, ErrorClass};
use super::tags::{self, Tags, key};
use super::text::Untrusted;

/// The pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

const MAX_DOUBLINGS: u32 = 6;

/// How long after its last try a failure counts as over, because no engine has repeated it.
const OUTDATED_AFTER: Duration = Duration::from_hours(2);

/// A failed step of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// The action, such as `create-database`.
    pub action: Untrusted,
    /// The time of the first failure in a row.
    pub since: DateTime<Utc>,
    /// The time of the last one.
    pub last: DateTime<Utc>,
    /// The number of failures in a row.
    pub count: u32,
    /// AWS's words.
    pub error: Untrusted,
}

impl StepFailure {
    /// Whether the failure concerns all engines. Missing permissions and credentials are those of one caller, and temporary errors pass.
    #[must_use]
    pub(crate) fn is_shared(class: ErrorClass) -> bool {
        matches!(
            class,
            ErrorClass::Capacity
                | ErrorClass::Quota
                | ErrorClass::Invalid
                | ErrorClass::NotFound
                | ErrorClass::Unreadable
        )
    }

    /// Returns the failures of an action with one more.
    #[must_use]
    pub fn after(earlier: Option<&Self>, action: &str, error: &CloudError, now: DateTime<Utc>) -> Self {
        let earlier = earlier.filter(|earlier| earlier.action == action && earlier.is_current(now));
        Self {
            action: action.into(),
            since: earlier.map_or(now, |earlier| earlier.since),
            last: now,
            count: earlier.map_or(0, |earlier| earlier.count).saturating_add(1),
            error: error.to_string().into(),
        }
    }

    /// Returns the earliest time of the next try: 1, 2, 4 … 64 minutes after the last one.
    #[must_use]
    pub fn retry_at(&self) -> DateTime<Utc> {
        let doublings = self.count.saturating_sub(1).min(MAX_DOUBLINGS);
        self.last + FIRST_PAUSE * (1 << doublings)
    }

    /// Returns the number of failures in words.
    pub(crate) fn times(&self) -> String {
        if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) }
    }

    /// Says since when the step fails and when it is tried again. The subjects of both parts come with their verbs, such as `it has` and `is`.
    #[must_use]
    pub(crate) fn pause(&self, has: &str, is: &str) -> String {
        let (times, since) = (self.times(), self.since.format("%F %T UTC"));
        let next = self.retry_at().format("%T UTC");
        format!("{has} failed {times} since {since}, and {is} tried again at {next}: {}", self.error)
    }

    /// Whether the step is still tried. A failure that no engine has repeated for long is over.
    #[must_use]
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        now < self.retry_at() + OUTDATED_AFTER
    }

    /// Whether the audit log has not had this failure for an hour.
    #[must_use]
    pub(crate) fn is_news(&self, earlier: Option<&Self>) -> bool {
        earlier.is_none_or(|earlier| {
            self.count == 1
                // A tag may cut the earlier one, and that of a database lacks characters.
                || !tags::rds_value(self.error.raw()).starts_with(&tags::rds_value(earlier.error.raw()))
                || (earlier.last - self.since).num_hours() != (self.last - self.since).num_hours()
        })
    }

    /// Formats `<since> <last> <count> <action> <error>`, cut to the length of a tag.
    #[must_use]
    pub fn to_tag(&self) -> String {
        let [since, last] = [self.since, self.last].map(tags::format_time);
        let value = format!("{since} {last} {} {} {}", self.count, self.action, self.error);
        value.chars().take(tags::MAX_VALUE_CHARS).collect()
    }

    /// Formats the same for a database, whose tags have fewer characters.
    #[must_use]
    pub fn to_database_tag(&self) -> String {
        tags::rds_value(&self.to_tag())
    }

    /// Parses the tag of a resource. An invalid value is no failure, because it only delays steps.
    #[must_use]
    pub fn parse(resource: &Tags) -> Option<Self> {
        Self::parse_tag(resource, key::FAILED_STEP)
    }

    /// Parses a tag that has the failure of something else than a step on the resource.
    #[must_use]
    pub(super) fn parse_tag(resource: &Tags, key: &str) -> Option<Self> {
        let mut words = resource.get(key)?.splitn(5, ' ');
        let time = |word: &str| Some(DateTime::parse_from_rfc3339(word).ok()?.to_utc());
        Some(Self {
            since: time(words.next()?)?,
            last: time(words.next()?)?,
            count: words.next()?.parse().ok()?,
            action: words.next()?.into(),
            error: words.next().unwrap_or_default().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn error(message: &str) -> CloudError {
        CloudError::new(
            ErrorClass::Quota,
            "RestoreDBInstanceFromDBSnapshot",
            "InstanceQuotaExceeded",
            message,
        )
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        let mut failure: Option<StepFailure> = None;
        let mut now = at(0);
        for minutes in [1, 2, 4, 8, 16, 32, 64, 64] {
            let next = StepFailure::after(failure.as_ref(), "create-database", &error("full"), now);
            assert_eq!(next.retry_at(), now + Duration::from_mins(minutes));
            assert_eq!(next.since, at(0));
            now = next.retry_at();
            failure = Some(next);
        }
    }

    #[test]
    fn other_or_outdated_failure_counts_anew() {
        let first = StepFailure::after(None, "create-database", &error("full"), at(0));
        let count =
            |action, minute| StepFailure::after(Some(&first), action, &error("full"), at(minute)).count;
        assert_eq!((count("create-database", 1), count("retire-database", 1)), (2, 1));
        assert_eq!((count("create-database", 120), count("create-database", 121)), (2, 1));
    }

    #[test]
    fn failure_round_trips_through_its_tag() {
        let failure =
            StepFailure { count: 7, ..StepFailure::after(None, "give-up", &error("no \u{7}room"), at(9)) };
        let tags = Tags::from([(key::FAILED_STEP.to_owned(), failure.to_tag())]);
        assert_eq!(StepFailure::parse(&tags), Some(failure));
        let long = StepFailure::after(None, "give-up", &error(&"x".repeat(400)), at(9)).to_tag();
        assert_eq!(long.chars().count(), 256);
        for odd in ["", "soon", "1970-01-01T00:09:00Z 1970-01-01T00:09:00Z many give-up x"] {
            assert_eq!(
                StepFailure::parse(&Tags::from([(key::FAILED_STEP.to_owned(), odd.to_owned())])),
                None
            );
        }
    }

    #[test]
    fn tag_of_a_database_has_the_characters_of_rds() {
        let failed = |earlier: Option<&StepFailure>, minute| {
            StepFailure::after(
                earlier,
                "start-database",
                &error("no \"db.m6g\" (yet), as of 1/2; ö"),
                at(minute),
            )
        };
        let first = failed(None, 0);
        let value = first.to_database_tag();
        let words = "RestoreDBInstanceFromDBSnapshot: no db.m6g yet as of 1/2  InstanceQuotaExceeded";
        assert_eq!(value, format!("1970-01-01T00:00:00Z 1970-01-01T00:00:00Z 1 start-database {words}"));
        let read = StepFailure::parse(&Tags::from([(key::FAILED_STEP.to_owned(), value)])).unwrap();
        assert_eq!(read, StepFailure { error: words.into(), ..first });
        assert!(!failed(Some(&read), 1).is_news(Some(&read)));
    }

    #[test]
    fn repeated_failure_is_news_once_an_hour() {
        let first = StepFailure::after(None, "give-up", &error("full"), at(0));
        let again = |minute, message| {
            StepFailure::after(Some(&first), "give-up", &error(message), at(minute)).is_news(Some(&first))
        };
        assert!(first.is_news(None));
        assert_eq!([again(1, "full"), again(59, "full"), again(60, "full")], [false, false, true]);
        assert!(again(1, "other words"));
    }
}
