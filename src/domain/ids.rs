//! Names and ids, validated once at the edge so that the rest of the code can trust them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name that AWS or the fleet's naming scheme would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    /// What kind of name it is, such as `fleet name`.
    pub what: &'static str,
    /// The text as it was given; printed with escapes, so it is safe to show.
    pub value: String,
    /// The rule that it breaks, as a sentence part.
    pub rule: &'static str,
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an id as AWS gave it.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as AWS writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

opaque_id! {
    /// The id of a launch template that is an environment's record, such as `lt-0abc…`. Never comes round again.
    RecordId
}
opaque_id! {
    /// The id of an EC2 instance, such as `i-0abc…`.
    InstanceId
}
opaque_id! {
    /// The id of an Amazon Machine Image, such as `ami-0abc…`.
    ImageId
}
opaque_id! {
    /// The id of a subnet, such as `subnet-0abc…`.
    SubnetId
}
opaque_id! {
    /// The identifier of an RDS snapshot, such as `rds:integration-2026-01-05-03-10`.
    SnapshotId
}
opaque_id! {
    /// The identifier of an RDS instance, such as `hatchery-dev-12`.
    DatabaseId
}

impl RecordId {
    /// The client token of one launch attempt: engines that race send the very same request, and EC2 gives them
    /// one instance. 64 hexadecimal digits, the most that `RunInstances` takes.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
    #[must_use]
    pub fn client_token(&self, attempt: u32) -> String {
        hex::encode(Sha256::digest(format!("{self}{attempt}")))
    }
}

/// The running number of a database and of the environment that claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub u32);

impl Number {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Parses a canonical decimal number: digits only, no leading zero, so that a name has one spelling.
    fn parse(text: &str) -> Option<Self> {
        let canonical = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        canonical.then(|| text.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A team's set-up in one Region: 1 to 30 lower-case letters, digits and single hyphens, a letter first.
/// That is what RDS takes as part of an instance identifier.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FleetName(String);

impl FleetName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the fleet's base launch template: `hatchery/<fleet>`.
    #[must_use]
    pub fn template_name(&self) -> String {
        format!("hatchery/{self}")
    }

    /// The fleet whose base launch template has this name.
    #[must_use]
    pub fn of_template(name: &str) -> Option<Self> {
        name.strip_prefix("hatchery/")?.parse().ok()
    }

    /// The name of a record of this fleet: `hatchery/<fleet>/<n>`.
    #[must_use]
    pub fn record_name(&self, number: Number) -> String {
        format!("hatchery/{self}/{number}")
    }

    /// The number in a record's name, if the name is one of this fleet's.
    #[must_use]
    pub fn record_number(&self, name: &str) -> Option<Number> {
        Number::parse(name.strip_prefix("hatchery/")?.strip_prefix(self.as_str())?.strip_prefix('/')?)
    }

    /// The identifier of a database of this fleet: `hatchery-<fleet>-<n>`.
    #[must_use]
    pub fn database_id(&self, number: Number) -> DatabaseId {
        DatabaseId::new(format!("hatchery-{self}-{number}"))
    }

    /// The number in a database's identifier, if the identifier is one of this fleet's.
    #[must_use]
    pub fn database_number(&self, id: &str) -> Option<Number> {
        Number::parse(id.strip_prefix("hatchery-")?.strip_prefix(self.as_str())?.strip_prefix('-')?)
    }

    /// The environment with this number.
    #[must_use]
    pub fn environment(&self, number: Number) -> EnvironmentId {
        EnvironmentId { fleet: self.clone(), number }
    }

    /// The CloudWatch Logs group of the audit events.
    #[must_use]
    pub fn audit_group(&self) -> String {
        format!("/hatchery/{self}/audit")
    }

    /// The CloudWatch Logs group of what the instances ship.
    #[must_use]
    pub fn log_group(&self) -> String {
        format!("/hatchery/{self}/environments")
    }
}

impl FromStr for FleetName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let shaped = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--");
        if shaped && text.len() <= 30 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "fleet name",
                value: text.to_owned(),
                rule: "use 1 to 30 lower-case letters, digits and single hyphens, with a letter first",
            })
        }
    }
}

impl TryFrom<String> for FleetName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<FleetName> for String {
    fn from(name: FleetName) -> Self {
        name.0
    }
}

impl fmt::Display for FleetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An environment's short id, such as `dev-12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId {
    /// The fleet that it belongs to.
    pub fleet: FleetName,
    /// Its number, which is also its database's.
    pub number: Number,
}

impl EnvironmentId {
    /// The name of the environment's record.
    #[must_use]
    pub fn record_name(&self) -> String {
        self.fleet.record_name(self.number)
    }

    /// The identifier of the environment's database.
    #[must_use]
    pub fn database_id(&self) -> DatabaseId {
        self.fleet.database_id(self.number)
    }
}

impl FromStr for EnvironmentId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.rsplit_once('-')
            .and_then(|(fleet, number)| {
                Some(Self { fleet: fleet.parse().ok()?, number: Number::parse(number)? })
            })
            .ok_or_else(|| InvalidName {
                what: "environment id",
                value: text.to_owned(),
                rule: "an id is the fleet's name, a hyphen and a number, such as dev-12",
            })
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.fleet, self.number))
    }
}

impl Serialize for EnvironmentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EnvironmentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What people call an environment, such as `checkout-fix`: 1 to 40 letters, digits, `.`, `_` and `-`, a letter
/// or digit first. It reaches EC2 tags, shells and URLs, so it is kept plain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |rule| InvalidName { what: "environment name", value: text.to_owned(), rule };
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !plain || text.len() > 40 || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(invalid(
                "use 1 to 40 letters, digits, dots, underscores and hyphens, with a letter or digit first",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fleet_only_knows_its_own_names() {
        let dev: FleetName = "dev".parse().unwrap();
        assert_eq!(dev.database_number("hatchery-dev-12"), Some(Number(12)));
        for foreign in [
            "hatchery-dev-12-3",
            "hatchery-dev-",
            "hatchery-dev-012",
            "hatchery-qa-1",
            "dev-12",
            "hatchery-dev-+1",
        ] {
            assert_eq!(dev.database_number(foreign), None, "{foreign}");
        }
        assert_eq!(dev.record_number("hatchery/dev/7"), Some(Number(7)));
        assert_eq!(dev.record_number("hatchery/dev"), None);
        assert_eq!(FleetName::of_template("hatchery/dev"), Some(dev));
        assert_eq!(FleetName::of_template("hatchery/dev/7"), None);
    }

    #[test]
    fn names_that_aws_would_refuse_are_refused_here() {
        for bad in ["", "Dev", "1dev", "dev-", "a--b", "dev/x", "dev\u{7}", "a234567890123456789012345678901"]
        {
            assert!(bad.parse::<FleetName>().is_err(), "{bad:?}");
        }
        for bad in ["", "-x", "a b", "a\u{1b}[31m", "naïve", "a/b", &"x".repeat(41)] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_names_are_taken() {
        let (fleet, label) = (format!("a{}", "-9".repeat(14)), "9".repeat(40));
        assert_eq!(fleet.parse::<FleetName>().unwrap().as_str(), fleet);
        assert!(format!("{fleet}90").parse::<FleetName>().is_err());
        for good in ["9", "a._-", &label] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        assert!("é".parse::<FleetName>().is_err());
    }

    #[test]
    fn everything_of_a_fleet_is_named_after_it() {
        let dev: FleetName = "dev".parse().unwrap();
        assert_eq!(dev.template_name(), "hatchery/dev");
        assert_eq!(dev.audit_group(), "/hatchery/dev/audit");
        assert_eq!(dev.log_group(), "/hatchery/dev/environments");
        let id = dev.environment(Number(0));
        assert_eq!(
            (id.record_name(), id.database_id().to_string()),
            ("hatchery/dev/0".into(), "hatchery-dev-0".into())
        );
        assert_eq!((Number(7).next(), Number(u32::MAX).next()), (Number(8), Number(u32::MAX)));
    }

    #[test]
    fn names_take_a_width_and_survive_json() {
        let dev: FleetName = "dev".parse().unwrap();
        let label: Label = "checkout-fix".parse().unwrap();
        let shown = format!(
            "{dev:>5}{:>7}{label:>14}{:>6}{:>4}",
            dev.environment(Number(12)),
            RecordId::new("lt-1"),
            Number(3)
        );
        assert_eq!(shown, "  dev dev-12  checkout-fix  lt-1   3");
        let all = (dev.clone(), label, dev.environment(Number(12)), ImageId::new("ami-1"), Number(3));
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, r#"["dev","checkout-fix","dev-12","ami-1",3]"#);
        assert_eq!(
            serde_json::from_str::<(FleetName, Label, EnvironmentId, ImageId, Number)>(&json).unwrap(),
            all
        );
        assert!(serde_json::from_str::<FleetName>(r#""Dev""#).is_err());
        assert!(serde_json::from_str::<Label>(r#""a b""#).is_err());
        assert!(serde_json::from_str::<EnvironmentId>(r#""dev""#).is_err());
    }

    #[test]
    fn a_name_that_is_refused_is_shown_with_escapes() {
        let error = "dev\u{1b}-".parse::<EnvironmentId>().unwrap_err().to_string();
        let rule = "an id is the fleet's name, a hyphen and a number, such as dev-12";
        assert_eq!(error, format!(r#"environment id "dev\u{{1b}}-" is not valid: {rule}"#));
    }

    #[test]
    fn the_client_token_depends_on_record_and_attempt() {
        let record = RecordId::new("lt-1");
        assert_eq!(record.client_token(0).len(), 64);
        assert_eq!(record.client_token(0), RecordId::new("lt-1").client_token(0));
        assert_ne!(record.client_token(0), record.client_token(1));
        assert_ne!(record.client_token(0), RecordId::new("lt-2").client_token(0));
    }

    proptest! {
        #[test]
        fn environment_ids_survive_the_round_trip(fleet in "[a-z](-?[a-z0-9]){0,14}", number: u32) {
            let fleet: FleetName = fleet.parse().unwrap();
            let id = fleet.environment(Number(number));
            prop_assert_eq!(id.to_string().parse::<EnvironmentId>().unwrap(), id.clone());
            prop_assert_eq!(fleet.record_number(&id.record_name()), Some(id.number));
            prop_assert_eq!(fleet.database_number(id.database_id().as_str()), Some(id.number));
        }
    }
}
