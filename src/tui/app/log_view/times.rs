//! How the times of a log are shown, and times that the user types.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use crate::domain::format::parse_duration;
use crate::domain::text::sanitize;
use crate::tui::format::{self, TimedText};
use crate::tui::zone::Zone;

/// How the times of a log are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Times {
    /// In the zone of the dashboard, which is the local one unless an option says otherwise.
    #[default]
    Zone,
    Utc,
    /// As ages.
    Relative,
}

impl Times {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Zone => Self::Utc,
            Self::Utc => Self::Relative,
            Self::Relative => Self::Zone,
        }
    }

    /// Names the zone at a time, for the title.
    pub(crate) fn name_at(self, at: DateTime<Utc>, zone: Zone) -> String {
        match self {
            Self::Zone => zone.name_at(at),
            Self::Utc => "UTC".to_owned(),
            Self::Relative => "ages".to_owned(),
        }
    }

    /// Formats a time in eight columns.
    pub(crate) fn format(self, at: DateTime<Utc>, now: DateTime<Utc>, zone: Zone) -> String {
        match self {
            Self::Zone => format::time_with_seconds(at, zone),
            Self::Utc => format::time_with_seconds(at, Zone::Named(chrono_tz::UTC)),
            Self::Relative => format!("{:>8}", age(at, now).text),
        }
    }
}

/// Returns the age of a line.
pub(crate) fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> TimedText {
    format::age(format::between(at, now))
}

/// Parses a time to go to: `14:05` or `14:05:30`, which is the last such time before `now`; `-10m`, before `now`; `2026-03-10 14:05`; or RFC 3339.
///
/// # Errors
/// Returns what is wrong, with examples.
pub(crate) fn parse(text: &str, zone: Zone, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Some(back) = text.strip_prefix('-') {
        let back = parse_duration(back.trim()).map_err(|error| error.to_string())?;
        let back = TimeDelta::from_std(back.min(Duration::from_hours(24 * 366))).unwrap_or_default();
        return Ok(now - back);
    }
    let time =
        NaiveTime::parse_from_str(text, "%H:%M:%S").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"));
    if let Ok(time) = time {
        let today = zone.at(now).date_naive();
        let days = [Some(today), today.checked_sub_days(Days::new(1))];
        let last = days
            .into_iter()
            .flatten()
            .filter_map(|day| zone.to_utc(day.and_time(time)))
            .find(|at| *at <= now);
        return last.ok_or_else(|| format!("the clocks skip {text}"));
    }
    if let Ok(local) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M") {
        return zone.to_utc(local).ok_or_else(|| format!("the clocks skip {text}"));
    }
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(|_| {
        format!("not a time: {} (use 14:05, 14:05:30, -10m or 2026-03-10 14:05)", sanitize(text))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::today("11:30", Ok("2026-03-07T16:30:00Z"))]
    #[case::seconds("11:30:15", Ok("2026-03-07T16:30:15Z"))]
    #[case::yesterday("12:01", Ok("2026-03-06T17:01:00Z"))]
    #[case::back("-10m", Ok("2026-03-07T16:50:00Z"))]
    #[case::back_in_units("-1h 30m", Ok("2026-03-07T15:30:00Z"))]
    #[case::date("2026-03-05 08:00", Ok("2026-03-05T13:00:00Z"))]
    #[case::with_zone("2026-03-05T08:00:00Z", Ok("2026-03-05T08:00:00Z"))]
    #[case::words("no\u{1b}[1mon", Err("not a time: noon (use 14:05, 14:05:30, -10m or 2026-03-10 14:05)"))]
    #[case::empty("", Err("not a time:  (use 14:05, 14:05:30, -10m or 2026-03-10 14:05)"))]
    fn time_is_parsed(#[case] text: &str, #[case] expected: Result<&str, &str>) {
        let now = "2026-03-07T17:00:00Z".parse().unwrap();
        let parsed = parse(text, Zone::from(chrono_tz::America::New_York), now);
        let expected: Result<DateTime<Utc>, _> = expected.map(|at| at.parse().unwrap());
        assert_eq!(parsed, expected.map_err(str::to_owned));
    }

    #[test]
    fn times_are_those_of_the_zone_or_ages() {
        let zone = Zone::from(chrono_tz::Asia::Kolkata);
        let (at, now) = ("2026-03-07T17:00:00Z".parse().unwrap(), "2026-03-07T17:03:10Z".parse().unwrap());
        let mut times = Times::default();
        let mut shown = Vec::new();
        for _ in 0..3 {
            shown.push((times.format(at, now, zone), times.name_at(at, zone)));
            times = times.next();
        }
        let expected = [("22:30:00", "UTC+05:30"), ("17:00:00", "UTC"), ("      3m", "ages")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!((shown, times), (expected.to_vec(), Times::Zone));
    }
}
