//! Whether the value of a tag may begin with `rds:`, tried on a free database of the pool, whose other tags stay as they are.

use super::cleanup;
use super::facts::{Fact, Statement, Verdict, describe, redact};
use super::test_bed::TestBed;
use crate::cloud::Result;
use crate::domain::proof::key;
use crate::domain::{Database, DatabaseId, DatabaseState, ErrorClass, Pool, TagChanges};

/// The API reference reserves the prefixes `aws:` and `rds:`, the user guide only `aws:`.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html>
const VALUE: Statement = Statement {
    id: "rds-tag-value",
    fact: "The value of a tag in RDS may begin with `rds:`",
    expected: "accepted and stored, or refused as invalid: hatchery writes no such value",
};

pub(super) async fn run(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    facts.push(match free_database(bed) {
        Ok(database) => write(bed, &database.id).await,
        Err(reason) => VALUE.not_tried(reason),
    });
}

fn free_database<'b>(bed: &'b TestBed<'_>) -> Result<&'b Database, String> {
    if let Some(reason) = bed.frozen() {
        return Err(redact(bed, &reason));
    }
    if !bed.world.is_complete() {
        return Err("the listing of the fleet is incomplete".to_owned());
    }
    let free = Pool::new(&bed.world).in_state(DatabaseState::Free).next();
    free.ok_or_else(|| "the pool has no free database".to_owned())
}

async fn write(bed: &TestBed<'_>, id: &DatabaseId) -> Fact {
    match value_of(bed, id).await {
        Ok(None) => {}
        Ok(Some(_)) => return VALUE.not_tried("another run tries it at this moment"),
        Err(error) => return VALUE.not_tried(describe(&error)),
    }
    let value = bed.proof.tag_value();
    bed.created.add_tagged(id.clone());
    bed.created.begin_requests();
    let changes = TagChanges::new().set(key::VALUE, &value);
    let written = bed.context.account.tag_database(id, &changes).await;
    bed.created.end_requests(written.as_ref().err());
    let fact = match written {
        Ok(()) => judge(&value, value_of(bed, id).await),
        Err(error) if error.is(ErrorClass::Invalid) => {
            VALUE.observed(format!("refused with {}", error.code), Verdict::Holds)
        }
        Err(error) => VALUE.not_tried(describe(&error)),
    };
    // If this fails, the clean-up at the end tries again.
    if cleanup::untag(bed, id).await.is_ok() {
        bed.created.remove_tagged(id);
    }
    fact
}

fn judge(written: &str, stored: Result<Option<String>>) -> Fact {
    match stored {
        Ok(Some(stored)) if stored == written => VALUE.observed("accepted and stored", Verdict::Holds),
        Ok(Some(_)) => VALUE.observed("accepted, but another value is stored", Verdict::Differs),
        Ok(None) => VALUE.observed("accepted, but not stored", Verdict::Differs),
        Err(error) => VALUE.not_tried(describe(&error)),
    }
}

async fn value_of(bed: &TestBed<'_>, id: &DatabaseId) -> Result<Option<String>> {
    let marked = bed.proofs().proof_databases().await?;
    let found = marked.into_iter().find(|database| database.id == *id);
    Ok(found.and_then(|database| database.tags.get(key::VALUE).cloned()))
}
