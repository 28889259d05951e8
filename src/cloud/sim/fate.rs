//! What becomes of a call: how long it takes, whether it is throttled, lost, refused, or arrives twice.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::state::State;
use crate::domain::{CloudError, ErrorClass};

/// How long a client waits for an answer that does not come.
const TIMEOUT: f64 = 10.0;

/// The buckets that AWS keeps an account's requests in: burst and refill a second.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bucket {
    Describe,
    Run,
    Terminate,
    Tag,
    Change,
    Database,
    Log,
}

impl Bucket {
    fn size(self) -> (f64, f64) {
        match self {
            // RDS publishes no figures; these are of the same order.
            Self::Describe | Self::Database => (100.0, 20.0),
            Self::Run => (5.0, 2.0),
            Self::Terminate => (100.0, 5.0),
            Self::Tag => (100.0, 10.0),
            Self::Change => (50.0, 5.0),
            Self::Log => (10.0, 5.0),
        }
    }
}

pub(super) struct Buckets {
    levels: BTreeMap<Bucket, (f64, DateTime<Utc>)>,
    since: DateTime<Utc>,
    /// Until when others take what comes in.
    crowded_until: DateTime<Utc>,
}

/// The share of what comes in that others leave while they crowd the account.
const LEFT_BY_CROWD: f64 = 0.02;

impl Buckets {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { levels: BTreeMap::new(), since: now, crowded_until: now }
    }

    /// Others empty the buckets and take nearly all that comes in until then.
    pub(super) fn crowd(&mut self, until: DateTime<Utc>) {
        self.levels.values_mut().for_each(|(level, _)| *level = 0.0);
        self.crowded_until = until;
    }

    fn take(&mut self, bucket: Bucket, now: DateTime<Utc>) -> bool {
        let (burst, refill) = bucket.size();
        let refill = if now < self.crowded_until { refill * LEFT_BY_CROWD } else { refill };
        let (level, at) = self.levels.entry(bucket).or_insert((burst, self.since));
        #[allow(clippy::cast_precision_loss)]
        let passed = (now - *at).num_milliseconds().max(0) as f64 / 1_000.0;
        *level = (*level + passed * refill).min(burst);
        *at = now.max(*at);
        if *level >= 1.0 {
            *level -= 1.0;
            return true;
        }
        false
    }
}

/// One kind of call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) operation: &'static str,
    pub(super) bucket: Bucket,
    pub(super) changes: bool,
}

/// What becomes of one call.
#[derive(Debug)]
pub(super) struct Fate {
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
    pub(super) fn fate(&mut self, kind: Kind) -> Fate {
        *self.requests.entry(kind.operation).or_default() += 1;
        let faults = self.scenario.faults.clone();
        let took = self.draw(self.scenario.latency.call);
        let share = self.draw([0.2, 0.8]);
        let lost_request = self.happens(faults.lost_request);
        let lost_answer = kind.changes && self.happens(faults.lost_answer);
        let unavailable = self.happens(faults.unavailable);
        let denied = self.happens(faults.denied);
        let again = (kind.changes && self.happens(faults.duplicate)).then(|| self.draw([0.5, 30.0]));
        let lag = if kind.changes { 0.0 } else { self.draw([0.0, faults.lag]) };
        let throttled = faults.throttling && !self.buckets.take(kind.bucket, self.now);
        let refused = if throttled {
            self.fault("throttled");
            Some(error(ErrorClass::Throttled, kind, "RequestLimitExceeded", "Request limit exceeded"))
        } else if unavailable {
            self.fault("unavailable");
            Some(error(ErrorClass::Transient, kind, "Unavailable", "the service is unavailable"))
        } else if denied {
            self.fault("denied");
            Some(error(ErrorClass::Auth, kind, "UnauthorizedOperation", "not permitted"))
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
        Fate {
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
pub(super) fn error(class: ErrorClass, kind: Kind, code: &str, message: &str) -> CloudError {
    CloudError::new(class, kind.operation, code, message)
}

/// What a caller sees whose answer does not come.
pub(super) fn no_answer(kind: Kind) -> CloudError {
    let class = if kind.changes { ErrorClass::Unknown } else { ErrorClass::Transient };
    error(class, kind, "Timeout", "no answer in time")
}
