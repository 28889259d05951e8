//! The record: the launch template that *is* an environment's durable intent and its claim on a database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ids::{
    EnvironmentId, FleetName, ImageId, InstanceId, InvalidName, Label, Number, RecordId, SubnetId,
};
use super::policy::Policy;
use super::tags::{self, TagChanges, Tags, key, role};
use super::text;

/// The most services that one environment can put under test. With the record's own tags they stay below the 50
/// that EC2 takes on a resource.
pub const MAX_SERVICES: usize = 25;

/// The most characters of a note.
pub const MAX_NOTE_CHARS: usize = 200;

/// Somebody's wish that an environment ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub by: String,
}

/// Why and when an environment was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in one sentence.
    pub reason: String,
}

/// An environment's record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The launch template's id.
    pub id: RecordId,
    /// The environment that it stands for; its number is the claimed database's.
    pub environment: EnvironmentId,
    /// What people call the environment. Falls back to the id where the tag is missing.
    pub name: String,
    /// Who asked for it.
    pub owner: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its time is over. `None` where the tag is missing or unreadable: such a record is kept.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the first sweep found its time over.
    pub reaping_since: Option<DateTime<Utc>>,
    /// Who wants it gone, and since when.
    pub terminate: Option<Termination>,
    /// How many launch attempts have failed for good; the number of the next one.
    pub attempt: u32,
    /// The instance that its launch gave, once an engine has written it down.
    pub instance: Option<InstanceId>,
    /// Whether it only holds the claim on a database that is being retired from the pool.
    pub retirement: bool,
    /// Why it was given up, and when.
    pub failure: Option<LaunchFailure>,
    /// The random word of whoever created it.
    pub claim: Option<String>,
    /// When a sweep first found that its database is gone.
    pub orphan_since: Option<DateTime<Utc>>,
    /// Services under test and their image tags.
    pub services: BTreeMap<String, String>,
    /// The owner's free text.
    pub note: Option<String>,
}

impl Record {
    /// Reads a record, if the template's name *and* tags say that it is one of the fleet's.
    #[must_use]
    pub fn parse(
        fleet: &FleetName,
        id: RecordId,
        template_name: &str,
        template_created_at: DateTime<Utc>,
        tags: &Tags,
    ) -> Option<Self> {
        let number = fleet.record_number(template_name)?;
        let retirement = tags::belongs(tags, fleet.as_str(), role::RETIREMENT);
        if !retirement && !tags::belongs(tags, fleet.as_str(), role::ENVIRONMENT) {
            return None;
        }
        let environment = fleet.environment(number);
        let text_of = |key: &str| tags.get(key).map(|value| text::sanitize(value));
        Some(Self {
            id,
            name: text_of(key::NAME).unwrap_or_else(|| environment.to_string()),
            environment,
            owner: text_of(key::OWNER).unwrap_or_else(|| "unknown".to_owned()),
            created_at: tags::parse_time(tags, key::CREATED_AT).unwrap_or(template_created_at),
            expires_at: tags::parse_time(tags, key::EXPIRES_AT),
            reaping_since: tags::parse_time(tags, key::REAPING_SINCE),
            terminate: tags.get(key::TERMINATE).map(|value| Termination::parse(value, template_created_at)),
            attempt: tags.get(key::ATTEMPT).and_then(|value| value.parse().ok()).unwrap_or(0),
            instance: tags.get(key::INSTANCE).map(InstanceId::new),
            retirement,
            failure: tags.get(key::FAILURE).map(|value| LaunchFailure::parse(value, template_created_at)),
            claim: tags.get(key::CLAIM).cloned(),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
            services: parse_services(tags),
            note: text_of(key::NOTE),
        })
    }

    /// When its time is over: its expiry, or, where that cannot be read, the latest that it can have been.
    #[must_use]
    pub fn ends_at(&self, policy: &Policy) -> DateTime<Utc> {
        self.expires_at.unwrap_or_else(|| self.created_at + policy.max_lifetime)
    }

    /// The number that it shares with its database.
    #[must_use]
    pub fn number(&self) -> Number {
        self.environment.number
    }

    /// Whether anything still wants the environment to live: no termination asked for and no reaping begun.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.terminate.is_none() && self.reaping_since.is_none() && self.failure.is_none()
    }
}

impl Termination {
    /// The tag's value.
    #[must_use]
    pub fn to_tag(&self) -> String {
        write_stamped(self.at, &self.by)
    }

    /// Reads the tag's value. The tag's presence is what counts, so an unreadable time falls back to `fallback`.
    #[must_use]
    pub fn parse(value: &str, fallback: DateTime<Utc>) -> Self {
        let (at, by) = read_stamped(value, fallback);
        Self { at, by }
    }
}

impl LaunchFailure {
    /// The tag's value.
    #[must_use]
    pub fn to_tag(&self) -> String {
        write_stamped(self.at, &self.reason)
    }

    /// Reads the tag's value. The tag's presence is what counts, so an unreadable time falls back to `fallback`.
    #[must_use]
    pub fn parse(value: &str, fallback: DateTime<Utc>) -> Self {
        let (at, reason) = read_stamped(value, fallback);
        Self { at, reason }
    }
}

fn write_stamped(at: DateTime<Utc>, text: &str) -> String {
    let value = format!("{} {}", tags::format_time(at), text::sanitize(text));
    value.chars().take(tags::MAX_VALUE_CHARS).collect()
}

fn read_stamped(value: &str, fallback: DateTime<Utc>) -> (DateTime<Utc>, String) {
    match value.split_once(' ') {
        Some((at, text)) => match DateTime::parse_from_rfc3339(at) {
            Ok(at) => (at.to_utc(), text::sanitize(text)),
            Err(_) => (fallback, text::sanitize(value)),
        },
        None => (fallback, text::sanitize(value)),
    }
}

/// A record to be created: a claim on a database, and everything that any engine needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The environment; its number is that of the database to claim.
    pub environment: EnvironmentId,
    /// Who asks for it.
    pub owner: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// A random word by which the claim is known again after an answer was lost.
    pub claim: String,
    /// What the database is claimed for.
    pub purpose: Purpose,
}

/// What a database is claimed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To serve an environment.
    Launch(Box<NewEnvironment>),
    /// To be deleted: the claim keeps launches away from the database while it goes.
    Retire {
        /// Why, for whoever reads the record.
        reason: String,
    },
}

/// What an environment is launched with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnvironment {
    /// What people will call it.
    pub name: Label,
    /// When its time is over.
    pub expires_at: DateTime<Utc>,
    /// Services under test and their image tags.
    pub services: BTreeMap<String, String>,
    /// The owner's free text.
    pub note: Option<String>,
    /// The image to launch from.
    pub image: ImageId,
    /// The subnet to launch into: one in the database's zone.
    pub subnet: SubnetId,
}

impl NewRecord {
    /// The identity tags: on the record, and (through its launch data) on the instance and its volumes from birth.
    #[must_use]
    pub fn identity_tags(&self) -> Tags {
        let environment = &self.environment;
        let mut tags = Tags::from(
            [
                (key::FLEET, environment.fleet.to_string()),
                (key::ENVIRONMENT, environment.to_string()),
                (key::OWNER, self.owner.clone()),
                (key::DATABASE, environment.database_id().to_string()),
                (key::CREATED_AT, tags::format_time(self.created_at)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        match &self.purpose {
            Purpose::Launch(new) => {
                tags.insert(key::ROLE.to_owned(), role::ENVIRONMENT.to_owned());
                tags.insert(key::NAME.to_owned(), new.name.to_string());
                tags.insert(key::EXPIRES_AT.to_owned(), tags::format_time(new.expires_at));
                let services = new.services.iter();
                tags.extend(
                    services.map(|(name, tag)| (format!("{}{name}", key::SERVICE_PREFIX), tag.clone())),
                );
            }
            Purpose::Retire { .. } => {
                tags.insert(key::ROLE.to_owned(), role::RETIREMENT.to_owned());
            }
        }
        tags
    }

    /// All tags of the record itself.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = self.identity_tags();
        tags.insert(key::CLAIM.to_owned(), self.claim.clone());
        match &self.purpose {
            Purpose::Launch(new) => {
                tags.extend(new.note.iter().map(|note| (key::NOTE.to_owned(), note.clone())));
            }
            Purpose::Retire { reason } => {
                let termination = Termination { at: self.created_at, by: self.owner.clone() };
                tags.insert(key::TERMINATE.to_owned(), termination.to_tag());
                tags.insert(key::NOTE.to_owned(), reason.clone());
            }
        }
        tags
    }
}

/// The changes that the protocols make to a record.
impl TagChanges {
    /// Moves the expiry.
    #[must_use]
    pub fn expire_at(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::EXPIRES_AT, at)
    }

    /// Sweep one: the time is over.
    #[must_use]
    pub fn reaping_since(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::REAPING_SINCE, at)
    }

    /// It has failed for good.
    #[must_use]
    pub fn fail(failure: &LaunchFailure) -> Self {
        Self::new().set(key::FAILURE, failure.to_tag())
    }

    /// Somebody wants it gone.
    #[must_use]
    pub fn terminate(termination: &Termination) -> Self {
        Self::new().set(key::TERMINATE, termination.to_tag())
    }
}

/// Reads `service=image-tag` as a person writes it.
///
/// # Errors
/// Where the service is not a Kubernetes name or the tag is not one that a container registry takes.
pub fn parse_service(text: &str) -> Result<(String, String), InvalidName> {
    let invalid = |rule| InvalidName { what: "service", value: text.to_owned(), rule };
    let (name, tag) =
        text.split_once('=').ok_or(invalid("write it as SERVICE=IMAGE_TAG, such as payments=f-123"))?;
    let named = (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !named {
        return Err(invalid("a service is 1 to 40 lower-case letters, digits and hyphens"));
    }
    let tagged = (1..=128).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !tag.starts_with(['.', '-']);
    if !tagged {
        return Err(invalid("an image tag is 1 to 128 letters, digits, dots, underscores and hyphens"));
    }
    Ok((name.to_owned(), tag.to_owned()))
}

/// The services named in tags.
#[must_use]
pub fn parse_services(tags: &Tags) -> BTreeMap<String, String> {
    tags.range(key::SERVICE_PREFIX.to_owned()..)
        .map_while(|(key, tag)| {
            Some((text::sanitize(key.strip_prefix(key::SERVICE_PREFIX)?), text::sanitize(tag)))
        })
        .collect()
}
