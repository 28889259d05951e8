//! Removes what a run has created, and what killed runs have left behind.

use std::time::Duration;

use super::created::{Resources, database_text, group_text, tag_text, template_text};
use super::facts::describe;
use super::test_bed::TestBed;
use crate::cloud::ProofResource;
use crate::domain::proof::{DATABASES, key};
use crate::domain::{CloudError, DatabaseId, ErrorClass, Proof, TagChanges};
use crate::engine::READ_LAG;
use crate::failure::Failure;

/// Between two tries to remove what is left.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// How long a database may refuse its deletion, as RDS does while it is being created.
const DELETABLE_AFTER: Duration = Duration::from_hours(1);

/// How long other errors are retried.
const RETRIES_FOR: Duration = Duration::from_mins(1);

/// Between two tries to delete a database.
const DATABASE_RETRY: Duration = Duration::from_secs(10);

/// Finds what killed runs have left behind: only what has the name and the tags of a run, of the same caller or long ago.
pub(super) async fn find_leftovers(bed: &TestBed<'_>) -> Result<Resources, Failure> {
    let (templates, databases, groups) = futures::join!(
        bed.proofs().proof_templates(),
        bed.proofs().proof_databases(),
        bed.proofs().proof_groups()
    );
    let cannot = |error| Failure::cloud("cannot look for what earlier runs left behind", &error);
    let may = |proof: Option<Proof>| proof.is_some_and(|found| bed.proof.may_clean_up(&found));
    let groups = match groups {
        // Without the permission to list them, the caller has hardly created one.
        Err(error) if error.is_denial() => Vec::new(),
        groups => groups.map_err(cannot)?,
    };
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
    let groups = groups.into_iter().filter(|group| may(Proof::parse(&group.tags)));
    found.groups.extend(groups.map(|group| group.id));
    Ok(found)
}

/// Removes what earlier runs left behind. What cannot be removed yet is tried again at the end.
pub(super) async fn remove_leftovers(bed: &TestBed<'_>) {
    let before = bed.created.resources().names();
    pass(bed).await;
    let after = bed.created.resources().names();
    for name in before.iter().filter(|name| !after.contains(name)) {
        bed.context.console.notice(&format!("removed what an earlier run left behind: {name}"));
    }
}

/// Removes everything. Returns the names of what could not be removed, with the reasons.
pub(super) async fn remove_all(bed: &TestBed<'_>) -> Vec<(String, String)> {
    let begun = bed.elapsed();
    loop {
        let left = pass(bed).await;
        let waited = bed.elapsed().saturating_sub(begun);
        let is_busy = left.iter().any(|(_, error)| error.code.starts_with(BUSY_CODE));
        let limit = if is_busy { DELETABLE_AFTER } else { RETRIES_FOR };
        let may_help = left.iter().any(|(_, error)| error.class.is_temporary()) && waited < limit;
        let is_unsure = bed.created.resources().is_unsure() && waited < READ_LAG;
        if !is_unsure && !may_help {
            return left.into_iter().map(|(name, error)| (name, describe(&error))).collect();
        }
        bed.sleep(if is_busy { DATABASE_RETRY } else { RETRY_DELAY }).await;
    }
}

/// RDS's code for a status that forbids a deletion.
pub(super) const BUSY_CODE: &str = "InvalidDBInstanceState";

/// Tries to remove everything once. Returns what is left, with the errors.
async fn pass(bed: &TestBed<'_>) -> Vec<(String, CloudError)> {
    if bed.created.resources().is_unsure() {
        find_own(bed).await;
    }
    let resources = bed.created.resources();
    // While a request may still be processed, what it makes is removed again.
    let is_unsure = resources.is_unsure();
    let Resources { templates, databases, groups, tagged, .. } = resources;
    let mut left = Vec::new();
    for id in tagged {
        match untag(bed, &id).await {
            Ok(()) if is_unsure => {}
            Ok(()) => bed.created.remove_tagged(&id),
            Err(error) => left.push((tag_text(&id), error)),
        }
    }
    for (id, name) in templates {
        match bed.context.engine.retry(|| bed.context.account.delete_record(&id)).await {
            Ok(()) => bed.created.remove_template(&id),
            Err(error) => left.push((template_text(&name), error)),
        }
    }
    for name in groups {
        match bed.context.engine.retry(|| bed.proofs().delete_proof_group(&name)).await {
            Ok(()) if is_unsure => {}
            Ok(()) => bed.created.remove_group(&name),
            Err(error) => left.push((group_text(&name), error)),
        }
    }
    for id in databases {
        match bed.context.account.delete_database(&id).await {
            Ok(()) if is_unsure => {}
            Ok(()) => bed.created.remove_database(&id),
            Err(error) => left.push((database_text(&id), error)),
        }
    }
    left
}

/// Removes the tag [`key::VALUE`] from a database of the pool.
pub(super) async fn untag(bed: &TestBed<'_>, id: &DatabaseId) -> crate::cloud::Result<()> {
    let changes = TagChanges::new().remove(key::VALUE);
    match bed.context.engine.retry(|| bed.context.account.tag_database(id, &changes)).await {
        // Its tags are gone with it.
        Err(error) if error.is(ErrorClass::NotFound) => Ok(()),
        result => result,
    }
}

/// Looks for templates of this run whose ids are not known.
async fn find_own(bed: &TestBed<'_>) {
    // A failed listing finds nothing; the next pass or the next run lists again.
    for ProofResource { id, name, tags } in bed.proofs().proof_templates().await.unwrap_or_default() {
        if Proof::parse(&tags).is_some_and(|found| found.run == bed.proof.run) {
            bed.created.add_template(id, name);
        }
    }
}
