//! What a database shows while it is restored, changed and deleted. Takes up to an hour, and creates a database for it.

use std::time::Duration;

use super::cleanup::BUSY_CODE;
use super::facts::{Fact, Statement, Verdict, describe, redact};
use super::test_bed::TestBed;
use crate::cloud::{DatabaseProgress, Result};
use crate::domain::lifecycle::Restore;
use crate::domain::text::Untrusted;
use crate::domain::{DatabaseId, ErrorClass, Number, StatusClass, TagChanges, proof};

const TAGGED: Statement = Statement {
    id: "tag-while-creating",
    fact: "A database can be tagged while it is `creating`",
    expected: "accepted, or refused with InvalidDBInstanceState: the next pass tries again",
};

const DELETED: Statement = Statement {
    id: "delete-while-creating",
    fact: "A database can be deleted while it is `creating`",
    expected: "accepted, or refused with InvalidDBInstanceState: the next pass tries again",
};

const STATUSES: Statement = Statement {
    id: "restore-statuses",
    fact: "Statuses of a database from the request of its restore on",
    expected: "statuses that AWS documents, until available",
};

const STORAGE: Statement = Statement {
    id: "storage-initialization",
    fact: "What RDS shows while the storage of a restored database is initialised",
    expected: "StorageOperationStatus `Initializing` with a percentage, or nothing",
};

const GONE: Statement =
    Statement { id: "deletion", fact: "A deleted database is gone", expected: "within 30 min" };

const ALL: [Statement; 5] = [TAGGED, DELETED, STATUSES, STORAGE, GONE];

/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status>
const DOCUMENTED: [&str; 35] = [
    "available",
    "backing-up",
    "configuring-activity-stream",
    "configuring-associated-roles",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "creating",
    "delete-precheck",
    "deleting",
    "failed",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "incompatible-create",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "restore-error",
    "starting",
    "stopped",
    "stopping",
    "storage-config-upgrade",
    "storage-full",
    "storage-initialization",
    "storage-optimization",
    "upgrading",
];

/// How long a database is watched.
const WATCH: Duration = Duration::from_hours(1);

/// How long a restored database may take to appear, and a deleted one to go.
const APPEARS_WITHIN: Duration = Duration::from_mins(1);
const GONE_WITHIN: Duration = Duration::from_mins(30);

/// How many reads of a usable database must show no storage operation until the watch ends.
const QUIET_READS: u32 = 4;

/// How many states of the storage are printed: the first ones and the last one show the course.
const MAX_STATES: usize = 6;

/// What RDS showed from a time on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    after: Duration,
    progress: DatabaseProgress,
}

pub(super) async fn run(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    if let Err(reason) = try_all(bed, facts).await {
        // What was not reached has this reason.
        let missing = ALL.iter().filter(|statement| facts.iter().all(|fact| fact.id != statement.id));
        let missing: Vec<_> = missing.map(|statement| statement.not_tried(&reason)).collect();
        facts.extend(missing);
    }
}

async fn try_all(bed: &TestBed<'_>, facts: &mut Vec<Fact>) -> Result<(), String> {
    let (mut id, mut begun) = restore(bed, "first").await?;
    let first = appear(bed, &id).await?;
    if first.status == "creating" {
        let changes = TagChanges::new().set(proof::key::BY, &bed.proof.by);
        facts.push(judge(TAGGED, &bed.context.account.tag_database(&id, &changes).await));
        let deleted = bed.context.account.delete_database(&id).await;
        let is_deleted = deleted.is_ok();
        facts.push(judge(DELETED, &deleted));
        if is_deleted {
            (id, begun) = restore(bed, "second").await?;
            appear(bed, &id).await?;
        }
    } else {
        let reason = format!("it was {} at the first look", first.status);
        facts.extend([TAGGED.not_tried(&reason), DELETED.not_tried(&reason)]);
    }
    let looks = watch(bed, &id, begun).await?;
    facts.push(judge_statuses(&looks));
    facts.push(judge_storage(&looks));
    facts.push(delete(bed, &id).await?);
    Ok(())
}

/// Restores the latest snapshot as the engine would, in one of the fleet's zones. Returns when.
async fn restore(bed: &TestBed<'_>, purpose: &str) -> Result<(DatabaseId, Duration), String> {
    let fleet = &bed.world.fleet;
    has_room(bed).await?;
    let restore = Restore::of_number(&bed.world, Number(0)).map_err(|reason| redact(bed, &reason))?;
    let zone = restore.zones.first().map(Untrusted::raw).unwrap_or_default();
    let new = restore.to_database(fleet, Number(0), None, zone, bed.now);
    let (id, tags) = (bed.proof.database_id(purpose), bed.proof.tags(&fleet.policy.company_tags));
    check_deletable(bed, &id).await?;
    bed.context.console.notice(&format!("restoring {id}, and watching it for up to an hour"));
    bed.created.begin_requests();
    bed.created.add_database(id.clone());
    let begun = bed.elapsed();
    let restored = bed.proofs().restore_proof_database(&id, &tags, &new).await;
    bed.created.end_requests(restored.as_ref().err());
    match restored {
        Ok(()) => Ok((id, begun)),
        Err(error) => {
            if !error.is(ErrorClass::Unknown) {
                bed.created.remove_database(&id);
            }
            Err(describe(&error))
        }
    }
}

/// Fails if the caller may not delete a database of this name, which does not exist yet.
async fn check_deletable(bed: &TestBed<'_>, id: &DatabaseId) -> Result<(), String> {
    match bed.context.account.delete_database(id).await {
        Err(error) if error.is(ErrorClass::Auth) => {
            Err(format!("it could not be deleted again: {}", describe(&error)))
        }
        _ => Ok(()),
    }
}

/// Fails if the quota has no room. An unknown quota is no reason, because RDS then refuses the restore.
async fn has_room(bed: &TestBed<'_>) -> Result<(), String> {
    let quotas = bed.context.account.quotas().await.unwrap_or_default();
    let is_full = quotas
        .iter()
        .any(|quota| quota.name == "DB instances" && quota.used.is_some_and(|used| used + 1.0 > quota.limit));
    if is_full { Err("the quota of DB instances is reached".to_owned()) } else { Ok(()) }
}

/// Waits for the first read that shows a database.
async fn appear(bed: &TestBed<'_>, id: &DatabaseId) -> Result<DatabaseProgress, String> {
    let begun = bed.elapsed();
    loop {
        match bed.proofs().database_progress(id).await {
            Ok(Some(progress)) => return Ok(progress),
            Err(error) if !error.class.is_temporary() => return Err(describe(&error)),
            Ok(None) | Err(_) => {}
        }
        if bed.elapsed().saturating_sub(begun) > APPEARS_WITHIN {
            return Err("RDS does not show the restored database".to_owned());
        }
        bed.sleep(Duration::from_secs(1)).await;
    }
}

/// Looks at a database until it is usable and shows no storage operation for a while, has failed, or the hour is over.
async fn watch(bed: &TestBed<'_>, id: &DatabaseId, begun: Duration) -> Result<Vec<Look>, String> {
    let mut looks: Vec<Look> = Vec::new();
    let mut quiet = 0;
    loop {
        let after = bed.elapsed().saturating_sub(begun);
        match bed.proofs().database_progress(id).await {
            Ok(Some(progress)) => {
                let class = StatusClass::from_status(progress.status.raw());
                let is_quiet = class == StatusClass::Usable && progress.storage.is_none();
                quiet = if is_quiet { quiet + 1 } else { 0 };
                if looks.last().is_none_or(|last| last.progress != progress) {
                    looks.push(Look { after, progress });
                }
                if quiet >= QUIET_READS || matches!(class, StatusClass::Failed | StatusClass::Deleting) {
                    return Ok(looks);
                }
            }
            Ok(None) => return Err("the database disappeared".to_owned()),
            Err(error) if error.class.is_temporary() => {}
            Err(error) => return Err(describe(&error)),
        }
        if after > WATCH {
            return Ok(looks);
        }
        bed.sleep((after / 10).clamp(Duration::from_secs(1), Duration::from_secs(15))).await;
    }
}

/// Deletes a database, and waits until it is gone.
async fn delete(bed: &TestBed<'_>, id: &DatabaseId) -> Result<Fact, String> {
    let begun = bed.elapsed();
    let mut is_accepted = false;
    loop {
        let waited = bed.elapsed().saturating_sub(begun);
        if !is_accepted {
            match bed.context.account.delete_database(id).await {
                Ok(()) => is_accepted = true,
                Err(error) if error.class.is_temporary() => {}
                Err(error) => return Err(describe(&error)),
            }
        }
        if is_accepted && matches!(bed.proofs().database_progress(id).await, Ok(None)) {
            bed.created.remove_database(id);
            return Ok(GONE.observed(format!("after {} s", waited.as_secs()), Verdict::Holds));
        }
        if waited > GONE_WITHIN {
            let observed = if is_accepted { "accepted, but still listed" } else { "not accepted" };
            return Ok(GONE.observed(format!("{observed} after 30 min"), Verdict::Differs));
        }
        bed.sleep((waited / 10).clamp(Duration::from_secs(1), Duration::from_secs(15))).await;
    }
}

/// Judges a change of a database that is being created.
fn judge(statement: Statement, result: &Result<()>) -> Fact {
    match result {
        Ok(()) => statement.observed("accepted", Verdict::Holds),
        Err(error) if error.code.starts_with(BUSY_CODE) => {
            statement.observed(format!("refused with {}", error.code), Verdict::Holds)
        }
        Err(error) if error.is(ErrorClass::Invalid) => {
            statement.observed(format!("refused with {}", error.code), Verdict::Differs)
        }
        Err(error) => statement.not_tried(describe(error)),
    }
}

fn judge_statuses(looks: &[Look]) -> Fact {
    let mut observed: Vec<String> = Vec::new();
    let mut last = "";
    for Look { after, progress } in looks {
        if progress.status != last {
            observed.push(format!("{} after {} s", progress.status, after.as_secs()));
        }
        last = progress.status.raw();
    }
    let documented = looks.iter().all(|look| DOCUMENTED.contains(&look.progress.status.raw()));
    let usable = StatusClass::from_status(last) == StatusClass::Usable;
    STATUSES.observed(observed.join(", "), Verdict::of(documented && usable))
}

fn judge_storage(looks: &[Look]) -> Fact {
    let mut observed: Vec<String> = Vec::new();
    let mut holds = true;
    let shown =
        looks.iter().filter(|look| look.progress.storage.is_some() || look.progress.percent.is_some());
    for Look { after, progress } in shown {
        let storage =
            progress.storage.as_ref().map_or_else(|| "no operation".to_owned(), ToString::to_string);
        let percent = progress.percent.map_or_else(String::new, |percent| format!(" {percent} %"));
        let status = &progress.status;
        observed.push(format!("{storage}{percent} while {status} after {} s", after.as_secs()));
        holds &=
            storage == "Initializing" && progress.percent.is_none_or(|percent| (0..=100).contains(&percent));
    }
    if observed.is_empty() {
        return STORAGE.not_tried("RDS showed no storage operation");
    }
    if observed.len() > MAX_STATES {
        observed.splice(MAX_STATES - 1..observed.len() - 1, ["…".to_owned()]);
    }
    STORAGE.observed(observed.join(", "), Verdict::of(holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CloudError;

    /// Seconds, status, and storage operation with its percentage.
    type Seen<'t> = (u64, &'t str, Option<(&'t str, i32)>);

    fn looks(all: &[Seen<'_>]) -> Vec<Look> {
        let look = |(after, status, storage): &Seen<'_>| Look {
            after: Duration::from_secs(*after),
            progress: DatabaseProgress {
                status: (*status).into(),
                storage: storage.map(|(storage, _)| storage.into()),
                percent: storage.map(|(_, percent)| percent),
            },
        };
        all.iter().map(look).collect()
    }

    #[test]
    fn restore_is_told_as_it_went() {
        let seen = looks(&[
            (1, "creating", None),
            (300, "backing-up", None),
            (360, "available", Some(("Initializing", 3))),
            (400, "available", Some(("Initializing", 97))),
            (420, "available", None),
        ]);
        let fact = judge_statuses(&seen);
        assert_eq!(fact.observed, "creating after 1 s, backing-up after 300 s, available after 360 s");
        assert_eq!(fact.verdict, Verdict::Holds);
        let fact = judge_storage(&seen);
        let expected =
            "Initializing 3 % while available after 360 s, Initializing 97 % while available after 400 s";
        assert_eq!((fact.observed.as_str(), &fact.verdict), (expected, &Verdict::Holds));
        assert_eq!(judge_storage(&seen[..2]).verdict.reason(), Some("RDS showed no storage operation"));
    }

    #[test]
    fn unknown_status_and_operation_differ() {
        assert!(judge_statuses(&looks(&[(1, "hatching", None), (9, "available", None)])).differs());
        assert!(judge_statuses(&looks(&[(1, "creating", None), (9, "failed", None)])).differs());
        assert!(judge_storage(&looks(&[(9, "available", Some(("Thawing", 3)))])).differs());
        assert!(judge_storage(&looks(&[(9, "available", Some(("Initializing", 101)))])).differs());
    }

    #[test]
    fn refusals_while_creating_are_judged() {
        let refused = |class, code| Err(CloudError::new(class, "DeleteDBInstance", code, "why"));
        assert_eq!(judge(DELETED, &Ok(())).observed, "accepted");
        let fact = judge(DELETED, &refused(ErrorClass::Transient, "InvalidDBInstanceState"));
        assert_eq!(
            (fact.observed.as_str(), &fact.verdict),
            ("refused with InvalidDBInstanceState", &Verdict::Holds)
        );
        assert!(judge(TAGGED, &refused(ErrorClass::Invalid, "InvalidParameterValue")).differs());
        let fact = judge(TAGGED, &refused(ErrorClass::Auth, "AccessDenied"));
        assert_eq!(fact.verdict.reason(), Some("DeleteDBInstance says AccessDenied"));
    }
}
