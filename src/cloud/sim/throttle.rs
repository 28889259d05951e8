//! Request throttling: token buckets per account and operation class, with AWS's published sizes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

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
    noisy_until: DateTime<Utc>,
}

/// The share of what comes in that others leave while they crowd the account.
const LEFT_BY_NEIGHBOUR: f64 = 0.02;

impl Buckets {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { levels: BTreeMap::new(), since: now, noisy_until: now }
    }

    /// Others empty the buckets and take nearly all that comes in until then.
    pub(super) fn noisy_neighbour(&mut self, until: DateTime<Utc>) {
        self.levels.values_mut().for_each(|(level, _)| *level = 0.0);
        self.noisy_until = until;
    }

    pub(super) fn take(&mut self, bucket: Bucket, now: DateTime<Utc>) -> bool {
        let (burst, refill) = bucket.size();
        let refill = if now < self.noisy_until { refill * LEFT_BY_NEIGHBOUR } else { refill };
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
