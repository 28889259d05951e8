//! Whether of concurrent requests for one name exactly one succeeds.

use super::facts::{Fact, Statement, Verdict};
use crate::domain::{CloudError, ErrorClass};

/// The number of concurrent requests for one name.
pub(super) const RIVALS: usize = 8;

/// Judges the requests by how many have created something, and the errors of the others.
pub(super) fn judge(statement: Statement, created: usize, errors: &[&CloudError]) -> Fact {
    let refused = errors.iter().filter(|error| error.is(ErrorClass::AlreadyExists)).count();
    let others: Vec<_> = errors.iter().filter(|error| !error.is(ErrorClass::AlreadyExists)).collect();
    let observed = format!("{created} created, {refused} refused");
    let observed = match others.first() {
        Some(error) => format!("{observed}, {} failed ({})", others.len(), error.code),
        None => observed,
    };
    let could_be_more = others.iter().any(|error| error.is(ErrorClass::Unknown));
    match created {
        1 if refused > 0 && !could_be_more => statement.observed(observed, Verdict::Holds),
        0 | 1 if !others.is_empty() => statement.not_tried(observed),
        _ => statement.observed(observed, Verdict::Differs),
    }
}
