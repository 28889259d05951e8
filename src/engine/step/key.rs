//! The identity and the order of steps.

use std::fmt;

/// The order of steps: those that users wait for first, deletions before creations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A user waits for it.
    User,
    /// Sets or removes a mark, which is cheap and reversible.
    Mark,
    /// Deletes a resource.
    Delete,
    /// Creates a resource for the pool.
    Create,
    /// Updates a hint.
    Hint,
    /// Sends a notice, which can take seconds.
    Notice,
}

/// Identifies a step across plans, and orders steps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Priority, pub &'static str, pub String);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.2)
    }
}
