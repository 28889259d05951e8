//! Request throttling: token buckets per account and class of operations, with AWS's published sizes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// A class of operations that share a token bucket.
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
    /// ECR.
    Registry,
    /// Messages to a topic or a webhook.
    Message,
}

/// A service of AWS that can have an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Rds,
    Logs,
}

impl Service {
    pub(super) fn of(bucket: Bucket) -> Self {
        match bucket {
            Bucket::Database => Self::Rds,
            Bucket::Log | Bucket::Message => Self::Logs,
            _ => Self::Ec2,
        }
    }
}

impl Bucket {
    /// Returns the burst size and the refill rate per second.
    fn size(self) -> (f64, f64) {
        match self {
            // RDS publishes no figures, so those of EC2's Describe* are assumed. ECR's are higher.
            Self::Describe | Self::Database | Self::Registry => (100.0, 20.0),
            Self::Run => (5.0, 2.0),
            Self::Terminate => (100.0, 5.0),
            Self::Tag => (100.0, 10.0),
            Self::Change => (50.0, 5.0),
            Self::Log => (10.0, 5.0),
            Self::Message => (100.0, 30.0),
        }
    }
}

pub(super) struct Buckets {
    levels: BTreeMap<Bucket, (f64, DateTime<Utc>)>,
    since: DateTime<Utc>,
    noisy_until: DateTime<Utc>,
}

/// The fraction of the refill rate that remains while other callers use up the account's buckets.
const NOISY_REFILL: f64 = 0.02;

impl Buckets {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { levels: BTreeMap::new(), since: now, noisy_until: now }
    }

    /// Empties the buckets, and reduces their refill until a time.
    pub(super) fn noisy_neighbour(&mut self, until: DateTime<Utc>) {
        self.levels.values_mut().for_each(|(level, _)| *level = 0.0);
        self.noisy_until = until;
    }

    /// Takes a token. Returns `false` if the bucket is empty.
    pub(super) fn take(&mut self, bucket: Bucket, now: DateTime<Utc>) -> bool {
        let (burst, refill) = bucket.size();
        let refill = if now < self.noisy_until { refill * NOISY_REFILL } else { refill };
        let (level, at) = self.levels.entry(bucket).or_insert((burst, self.since));
        #[allow(clippy::cast_precision_loss)]
        let elapsed = (now - *at).num_milliseconds().max(0) as f64 / 1_000.0;
        *level = (*level + elapsed * refill).min(burst);
        *at = now.max(*at);
        if *level >= 1.0 {
            *level -= 1.0;
            return true;
        }
        false
    }
}
