//! What becomes of a call: how long it takes, whether it is throttled, lost, refused, or arrives twice.

use std::time::Duration;

use chrono::TimeDelta;

use super::operations::Operation;
use super::state::State;
use crate::domain::{CloudError, ErrorClass};

/// How long a client waits for an answer that does not come.
const TIMEOUT: f64 = 10.0;

/// What becomes of one call.
#[derive(Debug)]
pub(super) struct CallOutcome {
    /// Until it arrives.
    pub(super) there: Duration,
    /// Until the answer is back.
    pub(super) back: Duration,
    /// Whether it arrives.
    pub(super) arrives: bool,
    /// What it is answered without being looked at.
    pub(super) refused: Option<CloudError>,
    /// Whether its answer is lost.
    pub(super) answer_lost: bool,
    /// When it arrives a second time, seconds after the first.
    pub(super) again: Option<f64>,
    /// How old the state is that a read sees.
    pub(super) lag: TimeDelta,
}

impl State {
    /// Draws what becomes of a call. Each draw is made whatever the others say, so that turning one fault off does not
    /// change the rest of a history more than it must.
    pub(super) fn draw_outcome(&mut self, operation: Operation) -> CallOutcome {
        *self.requests.entry(operation.name).or_default() += 1;
        let faults = self.scenario.faults.clone();
        let took = self.draw(self.scenario.latency.call);
        let share = self.draw([0.2, 0.8]);
        let lost_request = self.happens(faults.lost_request);
        let lost_answer = operation.is_write && self.happens(faults.lost_answer);
        let unavailable = self.happens(faults.unavailable);
        let denied = self.happens(faults.denied);
        let again = (operation.is_write && self.happens(faults.duplicate)).then(|| self.draw([0.5, 30.0]));
        let lag = if operation.is_write { 0.0 } else { self.draw([0.0, faults.lag]) };
        let throttled = faults.throttling && !self.buckets.take(operation.bucket, self.now);
        let refused = if throttled {
            self.fault("throttled");
            Some(error(ErrorClass::Throttled, operation, "RequestLimitExceeded", "Request limit exceeded"))
        } else if unavailable {
            self.fault("unavailable");
            Some(error(ErrorClass::Transient, operation, "Unavailable", "the service is unavailable"))
        } else if denied {
            self.fault("denied");
            Some(error(ErrorClass::Auth, operation, "UnauthorizedOperation", "not permitted"))
        } else {
            None
        };
        if lost_request {
            self.fault("lost request");
        } else if lost_answer && refused.is_none() {
            self.fault("lost answer");
        }
        if again.is_some() && refused.is_none() && !lost_request {
            self.fault("duplicate");
        }
        let lost = lost_request || lost_answer;
        CallOutcome {
            there: Duration::from_secs_f64(took * share),
            back: Duration::from_secs_f64(if lost { TIMEOUT } else { took * (1.0 - share) }),
            arrives: !lost_request,
            refused,
            answer_lost: lost_answer,
            again,
            lag: super::state::span(lag),
        }
    }
}

/// An error of a call.
pub(super) fn error(class: ErrorClass, operation: Operation, code: &str, message: &str) -> CloudError {
    CloudError::new(class, operation.name, code, message)
}

/// What a caller sees whose answer does not come.
pub(super) fn no_answer(operation: Operation) -> CloudError {
    let class = if operation.is_write { ErrorClass::Unknown } else { ErrorClass::Transient };
    error(class, operation, "Timeout", "no answer in time")
}
