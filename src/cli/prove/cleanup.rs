//! Removes what a run has created, and what killed runs have left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Lab;
use super::facts::describe;
use crate::cloud::ProofResource;
use crate::domain::proof::{DATABASES, key};
use crate::domain::{CloudError, DatabaseId, ErrorClass, Proof, RecordId, TagChanges};
use crate::failure::Failure;

/// How long a request whose response is unknown may take to show in listings.
const VISIBLE_AFTER: Duration = Duration::from_secs(10);

const RETRY_DELAY: Duration = Duration::from_secs(2);

const MAX_TRIES: u32 = 5;

/// How long a database may refuse its deletion, as RDS does while it is being created.
const DELETABLE_AFTER: Duration = Duration::from_hours(1);

/// How long other errors are retried.
const RETRIES_FOR: Duration = Duration::from_mins(1);

/// Between two tries to delete a database.
const DATABASE_RETRY: Duration = Duration::from_secs(10);

/// What exists because of this run, or was left behind by an earlier one.
#[derive(Default)]
pub(super) struct Created(Mutex<Resources>);

#[derive(Debug, Clone, Default)]
struct Resources {
    /// Names by id.
    templates: BTreeMap<RecordId, String>,
    databases: BTreeSet<DatabaseId>,
    /// Databases of the pool with the tag [`key::VALUE`].
    tagged: BTreeSet<DatabaseId>,
    /// Whether a request is being sent whose response is not known yet.
    is_sending: bool,
    /// Whether the response to a request was lost.
    is_lost: bool,
}

impl Resources {
    /// Whether a request may have made something that is not known, or may still be processed.
    fn is_unsure(&self) -> bool {
        self.is_sending || self.is_lost
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

    pub(super) fn add_tagged(&self, id: DatabaseId) {
        self.lock().tagged.insert(id);
    }

    pub(super) fn remove_tagged(&self, id: &DatabaseId) {
        self.lock().tagged.remove(id);
    }

    pub(super) fn names(&self) -> Vec<String> {
        let Resources { templates, databases, tagged, .. } = self.lock().clone();
        names(templates.values(), &databases, &tagged)
    }
}

fn names<'a>(
    templates: impl IntoIterator<Item = &'a String>,
    databases: &BTreeSet<DatabaseId>,
    tagged: &BTreeSet<DatabaseId>,
) -> Vec<String> {
    let templates = templates.into_iter().map(|name| template_text(name));
    let databases = databases.iter().map(database_text);
    templates.chain(databases).chain(tagged.iter().map(tag_text)).collect()
}

fn template_text(name: &str) -> String {
    format!("launch template {name}")
}

fn database_text(id: &DatabaseId) -> String {
    format!("database {id}")
}

fn tag_text(id: &DatabaseId) -> String {
    format!("tag {} of database {id}", key::VALUE)
}

/// What killed runs have left behind: only what has the name and the tags of a run, of the same caller or long ago.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Resources);

impl Leftovers {
    pub(super) async fn find(lab: &Lab<'_>) -> Result<Self, Failure> {
        let (templates, databases) =
            futures::join!(lab.proofs().proof_templates(), lab.proofs().proof_databases());
        let cannot = |error| Failure::cloud("cannot look for what earlier runs left behind", &error);
        let may = |proof: Option<Proof>| proof.is_some_and(|found| lab.proof.may_clean_up(&found));
        let mut found = Resources::default();
        for ProofResource { id, name, tags } in templates.map_err(cannot)? {
            if may(Proof::parse(&tags)) {
                found.templates.insert(id, name);
            }
        }
        for ProofResource { id, name, tags } in databases.map_err(cannot)? {
            if name.starts_with(DATABASES) && may(Proof::parse(&tags)) {
                found.databases.insert(id);
            } else if may(Proof::parse_tag_value(&tags)) {
                found.tagged.insert(id);
            }
        }
        Ok(Self(found))
    }

    pub(super) fn count(&self) -> usize {
        self.0.templates.len() + self.0.databases.len() + self.0.tagged.len()
    }

    pub(super) fn names(&self) -> Vec<String> {
        names(self.0.templates.values(), &self.0.databases, &self.0.tagged)
    }

    /// Makes them this run's to remove.
    pub(super) fn adopt(&self, created: &Created) {
        *created.lock() = self.0.clone();
    }
}

/// Removes what earlier runs left behind. What cannot be removed yet is tried again at the end.
pub(super) async fn remove_leftovers(lab: &Lab<'_>) {
    let before = lab.created.names();
    pass(lab).await;
    let after = lab.created.names();
    for name in before.iter().filter(|name| !after.contains(name)) {
        lab.context.console.notice(&format!("removed what an earlier run left behind: {name}"));
    }
}

/// Removes everything. Returns the names of what could not be removed, with the reasons.
pub(super) async fn remove_all(lab: &Lab<'_>) -> Vec<(String, String)> {
    let begun = lab.elapsed();
    loop {
        let left = pass(lab).await;
        let waited = lab.elapsed().saturating_sub(begun);
        let is_busy = left.iter().any(|(_, error)| error.code.starts_with(BUSY_CODE));
        let limit = if is_busy { DELETABLE_AFTER } else { RETRIES_FOR };
        let may_help = left.iter().any(|(_, error)| is_temporary(error)) && waited < limit;
        let is_unsure = lab.created.lock().is_unsure() && waited < VISIBLE_AFTER;
        if !is_unsure && !may_help {
            return left.into_iter().map(|(name, error)| (name, describe(&error))).collect();
        }
        lab.sleep(if is_busy { DATABASE_RETRY } else { RETRY_DELAY }).await;
    }
}

/// RDS's code for a status that forbids a deletion.
const BUSY_CODE: &str = "InvalidDBInstanceState";

/// Tries to remove everything once. Returns what is left, with the errors.
async fn pass(lab: &Lab<'_>) -> Vec<(String, CloudError)> {
    if lab.created.lock().is_unsure() {
        find_own(lab).await;
    }
    let resources = lab.created.lock().clone();
    // While a request may still be processed, what it makes is removed again.
    let is_unsure = resources.is_unsure();
    let Resources { templates, databases, tagged, .. } = resources;
    let mut left = Vec::new();
    for id in tagged {
        match untag(lab, &id).await {
            Ok(()) if is_unsure => {}
            Ok(()) => lab.created.remove_tagged(&id),
            Err(error) => left.push((tag_text(&id), error)),
        }
    }
    for (id, name) in templates {
        match retry(lab, async || lab.context.account.delete_record(&id).await).await {
            Ok(()) => lab.created.remove_template(&id),
            Err(error) => left.push((template_text(&name), error)),
        }
    }
    for id in databases {
        match lab.context.account.delete_database(&id).await {
            Ok(()) if is_unsure => {}
            Ok(()) => lab.created.remove_database(&id),
            Err(error) => left.push((database_text(&id), error)),
        }
    }
    left
}

/// Removes the tag [`key::VALUE`] from a database of the pool.
pub(super) async fn untag(lab: &Lab<'_>, id: &DatabaseId) -> crate::cloud::Result<()> {
    let changes = TagChanges::new().remove(key::VALUE);
    match retry(lab, async || lab.context.account.tag_database(id, &changes).await).await {
        // Its tags are gone with it.
        Err(error) if error.is(ErrorClass::NotFound) => Ok(()),
        result => result,
    }
}

/// Looks for templates of this run whose ids are not known.
async fn find_own(lab: &Lab<'_>) {
    // A failed listing finds nothing; the next pass or the next run lists again.
    for ProofResource { id, name, tags } in lab.proofs().proof_templates().await.unwrap_or_default() {
        if Proof::parse(&tags).is_some_and(|found| found.run == lab.proof.run) {
            lab.created.add_template(id, name);
        }
    }
}

async fn retry(lab: &Lab<'_>, call: impl AsyncFn() -> crate::cloud::Result<()>) -> crate::cloud::Result<()> {
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if tries < MAX_TRIES && is_temporary(&error) => {
                tries += 1;
                lab.sleep(RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}

fn is_temporary(error: &CloudError) -> bool {
    matches!(error.class, ErrorClass::Unknown | ErrorClass::Transient | ErrorClass::Throttled)
}
