//! What one engine does, seen from outside of it: that it takes nothing away on a listing that was not complete (I6), that
//! everything it changes is in the audit log (I9), and that it obeys `min-version`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hatchery::clock::Clock;
use hatchery::domain::{CloudError, ErrorClass};

use crate::cloud_layer::{Call, Hook, Listing, Verb};
use crate::invariants::SharedBook;

/// What was seen of one process.
#[derive(Default)]
struct Observed {
    /// The listings that are not known to be complete.
    incomplete: BTreeSet<&'static str>,
    broken: BTreeSet<&'static str>,
    /// Records that it has created itself: it may give them back.
    own: BTreeSet<String>,
    /// Changes that are not in the audit log yet.
    unlogged: Vec<String>,
    /// When its last look began.
    looked_at: Option<DateTime<Utc>>,
}

/// The witness of one process.
pub(crate) struct Witness {
    pub(crate) who: String,
    pub(crate) clock: Clock,
    pub(crate) checker: SharedBook,
    /// Whether it is older than what the fleet may come to want.
    pub(crate) old: bool,
    seen: Arc<Mutex<Observed>>,
}

/// Forgets what a process did not come to before it died.
#[derive(Clone)]
pub(crate) struct ResetHandle(Arc<Mutex<Observed>>);

impl ResetHandle {
    pub(crate) fn reborn(&self) {
        *self.0.lock().unwrap() = Observed::default();
    }
}

impl Witness {
    pub(crate) fn new(who: &str, clock: Clock, checker: SharedBook, old: bool) -> (Self, ResetHandle) {
        let seen = Arc::<Mutex<Observed>>::default();
        let rebirth = ResetHandle(Arc::clone(&seen));
        (Self { who: who.to_owned(), clock, checker, old, seen }, rebirth)
    }

    fn violation(&self, invariant: &str, what: impl std::fmt::Display) {
        let line = format!("{invariant} at {}: {} {what}", self.clock.now().format("%F %T%.3f"), self.who);
        self.checker.lock().unwrap().violations.push(line);
    }
}

#[async_trait]
impl Hook for Witness {
    async fn before(&self, call: &Call) {
        if !matches!(call.verb, Verb::Write | Verb::Remove) {
            return;
        }
        let (missing, own, looked_at) = {
            let seen = self.seen.lock().unwrap();
            let missing: Vec<_> = seen.incomplete.iter().copied().collect();
            (missing, seen.own.contains(&call.target), seen.looked_at)
        };
        if call.verb == Verb::Remove && !missing.is_empty() && !own {
            let what = format!("{} {} without all {}", call.operation, call.target, missing.join(", "));
            self.violation("I6", what);
        }
        let outdated = self.checker.lock().unwrap().outdated_from;
        if self.old && outdated.is_some_and(|from| looked_at.is_some_and(|at| at > from)) {
            self.violation("min-version", format!("is too old for {} {}", call.operation, call.target));
        }
    }

    async fn after(&self, call: &Call, error: Option<&CloudError>) {
        let changed = error.is_none_or(|error| error.is(ErrorClass::Unknown));
        let mut seen = self.seen.lock().unwrap();
        match call.verb {
            Verb::Write | Verb::Remove if changed => {
                seen.unlogged.push(format!("{} {}", call.operation, call.target));
            }
            // What could not be logged is said on the screen.
            Verb::Log => seen.unlogged.clear(),
            Verb::Read | Verb::Write | Verb::Remove => {}
        }
    }

    fn created(&self, record: &str) {
        self.seen.lock().unwrap().own.insert(record.to_owned());
    }

    fn listing(&self, what: &'static str, listing: Listing) {
        let mut seen = self.seen.lock().unwrap();
        match listing {
            Listing::Begun => {
                seen.incomplete.insert(what);
                seen.broken.remove(what);
                seen.looked_at = Some(self.clock.now());
                let unlogged = std::mem::take(&mut seen.unlogged);
                drop(seen);
                if !unlogged.is_empty() {
                    self.violation("I9", format!("did not log: {}", unlogged.join("; ")));
                }
            }
            Listing::Broken => {
                seen.broken.insert(what);
            }
            Listing::Complete => {
                if !seen.broken.contains(what) {
                    seen.incomplete.remove(what);
                }
            }
        }
    }
}
