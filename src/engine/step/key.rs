//! The identity of a step.

use std::fmt;

use super::Priority;

/// Identifies a step across plans, and orders steps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Priority, pub &'static str, pub String);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.2)
    }
}
