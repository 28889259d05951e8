//! The setting `tags`: tags of the company, such as a cost centre, on every resource that hatchery creates.

use std::fmt;
use std::str::FromStr;

use super::tags::{MAX_VALUE_CHARS, Tags};

const FORM: &str = "use KEY=VALUE with commas between the tags, such as team=payments,cost-center=42";
const TOO_MANY: &str =
    "use at most 8 tags, because AWS allows 50 on a resource and hatchery needs the others";
const TOO_LONG: &str = "use up to 256 characters in all, because the setting is stored as the value of a tag";
const KEY: &str = "a key is 1 to 127 of the characters A-Z a-z 0-9 _ . : + - @, because EC2 allows no others in the metadata of instances";
const VALUE: &str = "a value consists of the characters A-Z a-z 0-9 _ . : / = + - @ and spaces";
const RESERVED: &str =
    "AWS reserves keys and values that begin with aws: or rds:, and hatchery keys that begin with hatchery:";
const DUPLICATE: &str = "use each key once";

/// Tags of the company, in order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompanyTags(Tags);

impl CompanyTags {
    /// The maximum number of tags. The fleet's own template has the most other tags: one per setting, its name and its role.
    pub(crate) const MAX: usize = 8;

    #[must_use]
    pub fn as_tags(&self) -> &Tags {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for CompanyTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.pad(&pairs.join(","))
    }
}

impl FromStr for CompanyTags {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tags = Tags::new();
        if text.trim().is_empty() {
            return Ok(Self(tags));
        }
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or(FORM)?;
            let (key, value) = (key.trim(), value.trim());
            check(key, value)?;
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(DUPLICATE);
            }
        }
        let parsed = Self(tags);
        if parsed.len() > Self::MAX {
            return Err(TOO_MANY);
        }
        if parsed.to_string().chars().count() > MAX_VALUE_CHARS {
            return Err(TOO_LONG);
        }
        Ok(parsed)
    }
}

/// Checks a tag against the rules of all the services whose resources get it.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html>
fn check(key: &str, value: &str) -> Result<(), &'static str> {
    let consists_of =
        |text: &str, others: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    // The path of a tag in the metadata ends with its key, and `_index` lists the keys.
    let is_path = matches!(key, "." | ".." | "_index");
    if !(1..=127).contains(&key.len()) || !consists_of(key, "_.:+-@") || is_path {
        return Err(KEY);
    }
    if !consists_of(value, " _.:/=+-@") {
        return Err(VALUE);
    }
    let begins_with = |text: &str, prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_reserved =
        ["aws:", "rds:"].iter().any(|prefix| begins_with(key, prefix) || begins_with(value, prefix));
    if is_reserved || begins_with(key, "hatchery:") {
        return Err(RESERVED);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::policy::SETTINGS;
    use crate::domain::record::{NewEnvironment, NewRecord, Purpose, max_services};
    use crate::domain::tags::MAX_TAGS;
    use crate::domain::{EnvironmentId, ImageId, SubnetId};

    fn parse(text: &str) -> Result<CompanyTags, &'static str> {
        text.parse()
    }

    #[rstest]
    #[case::empty(" ", "")]
    #[case::one("team=payments", "team=payments")]
    #[case::blanks_and_order(" team=payments , cost-center = 42", "cost-center=42,team=payments")]
    #[case::value_with_equals_sign("query=a=b==", "query=a=b==")]
    #[case::empty_value("team=", "team=")]
    #[case::keys_differ_in_case("Team=a,team=b", "Team=a,team=b")]
    #[case::all_characters("aZ9_.:+-@=aZ9 _.:/=+-@", "aZ9_.:+-@=aZ9 _.:/=+-@")]
    #[case::prefix_within("x-aws:y=the aws:z,hatchery=a", "hatchery=a,x-aws:y=the aws:z")]
    fn tags_round_trip(#[case] text: &str, #[case] expected: &str) {
        let tags = parse(text).unwrap();
        assert_eq!(tags.to_string(), expected);
        assert_eq!(parse(expected), Ok(tags));
    }

    #[rstest]
    #[case::no_pair("team", FORM)]
    #[case::semicolon("team=a;b=c", VALUE)]
    #[case::trailing_comma("team=a,", FORM)]
    #[case::no_key("=a", KEY)]
    #[case::space_in_key("Cost Center=a", KEY)]
    #[case::slash_in_key("example.org/team=a", KEY)]
    #[case::path(".=a", KEY)]
    #[case::parent("..=a", KEY)]
    #[case::index("_index=a", KEY)]
    #[case::letter_outside_ascii("team=köln", VALUE)]
    #[case::control_character("team=a\u{1b}[31m", VALUE)]
    #[case::aws("aws:team=a", RESERVED)]
    #[case::aws_in_any_case("AwS:team=a", RESERVED)]
    #[case::rds("rds:team=a", RESERVED)]
    #[case::aws_in_value("team=AWS:a", RESERVED)]
    #[case::rds_in_value("team=rds:a", RESERVED)]
    #[case::hatchery("hatchery:fleet=qa", RESERVED)]
    #[case::hatchery_in_any_case("Hatchery:fleet=qa", RESERVED)]
    #[case::duplicate("team=a,cost-center=42,team=a", DUPLICATE)]
    fn invalid_tags_are_rejected(#[case] text: &str, #[case] rule: &str) {
        assert_eq!(parse(text), Err(rule));
    }

    fn numbered(count: usize) -> String {
        (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn tags_are_limited_in_number_and_length() {
        assert_eq!(parse(&numbered(CompanyTags::MAX)).unwrap().len(), CompanyTags::MAX);
        assert_eq!(parse(&numbered(CompanyTags::MAX + 1)), Err(TOO_MANY));
        assert!(TOO_MANY.contains(&format!("at most {} tags", CompanyTags::MAX)));
        let key = "k".repeat(127);
        assert!(parse(&format!("{key}=v")).is_ok());
        assert_eq!(parse(&format!("{key}k=v")), Err(KEY));
        let value = "v".repeat(MAX_VALUE_CHARS - 2);
        assert!(parse(&format!("k={value}")).is_ok());
        assert_eq!(parse(&format!("k={value}v")), Err(TOO_LONG));
    }

    #[test]
    fn tags_fit_on_the_fleet_with_all_settings() {
        // The fleet and the role; engines write the last pass, a refused step, a failed notice and the mark of an empty pool.
        assert!(SETTINGS.len() + 6 + CompanyTags::MAX <= MAX_TAGS);
    }

    #[rstest]
    #[case::none(0, 17)]
    #[case::one(1, 17)]
    #[case::two(2, 16)]
    #[case::most(CompanyTags::MAX, 13)]
    fn tags_leave_room_for_services(#[case] count: usize, #[case] expected: usize) {
        let company_tags = parse(&numbered(count)).unwrap();
        assert_eq!(max_services(&company_tags), expected);
        let new = NewRecord {
            environment: "dev-7".parse::<EnvironmentId>().unwrap(),
            owner: "amy".to_owned(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            claim: "c0ffee".to_owned(),
            company_tags,
            purpose: Purpose::Launch(Box::new(NewEnvironment {
                name: "checkout".parse().unwrap(),
                expires_at: chrono::DateTime::UNIX_EPOCH,
                services: (0..expected).map(|n| (format!("s{n}"), "f-1".to_owned())).collect(),
                note: Some("for the demo".to_owned()),
                image: ImageId::new("ami-1"),
                root_device: None,
                subnet: SubnetId::new("subnet-a"),
            })),
        };
        // The bootstrap writes a digest for each service, and phase, detail, ready-at, timeline and rollout; engines write deployment and
        // orphan-since.
        let on_instance = new.identity_tags().len() + expected + 7;
        assert!((MAX_TAGS - 1..=MAX_TAGS).contains(&on_instance), "{on_instance}");
        // Engines add attempt, instance, failure, reaping-since, terminate, orphan-since and deployment.
        assert!(new.tags().len() + 7 <= MAX_TAGS);
    }
}
