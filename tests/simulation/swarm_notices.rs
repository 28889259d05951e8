//! Notices in the swarm: their destination fails for hours, and none is told twice without a cause.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Delivery, SimCloud};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::swarm::{Hazard, Swarm};

/// Faults for which a notice can be told twice: the request arrives twice, or the engine that told it is gone, does not know that it did, or was
/// away for longer than a claim holds.
const CAUSES: [Hazard; 5] =
    [Hazard::Duplicates, Hazard::Crashes, Hazard::LostResponses, Hazard::Outages, Hazard::Throttling];

/// Makes the destination fail for some hours now and then, until it is dropped.
pub(crate) async fn disturb(seed: u64, sim: SimCloud, clock: Clock) {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x0710_71ce);
    loop {
        for delivery in [Delivery::Works, [Delivery::Gone, Delivery::Denied][random.random_range(0..2)]] {
            sim.set_delivery(delivery);
            clock.sleep(Duration::from_secs(random.random_range(1_800..18_000))).await;
        }
    }
}

/// Returns the notices that were told more than once without such a fault.
pub(crate) fn repeated(sim: &SimCloud, swarm: &Swarm) -> Vec<String> {
    if CAUSES.into_iter().any(|hazard| swarm.has(hazard)) {
        return Vec::new();
    }
    let mut times: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for sent in sim.inspect(|state| state.sent_notices().to_vec()) {
        times.entry((sent.message.fleet, sent.message.id)).or_default().push((sent.at, sent.who));
    }
    let repeated = times.into_iter().filter(|(_, times)| times.len() > 1);
    repeated.map(|((fleet, id), times)| format!("I12: {fleet} told {id} at {times:?}")).collect()
}
