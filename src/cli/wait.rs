//! Waits for what a command has requested.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Context;
use crate::domain::{EnvironmentId, World};
use crate::failure::Failure;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The longest pause after errors that pass, such as throttling.
const MAX_POLL_INTERVAL: Duration = Duration::from_mins(1);

/// Returns the pause before the next observation after this many temporary failures in a row.
fn pause_after(failures: u32) -> Duration {
    (POLL_INTERVAL * 2_u32.pow(failures.min(4))).min(MAX_POLL_INTERVAL)
}

/// Observes the fleet completely until `is_done` returns `true`. Returns `false` if it has not after `max`. `what` says what was requested, such
/// as `is launched`.
pub(super) async fn wait_until(
    context: &Context<'_>,
    id: &EnvironmentId,
    what: &str,
    max: Duration,
    mut is_done: impl FnMut(&World, DateTime<Utc>) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let clock = context.engine.clock();
    let started = clock.elapsed();
    let mut failures = 0;
    while clock.elapsed().saturating_sub(started) < max {
        match context.observe_completely().await {
            Ok((world, now)) => {
                failures = 0;
                if is_done(&world, now)? {
                    return Ok(true);
                }
                clock.sleep(POLL_INTERVAL).await;
            }
            Err(failure) if failure.is_temporary => {
                if failures == 0 {
                    context.console.notice(&format!("{}; still waiting for {id}", failure.message));
                }
                failures += 1;
                clock.sleep(pause_after(failures)).await;
            }
            Err(failure) => {
                let message = format!("{id} {what}, but cannot be watched: {}", failure.message);
                return Err(Failure { message, ..failure });
            }
        }
    }
    Ok(false)
}
