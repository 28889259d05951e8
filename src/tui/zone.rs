//! The time zone in which times are shown.

use chrono::{DateTime, Days, FixedOffset, Local, NaiveDateTime, NaiveTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

/// The time zone in which times are shown. The offset is that of each time, not that of the start, because the dashboard stays open
/// when summer time begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// That of this computer: `TZ`, else the system's, which can change while the dashboard is open.
    Local,
    Named(Tz),
}

impl Zone {
    /// Returns a time in this zone.
    pub(crate) fn at(self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        let offset = match self {
            Self::Local => Local.offset_from_utc_datetime(&at.naive_utc()).fix(),
            Self::Named(zone) => zone.offset_from_utc_datetime(&at.naive_utc()).fix(),
        };
        at.with_timezone(&offset)
    }

    /// Formats date and time to the second with the offset from UTC: `2026-03-10 17:16:05+01:00`, in UTC `2026-03-10 16:16:05Z`.
    pub(crate) fn format_full(self, at: DateTime<Utc>) -> String {
        let at = self.at(at);
        let utc = at.offset().local_minus_utc() == 0;
        at.format(if utc { "%F %TZ" } else { "%F %T%:z" }).to_string()
    }

    /// Names the offset from UTC that is in force at a time: `UTC+01:00`.
    pub(crate) fn name_at(self, at: DateTime<Utc>) -> String {
        let at = self.at(at);
        if at.offset().local_minus_utc() == 0 { "UTC".to_owned() } else { at.format("UTC%:z").to_string() }
    }

    /// Parses a time in this zone: `16:00`, which is the next such time after `now`, or `2026-03-10 16:00`; also RFC 3339 with its own zone.
    ///
    /// # Errors
    /// Returns what is wrong, with examples.
    pub(crate) fn parse_time(self, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(at.to_utc());
        }
        let missing = |local: NaiveDateTime| format!("the clocks skip {}", local.format("%F %R"));
        if let Ok(local) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M") {
            return self.to_utc(local).ok_or_else(|| missing(local));
        }
        let time = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| {
            format!("not a time: {} (use 16:00, or 2026-03-10 16:00)", crate::domain::text::sanitize(text))
        })?;
        let today = self.at(now).date_naive().and_time(time);
        match self.to_utc(today) {
            Some(at) if at > now => Ok(at),
            _ => {
                let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
                self.to_utc(tomorrow).ok_or_else(|| missing(tomorrow))
            }
        }
    }

    /// Returns `None` for a time that the clocks skip, and the earlier of two that they show twice.
    pub(crate) fn to_utc(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Self::Local => Some(Local.from_local_datetime(&local).earliest()?.to_utc()),
            Self::Named(zone) => Some(zone.from_local_datetime(&local).earliest()?.to_utc()),
        }
    }
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        Self::Named(zone)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::winter(
        chrono_tz::America::New_York,
        "2026-03-08T06:59:59Z",
        "2026-03-08 01:59:59-05:00",
        "UTC-05:00"
    )]
    #[case::summer(
        chrono_tz::America::New_York,
        "2026-03-08T07:00:00Z",
        "2026-03-08 03:00:00-04:00",
        "UTC-04:00"
    )]
    #[case::half_hours(
        chrono_tz::Asia::Kolkata,
        "2026-03-08T20:00:00Z",
        "2026-03-09 01:30:00+05:30",
        "UTC+05:30"
    )]
    #[case::utc(chrono_tz::UTC, "2026-03-08T07:00:00Z", "2026-03-08 07:00:00Z", "UTC")]
    fn times_have_their_offset(#[case] zone: Tz, #[case] at: &str, #[case] full: &str, #[case] name: &str) {
        let (zone, at) = (Zone::from(zone), at.parse().unwrap());
        assert_eq!((zone.format_full(at).as_str(), zone.name_at(at).as_str()), (full, name));
    }

    #[rstest]
    #[case::today("16:00", Ok("2026-03-07T21:00:00Z"))]
    #[case::tomorrow("11:59", Ok("2026-03-08T15:59:00Z"))]
    #[case::now("12:00", Ok("2026-03-08T16:00:00Z"))]
    #[case::date("2026-03-10 16:00", Ok("2026-03-10T20:00:00Z"))]
    #[case::with_zone("2026-03-10T16:00:00+01:00", Ok("2026-03-10T15:00:00Z"))]
    #[case::twice("2026-11-01 01:30", Ok("2026-11-01T05:30:00Z"))]
    #[case::skipped("2026-03-08 02:30", Err("the clocks skip 2026-03-08 02:30"))]
    #[case::skipped_tomorrow("02:30", Err("the clocks skip 2026-03-08 02:30"))]
    #[case::words("at\u{1b}[1m noon", Err("not a time: at noon (use 16:00, or 2026-03-10 16:00)"))]
    fn times_are_parsed(#[case] text: &str, #[case] expected: Result<&str, &str>) {
        let now = "2026-03-07T17:00:00Z".parse().unwrap();
        let parsed = Zone::from(chrono_tz::America::New_York).parse_time(text, now);
        let expected: Result<DateTime<Utc>, _> = expected.map(|at| at.parse().unwrap());
        assert_eq!(parsed, expected.map_err(str::to_owned));
    }
}
