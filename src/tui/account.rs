//! The number of the AWS account that the dashboard works in.

use std::time::Duration;

use crate::clock::Clock;
use crate::cloud::DynAccount;

/// The delays after errors that may pass.
const DELAYS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_mins(1), Duration::from_mins(5)];

/// Returns the account's number, or `None` if AWS does not return it. Without the permission it is not asked again.
pub(super) async fn number(account: &DynAccount, clock: &Clock) -> Option<String> {
    let mut delays = DELAYS.into_iter();
    loop {
        let error = match account.identity().await {
            Ok(identity) => return Some(identity.account.to_string()),
            Err(error) => error,
        };
        tracing::warn!(%error, "cannot read the account's number");
        clock.sleep(delays.next().filter(|_| error.class.is_temporary())?).await;
    }
}
