//! Faults of calls: latency, throttling, errors, lost requests and responses, duplicates, and stale reads.

use std::time::Duration;

use chrono::TimeDelta;

use super::operations::Operation;
use super::state::State;
use crate::domain::{CloudError, ErrorClass};

/// The client's timeout, in seconds.
const TIMEOUT: f64 = 10.0;

/// The outcome of one call.
#[derive(Debug)]
pub(super) struct CallOutcome {
    /// The time until the request is processed.
    pub(super) request_time: Duration,
    /// The time from then until the caller gets the response, or times out.
    pub(super) response_time: Duration,
    pub(super) request_lost: bool,
    /// An error that is returned before the request is processed.
    pub(super) error: Option<CloudError>,
    pub(super) response_lost: bool,
    /// The time until the request is processed again, in seconds.
    pub(super) duplicate_after: Option<f64>,
    /// The staleness of a read.
    pub(super) lag: TimeDelta,
}

impl State {
    /// Samples the outcome of one call. Every draw is made even if unused, so that disabling one fault does not shift the random stream of the
    /// others.
    pub(super) fn draw_outcome(&mut self, operation: Operation) -> CallOutcome {
        *self.requests.entry(operation.name).or_default() += 1;
        let faults = self.scenario.faults.clone();
        let latency = self.draw(self.scenario.latency.call);
        let request_share = self.draw([0.2, 0.8]);
        let lost_request = self.chance(faults.lost_request);
        let lost_response = operation.is_write && self.chance(faults.lost_response);
        let unavailable = self.chance(faults.unavailable);
        let denied = self.chance(faults.denied);
        let duplicate_after =
            (operation.is_write && self.chance(faults.duplicate)).then(|| self.draw([0.5, 30.0]));
        let lag = if operation.is_write { 0.0 } else { self.draw([0.0, faults.lag]) };
        let throttled = faults.throttling && !self.buckets.take(operation.bucket, self.now);
        let error = if throttled {
            self.count_fault("throttled");
            Some(call_error(
                ErrorClass::Throttled,
                operation,
                "RequestLimitExceeded",
                "Request limit exceeded",
            ))
        } else if self.is_unavailable(operation.bucket) {
            self.count_fault("unavailable");
            let message = "the service is unavailable";
            Some(call_error(ErrorClass::Transient, operation, "ServiceUnavailable", message))
        } else if unavailable {
            self.count_fault("unavailable");
            Some(call_error(ErrorClass::Transient, operation, "Unavailable", "the service is unavailable"))
        } else if denied {
            self.count_fault("denied");
            Some(call_error(ErrorClass::Auth, operation, "UnauthorizedOperation", "not permitted"))
        } else {
            None
        };
        if lost_request {
            self.count_fault("lost request");
        } else if lost_response && error.is_none() {
            self.count_fault("lost response");
        }
        if duplicate_after.is_some() && error.is_none() && !lost_request {
            self.count_fault("duplicate");
        }
        let lost = lost_request || lost_response;
        CallOutcome {
            request_time: Duration::from_secs_f64(latency * request_share),
            response_time: Duration::from_secs_f64(if lost {
                TIMEOUT
            } else {
                latency * (1.0 - request_share)
            }),
            request_lost: lost_request,
            error,
            response_lost: lost_response,
            duplicate_after,
            lag: super::state::seconds(lag),
        }
    }
}

impl State {
    /// Returns the error of a write by a caller who may only read.
    pub(super) fn write_denial(&self, caller: &str, operation: Operation) -> Option<CloudError> {
        let is_denied = operation.is_write && self.scenario.faults.read_only.contains(caller);
        is_denied.then(|| {
            call_error(ErrorClass::Auth, operation, "UnauthorizedOperation", "your role may only read")
        })
    }
}

pub(super) fn call_error(class: ErrorClass, operation: Operation, code: &str, message: &str) -> CloudError {
    CloudError::new(class, operation.name, code, message)
}

/// Returns the error of a call whose request or response was lost.
pub(super) fn no_response(operation: Operation) -> CloudError {
    let class = if operation.is_write { ErrorClass::Unknown } else { ErrorClass::Transient };
    call_error(class, operation, "Timeout", "no response in time")
}
