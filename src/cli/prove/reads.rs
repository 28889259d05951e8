//! What is found out without creating anything: the caller's permissions, and the listing of snapshots.

use super::facts::{Fact, Statement, Verdict, describe, redact};
use super::test_bed::TestBed;
use crate::cloud::{Answer, Permission, PermissionSamples, SnapshotListing};

const PERMITTED: &str = "permitted";

const TIMES: Statement = Statement {
    id: "snapshot-times",
    fact: "Listed snapshots have OriginalSnapshotCreateTime, which a copy keeps",
    expected: "all",
};

const BACKUP: Statement = Statement {
    id: "backup-snapshots",
    fact: "Snapshots of AWS Backup are in the default list of snapshots",
    expected: "all or none: the engine restores the latest one that is listed",
};

/// The permissions that doctor checks, one fact for each action.
pub(super) async fn permissions(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    let samples = PermissionSamples::of(&bed.world);
    let permissions = bed.context.account.permissions(&bed.world.fleet, &samples).await;
    for Permission { action, answer } in permissions {
        let (observed, verdict) = match answer {
            Answer::Granted => ("permitted", Verdict::Holds),
            Answer::Denied(_) => ("not permitted", Verdict::Differs),
            Answer::Unknown(reason) => ("", Verdict::NotTried(redact(bed, &reason))),
        };
        facts.push(Fact {
            id: format!("permission {action}"),
            fact: format!("The caller may {action}"),
            expected: PERMITTED,
            observed: observed.to_owned(),
            verdict,
        });
    }
}

pub(super) async fn snapshots(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    let source = &bed.world.fleet.policy.source_database;
    let (listed, backup) = futures::join!(
        bed.proofs().snapshots(source, SnapshotListing::Default),
        bed.proofs().snapshots(source, SnapshotListing::AwsBackup),
    );
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            facts.extend([TIMES, BACKUP].map(|statement| statement.not_tried(describe(&error))));
            return;
        }
    };
    facts.push(if listed.is_empty() {
        TIMES.not_tried("the source database has no snapshot")
    } else {
        let with_time = listed.iter().filter(|snapshot| snapshot.has_original_time).count();
        TIMES.observed(format!("{with_time} of {}", listed.len()), Verdict::of(with_time == listed.len()))
    });
    facts.push(match backup {
        Ok(backup) if backup.is_empty() => {
            BACKUP.not_tried("the source database has no snapshot of AWS Backup")
        }
        Ok(backup) => {
            let found = backup.iter().filter(|own| listed.iter().any(|other| other.id == own.id)).count();
            let holds = found == 0 || found == backup.len();
            BACKUP.observed(format!("{found} of {}", backup.len()), Verdict::of(holds))
        }
        Err(error) => BACKUP.not_tried(describe(&error)),
    });
}
