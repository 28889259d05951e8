//! The hours in which a fleet works: spans of a local week, such as `Mon-Fri 07:00-19:00 Europe/Berlin`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;

const RULE: &str =
    "use days, times and a time zone, such as Mon-Fri 07:00-19:00 Europe/Berlin, spans separated by commas";

const MINUTES_A_DAY: u32 = 24 * 60;

/// Days of the week with one span of local time each; the span may end at 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: Weekday,
    last: Weekday,
    /// Minutes since local midnight, the end not included.
    from: u32,
    to: u32,
}

/// The hours in which a fleet works, and the time zone that its weekdays and times of day are meant in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    spans: Vec<Span>,
    zone: Tz,
}

impl Hours {
    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether the fleet works at this instant.
    #[must_use]
    pub fn are_open(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone);
        self.include(local.weekday(), local.num_seconds_from_midnight() / 60)
    }

    /// Whether the fleet works on this weekday at this minute of the local day.
    #[must_use]
    pub fn include(&self, day: Weekday, minute: u32) -> bool {
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
        let spans = spans.split(',').map(|span| read_span(span).ok_or(RULE)).collect::<Result<_, _>>()?;
        Ok(Self { spans, zone })
    }
}

fn read_span(text: &str) -> Option<Span> {
    let mut words = text.split_whitespace();
    let (days, times) = (words.next()?, words.next()?);
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (from, to) = times.split_once('-')?;
    let span =
        Span { first: first.parse().ok()?, last: last.parse().ok()?, from: minute(from)?, to: minute(to)? };
    (words.next().is_none() && span.from < span.to).then_some(span)
}

/// Minutes since midnight; 24:00 is the end of the day.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    // `parse` alone would take a sign.
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if minute.len() != 2 || hour.len() > 2 || !is_number(minute) || !is_number(hour) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60).then_some(hour * 60 + minute).filter(|minute| *minute <= MINUTES_A_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(hours: &str, at: &str) -> bool {
        hours.parse::<Hours>().unwrap().are_open(at.parse().unwrap())
    }

    #[test]
    fn hours_are_local_and_follow_the_summer_time() {
        let hours = "Mon-Fri 07:00-19:00 Europe/Berlin";
        assert!(!open(hours, "2026-03-02T05:59:59Z"));
        assert!(open(hours, "2026-03-02T06:00:00Z"));
        assert!(open(hours, "2026-07-06T05:00:00Z"));
        assert!(!open(hours, "2026-07-06T17:00:00Z"));
        assert!(!open(hours, "2026-03-07T12:00:00Z"), "a Saturday");
        assert_eq!(hours.parse::<Hours>().unwrap().zone(), Tz::Europe__Berlin);
    }

    #[test]
    fn spans_may_differ_and_days_may_go_round_the_week() {
        let hours = "Sat-Mon 09:00-12:00, Fri 22:00-24:00 UTC";
        assert!(open(hours, "2026-03-01T09:00:00Z"), "a Sunday");
        assert!(open(hours, "2026-03-02T11:59:00Z"));
        assert!(!open(hours, "2026-03-03T11:59:00Z"));
        assert!(open(hours, "2026-03-06T23:59:59Z"));
        assert!(!open(hours, "2026-03-07T00:00:00Z"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        for text in
            ["Mon-Fri 07:00-19:00 Europe/Berlin", "Sat 00:00-24:00, Mon-Thu 08:30-17:05 America/New_York"]
        {
            assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }
        assert_eq!(
            "mon-friday 7:00-19:00 UTC".parse::<Hours>().unwrap().to_string(),
            "Mon-Fri 07:00-19:00 UTC"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
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
            "Mon 07:00-99999999999:00 UTC",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text:?}");
        }
    }
}
