//! The steps and refusals of a plan while it is made.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::{EnvironmentId, Number, Policy, UnreadableKind, World};
use crate::engine::Refusal;
use crate::engine::step::{Key, Step};

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
    /// Boxed, because sorting moves the elements.
    steps: Vec<(Key, Box<Planned>)>,
    refused: Vec<Refusal>,
}

impl<'w> Planner<'w> {
    pub(super) fn new(world: &'w World, policy: &'w Policy, now: DateTime<Utc>) -> Self {
        let unreadable_databases = world.unreadable_numbers(UnreadableKind::Database);
        Self { world, policy, now, unreadable_databases, steps: Vec::new(), refused: Vec::new() }
    }

    pub(super) fn push(&mut self, step: Step, reason: impl Into<String>) {
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
