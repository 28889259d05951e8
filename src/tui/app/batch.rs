//! The requests of one action on several environments, which are reported together.

use std::collections::HashSet;

use crate::failure::Failure;

/// What is done to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchAction {
    Extend,
    Pin,
    Terminate,
}

impl BatchAction {
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Extend => "extend",
            Self::Pin => "keep",
            Self::Terminate => "terminate",
        }
    }
}

/// The requests of one action on several environments.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The task with the toast.
    pub(crate) toast: u64,
    action: BatchAction,
    /// The tasks without a result.
    tasks: HashSet<u64>,
    count: usize,
    /// What failed, one sentence for each environment.
    pub(crate) failed: Vec<String>,
}

impl Batch {
    /// `failed` is what has failed already, one sentence for each environment.
    pub(crate) fn new(toast: u64, action: BatchAction, tasks: HashSet<u64>, failed: Vec<String>) -> Self {
        Self { toast, action, count: tasks.len() + failed.len(), tasks, failed }
    }

    pub(crate) fn has(&self, task: u64) -> bool {
        self.tasks.contains(&task)
    }

    /// Takes the result of a task.
    pub(crate) fn finish(&mut self, task: u64, result: &Result<String, Failure>) {
        self.tasks.remove(&task);
        if let Err(failure) = result {
            self.failed.push(crate::domain::text::sanitize(&failure.sentence()));
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Says what was done and how many failed.
    pub(crate) fn summary(&self) -> String {
        let verb = match self.action {
            BatchAction::Extend => "extended",
            BatchAction::Pin => "kept",
            BatchAction::Terminate => "terminated",
        };
        let succeeded = format!("{verb} {}", counted(self.count - self.failed.len()));
        match self.failed.len() {
            0 => succeeded,
            failed => format!("{succeeded}; {failed} failed"),
        }
    }
}

/// Returns a number of environments in words.
pub(crate) fn counted(count: usize) -> String {
    format!("{count} environment{}", if count == 1 { "" } else { "s" })
}
