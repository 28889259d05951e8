//! The record: the launch template that stores the intent of an environment and its claim on a database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::company_tags::CompanyTags;
use super::deployment::Deployment;
use super::hold::Hold;
use super::ids::{
    DatabaseId, EnvironmentId, FleetName, ImageId, InstanceId, InvalidName, Label, Number, RecordId, SubnetId,
};
use super::notified::{Notified, parse_notified};
use super::policy::Policy;
use super::replaces::Replaces;
use super::step_failure::StepFailure;
use super::tags::{self, TagChanges, Tags, key, role};
use super::text::Untrusted;
use super::unreadable::{Parsed, Unreadable, UnreadableKind};

/// The number of an instance's tags that are neither the company's nor a service's: those of [`NewRecord::identity_tags`], those that its
/// bootstrap writes, `deployment` and `orphan-since`.
const INSTANCE_TAGS: usize = 15;

/// Returns the maximum number of services under test. Each has two tags on the instance, for its image tag and its digest.
#[must_use]
pub(crate) fn max_services(company_tags: &CompanyTags) -> usize {
    (tags::MAX_TAGS - INSTANCE_TAGS).saturating_sub(company_tags.len()) / 2
}

pub(crate) const MAX_NOTE_CHARS: usize = 200;

/// How many Lambda requests a record knows.
const MAX_REQUESTS: usize = 6;

/// A request to terminate an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    pub at: DateTime<Utc>,
    /// The name of the user who requested it.
    pub by: Untrusted,
}

/// The reason why an engine gave up an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchFailure {
    pub at: DateTime<Utc>,
    /// One sentence for the user.
    pub reason: Untrusted,
}

/// An environment's record as AWS returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub id: RecordId,
    /// The environment; its number is also that of the claimed database.
    pub environment: EnvironmentId,
    /// The label, or the environment's id if the tag is missing.
    pub name: Untrusted,
    /// The name of the user who launched it.
    pub owner: Untrusted,
    pub created_at: DateTime<Utc>,
    /// The latest expiry in its tags; `None` if there is none or none can be parsed.
    pub expires_at: Option<DateTime<Utc>>,
    /// The extensions by the rest of their tags' keys.
    pub extensions: BTreeMap<Untrusted, DateTime<Utc>>,
    /// The time of the first sweep after the expiry or failure; the grace starts then.
    pub reaping_since: Option<DateTime<Utc>>,
    /// The request to terminate the environment.
    pub terminate: Option<Termination>,
    /// The number of launch attempts that failed permanently, which is the index of the next attempt.
    pub attempt: u32,
    /// The launched instance; `None` until an engine has recorded it.
    pub instance: Option<InstanceId>,
    /// Whether the record only claims a database that leaves the pool.
    pub retirement: bool,
    /// The environment for which the record only claims another database; `None` for other records.
    pub replaces: Option<Replaces>,
    /// The number of the database that the environment uses; `None` if the tag is missing or invalid. It is the record's own number until a
    /// reset; see [`crate::domain::Replacements::current`].
    pub database: Option<Number>,
    /// The reason why an engine gave the environment up.
    pub failure: Option<LaunchFailure>,
    /// The nonce of the engine that created the record.
    pub claim: Option<Untrusted>,
    /// The time of the first sweep that found its instance or database gone.
    pub orphan_since: Option<DateTime<Utc>>,
    /// The user who repairs the broken environment; see [`key::REPAIR`].
    pub repaired_by: Option<Untrusted>,
    /// The user who holds it, or the database that it claims.
    pub hold: Option<Hold>,
    /// The step on it that AWS refuses.
    pub failed_step: Option<StepFailure>,
    /// The notices about it that were sent.
    pub notified: Notified,
    /// Services under test and their image tags.
    pub services: BTreeMap<Untrusted, Untrusted>,
    /// The last request to deploy the services and the database anew.
    pub deployment: Option<Deployment>,
    /// The ids of the last Lambda requests that changed it, the oldest first.
    pub requests: Vec<Untrusted>,
    /// Free text of the owner.
    pub note: Option<Untrusted>,
}

impl Record {
    /// Parses a launch template. Returns `None` unless its name is that of a record of the fleet.
    #[must_use]
    pub fn parse(
        fleet: &FleetName,
        id: RecordId,
        template_name: &str,
        template_created_at: DateTime<Utc>,
        tags: &Tags,
    ) -> Parsed<Self> {
        let number = fleet.record_number(template_name)?;
        let retirement = tags::belongs(tags, fleet.as_str(), role::RETIREMENT);
        // An engine that does not know replacements takes one for an environment that has lost its role.
        let is_environment = tags::belongs(tags, fleet.as_str(), role::ENVIRONMENT);
        let is_replacement = tags::belongs(tags, fleet.as_str(), role::REPLACEMENT)
            || (is_environment && tags.contains_key(key::REPLACES));
        if !retirement && !is_environment && !is_replacement {
            return Some(Err(Unreadable::new(UnreadableKind::Record, id.as_str(), fleet, number, tags)));
        }
        let replaces = tags.get(key::REPLACES).map(String::as_str);
        let replaces = is_replacement.then(|| Replaces::parse(replaces, fleet, number));
        let environment = fleet.environment(number);
        let extensions = parse_extensions(tags);
        let latest_extension = extensions.values().max().copied();
        Some(Ok(Self {
            id,
            name: tags::text(tags, key::NAME).unwrap_or_else(|| environment.to_string().into()),
            environment,
            owner: tags::text(tags, key::OWNER).unwrap_or_else(|| "unknown".into()),
            created_at: tags::parse_time(tags, key::CREATED_AT).unwrap_or(template_created_at),
            expires_at: tags::parse_time(tags, key::EXPIRES_AT).max(latest_extension),
            extensions,
            reaping_since: tags::parse_time(tags, key::REAPING_SINCE),
            terminate: tags.get(key::TERMINATE).map(|value| Termination::parse(value, template_created_at)),
            attempt: tags.get(key::ATTEMPT).and_then(|value| value.parse().ok()).unwrap_or(0),
            instance: tags.get(key::INSTANCE).map(InstanceId::new),
            retirement,
            replaces,
            database: tags.get(key::DATABASE).and_then(|id| fleet.database_number(id)),
            failure: tags.get(key::FAILURE).map(|value| LaunchFailure::parse(value, template_created_at)),
            claim: tags::text(tags, key::CLAIM),
            orphan_since: tags::parse_time(tags, key::ORPHAN_SINCE),
            repaired_by: tags.get(key::REPAIR).map(|value| parse_timed(value, template_created_at).1),
            hold: tags.get(key::HOLD).and_then(|value| Hold::parse(value)),
            failed_step: StepFailure::parse(tags),
            notified: parse_notified(tags),
            services: parse_services(tags),
            deployment: tags.get(key::DEPLOYMENT).and_then(|value| Deployment::parse(value)),
            requests: tags
                .get(key::REQUESTS)
                .map_or_else(Vec::new, |ids| ids.split(' ').map(Into::into).collect()),
            note: tags::text(tags, key::NOTE),
        }))
    }

    /// Returns the expiry, or, if that is unknown, the latest expiry that the policy allows.
    #[must_use]
    pub fn ends_at(&self, policy: &Policy) -> DateTime<Utc> {
        self.expires_at.unwrap_or_else(|| self.created_at + policy.max_lifetime)
    }

    /// Returns the hold that is in force.
    #[must_use]
    pub fn held(&self, now: DateTime<Utc>) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| hold.is_in_force(now))
    }

    /// Whether it only keeps a database for the inspection of a user.
    #[must_use]
    pub fn holds_database(&self) -> bool {
        self.retirement && self.hold.is_some() && self.terminate.is_none()
    }

    /// Returns the number of both the environment and its database.
    #[must_use]
    pub fn number(&self) -> Number {
        self.environment.number
    }

    /// Whether it is an environment's, and not only a claim on a database.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        !self.retirement && self.replaces.is_none()
    }

    /// Returns the number of the database that its tag names, or its own.
    #[must_use]
    pub(crate) fn database_number(&self) -> Number {
        self.database.filter(|_| self.is_environment()).unwrap_or(self.number())
    }

    /// Whether its number counts as that of a database, also while that does not exist yet. The number of an environment that uses another
    /// database gets none any more.
    #[must_use]
    pub(crate) fn reserves_database(&self) -> bool {
        !self.retirement && self.database_number() == self.number()
    }

    /// Returns the change that gives the instance the tags that its launch gave it, as they are now.
    #[must_use]
    pub fn instance_tags(&self) -> TagChanges {
        let environment = &self.environment;
        let mut changes = TagChanges::new()
            .set(key::FLEET, environment.fleet.as_str())
            .set(key::ROLE, role::ENVIRONMENT)
            .set(key::ENVIRONMENT, environment.to_string())
            .set(key::NAME, self.name.raw())
            .set(key::OWNER, self.owner.raw())
            .set(key::DATABASE, environment.fleet.database_id(self.database_number()).to_string())
            .set_time(key::CREATED_AT, self.created_at);
        if let Some(expires_at) = self.expires_at {
            changes = changes.set_time(key::EXPIRES_AT, expires_at);
        }
        if let Some(deployment) = &self.deployment {
            changes = changes.set(key::DEPLOYMENT, deployment.to_tag());
        }
        let services = self.services.iter();
        changes.set.extend(
            services
                .map(|(name, tag)| (format!("{}{}", key::SERVICE_PREFIX, name.raw()), tag.raw().to_owned())),
        );
        changes
    }

    /// Whether the environment is neither requested to terminate, nor being reaped, nor failed.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.terminate.is_none() && self.reaping_since.is_none() && self.failure.is_none()
    }
}

impl Termination {
    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.at, self.by.raw())
    }

    /// Parses the value of a tag. An invalid time becomes `fallback`, because the presence of the tag is what matters.
    #[must_use]
    pub fn parse(value: &str, fallback: DateTime<Utc>) -> Self {
        let (at, by) = parse_timed(value, fallback);
        Self { at, by }
    }
}

impl LaunchFailure {
    #[must_use]
    pub fn to_tag(&self) -> String {
        tags::format_timed(self.at, self.reason.raw())
    }

    /// Parses the value of a tag. An invalid time becomes `fallback`, because the presence of the tag is what matters.
    #[must_use]
    pub fn parse(value: &str, fallback: DateTime<Utc>) -> Self {
        let (at, reason) = parse_timed(value, fallback);
        Self { at, reason }
    }
}

/// Parses a time and a text. A value without a valid time is all text.
fn parse_timed(value: &str, fallback: DateTime<Utc>) -> (DateTime<Utc>, Untrusted) {
    tags::parse_timed(value).unwrap_or_else(|| (fallback, value.into()))
}

/// A record to create: a claim on a database, with everything that an engine needs to continue the launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The environment; its number is also that of the database to claim.
    pub environment: EnvironmentId,
    /// The name of the user or engine that creates it.
    pub owner: String,
    pub created_at: DateTime<Utc>,
    /// A nonce by which an engine recognises its own record after a lost response.
    pub claim: String,
    pub company_tags: CompanyTags,
    pub purpose: Purpose,
}

/// The purpose of a claim on a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// An environment uses the database.
    Launch(Box<NewEnvironment>),
    /// The database leaves the pool. The claim prevents launches from claiming it while it is being deleted.
    Retire {
        /// The reason, stored as the record's note.
        reason: String,
    },
    /// A user inspects the database. It leaves the pool once the hold has ended, because people may have changed it.
    Hold(Hold),
    /// An environment that exists gets the database instead of its own.
    Replace(Replaces),
}

/// The parameters of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnvironment {
    pub name: Label,
    pub expires_at: DateTime<Utc>,
    /// Services under test and their image tags.
    pub services: BTreeMap<String, String>,
    /// Free text of the owner.
    pub note: Option<String>,
    pub image: ImageId,
    /// The image's name of its root device.
    pub root_device: Option<String>,
    /// A subnet in the Availability Zone of the database.
    pub subnet: SubnetId,
}

impl NewRecord {
    /// Returns the identity tags: those of the record and, through its launch data, of the instance and its volumes.
    #[must_use]
    pub fn identity_tags(&self) -> Tags {
        let environment = &self.environment;
        let mut tags = self.company_tags.as_tags().clone();
        tags.extend(
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
            Purpose::Retire { .. } | Purpose::Hold(_) => {
                tags.insert(key::ROLE.to_owned(), role::RETIREMENT.to_owned());
            }
            Purpose::Replace(_) => {
                tags.insert(key::ROLE.to_owned(), role::REPLACEMENT.to_owned());
            }
        }
        tags
    }

    /// Returns all tags of the record.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let mut tags = self.identity_tags();
        tags.insert(key::CLAIM.to_owned(), self.claim.clone());
        match &self.purpose {
            Purpose::Launch(new) => {
                tags.extend(new.note.iter().map(|note| (key::NOTE.to_owned(), note.clone())));
            }
            Purpose::Retire { reason } => {
                let termination = Termination { at: self.created_at, by: self.owner.as_str().into() };
                tags.insert(key::TERMINATE.to_owned(), termination.to_tag());
                tags.insert(key::NOTE.to_owned(), reason.clone());
            }
            Purpose::Hold(hold) => {
                tags.insert(key::HOLD.to_owned(), hold.to_tag());
                tags.insert(key::EXPIRES_AT.to_owned(), tags::format_time(hold.until));
                tags.insert(key::NOTE.to_owned(), format!("{} held it", hold.by.raw()));
            }
            Purpose::Replace(replaces) => {
                tags.insert(key::REPLACES.to_owned(), replaces.to_tag());
            }
        }
        tags
    }
}

/// Changes to a record.
impl TagChanges {
    #[must_use]
    pub fn expire_at(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::EXPIRES_AT, at)
    }

    /// Extends a record. `nonce` is of this extension alone. Earlier extensions are removed, because this one covers them.
    #[must_use]
    pub fn extend(record: &Record, at: DateTime<Utc>, nonce: &str) -> Self {
        let mut changes = Self::expire_at(at).set_time(&format!("{}{nonce}", key::EXTENSION_PREFIX), at);
        let covered = record.extensions.iter().filter(|(_, earlier)| **earlier <= at);
        changes.remove.extend(covered.map(|(nonce, _)| format!("{}{}", key::EXTENSION_PREFIX, nonce.raw())));
        changes
    }

    /// Adds the id of the Lambda request that makes the changes, and forgets the oldest ones: a tag has room for six UUIDs.
    #[must_use]
    pub fn request(self, record: &Record, id: &str) -> Self {
        let earlier = &record.requests[record.requests.len().saturating_sub(MAX_REQUESTS - 1)..];
        let ids: Vec<_> = earlier.iter().map(Untrusted::raw).chain([id]).collect();
        self.set(key::REQUESTS, ids.join(" "))
    }

    #[must_use]
    pub fn hold(self, hold: &Hold) -> Self {
        self.set(key::HOLD, hold.to_tag())
    }

    /// Marks an expired or failed environment in the first sweep.
    #[must_use]
    pub fn reaping_since(at: DateTime<Utc>) -> Self {
        Self::new().set_time(key::REAPING_SINCE, at)
    }

    /// Marks the environment as failed permanently.
    #[must_use]
    pub fn fail(failure: &LaunchFailure) -> Self {
        Self::new().set(key::FAILURE, failure.to_tag())
    }

    /// Keeps a broken environment until its expiry, because a user repairs it.
    #[must_use]
    pub fn repair(self, at: DateTime<Utc>, user: &str) -> Self {
        self.set(key::REPAIR, tags::format_timed(at, user)).remove(key::FAILURE).remove(key::ORPHAN_SINCE)
    }

    #[must_use]
    pub fn terminate(termination: &Termination) -> Self {
        Self::new().set(key::TERMINATE, termination.to_tag())
    }

    /// Makes an environment use another database, and requests the deployment of it.
    #[must_use]
    pub fn use_database(database: &DatabaseId, deployment: &Deployment) -> Self {
        Self::new().set(key::DATABASE, database.as_str()).set(key::DEPLOYMENT, deployment.to_tag())
    }
}

/// Parses `SERVICE=IMAGE_TAG`.
///
/// # Errors
/// Returns an error unless the service is a Kubernetes name and the tag is valid in a container registry.
pub fn parse_service(text: &str) -> Result<(String, String), InvalidName> {
    let invalid = |rule| InvalidName { what: "service", value: text.to_owned(), rule };
    let (name, tag) = text.split_once('=').ok_or(invalid("use SERVICE=IMAGE_TAG, such as payments=f-123"))?;
    let is_name = (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_name {
        return Err(invalid("a service is 1 to 40 lower-case letters, digits and hyphens"));
    }
    let is_tag = (1..=128).contains(&tag.len())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !tag.starts_with(['.', '-']);
    if !is_tag {
        return Err(invalid("an image tag is 1 to 128 letters, digits, dots, underscores and hyphens"));
    }
    Ok((name.to_owned(), tag.to_owned()))
}

fn parse_extensions(tags: &Tags) -> BTreeMap<Untrusted, DateTime<Utc>> {
    tags.range(key::EXTENSION_PREFIX.to_owned()..)
        .map_while(|(key, _)| Some((key, key.strip_prefix(key::EXTENSION_PREFIX)?)))
        .filter_map(|(key, nonce)| Some((nonce.into(), tags::parse_time(tags, key)?)))
        .collect()
}

/// Returns the services under test and their image tags.
#[must_use]
pub fn parse_services(tags: &Tags) -> BTreeMap<Untrusted, Untrusted> {
    tags.range(key::SERVICE_PREFIX.to_owned()..)
        .map_while(|(key, tag)| Some((key.strip_prefix(key::SERVICE_PREFIX)?.into(), tag.as_str().into())))
        .collect()
}
