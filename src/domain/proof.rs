//! Names and tags of what `hatchery doctor --prove` creates and removes. Neither the names nor the tags are those of a fleet, so that no engine,
//! listing or search for leftovers counts it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::company_tags::CompanyTags;
use super::ids::{DatabaseId, FleetName, LogGroupName};
use super::tags::{self, Tags};

/// The prefix of the names of launch templates.
pub const TEMPLATES: &str = "hatchery-proof/";

/// The prefix of the identifiers of databases, which allow no slash.
pub const DATABASES: &str = "hatchery-proof-";

/// The prefix of the names of log groups.
pub const GROUPS: &str = "/hatchery-proof/";

/// Keys of tags.
pub mod key {
    /// The prefix of all keys.
    pub const PREFIX: &str = "hatchery-proof:";
    pub const FLEET: &str = "hatchery-proof:fleet";
    /// The run that created the resource.
    pub const RUN: &str = "hatchery-proof:run";
    /// The caller that created the resource.
    pub const BY: &str = "hatchery-proof:by";
    /// The start of the run, RFC 3339.
    pub const AT: &str = "hatchery-proof:at";
    /// On a database of the pool, for a moment: a value that begins with `rds:`.
    pub const VALUE: &str = "hatchery-proof:value";
}

/// What begins the value of [`key::VALUE`].
const VALUE: &str = "rds:proof";

/// The maximum length of the caller in a tag, so that the value of [`key::VALUE`] fits into 256 characters.
const MAX_CALLER: usize = 128;

/// The age from which a run of another caller counts as killed. No run takes longer.
const ABANDONED_AFTER: Duration = Duration::from_hours(3);

/// One run of `hatchery doctor --prove`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub fleet: FleetName,
    /// Eight hexadecimal digits.
    pub run: String,
    /// The caller's ARN, with the characters that RDS allows in tags.
    pub by: String,
    /// The start of the run.
    pub at: DateTime<Utc>,
}

impl Proof {
    /// Creates the run of a caller; `seed` distinguishes it from others.
    #[must_use]
    pub fn new(fleet: FleetName, caller: &str, at: DateTime<Utc>, seed: u64) -> Self {
        let run = hex::encode(&Sha256::digest(format!("{fleet} {caller} {at} {seed}"))[..4]);
        Self { fleet, run, by: tag_text(caller), at }
    }

    /// Returns the name of a launch template: `hatchery-proof/<fleet>/<run>-<purpose>`.
    #[must_use]
    pub fn template_name(&self, purpose: &str) -> String {
        format!("{TEMPLATES}{}/{}-{purpose}", self.fleet, self.run)
    }

    /// Returns the identifier of a database: `hatchery-proof-<fleet>-<run>-<purpose>`. It ends in a word, so that no fleet has a database
    /// of this name.
    #[must_use]
    pub fn database_id(&self, purpose: &str) -> DatabaseId {
        DatabaseId::new(format!("{DATABASES}{}-{}-{purpose}", self.fleet, self.run))
    }

    /// Returns the name of the log group: `/hatchery-proof/<fleet>/<run>`.
    #[must_use]
    pub fn log_group(&self) -> LogGroupName {
        LogGroupName::new(format!("{GROUPS}{}/{}", self.fleet, self.run))
    }

    /// Returns the tags of what the run creates, with those of the company.
    #[must_use]
    pub fn tags(&self, company: &CompanyTags) -> Tags {
        let mut tags = company.as_tags().clone();
        let own = [
            (key::FLEET, self.fleet.to_string()),
            (key::RUN, self.run.clone()),
            (key::BY, self.by.clone()),
            (key::AT, tags::format_time(self.at)),
        ];
        tags.extend(own.map(|(key, value)| (key.to_owned(), value)));
        tags
    }

    /// Parses the tags of a resource. Returns `None` unless a run has created it.
    #[must_use]
    pub fn parse(tags: &Tags) -> Option<Self> {
        Some(Self {
            fleet: tags.get(key::FLEET)?.parse().ok()?,
            run: tags.get(key::RUN)?.clone(),
            by: tags.get(key::BY)?.clone(),
            at: tags::parse_time(tags, key::AT)?,
        })
    }

    /// Returns the value of [`key::VALUE`], which says as much as the tags.
    #[must_use]
    pub fn tag_value(&self) -> String {
        format!("{VALUE} {} {} {} {}", self.fleet, self.run, tags::format_time(self.at), self.by)
    }

    /// Parses the value of [`key::VALUE`]. Returns `None` unless a run has written it.
    #[must_use]
    pub fn parse_tag_value(tags: &Tags) -> Option<Self> {
        let mut words = tags.get(key::VALUE)?.strip_prefix(VALUE)?.split_whitespace();
        let (fleet, run, at) = (words.next()?.parse().ok()?, words.next()?.to_owned(), words.next()?);
        let at = DateTime::parse_from_rfc3339(at).ok()?.to_utc();
        Some(Self { fleet, run, by: words.next()?.to_owned(), at })
    }

    /// Whether this run may remove what another one has left: one of the same caller, or one that is too old to be running.
    #[must_use]
    pub fn may_clean_up(&self, other: &Self) -> bool {
        other.by == self.by || other.at + ABANDONED_AFTER <= self.at
    }
}

/// Replaces what RDS does not allow in the value of a tag, and spaces.
fn tag_text(text: &str) -> String {
    let is_allowed = |c: char| tags::is_rds_char(c) && c != ' ';
    let text: String = text.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(MAX_CALLER).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tags::key as fleet_key;

    const ARN: &str = "arn:aws:sts::123456789012:assumed-role/engineer/amy,\"the\" 1st";

    fn proof(fleet: &str, hours: i64) -> Proof {
        let at: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        Proof::new(fleet.parse().unwrap(), ARN, at + chrono::TimeDelta::hours(hours), 1)
    }

    #[test]
    fn tags_say_fleet_caller_and_time() {
        let proof = proof("dev", 0);
        let tags = proof.tags(&"team=payments".parse().unwrap());
        assert_eq!(tags["team"], "payments");
        assert!(!tags.contains_key(fleet_key::FLEET) && !tags.contains_key(fleet_key::ROLE));
        assert!(tags.keys().all(|key| !key.starts_with(fleet_key::PREFIX)), "{tags:?}");
        assert_eq!(Proof::parse(&tags), Some(proof.clone()));
        assert_eq!(proof.by, "arn:aws:sts::123456789012:assumed-role/engineer/amy--the--1st");
        let tags = Tags::from([(key::VALUE.to_owned(), proof.tag_value())]);
        assert!(tags[key::VALUE].starts_with("rds:") && tags[key::VALUE].len() <= tags::MAX_VALUE_CHARS);
        assert_eq!(Proof::parse_tag_value(&tags), Some(proof));
        assert_eq!((Proof::parse(&Tags::new()), Proof::parse_tag_value(&Tags::new())), (None, None));
    }

    /// Of fleets whose names begin like the prefix, too.
    #[test]
    fn names_are_those_of_no_fleet() {
        let proof = proof("dev", 0);
        let id = proof.database_id("status");
        assert!(id.as_str().starts_with("hatchery-proof-dev-") && id.as_str().ends_with("-status"));
        for fleet in ["proof", "proof-dev", &format!("proof-dev-{}", proof.run)] {
            let fleet: FleetName = fleet.parse().unwrap();
            assert_eq!(fleet.database_number(id.as_str()), None);
            assert_eq!(fleet.record_number(&proof.template_name("claim")), None);
        }
        let long = Proof { fleet: "a".repeat(30).parse().unwrap(), ..proof };
        // The maximum of RDS.
        assert!(long.database_id("status").as_str().len() <= 63);
    }

    #[test]
    fn running_proof_of_others_is_left_alone() {
        let now = proof("dev", 4);
        let other = |hours| Proof { by: "jo".into(), ..proof("qa", hours) };
        assert!(now.may_clean_up(&proof("qa", 4)));
        assert!(!now.may_clean_up(&other(2)));
        assert!(now.may_clean_up(&other(1)));
    }
}
