//! Names and ids. They are validated when they are parsed, so that the rest of the code can rely on them.

use std::fmt;
use std::str::FromStr;

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::sanitized;

/// A name that AWS or the fleet's naming scheme would reject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidName {
    /// The kind of name, such as `fleet name`.
    pub what: &'static str,
    /// The rejected text. `Display` escapes it, so that it is safe to print.
    pub value: String,
    /// The violated rule, as the end of a sentence.
    pub rule: &'static str,
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(CompactString);

        impl $name {
            /// Wraps an id from a response of AWS, without validation.
            pub fn new(id: impl Into<CompactString>) -> Self {
                Self(id.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&sanitized(&self.0))
            }
        }
    };
}

opaque_id! {
    /// The id of a launch template that is an environment's record, such as `lt-0abc…`. AWS never reuses it.
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
    /// The name of a log group, such as `/hatchery-proof/dev/1f2e3d4c`.
    LogGroupName
}
opaque_id! {
    /// The identifier of an RDS instance, such as `hatchery-dev-12`.
    DatabaseId
}

impl RecordId {
    /// Returns the client token of one launch attempt: 64 hexadecimal digits, the maximum of `RunInstances`. Engines that race send
    /// identical requests, and EC2 creates one instance for all of them.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
    #[must_use]
    pub fn client_token(&self, attempt: u32) -> String {
        hex::encode(Sha256::digest(format!("{}{attempt}", self.0)))
    }
}

/// The number of a database and of the environment that claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub u32);

impl Number {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Parses a decimal number without sign and leading zeros, so that a name has only one spelling.
    fn parse(text: &str) -> Option<Self> {
        let is_canonical = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        is_canonical.then(|| text.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a fleet: 1 to 30 lower-case letters, digits and single hyphens, starting with a letter. RDS accepts these characters
/// in an instance identifier.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FleetName(CompactString);

impl FleetName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the fleet's base launch template: `hatchery/<fleet>`.
    #[must_use]
    pub fn template_name(&self) -> String {
        format!("hatchery/{self}")
    }

    /// Returns the fleet whose base launch template has this name.
    #[must_use]
    pub(crate) fn from_template_name(name: &str) -> Option<Self> {
        name.strip_prefix("hatchery/")?.parse().ok()
    }

    /// Returns the name of a record of this fleet: `hatchery/<fleet>/<n>`.
    #[must_use]
    pub fn record_name(&self, number: Number) -> String {
        format!("hatchery/{self}/{number}")
    }

    /// Returns the number in the name of a record of this fleet, or `None` for other names.
    #[must_use]
    pub fn record_number(&self, name: &str) -> Option<Number> {
        Number::parse(name.strip_prefix("hatchery/")?.strip_prefix(self.as_str())?.strip_prefix('/')?)
    }

    /// Returns the identifier of a database of this fleet: `hatchery-<fleet>-<n>`.
    #[must_use]
    pub fn database_id(&self, number: Number) -> DatabaseId {
        DatabaseId::new(format!("hatchery-{self}-{number}"))
    }

    /// Returns the number in the identifier of a database of this fleet, or `None` for other identifiers.
    #[must_use]
    pub(crate) fn database_number(&self, id: &str) -> Option<Number> {
        Number::parse(id.strip_prefix("hatchery-")?.strip_prefix(self.as_str())?.strip_prefix('-')?)
    }

    #[must_use]
    pub fn environment(&self, number: Number) -> EnvironmentId {
        EnvironmentId { fleet: self.clone(), number }
    }

    /// Returns the name of the CloudWatch Logs group for audit events.
    #[must_use]
    pub fn audit_group(&self) -> String {
        format!("/hatchery/{self}/audit")
    }

    /// Returns the name of the CloudWatch Logs group whose streams are the claims on notices.
    #[must_use]
    pub fn notices_group(&self) -> String {
        format!("/hatchery/{self}/notices")
    }

    /// Returns the name of the CloudWatch Logs group of the stack's Lambda function.
    #[must_use]
    pub fn function_log_group(&self) -> String {
        format!("/aws/lambda/hatchery-{self}")
    }

    /// Returns the name of the CloudWatch Logs group to which the instances send their logs.
    #[must_use]
    pub fn log_group(&self) -> String {
        format!("/hatchery/{self}/environments")
    }
}

impl FromStr for FleetName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_valid = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--");
        if is_valid && text.len() <= 30 {
            Ok(Self(text.into()))
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
        name.0.into()
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
    pub fleet: FleetName,
    /// The number of both the environment and its database.
    pub number: Number,
}

impl EnvironmentId {
    #[must_use]
    pub fn record_name(&self) -> String {
        self.fleet.record_name(self.number)
    }

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
        f.pad(&format_compact!("{}-{}", self.fleet, self.number))
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

/// The user's name for an environment, such as `checkout-fix`: 1 to 40 letters, digits, `.`, `_` and `-`, starting with a letter or
/// digit, because it is used in EC2 tags, shells and URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether users could take the label for an id of the fleet, such as `dev-1` or `dev-01`.
    #[must_use]
    pub fn is_like_id(&self, fleet: &FleetName) -> bool {
        let number = self.0.strip_prefix(fleet.as_str()).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    }
}

impl FromStr for Label {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |rule| InvalidName { what: "environment name", value: text.to_owned(), rule };
        let is_allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !is_allowed || text.len() > 40 || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
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
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_of_other_fleets_are_not_parsed() {
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
        assert_eq!(FleetName::from_template_name("hatchery/dev"), Some(dev));
        assert_eq!(FleetName::from_template_name("hatchery/dev/7"), None);
    }

    #[test]
    fn invalid_names_are_rejected() {
        for bad in ["", "Dev", "1dev", "dev-", "a--b", "dev/x", "dev\u{7}", "a234567890123456789012345678901"]
        {
            assert!(bad.parse::<FleetName>().is_err(), "{bad:?}");
        }
        for bad in ["", "-x", "a b", "a\u{1b}[31m", "naïve", "a/b", &"x".repeat(41)] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn longest_names_are_accepted() {
        let (fleet, label) = (format!("a{}", "-9".repeat(14)), "9".repeat(40));
        assert_eq!(fleet.parse::<FleetName>().unwrap().as_str(), fleet);
        assert!(format!("{fleet}90").parse::<FleetName>().is_err());
        for good in ["9", "a._-", &label] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        assert!("é".parse::<FleetName>().is_err());
    }

    #[rstest]
    #[case("dev-1", true)]
    #[case("dev-01", true)]
    #[case("dev-1a", false)]
    #[case("dev-", false)]
    #[case("dev", false)]
    #[case("develop-1", false)]
    #[case("qa-1", false)]
    fn label_may_look_like_an_id(#[case] label: &str, #[case] expected: bool) {
        let label: Label = label.parse().unwrap();
        assert_eq!(label.is_like_id(&"dev".parse().unwrap()), expected);
    }

    #[test]
    fn resource_names_contain_the_fleet() {
        let dev: FleetName = "dev".parse().unwrap();
        assert_eq!(dev.template_name(), "hatchery/dev");
        assert_eq!(dev.audit_group(), "/hatchery/dev/audit");
        assert_eq!(dev.function_log_group(), "/aws/lambda/hatchery-dev");
        assert_eq!(dev.log_group(), "/hatchery/dev/environments");
        let id = dev.environment(Number(0));
        assert_eq!(
            (id.record_name(), id.database_id().to_string()),
            ("hatchery/dev/0".into(), "hatchery-dev-0".into())
        );
        assert_eq!((Number(7).next(), Number(u32::MAX).next()), (Number(8), Number(u32::MAX)));
    }

    #[test]
    fn names_support_width_and_json() {
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
    fn rejected_name_is_escaped() {
        let error = "dev\u{1b}-".parse::<EnvironmentId>().unwrap_err().to_string();
        let rule = "an id is the fleet's name, a hyphen and a number, such as dev-12";
        assert_eq!(error, format!(r#"environment id "dev\u{{1b}}-" is not valid: {rule}"#));
    }

    #[test]
    fn client_token_depends_on_record_and_attempt() {
        let record = RecordId::new("lt-1");
        assert_eq!(record.client_token(0).len(), 64);
        assert_eq!(record.client_token(0), RecordId::new("lt-1").client_token(0));
        assert_ne!(record.client_token(0), record.client_token(1));
        assert_ne!(record.client_token(0), RecordId::new("lt-2").client_token(0));
    }

    proptest! {
        #[test]
        fn environment_id_round_trips(fleet in "[a-z](-?[a-z0-9]){0,14}", number: u32) {
            let fleet: FleetName = fleet.parse().unwrap();
            let id = fleet.environment(Number(number));
            prop_assert_eq!(id.to_string().parse::<EnvironmentId>().unwrap(), id.clone());
            prop_assert_eq!(fleet.record_number(&id.record_name()), Some(id.number));
            prop_assert_eq!(fleet.database_number(id.database_id().as_str()), Some(id.number));
        }
    }
}
