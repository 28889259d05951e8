//! Keeps what a run has created and still has to remove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::proof::key;
use crate::domain::{CloudError, DatabaseId, ErrorClass, LogGroupName, RecordId};

/// What exists because of this run, or was left behind by an earlier one.
#[derive(Default)]
pub(super) struct Created(Mutex<Resources>);

#[derive(Debug, Clone, Default)]
pub(super) struct Resources {
    /// Names by id.
    pub(super) templates: BTreeMap<RecordId, String>,
    pub(super) databases: BTreeSet<DatabaseId>,
    pub(super) groups: BTreeSet<LogGroupName>,
    /// Databases of the pool with the tag [`key::VALUE`].
    pub(super) tagged: BTreeSet<DatabaseId>,
    /// Whether a request is being sent whose response is not known yet.
    is_sending: bool,
    /// Whether the response to a request was lost.
    is_lost: bool,
}

impl Resources {
    /// Whether a request may have made something that is not known, or may still be processed.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_sending || self.is_lost
    }

    pub(super) fn names(&self) -> Vec<String> {
        let templates = self.templates.values().map(|name| template_text(name));
        let databases = self.databases.iter().map(database_text);
        let groups = self.groups.iter().map(group_text);
        templates.chain(databases).chain(groups).chain(self.tagged.iter().map(tag_text)).collect()
    }
}

impl Created {
    fn lock(&self) -> MutexGuard<'_, Resources> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that requests are about to be sent, which an interruption may cut off.
    pub(super) fn begin_requests(&self) {
        self.lock().is_sending = true;
    }

    /// Says that the responses to all requests are there, or that one is lost.
    pub(super) fn end_requests<'e>(&self, errors: impl IntoIterator<Item = &'e CloudError>) {
        let mut resources = self.lock();
        resources.is_sending = false;
        resources.is_lost |= errors.into_iter().any(|error| error.is(ErrorClass::Unknown));
    }

    pub(super) fn add_template(&self, id: RecordId, name: String) {
        self.lock().templates.insert(id, name);
    }

    pub(super) fn remove_template(&self, id: &RecordId) {
        self.lock().templates.remove(id);
    }

    pub(super) fn add_database(&self, id: DatabaseId) {
        self.lock().databases.insert(id);
    }

    pub(super) fn remove_database(&self, id: &DatabaseId) {
        self.lock().databases.remove(id);
    }

    pub(super) fn add_group(&self, name: LogGroupName) {
        self.lock().groups.insert(name);
    }

    pub(super) fn remove_group(&self, name: &LogGroupName) {
        self.lock().groups.remove(name);
    }

    pub(super) fn add_tagged(&self, id: DatabaseId) {
        self.lock().tagged.insert(id);
    }

    pub(super) fn remove_tagged(&self, id: &DatabaseId) {
        self.lock().tagged.remove(id);
    }

    /// Makes what earlier runs left behind this run's to remove.
    pub(super) fn adopt(&self, leftovers: &Resources) {
        *self.lock() = leftovers.clone();
    }

    pub(super) fn resources(&self) -> Resources {
        self.lock().clone()
    }
}

pub(super) fn template_text(name: &str) -> String {
    format!("launch template {name}")
}

pub(super) fn database_text(id: &DatabaseId) -> String {
    format!("database {id}")
}

pub(super) fn group_text(name: &LogGroupName) -> String {
    format!("log group {name}")
}

pub(super) fn tag_text(id: &DatabaseId) -> String {
    format!("tag {} of database {id}", key::VALUE)
}
