//! The identity and the order of steps.

use std::cmp::Ordering;
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

/// Identifies a step across plans, and orders steps: by priority, action and target, and targets that end in numbers by these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(pub Priority, pub &'static str, pub String);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of two targets that differ in their numbers only, the longer one has the higher number.
        let order = |key: &Self| (key.0, key.1, key.2.len());
        order(self).cmp(&order(other)).then_with(|| self.2.cmp(&other.2))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.2)
    }
}
