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

    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Extend => "extending",
            Self::Pin => "keeping",
            Self::Terminate => "terminating",
        }
    }

    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Extend => "extended",
            Self::Pin => "kept",
            Self::Terminate => "terminated",
        }
    }
}

/// The requests of one action on several environments.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The task with the toast.
    pub(crate) toast: u64,
    /// What its summary begins with, such as "extended".
    done: &'static str,
    /// The tasks without a result.
    tasks: HashSet<u64>,
    count: usize,
    /// What failed, one sentence for each environment.
    pub(crate) failed: Vec<String>,
}

impl Batch {
    /// `failed` is what has failed already, one sentence for each environment.
    pub(crate) fn new(toast: u64, done: &'static str, tasks: HashSet<u64>, failed: Vec<String>) -> Self {
        Self { toast, done, count: tasks.len() + failed.len(), tasks, failed }
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
        let succeeded = format!("{} {}", self.done, counted(self.count - self.failed.len()));
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
