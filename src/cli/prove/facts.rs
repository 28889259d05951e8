//! What an experiment found, without anything that identifies a company.

use std::time::Duration;

use serde::Serialize;

use super::test_bed::TestBed;
use crate::domain::CloudError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// AWS does what hatchery relies on.
    Holds,
    /// AWS does something that hatchery does not handle.
    Differs,
    /// With the reason.
    NotTried(String),
}

impl Verdict {
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Differs }
    }

    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Differs => "differs",
            Self::NotTried(_) => "not tried",
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::NotTried(reason) => Some(reason),
            Self::Holds | Self::Differs => None,
        }
    }
}

/// A statement on AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    /// A stable name for scripts.
    pub(super) id: &'static str,
    pub(super) fact: &'static str,
    /// The answers that hatchery relies on: all that AWS's documentation allows.
    pub(super) expected: &'static str,
}

/// A statement with what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) id: String,
    pub(super) fact: String,
    pub(super) expected: &'static str,
    pub(super) observed: String,
    pub(super) verdict: Verdict,
}

impl Fact {
    pub(super) fn differs(&self) -> bool {
        self.verdict == Verdict::Differs
    }
}

impl Statement {
    pub(super) fn observed(&self, observed: impl Into<String>, verdict: Verdict) -> Fact {
        let (id, fact) = (self.id.to_owned(), self.fact.to_owned());
        Fact { id, fact, expected: self.expected, observed: observed.into(), verdict }
    }

    pub(super) fn not_tried(&self, reason: impl Into<String>) -> Fact {
        self.observed("", Verdict::NotTried(reason.into()))
    }
}

/// A fact as scripts see it.
#[derive(Debug, Serialize)]
pub(super) struct FactBody<'f> {
    id: &'f str,
    fact: &'f str,
    expected: &'f str,
    observed: &'f str,
    verdict: &'static str,
    reason: Option<&'f str>,
}

impl<'f> From<&'f Fact> for FactBody<'f> {
    fn from(fact: &'f Fact) -> Self {
        let Fact { id, fact: statement, expected, observed, verdict } = fact;
        Self { id, fact: statement, expected, observed, verdict: verdict.as_str(), reason: verdict.reason() }
    }
}

/// Says which error it was. Its message may name resources.
pub(super) fn describe(error: &CloudError) -> String {
    format!("{} says {}", error.operation, error.code)
}

/// Formats a duration in tenths of a second.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Removes what identifies a company from text that may have it: ARNs, account ids, and the names of the fleet and its resources.
pub(super) fn redact(bed: &TestBed<'_>, text: &str) -> String {
    let policy = &bed.world.fleet.policy;
    let names = [
        policy.source_database.as_str(),
        policy.database_subnet_group.as_str(),
        policy.database_parameter_group.as_deref().unwrap_or_default(),
        bed.world.fleet.name.as_str(),
    ];
    redact_names(text, &names)
}

fn redact_names(text: &str, names: &[&str]) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "_.:/=+-@*".contains(c);
    let is_secret = |word: &str| {
        let digits = word.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 12);
        let is_id = word.split_once('-').is_some_and(|(kind, id)| {
            kind.len() <= 6 && id.len() >= 8 && id.chars().all(|c| c.is_ascii_hexdigit())
        });
        let mut parts = word.split(|c: char| !c.is_alphanumeric() && c != '-');
        word.contains("arn:")
            || digits
            || is_id
            || parts.any(|part| names.contains(&part) && !part.is_empty())
    };
    let mut redacted = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        redacted.push_str(if is_secret(word) { "…" } else { word });
        let next = after.find(is_part).unwrap_or(after.len());
        redacted.push_str(&after[..next]);
        rest = &after[next..];
    }
    redacted
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("User: arn:aws:sts::123456789012:assumed-role/x/amy is not", "User: … is not")]
    #[case("account 123456789012, us-east-1", "account …, us-east-1")]
    #[case("the latest snapshot of \"orders-db\" is unknown", "the latest snapshot of \"…\" is unknown")]
    #[case("subnet-0abc1234567 and lt-00000000000000000", "… and …")]
    #[case("hatchery/dev/12 (InvalidParameterValue)", "… (InvalidParameterValue)")]
    #[case("a dev-ops team, devices", "a dev-ops team, devices")]
    fn text_is_redacted(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact_names(text, &["orders-db", "", "dev"]), expected);
    }
}
