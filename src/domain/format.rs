//! Durations as text, in one format for every front end, tag and configuration file.

use std::time::Duration;

use chrono::TimeDelta;

use super::text::Untrusted;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Examples of durations, as the end of an error.
pub(crate) const EXAMPLES: &str = "use 30m, 8h, 2d";

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid duration: {} ({EXAMPLES})", super::text::sanitize(.0))]
pub(crate) struct InvalidDuration(String);

/// Formats a duration in its two largest units, rounded down: `45s`, `2m 10s`, `5h 2m`, `2d`.
#[must_use]
pub(crate) fn format_duration(duration: Duration) -> String {
    let units = units(duration);
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    join(&units[first..units.len().min(first + 2)])
}

/// The length of `sha256:` with 12 digits, as Docker shows digests.
const SHORT_DIGEST: usize = 19;

/// Shortens the digest of an image.
#[must_use]
pub(crate) fn short_digest(digest: &Untrusted) -> String {
    digest.to_string().chars().take(SHORT_DIGEST).collect()
}

/// Says how far the local clock is from AWS's, to the minute if it is far.
#[must_use]
pub(crate) fn format_skew(local_minus_aws: TimeDelta) -> String {
    let seconds = local_minus_aws.num_seconds().unsigned_abs();
    let rounded = if seconds < 5 * MINUTE { seconds } else { (seconds + MINUTE / 2) / MINUTE * MINUTE };
    let direction = if local_minus_aws < TimeDelta::zero() { "behind" } else { "ahead of" };
    format!(
        "the clock of this computer is {} {direction} AWS's",
        format_duration(Duration::from_secs(rounded))
    )
}

/// Formats a duration in as many units as it takes to the second, for values that are parsed again: `1d 2h 30m`.
#[must_use]
pub(crate) fn format_exact_duration(duration: Duration) -> String {
    join(&units(duration))
}

/// Parses a duration such as `45s`, `2h 30m` or `2days`.
///
/// # Errors
/// Returns an error that names the text and gives examples.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    humantime::parse_duration(text).map_err(|_| InvalidDuration(text.to_owned()))
}

/// Formats a number with separators between thousands: `12,345`.
#[must_use]
pub(crate) fn format_count(count: usize) -> String {
    let digits = count.to_string();
    let mut formatted = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            formatted.push(',');
        }
        formatted.push(digit);
    }
    formatted
}

/// Iterates over the sanitised lines of a text, and tells which are cut. A line that is cut says by how much.
pub(crate) fn format_lines(text: &Untrusted) -> impl Iterator<Item = (String, bool)> {
    text.measured_lines().map(|(line, rest)| match rest {
        0 => (line, false),
        1 => (format!("{line} [1 more character cut]"), true),
        rest => (format!("{line} [{} more characters cut]", format_count(rest)), true),
    })
}

fn units(duration: Duration) -> [(u64, char); 4] {
    let seconds = duration.as_secs();
    [
        (seconds / DAY, 'd'),
        (seconds % DAY / HOUR, 'h'),
        (seconds % HOUR / MINUTE, 'm'),
        (seconds % MINUTE, 's'),
    ]
}

/// Leaves out units whose number is zero.
fn join(units: &[(u64, char)]) -> String {
    let parts: Vec<_> =
        units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_000, "1,000")]
    #[case(12_345_678, "12,345,678")]
    fn count_has_separators(#[case] count: usize, #[case] text: &str) {
        assert_eq!(format_count(count), text);
    }

    #[rstest]
    #[case(0, "0s", "0s")]
    #[case(59, "59s", "59s")]
    #[case(60, "1m", "1m")]
    #[case(130, "2m 10s", "2m 10s")]
    #[case(3_599, "59m 59s", "59m 59s")]
    #[case(3_600, "1h", "1h")]
    #[case(3_605, "1h", "1h 5s")]
    #[case(18_120, "5h 2m", "5h 2m")]
    #[case(86_399, "23h 59m", "23h 59m 59s")]
    #[case(86_400, "1d", "1d")]
    #[case(95_400, "1d 2h", "1d 2h 30m")]
    #[case(30 * 86_400, "30d", "30d")]
    fn duration_is_formatted(#[case] seconds: u64, #[case] text: &str, #[case] exact: &str) {
        let duration = Duration::from_secs(seconds);
        assert_eq!(
            (format_duration(duration).as_str(), format_exact_duration(duration).as_str()),
            (text, exact)
        );
    }

    #[rstest]
    #[case(-7_199, "2h behind AWS's")]
    #[case(-7_231, "2h 1m behind AWS's")]
    #[case(299, "4m 59s ahead of AWS's")]
    fn skew_is_rounded_to_minutes(#[case] seconds: i64, #[case] text: &str) {
        let formatted = format_skew(TimeDelta::seconds(seconds));
        assert_eq!(formatted, format!("the clock of this computer is {text}"));
    }

    #[rstest]
    #[case("3x")]
    #[case("")]
    #[case("8")]
    #[case("-1h")]
    fn invalid_duration_is_named(#[case] text: &str) {
        let error = parse_duration(text).unwrap_err().to_string();
        assert_eq!(error, format!("not a valid duration: {text} (use 30m, 8h, 2d)"));
    }

    #[test]
    fn invalid_duration_is_sanitized() {
        let error = parse_duration("\u{1b}[31m3x").unwrap_err().to_string();
        assert_eq!(error, "not a valid duration: 3x (use 30m, 8h, 2d)");
    }

    proptest! {
        #[test]
        fn exact_duration_round_trips(seconds in 0..400 * DAY) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_exact_duration(duration)), Ok(duration));
        }

        #[test]
        fn duration_is_rounded_to_its_second_unit(seconds in 0..400 * DAY) {
            let parsed = parse_duration(&format_duration(Duration::from_secs(seconds))).unwrap().as_secs();
            let unit = match seconds { DAY.. => HOUR, HOUR.. => MINUTE, _ => 1 };
            prop_assert_eq!(parsed, seconds / unit * unit);
        }
    }

    /// Characters that are not shown do not count before the cut, and tabs do as what they become.
    #[rstest]
    #[case::whole(&"x".repeat(4_000), "")]
    #[case::long(&"x".repeat(5_234), "… [1,234 more characters cut]")]
    #[case::one_more(&format!("{}\r\nb", "é".repeat(4_001)), "… [1 more character cut]")]
    #[case::tabs(&"\t".repeat(1_001), "… [4 more characters cut]")]
    #[case::colours(&format!("{}{}", "\u{1b}[31m".repeat(1_000), "x".repeat(4_000)), "")]
    fn cut_line_says_so(#[case] text: &str, #[case] end: &str) {
        let line = format_lines(&text.into()).next().unwrap().0;
        let (kept, rest) = line.split_at(line.char_indices().nth(4_000).map_or(line.len(), |(at, _)| at));
        assert_eq!((kept.chars().count(), rest), (4_000, end));
    }
}
