//! Records to create.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Termination;
use super::kind::Replaces;
use crate::domain::company_tags::CompanyTags;
use crate::domain::hold::Hold;
use crate::domain::ids::{EnvironmentId, ImageId, Label, SubnetId};
use crate::domain::tags::{self, Tags, key, role};

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
