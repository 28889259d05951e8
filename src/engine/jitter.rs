//! The delay before a background step, which keeps engines from sending the same step at the same time.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::step::{Key, Priority};

/// The interval for the delays of a single engine; [`jitter`] extends it with the number of engines.
///
/// About six times as long as other engines take to see a change. In the simulation, each step is then sent about 1.2 times.
const INTERVAL: Duration = Duration::from_secs(24);

/// The interval for steps that a user waits for. It is shorter, because speed matters more here than a duplicate request.
const USER_INTERVAL: Duration = Duration::from_secs(8);

/// Returns how long one engine waits before one step. The delay is always the same for one engine and step, and differs between
/// engines. `engines` is the estimated number of engines.
///
/// Delays are exponentially distributed towards the end of the interval, as in multicast feedback suppression: however many engines
/// run, the first is alone for a while, and the others see its change before their own delay is over.
/// (Nonnenmacher and Biersack, "Scalable feedback for large groups", IEEE/ACM Transactions on Networking 7(3), 1999.)
#[must_use]
pub fn jitter(seed: u64, key: &Key, engines: usize) -> Duration {
    let digest = Sha256::digest(format!("{seed} {key}"));
    let word = digest.iter().take(8).fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    #[allow(clippy::cast_precision_loss)] // an estimate is enough
    let (uniform, lambda) = (word as f64 / u64::MAX as f64, (engines.max(1) as f64).ln() + 1.0);
    let share = (uniform * (lambda.exp() - 1.0) + 1.0).ln() / lambda;
    let interval = if key.0 == Priority::User { USER_INTERVAL } else { INTERVAL };
    interval.mul_f64(lambda * share.clamp(0.0, 1.0))
}
