//! Claims on notices. They decide which engine sends a notice.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::text::Untrusted;

/// How long after a claim another engine may claim the notice again, unless it was sent. An engine sends within half of this time or not at all.
pub const TAKE_OVER_AFTER: Duration = Duration::from_mins(2);

/// The number of claims without a known result after which a notice is given up, so that a destination that never answers in time does not get
/// it again and again.
const MAX_UNANSWERED: usize = 5;

/// A claim on a notice, or its result, as the cloud lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub name: Untrusted,
    /// The time of its creation.
    pub at: DateTime<Utc>,
}

/// Returns the name of a claim.
#[must_use]
pub fn claim_name(notice: &str, attempt: u32) -> String {
    format!("{notice}/{attempt}")
}

/// Returns the name of the entry that says that the notice of a claim was sent.
#[must_use]
pub fn sent_name(claim: &str) -> String {
    format!("{claim}.sent")
}

/// Returns the name of the entry that says that the notice of a claim was not sent, and why another engine need not wait.
#[must_use]
pub fn failed_name(claim: &str) -> String {
    format!("{claim}.failed")
}

/// What an engine may do with a notice that is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextClaim {
    Sent,
    /// Another engine is at work, or the notice is given up.
    Wait,
    /// The notice may be claimed with this number.
    Claim(u32),
}

impl NextClaim {
    /// Decides by the listed claims of a notice. `now` is AWS's time of the listing.
    #[must_use]
    pub fn new(notice: &str, claims: &[Claim], now: DateTime<Utc>) -> Self {
        let mut attempts: BTreeMap<u32, DateTime<Utc>> = BTreeMap::new();
        let (mut failed, mut sent) = (Vec::new(), false);
        for claim in claims {
            let Some(rest) = claim.name.raw().strip_prefix(notice).and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            let (number, result) = rest.split_once('.').unwrap_or((rest, ""));
            let Ok(number) = number.parse() else { continue };
            match result {
                "" => drop(attempts.insert(number, claim.at)),
                "failed" => failed.push(number),
                "sent" => sent = true,
                _ => {}
            }
        }
        if sent {
            return Self::Sent;
        }
        // A claim that the listing does not show yet is a recent one.
        let Some((last, at)) = attempts.last_key_value() else { return Self::Wait };
        let unanswered = attempts.keys().filter(|attempt| !failed.contains(attempt)).count();
        if failed.contains(last) || (unanswered < MAX_UNANSWERED && *at + TAKE_OVER_AFTER <= now) {
            return Self::Claim(last + 1);
        }
        Self::Wait
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn claims(listed: &[(&str, i64)]) -> Vec<Claim> {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        listed.iter().map(|(name, second)| Claim { name: (*name).into(), at: at(*second) }).collect()
    }

    #[rstest]
    #[case::not_listed_yet(&[], NextClaim::Wait)]
    #[case::recent(&[("lt-1/ready/1", 900)], NextClaim::Wait)]
    #[case::abandoned(&[("lt-1/ready/1", 880)], NextClaim::Claim(2))]
    #[case::failed(&[("lt-1/ready/1", 990), ("lt-1/ready/1.failed", 991)], NextClaim::Claim(2))]
    #[case::sent(&[("lt-1/ready/1", 100), ("lt-1/ready/1.sent", 101)], NextClaim::Sent)]
    #[case::sent_late(&[("lt-1/ready/1", 100), ("lt-1/ready/1.sent", 300), ("lt-1/ready/2", 299)], NextClaim::Sent)]
    #[case::second_at_work(&[("lt-1/ready/1", 100), ("lt-1/ready/2", 990)], NextClaim::Wait)]
    #[case::others(&[("lt-1/ready/1", 990), ("lt-12/ready/1", 1), ("lt-1/readyx/7", 1)], NextClaim::Wait)]
    #[case::tenth(&[("lt-1/ready/9", 1), ("lt-1/ready/9.failed", 2), ("lt-1/ready/10", 1), ("lt-1/ready/10.failed", 2)], NextClaim::Claim(11))]
    #[case::given_up(
        &[("lt-1/ready/1", 1), ("lt-1/ready/2", 2), ("lt-1/ready/3", 3), ("lt-1/ready/4", 4), ("lt-1/ready/5", 5)],
        NextClaim::Wait
    )]
    fn claims_decide_who_sends(#[case] listed: &[(&str, i64)], #[case] expected: NextClaim) {
        let now = DateTime::from_timestamp(1_000, 0).unwrap();
        assert_eq!(NextClaim::new("lt-1/ready", &claims(listed), now), expected);
    }
}
