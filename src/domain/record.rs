//! The record: the launch template that stores the intent of an environment and its claim on a database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::deployment::Deployment;
use super::hold::Hold;
use super::ids::{EnvironmentId, FleetName, InstanceId, Number, RecordId};
use super::notice::{Notified, parse_notified};
use super::policy::Policy;
use super::step_failure::StepFailure;
use super::tags::{self, TagChanges, Tags, key, role};
use super::text::Untrusted;
use super::unreadable::{Parsed, Unreadable, UnreadableKind};

mod changes;
mod kind;
mod new_record;
mod services;

pub use kind::{RecordKind, Replaces};
pub use new_record::{NewEnvironment, NewRecord, Purpose};
pub(crate) use services::max_services;
pub use services::{parse_service, parse_services};

pub(crate) const MAX_NOTE_CHARS: usize = 200;

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
    pub kind: RecordKind,
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
        let Some(kind) = RecordKind::parse(tags, fleet, number) else {
            return Some(Err(Unreadable::new(UnreadableKind::Record, id.as_str(), fleet, number, tags)));
        };
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
            kind,
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
        self.is_retirement() && self.hold.is_some() && self.terminate.is_none()
    }

    /// Returns the number of both the environment and its database.
    #[must_use]
    pub fn number(&self) -> Number {
        self.environment.number
    }

    /// Whether it is an environment's, and not only a claim on a database.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        self.kind == RecordKind::Environment
    }

    /// Whether it only claims a database that leaves the pool.
    #[must_use]
    pub fn is_retirement(&self) -> bool {
        self.kind == RecordKind::Retirement
    }

    /// Returns the environment that it claims another database for; `None` for a record that is no replacement.
    #[must_use]
    pub fn replaces(&self) -> Option<&Replaces> {
        match &self.kind {
            RecordKind::Replacement(replaces) => Some(replaces),
            RecordKind::Environment | RecordKind::Retirement => None,
        }
    }

    /// Whether it claims another database for the environment with this record.
    #[must_use]
    pub(crate) fn is_replacement_for(&self, environment: &RecordId) -> bool {
        self.replaces().is_some_and(|replaces| replaces.record == *environment)
    }

    /// Returns the number of the database that its tag names, or its own.
    #[must_use]
    pub(crate) fn database_number(&self) -> Number {
        self.database.filter(|_| self.is_environment()).unwrap_or(self.number())
    }

    /// Whether its number counts as that of a database, also while that does not exist yet. The number of an environment that uses another
    /// database gets no new one.
    #[must_use]
    pub(crate) fn reserves_database(&self) -> bool {
        !self.is_retirement() && self.database_number() == self.number()
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

fn parse_extensions(tags: &Tags) -> BTreeMap<Untrusted, DateTime<Utc>> {
    tags.range(key::EXTENSION_PREFIX.to_owned()..)
        .map_while(|(key, _)| Some((key, key.strip_prefix(key::EXTENSION_PREFIX)?)))
        .filter_map(|(key, nonce)| Some((nonce.into(), tags::parse_time(tags, key)?)))
        .collect()
}
