//! Holds: failed environments and databases that are kept for inspection until a time.

use chrono::{DateTime, Utc};

use super::tags;
use super::text::Untrusted;

/// The longest reason of a hold, in characters, so that it fits a tag with a time and a user's name.
pub(crate) const MAX_WHY_CHARS: usize = 150;

/// Keeps a failed environment from being reaped, or a database out of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub until: DateTime<Utc>,
    /// The name of the user who holds it.
    pub by: Untrusted,
    pub why: Untrusted,
}

impl Hold {
    /// Formats the value of a tag: `<RFC 3339> <user>: <why>`.
    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.until, &format!("{}: {}", self.by.raw(), self.why.raw()))
    }

    /// Parses the value of a tag. Returns `None` if it has no valid time, because a hold without an end would keep a database for ever.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (until, text) = tags::parse_timed(value)?;
        let (by, why) = text.raw().split_once(": ").unwrap_or((text.raw(), ""));
        Some(Self { until, by: by.into(), why: why.into() })
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_in_force(&self, now: DateTime<Utc>) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_survives_its_tag() {
        let until = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let hold = Hold { until, by: "amy".into(), why: "disk full: why?".into() };
        assert_eq!(hold.to_tag(), "2026-01-02T03:04:05Z amy: disk full: why?");
        assert_eq!(Hold::parse(&hold.to_tag()), Some(hold));
        assert_eq!(Hold::parse("for ever amy: mine"), None);
        assert_eq!(Hold::parse("2026-01-02T03:04:05Z amy").unwrap().by, "amy");
    }
}
