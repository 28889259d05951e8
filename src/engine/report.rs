//! What a pass did, wants and refuses.

use crate::domain::{CloudError, ErrorClass, Metrics, Outcome};
use crate::failure::{Failure, Kind};

/// The outcome of one step of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The action, such as `create-database`.
    pub action: &'static str,
    /// The changed resource, such as `hatchery-dev-12`.
    pub target: String,
    /// The plan's reason for the step.
    pub reason: String,
    /// Whether the change was made.
    pub outcome: Outcome,
    /// Details of the outcome, such as AWS's error message; may be empty.
    pub detail: String,
    /// The class of AWS's error, if it failed.
    pub error: Option<ErrorClass>,
    /// Whether the audit log gets it. A repeated failure is logged once an hour.
    pub is_news: bool,
}

/// A change that the plan does not make although something calls for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The refused action, such as `create-database`.
    pub action: &'static str,
    /// The resource that stays unchanged.
    pub target: String,
    /// The reason for the refusal.
    pub reason: String,
}

/// A step that the plan wants and that some engine is going to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// The action, such as `create-database`.
    pub action: &'static str,
    /// The resource to change.
    pub target: String,
    pub reason: String,
}

/// The result of one pass of observe, plan and act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The steps that were taken or, in a dry run, planned.
    pub steps: Vec<StepReport>,
    /// The changes that the plan refused.
    pub refused: Vec<Refusal>,
    /// The names of the listings that were not complete.
    pub incomplete: Vec<&'static str>,
    /// The errors of the observation.
    pub problems: Vec<CloudError>,
    /// The figures of the fleet as it was observed.
    pub metrics: Metrics,
}

impl Report {
    /// Returns what failed, one sentence each: steps, and listings that were not complete. Steps that another engine took are not failures.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let steps = self.steps.iter().filter(|step| step.outcome == Outcome::Failed);
        let steps = steps.map(|step| {
            let StepReport { action, target, detail, .. } = step;
            format!("cannot {} {target}: {detail}", action.replace('-', " "))
        });
        steps.chain(self.listing_failure()).collect()
    }

    /// Returns which listings were not complete and why.
    #[must_use]
    pub fn listing_failure(&self) -> Option<String> {
        let errors: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        let incomplete = self.incomplete.join(", ");
        (!incomplete.is_empty()).then(|| format!("cannot list all {incomplete}: {}", errors.join(", ")))
    }

    /// Returns the failures as one error for a caller that sees only success or failure.
    ///
    /// # Errors
    /// Returns an error if there are any.
    pub fn check(&self) -> Result<(), Failure> {
        let failures = self.failures();
        if failures.is_empty() {
            return Ok(());
        }
        let message = format!("the pass failed in part: {}", failures.join("; "));
        Err(Failure::new(Kind::Failed, message, "the next pass tries again; see: hatchery pool"))
    }
}
