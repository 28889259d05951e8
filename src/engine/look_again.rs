//! Reads that look again for what is not found.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::failure::{Failure, Kind};

/// The delays before the reads that look again for what is not found, because reads lag writes. Together they are longer than the lag of
/// EC2's reads under load, which is about four seconds.
const LOOK_AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];

/// Tells a user who waits why it takes longer.
pub(crate) type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// Looks several times for something before it is denied, because a command may have confirmed a moment ago that it exists. An error other
/// than [`Kind::NotFound`] ends it.
pub(crate) async fn look_again<T, F>(
    clock: &Clock,
    notify: Option<&Notify>,
    mut look: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut result = look().await;
    for (index, delay) in LOOK_AGAIN.into_iter().enumerate() {
        let Err(failure) = &result else { break };
        if failure.kind != Kind::NotFound {
            break;
        }
        if let Some(notify) = notify.filter(|_| index == 0) {
            let seconds = LOOK_AGAIN.iter().sum::<Duration>().as_secs();
            notify(&format!(
                "{}; looking again for {seconds} s, because AWS can show new resources late",
                failure.message
            ));
        }
        clock.sleep(delay).await;
        result = look().await;
    }
    result
}
