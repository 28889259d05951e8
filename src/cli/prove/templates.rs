//! What the claim protocol relies on: the names of launch templates are unique at every instant, and how late EC2 sees a new or a deleted one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join, join_all};

use super::facts::{Fact, Statement, Verdict, describe, seconds};
use super::rivals::{self, RIVALS};
use super::test_bed::TestBed;
use crate::cloud::Result;
use crate::domain::{ErrorClass, RecordId};
use crate::engine::{READ_LAG, VISIBLE_WITHIN};

/// How many templates the lags are measured with, because a lag differs from one time to the next.
pub(super) const SAMPLES: usize = 3;

/// Longer than the engine waits for a record that EC2 does not find.
const PATIENCE: Duration = Duration::from_secs(30);

const CLAIM: Statement = Statement {
    id: "unique-name",
    fact: "Of eight concurrent CreateLaunchTemplate with one name, exactly one succeeds",
    expected: "1 created, the others refused as already existing",
};

const USABLE: Statement = Statement {
    id: "template-usable",
    fact: "RunInstances (dry run) finds a launch template right after its creation",
    expected: "found within 14 s; until then InvalidLaunchTemplateId.NotFound",
};

const LISTED: Statement = Statement {
    id: "template-listed",
    fact: "DescribeLaunchTemplates lists a launch template right after its creation",
    expected: "listed within 10 s",
};

const FENCED: Statement = Statement {
    id: "deleted-template",
    fact: "RunInstances (dry run) refuses a deleted launch template",
    expected: "InvalidLaunchTemplateId.NotFound within 10 s",
};

pub(super) async fn claim(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    let rivals: Vec<_> = (0..RIVALS).map(|rival| bed.new_template("claim", &rival.to_string())).collect();
    bed.created.begin_requests();
    let results = join_all(rivals.iter().map(|new| bed.proofs().create_proof_template(new))).await;
    for id in results.iter().flatten() {
        bed.created.add_template(id.clone(), bed.proof.template_name("claim"));
    }
    bed.created.end_requests(results.iter().filter_map(|result| result.as_ref().err()));
    facts.push(judge_claim(&results));
    for id in results.iter().flatten() {
        // If this fails, the clean-up at the end tries again.
        if bed.context.account.delete_record(id).await.is_ok() {
            bed.created.remove_template(id);
        }
    }
}

fn judge_claim(results: &[Result<RecordId>]) -> Fact {
    // EC2 returns the same template for identical requests.
    let created: BTreeSet<_> = results.iter().flatten().collect();
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    rivals::judge(CLAIM, created.len(), &errors)
}

/// What one template showed.
struct Sample {
    usable: Lag,
    listed: Lag,
    fenced: Lag,
}

impl Sample {
    /// Whether something did not happen in time, as it then would not with another template.
    fn is_slow(&self) -> bool {
        [&self.usable, &self.listed, &self.fenced].iter().any(|lag| matches!(lag, Ok(None)))
    }
}

/// How long something took, or why that is unknown. `None` if it did not happen within [`PATIENCE`].
type Lag = Result<Option<Duration>, String>;

/// Measures the lags one template after the other, so that each has EC2's attention.
pub(super) async fn lag(bed: &TestBed<'_>, facts: &mut Vec<Fact>) {
    if !bed.created.resources().templates.is_empty() {
        let reason = "an earlier launch template could not be deleted";
        facts.extend([USABLE, LISTED, FENCED].map(|statement| statement.not_tried(reason)));
        return;
    }
    let mut samples = Vec::new();
    for number in 1..=SAMPLES {
        match sample(bed, number).await {
            Ok(sample) => {
                let is_slow = sample.is_slow();
                samples.push(sample);
                if is_slow {
                    break;
                }
            }
            Err(error) => {
                facts.extend([USABLE, LISTED, FENCED].map(|statement| statement.not_tried(describe(&error))));
                return;
            }
        }
    }
    let of = |lag: fn(&Sample) -> &Lag| samples.iter().map(lag).collect::<Vec<_>>();
    facts.push(judge_lags(USABLE, &of(|sample| &sample.usable), VISIBLE_WITHIN));
    facts.push(judge_lags(LISTED, &of(|sample| &sample.listed), READ_LAG));
    facts.push(judge_lags(FENCED, &of(|sample| &sample.fenced), READ_LAG));
}

async fn sample(bed: &TestBed<'_>, number: usize) -> Result<Sample> {
    let new = bed.new_template(&format!("lag-{number}"), "lag");
    bed.created.begin_requests();
    let created = bed.proofs().create_proof_template(&new).await;
    bed.created.end_requests(created.as_ref().err());
    let id = created?;
    bed.created.add_template(id.clone(), new.name.clone());
    let found = async || match bed.proofs().dry_run_template(&id).await {
        Ok(()) => Ok(true),
        Err(error) if error.is(ErrorClass::NotFound) => Ok(false),
        Err(error) => Err(error),
    };
    let (usable, listed) = join(
        wait(bed, &found),
        wait(bed, async || {
            let listed = bed.proofs().proof_templates().await?;
            Ok(listed.iter().any(|template| template.id == id))
        }),
    )
    .await;
    let deleted = bed.context.account.delete_record(&id).await;
    let fenced = match (&deleted, &usable) {
        (Err(error), _) => Err(describe(error)),
        (Ok(()), Err(reason)) => Err(reason.clone()),
        (Ok(()), Ok(None)) => Err("EC2 did not find it before either".to_owned()),
        (Ok(()), Ok(Some(_))) => wait(bed, async || Ok(!found().await?)).await,
    };
    if deleted.is_ok() {
        bed.created.remove_template(&id);
    }
    Ok(Sample { usable, listed, fenced })
}

/// Asks until the answer is yes, more and more rarely, and returns when the question was sent.
async fn wait(bed: &TestBed<'_>, is_so: impl AsyncFn() -> Result<bool>) -> Lag {
    let begun = bed.elapsed();
    let mut delay = Duration::from_millis(250);
    loop {
        let asked = bed.elapsed().saturating_sub(begun);
        match is_so().await {
            Ok(true) => return Ok(Some(asked)),
            Ok(false) if asked > PATIENCE => return Ok(None),
            Ok(false) => {}
            Err(error) if error.is(ErrorClass::Throttled) && asked <= PATIENCE => {}
            Err(error) => return Err(describe(&error)),
        }
        bed.sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(2));
    }
}

fn judge_lags(statement: Statement, lags: &[&Lag], limit: Duration) -> Fact {
    let mut observed = Vec::new();
    let mut holds = true;
    for lag in lags {
        match lag {
            Ok(Some(lag)) => {
                holds &= *lag <= limit;
                observed.push(format!("after {}", seconds(*lag)));
            }
            Ok(None) => {
                holds = false;
                observed.push(format!("not within {}", seconds(PATIENCE)));
            }
            Err(reason) => return statement.not_tried(reason),
        }
    }
    statement.observed(observed.join(", "), Verdict::of(holds))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::CloudError;

    fn result(word: &str) -> Result<RecordId> {
        let error = |class, code| Err(CloudError::new(class, "CreateLaunchTemplate", code, "hatchery/dev/1"));
        match word {
            "taken" => error(ErrorClass::AlreadyExists, "InvalidLaunchTemplateName.AlreadyExistsException"),
            "throttled" => error(ErrorClass::Throttled, "RequestLimitExceeded"),
            "lost" => error(ErrorClass::Unknown, "Timeout"),
            id => Ok(RecordId::new(id)),
        }
    }

    #[rstest]
    #[case("lt-1 taken taken", "holds", "1 created, 2 refused")]
    #[case("taken lt-1 throttled", "holds", "1 created, 1 refused, 1 failed (RequestLimitExceeded)")]
    #[case("lt-1 lt-1 taken", "holds", "1 created, 1 refused")]
    #[case("lt-1 taken lt-2", "differs", "2 created, 1 refused")]
    #[case("lt-1 lt-2 lost", "differs", "2 created, 0 refused, 1 failed (Timeout)")]
    #[case("taken taken", "differs", "0 created, 2 refused")]
    #[case("lt-1 taken lost", "not tried", "1 created, 1 refused, 1 failed (Timeout)")]
    #[case("throttled", "not tried", "0 created, 0 refused, 1 failed (RequestLimitExceeded)")]
    fn claims_are_judged(#[case] results: &str, #[case] verdict: &str, #[case] text: &str) {
        let fact = judge_claim(&results.split(' ').map(result).collect::<Vec<_>>());
        assert_eq!(fact.verdict.as_str(), verdict);
        assert_eq!(fact.verdict.reason().unwrap_or(&fact.observed), text);
    }

    #[test]
    fn slow_template_differs() {
        let lag = |tenths: u64| -> Lag { Ok(Some(Duration::from_millis(tenths * 100))) };
        let judge = |lags: &[&Lag]| judge_lags(USABLE, lags, VISIBLE_WITHIN);
        let fact = judge(&[&lag(0), &lag(140)]);
        assert_eq!((fact.verdict.as_str(), fact.observed.as_str()), ("holds", "after 0.0 s, after 14.0 s"));
        assert!(judge(&[&lag(0), &lag(141)]).differs() && judge(&[&Ok(None)]).differs());
        let fact = judge(&[&lag(0), &Err("RunInstances says UnauthorizedOperation".to_owned())]);
        assert_eq!(fact.verdict.reason(), Some("RunInstances says UnauthorizedOperation"));
    }
}
