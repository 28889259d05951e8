//! The time zone of the screen.

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
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        Self::Named(zone)
    }
}
