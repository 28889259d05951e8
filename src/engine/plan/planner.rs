//! The steps and refusals of a plan while it is made.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::replacement::named_numbers;
use crate::domain::{EnvironmentId, Number, Policy, Replacements, StepFailure, UnreadableKind, World};
use crate::engine::Refusal;
use crate::engine::step::{Key, Resource, Step};

/// How long a resource must be marked as an orphan before an engine acts on it.
pub const ORPHAN_AFTER: Duration = Duration::from_mins(10);

/// A step with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub step: Step,
    /// The reason for the change.
    pub reason: String,
}

pub(super) struct Planner<'w> {
    pub(super) world: &'w World,
    pub(super) policy: &'w Policy,
    pub(super) now: DateTime<Utc>,
    /// The numbers of databases that exist, but whose tags do not say that they are the fleet's.
    pub(super) unreadable_databases: BTreeSet<Number>,
    pub(super) replacements: Replacements<'w>,
    /// The numbers of databases that environments or instances name although they are not theirs.
    pub(super) named: BTreeSet<Number>,
    /// The steps that AWS has refused, by the resource that holds the trace.
    failures: HashMap<Resource, &'w StepFailure>,
    /// Boxed, because sorting moves the elements.
    steps: Vec<(Key, Box<Planned>)>,
    refused: Vec<Refusal>,
}

impl<'w> Planner<'w> {
    pub(super) fn new(world: &'w World, policy: &'w Policy, now: DateTime<Utc>) -> Self {
        let unreadable_databases = world.unreadable_numbers(UnreadableKind::Database);
        let failures = failures(world).filter(|(_, failure)| now < failure.retry_at()).collect();
        Self {
            world,
            policy,
            now,
            unreadable_databases,
            replacements: Replacements::new(world),
            named: named_numbers(world),
            failures,
            steps: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Returns why a step must wait, if AWS has refused it and its pause is not over.
    pub(super) fn pause_of(&self, step: &Step) -> Option<String> {
        let failure = self.failures.get(&step.resource()?)?;
        (failure.action == step.action()).then(|| failure.pause("it has", "is"))
    }

    /// Plans a step, or refuses it while it must wait for the next try.
    pub(super) fn push(&mut self, step: Step, reason: impl Into<String>) {
        if let Some(pause) = self.pause_of(&step) {
            return self.refuse(step.action(), step.target(), pause);
        }
        self.steps.push((step.key(), Box::new(Planned { step, reason: reason.into() })));
    }

    pub(super) fn refuse(
        &mut self,
        action: &'static str,
        target: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.refused.push(Refusal { action, target: target.into(), reason: reason.into() });
    }

    /// Plans a deletion, or refuses it if the world is incomplete: unknown means keep.
    pub(super) fn delete(&mut self, step: Step, reason: impl Into<String>) {
        if self.world.is_complete() {
            self.push(step, reason);
        } else {
            let missing = self.world.incomplete().join(", ");
            self.refuse(step.action(), step.target(), format!("the listing of {missing} is incomplete"));
        }
    }

    /// Whether the record of another environment names the database with this number.
    pub(super) fn is_named(&self, number: Number) -> bool {
        let mut environments = self.world.records.iter().filter(|record| record.is_environment());
        self.named.contains(&number)
            && environments.any(|record| record.number() != number && record.database == Some(number))
    }

    pub(super) fn is_older(&self, at: DateTime<Utc>, than: Duration) -> bool {
        at + than <= self.now
    }

    pub(super) fn environment(&self, number: Number) -> EnvironmentId {
        self.world.fleet.name.environment(number)
    }

    /// Returns the steps in the order of their [`Key`], each once, and the refusals.
    pub(super) fn finish(self) -> (Vec<Planned>, Vec<Refusal>) {
        let mut steps = self.steps;
        steps.sort_by(|(a, _), (b, _)| a.cmp(b));
        steps.dedup_by(|(a, _), (b, _)| a == b);
        (steps.into_iter().map(|(_, planned)| *planned).collect(), self.refused)
    }
}

/// Returns the traces of refused steps.
pub(in crate::engine) fn failures(world: &World) -> impl Iterator<Item = (Resource, &StepFailure)> {
    let of_fleet = world.fleet.failed_step.iter().map(|failure| (Resource::Fleet, failure));
    let records = world.records.iter();
    let of_records =
        records.filter_map(|found| Some((Resource::Record(found.id.clone()), found.failed_step.as_ref()?)));
    let databases = world.databases.iter();
    let of_databases = databases
        .filter_map(|found| Some((Resource::Database(found.id.clone()), found.failed_step.as_ref()?)));
    let instances = world.instances.iter();
    let of_instances = instances
        .filter_map(|found| Some((Resource::Instance(found.id.clone()), found.failed_step.as_ref()?)));
    of_fleet.chain(of_records).chain(of_instances).chain(of_databases)
}
