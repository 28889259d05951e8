//! What notices rely on: the names of log streams are unique in their group at every instant.

use futures::future::join_all;

use super::facts::{Fact, Statement, describe};
use super::rivals::{self, RIVALS};
use super::test_bed::TestBed;
use crate::domain::ErrorClass;

const UNIQUE: Statement = Statement {
    id: "unique-stream",
    fact: "Of eight concurrent CreateLogStream with one name, exactly one succeeds",
    expected: "1 created, the others refused as already existing",
};

pub(super) async fn claim(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    let group = bed.proof.log_group();
    let tags = bed.proof.tags(&bed.world.fleet.policy.company_tags);
    // A request that is cut off may create it.
    bed.created.begin_requests();
    bed.created.add_group(group.clone());
    let created = bed.proofs().create_proof_group(&group, &tags).await;
    bed.created.end_requests(created.as_ref().err());
    if let Err(error) = created {
        if !error.is(ErrorClass::Unknown) {
            bed.created.remove_group(&group);
        }
        facts.push(UNIQUE.not_tried(describe(&error)));
        return;
    }
    let requests = (0..RIVALS).map(|_| bed.proofs().create_proof_stream(&group, "claim"));
    let results = join_all(requests).await;
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    facts.push(rivals::judge(UNIQUE, RIVALS - errors.len(), &errors));
    // If this fails, the clean-up at the end tries again.
    if bed.proofs().delete_proof_group(&group).await.is_ok() {
        bed.created.remove_group(&group);
    }
}
