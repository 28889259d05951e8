//! Working hours of a fleet in its time zone, such as `Mon-Fri 07:00-19:00 Europe/Berlin`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;

const RULE: &str = "use days, times and a time zone, such as Mon-Fri 07:00-19:00 Europe/Berlin, with commas between the times";

const MINUTES_A_DAY: u32 = 24 * 60;

/// Consecutive weekdays with the same working time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: Weekday,
    last: Weekday,
    /// Minutes since local midnight; `to` is exclusive and at most 24:00.
    from: u32,
    to: u32,
}

/// Working hours of a fleet, and the time zone of their weekdays and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    spans: Vec<Span>,
    zone: Tz,
}

impl Hours {
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    #[must_use]
    pub fn contain(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone);
        self.include(local.weekday(), local.num_seconds_from_midnight() / 60)
    }

    /// Whether the hours include this weekday and minute of the local day.
    #[must_use]
    pub(crate) fn include(&self, day: Weekday, minute: u32) -> bool {
        self.spans.iter().any(|span| span.include(day, minute))
    }
}

impl Span {
    fn include(&self, day: Weekday, minute: u32) -> bool {
        day.days_since(self.first) <= self.last.days_since(self.first)
            && (self.from..self.to).contains(&minute)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, " {}-{}", clock(self.from), clock(self.to))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans: Vec<_> = self.spans.iter().map(ToString::to_string).collect();
        write!(f, "{} {}", spans.join(", "), self.zone)
    }
}

impl FromStr for Hours {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (spans, zone) = text.trim().rsplit_once(' ').ok_or(RULE)?;
        let zone = zone.parse().map_err(|_| "end it with an IANA time zone, such as Europe/Berlin or UTC")?;
        let spans = spans.split(',').map(|span| parse_span(span).ok_or(RULE)).collect::<Result<_, _>>()?;
        Ok(Self { spans, zone })
    }
}

fn parse_span(text: &str) -> Option<Span> {
    let mut words = text.split_whitespace();
    let (days, times) = (words.next()?, words.next()?);
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (from, to) = times.split_once('-')?;
    let span = Span {
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        from: parse_minute(from)?,
        to: parse_minute(to)?,
    };
    (words.next().is_none() && span.from < span.to).then_some(span)
}

/// Parses a time of day up to 24:00 into minutes since midnight.
fn parse_minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    // `parse` also accepts a sign.
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if minute.len() != 2 || hour.len() > 2 || !is_number(minute) || !is_number(hour) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60).then_some(hour * 60 + minute).filter(|minute| *minute <= MINUTES_A_DAY)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn open(hours: &str, at: &str) -> bool {
        hours.parse::<Hours>().unwrap().contain(at.parse().unwrap())
    }

    #[test]
    fn hours_are_local_and_follow_summer_time() {
        let hours = "Mon-Fri 07:00-19:00 Europe/Berlin";
        assert!(!open(hours, "2026-03-02T05:59:59Z"));
        assert!(open(hours, "2026-03-02T06:00:00Z"));
        assert!(open(hours, "2026-07-06T05:00:00Z"));
        assert!(!open(hours, "2026-07-06T17:00:00Z"));
        assert!(!open(hours, "2026-03-07T12:00:00Z"), "a Saturday");
        assert_eq!(hours.parse::<Hours>().unwrap().zone(), Tz::Europe__Berlin);
    }

    #[test]
    fn days_can_wrap_around_the_week() {
        let hours = "Sat-Mon 09:00-12:00, Fri 22:00-24:00 UTC";
        assert!(open(hours, "2026-03-01T09:00:00Z"), "a Sunday");
        assert!(open(hours, "2026-03-02T11:59:00Z"));
        assert!(!open(hours, "2026-03-03T11:59:00Z"));
        assert!(open(hours, "2026-03-06T23:59:59Z"));
        assert!(!open(hours, "2026-03-07T00:00:00Z"));
    }

    #[rstest]
    #[case("Mon-Fri 07:00-19:00 Europe/Berlin", "Mon-Fri 07:00-19:00 Europe/Berlin")]
    #[case(
        "Sat 00:00-24:00, Mon-Thu 08:30-17:05 America/New_York",
        "Sat 00:00-24:00, Mon-Thu 08:30-17:05 America/New_York"
    )]
    #[case("mon-friday 7:00-19:00 UTC", "Mon-Fri 07:00-19:00 UTC")]
    fn hours_are_parsed_and_formatted(#[case] text: &str, #[case] formatted: &str) {
        assert_eq!(text.parse::<Hours>().unwrap().to_string(), formatted);
    }

    #[rstest]
    fn invalid_hours_are_rejected(
        #[values(
            "",
            "always",
            "UTC",
            "Mon-Fri UTC",
            "Mon-Fri 07:00-19:00",
            "Mon-Fri 19:00-07:00 UTC",
            "Mon 07:00-24:01 UTC",
            "Mon 07:60-19:00 UTC",
            "Mon 07-19 UTC",
            "Mon 07:00-19:00 Mars/Olympus",
            "Mon 07:00-19:00 x UTC",
            "Mon +7:00-19:00 UTC",
            "Mon 07:00-07:00 UTC",
            "Mon 007:00-19:00 UTC",
            "Mon 7:0-19:00 UTC",
            "Mon 7:+0-19:00 UTC",
            "Mon :00-19:00 UTC",
            "Mon 07:00-99999999999:00 UTC"
        )]
        text: &str,
    ) {
        assert!(text.parse::<Hours>().is_err());
    }
}
