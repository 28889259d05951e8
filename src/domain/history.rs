//! A fleet's past, derived from the audit log, the listings and the instances' timelines.
//!
//! Everything is a pure function of events that were read, and says where they tell nothing. The work is linear in the number of events, but for
//! sorting.

mod failures;
mod free;
mod log;
mod phases;
mod restores;

pub use failures::{Failures, failures};
pub use free::{Buckets, FreeHistory, free_history};
pub use log::{AuditLog, MAX_EVENTS, Reading};
pub use phases::{PhaseTime, PhaseTimes, durations};
pub use restores::{Hits, Restores, hits, restores};

#[cfg(test)]
mod tests;
