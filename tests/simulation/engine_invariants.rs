//! Invariants of one engine, checked on its calls: it deletes nothing on an incomplete listing (I6), logs every change to the
//! audit log (I9), and obeys `min-version`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hatchery::clock::Clock;
use hatchery::domain::{CloudError, ErrorClass};

use crate::cloud_layer::{Access, Call, Hook, ListingEvent};
use crate::invariants::SharedChecker;

/// The state of one process.
#[derive(Default)]
struct Observed {
    /// Listings that are not known to be complete.
    incomplete: BTreeSet<&'static str>,
    failed: BTreeSet<&'static str>,
    /// Records that the process created: it may delete them again.
    own: BTreeSet<String>,
    /// Changes that are not in the audit log yet.
    unlogged: Vec<String>,
    /// When its last observation began.
    observed_at: Option<DateTime<Utc>>,
}

pub(crate) struct EngineInvariants {
    pub(crate) who: String,
    pub(crate) clock: Clock,
    pub(crate) checker: SharedChecker,
    /// Whether its version is below the later `min-version`.
    pub(crate) old: bool,
    seen: Arc<Mutex<Observed>>,
}

/// Resets the state when the process crashes.
#[derive(Clone)]
pub(crate) struct ResetHandle {
    seen: Arc<Mutex<Observed>>,
    checker: SharedChecker,
    who: String,
}

impl ResetHandle {
    pub(crate) fn reset(&self) {
        *self.seen.lock().unwrap() = Observed::default();
    }

    /// I9: whatever a person has changed is in the audit log once the command has ended.
    pub(crate) fn finish(&self) {
        let unlogged = std::mem::take(&mut self.seen.lock().unwrap().unlogged);
        if !unlogged.is_empty() {
            let line = format!("I9: {} changed without a word in the log: {}", self.who, unlogged.join("; "));
            self.checker.lock().unwrap().report(line);
        }
    }
}

impl EngineInvariants {
    pub(crate) fn new(who: &str, clock: Clock, checker: SharedChecker, old: bool) -> (Self, ResetHandle) {
        let seen = Arc::<Mutex<Observed>>::default();
        let reset_handle =
            ResetHandle { seen: Arc::clone(&seen), checker: Arc::clone(&checker), who: who.to_owned() };
        (Self { who: who.to_owned(), clock, checker, old, seen }, reset_handle)
    }

    fn violation(&self, invariant: &str, what: impl std::fmt::Display) {
        let line = format!("{invariant} at {}: {} {what}", self.clock.now().format("%F %T%.3f"), self.who);
        self.checker.lock().unwrap().report(line);
    }
}

/// Whether AWS has refused a change, so that the same change will most likely be refused again.
fn is_refusal(call: &Call, error: &CloudError) -> bool {
    use ErrorClass::{Auth, Capacity, Invalid, NotFound, Quota};
    let is_change = matches!(call.access, Access::Write | Access::Delete);
    is_change && matches!(error.class, Auth | Capacity | Invalid | NotFound | Quota)
}

/// Whether a change needs no line of its own in the audit log: the trace of a repeated failure, the record of a pass, and the claim and the memory of
/// a notice, which is logged itself.
fn is_bookkeeping(call: &Call) -> bool {
    const KEYS: [&str; 5] = [
        "hatchery:failed-step",
        "hatchery:failed-notice",
        "hatchery:last-pass",
        "hatchery:notified",
        "hatchery:pool-empty",
    ];
    let changed = call.target.split_once(' ').map_or("", |(_, changed)| changed);
    let key = changed.trim_start_matches(['+', '-']).split('=').next().unwrap_or_default();
    call.operation == "claim notice" || KEYS.contains(&key)
}

#[async_trait]
impl Hook for EngineInvariants {
    async fn before(&self, call: &Call) {
        if !matches!(call.access, Access::Write | Access::Delete) {
            return;
        }
        let (incomplete, own, observed_at) = {
            let seen = self.seen.lock().unwrap();
            let incomplete: Vec<_> = seen.incomplete.iter().copied().collect();
            (incomplete, seen.own.contains(&call.target), seen.observed_at)
        };
        if call.access == Access::Delete && !incomplete.is_empty() && !own {
            let what = format!("{} {} on incomplete {}", call.operation, call.target, incomplete.join(", "));
            self.violation("I6", what);
        }
        let outdated = self.checker.lock().unwrap().outdated_from;
        if self.old && outdated.is_some_and(|from| observed_at.is_some_and(|at| at > from)) {
            self.violation("min-version", format!("is too old for {} {}", call.operation, call.target));
        }
    }

    async fn after(&self, call: &Call, error: Option<&CloudError>) {
        let changed = error.is_none_or(|error| error.is(ErrorClass::Unknown));
        let mut seen = self.seen.lock().unwrap();
        match call.access {
            Access::Write if is_bookkeeping(call) => {}
            Access::Write | Access::Delete if changed => {
                seen.unlogged.push(format!("{} {}", call.operation, call.target));
            }
            // A failed write counts as logged, because the dashboard shows it.
            Access::Audit => seen.unlogged.clear(),
            Access::Read | Access::Write | Access::Delete => {}
        }
        drop(seen);
        if let Some(error) = error.filter(|error| is_refusal(call, error)) {
            let now = self.clock.now();
            self.checker.lock().unwrap().refused(&self.who, call.operation, error, now);
        }
    }

    fn created(&self, record: &str) {
        self.seen.lock().unwrap().own.insert(record.to_owned());
    }

    fn listing(&self, what: &'static str, listing: ListingEvent) {
        let mut seen = self.seen.lock().unwrap();
        match listing {
            ListingEvent::Started => {
                seen.incomplete.insert(what);
                seen.failed.remove(what);
                seen.observed_at = Some(self.clock.now());
                // An observation lists instances. A launch lists only the rest, to count its databases, before it is logged.
                let unlogged =
                    if what == "instances" { std::mem::take(&mut seen.unlogged) } else { Vec::new() };
                drop(seen);
                if !unlogged.is_empty() {
                    self.violation("I9", format!("did not log: {}", unlogged.join("; ")));
                }
            }
            ListingEvent::Failed => {
                seen.failed.insert(what);
            }
            ListingEvent::Complete => {
                if !seen.failed.contains(what) {
                    seen.incomplete.remove(what);
                }
            }
        }
    }
}
