//! Times and money for the screen. Units are coarse so that an idle screen rarely changes, and a text that depends on the
//! current time comes with the time for which it stays valid.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::zone::Zone;
use crate::domain::format::format_duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Added to every deadline, because a timer that fires slightly early would find the text unchanged.
const MARGIN: Duration = Duration::from_millis(20);

/// A text that depends on the current time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimedText {
    pub(crate) text: String,
    /// The time until the text changes.
    pub(crate) valid_for: Duration,
}

/// Formats the time left until a deadline, rounded down.
pub(crate) fn left(left: Duration) -> TimedText {
    let seconds = left.as_secs();
    let step = match seconds {
        DAY.. => HOUR,
        600.. => MINUTE,
        MINUTE.. => 10,
        _ => 5,
    };
    let rounded = seconds / step * step;
    let over = left.saturating_sub(Duration::from_secs(rounded));
    TimedText { text: format_duration(Duration::from_secs(rounded)), valid_for: over + MARGIN }
}

/// Formats the time left until a deadline in its largest unit, rounded down: `8m`.
pub(crate) fn coarse_left(left: Duration) -> TimedText {
    let seconds = left.as_secs();
    let (unit, name) = largest_unit(seconds);
    let over = left.saturating_sub(Duration::from_secs(seconds / unit * unit));
    TimedText { text: format!("{}{name}", seconds / unit), valid_for: over + MARGIN }
}

/// Formats an estimate of the remaining time, rounded up: `~2m 10s`.
pub(crate) fn estimate(remaining: Duration) -> TimedText {
    let seconds = remaining.as_secs();
    let step = match seconds {
        600.. => MINUTE,
        MINUTE.. => 10,
        _ => 5,
    };
    let rounded = seconds.div_ceil(step) * step;
    let over = remaining.saturating_sub(Duration::from_secs(rounded.saturating_sub(step)));
    TimedText {
        text: format!("~{}", format_duration(Duration::from_secs(rounded.max(step)))),
        valid_for: over + MARGIN,
    }
}

/// Formats an age, rounded down.
pub(crate) fn age(age: Duration) -> TimedText {
    let seconds = age.as_secs();
    let step = match seconds {
        DAY.. => HOUR,
        MINUTE.. => MINUTE,
        _ => 5,
    };
    let rounded = seconds / step * step;
    let next = Duration::from_secs(rounded + step).saturating_sub(age);
    TimedText { text: format_duration(Duration::from_secs(rounded)), valid_for: next + MARGIN }
}

/// Formats an age in its largest unit, rounded down: `6h`.
pub(crate) fn coarse_age(age: Duration) -> TimedText {
    let seconds = age.as_secs();
    let (unit, name) = largest_unit(seconds);
    let rounded = seconds / unit * unit;
    let next = Duration::from_secs(rounded + unit).saturating_sub(age);
    TimedText { text: format!("{}{name}", seconds / unit), valid_for: next + MARGIN }
}

/// Returns the largest unit not above a duration, in seconds, and its suffix; minutes at the least.
fn largest_unit(seconds: u64) -> (u64, &'static str) {
    match seconds {
        DAY.. => (DAY, "d"),
        HOUR.. => (HOUR, "h"),
        _ => (MINUTE, "m"),
    }
}

/// Formats the hour and minute: `17:16`.
pub(crate) fn time_of_day(at: DateTime<Utc>, zone: Zone) -> String {
    zone.at(at).format("%H:%M").to_string()
}

/// Formats the time of day with seconds: `17:16:05`.
pub(crate) fn time_with_seconds(at: DateTime<Utc>, zone: Zone) -> String {
    zone.at(at).format("%H:%M:%S").to_string()
}

/// Formats date and time: `2026-03-10 17:16`.
pub(crate) fn date_time(at: DateTime<Utc>, zone: Zone) -> String {
    zone.at(at).format("%Y-%m-%d %H:%M").to_string()
}

/// Formats the time of day if it is today, else date and time.
pub(crate) fn short_date_time(at: DateTime<Utc>, now: DateTime<Utc>, zone: Zone) -> String {
    let same_day = zone.at(at).date_naive() == zone.at(now).date_naive();
    if same_day { time_of_day(at, zone) } else { date_time(at, zone) }
}

/// Formats US dollars, with cents below $1000.
pub(crate) fn dollars(amount: f64) -> String {
    if amount >= 1_000.0 { format!("${amount:.0}") } else { format!("${amount:.2}") }
}

/// Returns the time from `earlier` to `later`, or zero if `later` is first.
pub(crate) fn between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(18_720, "5h 12m")]
    #[case(18_779, "5h 12m")]
    #[case(2_580, "43m")]
    #[case(599, "9m 50s")]
    #[case(59, "55s")]
    #[case(4, "0s")]
    #[case(3 * DAY + 7 * HOUR + 59 * MINUTE, "3d 7h")]
    fn left_rounds_down(#[case] seconds: u64, #[case] text: &str) {
        assert_eq!(left(Duration::from_secs(seconds)).text, text);
    }

    #[test]
    fn timed_text_changes_when_it_expires() {
        for seconds in (0..5_000).chain([90_000, 200_000]) {
            let now = Duration::from_secs(seconds) + Duration::from_millis(300);
            let shown = age(now);
            let next = shown.valid_for;
            assert_ne!(age(now + next).text, shown.text, "{seconds}");
            assert_eq!(
                age(now + next.saturating_sub(Duration::from_millis(50))).text,
                shown.text,
                "{seconds}"
            );
            let shown = left(now);
            if let Some(later) = now.checked_sub(shown.valid_for) {
                assert_ne!(left(later).text, shown.text, "{seconds}");
            }
        }
    }

    #[rstest]
    #[case(121, "~2m 10s")]
    #[case(1, "~5s")]
    #[case(0, "~5s")]
    fn estimate_rounds_up(#[case] seconds: u64, #[case] text: &str) {
        assert_eq!(estimate(Duration::from_secs(seconds)).text, text);
    }
}
