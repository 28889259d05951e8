//! The time zone in which times are shown.

use chrono::{DateTime, FixedOffset, Local, Offset as _, TimeZone as _, Utc};
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
}
