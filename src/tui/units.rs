//! Times and money as they are shown: in coarse units, so that a screen at rest changes seldom. Every length of time
//! comes with how long its text stays true.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A text and how long it stays true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The text.
    pub text: String,
    /// When it reads differently, from now.
    pub changes_in: Duration,
}

/// What is left until something ends. It never says more than there is.
#[must_use]
pub fn left(left: Duration) -> Shown {
    let seconds = left.as_secs();
    let step = match seconds {
        DAY.. => HOUR,
        600.. => MINUTE,
        MINUTE.. => 10,
        _ => 5,
    };
    let rounded = seconds / step * step;
    let over = left.saturating_sub(Duration::from_secs(rounded));
    // Just past the step, lest a deadline struck a hair early finds the same text again.
    Shown { text: length(rounded), changes_in: over + Duration::from_millis(20) }
}

/// What is left until something ends, in its largest unit: `8m`. It never says more than there is.
#[must_use]
pub fn coarse_left(left: Duration) -> Shown {
    let seconds = left.as_secs();
    let (unit, name) = largest(seconds);
    let over = left.saturating_sub(Duration::from_secs(seconds / unit * unit));
    Shown { text: format!("{}{name}", seconds / unit), changes_in: over + Duration::from_millis(20) }
}

/// What is expected to remain, as `~2m 10s`.
#[must_use]
pub fn estimate(remaining: Duration) -> Shown {
    let seconds = remaining.as_secs();
    let step = match seconds {
        600.. => MINUTE,
        MINUTE.. => 10,
        _ => 5,
    };
    let rounded = seconds.div_ceil(step) * step;
    let over = remaining.saturating_sub(Duration::from_secs(rounded.saturating_sub(step)));
    Shown { text: format!("~{}", length(rounded.max(step))), changes_in: over + Duration::from_millis(20) }
}

/// How long ago something was.
#[must_use]
pub fn age(age: Duration) -> Shown {
    let seconds = age.as_secs();
    let step = match seconds {
        DAY.. => HOUR,
        MINUTE.. => MINUTE,
        _ => 5,
    };
    let rounded = seconds / step * step;
    let next = Duration::from_secs(rounded + step).saturating_sub(age);
    Shown { text: length(rounded), changes_in: next + Duration::from_millis(20) }
}

/// How long ago something was, in its largest unit: `6h`.
#[must_use]
pub fn coarse_age(age: Duration) -> Shown {
    let seconds = age.as_secs();
    let (unit, name) = largest(seconds);
    let rounded = seconds / unit * unit;
    let next = Duration::from_secs(rounded + unit).saturating_sub(age);
    Shown { text: format!("{}{name}", seconds / unit), changes_in: next + Duration::from_millis(20) }
}

/// The largest unit of a length of time, from minutes up.
fn largest(seconds: u64) -> (u64, &'static str) {
    match seconds {
        DAY.. => (DAY, "d"),
        HOUR.. => (HOUR, "h"),
        _ => (MINUTE, "m"),
    }
}

/// A length of time in its two largest units: `5h 12m`.
#[must_use]
pub fn length(seconds: u64) -> String {
    let pair = |large: u64, small: u64, names: (&str, &str)| {
        let rest = seconds % large / small;
        let whole = seconds / large;
        if rest == 0 {
            format!("{whole}{}", names.0)
        } else {
            format!("{whole}{} {rest}{}", names.0, names.1)
        }
    };
    match seconds {
        DAY.. => pair(DAY, HOUR, ("d", "h")),
        HOUR.. => pair(HOUR, MINUTE, ("h", "m")),
        MINUTE.. => pair(MINUTE, 1, ("m", "s")),
        _ => format!("{seconds}s"),
    }
}

/// The time of day, in the viewer's zone.
#[must_use]
pub fn time_of_day(at: DateTime<Utc>, zone: FixedOffset) -> String {
    at.with_timezone(&zone).format("%H:%M").to_string()
}

/// The time of day with its seconds.
#[must_use]
pub fn clock_time(at: DateTime<Utc>, zone: FixedOffset) -> String {
    at.with_timezone(&zone).format("%H:%M:%S").to_string()
}

/// Date and time, in the viewer's zone.
#[must_use]
pub fn date_time(at: DateTime<Utc>, zone: FixedOffset) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}

/// The time of day where that is clear, else with the date.
#[must_use]
pub fn when(at: DateTime<Utc>, now: DateTime<Utc>, zone: FixedOffset) -> String {
    let same_day = at.with_timezone(&zone).date_naive() == now.with_timezone(&zone).date_naive();
    if same_day { time_of_day(at, zone) } else { date_time(at, zone) }
}

/// US dollars.
#[must_use]
pub fn dollars(amount: f64) -> String {
    if amount >= 1_000.0 { format!("${amount:.0}") } else { format!("${amount:.2}") }
}

/// Time from `earlier` to `later`; none where the order is the other way round.
#[must_use]
pub fn between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_never_overstated() {
        for (seconds, text) in
            [(18_720, "5h 12m"), (18_779, "5h 12m"), (2_580, "43m"), (599, "9m 50s"), (59, "55s"), (4, "0s")]
        {
            assert_eq!(left(Duration::from_secs(seconds)).text, text);
        }
        assert_eq!(left(Duration::from_secs(3 * DAY + 7 * HOUR + 59 * MINUTE)).text, "3d 7h");
    }

    #[test]
    fn a_text_changes_when_it_says() {
        for seconds in (0..5_000).chain([90_000, 200_000]) {
            let now = Duration::from_secs(seconds) + Duration::from_millis(300);
            let shown = age(now);
            let next = shown.changes_in;
            assert_ne!(age(now + next).text, shown.text, "{seconds}");
            assert_eq!(
                age(now + next.saturating_sub(Duration::from_millis(50))).text,
                shown.text,
                "{seconds}"
            );
            let shown = left(now);
            if let Some(later) = now.checked_sub(shown.changes_in) {
                assert_ne!(left(later).text, shown.text, "{seconds}");
            }
        }
    }

    #[test]
    fn estimates_round_up() {
        assert_eq!(estimate(Duration::from_secs(121)).text, "~2m 10s");
        assert_eq!(estimate(Duration::from_secs(1)).text, "~5s");
        assert_eq!(estimate(Duration::ZERO).text, "~5s");
    }
}
